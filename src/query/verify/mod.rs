//! Proof that what the journal has is in Loki.
//!
//! The journal is the record, and the pipeline says what becomes of it. So for any span, what must be in Loki is known, entry by
//! entry. Loki is asked for counts by stream and step; where they differ, for shorter steps, and at last for the lines.
//!
//! ```text
//! journal ─▶ pipeline ─▶ expected: stream, time, hash of line ─▶ compare ─▶ Report ─▶ report (text, JSON)
//!                                     Loki ◀── ask ◀── choose ──┘                └──▶ repair ─▶ push
//! ```
//!
//! - `interval`: times, and the steps by which counts are compared
//! - `expected`: what must be in Loki; `choose`: which question tells many streams apart; `ask`: Loki's read API
//! - `compare`: the differences of a part of the span; `elsewhere`: entries that went to an overflow stream
//! - [`report`]: what was found, for a person and as JSON
//! - [`repair`]: sending again what is missing

mod ask;
mod choose;
mod compare;
mod elsewhere;
mod expected;
mod interval;
pub mod repair;
pub mod report;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use self::ask::Asking;
use self::compare::Comparing;
use self::expected::{Read, Streams};
use self::interval::{SECOND, STEPS};
use crate::journal::follow::WatchError;
use crate::journal::unreadable;
use crate::query::Progress;
use crate::shape::limits::AGE_MAX;
use journald_reader::{OpenError, Resume};

pub use self::compare::{Difference, Known};
pub use self::expected::{ROWS_MAX, Source, StreamName};
pub use self::interval::Interval;

/// So long after the first start, entries may have been too old by the time when they were sent.
const LATE: Duration = Duration::from_secs(3600);

/// Why it cannot be said whether everything is there.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The journal cannot be read.
    #[error("{}", unreadable::told(.0))]
    Journal(#[from] OpenError),
    /// The journal cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// More streams than can be told apart.
    #[error("the span has more than {0} streams: choose a shorter one")]
    Streams(usize),
    /// More entries than can be held.
    #[error("a single second has more entries than can be compared: choose a span without it")]
    Entries,
    /// Loki does not answer, or refuses.
    #[error("{url} cannot be asked: {reason}")]
    Asked {
        /// The address.
        url: String,
        /// What came back.
        reason: String,
    },
    /// Loki's limits forbid even the smallest question.
    #[error(
        "Loki refuses even the smallest question as too large: raise max_query_series or max_entries_limit_per_query \
         for this tenant"
    )]
    TooMuch,
    /// Nothing can be sent.
    #[error("nothing can be sent again: {0}")]
    Repair(String),
    /// It takes longer than it may.
    #[error("the time is over before everything was compared: choose a shorter span, or a longer --timeout")]
    Deadline,
    /// A person has stopped it.
    #[error("stopped before everything was compared")]
    Stopped,
}

/// How far the work is.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// The journal is being read.
    Reading(Progress),
    /// Loki is being asked; so many requests so far (count).
    Asking(u64),
    /// Entries are being sent again; so many were acknowledged so far (count).
    Sending(u64),
}

/// What bounds the work, and who wants to know how far it is.
pub struct Run<'r> {
    /// Set to stop early.
    pub stop: &'r AtomicBool,
    /// The work ends then.
    pub deadline: Instant,
    /// The most entries that are held at once (count): usually [`ROWS_MAX`]. Each takes 24 bytes.
    pub entries: usize,
    /// Called now and then.
    pub progress: &'r mut dyn FnMut(Work),
}

/// What the agent has sent of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// The entries that Loki has acknowledged lie within.
    pub within: Interval,
    /// Entries up to here may have been too old for Loki when they were sent (nanoseconds since 1970).
    pub too_old: i64,
}

impl Shipped {
    /// Everything: nothing is known of an agent.
    pub const ALL: Shipped =
        Shipped { within: Interval { after: i64::MIN, until: i64::MAX }, too_old: i64::MIN };

    /// What a checkpoint says, with `journal.backfill`.
    pub fn of(resume: &Resume, backfill: Duration) -> Shipped {
        let nanos = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1000);
        let length = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let floor = nanos(resume.floor).saturating_sub(1);
        // The entry that a configuration names is not wanted, nor is what is older.
        let after = resume.after.map_or(floor, |cursor| nanos(cursor.realtime).saturating_add(999));
        let held = resume.held.iter().map(|cursor| nanos(cursor.realtime).saturating_sub(1));
        let last = resume.cursor.map_or(after, |cursor| nanos(cursor.realtime).saturating_add(999));
        let until = held.min().map_or(last, |held| held.min(last));
        let too_old = match resume.floor {
            0 => i64::MIN,
            floor => nanos(floor)
                .saturating_add(length(backfill))
                .saturating_sub(length(AGE_MAX))
                .saturating_add(length(LATE)),
        };
        Shipped { within: Interval { after, until }, too_old }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// The name of the destination.
    pub destination: String,
    /// What was compared.
    pub span: Interval,
    /// Entries that were compared (count).
    pub entries: u64,
    /// Their streams (count).
    pub streams: u64,
    /// Entries before the first that the agent was to send (count).
    pub before: u64,
    /// Entries that were not sent yet (count).
    pub later: u64,
    /// What differs, in the order of time and stream.
    pub differences: Vec<Difference>,
    /// Requests to Loki (count).
    pub requests: u64,
    names: Streams,
}

impl Report {
    /// Entries that are missing for no known reason (count).
    pub fn missing(&self) -> u64 {
        self.differences.iter().filter(|d| d.known.is_none()).map(|d| d.missing).sum()
    }

    /// How many entries more metric queries count than there are (count).
    pub fn twice(&self) -> u64 {
        self.differences.iter().map(|d| d.twice).sum()
    }

    /// The stream of a difference.
    pub fn stream(&self, difference: &Difference) -> Option<&StreamName> {
        self.names.get(difference.stream).map(|(name, _)| name)
    }
}

/// Compares what the journal has within a span with what Loki has.
///
/// # Errors
/// The journal cannot be read, or Loki cannot be asked.
pub fn verify(
    source: &Source<'_>,
    span: Interval,
    shipped: &Shipped,
    run: &mut Run<'_>,
) -> Result<Report, VerifyError> {
    let mut report = Report {
        destination: source.destination.name.clone(),
        span,
        entries: 0,
        streams: 0,
        before: 0,
        later: 0,
        differences: Vec::new(),
        requests: 0,
        names: Streams::default(),
    };
    let mut asking = Asking::new(source.destination, run.deadline, run.stop)?;
    let (mut at, mut length) = (span.after, span.until.saturating_sub(span.after));
    while at < span.until {
        asking.go_on()?;
        let within = part(at, length, span.until);
        let seen = report.entries;
        let whole = (span.after.max(0) as u64 / 1000, span.until.max(0) as u64 / 1000);
        let mut progress = |progress: &Progress| {
            let entries = seen + progress.entries;
            (run.progress)(Work::Reading(Progress { entries, span: whole, ..*progress }));
        };
        let read = expected::read(
            source,
            (within, shipped.within),
            run.entries,
            &mut report.names,
            run.stop,
            &mut progress,
        )?;
        let expected = match read {
            Read::All(expected) => expected,
            Read::TooMany(_) if length <= SECOND => return Err(VerifyError::Entries),
            Read::TooMany(newest) => {
                // So much was read as could be held. A little less will do.
                let held = (newest - at).clamp(0, length) / 4 * 3;
                length = held.min(length / 2).max(SECOND) / SECOND * SECOND;
                continue;
            }
        };
        let (before, later) = expected.unsent;
        report.before += before;
        report.later += later;
        report.entries += expected.len() as u64;
        let mut comparing = Comparing::new(&mut asking, &report.names, &expected);
        for (part, step) in within.parts() {
            let mut found = comparing.part(part, step)?;
            for difference in found.iter_mut().filter(|difference| difference.missing > 0) {
                if difference.within.until <= shipped.too_old {
                    difference.known = Some(Known::TooOld);
                }
            }
            elsewhere::find(comparing.asking, &report.names, &expected, &mut found)?;
            report.differences.append(&mut found);
            (run.progress)(Work::Asking(comparing.asking.requests));
        }
        at = within.until;
    }
    report.streams = report.names.len() as u64;
    report.requests = asking.requests;
    Ok(report)
}

/// The next part of a span, which ends where an hour or a minute ends if it is longer than one.
fn part(after: i64, length: i64, until: i64) -> Interval {
    let end = after.saturating_add(length).min(until);
    let round = STEPS.into_iter().find(|step| end - after > *step).unwrap_or(SECOND);
    let rounded = end.div_euclid(round) * round;
    Interval { after, until: if end == until || rounded <= after { end } else { rounded } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journald_reader::Cursor;

    #[test]
    fn a_checkpoint_says_what_was_sent() {
        const DAY: u64 = 86_400_000_000;
        let at = |realtime: u64| Cursor { realtime, ..Cursor::default() };
        let nanos = |micros: u64| micros as i64 * 1000;
        let week = Duration::from_secs(7 * 86_400);
        let begun = Resume { floor: 20 * DAY, ..Resume::default() };
        let done = Resume { cursor: Some(at(30 * DAY)), ..begun.clone() };
        let held = Resume { held: vec![at(29 * DAY)], ..done.clone() };
        let named = Resume { after: Some(at(25 * DAY)), floor: 0, ..done.clone() };
        for (resume, after, until) in [
            // Nothing yet.
            (&begun, nanos(20 * DAY) - 1, nanos(20 * DAY) - 1),
            (&done, nanos(20 * DAY) - 1, nanos(30 * DAY) + 999),
            (&held, nanos(20 * DAY) - 1, nanos(29 * DAY) - 1),
            (&named, nanos(25 * DAY) + 999, nanos(30 * DAY) + 999),
        ] {
            assert_eq!(Shipped::of(resume, week).within, Interval { after, until }, "{resume:?}");
        }
        let too_old = |days: u64| Shipped::of(&done, Duration::from_secs(days * 86_400)).too_old;
        let hour = STEPS[0];
        // It began 10 days after the floor, and 3 days of that were too old by then.
        assert_eq!((too_old(7), too_old(10)), (nanos(20 * DAY) + hour, nanos(23 * DAY) + hour));
        assert_eq!(Shipped::of(&named, week).too_old, i64::MIN);
    }

    #[test]
    fn a_part_ends_where_an_hour_or_a_minute_ends() {
        let [hour, minute, second] = STEPS;
        for (after, length, until, end) in [
            (0, 24 * hour, 24 * hour, 24 * hour),
            (0, 90 * minute, 24 * hour, hour),
            (hour + minute, 50 * minute, 24 * hour, hour + 51 * minute),
            (second, 90 * second, 24 * hour, minute),
            (second, second, 24 * hour, 2 * second),
            (23 * hour, 3 * hour, 24 * hour, 24 * hour),
        ] {
            assert_eq!(part(after, length, until), Interval { after, until: end }, "{after} {length}");
        }
    }
}
