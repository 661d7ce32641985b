// The labels beside the lines, each with its values and how many lines have them. Labels of streams are counted over all of the
// time, by the server; other labels over the lines that the page has.

import { ask } from "./api.js";
import { count, el, oneLine } from "./dom.js";
import { counted, has, selected } from "./logql.js";
import { duration } from "./span.js";

const LABELS_MAX = 8; // Labels that are counted (count).
const VALUES_SHOWN = 8; // Values of a label that are shown at first (count).
const VALUES_MAX = 200; // And at most (count).
const NAME_MAX = 80; // What is shown of a value (characters).
// In this order, before all others.
const FIRST = ["host", "unit", "user_unit", "service_name", "level"];
// What is shown elsewhere, or is not worth a list.
const LEFT_OUT = ["detected_level", "__error__", "__error_details__"];

const order = (a, b) => {
  const place = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return place(a) - place(b) || (a < b ? -1 : 1);
};

/** How many lines each value of each label of streams has: `{name: {value: count}}`. */
export async function countStreams(query, span, signal) {
  const selector = { query: selected(query), start: `${span.from}000000`, end: `${span.to}000000` };
  // Where there is no label, there is no list.
  const found = await ask("labels", selector, signal);
  const named = (Array.isArray(found) ? found : []).filter((name) => !LEFT_OUT.includes(name));
  const names = named.sort(order).slice(0, LABELS_MAX);
  if (!names.length) return {};
  const range = duration(span.to - span.from);
  const instant = (labels) => ask("query", { query: counted(query, labels, range), time: `${span.to}000000` }, signal);
  let vectors;
  try {
    vectors = [await instant(names)];
  } catch (error) {
    if (signal.aborted || error.status !== 400) throw error;
    // All labels together have too many series: one label after another, and those that still have too many not at all.
    vectors = [];
    for (const name of names) {
      const one = await instant([name]).catch((error) => {
        if (signal.aborted || error.status !== 400) throw error;
        return null;
      });
      vectors.push(one ?? { result: [] });
    }
  }
  const counts = {};
  for (const { result } of vectors) {
    for (const { metric, value } of result) {
      for (const [name, label] of Object.entries(metric)) add(counts, name, label, Number(value[1]));
    }
  }
  return counts;
}

function add(counts, name, value, number) {
  const values = (counts[name] ??= Object.create(null));
  values[value] = (values[value] ?? 0) + number;
}

/** The same of labels that are not of streams, over these lines and those that were counted before. */
export function countLines(lines, counts = Object.create(null)) {
  for (const line of lines) {
    for (const kind of ["own", "parsed"]) {
      for (const [name, value] of Object.entries(line[kind])) {
        if (LEFT_OUT.includes(name)) continue;
        const known = (counts[name] ??= { kind, values: Object.create(null) });
        known.values[value] = (known.values[value] ?? 0) + 1;
      }
    }
  }
  return counts;
}

export class Facets {
  /** `toggle(name, value, op, kind)` changes the query. */
  constructor(root, toggle) {
    Object.assign(this, { root, toggle, opened: new Set(), folded: new Map(), streams: {}, lines: {}, query: "" });
  }

  set(parts) {
    Object.assign(this, parts);
    const streams = Object.keys(this.streams).sort(order).filter((name) => this.isWorth(name));
    const lines = Object.keys(this.lines).sort();
    this.root.replaceChildren(
      ...streams.map((name) => this.label(name, this.streams[name], "stream")),
      ...(lines.length ? [el("p", { class: "note" }, "In the lines below")] : []),
      ...lines.map((name) => this.label(name, this.lines[name].values, this.lines[name].kind)),
    );
  }

  // A label that all lines have with the same value tells nothing, unless it is asked for.
  isWorth(name) {
    const values = Object.keys(this.streams[name]);
    return values.length > 1 || (name !== "job" && values.length === 1);
  }

  label(name, values, kind) {
    const sorted = Object.entries(values).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const most = sorted[0]?.[1] ?? 1;
    const key = `${kind} ${name}`;
    const open = this.opened.has(key);
    const row = ([value, number]) => {
      const active = has(this.query, name, value, kind);
      const bar = el("i", {});
      bar.style.width = `${(100 * number) / most}%`;
      return el(
        "li",
        { class: active ? "active" : undefined },
        el(
          "button",
          { type: "button", class: "value", "aria-pressed": String(active), title: `Only ${name}=${oneLine(value.slice(0, 1000))}`, onclick: () => this.toggle(name, value, "=", kind) },
          bar,
          el("span", {}, oneLine(value.slice(0, NAME_MAX)) || "(empty)"),
          el("b", {}, count(number)),
        ),
        el("button", { type: "button", class: "sign", title: `Not ${name}=${oneLine(value.slice(0, 1000))}`, onclick: () => this.toggle(name, value, "!=", kind) }, "−"),
      );
    };
    const shown = sorted.slice(0, open ? VALUES_MAX : VALUES_SHOWN).map(row);
    const rest = sorted.length - shown.length;
    const more = () => {
      if (open) this.opened.delete(key);
      else this.opened.add(key);
      this.set({});
    };
    const title = el("summary", {}, oneLine(name), el("b", {}, count(sorted.length)));
    const text = open ? "fewer" : `${count(rest)} more`;
    const last = rest > 0 || open ? [el("li", {}, el("button", { type: "button", class: "more", onclick: more }, text))] : [];
    // What a person has opened or closed stays so.
    const shows = this.folded.get(key) ?? (kind === "stream" || sorted.length <= VALUES_SHOWN);
    const fold = (event) => this.folded.set(key, event.currentTarget.open);
    return el("details", { open: shows, ontoggle: fold }, title, el("ul", {}, ...shown, ...last));
  }
}
