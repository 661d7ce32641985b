//! The report of a dry run: its form in JSON, and its text for a person.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::alerts::history::Fired;
use crate::os::text::{Line, write_json_pretty};
use crate::yaml::Unmet;

/// Streams that are listed, the largest first (count).
const STREAMS_SHOWN: usize = 20;
/// Alerts of one rule that are listed for a person, the latest last (count).
const ALERTS_SHOWN: usize = 10;
/// A day (seconds).
const DAY: f64 = 24.0 * 3600.0;

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
    group: String,
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    value: f64,
    from: jiff::Timestamp,
    /// `null`: it is still firing.
    until: Option<jiff::Timestamp>,
    #[serde(skip)]
    text: String,
    /// The number of its rule.
    #[serde(skip)]
    rule: usize,
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

    /// For a person.
    pub(in crate::dry_run) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let span = match (self.first, self.last) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        // Less than a minute is too short to say something about a day.
        let a_day = |bytes: u64| match span >= 60.0 {
            true => human(bytes as f64 * DAY / span),
            false => "-".into(),
        };
        writeln!(
            out,
            "{} entries in {} streams, {}; {} a day",
            self.entries,
            self.streams.len(),
            human(self.bytes as f64),
            a_day(self.bytes)
        )?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            writeln!(out, "from {first} to {last}")?;
        }
        if self.older_than_backfill > 0 {
            let (older, backfill) = (self.older_than_backfill, &self.backfill);
            writeln!(out, "{older} of them are older than {backfill}: a first start leaves them out")?;
        }

        writeln!(out, "\nnot sent: {}", self.not_sent)?;
        for (reason, count) in &self.reasons {
            writeln!(out, "{count:>12}  {reason}")?;
        }
        for (what, count) in &self.changed {
            writeln!(out, "changed on the way:{count:>12}  {what}")?;
        }

        writeln!(out, "\nstreams, the largest first")?;
        writeln!(out, "{:>12} {:>10} {:>10}  labels", "entries", "bytes", "a day")?;
        for Stream { tenant, entries, bytes, text, .. } in self.streams.iter().take(STREAMS_SHOWN) {
            let tenant = tenant.as_ref().map(|t| format!(" tenant {t}")).unwrap_or_default();
            let (size, a_day) = (human(*bytes as f64), a_day(*bytes));
            writeln!(out, "{entries:>12} {size:>10} {a_day:>10}  {text}{tenant}")?;
        }
        if let Some(more) = self.streams.len().checked_sub(STREAMS_SHOWN + 1) {
            writeln!(out, "{:>12} more", more + 1)?;
        }

        writeln!(out, "\nlabels and how many values each takes")?;
        for (name, count) in &self.labels {
            writeln!(out, "{count:>12}  {name}")?;
        }

        if !self.retention.is_empty() {
            writeln!(out, "\nretention, by rule; the first that matches decides")?;
            writeln!(
                out,
                "{:>8} {:>8} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9}",
                "class", "streams", "entries", "bytes", "a day", "dropped", "sampled", "too old"
            )?;
        }
        for Class { rule, class, streams, entries, bytes, dropped, sampled, expired } in &self.retention {
            let (class, size, a_day) = (class.as_deref().unwrap_or("-"), human(*bytes as f64), a_day(*bytes));
            writeln!(
                out,
                "{class:>8} {streams:>8} {entries:>10} {size:>10} {a_day:>10} {dropped:>9} {sampled:>9} {expired:>9}  {rule}"
            )?;
        }
        if !self.rules.is_empty() {
            self.write_alerts(out)?;
        }
        self.write_unmet(out)
    }

    fn write_unmet(&self, out: &mut impl Write) -> io::Result<()> {
        if self.unmet.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nmet nothing in these entries")?;
        for Unmet { file, path, what, rare } in &self.unmet {
            let file = file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
            if rare.is_none() {
                writeln!(out, "    {file}{path}: {what}")?;
            }
        }
        let rare: Vec<&str> = self.unmet.iter().filter_map(|unmet| unmet.rare.as_deref()).collect();
        if !rare.is_empty() {
            writeln!(out, "    rules, as is usual where they look for what is rare: {}", rare.join(", "))?;
        }
        Ok(())
    }

    fn write_alerts(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nalerts that would have fired: {}", self.alerts.len())?;
        let mut by_rule: BTreeMap<usize, Vec<&Alert>> = BTreeMap::new();
        for alert in &self.alerts {
            by_rule.entry(alert.rule).or_default().push(alert);
        }
        for alerts in by_rule.values() {
            let Some(Alert { group, name, .. }) = alerts.first() else { continue };
            let times = if alerts.len() == 1 { "once".to_owned() } else { format!("{} times", alerts.len()) };
            writeln!(out, "    {name} (group {group}): {times}")?;
            if let Some(earlier) = alerts.len().checked_sub(ALERTS_SHOWN).filter(|earlier| *earlier > 0) {
                writeln!(out, "        {earlier} earlier ones; all: -o json")?;
            }
            let shown = alerts.len().saturating_sub(ALERTS_SHOWN);
            for alert in alerts.iter().skip(shown) {
                let text = alert.text();
                let lasted = match alert.until {
                    Some(until) => format!("for {}", lasted(until.duration_since(alert.from))),
                    None => "still firing".to_owned(),
                };
                writeln!(out, "        {} {lasted}  {}", alert.from, Line(&text))?;
            }
        }
        let rules = self.rules.iter().enumerate();
        let quiet =
            rules.filter(|(number, rule)| rule.failures == 0 && !by_rule.contains_key(number)).count();
        let failed = self.rules.iter().filter(|rule| rule.failures > 0);
        writeln!(out, "{quiet:>12}  rules without an alert and without a failure")?;
        for Rule { group, name, left_out, .. } in self.rules.iter().filter(|rule| rule.left_out > 0) {
            writeln!(
                out,
                "over its limit: {name} (group {group}), {left_out} left out; see docs/rules.md, Limits"
            )?;
        }
        for Rule { group, name, evaluations, failures, error, .. } in failed {
            let error = error.as_ref().map(|error| format!(": {}", Line(error))).unwrap_or_default();
            writeln!(out, "failed: {name} (group {group}), {failures} of {evaluations} evaluations{error}")?;
        }
        for Rule { group, name, template_failures, template_error, .. } in &self.rules {
            if let Some(error) = template_error {
                writeln!(
                    out,
                    "templates failed: {name} (group {group}), {template_failures} times: {}",
                    Line(error)
                )?;
            }
        }
        Ok(())
    }
}

/// Pairs as a map that keeps their order.
fn as_map<S: serde::Serializer>(pairs: &[(String, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, count)| (name, count)))
}

/// A duration for a person, in whole seconds.
fn lasted(duration: jiff::SignedDuration) -> String {
    let seconds = u64::try_from(duration.as_secs()).unwrap_or(0);
    crate::yaml::units::format_duration(std::time::Duration::from_secs(seconds))
}

/// Bytes for a person.
fn human(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while value >= 1000.0
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") }
}
