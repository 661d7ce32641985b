//! `limit`: lets so many entries through in a second.
//!
//! With `drop` the time that counts is that of the entries, not the wall clock: a backlog is thinned as it would
//! have been had it been read when it was written, and entries that are read again after a crash have the fate
//! they had. Without `drop` entries are not lost but wait, and there the wall clock counts, for what is meant is
//! the load on Loki.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Context, Flow, Item, Setup, Stage};
use crate::config::{Checker, Finding, Section, Value};

const REASON: &str = "ratelimit_drop_stage";
/// Values of a label that are limited one by one at least (count), as in Promtail.
const DISTINCT_MIN: u64 = 10_000;
const NANOS: f64 = 1e9;

/// `stages[].limit`
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Entries a second.
    pub rate: f64,
    /// Entries that may come at once.
    pub burst: u64,
    /// Entries over the limit end here; else they wait.
    pub drop: bool,
    /// Each value of this label has a limit of its own; entries without it have none.
    pub by_label: Option<String>,
    /// Values that are remembered.
    pub max_distinct: u64,
}

/// Reads it.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Config> {
    let section = Section::open(checker, value, "stages[].limit")?;
    let rate = section.required(checker, value, "rate", |value| checker.number(value, &(1e-6..=1e9)));
    let burst =
        section.required(checker, value, "burst", |value| checker.integer(value, &(1..=1_000_000_000)));
    let (mut drop, mut by_label, mut max_distinct) = (false, None, DISTINCT_MIN);
    section.read("drop", &mut drop, |value| checker.flag(value));
    section
        .read("by_label_name", &mut by_label, |value| checker.text(value, "the name of a label").map(Some));
    section.read("max_distinct_labels", &mut max_distinct, |value| checker.integer(value, &(0..=10_000_000)));
    if let (Some(label), false) = (section.get("by_label_name"), drop) {
        checker.note(
            Finding::at(label.key.clone(), format!("`{}` cannot wait for each label on its own", value.path))
                .label("expected `drop: true` beside it"),
        );
        return None;
    }
    Some(Config { rate: rate?, burst: burst?, drop, by_label, max_distinct: max_distinct.max(DISTINCT_MIN) })
}

impl Config {
    /// The stage, ready to run.
    pub(super) fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Limit {
            config: self.clone(),
            bucket: None,
            begun: Instant::now(),
            young: HashMap::new(),
            old: HashMap::new(),
        })
    }
}

/// Tokens that are left, and when they were counted (nanoseconds).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: i64,
}

impl Bucket {
    /// Takes a token if there is one; else says how long until there is (nanoseconds). Time never goes back.
    fn take(&mut self, now: i64, config: &Config) -> Result<(), f64> {
        let passed = now.saturating_sub(self.at).max(0) as f64 / NANOS;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * config.rate).min(config.burst as f64);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err((1.0 - self.tokens) / config.rate * NANOS)
    }
}

#[derive(Debug)]
struct Limit {
    config: Config,
    bucket: Option<Bucket>,
    begun: Instant,
    /// By the label's value. When the young ones are too many they become the old ones, and those are
    /// forgotten.
    young: HashMap<String, Bucket>,
    old: HashMap<String, Bucket>,
}

impl Limit {
    fn bucket_of(&mut self, value: &str, now: i64) -> &mut Bucket {
        let full = Bucket { tokens: self.config.burst as f64, at: now };
        if !self.young.contains_key(value) {
            if self.young.len() as u64 >= self.config.max_distinct {
                self.old = std::mem::take(&mut self.young);
            }
            let bucket = self.old.get(value).copied().unwrap_or(full);
            self.young.insert(value.to_owned(), bucket);
        }
        self.young.entry(value.to_owned()).or_insert(full)
    }
}

impl Stage for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let config = self.config.clone();
        let time = if config.drop {
            item.timestamp_ns
        } else {
            i64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(i64::MAX)
        };
        let bucket = match &config.by_label {
            Some(label) => match item.labels.get(label) {
                Some(value) => self.bucket_of(value, time),
                None => return Flow::Next,
            },
            None => self.bucket.get_or_insert(Bucket { tokens: config.burst as f64, at: time }),
        };
        match bucket.take(time, &config) {
            Ok(()) => Flow::Next,
            Err(_) if config.drop => Flow::Drop(REASON.into()),
            Err(wait) => {
                // The token that will be there by then is this entry's.
                bucket.tokens -= 1.0;
                if !context.dry {
                    context.wait_until = Some(Instant::now() + Duration::from_nanos(wait as u64));
                }
                Flow::Next
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, one_stage, refusal};
    use super::*;

    /// How many of the entries at these times (milliseconds) pass.
    fn passed(stage: &mut dyn Stage, times: impl IntoIterator<Item = i64>, unit: &str) -> usize {
        let run = |ms: i64| {
            let mut item = item("", &[("unit", unit)]);
            item.timestamp_ns = ms * 1_000_000;
            stage.run(&mut item, &mut Context::default()) == Flow::Next
        };
        times.into_iter().map(run).filter(|passed| *passed).count()
    }

    #[test]
    fn a_burst_and_then_the_rate_of_event_time() {
        let mut stage = one_stage("limit: {rate: 10, burst: 50, drop: true}");
        assert_eq!(passed(&mut *stage, (0..200).map(|_| 0), "a"), 50);
        assert_eq!(passed(&mut *stage, (0..1000).map(|ms| ms + 1), "a"), 10);
        assert_eq!(passed(&mut *stage, (0..10).map(|_| 500), "a"), 0, "time does not go back");
        assert_eq!(passed(&mut *stage, (0..100).map(|_| 3_600_000), "a"), 50, "no more than the burst");
    }

    #[test]
    fn each_value_of_a_label_has_its_own_limit() {
        let mut stage = one_stage("limit: {rate: 1, burst: 3, drop: true, by_label_name: unit}");
        for unit in ["a", "b", "c"] {
            assert_eq!(passed(&mut *stage, [0; 5], unit), 3);
        }
        let mut without = item("", &[]);
        assert_eq!(stage.run(&mut without, &mut Context::default()), Flow::Next);
    }

    #[test]
    fn without_drop_reading_waits() {
        let mut stage = one_stage("limit: {rate: 10, burst: 2}");
        let mut context = Context::default();
        for _ in 0..2 {
            assert_eq!(stage.run(&mut item("", &[]), &mut context), Flow::Next);
            assert!(context.wait_until.is_none());
        }
        assert_eq!(stage.run(&mut item("", &[]), &mut context), Flow::Next);
        assert!(context.wait_until.is_some_and(|until| until > Instant::now()));
        let mut dry = Context { dry: true, ..Context::default() };
        assert_eq!(stage.run(&mut item("", &[]), &mut dry), Flow::Next);
        assert!(dry.wait_until.is_none());
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused() {
        for (written, part) in [
            ("{rate: 1}", "has no `burst`"),
            ("{burst: 1}", "has no `rate`"),
            ("{rate: 0, burst: 1}", "no number that fits"),
            ("{rate: 1, burst: 0}", "no whole number that fits"),
            ("{rate: 1, burst: 1, by_label_name: unit}", "drop: true"),
        ] {
            let text = refusal(&format!("limit: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
