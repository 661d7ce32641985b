// All of one line: its text, its labels, and what can be done with them.

import { byId, clock, copy, day, el, manyLines } from "./dom.js";
import { marked } from "./lines.js";

const TEXT_MAX = 64 * 1024; // What is shown of a line at first (characters).
const PRETTY_MAX = 64 * 1024; // A longer text is not laid out as JSON (characters).

export class Detail {
  /** `toggle(name, value, op, kind)` changes the query, `around(line)` asks for what was written near a line. */
  constructor({ toggle, around, closed }) {
    Object.assign(this, { root: byId("detail"), toggle, around, closed });
  }

  get isOpen() {
    return !this.root.hidden;
  }

  close() {
    if (!this.isOpen) return;
    this.root.hidden = true;
    document.body.classList.remove("with-detail");
    this.closed();
  }

  show(line, marks) {
    const text = el("pre", { class: "whole" });
    const put = (most) => {
      const shown = pretty(line.text) ?? line.text;
      text.replaceChildren(marked(manyLines(shown.slice(0, most)), marks));
      if (shown.length > most) {
        const size = `… and ${(shown.length - most).toLocaleString()} more characters`;
        text.append(el("button", { type: "button", onclick: () => put(Infinity) }, size));
      }
    };
    put(TEXT_MAX);
    const button = (name, action, title) => el("button", { type: "button", title, onclick: action }, name);
    this.root.replaceChildren(
      el(
        "div",
        { class: "bar" },
        el("strong", { class: `level ${line.level}` }, line.level),
        el("span", { class: "grow" }),
        button("Copy", (event) => copy(line.text, event.target), "Copy the line (c)"),
        button("Around", () => this.around(line), "What this stream wrote five minutes before and after"),
        button("✕", () => this.close(), "Close (Esc)"),
      ),
      el("p", { class: "when" }, `${day(line.ms)} ${clock(line.ms)}`, el("small", {}, `${new Date(line.ms).toISOString()} · ${line.time} ns`)),
      text,
      ...this.table("Labels", line.stream, "stream"),
      ...this.table("Structured metadata", line.own, "own"),
      ...this.table("Parsed from the line", line.parsed, "parsed"),
    );
    this.root.hidden = false;
    this.root.scrollTop = 0;
    document.body.classList.add("with-detail");
  }

  table(title, labels, kind) {
    const names = Object.keys(labels).sort();
    if (!names.length) return [];
    const row = (name) => {
      const value = labels[name];
      const act = (op, sign, words) =>
        el("button", { type: "button", class: "sign", title: `${words}: ${name}`, onclick: () => this.toggle(name, value, op, kind) }, sign);
      return el(
        "tr",
        {},
        el("td", { class: "acts" }, act("=", "+", "Only this"), act("!=", "−", "Not this")),
        el("th", { scope: "row" }, manyLines(name)),
        el("td", {}, manyLines(value.slice(0, TEXT_MAX))),
      );
    };
    return [el("h2", {}, title), el("table", { class: "labels" }, el("tbody", {}, ...names.map(row)))];
  }
}

/** An object in JSON, laid out; `null` for another text. */
function pretty(text) {
  if (text.length > PRETTY_MAX || !/^\s*[{[]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}
