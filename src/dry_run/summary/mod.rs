//! The summary of a dry run: streams, entries and bytes, what was not sent and why, how many values each label has, what
//! each retention class holds, and which alerts would have fired. It is made once, as a [`Report`], and shown as text or as
//! JSON.

mod hits;
mod report;
mod text;
mod times;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::DryRunError;
use super::opened::Pushed;
use crate::alerts::Watcher;
use crate::alerts::run::{Outcome, RunningRule};
use crate::journal::Journal;
use crate::os::text::Line;
use crate::pipeline::{Counts, Pipeline};
use crate::shape::Sections;
use crate::shape::labels::{Labels, parse_pushed};
use crate::shape::retention::Judge;
use crate::yaml::Unmet;

use hits::{Limits, Peak, is_busy, many};
pub(super) use report::Alert;
use report::{Class, Report, Rule, Stream};
pub(super) use text::Text;
use times::{Times, Width};

/// Values of one label that are counted exactly (count).
const VALUES_MAX: usize = 100_000;

/// What is collected from the records.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The numbers of streams among the sums, by tenant and labels.
    numbers: HashMap<(Option<String>, String), usize>,
    sums: Vec<Sum>,
    width: Width,
    limits: Limits,
    first: Option<jiff::Timestamp>,
    last: Option<jiff::Timestamp>,
}

/// Entries and their bytes, as Loki counts them: lines and structured metadata.
#[derive(Debug, Default, Clone)]
struct Sum {
    entries: u64,
    bytes: u64,
    times: Times,
    peak: Peak,
}

/// Entries that are older than `journal.backfill`.
pub(super) struct OfBackfill {
    /// How many.
    pub(super) older: u64,
    /// Whether they are among those that are shown as sent.
    pub(super) sent: bool,
}

impl Summary {
    /// Counts an entry. It is this time now (nanoseconds since 1970). An error is a bug: the entry does not decode.
    pub(super) fn add(&mut self, pushed: &Pushed, now_ns: i64) -> Result<(), DryRunError> {
        let (stream, line, time) = (&pushed.stream, pushed.line()?, pushed.timestamp());
        let bytes = line.len() + pushed.metadata_bytes();
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        let number = *stream.number.get_or_init(|| {
            let key = (stream.tenant.clone(), stream.labels.clone());
            *self.numbers.entry(key).or_insert_with(|| {
                self.sums.push(Sum::default());
                self.sums.len() - 1
            })
        });
        let Some(sum) = self.sums.get_mut(number) else { return Ok(()) };
        sum.entries += 1;
        sum.bytes += bytes as u64;
        let time_ns = nanoseconds(time);
        sum.peak.add(time_ns, bytes as u64);
        if sum.times.add(time_ns, self.width) {
            self.sums.iter_mut().for_each(|sum| sum.times.widen());
            self.width.double();
        }
        self.limits.add(line, time_ns, now_ns, bytes as u64);
        Ok(())
    }

    /// Makes the report.
    pub(super) fn report(
        &self,
        pipeline: &Pipeline,
        watcher: Option<&mut Watcher>,
        (sections, journal): (Sections<'_>, &Journal),
        OfBackfill { older, sent }: OfBackfill,
        unmet: &[Unmet],
    ) -> Report {
        let counts = pipeline.counts();
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let at = |time: Option<jiff::Timestamp>| nanoseconds(time.unwrap_or_default());
        let span = (at(self.first), at(self.last));
        let busy = self.sums.iter().filter(|sum| is_busy(&sum.peak)).count();
        let numbers = self.numbers.iter();
        let mut streams: Vec<_> = numbers
            .filter_map(|(stream, number)| Some((stream, self.sums.get(*number)?)))
            .map(|((tenant, labels), sum)| Stream {
                labels: parse_pushed(labels),
                tenant: tenant.clone(),
                entries: sum.entries,
                bytes: sum.bytes,
                over_time: sum.times.columns(span, self.width),
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
            loki_limits: self.limits.hits((streams.len(), busy)),
            many_values: values
                .iter()
                .filter_map(|(label, values)| many(label, field_of(sections.labels, label), values))
                .collect(),
            streams,
            labels: values.into_iter().map(|(name, values)| (name, values.len())).collect(),
            retention: classes(&counts, pipeline),
            rules: Vec::new(),
            alerts: Vec::new(),
            unmet: unmet.to_vec(),
            older_than_backfill: if sent { older } else { 0 },
            backfill: journal.backfill_shown(),
        };
        if older > 0 && !sent {
            report.reasons.push((format!("older than {}", report.backfill), older));
        }
        if let Some(watcher) = watcher {
            let templates = |rule: &RunningRule| match &rule.outcome {
                Outcome::Alerts(states) => {
                    (states.failed_templates(), states.template_error().map(str::to_owned))
                }
                Outcome::Metric(..) => (0, None),
            };
            let rule = |rule: &RunningRule| Rule {
                template_failures: templates(rule).0,
                template_error: templates(rule).1,
                group: rule.group.clone(),
                name: rule.name.clone(),
                evaluations: rule.evaluations,
                failures: rule.failures,
                error: rule.last_error.clone(),
                left_out: rule.refused,
            };
            report.rules = watcher.rules().rules().iter().map(rule).collect();
            let fired = watcher.history().map(|history| history.fired().iter().map(Alert::new).collect());
            report.alerts = fired.unwrap_or_default();
        }
        report
    }
}

/// The journal field that a label comes from, if it comes from one alone.
fn field_of<'c>(labels: &'c Labels, label: &str) -> Option<&'c str> {
    let rule = labels.fields.iter().find(|rule| rule.name == label)?;
    rule.sources.first().map(String::as_str)
}

/// Since 1970.
fn nanoseconds(time: jiff::Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
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

/// What each retention rule holds and drops.
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
