// Queries as texts: what a click adds to one. The server alone decides what a query means.

/** A text as LogQL quotes it. */
export const quoted = (text) => JSON.stringify(text);

/** Where the first selector of a query stands: behind its brace, and at the brace that closes it. */
function selector(query) {
  let from = -1;
  for (let at = 0; at < query.length; at++) {
    const c = query[at];
    if (c === '"' || c === "`") {
      at = closing(query, at);
    } else if (c === "{" && from < 0) {
      from = at + 1;
    } else if (c === "}" && from >= 0) {
      return [from, at];
    }
  }
  return null;
}

/** The first selector of a query, without the stages behind it: where labels are asked for, there are no lines. */
export function selected(query) {
  const place = selector(query);
  return place ? `{${query.slice(...place)}}` : query;
}

/** Where the quotation that begins at a place ends. */
function closing(text, at) {
  const quote = text[at];
  for (let end = at + 1; end < text.length; end++) {
    if (text[end] === "\\" && quote === '"') end++;
    else if (text[end] === quote) return end;
  }
  return text.length;
}

/** The matchers of a selector: name, operator, and the value as it is written. */
function matchers(inner) {
  const found = [];
  const one = /\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*,?/y;
  for (let match; (match = one.exec(inner)); ) {
    found.push({ name: match[1], op: match[2], value: match[3] });
  }
  return found;
}

const written = (all) => all.map(({ name, op, value }) => `${name}${op}${value}`).join(", ");

/** Whether the query asks for this value of a label. */
export function has(query, name, value, kind = "stream") {
  if (kind !== "stream") return query.includes(`| ${name}=${quoted(value)}`);
  const place = selector(query);
  if (!place) return false;
  return matchers(query.slice(...place)).some((m) => m.name === name && m.op === "=" && m.value === quoted(value));
}

/** The query with a stage behind it, or without it if it is there. Behind a comment, a stage needs a line of its own. */
function withStage(query, stage) {
  for (const joint of [" ", "\n"]) {
    const at = query.indexOf(joint + stage);
    if (at >= 0) return query.slice(0, at) + query.slice(at + 1 + stage.length);
  }
  const before = query.trimEnd();
  const last = before.slice(before.lastIndexOf("\n") + 1);
  return `${before}${last.includes("#") ? "\n" : " "}${stage}`;
}

/** The query with a value of a label wanted (`=`) or not (`!=`). If it says the same already, that is taken back. */
export function toggled(query, name, value, op = "=", kind = "stream") {
  if (kind !== "stream") return withStage(query, `| ${name}${op}${quoted(value)}`);
  const place = selector(query);
  if (!place) return query;
  const before = matchers(query.slice(...place));
  const same = (m) => m.name === name && m.op === op && m.value === quoted(value);
  let after = before.filter((m) => !same(m));
  if (after.length === before.length) {
    // Another value that is wanted gives way, and so does the matcher that stands for everything.
    after = before.filter((m) => !(m.name === name && (op === "=" || m.op === "=")));
    after = after.filter((m) => !isAll(m));
    after.push({ name, op, value: quoted(value) });
  }
  if (!after.some(asksForSomething)) after.unshift({ name: "job", op: "=~", value: '".+"' });
  return query.slice(0, place[0]) + written(after) + query.slice(place[1]);
}

// As the page writes it itself.
const isAll = (m) => m.name === "job" && m.op === "=~" && m.value === '".+"';
const asksForSomething = (m) => m.op === "=" || m.op === "=~";

/** The query with a filter of levels. */
export function ofLevel(query, values) {
  const test = values.length === 1 ? `=${quoted(values[0])}` : `=~${quoted(values.join("|"))}`;
  return withStage(query, `| detected_level${test}`);
}

/** A selector of one stream. */
export const ofStream = (labels) =>
  `{${Object.entries(labels).map(([name, value]) => `${name}=${quoted(value)}`).join(", ")}}`;

/** How many lines of a log query there are in each range, by labels. What a stage could not parse counts, too. */
export const counted = (query, labels, range) =>
  `sum by (${labels.join(", ")}) (count_over_time(${query}\n| drop __error__, __error_details__ [${range}]))`;

/** The texts that lines must have (`|= "…"`). */
export function wanted(query) {
  const found = [];
  for (const match of query.matchAll(/\|=\s*("(?:[^"\\]|\\.)*"|`[^`]*`)/g)) {
    try {
      const text = match[1][0] === "`" ? match[1].slice(1, -1) : JSON.parse(match[1]);
      if (text) found.push(text);
    } catch {
      // Escapes that JSON does not have: nothing is marked.
    }
  }
  return found;
}

/** A text as a shell takes it. */
export const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
