// The list of lines. However many there are, only those in sight are elements of the page.

import { clock, day, el, oneLine } from "./dom.js";

const SHOWN_MAX = 1000; // What a row shows of a line (characters): more has no room.
const BEYOND = 12; // Rows that are there above and below those in sight (count).
const NEAR_END = 40; // So many rows before its end, more lines are asked for (count).
const HEIGHTS = { one: 24, wrapped: 66, phone: 62 }; // As in the style sheet (pixels).

export class Lines {
  /** `chosen(line)` is called when a line is chosen, `more()` when the end comes near. */
  constructor(root, { chosen, more }) {
    Object.assign(this, { root, chosen, more, all: [], marks: [], selected: null, wrapped: false, host: false });
    this.rows = new Map();
    this.phone = matchMedia("(max-width: 700px)");
    root.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      // A text that is being marked is no choice.
      if (row && !String(getSelection())) this.select(this.all.indexOf(row.line), true);
    });
    const again = () => this.draw();
    addEventListener("scroll", again, { passive: true });
    addEventListener("resize", () => this.redraw());
    this.phone.addEventListener("change", () => this.redraw());
  }

  get height() {
    return this.phone.matches ? HEIGHTS.phone : this.wrapped ? HEIGHTS.wrapped : HEIGHTS.one;
  }

  /** Shows these lines and no others; `marks` are texts that are marked in them. */
  show(all, marks) {
    Object.assign(this, { all, marks, selected: null });
    this.redraw();
  }

  /** Adds older lines at the end. */
  append(lines) {
    this.all.push(...lines);
    this.resize();
  }

  /** Adds newer lines at the beginning, and forgets the oldest beyond `most`. What is in sight stays in its place. */
  prepend(lines, most) {
    const above = -this.root.getBoundingClientRect().top;
    const late = this.all.length > 0 && lines[lines.length - 1].time < this.all[0].time;
    this.all = lines.concat(this.all);
    // A line may become visible after others that were written later.
    if (late) this.all.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
    this.all = this.all.slice(0, most);
    this.resize();
    if (above > this.height) scrollBy(0, lines.length * this.height);
  }

  /** All rows anew. */
  redraw() {
    this.clear();
    this.root.classList.toggle("wrapped", this.wrapped);
    const hosts = new Set(this.all.slice(0, 500).map((line) => line.stream.host));
    this.host = hosts.size > 1;
    this.resize();
  }

  clear() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
  }

  resize() {
    const days = this.all.length > 0 && day(this.all[0].ms) !== day(this.all[this.all.length - 1].ms);
    // The rows have times without a day.
    if (days !== this.days) this.clear();
    this.days = days;
    this.root.classList.toggle("days", this.days);
    this.root.style.height = `${this.all.length * this.height}px`;
    this.draw();
  }

  /** Makes the rows in sight, and removes the others. */
  draw() {
    const top = this.root.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / this.height) - BEYOND);
    const last = Math.min(this.all.length, Math.ceil((innerHeight - top) / this.height) + BEYOND);
    const here = new Set(this.all.slice(first, last));
    for (const [line, row] of this.rows) {
      if (!here.has(line)) {
        row.remove();
        this.rows.delete(line);
      }
    }
    for (let at = first; at < last; at++) {
      const line = this.all[at];
      let row = this.rows.get(line);
      if (!row) {
        row = this.row(line);
        this.rows.set(line, row);
        this.root.append(row);
      }
      row.style.transform = `translateY(${at * this.height}px)`;
    }
    if (this.all.length && last + NEAR_END >= this.all.length) this.more();
  }

  row(line) {
    const time = this.days ? `${day(line.ms).slice(5)} ${clock(line.ms)}` : clock(line.ms);
    const row = el(
      "div",
      { class: `row ${line.level}${line === this.selected ? " selected" : ""}` },
      el("span", { class: "time" }, time),
      el("span", { class: "source" }, oneLine(source(line, this.host))),
      marked(oneLine(line.text.slice(0, SHOWN_MAX)), this.marks),
    );
    row.line = line;
    return row;
  }

  /** Chooses the line of this number, and brings it into sight; `open` also shows all of it. */
  select(number, open = false) {
    const line = this.all[Math.max(0, Math.min(number, this.all.length - 1))];
    if (!line) return;
    this.rows.get(this.selected)?.classList.remove("selected");
    this.selected = line;
    this.reveal(this.all.indexOf(line));
    this.rows.get(line)?.classList.add("selected");
    if (open) this.chosen(line);
  }

  /** The line so many places further, as `j` and `k` go. */
  step(by) {
    const at = this.selected ? this.all.indexOf(this.selected) : -1;
    this.select(at < 0 ? 0 : at + by);
    return this.selected;
  }

  reveal(number) {
    const head = document.getElementById("head").getBoundingClientRect().bottom;
    const top = this.root.getBoundingClientRect().top + number * this.height;
    if (top < head) scrollBy(0, top - head);
    else if (top + this.height > innerHeight) scrollBy(0, top + this.height - innerHeight + this.height);
    this.draw();
  }
}

/** Who wrote a line, in short. */
export function source(line, host) {
  const { stream, own } = line;
  const unit = stream.unit ?? stream.user_unit ?? stream.service_name ?? own.identifier ?? stream.job ?? "";
  const name = unit.replace(/\.service$/, "");
  return host && stream.host ? `${stream.host} ${name}` : name;
}

/** A text with some of its parts marked. */
export function marked(text, marks) {
  const element = el("span", { class: "text" });
  let from = 0;
  for (;;) {
    let [at, length] = [-1, 0];
    for (const mark of marks) {
      const found = text.indexOf(mark, from);
      if (found >= 0 && (at < 0 || found < at)) [at, length] = [found, mark.length];
    }
    if (at < 0) break;
    element.append(text.slice(from, at), el("mark", {}, text.slice(at, at + length)));
    from = at + length;
  }
  element.append(text.slice(from));
  return element;
}
