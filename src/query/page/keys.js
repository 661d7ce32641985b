// The keyboard, and the page that explains it.

import { byId, el } from "./dom.js";

const KEYS = [
  ["/", "go to the query"],
  ["Enter", "in the query: ask; on a line: all of it"],
  ["Shift + Enter", "in the query: a new line of it"],
  ["Tab", "in the query: take what is suggested; ↓ and ↑ choose"],
  ["j, k", "next line, line before"],
  ["Esc", "close; leave the query"],
  ["c", "copy the line"],
  ["l", "live: lines as they come"],
  ["r", "ask again"],
  ["w", "one row a line, or three"],
  ["s", "share: a link, or a command"],
  ["?", "this page"],
];

const EXAMPLES = [
  ["Everything", '{job=~".+"}'],
  ["A text", '{job=~".+"} |= "error"'],
  ["One unit, but not these lines", '{unit="ssh.service"} != "Accepted"'],
  ["Warnings and worse", '{level=~"emerg|alert|crit|error|warning"}'],
  ["Fields of lines in JSON", '{unit="shop.service"} | json | status >= 500'],
  ["Lines a minute by level", "sum by (level) (count_over_time({job=~\".+\"}[1m]))"],
  ["Streams by bytes", "topk(10, sum by (unit) (bytes_over_time({job=~\".+\"}[1h])))"],
  ["Errors by unit", 'topk(10, sum by (unit) (count_over_time({level="error"}[1h])))'],
];

/** Shows keys and examples; `take(query)` is called with the one that is chosen. */
export function help(take) {
  const dialog = byId("help");
  const close = () => dialog.close();
  const row = (cells) => el("tr", {}, ...cells);
  dialog.replaceChildren(
    el("div", { class: "bar" }, el("h1", {}, "Keys and examples"), el("span", { class: "grow" }), el("button", { type: "button", onclick: close, "aria-label": "Close" }, "✕")),
    el("table", {}, el("tbody", {}, ...KEYS.map(([keys, what]) => row([el("th", { scope: "row" }, ...keys.split(", ").flatMap((key, at) => (at ? [" ", el("kbd", {}, key)] : [el("kbd", {}, key)]))), el("td", {}, what)])))),
    el("h2", {}, "Queries to begin with"),
    el("ul", { class: "examples" }, ...EXAMPLES.map(([what, query]) =>
      el("li", {}, el("button", { type: "button", onclick: () => { close(); take(query); } }, el("span", {}, what), el("code", {}, query))),
    )),
    el("p", { class: "note" }, "Draw over the bars to look at a part of the time. Click a value to ask for it alone, − to leave it out."),
  );
  dialog.showModal();
}

/** Calls the actions of keys: `{key: action}`. None is called while somebody writes. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const writes = event.target.closest?.("textarea, input, select");
    if (writes && event.key !== "Escape") return;
    // Enter and space press a button that has the focus.
    if (event.target.closest?.("button, summary, a") && ["Enter", " "].includes(event.key)) return;
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
}
