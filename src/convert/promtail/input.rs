//! The input: Promtail's configuration, whole or in part, or that of Grafana Agent. Anything else is refused with the name
//! of what it is.

use super::*;
use crate::config::KEYS;
use crate::yaml::{Document, Finding};

/// Sections by which a map is known as Promtail's configuration.
const SECTIONS: [&str; 9] = [
    "clients",
    "client",
    "scrape_configs",
    "positions",
    "limits_config",
    "target_config",
    "server",
    "wal",
    "tracing",
];

/// Keys by which a map is known as a scrape config.
const SCRAPES: [&str; 12] = [
    "job_name",
    "journal",
    "pipeline_stages",
    "static_configs",
    "syslog",
    "loki_push_api",
    "windows_events",
    "kafka",
    "gelf",
    "docker_sd_configs",
    "kubernetes_sd_configs",
    "file_sd_configs",
];

/// What Promtail's configuration looks like, and where it usually is.
const WHERE: &str =
    "Promtail's configuration has `clients` and `scrape_configs`; it is often in /etc/promtail";

/// What is converted, and the notes about it.
pub(super) struct Input {
    /// Promtail's configuration.
    pub root: Node,
    pub notes: Vec<String>,
}

/// Reads the input.
///
/// # Errors
/// When it cannot be converted. The error says what it is, and what to do.
pub(super) fn read(source: &str, origin: &str) -> Result<Input, Diagnostics> {
    let other = |what: String, help: String| {
        let finding =
            Finding::nowhere(format!("this is not Promtail's configuration: it is {what}")).help(help);
        Diagnostics::new(origin, "", Vec::new(), vec![finding])
    };
    if source.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(other("empty".into(), WHERE.into()));
    }
    let alloy = || {
        other(
            "a configuration of Alloy, or of Grafana Agent's flow mode".into(),
            "give the Promtail configuration that it was made from. By hand: what loki.source.journal reads goes under \
             `journal`, its relabel rules under `labels.relabel_configs`, stages under `stages`, loki.write under `loki`"
                .into(),
        )
    };
    let root = match yaml::document(source, origin) {
        Err(_) if is_alloy(source) => return Err(alloy()),
        root => root?,
    };
    match &root.kind {
        Kind::Map(entries) if entries.is_empty() => Err(other("empty".into(), WHERE.into())),
        Kind::Null => Err(other("empty".into(), WHERE.into())),
        Kind::Map(_) => of_map(root, origin, other),
        Kind::Seq(items) if items.is_empty() => Err(other("an empty list".into(), WHERE.into())),
        Kind::Seq(items) if items.iter().all(is_scrape) => {
            let notes = vec!["the file is a list of scrape configs alone: write where Loki is under `loki`".to_owned()];
            Ok(Input { root: Node::map(vec![(Node::text("scrape_configs"), root)]), notes })
        }
        Kind::Seq(items) if items.iter().all(is_stage) => Err(other(
            "a list of stages alone".into(),
            "write it under `stages` in journal-ship's configuration, or under `pipeline_stages` of a scrape config here".into(),
        )),
        Kind::Seq(_) => Err(other("a list of something else".into(), WHERE.into())),
        _ if is_alloy(source) => Err(alloy()),
        kind => Err(other(kind.name().to_owned(), WHERE.into())),
    }
}

fn of_map(
    root: Node,
    origin: &str,
    other: impl Fn(String, String) -> Diagnostics,
) -> Result<Input, Diagnostics> {
    for name in ["logs", "loki"] {
        if let Some(logs) = get(&root, name).filter(|logs| get(logs, "configs").is_some()) {
            return agent(&root, name, logs)
                .ok_or_else(|| other("Grafana Agent's, with no list under `configs`".into(), WHERE.into()));
        }
    }
    let is_positions = get(&root, "positions").is_some_and(|positions| {
        entries(positions).next().is_some()
            && entries(positions).all(|(key, _)| key.starts_with(['/', 'c']) && key != "filename")
    });
    if is_positions && entries(&root).count() == 1 {
        let help = "give it with --positions, beside the configuration".into();
        return Err(other("Promtail's positions file".into(), help));
    }
    let sections = entries(&root).filter(|(key, _)| SECTIONS.contains(key)).count();
    let with = |key: &str, inner: &[&str]| {
        get(&root, key).is_some_and(|section| inner.iter().any(|inner| get(section, inner).is_some()))
    };
    match Document::of(&root) {
        None | Some(Document::Promtail | Document::Agent) => {}
        // A configuration of Promtail with scrapes of files only looks the same.
        Some(Document::Prometheus)
            if ["alerting", "rule_files", "remote_write"].iter().all(|key| get(&root, key).is_none())
                && !with("global", &["scrape_interval", "evaluation_interval"]) => {}
        Some(document) => return Err(other(document.name().to_owned(), document.advice(origin))),
    }
    if get(&root, "services").is_some() && sections == 0 {
        let help = "give the configuration that its Promtail reads".to_owned();
        return Err(other("a file of Docker Compose".to_owned(), help));
    }
    if sections > 0 {
        return Ok(Input { root, notes: Vec::new() });
    }
    if is_scrape(&root) && get(&root, "job_name").is_some() {
        let notes = vec!["the file is one scrape config alone: write where Loki is under `loki`".to_owned()];
        let scrapes = Node { kind: Kind::Seq(vec![root]), ..Node::text("") };
        return Ok(Input { root: Node::map(vec![(Node::text("scrape_configs"), scrapes)]), notes });
    }
    if get(&root, "config").is_some_and(|config| is_promtail(config) || get(config, "snippets").is_some()) {
        let help = "take Promtail's configuration out of it, as `helm template` shows it".into();
        return Err(other("values of a Helm chart".into(), help));
    }
    let found: Vec<String> = entries(&root).take(5).map(|(key, _)| format!("`{}`", printable(key))).collect();
    Err(other(format!("a file with {}", found.join(", ")), WHERE.into()))
}

/// The configurations of Grafana Agent's static mode (`logs.configs`). They have the form of Promtail's.
fn agent(root: &Node, name: &str, logs: &Node) -> Option<Input> {
    let mut notes = Vec::new();
    let configs = get(logs, "configs").map(items).filter(|configs| !configs.is_empty())?;
    let of_all = get(logs, "global").and_then(|global| get(global, "clients"));
    let reads = |config: &&Node| {
        get(config, "scrape_configs")
            .map(items)
            .unwrap_or_default()
            .iter()
            .any(|job| get(job, "journal").is_some())
    };
    let chosen = configs.iter().find(reads).or(configs.first())?;
    for (number, left) in configs.iter().enumerate().filter(|(_, config)| !std::ptr::eq(*config, chosen)) {
        let which = get_text(left, "name").map_or(format!("{name}.configs[{number}]"), printable);
        let why = if reads(&left) {
            "reads the journal, too: convert it by itself"
        } else {
            "does not read the journal"
        };
        notes.push(format!("{which}: left out; it {why}"));
    }
    for (key, _) in entries(root).filter(|(key, _)| *key != name) {
        notes.push(format!("{}: left out; it is Grafana Agent's", printable(key)));
    }
    let mut sections: Vec<(Node, Node)> = match &chosen.kind {
        Kind::Map(entries) => entries.iter().filter(|(key, _)| text(key) != Some("name")).cloned().collect(),
        _ => return None,
    };
    if let Some(clients) = of_all
        && get(chosen, "clients").is_none()
    {
        sections.push((Node::text("clients"), clients.clone()));
    }
    Some(Input { root: Node::map(sections), notes })
}

fn is_promtail(node: &Node) -> bool {
    ["clients", "scrape_configs"].iter().any(|key| get(node, key).is_some())
}

fn is_scrape(node: &Node) -> bool {
    entries(node).any(|(key, _)| SCRAPES.contains(&key))
}

fn is_stage(node: &Node) -> bool {
    let stage = |key: &str| KEYS.iter().any(|known| known.path.strip_prefix("stages[].") == Some(key));
    entries(node).count() == 1 && entries(node).all(|(key, _)| stage(key))
}

/// Whether a line opens a block of Alloy: `loki.write "x" {`, `logging {`.
fn is_alloy(source: &str) -> bool {
    source.lines().map(str::trim).any(|line| {
        let Some(head) = line.strip_suffix('{') else { return false };
        let mut words = head.split_whitespace();
        let name = words.next().unwrap_or_default();
        let plain = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c == '.' || c == '_' || c.is_ascii_alphanumeric())
        };
        let label = words.next();
        plain(name)
            && label.is_none_or(|label| label.starts_with('"') && label.ends_with('"'))
            && words.next().is_none()
    })
}
