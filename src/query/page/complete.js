// What may come next in the query: names and values of labels that the page has met, and stages. Nothing is asked for that.

import { byId, el, oneLine } from "./dom.js";
import { quoted } from "./logql.js";

const STAGES = ["json", "logfmt", "pattern", "regexp", "unpack", "decolorize", "line_format", "label_format", "drop", "keep", "unwrap"];
const SHOWN_MAX = 10; // Suggestions (count).
const VALUES_MAX = 500; // Values of a label that are remembered (count).
const NAME_MAX = 80; // What is shown of a value (characters).

export class Complete {
  /** `field` is the query's; `changed()` is called when something was taken. */
  constructor(field, changed) {
    Object.assign(this, { field, changed, known: new Map(), list: byId("complete"), at: -1, from: 0, found: [] });
    field.addEventListener("input", () => this.look());
    field.addEventListener("blur", () => this.close());
    field.addEventListener("keydown", (event) => this.key(event));
    // A click must not take the focus before it counts.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  /** Remembers the labels of streams that were counted: `{name: {value: count}}`. */
  learn(streams) {
    for (const [name, values] of Object.entries(streams)) {
      const known = this.known.get(name) ?? new Set();
      for (const value of Object.keys(values)) if (known.size < VALUES_MAX) known.add(value);
      this.known.set(name, known);
    }
  }

  get isOpen() {
    return !this.list.hidden;
  }

  close() {
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
  }

  /** What may stand at the caret: what was begun, and texts with what they put in its place. */
  candidates() {
    const before = this.field.value.slice(0, this.field.selectionStart);
    const value = /(?:[{,]\s*)(\w+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)$/.exec(before);
    if (value) {
      const all = [...(this.known.get(value[1]) ?? [])].sort();
      return [value[2], all.map((text) => [text, quoted(text).slice(1)])];
    }
    const name = /[{,]\s*(\w*)$/.exec(before);
    if (name && before.lastIndexOf("{") > before.lastIndexOf("}")) {
      return [name[1], [...this.known.keys()].sort().map((text) => [text, `${text}="`])];
    }
    const stage = /\|\s*(\w*)$/.exec(before);
    const fits = stage ? STAGES.filter((text) => text.startsWith(stage[1])) : [];
    return [stage?.[1] ?? "", fits.map((text) => [text, `${text} `])];
  }

  look() {
    const [begun, all] = this.candidates();
    const wanted = begun.toLowerCase();
    const rank = ([text]) => (text.toLowerCase().startsWith(wanted) ? 0 : 1);
    this.found = all.filter(([text]) => text.toLowerCase().includes(wanted)).sort((a, b) => rank(a) - rank(b)).slice(0, SHOWN_MAX);
    this.from = this.field.selectionStart - begun.length;
    this.at = -1;
    if (!this.found.length || (this.found.length === 1 && this.found[0][0] === begun)) return this.close();
    this.list.replaceChildren(
      ...this.found.map(([text], number) => el("li", { role: "option", onclick: () => this.take(number) }, oneLine(text.slice(0, NAME_MAX)))),
    );
    this.list.hidden = false;
    this.field.setAttribute("aria-expanded", "true");
  }

  key(event) {
    if (!this.isOpen) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      this.at = (this.at + by + this.found.length + (this.at < 0 && by < 0 ? 1 : 0)) % this.found.length;
      [...this.list.children].forEach((one, number) => one.setAttribute("aria-selected", String(number === this.at)));
    } else if (event.key === "Tab" || (event.key === "Enter" && this.at >= 0)) {
      this.take(Math.max(0, this.at));
    } else if (event.key === "Escape") {
      this.close();
    } else {
      return;
    }
    event.preventDefault();
    // Otherwise Enter would ask, and Esc would leave the query.
    event.stopImmediatePropagation();
  }

  take(number) {
    const end = this.field.selectionStart;
    // A quotation mark that stands there already is not put there twice.
    const put = this.found[number][1];
    const rest = put.endsWith('"') && this.field.value[end] === '"' ? end + 1 : end;
    this.field.setRangeText(put, this.from, rest, "end");
    this.changed();
    this.look();
  }
}
