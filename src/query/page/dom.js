// Elements, and text that is safe to show. Whatever comes from a log is put into the page as text, never as markup; the page's
// policy (Trusted Types) leaves no other way.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (`onclick: …`) and children: elements or texts. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

// What misleads a reader: controls, separators, what is invisible or turns the direction of other text. The list is that of
// `os/text.rs`.
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const COLOURS = /\u001b\[[0-9;]*m/g;

const escape = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;

/** Text of one line: unsafe characters as escapes, line ends and tabs too. Colours of a terminal are left out. */
export function oneLine(text) {
  return text.replace(COLOURS, "").replace(/\r?\n/g, " ⏎ ").replace(/\t/g, "  ").replace(UNSAFE, escape);
}

/** Text of several lines: line ends and tabs stay. */
export function manyLines(text) {
  return text.replace(UNSAFE, (c) => (c === "\n" || c === "\t" ? c : escape(c)));
}

/** 1234567 as 1,234,567, in the way of the reader's language. */
export const count = (number) => number.toLocaleString();

const two = (number) => String(number).padStart(2, "0");

/** The day of a time (ms since 1970) in the reader's zone: 2026-11-30. */
export function day(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** The time of day: 04:55:01.123, or without milliseconds. */
export function clock(ms, fraction = true) {
  const at = new Date(ms);
  const rest = fraction ? `.${String(at.getMilliseconds()).padStart(3, "0")}` : "";
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${rest}`;
}

/** A number of few digits: 1.23M. */
export function short(number) {
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  for (const [unit, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${+(number / unit).toPrecision(3)}${sign}`;
  }
  return String(+number.toPrecision(3));
}

/** Copies a text, and says so on the button. */
export async function copy(text, button) {
  const before = (button.dataset.text ??= button.textContent);
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without a secure address (https, localhost) browsers give no clipboard: the text can be copied by hand.
    window.prompt("Copy this:", text);
  }
  setTimeout(() => (button.textContent = before), 1200);
}
