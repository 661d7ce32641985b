// The explorer: what the parts of the page have to do with each other.

import { HERE, ask, asksForLess, lines as read, unseen } from "./api.js";
import { Complete } from "./complete.js";
import { Detail } from "./detail.js";
import { byId, copy, count, el } from "./dom.js";
import { Facets, countLines, countStreams } from "./facets.js";
import { Histogram } from "./histogram.js";
import { help, listen } from "./keys.js";
import { Lines } from "./lines.js";
import { counted, ofLevel, ofStream, shell, toggled, wanted } from "./logql.js";
import { show as showSeries } from "./series.js";
import { Span, duration, longer, stepOf, words } from "./span.js";
import { Tail } from "./tail.js";

const EVERYTHING = '{job=~".+"}';
const PAGE = 500; // Lines that are asked for at a time (count).
const LIMIT_MAX = 5000; // The most that the API gives at a time (count).
const LINES_MAX = 50000; // The most that the page holds (count): they are in the browser's memory.
const LIVE_MAX = 10000; // The same while lines come by themselves (count).
const BARS = 80;
const POINTS = 150;
const AROUND = 5 * 60 * 1000; // Before and after a line (ms).
const COUNT_EVERY = 10000; // While lines come by themselves, they are counted anew so often (ms).

const field = byId("query");
/**
 * What was asked: the query, the time, what ends the asking, whether there are older lines, whether these are on their way, and
 * the most lines that an answer has room for.
 */
let asked = { query: "", span: null, abort: new AbortController(), done: true, loading: false, limit: LIMIT_MAX };

const span = new Span(() => run());
const list = new Lines(byId("lines"), { chosen: (line) => detail.show(line, list.marks), more: () => more() });
const histogram = new Histogram(byId("histogram"), {
  chosen: (from, to) => {
    span.set({ from, to });
    run();
  },
  ofLevel: (values) => take(ofLevel(field.value, values)),
});
const toggle = (name, value, op, kind) => take(toggled(field.value, name, value, op, kind));
const facets = new Facets(byId("facets"), toggle);
const detail = new Detail({ toggle, around, closed: () => {} });
const tail = new Tail({
  come: (found) => {
    list.prepend(found, LIVE_MAX);
    if (list.all.length >= LIVE_MAX) asked.done = false;
    say();
  },
  said: (text) => {
    live = text;
    say();
  },
});
let live = "";
let total = null;

// Before the field's own listeners: what is suggested has the first say of a key.
const complete = new Complete(field, () => grow());

/** Asks this query. */
function take(query) {
  field.value = query;
  run();
}

/** Lines before a time, the newest first, and whether there may be more. Where they take too much, fewer are asked for. */
async function linesOf(own, end, most) {
  const { query, span, abort } = own;
  for (;;) {
    const limit = Math.min(most, own.limit);
    try {
      const step = duration(stepOf(span, POINTS));
      const data = await ask("query_range", { query, start: `${span.from}000000`, end, limit, step, direction: "backward" }, abort.signal);
      if (data.resultType !== "streams") return { matrix: data.result };
      const lines = read(data.result);
      return { lines, full: lines.length >= limit };
    } catch (error) {
      if (!asksForLess(error) || limit <= 1) throw error;
      own.limit = Math.ceil(limit / 4);
    }
  }
}

/** Asks what stands in the query, about the time that is chosen. */
async function run({ push = true } = {}) {
  tail.stop();
  asked.abort.abort();
  const query = field.value.trim() || EVERYTHING;
  asked = { query, span: span.now(), abort: new AbortController(), done: true, loading: true, limit: LIMIT_MAX };
  const own = asked;
  const { signal } = own.abort;
  grow();
  remember(push);
  fail(null);
  busy(true);
  total = null;
  byId("about").replaceChildren("…");
  const begun = performance.now();
  try {
    const { lines, full, matrix } = await linesOf(own, `${own.span.to}000000`, PAGE);
    own.loading = false;
    document.body.classList.toggle("metric", Boolean(matrix));
    byId("series").hidden = !matrix;
    if (matrix) {
      list.show([], []);
      histogram.clear();
      facets.set({ streams: {}, lines: {}, query });
      showSeries(byId("series"), matrix, own.span);
      byId("about").replaceChildren(`${count(matrix.length)} series · ${Math.round(performance.now() - begun)} ms`);
      setLive(false);
      return;
    }
    own.done = !full;
    list.show(lines, wanted(query));
    facets.set({ lines: countLines(lines), query });
    say();
    if (isLive()) tail.start(query, lines, `${own.span.from}000000`);
    await counts(own, true);
  } catch (error) {
    own.loading = false;
    if (!signal.aborted) fail(error);
  } finally {
    // Older lines may be on their way by now.
    if (asked === own) {
      busy(false);
      if (byId("about").textContent === "…") byId("about").replaceChildren();
    }
  }
}

/** Counts lines over time, and by labels. A count that fails says so in its place: the lines are there all the same. */
async function counts(own, all) {
  const { signal } = own.abort;
  const step = stepOf(own.span, BARS);
  const first = Math.floor(own.span.from / step) * step + step;
  try {
    const parameters = { query: counted(own.query, ["detected_level"], duration(step)), start: `${first}000000`, end: `${first + Math.ceil((own.span.to - first) / step) * step}000000`, step: duration(step) };
    const { result } = await ask("query_range", parameters, signal);
    total = histogram.show(result, own.span, step);
    if (!total) histogram.clear();
    say();
  } catch (error) {
    if (signal.aborted) return;
    histogram.say(`The lines cannot be counted over time: ${error.message}`);
  }
  if (!all) return;
  try {
    const streams = await countStreams(own.query, own.span, signal);
    complete.learn(streams);
    facets.set({ streams });
  } catch (error) {
    if (!signal.aborted) facets.set({ streams: {} });
  }
}

/** Older lines, each once: those of the oldest moment that are there already are left out. */
async function more() {
  if (asked.done || asked.loading || list.all.length === 0 || list.all.length >= LINES_MAX) return;
  const own = asked;
  own.loading = true;
  say();
  try {
    const oldest = list.all.at(-1).time;
    const edge = [];
    for (let at = list.all.length - 1; at >= 0 && list.all[at].time === oldest; at--) edge.push(list.all[at]);
    const end = String(BigInt(oldest) + 1n);
    for (const limit of [Math.min(LIMIT_MAX, PAGE + edge.length), LIMIT_MAX]) {
      const { lines, full } = await linesOf(own, end, limit);
      if (asked !== own) return;
      const found = unseen(lines, edge);
      own.done = !full;
      if (!found.length && full) {
        own.done = true;
        own.stuck = true;
        continue;
      }
      own.stuck = false;
      list.append(found);
      facets.set({ lines: countLines(found, facets.lines) });
      break;
    }
  } catch (error) {
    if (!own.abort.signal.aborted) {
      own.done = true;
      fail(error);
    }
  } finally {
    own.loading = false;
    if (asked === own) say();
  }
  // A page of few lines may not reach to the end of what is in sight.
  if (asked === own && !own.done) requestAnimationFrame(() => list.draw());
}

/** Says what is there. */
function say() {
  const about = byId("about");
  const shown = list.all.length;
  // The bars reach a little beyond the time on both sides.
  const of = total !== null && total > shown && !asked.done ? ` of ${count(total)}` : "";
  const filters = el("button", { type: "button", id: "filters", "aria-expanded": String(document.body.classList.contains("filters")), onclick: () => { document.body.classList.toggle("filters"); say(); } }, "Labels");
  about.replaceChildren(filters, el("span", {}, shown ? `${count(shown)}${of} ${shown === 1 && !of ? "line" : "lines"}, the newest first` : "No lines"), isLive() && live ? el("span", { class: "live" }, live) : "");
  // Where the query is wrong, no other time helps.
  if (!shown && !asked.loading && !isLive() && byId("error").hidden) about.append(...wider());
  const end = byId("end");
  if (!shown) end.textContent = "";
  else if (asked.loading) end.textContent = "…";
  else if (asked.stuck) end.textContent = "There are more lines of this moment than the API gives at a time. Narrow the query.";
  else if (shown >= LINES_MAX) end.textContent = `The page holds no more than ${count(LINES_MAX)} lines. Narrow the query or the time.`;
  else end.textContent = asked.done ? "No more lines in this time" : "";
}

/** What to try where there is nothing. */
function wider() {
  const length = asked.span.to - asked.span.from;
  return longer(length).slice(0, 2).map(([range, name]) => {
    const look = () => {
      span.set({ range });
      run();
    };
    return el("button", { type: "button", onclick: look }, `Look at the ${name.toLowerCase()}`);
  });
}

/** Says what went wrong, in the server's words, with the place in the query if there is one. */
function fail(error) {
  const box = byId("error");
  box.hidden = !error;
  field.setAttribute("aria-invalid", String(Boolean(error)));
  document.body.classList.toggle("stale", Boolean(error));
  if (!error) return;
  const parts = [el("p", {}, error.message)];
  const place = /at line (\d+), col (\d+):/.exec(error.message);
  const line = place && asked.query.split("\n")[place[1] - 1];
  if (line) {
    const [at, most] = [place[2] - 1, 60];
    const from = Math.max(0, at - most);
    parts.push(el("pre", {}, `${line.slice(from, at + most)}\n${" ".repeat(at - from)}^`));
  }
  box.replaceChildren(...parts);
  say();
}

function busy(is) {
  byId("busy").hidden = !is;
}

/** The query and the time as a link has them. The part behind `#` is sent to no server. */
const link = (parameters) => `#${new URLSearchParams({ q: asked.query, ...parameters })}`;

function remember(push) {
  const hash = link(span.parameters());
  document.title = `${asked.query} – journal-ship`;
  if (hash === location.hash) return;
  if (push && location.hash) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}

/** Reads the query and the time from the address. */
function recall() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  field.value = parameters.get("q") ?? EVERYTHING;
  span.read(parameters);
}

/** What the stream of a line wrote near it. */
function around(line) {
  span.set({ from: line.ms - AROUND, to: line.ms + AROUND });
  setLive(false);
  take(ofStream(line.stream));
}

const isLive = () => byId("live").getAttribute("aria-pressed") === "true";

function setLive(on) {
  byId("live").setAttribute("aria-pressed", String(on));
  if (!on) tail.stop();
}

function toggleLive() {
  setLive(!isLive());
  if (!isLive()) return say();
  if (!span.is.range) span.set({ range: "15m" });
  scrollTo(0, 0);
  run();
}

/** The field is as high as the query is long. */
function grow() {
  field.rows = Math.min(8, Math.max(1, field.value.split("\n").length));
  field.style.height = "auto";
  field.style.height = `${Math.min(200, field.scrollHeight + 2)}px`;
}

function share() {
  const menu = byId("share-menu");
  const { from, to } = asked.span;
  const since = span.is.range ? `--since=${words(to - from).replace(" ", "").replace("min", "m").replace(/^(\d+)d$/, (_, days) => `${days * 24}h`)}` : `--from=${new Date(from).toISOString()} --to=${new Date(to).toISOString()}`;
  const items = [
    ["Link to this time", HERE + link({ from, to })],
    ["Link to this query", HERE + link(span.parameters())],
    ["journal-ship command", `journal-ship query ${shell(asked.query)} ${span.options()}`],
    ["logcli command", `logcli query ${shell(asked.query)} ${since}`],
  ];
  menu.replaceChildren(...items.map(([name, text]) => el("button", { type: "button", title: text, onclick: (event) => copy(text, event.currentTarget) }, name)));
  menu.hidden = !menu.hidden;
  byId("share").setAttribute("aria-expanded", String(!menu.hidden));
}

function closeAll() {
  if (!byId("share-menu").hidden) return share();
  if (document.activeElement === field) return field.blur();
  detail.close();
}

/** Goes to another line; where one is open, that one is open then. */
function step(by) {
  const line = list.step(by);
  if (line && detail.isOpen) detail.show(line, list.marks);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
field.addEventListener("keydown", (event) => {
  complete.close();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  field.blur();
  run();
});
field.addEventListener("input", grow);
byId("live").addEventListener("click", toggleLive);
byId("share").addEventListener("click", share);
byId("keys").addEventListener("click", () => help(take));
document.addEventListener("click", (event) => {
  if (!byId("share-menu").hidden && !event.target.closest(".menu")) share();
});
addEventListener("popstate", () => {
  recall();
  run({ push: false });
});
listen({
  "/": () => {
    field.focus();
    field.select();
  },
  j: () => step(1),
  k: () => step(-1),
  Enter: () => list.selected && detail.show(list.selected, list.marks),
  Escape: closeAll,
  c: () => list.selected && copy(list.selected.text, byId("share")),
  l: toggleLive,
  r: () => run(),
  w: () => {
    list.wrapped = !list.wrapped;
    list.redraw();
  },
  s: share,
  "?": () => help(take),
});
setInterval(() => {
  if (!isLive() || document.hidden || asked.loading || !tail.isOn) return;
  asked.span = span.now();
  facets.set({ lines: countLines(list.all) });
  counts(asked, false);
}, COUNT_EVERY);
// What stays in sight begins below the head, however high that is.
new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${byId("head").offsetHeight}px`)).observe(byId("head"));
recall();
run({ push: false });
