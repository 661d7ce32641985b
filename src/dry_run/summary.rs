//! The summary of a dry run: streams, entries and bytes, what was not sent and why, which label takes how many
//! values, and what each retention class comes to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

use super::printer::timestamp;
use crate::labels::parse_pushed;
use crate::loki::proto::Entry;
use crate::pipeline::Counts;
use crate::retention::Retention;

/// Streams that are listed, the largest first (count).
const STREAMS_SHOWN: usize = 20;
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

    /// Writes it for a person.
    pub(super) fn write(
        &self,
        counts: &Counts,
        retention: Option<&Retention>,
        streams_by_rule: &[usize],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut all = Sum::default();
        for sum in self.streams.values() {
            all.entries += sum.entries;
            all.bytes += sum.bytes;
        }
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
            all.entries,
            self.streams.len(),
            human(all.bytes as f64),
            a_day(all.bytes)
        )?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            writeln!(out, "from {first} to {last}")?;
        }

        writeln!(out, "\nnot sent: {}", counts.dropped())?;
        for (reason, count) in reasons(counts, retention) {
            writeln!(out, "{count:>12}  {reason}")?;
        }
        let changes = counts.labels.kinds().into_iter().map(|(kind, n)| (format!("labels: {kind}"), n));
        let failures =
            counts.failed.iter().map(|(stage, n)| (format!("stage {stage} failed, entry sent"), *n));
        for (what, count) in changes.chain(failures).filter(|(_, count)| *count > 0) {
            writeln!(out, "changed on the way:{count:>12}  {what}")?;
        }

        writeln!(out, "\nstreams, the largest first")?;
        writeln!(out, "{:>12} {:>10} {:>10}  labels", "entries", "bytes", "a day")?;
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_by(|(a_name, a), (b_name, b)| b.bytes.cmp(&a.bytes).then(a_name.cmp(b_name)));
        for ((tenant, labels), sum) in streams.iter().take(STREAMS_SHOWN) {
            let tenant = tenant.as_ref().map(|t| format!(" tenant {t}")).unwrap_or_default();
            writeln!(
                out,
                "{:>12} {:>10} {:>10}  {labels}{tenant}",
                sum.entries,
                human(sum.bytes as f64),
                a_day(sum.bytes)
            )?;
        }
        if let Some(more) = streams.len().checked_sub(STREAMS_SHOWN + 1) {
            writeln!(out, "{:>12} more", more + 1)?;
        }

        writeln!(out, "\nlabels and how many values each takes")?;
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, labels) in self.streams.keys() {
            for (name, value) in parse_pushed(labels) {
                let values = values.entry(name).or_default();
                if values.len() < VALUES_MAX {
                    values.insert(value);
                }
            }
        }
        for (name, values) in values {
            writeln!(out, "{:>12}  {name}", values.len())?;
        }

        let Some(retention) = retention else { return Ok(()) };
        writeln!(out, "\nretention, by rule; the first that matches decides")?;
        writeln!(
            out,
            "{:>8} {:>8} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9}",
            "class", "streams", "entries", "bytes", "a day", "dropped", "sampled", "too old"
        )?;
        for (rule, count) in counts.retention.iter().enumerate() {
            writeln!(
                out,
                "{:>8} {:>8} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9}  {}",
                if retention.drops(rule) { "-" } else { retention.class(rule) },
                streams_by_rule.get(rule).copied().unwrap_or(0),
                count.kept,
                human(count.bytes as f64),
                a_day(count.bytes),
                count.dropped,
                count.sampled,
                count.expired,
                retention.name(rule)
            )?;
        }
        Ok(())
    }
}

/// Why entries were not sent, and how many.
fn reasons(counts: &Counts, retention: Option<&Retention>) -> Vec<(String, u64)> {
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
