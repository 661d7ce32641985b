// Questions to Loki's read API, which stands beside the page.

const AGAIN_MAX = 20; // Attempts while all places for queries are taken.
const AGAIN_AFTER = 400; // Between two of them (ms).

/** Where the page is, without a name and a password that somebody may have written before it. */
export const HERE = location.origin + location.pathname;

/** An answer that is none: the status, and the server's words. */
export class Refused extends Error {
  constructor(status, text) {
    super(text.trim() || `HTTP ${status}`);
    this.status = status;
  }
}

/** Whether an answer would have been too large: fewer lines can be asked for. */
export const asksForLess = (error) => error instanceof Refused && /ask for (fewer|less)|max entries limit per query/.test(error.message);

const sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

/** Asks `path` with these parameters; gives what the answer holds as `data`, or the whole answer. */
export async function ask(path, parameters, signal) {
  const form = new URLSearchParams(parameters);
  for (let attempt = 1; ; attempt++) {
    let answer;
    try {
      answer = await fetch(new URL(`loki/api/v1/${path}`, HERE), {
        method: "POST",
        body: form,
        signal,
        headers: { "X-Loki-Response-Encoding-Flags": "categorize-labels" },
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Refused(0, "The agent does not answer. Does it run?");
    }
    if (answer.status === 429 && attempt < AGAIN_MAX) {
      await sleep(AGAIN_AFTER, signal);
      continue;
    }
    if (!answer.ok) throw new Refused(answer.status, await answer.text());
    const json = await answer.json();
    return json.data ?? json;
  }
}

const LEVELS = {
  emerg: "critical", alert: "critical", crit: "critical", critical: "critical", fatal: "critical", panic: "critical",
  error: "error", err: "error", warn: "warn", warning: "warn", notice: "info", info: "info", information: "info",
  debug: "debug", trace: "trace",
};

/** The levels that the page tells apart, the gravest first. */
export const ALL_LEVELS = ["critical", "error", "warn", "info", "debug", "trace", "unknown"];

/** Which of these a level is that a label says. */
export const level = (text) => LEVELS[(text ?? "").toLowerCase()] ?? "unknown";

/** Lines of an answer with streams: one object a line, the newest first. Times are texts of nanoseconds. */
export function lines(streams) {
  const all = [];
  for (const { stream, values } of streams) {
    // The labels beside a line stand in those of its stream, too.
    const known = new Map();
    for (const [time, text, beside] of values) {
      const own = beside?.structuredMetadata ?? {};
      const parsed = beside?.parsed ?? {};
      const key = Object.keys(own).concat("\n", Object.keys(parsed)).join();
      let labels = known.get(key);
      if (!labels) {
        labels = {};
        for (const [name, value] of Object.entries(stream)) {
          if (!(name in own) && !(name in parsed)) labels[name] = value;
        }
        known.set(key, labels);
      }
      all.push({ time, ms: Number(time.slice(0, -6)), text, stream: labels, own, parsed, level: level(own.detected_level ?? labels.level) });
    }
  }
  // Texts of nanoseconds have the same length for three hundred years.
  return all.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
}

/** What tells two lines of one moment apart. */
export const identity = (line) => `${line.time}\n${JSON.stringify([line.stream, line.own])}\n${line.text}`;

/** The lines of `found` that are not among `known`, of which each counts once. */
export function unseen(found, known) {
  const counts = new Map();
  for (const line of known) {
    const key = identity(line);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return found.filter((line) => {
    const key = identity(line);
    const left = counts.get(key) ?? 0;
    if (left > 0) counts.set(key, left - 1);
    return left === 0;
  });
}
