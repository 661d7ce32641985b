//! The metrics of destinations, and the line of status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::loki::push::Tally;
use crate::observe::metrics::{Family, Registry, SeriesLabels};
use crate::os::when::Realtime;
use crate::pipeline::Counts;
use crate::yaml::units::format_duration;
use journald_reader::{Cursor, Reason};

/// What was done since the start: for the line of status, and for the log at the end.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub acknowledged: AtomicU64,
    pub refused: AtomicU64,
    places: Mutex<BTreeMap<String, Place>>,
}

/// How far a destination is, by the times at which entries were written.
#[derive(Debug)]
struct Place {
    /// The newest entry that it is done with, if there is one.
    done: Option<Realtime>,
    reader: Reader,
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
        let place = |(name, done)| (name, Place { done, reader: Reader::Reads });
        *self.places() = destinations.map(place).collect();
    }

    /// A destination is done with everything up to this entry.
    fn reached(&self, destination: &str, cursor: &Cursor) {
        if let Some(place) = self.places().get_mut(destination) {
            place.done = Some(Realtime(cursor.realtime));
        }
    }

    /// The reader for a destination does this now.
    fn reader(&self, destination: &str, reader: Reader) {
        if let Some(place) = self.places().get_mut(destination) {
            place.reader = reader;
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of this in one line, for a person.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let mut line = format!("{} entries acknowledged", self.acknowledged.load(Relaxed));
        for (name, place) in self.places().iter() {
            let Some(done) = place.done else { continue };
            line.push_str(&format!("; {name} up to {done}"));
            let at_end = matches!(place.reader, Reader::Waits(last) if last.is_none_or(|last| last == done));
            if !at_end {
                let behind = Duration::try_from(now.duration_since(done.into())).unwrap_or_default();
                let seconds = Duration::from_secs(behind.as_secs().max(1));
                line.push_str(&format!(", {} behind", format_duration(seconds)));
            }
        }
        line
    }
}

/// The metrics of destinations. Each has the destination as a label.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    acknowledged: Arc<Family>,
    refused: Arc<Family>,
    folded: Arc<Family>,
    requests: Arc<Family>,
    bound: Arc<Family>,
    dropped: Arc<Family>,
    failed: Arc<Family>,
    labels: Arc<Family>,
    damaged: Arc<Family>,
    fields_damaged: Arc<Family>,
    lost: Arc<Family>,
    streams: Arc<Family>,
    shipped: Arc<Family>,
    unsaved: Arc<Family>,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Metrics {
        Metrics {
            acknowledged: registry.counter(
                "journalship_entries_acknowledged_total",
                "Entries that Loki has acknowledged and not refused; what else it may have dropped, its own \
                 loki_discarded_samples_total tells.",
            ),
            refused: registry.counter(
                "journalship_entries_refused_total",
                "Entries that Loki has refused for good, by reason.",
            ),
            folded: registry.counter(
                "journalship_entries_folded_total",
                "Entries sent to an overflow stream, or to another one, because Loki had no room for theirs.",
            ),
            requests: registry.counter(
                "journalship_push_requests_total",
                "Requests to Loki, by the status of the answer; none: there was no answer.",
            ),
            bound: registry.gauge(
                "journalship_push_rate_bound_bytes",
                "Bytes a second that pushing keeps to because Loki limits the rate; 0: no bound."),
            dropped: registry.counter(
                "journalship_entries_dropped_total",
                "Entries that the configuration keeps from being sent, by reason.",
            ),
            failed: registry.counter(
                "journalship_stage_failures_total",
                "Entries that a stage could not work on; they were sent.",
            ),
            labels: registry.counter(
                "journalship_label_changes_total",
                "What was done to labels so that Loki takes them, by kind.",
            ),
            damaged: registry.counter(
                "journalship_entries_damaged_total",
                "Entries of the journal that could not be read, by reason.",
            ),
            fields_damaged: registry.counter(
                "journalship_fields_damaged_total",
                "Fields of the journal that could not be read; their entries were sent without them.",
            ),
            lost: registry.counter(
                "journalship_entries_lost_total",
                "Entries that are missing in the journal's numbers: deleted before they were read, or in files that cannot \
                 be opened.",
            ),
            shipped: registry.gauge(
                "journalship_acknowledged_timestamp_seconds",
                "When the newest entry was written that is done with, in the order of the journal."),
            unsaved: registry.counter(
                "journalship_checkpoint_failures_total",
                "Attempts to save the checkpoint that failed.",
            ),
            streams: registry.gauge(
                "journalship_streams",
                "Streams that had entries lately."),
        }
    }
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
        Account { destination: destination.to_owned(), totals, metrics }
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
            self.set(&families.damaged, Some(("reason", reason.name())), journal.damaged.of(reason));
        }
        self.set(&families.fields_damaged, None, journal.fields_damaged);
        self.set(&families.lost, None, lost);
        self.set(&families.streams, None, streams as u64);
    }

    /// The destination is done with everything up to this entry.
    pub(super) fn reached(&self, cursor: &Cursor) {
        self.metrics.shipped.set(self.labels(None), cursor.realtime as f64 / 1e6);
        self.totals.reached(&self.destination, cursor);
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
        self.add(&self.metrics.acknowledged, None, entries);
    }

    fn refused(&self, reason: &'static str, entries: u64) {
        self.totals.refused.fetch_add(entries, Relaxed);
        self.add(&self.metrics.refused, Some(("reason", reason)), entries);
    }

    fn answered(&self, status: Option<u16>) {
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        self.add(&self.metrics.requests, Some(("status", &status)), 1);
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
