//! Retention: how long logs live, and which are not stored at all.
//!
//! The first rule whose selector matches an entry decides on it. A rule keeps entries for a time, keeps a share of them, or
//! drops them. Entries that no rule matches live for the default time. A label on the stream tells Loki how long; it has few
//! values. Loki's compactor deletes by label matchers, which [`LokiConfig`] prints. Alert rules see entries before retention.

pub(crate) mod section;

use std::fmt::Write;
use std::time::Duration;

pub use section::{Retention, RetentionRule};

use crate::shape::limits::RETENTION_MIN;
use crate::shape::sample;
use crate::yaml::units::format_days;
use journald_reader::Cursor;
use logql::label_set::LabelSet;

/// What a rule makes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The entry is stored.
    Keep,
    /// The rule drops the entry.
    Dropped,
    /// The rule keeps a share of entries, and this entry is not in it.
    Sampled,
    /// The entry is older than the time for which it would be kept.
    Expired,
}

/// Applies the rules of the section.
#[derive(Debug)]
pub struct Judge {
    section: Retention,
    /// The value of the label for each rule. The last one is for entries that no rule matches.
    classes: Vec<String>,
    counts: Vec<Counts>,
}

/// What became of the entries that one rule decided on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that are stored.
    pub kept: u64,
    /// The length of their lines (bytes).
    pub bytes: u64,
    /// Entries that `drop` dropped.
    pub dropped: u64,
    /// Entries that `sample` dropped.
    pub sampled: u64,
    /// Entries that were older than their class allows.
    pub expired: u64,
}

impl Judge {
    /// Prepares the rules.
    pub fn new(section: &Retention) -> Judge {
        let keeps = section.rules.iter().map(|rule| rule.keep.unwrap_or(section.default));
        let classes: Vec<_> = keeps.chain([section.default]).map(format_days).collect();
        let counts = vec![Counts::default(); classes.len()];
        Judge { section: section.clone(), classes, counts }
    }

    /// The name of the label that carries the class, if one does.
    pub fn label(&self) -> Option<&str> {
        self.section.label.as_deref()
    }

    /// The class of entries that the rule of this number decided on.
    pub fn class(&self, rule: usize) -> &str {
        self.classes.get(rule).map_or("", String::as_str)
    }

    /// Whether the rule of this number drops what it selects.
    pub fn drops(&self, rule: usize) -> bool {
        self.section.rules.get(rule).is_some_and(|rule| rule.drop)
    }

    /// The rules that can decide on entries with these labels, in their order. Rules after the first one without a line
    /// filter cannot. The last number, one more than there are rules, stands for the default.
    pub fn candidates(&self, labels: &LabelSet) -> Box<[usize]> {
        let mut candidates = Vec::new();
        for (number, rule) in self.section.rules.iter().enumerate() {
            if rule.selector.matches_labels(labels) {
                candidates.push(number);
                if !rule.selector.has_filters() {
                    return candidates.into();
                }
            }
        }
        candidates.push(self.section.rules.len());
        candidates.into()
    }

    /// The rule that decides on an entry, out of the candidates for its labels.
    #[inline]
    pub fn rule(&self, candidates: &[usize], line: &str) -> usize {
        let decides = |number: &&usize| match self.section.rules.get(**number) {
            Some(rule) => !rule.selector.has_filters() || rule.selector.matches_line(line),
            None => true,
        };
        candidates.iter().find(decides).copied().unwrap_or(self.section.rules.len())
    }

    /// Decides on an entry, and counts it. Under `sample`, the same entry always has the same fate, because its cursor
    /// decides.
    #[inline]
    pub fn judge(&mut self, rule: usize, cursor: &Cursor, timestamp_ns: i64, now_ns: i64) -> Verdict {
        let written = self.section.rules.get(rule);
        let keep = written.and_then(|rule| rule.keep).unwrap_or(self.section.default);
        let verdict = if written.is_some_and(|rule| rule.drop) {
            Verdict::Dropped
        } else if timestamp_ns < now_ns.saturating_sub(i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX)) {
            Verdict::Expired
        } else if written.and_then(|rule| rule.sample).is_some_and(|share| sample::share(cursor) >= share) {
            Verdict::Sampled
        } else {
            Verdict::Keep
        };
        if let Some(counts) = self.counts.get_mut(rule) {
            match verdict {
                Verdict::Keep => counts.kept += 1,
                Verdict::Dropped => counts.dropped += 1,
                Verdict::Sampled => counts.sampled += 1,
                Verdict::Expired => counts.expired += 1,
            }
        }
        verdict
    }

    /// Counts the line of an entry that is stored.
    pub fn count_bytes(&mut self, rule: usize, line: &str) {
        if let Some(counts) = self.counts.get_mut(rule) {
            counts.bytes += line.len() as u64;
        }
    }

    /// The counts of the rules, in their order. The last one is for entries that no rule matched.
    pub fn counts(&self) -> &[Counts] {
        &self.counts
    }

    /// The name of a rule in counts and explanations: its number, from one, and its selector.
    pub fn name(&self, rule: usize) -> String {
        match self.section.rules.get(rule) {
            Some(written) => format!("retention rule {} {}", rule + 1, written.selector),
            None => "retention default".into(),
        }
    }
}

/// The parts of Loki's configuration that the rules need: `limits_config` and `compactor` (grafana/loki,
/// `docs/sources/operations/storage/retention.md`).
#[derive(Debug)]
pub struct LokiConfig {
    period: String,
    streams: Vec<(String, usize, String)>,
}

impl LokiConfig {
    /// The configuration for these rules.
    pub fn new(section: &Retention) -> LokiConfig {
        let loki = |period: Duration| format_days(period.max(RETENTION_MIN));
        let streams = streams(section).into_iter();
        LokiConfig {
            period: loki(section.default),
            streams: streams.map(|(selector, priority, period)| (selector, priority, loki(period))).collect(),
        }
    }

    /// As JSON, in one line.
    pub fn json(&self) -> String {
        let streams = self.streams.iter().map(|(selector, priority, period)| {
            serde_json::json!({"selector": selector, "priority": priority, "period": period})
        });
        let config = serde_json::json!({
            "limits_config": {"retention_period": self.period, "retention_stream": streams.collect::<Vec<_>>()},
            "compactor": {"retention_enabled": true, "delete_request_store": "filesystem"},
        });
        format!("{config}\n")
    }

    /// As YAML, for a person.
    pub fn yaml(&self) -> String {
        let mut out = String::from(
            "# For Loki's configuration file, from the retention rules of journal-ship.\n\
             # Index periods must be 24h, and the compactor must run.\n",
        );
        // Writing to a string does not fail.
        let _ = writeln!(out, "limits_config:\n  retention_period: {}", self.period);
        if !self.streams.is_empty() {
            out.push_str("  retention_stream:\n");
            for (selector, priority, period) in &self.streams {
                let selector = selector.replace('\'', "''");
                let _ = writeln!(
                    out,
                    "    - selector: '{selector}'\n      priority: {priority}\n      period: {period}"
                );
            }
        }
        out.push_str(
            "compactor:\n  retention_enabled: true\n  # Where requests to delete are kept: the name of your object store.\n  \
             delete_request_store: filesystem\n",
        );
        out
    }
}

/// The selector, priority and period of each `retention_stream`. In Loki the highest priority wins, here the first rule.
fn streams(section: &Retention) -> Vec<(String, usize, Duration)> {
    let keeping = section.rules.iter().filter(|rule| !rule.drop);
    let Some(label) = &section.label else {
        let by_rule: Vec<_> = keeping
            .filter(|rule| !rule.selector.has_filters())
            .map(|rule| (rule.selector.to_string(), rule.keep.unwrap_or(section.default)))
            .collect();
        let count = by_rule.len();
        return by_rule.into_iter().enumerate().map(|(n, (s, keep))| (s, count - n, keep)).collect();
    };
    let mut periods: Vec<Duration> = keeping.filter_map(|rule| rule.keep).chain([section.default]).collect();
    periods.sort_unstable();
    periods.dedup();
    periods
        .into_iter()
        .map(|period| (format!("{{{label}=\"{}\"}}", format_days(period)), 1, period))
        .collect()
}

/// Whether a rule asks for something that Loki can know only by the label.
pub(crate) fn needs_label(rule: &RetentionRule) -> bool {
    rule.keep.is_some() && rule.selector.has_filters()
}

#[cfg(test)]
mod tests;
