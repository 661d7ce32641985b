//! The summary of a dry run: streams, entries and bytes, what was not sent and why, which label takes how many
//! values, what each retention class comes to, and which alerts would have fired. It is made once, as a [`Report`], and
//! shown as text or JSON.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

use serde::Serialize;

use super::backfill;
use super::printer::timestamp;
use crate::alerts::Watcher;
use crate::alerts::history::Fired;
use crate::alerts::run::Outcome;
use crate::config::Config;
use crate::loki::proto::Entry;
use crate::os::text::{Line, write_json_pretty};
use crate::pipeline::{Counts, Pipeline};
use crate::shape::labels::parse_pushed;
use crate::shape::retention::Judge;
use crate::yaml::Unmet;

/// Streams that are listed, the largest first (count).
const STREAMS_SHOWN: usize = 20;
/// Alerts of one rule that are listed for a person, the latest last (count).
const ALERTS_SHOWN: usize = 10;
/// Values of one label that are counted exactly (count).
const VALUES_MAX: usize = 100_000;
const DAY: f64 = 24.0 * 3600.0;

/// What the records come to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    streams: HashMap<(Option<String>, String), Sum>,
    first: Option<jiff::Timestamp>,
    last: Option<jiff::Timestamp>,
}

/// Entries and their bytes, as Loki counts them: lines and structured metadata.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    entries: u64,
    bytes: u64,
}

/// The summary, as `-o json` has it; the order of the fields is part of the form.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    entries: u64,
    bytes: u64,
    first: Option<jiff::Timestamp>,
    last: Option<jiff::Timestamp>,
    not_sent: u64,
    #[serde(serialize_with = "as_map")]
    reasons: Vec<(String, u64)>,
    #[serde(serialize_with = "as_map")]
    changed: Vec<(String, u64)>,
    /// All of them, the largest first.
    streams: Vec<Stream>,
    labels: BTreeMap<String, usize>,
    retention: Vec<Class>,
    rules: Vec<Rule>,
    alerts: Vec<Alert>,
    /// What of the configuration met nothing in these entries.
    unmet: Vec<Unmet>,
    /// Entries among them that a first start leaves out.
    older_than_backfill: u64,
    #[serde(skip)]
    backfill: String,
}

/// Entries that are older than `journal.backfill`.
pub(super) struct OfBackfill {
    /// How many.
    pub(super) older: u64,
    /// Whether they are among those that are shown as sent.
    pub(super) sent: bool,
}

#[derive(Debug, Serialize)]
struct Stream {
    labels: BTreeMap<String, String>,
    tenant: Option<String>,
    entries: u64,
    bytes: u64,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct Class {
    rule: String,
    /// What the label says; `null`: nothing is kept.
    class: Option<String>,
    streams: usize,
    entries: u64,
    bytes: u64,
    dropped: u64,
    sampled: u64,
    expired: u64,
}

#[derive(Debug, Serialize)]
struct Rule {
    group: String,
    name: String,
    evaluations: u64,
    failures: u64,
    /// Why the last one failed, if it did.
    error: Option<String>,
    /// Samples, series and alerts that had no room.
    left_out: u64,
    /// Labels and annotations that say an error instead of a text.
    template_failures: u64,
    template_error: Option<String>,
}

/// An alert that would have fired: also the form of one in `-o json` without a summary.
#[derive(Debug, Serialize)]
pub(super) struct Alert {
    group: String,
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    value: f64,
    from: jiff::Timestamp,
    /// `null`: it fires still.
    until: Option<jiff::Timestamp>,
    #[serde(skip)]
    text: String,
    /// The number of its rule.
    #[serde(skip)]
    rule: usize,
}

impl Alert {
    pub(super) fn new(fired: &Fired) -> Alert {
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
    pub(super) fn annotations(&self) -> impl Iterator<Item = (&String, &String)> {
        self.annotations.iter()
    }

    /// One line for a person: labels and value.
    pub(super) fn text(&self) -> String {
        format!("{} = {}", self.text, self.value)
    }
}

impl Summary {
    pub(super) fn add(&mut self, tenant: Option<&str>, labels: &str, entry: &Entry) {
        let metadata = entry.structured_metadata.iter().map(|pair| pair.name.len() + pair.value.len());
        let bytes = entry.line.len() + metadata.sum::<usize>();
        let time = timestamp(entry);
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        let sum = self.streams.entry((tenant.map(str::to_owned), labels.to_owned())).or_default();
        sum.entries += 1;
        sum.bytes += bytes as u64;
    }

    /// All that there is to tell.
    pub(super) fn report(
        &self,
        pipeline: &Pipeline,
        watcher: Option<&mut Watcher>,
        config: &Config,
        OfBackfill { older, sent }: OfBackfill,
        unmet: &[Unmet],
    ) -> Report {
        let counts = pipeline.counts();
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut streams: Vec<_> = self
            .streams
            .iter()
            .map(|((tenant, labels), sum)| Stream {
                labels: parse_pushed(labels),
                tenant: tenant.clone(),
                entries: sum.entries,
                bytes: sum.bytes,
                text: Line(labels).to_string(),
            })
            .collect();
        streams.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.text.cmp(&b.text)));
        for (name, value) in streams.iter().flat_map(|stream| &stream.labels) {
            let values = values.entry(name.clone()).or_default();
            if values.len() < VALUES_MAX {
                values.insert(value.clone());
            }
        }
        let labels = counts.labels.kinds().into_iter().map(|(kind, n)| (format!("labels: {kind}"), n));
        let failed = counts.failed.iter().map(|(stage, n)| (format!("stage {stage} failed, entry sent"), *n));
        let mut report = Report {
            entries: streams.iter().map(|stream| stream.entries).sum(),
            bytes: streams.iter().map(|stream| stream.bytes).sum(),
            first: self.first,
            last: self.last,
            not_sent: counts.dropped() + if sent { 0 } else { older },
            reasons: reasons(&counts, pipeline.retention()),
            changed: labels.chain(failed).filter(|(_, count)| *count > 0).collect(),
            streams,
            labels: values.into_iter().map(|(name, values)| (name, values.len())).collect(),
            retention: classes(&counts, pipeline),
            rules: Vec::new(),
            alerts: Vec::new(),
            unmet: unmet.to_vec(),
            older_than_backfill: if sent { older } else { 0 },
            backfill: backfill(config),
        };
        if older > 0 && !sent {
            report.reasons.push((format!("older than {}", report.backfill), older));
        }
        if let Some(watcher) = watcher {
            let templates = |rule: &crate::alerts::run::Running| match &rule.outcome {
                Outcome::Alerts(states) => {
                    (states.failed_templates(), states.template_error().map(str::to_owned))
                }
                Outcome::Metric(..) => (0, None),
            };
            let rule = |rule: &crate::alerts::run::Running| Rule {
                template_failures: templates(rule).0,
                template_error: templates(rule).1,
                group: rule.group.clone(),
                name: rule.name.clone(),
                evaluations: rule.evaluations,
                failures: rule.failures,
                error: rule.error.as_ref().map(ToString::to_string),
                left_out: rule.refused,
            };
            report.rules = watcher.rules().rules().iter().map(rule).collect();
            let fired = watcher.history().map(|history| history.fired().iter().map(Alert::new).collect());
            report.alerts = fired.unwrap_or_default();
        }
        report
    }
}

impl Report {
    /// For a machine.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        write_json_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// For a person.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let span = match (self.first, self.last) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        // Less than a minute says nothing about a day.
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

/// Why entries were not sent, and how many.
fn reasons(counts: &Counts, retention: Option<&Judge>) -> Vec<(String, u64)> {
    let relabelled = counts.relabelled.iter().enumerate();
    let mut reasons: Vec<_> =
        relabelled.map(|(rule, count)| (format!("labels.relabel_configs[{rule}]"), *count)).collect();
    reasons.extend(counts.stages.iter().map(|(reason, count)| (format!("stages: {reason}"), *count)));
    for (rule, count) in counts.retention.iter().enumerate() {
        let name = retention.map(|retention| retention.name(rule)).unwrap_or_default();
        reasons.push((format!("{name}: dropped"), count.dropped));
        reasons.push((format!("{name}: not in the sample"), count.sampled));
        reasons.push((format!("{name}: too old"), count.expired));
    }
    reasons.retain(|(_, count)| *count > 0);
    reasons
}

/// What each retention rule comes to.
fn classes(counts: &Counts, pipeline: &Pipeline) -> Vec<Class> {
    let Some(retention) = pipeline.retention() else { return Vec::new() };
    let streams = pipeline.streams_by_rule();
    let class = |(rule, count): (usize, &crate::shape::retention::Counts)| Class {
        rule: retention.name(rule),
        class: (!retention.drops(rule)).then(|| retention.class(rule).to_owned()),
        streams: streams.get(rule).copied().unwrap_or(0),
        entries: count.kept,
        bytes: count.bytes,
        dropped: count.dropped,
        sampled: count.sampled,
        expired: count.expired,
    };
    counts.retention.iter().enumerate().map(class).collect()
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
