//! Promtail's configuration, as version 3.6 reads it (grafana/loki, `clients/pkg/promtail`).
//!
//! Each part is checked before it is written. What our checks refuse stays in the result as a comment with the reason. So
//! `check` accepts the result as a whole.

mod access;
mod apart;
mod client;
mod input;
mod jobs;
mod journal;
mod stages;
mod variables;

use crate::config::{Config, Unset};
use crate::os::text::Line;
use crate::yaml::secrets::{has_user, is_suspect};
use crate::yaml::write::{Writer, scalar, text};
use crate::yaml::{self, Diagnostics, Kind, Node};
use variables::{uses_variables, variables};

/// The result of a conversion.
#[derive(Debug)]
pub struct Converted {
    /// Our configuration.
    pub yaml: String,
    /// A line for each thing that has no counterpart, or means something else now.
    pub notes: Vec<String>,
}

/// Converts a configuration. With `positions`, the text of Promtail's positions file, shipping goes on where Promtail
/// stopped.
///
/// # Errors
/// When `source` is something else. The error says what it is, and what to do.
pub fn promtail(source: &str, origin: &str, positions: Option<&str>) -> Result<Converted, Diagnostics> {
    let input::Input { root, notes } = input::read(source, origin)?;
    let mut conversion = Conversion { out: Writer::default(), notes };
    conversion.all(&root, positions);
    let Conversion { out, mut notes } = conversion;
    let yaml = out.finish();
    if uses_variables(&yaml) {
        notes.push(
            "${…} stands for environment variables, as with Promtail's -config.expand-env=true; \
             they must be set for journal-ship, too"
                .to_owned(),
        );
    }
    Ok(Converted { yaml, notes })
}

struct Conversion {
    out: Writer,
    notes: Vec<String>,
}

/// The entries of a map. Anything else has none.
fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().filter_map(|(key, value)| Some((text(key)?, value)))
}

/// The entries of a map that have a value. An empty value means the default in Promtail.
fn written(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    entries(node).filter(|(_, value)| value.kind != Kind::Null)
}

fn get<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    written(node).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn get_text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    get(node, name).and_then(text)
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::Seq(items) => items,
        _ => &[],
    }
}

/// Why our checks refuse a configuration, if they do. A text with a variable that has no default is not checked: another
/// machine knows its value.
fn refusal(ours: &str) -> Option<String> {
    let diagnostics = Config::examine_source(ours, "", &|_| None, Unset::Unknown).err()?;
    Some(diagnostics.titles().next().unwrap_or("not taken").replace("stages[0].", "").replace("loki[0].", ""))
}

/// A value without anything that may be a secret: values whose key says so, and URLs with a user. Names of files stay.
fn without_secrets(node: &Node, suspect: bool) -> Node {
    const HIDDEN: &str = "(left out: a secret)";
    let kind = match &node.kind {
        Kind::Map(entries) => Kind::Map(
            entries
                .iter()
                .map(|(key, value)| {
                    let name = text(key).unwrap_or_default();
                    let harmless = name.ends_with("_file") || name.ends_with("_url") || name == "type";
                    let suspect = !harmless && (suspect || is_suspect(name));
                    (key.clone(), without_secrets(value, suspect))
                })
                .collect(),
        ),
        Kind::Seq(items) => Kind::Seq(items.iter().map(|item| without_secrets(item, suspect)).collect()),
        Kind::Null => Kind::Null,
        Kind::Str(text) if has_user(text) => Kind::Str(HIDDEN.to_owned()),
        _ if suspect => Kind::Str(HIDDEN.to_owned()),
        kind => kind.clone(),
    };
    Node { kind, ..node.clone() }
}

impl Conversion {
    /// Notes that something is not as it was.
    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// Notes it, and says it in a comment here.
    fn tell(&mut self, depth: usize, note: &str) {
        self.out.comment(depth, note);
        self.note(note);
    }

    /// Says that `key` at `place` is left out. Its text becomes a comment, without secrets.
    fn leave(&mut self, depth: usize, place: &str, key: &str, why: &str, value: &Node) {
        let name = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
        self.tell(depth, &format!("{}: {why}", printable(&name)));
        self.keep_text(depth, key, value);
    }

    /// Writes what is left out as a comment.
    fn keep_text(&mut self, depth: usize, key: &str, value: &Node) {
        let mut kept = Writer::default();
        kept.entry(0, key, &without_secrets(value, !key.ends_with("_file") && is_suspect(key)));
        self.out.comment(depth, kept.finish().trim_end());
    }

    /// The same for an item of a list.
    fn leave_item(&mut self, depth: usize, name: &str, why: &str, value: &Node) {
        self.tell(depth, &format!("{}: {why}", printable(name)));
        let mut kept = Writer::default();
        kept.item(0, &without_secrets(value, false));
        self.out.comment(depth, kept.finish().trim_end());
    }

    /// Writes a line if our checks accept it inside `around` (with `{}` for the line). Otherwise it is left out.
    fn offer(&mut self, depth: usize, around: &str, line: &str, from: (&str, &str, &Node)) -> bool {
        let (place, key, value) = from;
        if let Some(why) = refusal(&around.replace("{}", line)) {
            self.leave(depth, place, key, &why, value);
            return false;
        }
        self.write(depth, line, key, value);
        true
    }

    /// Writes a line. If it was written in another way before, that stands behind it as a comment.
    fn write(&mut self, depth: usize, line: &str, key: &str, value: &Node) {
        let old = text(value).map(scalar).filter(|old| !line.contains(old.trim_matches('\'')));
        match old {
            Some(old) => self.out.line(depth, &format!("{line} # {}: {old}", scalar(key))),
            None => self.out.line(depth, line),
        }
    }

    /// Writes a map of names to texts under `key`. Each is checked. Returns how many are written.
    fn strings(&mut self, depth: usize, key: &str, around: &str, place: &str, map: &Node) -> usize {
        let line = |name: &str, value: &Node| {
            let value = variables(text(value).unwrap_or_default());
            format!("{}: {}", scalar(name), quoted(&value))
        };
        let accepted = |name: &str, value: &Node| {
            let line = format!("{key}: {{{}}}", line(name, value));
            match key == "headers" && is_suspect(name) {
                true => Some("a secret does not belong here".to_owned()),
                false => refusal(&around.replace("{}", &line)),
            }
        };
        let (good, bad): (Vec<_>, Vec<_>) = entries(map)
            .map(|(name, value)| (name, value, accepted(name, value)))
            .partition(|(.., no)| no.is_none());
        match good.is_empty() {
            true => self.out.line(depth, &format!("{key}: {{}}")),
            false => self.out.line(depth, &format!("{key}:")),
        }
        let count = good.len();
        for (name, value, _) in good {
            let line = line(name, value);
            let old = text(value).map(scalar).filter(|old| !line.contains(old.trim_matches('\'')));
            let old = old.map(|old| format!(" # {old}")).unwrap_or_default();
            self.out.line(depth + 1, &format!("{line}{old}"));
        }
        for (name, value, why) in bad {
            self.leave(depth + 1, place, name, &why.unwrap_or_default(), value);
        }
        count
    }

    fn all(&mut self, root: &Node, positions: Option<&str>) {
        self.out
            .comment(0, "Converted from Promtail's configuration; see what `journal-ship check` says of it.");
        let scrapes = get(root, "scrape_configs").map(items).unwrap_or_default();
        let (jobs, others): (Vec<_>, Vec<_>) =
            scrapes.iter().partition(|scrape| get(scrape, "journal").is_some());
        let name = |scrape: &Node| format!("scrape_configs {}", get_text(scrape, "job_name").unwrap_or("?"));
        for scrape in others {
            let why = "not a journal; journal-ship reads nothing else";
            self.leave_item(0, &name(scrape), why, scrape);
        }
        let (merged, left) = jobs::merge(&jobs);
        for (more, why) in left {
            self.leave_item(0, &name(more), &why, more);
        }
        let limits = get(root, "limits_config");
        match &merged[..] {
            [] => {
                self.tell(0, "no scrape_config reads the journal: the defaults of journal-ship stand");
                if let Some(max) = limits.and_then(|limits| get(limits, "max_streams")) {
                    self.leave(0, "limits_config", "max_streams", "write it as labels.max_streams", max);
                }
                self.stages(None, limits);
            }
            [job] => {
                self.journal(job.node, limits, positions);
                self.stages(get(job.node, "pipeline_stages"), limits);
            }
            jobs => {
                let stages = self.journals(jobs, limits, positions);
                self.stages(Some(&stages), limits);
            }
        }
        self.clients(root);
        for (name, value) in written(root) {
            let why = match name {
                "clients" | "client" | "scrape_configs" | "limits_config" => continue,
                "server" => {
                    self.server(value);
                    continue;
                }
                "positions" => {
                    "journal-ship keeps its place in state_directory; with `--positions FILE` this conversion \
                     goes on where Promtail stopped"
                }
                "wal" => "not needed: the journal itself is the queue",
                "target_config" | "global" => "not needed: journal-ship is told of new entries",
                "options" | "tracing" => "has no counterpart",
                _ => "no such section in Promtail 3.6",
            };
            self.leave(0, "", name, why, value);
        }
    }

    fn server(&mut self, server: &Node) {
        const AROUND: &str = "{}";
        for (key, value) in written(server) {
            let word = text(value).unwrap_or_default();
            match key {
                "http_listen_address" | "http_listen_port" | "disable" => {}
                "log_level" => drop(self.offer(
                    0,
                    AROUND,
                    &format!("log_level: {}", scalar(&variables(word))),
                    ("server", key, value),
                )),
                "grpc_listen_port" | "grpc_listen_address" => {
                    self.leave(0, "server", key, "journal-ship serves no gRPC", value);
                }
                _ => self.leave(0, "server", key, "has no counterpart", value),
            }
        }
        let (address, port) = (get(server, "http_listen_address"), get(server, "http_listen_port"));
        if let Some(disable) = get(server, "disable") {
            self.keep_text(0, "disable", disable);
            if text(disable) == Some("true") {
                self.out.line(0, "http: {listen: null}");
                for (key, value) in [("http_listen_address", address), ("http_listen_port", port)] {
                    if let Some(value) = value {
                        self.keep_text(0, key, value);
                    }
                }
                return;
            }
        }
        match port.and_then(text) {
            Some("0") | None => {
                for (key, value) in [("http_listen_address", address), ("http_listen_port", port)] {
                    let Some(value) = value else { continue };
                    self.leave(0, "server", key, "no port of its own: http.listen is 127.0.0.1:9194", value);
                }
            }
            Some(port_text) => {
                let host = match address.and_then(text) {
                    None | Some("") => {
                        self.note("server: Promtail listened on all addresses; http.listen is 127.0.0.1 now");
                        "127.0.0.1".to_owned()
                    }
                    Some("localhost") => "127.0.0.1".to_owned(),
                    Some(host) if host.contains(':') && !host.contains(['[', '$']) => format!("[{host}]"),
                    Some(host) => host.to_owned(),
                };
                let line =
                    format!("http: {{listen: {}}}", quoted(&variables(&format!("{host}:{port_text}"))));
                self.offer(
                    0,
                    AROUND,
                    &line,
                    ("server", "http_listen_address", address.unwrap_or(&Node::text(""))),
                );
            }
        }
    }
}

/// A name that is safe in a message of one line.
fn printable(name: &str) -> String {
    Line(name).to_string()
}

/// Any text in quotes.
fn quoted(text: &str) -> String {
    let plain = scalar(text);
    if plain.starts_with(['\'', '"']) { plain } else { format!("'{text}'") }
}

/// Writes a duration of Go in the form of Prometheus, which has no fractions and no sign.
fn duration(go: &str) -> String {
    match yaml::units::parse_go_duration(go) {
        Ok(duration) => yaml::units::format_duration(duration),
        // It stays as it is. Our checks say what is wrong with it.
        Err(_) => scalar(&variables(go)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept_but_names_of_files_are() {
        let source = "basic_auth: {username: u, password: s1, password_file: /f}\nauthorization: {type: Bearer, \
                      credentials: s2, credentials_file: /g}\noauth2: {client_secret: s3, token_url: http://t}\n\
                      url: http://u:s4@h\nproxy_connect_header: {Proxy-Authorization: [s5]}\n";
        let root = yaml::document(source, "").unwrap();
        let mut writer = Writer::default();
        writer.value(0, &without_secrets(&root, false));
        let kept = writer.finish();
        for secret in ["s1", "s2", "s3", "s4", "s5"] {
            assert!(!kept.contains(secret), "{kept}");
        }
        for plain in ["/f", "/g", "http://t", "Bearer"] {
            assert!(kept.contains(plain), "{plain}: {kept}");
        }
    }
}
