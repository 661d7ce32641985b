// How many lines there are over time, by level. A part of it can be chosen with the pointer.

import { ALL_LEVELS, level } from "./api.js";
import { clock, count, day, el, short, svg } from "./dom.js";
import { tick, ticks, words } from "./span.js";

const HEIGHT = 96;
const BOTTOM = 18;
const LEFT = 40;
const TICK_EVERY = 90; // Between two times on the axis, at least (pixels).
const CHOSEN_MIN = 4; // A shorter way of the pointer is a click (pixels).

export class Histogram {
  /** `chosen(from, to)` is called with a part of the time (ms), `ofLevel(values)` with what labels call a level. */
  constructor(root, { chosen, ofLevel }) {
    Object.assign(this, { root, chosen, ofLevel, data: null });
    let width = 0;
    new ResizeObserver(() => {
      if (this.data && root.clientWidth !== width) this.draw();
      width = root.clientWidth;
    }).observe(root);
  }

  clear() {
    this.data = null;
    this.root.replaceChildren();
  }

  /** Says why there is none. */
  say(text) {
    this.data = null;
    this.root.replaceChildren(el("p", { class: "note" }, text));
  }

  /** Shows an answer with a series for each level, one value in `step` ms. Gives the number of all lines. */
  show(matrix, span, step) {
    const first = Math.floor(span.from / step) * step;
    const bars = Array.from({ length: Math.max(1, Math.ceil((span.to - first) / step)) }, () => ({}));
    const totals = {};
    const called = {};
    for (const { metric, values } of matrix) {
      const name = level(metric.detected_level);
      (called[name] ??= new Set()).add(metric.detected_level ?? "");
      for (const [seconds, value] of values) {
        // A value stands at the end of its bar.
        const bar = bars[Math.round((seconds * 1000 - first) / step) - 1];
        if (!bar) continue;
        bar[name] = (bar[name] ?? 0) + Number(value);
        totals[name] = (totals[name] ?? 0) + Number(value);
      }
    }
    this.data = { first, step, bars, totals, called };
    this.draw();
    return Object.values(totals).reduce((sum, n) => sum + n, 0);
  }

  draw() {
    const { first, step, bars, totals, called } = this.data;
    const width = Math.max(200, this.root.clientWidth);
    const inner = width - LEFT;
    const sum = (bar) => Object.values(bar).reduce((all, n) => all + n, 0);
    const most = Math.max(1, ...bars.map(sum));
    const wide = inner / bars.length;
    const high = HEIGHT - BOTTOM - 6;
    const chart = svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": "Lines over time" });
    for (const part of [0.5, 1]) {
      const y = HEIGHT - BOTTOM - high * part;
      chart.append(svg("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }));
      if (most * part >= 1) chart.append(svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, short(Math.round(most * part))));
    }
    bars.forEach((bar, number) => {
      let y = HEIGHT - BOTTOM;
      for (const name of [...ALL_LEVELS].reverse()) {
        if (!bar[name]) continue;
        const tall = Math.max(1, (bar[name] / most) * high);
        y -= tall;
        chart.append(svg("rect", { class: name, x: LEFT + number * wide + 0.5, y, width: Math.max(1, wide - 1), height: tall }));
      }
    });
    this.ticks(chart, width, inner);
    const band = svg("rect", { class: "band", y: 0, height: HEIGHT - BOTTOM, width: 0, visibility: "hidden" });
    chart.append(band);
    const tip = el("output", { class: "tip", hidden: true });
    this.listen(chart, band, tip, { first, step, bars, inner });
    const legend = ALL_LEVELS.filter((name) => totals[name]).map((name) =>
      el(
        "button",
        { type: "button", class: `key ${name}`, title: `Only lines of this level`, onclick: () => this.ofLevel([...called[name]]) },
        name,
        el("b", {}, short(totals[name])),
      ),
    );
    this.root.replaceChildren(chart, el("div", { class: "legend" }, ...legend, el("small", {}, `one bar is ${words(step)}`)), tip);
  }

  ticks(chart, width, inner) {
    const { first, step, bars } = this.data;
    const span = { from: first, to: first + bars.length * step };
    for (const at of ticks(span, inner / TICK_EVERY)) {
      const x = LEFT + ((at - first) / (span.to - first)) * inner;
      if (x < LEFT + 20 || x > width - 20) continue;
      chart.append(
        svg("line", { class: "grid", x1: x, x2: x, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }),
        svg("text", { x, y: HEIGHT - 3, "text-anchor": "middle" }, tick(at, span)),
      );
    }
  }

  /** Follows the pointer: what a bar has, and the part that is drawn over. */
  listen(chart, band, tip, { first, step, bars, inner }) {
    const at = (event) => {
      const x = event.clientX - chart.getBoundingClientRect().left - LEFT;
      return Math.max(0, Math.min(bars.length - 1, Math.floor((x / inner) * bars.length)));
    };
    const wide = inner / bars.length;
    let begun = null;
    const mark = (a, b) => {
      band.setAttribute("x", LEFT + Math.min(a, b) * wide);
      band.setAttribute("width", (Math.abs(a - b) + 1) * wide);
      band.setAttribute("visibility", "visible");
    };
    chart.addEventListener("pointerdown", (event) => {
      begun = { bar: at(event), x: event.clientX };
      chart.setPointerCapture(event.pointerId);
    });
    chart.addEventListener("pointermove", (event) => {
      const bar = at(event);
      mark(begun?.bar ?? bar, bar);
      const [from, to] = [Math.min(begun?.bar ?? bar, bar), Math.max(begun?.bar ?? bar, bar) + 1].map((n) => first + n * step);
      const sums = ALL_LEVELS.map((name) => [name, bars.slice((from - first) / step, (to - first) / step).reduce((n, b) => n + (b[name] ?? 0), 0)]);
      const counts = sums.filter(([, n]) => n).map(([name, n]) => el("span", { class: `key ${name}` }, `${name} ${count(n)}`));
      tip.replaceChildren(`${day(from).slice(5)} ${clock(from, step < 1000)} – ${clock(to, step < 1000)}`, ...counts);
      tip.hidden = false;
      const room = this.root.clientWidth - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(room, LEFT + bar * wide - tip.offsetWidth / 2))}px`;
    });
    chart.addEventListener("pointerup", (event) => {
      if (!begun) return;
      const [a, b] = [begun.bar, at(event)];
      const far = Math.abs(event.clientX - begun.x) >= CHOSEN_MIN;
      begun = null;
      // A click on a bar is that bar.
      if (far || bars.length > 1) this.chosen(first + Math.min(a, b) * step, first + (Math.max(a, b) + 1) * step);
    });
    const leave = () => {
      begun = null;
      band.setAttribute("visibility", "hidden");
      tip.hidden = true;
    };
    chart.addEventListener("pointerleave", leave);
    chart.addEventListener("pointercancel", leave);
  }
}
