// The time that is asked about: so far back from now, or from one time to another (ms since 1970).

import { byId, clock, day, el } from "./dom.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const RANGES = { "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY };
const NAMES = {
  "5m": "Last 5 minutes", "15m": "Last 15 minutes", "1h": "Last hour", "6h": "Last 6 hours", "24h": "Last 24 hours",
  "7d": "Last 7 days", "30d": "Last 30 days",
};
const STEPS = [
  SECOND / 10, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE,
  10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY,
];
const CUSTOM = "custom";

/** A round step that divides a span into at most so many parts. */
export const stepOf = (span, parts) => STEPS.find((step) => span.to - span.from <= step * parts) ?? span.to - span.from;

/** Round times of a span for an axis with room for so many: midnights, hours, minutes of the reader's zone. */
export function ticks(span, most) {
  const step = stepOf(span, Math.max(1, most));
  // What the zone is ahead of the world's time, so that days begin at midnight.
  const ahead = -new Date(span.from).getTimezoneOffset() * MINUTE;
  const found = [];
  for (let at = Math.ceil((span.from + ahead) / step) * step - ahead; at < span.to; at += step) found.push(at);
  return found;
}

/** A time on such an axis, as short as the length of the span allows. */
export function tick(ms, span) {
  const length = span.to - span.from;
  if (length > 10 * DAY) return day(ms).slice(5);
  if (length > DAY) return `${day(ms).slice(5)} ${clock(ms).slice(0, 5)}`;
  return length > 5 * MINUTE ? clock(ms).slice(0, 5) : clock(ms, length <= 5 * SECOND);
}

/** A length of time (ms) as LogQL writes it. */
export const duration = (ms) => (ms % SECOND === 0 ? `${ms / SECOND}s` : `${ms}ms`);

/** A length of time in few words. */
export function words(ms) {
  for (const [unit, name] of [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]]) {
    if (ms >= unit) return `${+(ms / unit).toFixed(1)} ${name}`;
  }
  return `${ms} ms`;
}

/** The ranges that are longer than so many ms, with their names. */
export const longer = (ms) => Object.entries(NAMES).filter(([range]) => RANGES[range] > ms);

const local = (ms) => `${day(ms)}T${clock(ms, false)}`;

/** The part of the page that chooses the time. */
export class Span {
  constructor(changed) {
    this.select = byId("range");
    this.custom = byId("custom");
    for (const [value, name] of Object.entries(NAMES)) this.select.append(el("option", { value }, name));
    this.select.append(el("option", { value: CUSTOM }, "From … to …"));
    this.select.addEventListener("change", () => {
      if (this.select.value === CUSTOM) this.set({ ...this.now() });
      else this.set({ range: this.select.value });
      changed();
    });
    for (const id of ["from", "to"]) {
      byId(id).addEventListener("change", () => {
        const [from, to] = ["from", "to"].map((id) => new Date(byId(id).value).getTime());
        if (from < to) {
          this.is = { from, to };
          changed();
        }
      });
    }
    this.set({ range: "1h" });
  }

  /** Sets it: `{range}`, or `{from, to}`. */
  set(is) {
    const range = is.range && RANGES[is.range] ? is.range : null;
    this.is = range ? { range } : { from: is.from, to: is.to };
    this.select.value = range ?? CUSTOM;
    this.custom.hidden = range !== null;
    if (!range) [byId("from").value, byId("to").value] = [local(is.from), local(is.to)];
  }

  /** From when to when, as of now. The end of what goes back from now is a round time that has not come yet. */
  now() {
    if (!this.is.range) return { ...this.is };
    const length = RANGES[this.is.range];
    const step = stepOf({ from: 0, to: length }, 60);
    const to = Math.ceil((Date.now() + 1) / step) * step;
    return { from: to - length, to };
  }

  /** For a link. */
  parameters() {
    return this.is.range ? { range: this.is.range } : { from: this.is.from, to: this.is.to };
  }

  /** Reads what a link says; false if it says nothing of use. */
  read(parameters) {
    const [from, to] = [Number(parameters.get("from")), Number(parameters.get("to"))];
    if (RANGES[parameters.get("range")]) this.set({ range: parameters.get("range") });
    else if (from > 0 && to > from && to < 8e15) this.set({ from, to });
    else return false;
    return true;
  }

  /** For the command line of `query`: `--since` and `--until`. */
  options() {
    if (this.is.range) return `--since -${this.is.range}`;
    return `--since @${this.is.from / SECOND} --until @${this.is.to / SECOND}`;
  }
}
