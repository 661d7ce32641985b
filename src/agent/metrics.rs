//! The metrics of destinations, and the line of status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::families::Metrics;
use super::status::Rate;
use crate::loki::batch::Sealed;
use crate::loki::push::Tally;
use crate::loki::refusals;
use crate::observe::health::{Kind as Trouble, Readiness};
use crate::observe::metrics::{Family, Registry, SeriesLabels};
use crate::os::when::Realtime;
use crate::pipeline::Counts;
use crate::yaml::units::format_duration;
use journald_reader::{Cursor, Files, Reason};

/// What was done since the start: for the line of status, and for the log at the end.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub acknowledged: AtomicU64,
    pub refused: AtomicU64,
    places: Mutex<BTreeMap<String, Place>>,
}

/// How far a destination is, by the times at which entries were written.
#[derive(Debug)]
pub(super) struct Place {
    /// When it began.
    begun: Realtime,
    /// The newest entry that it is done with, if there is one.
    pub(super) done: Option<Realtime>,
    reader: Reader,
    /// Entries that Loki acknowledged lately.
    pub(super) rate: Rate,
    /// The last answer to a request.
    pub(super) answered: Option<Answered>,
    /// The journal files that are read.
    pub(super) files: Files,
}

/// The last answer to a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    /// Its status; `None`: there was no answer.
    pub status: Option<u16>,
    /// When it came.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
}

impl Place {
    fn new(begun: Realtime, done: Option<Realtime>) -> Place {
        let rate = Rate::new(Instant::now());
        Place { begun, done, reader: Reader::Reads, rate, answered: None, files: Files::default() }
    }

    /// How far it is behind at this time. Zero when everything that was read is stored and the reader waits for more. As long as
    /// nothing is stored yet, the time since it began.
    pub(super) fn lag(&self, now: Timestamp) -> Duration {
        let at_end = match self.reader {
            Reader::Waits(last) => last.is_none() || last == self.done,
            Reader::Reads => false,
        };
        match at_end {
            true => Duration::ZERO,
            false => Duration::try_from(now.duration_since(self.done.unwrap_or(self.begun).into()))
                .unwrap_or_default(),
        }
    }
}

/// What the reader of a destination does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// It reads entries.
    Reads,
    /// It waits for further entries. The last entry that it read was written then. `None`: it has read no entry yet.
    Waits(Option<Realtime>),
}

impl Totals {
    /// Sets the destinations, each with the time of the entry after which it begins.
    pub(super) fn begin(&self, destinations: impl Iterator<Item = (String, Option<Realtime>)>) {
        let begun = Realtime(u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0));
        let place = |(name, done)| (name, Place::new(begun, done));
        *self.places() = destinations.map(place).collect();
    }

    /// A destination is done with everything up to this entry.
    fn reached(&self, destination: &str, cursor: &Cursor) {
        self.change(destination, |place| place.done = Some(Realtime(cursor.realtime)));
    }

    /// Changes what is known of a destination.
    fn change(&self, destination: &str, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.places().get_mut(destination) {
            change(place);
        }
    }

    /// The reader for a destination does this now.
    fn reader(&self, destination: &str, reader: Reader) {
        self.change(destination, |place| place.reader = reader);
    }

    pub(super) fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of this in one line, for a person.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let mut line = format!("{} entries acknowledged", self.acknowledged.load(Relaxed));
        for (name, place) in self.places().iter() {
            let Some(done) = place.done else { continue };
            line.push_str(&format!("; {name} up to {done}"));
            let behind = place.lag(now);
            if !behind.is_zero() {
                let seconds = Duration::from_secs(behind.as_secs().max(1));
                line.push_str(&format!(", {} behind", format_duration(seconds)));
            }
        }
        line
    }
}

/// Sets before each scrape how far destinations are behind, and which servers fail.
pub(super) fn on_scrape(registry: &Registry, totals: &Arc<Totals>, readiness: &Arc<Readiness>) {
    let lag = registry.gauge(
        "journalship_lag_seconds",
        "How old the newest entry is that is stored, while there is something to store; 0: all is stored.",
    );
    let failing = registry
        .gauge("journalship_server_failing", "1 while a server does not take what is sent to it, else 0.");
    let needs = registry.gauge(
        "journalship_server_needs_attention",
        "1 while a person must mend something, for example credentials, before a server takes anything; else 0.",
    );
    let (totals, readiness) = (totals.clone(), readiness.clone());
    registry.on_scrape(move |now| {
        let now = Timestamp::from_nanosecond(i128::from(now)).unwrap_or_default();
        let label = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let lags = totals.places();
        lag.replace(
            lags.iter().map(|(name, p)| (label("destination", name), p.lag(now).as_secs_f64())).collect(),
        );
        let servers = readiness.report().servers;
        let all = |is: fn(&Trouble) -> bool| {
            let of = |trouble: &Option<(Trouble, String)>| trouble.as_ref().is_some_and(|(kind, _)| is(kind));
            servers.iter().map(|s| (label("server", &s.name), f64::from(u8::from(of(&s.trouble))))).collect()
        };
        failing.replace(all(|_| true));
        needs.replace(all(|kind| *kind == Trouble::Hold));
    });
}

/// What is counted of one destination, for `/metrics`, for the line of status and for the log at the end.
#[derive(Debug, Clone)]
pub(super) struct Account {
    destination: String,
    totals: Arc<Totals>,
    metrics: Metrics,
}

impl Account {
    pub(super) fn new(destination: &str, totals: Arc<Totals>, metrics: Metrics) -> Account {
        let account = Account { destination: destination.to_owned(), totals, metrics };
        // From the start, so that Prometheus sees the first one as an increase.
        account.add(&account.metrics.acknowledged, None, 0);
        account.add(&account.metrics.unsaved, None, 0);
        for reason in refusals() {
            account.add(&account.metrics.refused, Some(("reason", reason)), 0);
        }
        account
    }

    /// The destination's name.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// The label of the destination, and perhaps another one.
    fn labels(&self, more: Option<(&str, &str)>) -> SeriesLabels {
        let labels = [("destination", self.destination.as_str())].into_iter().chain(more);
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn add(&self, family: &Family, more: Option<(&str, &str)>, amount: u64) {
        family.add(self.labels(more), amount as f64);
    }

    fn set(&self, family: &Family, more: Option<(&str, &str)>, amount: u64) {
        family.set(self.labels(more), amount as f64);
    }

    /// Publishes what was counted while reading.
    pub(super) fn publish(
        &self,
        counts: &Counts,
        journal: &journald_reader::Counts,
        lost: u64,
        streams: usize,
    ) {
        let families = &self.metrics;
        for (rule, count) in counts.relabelled.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.set(&families.dropped, Some(("reason", &format!("relabel_configs[{rule}]"))), *count);
        }
        for (reason, count) in &counts.stages {
            self.set(&families.dropped, Some(("reason", reason)), *count);
        }
        for (rule, count) in counts.retention.iter().enumerate() {
            let rule = match rule + 1 == counts.retention.len() {
                true => "retention_default".to_owned(),
                false => format!("retention_rule_{}", rule + 1),
            };
            let reasons = [("drop", count.dropped), ("sample", count.sampled), ("expired", count.expired)];
            for (what, n) in reasons.into_iter().filter(|(_, n)| *n > 0) {
                self.set(&families.dropped, Some(("reason", &format!("{rule}_{what}"))), n);
            }
        }
        for (stage, count) in &counts.failed {
            self.set(&families.failed, Some(("stage", stage)), *count);
        }
        for (kind, count) in counts.labels.kinds().into_iter().filter(|(_, count)| *count > 0) {
            self.set(&families.labels, Some(("kind", kind)), count);
        }
        // Set from the start, so that Prometheus sees the first loss as an increase.
        for reason in Reason::ALL {
            self.set(&families.journal.damaged, Some(("reason", reason.name())), journal.damaged.of(reason));
        }
        self.set(&families.journal.fields_damaged, None, journal.fields_damaged);
        self.set(&families.journal.lost, None, lost);
        self.set(&families.streams, None, streams as u64);
        self.set(&families.journal.bytes_read, None, journal.bytes_read);
    }

    /// The destination is done with everything up to this entry.
    pub(super) fn reached(&self, cursor: &Cursor) {
        self.metrics.shipped.set(self.labels(None), cursor.realtime as f64 / 1e6);
        self.totals.reached(&self.destination, cursor);
    }

    /// The journal files that are read.
    pub(super) fn files(&self, files: Files) {
        for (state, count) in [("growing", files.growing), ("finished", files.finished)] {
            self.set(&self.metrics.journal.files, Some(("state", state)), count as u64);
        }
        self.totals.change(&self.destination, |place| place.files = files);
    }

    /// What the reader does now.
    pub(super) fn reader(&self, reader: Reader) {
        self.totals.reader(&self.destination, reader);
    }

    /// A checkpoint could not be saved.
    pub(super) fn unsaved(&self) {
        self.add(&self.metrics.unsaved, None, 1);
    }
}

impl Tally for Account {
    fn acknowledged(&self, entries: u64) {
        self.totals.acknowledged.fetch_add(entries, Relaxed);
        self.totals.change(&self.destination, |place| place.rate.add(Instant::now(), entries));
        self.add(&self.metrics.acknowledged, None, entries);
    }

    fn refused(&self, reason: &'static str, entries: u64) {
        self.totals.refused.fetch_add(entries, Relaxed);
        self.add(&self.metrics.refused, Some(("reason", reason)), entries);
    }

    fn answered(&self, request: &Sealed, status: Option<u16>, took: Duration) {
        let answered = Some(Answered { status, at: Instant::now(), took });
        self.totals.change(&self.destination, |place| place.answered = answered);
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        self.add(&self.metrics.requests, Some(("status", &status)), 1);
        self.add(&self.metrics.bytes, None, request.body.len() as u64);
        self.metrics.duration.always().observe(self.labels(None), took.as_secs_f64());
        self.metrics.batch.always().observe(self.labels(None), request.entries as f64);
    }

    fn folded(&self, entries: u64) {
        if entries > 0 {
            self.add(&self.metrics.folded, None, entries);
        }
    }

    fn bounded(&self, rate: Option<f64>) {
        self.metrics.bound.set(self.labels(None), rate.unwrap_or(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_behind_unless_all_that_was_read_is_done() {
        let now = "2026-11-28T10:00:00Z".parse::<Timestamp>().unwrap();
        let minutes_ago = |minutes: u64| Realtime(now.as_microsecond() as u64 - minutes * 60_000_000);
        for (done, reader, expected) in [
            (None, Reader::Reads, ""),
            (Some(90), Reader::Waits(None), "; main up to 2026-11-28T08:30:00Z"),
            (Some(90), Reader::Waits(Some(minutes_ago(90))), "; main up to 2026-11-28T08:30:00Z"),
            (
                Some(90),
                Reader::Waits(Some(minutes_ago(1))),
                "; main up to 2026-11-28T08:30:00Z, 1h30m behind",
            ),
            (Some(90), Reader::Reads, "; main up to 2026-11-28T08:30:00Z, 1h30m behind"),
        ] {
            let totals = Totals::default();
            totals.begin([("main".to_owned(), done.map(minutes_ago))].into_iter());
            totals.reader("main", reader);
            assert_eq!(totals.line(now), format!("0 entries acknowledged{expected}"));
        }
    }
}
