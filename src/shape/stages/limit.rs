//! `limit`: lets so many entries through in a second.
//!
//! With `drop`, the time of the entries counts, not the wall clock as in Promtail. So a backlog is thinned as if it had been
//! read when it was written. Entries that are read again after a crash get the same verdict again, except for a burst at the
//! place where reading began again. The time is that of journald, not one that a stage `timestamp` has set: a line with a
//! time in the far future would stop all entries until then.
//!
//! Without `drop`, entries wait and are not lost. Then the wall clock counts, because the limit protects Loki from load. The
//! stage does not wait itself. It says until when to wait ([`Context::wait_until`]), so that the reader of the journal can
//! still be stopped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::generations::Generations;
use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, may};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Section, Value};

const REASON: &str = "ratelimit_drop_stage";
/// The least `max_distinct_labels` (count), as in Promtail.
const DISTINCT_MIN: u64 = 10_000;
/// If the time of entries goes back by more than this (nanoseconds), the clock was set. Smaller steps happen when entries of
/// several files overtake one another.
const BACK_MAX: i64 = 3600 * 1_000_000_000;
const NANOS: f64 = 1e9;
/// Nanoseconds in a microsecond, which journald counts in.
const MICROS: i64 = 1000;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].limit", "section", ""),
    key("stages[].limit.rate", "number", "required"),
    key("stages[].limit.burst", "whole number", "required"),
    key("stages[].limit.drop", "`true` or `false`", "false"),
    key("stages[].limit.by_label_name", "string", "null"),
    key("stages[].limit.max_distinct_labels", "whole number", "10000"),
];

/// `stages[].limit`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many entries may come in a second.
    pub rate: f64,
    /// How many entries may come at once.
    pub burst: u64,
    /// Whether entries over the limit are dropped. Otherwise they wait.
    pub drop: bool,
    /// Each value of this label has its own limit. Entries without the label have no limit.
    pub by_label: Option<String>,
    /// How many values of the label are remembered.
    pub max_distinct: u64,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].limit")?;
    let rate = section.required(checker, value, "rate", |value| checker.number(value, &(1e-6..=1e9)));
    let burst =
        section.required(checker, value, "burst", |value| checker.integer(value, &(1..=1_000_000_000)));
    let (mut drop, mut by_label, mut max_distinct) = (false, None, DISTINCT_MIN);
    section.read("drop", &mut drop, |value| checker.flag(value));
    // As in Promtail, an empty name counts as not written.
    let label = |value: &Value<'_>| checker.text(value, "the name of a label");
    section.read("by_label_name", &mut by_label, |value| {
        label(value).map(|l| Some(l).filter(|l| !l.is_empty()))
    });
    section.read("max_distinct_labels", &mut max_distinct, |value| checker.integer(value, &(0..=10_000_000)));
    if let (Some(label), Some(_), false) = (section.get("by_label_name"), &by_label, drop) {
        checker.note(
            Finding::at(label.key.clone(), format!("`{}` cannot wait for each label on its own", value.path))
                .label("expected `drop: true` beside it"),
        );
        return None;
    }
    Some(Settings {
        rate: rate?,
        burst: burst?,
        drop,
        by_label,
        max_distinct: max_distinct.max(DISTINCT_MIN),
    })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Limit {
            settings: self.clone(),
            bucket: None,
            begun: Instant::now(),
            by_value: Generations::new(usize::try_from(self.max_distinct).unwrap_or(usize::MAX)),
            reason: REASON.into(),
        })
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        let label = may::get(written, "by_label_name");
        if let Some(label) = label.filter(|label| may::text(label) != Some("")) {
            may.have_label(&label, may::text(&label));
        }
    }
}

/// The tokens that are left, and when they were counted (nanoseconds since 1970).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: i64,
}

impl Bucket {
    fn full(settings: &Settings, now: i64) -> Bucket {
        Bucket { tokens: settings.burst as f64, at: now }
    }

    /// Takes a token. If there is none, returns how long it takes until there is one (nanoseconds). A time before the last
    /// one counts as the last one. If the clock was set, time goes on from the new time, and no tokens are added.
    fn take(&mut self, now: i64, settings: &Settings) -> Result<(), f64> {
        if now < self.at.saturating_sub(BACK_MAX) {
            self.at = now;
        }
        let passed = now.saturating_sub(self.at).max(0) as f64 / NANOS;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * settings.rate).min(settings.burst as f64);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err((1.0 - self.tokens) / settings.rate * NANOS)
    }
}

#[derive(Debug)]
struct Limit {
    settings: Settings,
    bucket: Option<Bucket>,
    begun: Instant,
    /// The buckets by the value of the label.
    by_value: Generations<String, Bucket>,
    reason: Arc<str>,
}

impl Stage for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let settings = &self.settings;
        let time = if settings.drop {
            i64::try_from(item.cursor.realtime).unwrap_or(i64::MAX).saturating_mul(MICROS)
        } else {
            i64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(i64::MAX)
        };
        let full = || Bucket::full(settings, time);
        let bucket = match &settings.by_label {
            Some(label) => match item.labels.get(label) {
                Some(value) => self.by_value.get(value, full),
                None => return Flow::Next,
            },
            None => self.bucket.get_or_insert_with(full),
        };
        match bucket.take(time, settings) {
            Ok(()) => Flow::Next,
            Err(_) if settings.drop => Flow::Drop(self.reason.clone()),
            Err(wait) => {
                // This entry gets the token that will be there by then.
                bucket.tokens -= 1.0;
                if !context.dry {
                    // Another `limit` may want to wait longer.
                    let until = Instant::now().checked_add(Duration::from_nanos(wait as u64));
                    context.wait_until = context.wait_until.max(until);
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
            item.cursor.realtime = u64::try_from(ms).unwrap() * 1000;
            // What a stage `timestamp` has read in the line is nothing to go by.
            item.timestamp_ns = i64::MAX - ms;
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
    fn what_promtail_keeps_of_a_journal_read_at_once() {
        // It read 700 entries within one second of its wall clock, and kept the burst.
        let mut stage = one_stage("limit: {rate: 1, burst: 50, drop: true}");
        assert_eq!(passed(&mut *stage, (0..700).map(|n| 1_000_000 + n), "a"), 50);
        // By their own times they are 17 minutes of entries.
        let mut stage = one_stage("limit: {rate: 1, burst: 50, drop: true}");
        assert_eq!(passed(&mut *stage, (0..700).map(|n| n * 1523), "a"), 700);
    }

    #[test]
    fn a_clock_that_was_set_back_closes_nothing_for_good() {
        const YEAR: i64 = 365 * 24 * 3_600_000;
        let mut stage = one_stage("limit: {rate: 1, burst: 5, drop: true}");
        assert_eq!(passed(&mut *stage, [50 * YEAR; 9], "a"), 5);
        assert_eq!(passed(&mut *stage, [YEAR; 9], "a"), 0, "setting it back gains nothing");
        assert_eq!(passed(&mut *stage, [YEAR + 3000; 9], "a"), 3);
        assert_eq!(passed(&mut *stage, [YEAR - 3000; 9], "a"), 0, "a small step is none");
        assert_eq!(passed(&mut *stage, [YEAR + 4000; 9], "a"), 1);
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
        // The longest wait counts, whichever stage asked for it.
        let far = Instant::now() + Duration::from_secs(900);
        context.wait_until = Some(far);
        assert_eq!(stage.run(&mut item("", &[]), &mut context), Flow::Next);
        assert_eq!(context.wait_until, Some(far));
        let mut dry = Context { dry: true, ..Context::default() };
        assert_eq!(stage.run(&mut item("", &[]), &mut dry), Flow::Next);
        assert!(dry.wait_until.is_none());
    }

    #[test]
    fn without_drop_the_rate_is_kept() {
        let mut stage = one_stage("limit: {rate: 10, burst: 1}");
        let mut context = Context::default();
        let begin = Instant::now();
        for n in 0..20 {
            stage.run(&mut item("", &[]), &mut context);
            let until = context.wait_until.unwrap_or(begin);
            let wait = until.saturating_duration_since(begin).as_millis();
            // The upper bound leaves room for a machine that stands still.
            assert!((n * 100..n * 100 + 900).contains(&(wait + 5)), "{n}: {wait} ms");
        }
    }

    #[test]
    fn an_empty_label_name_is_none() {
        let mut stage = one_stage("limit: {rate: 1, burst: 3, drop: true, by_label_name: ''}");
        assert_eq!(passed(&mut *stage, [0; 9], "a"), 3);
        one_stage("limit: {rate: 1, burst: 3, by_label_name: ''}");
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused() {
        for (written, part) in [
            ("{rate: 1}", "has no `burst`"),
            ("{burst: 1}", "has no `rate`"),
            ("{rate: 0, burst: 1}", "is not a number that fits"),
            ("{rate: 1, burst: 0}", "is not a whole number that fits"),
            ("{rate: 1, burst: 1, by_label_name: unit}", "drop: true"),
        ] {
            let text = refusal(&format!("limit: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
