//! Documents of other kinds: recognises a file that was given in place of another one, by keys that only its kind has.

use super::node::{Kind, Node};

/// Keys at the top by which journal-ship's configuration is recognised. A test of `config` compares them with its keys.
pub(crate) const OURS: [&str; 7] =
    ["journal", "labels", "stages", "retention", "loki", "alerts", "structured_metadata"];

/// A kind of document that people have beside a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// journal-ship's configuration.
    Ours,
    Promtail,
    /// Grafana Agent's static mode.
    Agent,
    /// Groups of rules, as Loki's ruler and Prometheus have them.
    Rules,
    /// Tests of rules.
    Tests,
    /// Rules in a manifest of Kubernetes (monitoring.coreos.com).
    PrometheusRule,
    Kubernetes,
    Prometheus,
    Loki,
    Alertmanager,
}

impl Document {
    /// What the document is, if it is one of these. An empty document, or one with keys of several kinds, is `None`.
    pub(crate) fn of(root: &Node) -> Option<Document> {
        let has = |key: &str| value(root, key).is_some();
        let any = |keys: &[&str]| keys.iter().any(|key| has(key));
        let within =
            |key: &str, inner: &str| value(root, key).is_some_and(|node| value(node, inner).is_some());
        if has("apiVersion") && has("kind") {
            let rules = within("spec", "groups");
            return Some(if rules { Document::PrometheusRule } else { Document::Kubernetes });
        }
        if any(&["clients", "client", "job_name"])
            || (has("scrape_configs") && has("positions"))
            || reads_journal(root)
        {
            return Some(Document::Promtail);
        }
        if within("logs", "configs") || within("loki", "configs") {
            return Some(Document::Agent);
        }
        if any(&["schema_config", "auth_enabled", "ingester"]) {
            return Some(Document::Loki);
        }
        if has("route") && has("receivers") {
            return Some(Document::Alertmanager);
        }
        if any(&OURS) && !has("groups") {
            return Some(Document::Ours);
        }
        if has("tests") {
            return Some(Document::Tests);
        }
        if has("groups") {
            return Some(Document::Rules);
        }
        let prometheus = any(&["scrape_configs", "alerting", "remote_write", "rule_files"]);
        prometheus.then_some(Document::Prometheus)
    }

    /// What it is, in a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Document::Ours => "journal-ship's own configuration",
            Document::Promtail => "Promtail's configuration",
            Document::Agent => "Grafana Agent's configuration",
            Document::Rules => "a rule file",
            Document::Tests => "a file of tests for rules",
            Document::PrometheusRule => "a manifest of Kubernetes with rules (PrometheusRule)",
            Document::Kubernetes => "a manifest of Kubernetes",
            Document::Prometheus => "Prometheus' configuration",
            Document::Loki => "Loki's configuration",
            Document::Alertmanager => "Alertmanager's configuration",
        }
    }

    /// What the document is for, and what to do with it. `file`: its name.
    pub(crate) fn advice(self, file: &str) -> String {
        let advice = match self {
            Document::Ours => "check it with `journal-ship check --config FILE`",
            Document::Promtail | Document::Agent => {
                "convert it: journal-ship convert promtail FILE -o config.yaml"
            }
            Document::Rules => {
                "name it under `alerts.rule_files` of the configuration: `journal-ship check` reads it then; a file of tests that names it \
                 is run by `journal-ship rules test`"
            }
            Document::Tests => {
                "run it with `journal-ship rules test FILE`; it names the rule files that it is about"
            }
            Document::PrometheusRule => {
                "take what is under `spec` (it begins with `groups:`) as a rule file; expressions must be LogQL, not PromQL"
            }
            Document::Kubernetes => {
                "take the file out of it that the program reads, as under `data` of a ConfigMap"
            }
            Document::Prometheus => {
                "journal-ship ships logs, and scrapes nothing; rule files go under `alerts.rule_files`"
            }
            Document::Loki => "journal-ship needs to know only where Loki is: `loki: [{url: http://…}]`",
            Document::Alertmanager => {
                "journal-ship needs to know only where Alertmanager is: `alerts.alertmanagers: [{url: http://…}]`"
            }
        };
        advice.replace("FILE", &shell(file))
    }
}

/// A name as a shell takes it.
fn shell(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@+".contains(c);
    match name.chars().all(plain) && !name.is_empty() {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

fn value<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries
        .iter()
        .find(|(key, _)| matches!(&key.kind, Kind::Str(text) if text == name))
        .map(|(_, value)| value)
}

/// Whether a scrape config reads the journal, which only Promtail's do.
fn reads_journal(root: &Node) -> bool {
    let scrapes = value(root, "scrape_configs").unwrap_or(root);
    match &scrapes.kind {
        Kind::Seq(items) => {
            items.iter().any(|item| value(item, "job_name").is_some() && value(item, "journal").is_some())
        }
        _ => false,
    }
}
