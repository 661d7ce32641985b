//! The report of a dry run, and its form in JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::hits::{Hit, Many};
use crate::alerts::history::Fired;
use crate::os::text::write_json_pretty;
use crate::yaml::Unmet;

/// The summary, as `-o json` has it; the order of the fields is part of the form.
#[derive(Debug, Serialize)]
pub(in crate::dry_run) struct Report {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) first: Option<jiff::Timestamp>,
    pub(super) last: Option<jiff::Timestamp>,
    pub(super) not_sent: u64,
    #[serde(serialize_with = "as_map")]
    pub(super) reasons: Vec<(String, u64)>,
    #[serde(serialize_with = "as_map")]
    pub(super) changed: Vec<(String, u64)>,
    /// All of them, the largest first.
    pub(super) streams: Vec<Stream>,
    pub(super) labels: BTreeMap<String, usize>,
    /// Labels among them that take too many.
    pub(super) many_values: Vec<Many>,
    /// Default limits of Loki that would be hit.
    pub(super) loki_limits: Vec<Hit>,
    pub(super) retention: Vec<Class>,
    pub(super) rules: Vec<Rule>,
    pub(super) alerts: Vec<Alert>,
    /// The parts of the configuration that met nothing in these entries.
    pub(super) unmet: Vec<Unmet>,
    /// Entries among them that a first start leaves out.
    pub(super) older_than_backfill: u64,
    #[serde(skip)]
    pub(super) backfill: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Stream {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) tenant: Option<String>,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Entries in each of the equal parts of the span of all entries.
    pub(super) over_time: Vec<u64>,
    #[serde(skip)]
    pub(super) text: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Class {
    pub(super) rule: String,
    /// The value of the label. `null`: nothing is kept.
    pub(super) class: Option<String>,
    pub(super) streams: usize,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) sampled: u64,
    pub(super) expired: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Rule {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) evaluations: u64,
    pub(super) failures: u64,
    /// Why the last evaluation failed, if it did.
    pub(super) error: Option<String>,
    /// Samples, series and alerts that had no room.
    pub(super) left_out: u64,
    /// Labels and annotations whose template failed (count).
    pub(super) template_failures: u64,
    pub(super) template_error: Option<String>,
}

/// An alert that would have fired: also the form of one in `-o json` without a summary.
#[derive(Debug, Serialize)]
pub(in crate::dry_run) struct Alert {
    pub(super) group: String,
    pub(super) name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    value: f64,
    pub(super) from: jiff::Timestamp,
    /// `null`: it is still firing.
    pub(super) until: Option<jiff::Timestamp>,
    #[serde(skip)]
    text: String,
    /// The number of its rule.
    #[serde(skip)]
    pub(super) rule: usize,
}

impl Alert {
    pub(in crate::dry_run) fn new(fired: &Fired) -> Alert {
        let time =
            |nanoseconds: i64| jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
        Alert {
            group: fired.group.clone(),
            name: fired.name.clone(),
            labels: fired.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            annotations: (*fired.annotations).clone(),
            value: fired.value,
            from: time(fired.from),
            until: fired.until.map(time),
            rule: fired.rule,
            text: {
                let mut labels = (*fired.labels).clone();
                labels.remove("alertname");
                labels.to_string()
            },
        }
    }

    /// What would have been told about it.
    pub(in crate::dry_run) fn annotations(&self) -> impl Iterator<Item = (&String, &String)> {
        self.annotations.iter()
    }

    /// One line for a person: labels and value.
    pub(in crate::dry_run) fn text(&self) -> String {
        format!("{} = {}", self.text, self.value)
    }
}

impl Report {
    /// For a machine.
    pub(in crate::dry_run) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        write_json_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

/// Pairs as a map that keeps their order.
fn as_map<S: serde::Serializer>(pairs: &[(String, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, count)| (name, count)))
}
