// The values of a metric query: a chart over time, and a table.

import { clock, day, el, oneLine, short, svg } from "./dom.js";
import { tick, ticks } from "./span.js";

const HEIGHT = 240;
const BOTTOM = 20;
const LEFT = 52;
const DRAWN_MAX = 12; // Series in the chart (count): more cannot be told apart.
const ROWS_MAX = 200; // Series in the table (count).
const NAME_MAX = 400; // What is shown of a series' labels (characters).
const TICK_EVERY = 90; // Between two times on the axis, at least (pixels).

const named = ({ metric }) =>
  oneLine(Object.entries(metric).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ").slice(0, NAME_MAX));

/** Shows a matrix in `root`. */
export function show(root, matrix, span) {
  const all = matrix.map((one) => {
    const points = one.values.map(([seconds, value]) => [seconds * 1000, Number(value)]);
    const finite = points.map(([, value]) => value).filter(Number.isFinite);
    const most = finite.length ? Math.max(...finite) : NaN;
    return { name: named(one) || (matrix.length > 1 ? "{}" : "value"), points, most, last: points.at(-1)?.[1], mean: finite.reduce((a, b) => a + b, 0) / finite.length };
  });
  all.sort((a, b) => (b.last ?? 0) - (a.last ?? 0) || b.most - a.most || (a.name < b.name ? -1 : 1));
  root.replaceChildren();
  if (!all.length) {
    root.append(el("p", { class: "note" }, "No values in this time."));
    return;
  }
  const draw = () => chart(all.slice(0, DRAWN_MAX), span, Math.max(240, root.clientWidth));
  let shown = draw();
  const head = ["", "series", "last", "mean", "highest"].map((name) => el("th", { scope: "col" }, name));
  const rows = all.slice(0, ROWS_MAX).map((one, number) =>
    el(
      "tr",
      {},
      el("td", { class: number < DRAWN_MAX ? `swatch s${number}` : "" }),
      el("th", { scope: "row" }, one.name),
      ...[one.last, one.mean, one.most].map((value) => el("td", {}, Number.isNaN(value) ? "–" : short(value))),
    ),
  );
  const table = el("table", { class: "values" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  const tip = el("output", { class: "tip", hidden: true });
  root.append(el("div", { class: "within" }, shown, tip), el("div", { class: "scroll" }, table));
  follow(tip, all.slice(0, DRAWN_MAX), span);
  if (all.length > ROWS_MAX) root.append(el("p", { class: "note" }, `and ${all.length - ROWS_MAX} more series`));
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (!shown.isConnected || root.clientWidth === width || root.hidden) return;
    width = root.clientWidth;
    const next = draw();
    shown.replaceWith(next);
    shown = next;
  }).observe(root);
}

function chart(series, span, width) {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value)).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...values), Math.max(...values, Math.min(0, ...values) + 1e-9)];
  const x = (ms) => LEFT + ((ms - span.from) / (span.to - span.from)) * (width - LEFT - 8);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - 10);
  const drawn = svg("svg", { class: "chart", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": "Values over time" });
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const value = low + (high - low) * part;
    drawn.append(
      svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    );
  }
  for (const at of ticks(span, (width - LEFT) / TICK_EVERY)) {
    if (x(at) > LEFT + 20 && x(at) < width - 20) drawn.append(svg("text", { x: x(at), y: HEIGHT - 4, "text-anchor": "middle" }, tick(at, span)));
  }
  series.forEach(({ points, name }, number) => {
    // A gap in the values is a gap in the line.
    const step = Math.min(...points.slice(1).map(([ms], at) => ms - points[at][0]));
    let path = "";
    points.forEach(([ms, value], at) => {
      if (!Number.isFinite(value)) return;
      const joined = at > 0 && path && ms - points[at - 1][0] <= step * 1.5;
      path += `${joined ? "L" : "M"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
      if (!joined) path += "h0.01";
    });
    drawn.append(svg("path", { class: `line s${number}`, d: path || "M0 0" }, svg("title", {}, name)));
  });
  return drawn;
}

/** Shows the values at the time under the pointer. */
function follow(tip, all, span) {
  const root = tip.parentElement;
  root.addEventListener("pointermove", (event) => {
    const chart = event.target.closest(".chart");
    tip.hidden = !chart;
    if (!chart) return;
    const { left, width } = chart.getBoundingClientRect();
    const ms = span.from + ((event.clientX - left - LEFT) / (width - LEFT - 8)) * (span.to - span.from);
    // The nearest moment that any series has a value at.
    let at = null;
    for (const { points } of all) {
      for (const [time] of points) if (at === null || Math.abs(time - ms) < Math.abs(at - ms)) at = time;
    }
    const row = ({ name, points }, number) => {
      const value = points.find(([time]) => time === at)?.[1];
      return value === undefined ? null : el("span", { class: `swatch s${number}` }, ` ${name} ${short(value)}`);
    };
    tip.replaceChildren(el("b", {}, `${day(at)} ${clock(at, false)}`), ...all.map(row).filter(Boolean));
    tip.style.left = `${Math.max(0, Math.min(root.clientWidth - tip.offsetWidth, event.clientX - left + (event.clientX - left > width / 2 ? -tip.offsetWidth - 12 : 12)))}px`;
  });
  root.addEventListener("pointerleave", () => (tip.hidden = true));
}
