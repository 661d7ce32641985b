"use strict";
// Shows what /status says, and asks again. Texts come into the page as text.

const EVERY = 5000; // Between two questions (ms).
const SILENT_AFTER = 4000; // An answer that takes longer is none (ms).
const byId = (id) => document.getElementById(id);

function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const count = (number) => number.toLocaleString();

function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([unit]) => seconds >= unit);
  const [unit, name] = units[at];
  const whole = Math.floor(seconds / unit);
  const rest = units[at + 1] ? Math.floor((seconds - whole * unit) / units[at + 1][0]) : 0;
  return `${whole} ${name}${rest ? ` ${rest} ${units[at + 1][1]}` : ""}`;
}

/** A time of the reader's zone; the day, unless it is today. */
function moment(time) {
  const at = new Date(time);
  const hours = at.toLocaleTimeString();
  return at.toDateString() === new Date().toDateString() ? hours : `${at.toLocaleDateString()} ${hours}`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (bytes >= 1024 && at < units.length - 1) [bytes, at] = [bytes / 1024, at + 1];
  return `${bytes.toFixed(bytes < 10 && at ? 1 : 0)} ${units[at]}`;
}

const number = (value) => (value === null ? "–" : String(+value.toPrecision(5)));
const fact = (name, value, note) => el("div", {}, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, ` ${note}`) : null));
const colour = (state) => ({ ok: "good", noted: "warn", retrying: "warn", limited: "warn", pending: "warn", failed: "bad", firing: "bad", "needs attention": "bad" })[state] ?? "";
const pill = (state) => el("span", { class: `pill ${colour(state)}` }, state);
const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);

/** What a server says, and what to do; nothing where all is well. */
function todo(server) {
  if (!server || server.state === "ok") return null;
  return el("p", { class: `todo ${colour(server.state)}` }, el("b", {}, server.words), server.what_to_do);
}

function destination(one, server, now) {
  const last = one.last_answer;
  const answer = last ? (last.status === null ? "no answer" : `HTTP ${last.status}`) : "–";
  const groups = [["answers", one.requests], ["not sent", one.dropped], ["refused", one.refused], ["damaged", one.damaged]];
  const rows = groups.flatMap(([kind, counts]) => Object.entries(counts).map(([name, n]) => el("tr", {}, el("th", { scope: "row" }, `${kind}: ${name}`), el("td", {}, count(n)))));
  const losses = [["lost unread", one.lost], ["sent to another stream", one.folded]].filter(([, n]) => n);
  rows.push(...losses.map(([name, n]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, count(n)))));
  const bad = [[sum(one.dropped), "not sent"], [sum(one.refused), "refused"], [sum(one.damaged), "damaged"], [one.lost, "lost"]].filter(([n]) => n);
  const key = `counts ${one.name}`;
  const details = el("details", { "data-key": key }, el("summary", {}, bad.length ? bad.map(([n, what]) => `${count(n)} ${what}`).join(", ") : "Counts"), el("table", {}, el("tbody", {}, ...rows)));
  return el(
    "article",
    { class: "card" },
    el("header", {}, el("h3", {}, one.name), pill(server?.state ?? "ok")),
    el(
      "dl",
      { class: "figures" },
      fact("behind", one.lag_seconds > 0 ? span(one.lag_seconds) : "nothing"),
      fact("rate", one.entries_per_second >= 10 ? count(Math.round(one.entries_per_second)) : number(one.entries_per_second), "entries/s"),
      fact("last answer", answer, last ? `${span(last.seconds_ago)} ago, in ${span(last.took_seconds)}` : ""),
      fact("acknowledged", count(one.entries_acknowledged), "entries"),
      fact("in requests", size(one.bytes_sent), `${count(one.streams)} streams`),
      fact("journal up to", one.up_to ? moment(one.up_to) : "–", `${one.files_growing} ${one.files_growing === 1 ? "file" : "files"} in use, ${one.files_finished} finished`),
      ...(one.rate_bound_bytes ? [fact("held to", `${size(one.rate_bound_bytes)}/s`, "by Loki's limit")] : []),
    ),
    todo(server),
    rows.length ? details : null,
  );
}

function rules(all, now) {
  const order = ["firing", "failed", "pending", "ok"];
  const sorted = all.map((rule, at) => [order.indexOf(rule.state), at, rule]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const until = (time) => span(Math.max(0, (new Date(time) - now) / 1000));
  const since = (time) => span(Math.max(0, (now - new Date(time)) / 1000));
  const row = ([, , rule]) => {
    const when = rule.firing_since ? `for ${since(rule.firing_since)}` : rule.fires_at ? `fires in ${until(rule.fires_at)}` : "";
    const counts = [rule.firing ? `${rule.firing} firing` : "", rule.pending ? `${rule.pending} pending` : ""].filter(Boolean).join(", ");
    const notes = [rule.error, rule.over_limit, rule.left_out ? `${count(rule.left_out)} left out` : ""].filter(Boolean).join("; ");
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, rule.name, el("small", {}, rule.group)),
      el("td", {}, pill(rule.type === "record" && rule.state === "ok" ? "recorded" : rule.state)),
      el("td", {}, [counts, when].filter(Boolean).join(", ")),
      el("td", { class: "number", "data-name": "value" }, rule.value === null && !rule.series ? "–" : number(rule.value)),
      el("td", { class: "number", "data-name": "evaluated" }, rule.evaluated_at ? `${since(rule.evaluated_at)} ago` : `${count(rule.evaluations)} times`),
      el("td", {}, notes),
    );
  };
  const head = el("thead", {}, el("tr", {}, ...["rule", "state", "alerts", "highest value", "evaluated", ""].map((name, at) => el("th", { scope: "col", class: at === 3 || at === 4 ? "number" : "" }, name))));
  return [head, el("tbody", {}, ...sorted.map(row))];
}

/** Replaces what an element holds; what was opened stays open. */
function put(id, ...children) {
  const root = byId(id);
  const open = new Set([...root.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  root.replaceChildren(...children);
  for (const one of root.querySelectorAll("details")) one.open = open.has(one.dataset.key);
}

function show(status) {
  const now = new Date(status.now);
  const servers = new Map(status.server_states.map((server) => [server.name, server]));
  const worst = ["needs attention", "retrying", "limited", "noted"].find((state) => status.server_states.some((server) => server.state === state));
  const refused = status.configuration.refused_at;
  const state = byId("state");
  const failed = status.rules.filter((rule) => rule.state === "failed").length;
  const parts = [worst, status.alerts.firing ? `${count(status.alerts.firing)} firing` : "", failed ? `${failed} rules failed` : "", refused ? "configuration refused" : ""].filter(Boolean);
  state.textContent = parts.join(", ") || "all is well";
  state.className = `pill ${parts.length === 0 ? "good" : worst === "needs attention" || status.alerts.firing || failed || refused ? "bad" : "warn"}`;
  document.title = `${parts.length ? `${parts.join(", ")} – ` : ""}journal-ship`;
  byId("version").textContent = status.version;
  const process = status.process;
  put(
    "facts",
    fact("running for", process ? span(process.uptime_seconds) : "–"),
    fact("memory", process ? size(process.memory_bytes) : "–"),
    fact("configuration", `${span(status.configuration.age_seconds)} old`, refused ? `a newer one was refused at ${moment(refused)}: see the agent's log` : ""),
    fact("alerts", count(status.alerts.firing), status.alerts.pending ? `firing, ${count(status.alerts.pending)} pending` : "firing"),
  );
  const shipping = status.destinations.map((one) => destination(one, servers.get(`loki ${one.name}`), now));
  put("destinations", ...(shipping.length ? shipping : [el("p", { class: "quiet" }, "None: this agent answers queries, or evaluates rules, and ships nothing.")]));
  const others = status.server_states.filter((server) => !server.name.startsWith("loki "));
  byId("servers-section").hidden = !others.length;
  put("servers", ...others.map((server) => el("article", { class: "card" }, el("header", {}, el("h3", {}, server.name.replace(/^alertmanager /, "")), pill(server.state)), todo(server))));
  byId("rules-section").hidden = !status.rules.length;
  put("rules", ...rules(status.rules, now));
  const events = status.events.map((event) => el("li", {}, el("time", { datetime: event.at }, `${span(Math.max(0, (now - new Date(event.at)) / 1000))} ago`), el("span", { class: "who" }, event.server), el("span", { class: "what" }, event.what)));
  put("events", ...(events.length ? events : [el("li", {}, "Nothing happened that a person should know.")]));
}

let heard = Date.now();

async function ask() {
  try {
    const answer = await fetch("status", { signal: AbortSignal.timeout(SILENT_AFTER), cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(await answer.json());
    heard = Date.now();
    byId("silent").hidden = true;
  } catch (error) {
    byId("silent").textContent = `No answer for ${span((Date.now() - heard) / 1000)}: does the agent run? What is below is older.`;
    byId("silent").hidden = false;
  }
}

async function again() {
  if (!document.hidden) await ask();
  setTimeout(again, EVERY);
}

document.addEventListener("visibilitychange", () => document.hidden || ask());
again();
