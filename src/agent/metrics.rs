//! The agent's own metrics, and who counts them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::loki::push::Tally;
use crate::observe::metrics::{Family, Kind, Registry, SeriesLabels};
use crate::pipeline::Counts;
use crate::yaml::units::format_duration;
use journald_reader::{Cursor, Reason};

/// What was done since the start, for the log at the end.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub acknowledged: AtomicU64,
    pub refused: AtomicU64,
    places: Mutex<BTreeMap<String, Place>>,
}

/// How far a destination is, in times at which entries were written (microseconds since 1970; 0: none yet).
#[derive(Debug, Default)]
struct Place {
    /// The newest entry that it is done with.
    done: u64,
    /// The last one that was read, while its reader waits for further ones.
    end: Option<u64>,
}

impl Totals {
    /// These are the destinations from now on, each with the entry behind which it begins.
    pub(super) fn begin(&self, destinations: impl Iterator<Item = (String, Option<u64>)>) {
        let place = |(name, done): (_, Option<u64>)| (name, Place { done: done.unwrap_or(0), end: None });
        *self.places() = destinations.map(place).collect();
    }

    /// A destination is done with everything up to this entry.
    pub(super) fn reached(&self, destination: &str, cursor: &Cursor) {
        if let Some(place) = self.places().get_mut(destination) {
            place.done = cursor.realtime;
        }
    }

    /// The reader for a destination waits at the end of the journal, where this entry was the last; or not any more.
    pub(super) fn waits(&self, destination: &str, end: Option<u64>) {
        if let Some(place) = self.places().get_mut(destination) {
            place.end = end;
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, in one line for a person.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let mut line = format!("{} entries acknowledged", self.acknowledged.load(Relaxed));
        for (name, place) in self.places().iter().filter(|(_, place)| place.done > 0) {
            let time = |micros| i64::try_from(micros).ok().and_then(|m| Timestamp::from_microsecond(m).ok());
            let done = time(place.done).unwrap_or_default();
            line.push_str(&format!("; {name} up to {}", done.strftime("%Y-%m-%dT%H:%M:%SZ")));
            if !place.end.is_some_and(|end| end == 0 || end == place.done) {
                let behind = Duration::try_from(now.duration_since(done)).unwrap_or_default();
                let seconds = Duration::from_secs(behind.as_secs().max(1));
                line.push_str(&format!(", {} behind", format_duration(seconds)));
            }
        }
        line
    }
}

/// The agent's own metrics. Each has the destination as label.
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
        let counter = |name: &str, help: &str| registry.family(name, help, Kind::Counter, None);
        Metrics {
            acknowledged: counter(
                "journalship_entries_acknowledged_total",
                "Entries that Loki has acknowledged and not refused; what else it may have dropped, its own \
                 loki_discarded_samples_total tells.",
            ),
            refused: counter(
                "journalship_entries_refused_total",
                "Entries that Loki has refused for good, by reason.",
            ),
            folded: counter(
                "journalship_entries_folded_total",
                "Entries sent to an overflow stream, or to another one, because Loki had no room for theirs.",
            ),
            requests: counter(
                "journalship_push_requests_total",
                "Requests to Loki, by the status of the answer; none: there was no answer.",
            ),
            bound: registry.family(
                "journalship_push_rate_bound_bytes",
                "Bytes a second that pushing keeps to because Loki limits the rate; 0: no bound.",
                Kind::Gauge,
                None,
            ),
            dropped: counter(
                "journalship_entries_dropped_total",
                "Entries that the configuration keeps from being sent, by reason.",
            ),
            failed: counter(
                "journalship_stage_failures_total",
                "Entries that a stage could not work on; they were sent.",
            ),
            labels: counter(
                "journalship_label_changes_total",
                "What was done to labels so that Loki takes them, by kind.",
            ),
            damaged: counter(
                "journalship_entries_damaged_total",
                "Entries of the journal that could not be read, by reason.",
            ),
            fields_damaged: counter(
                "journalship_fields_damaged_total",
                "Fields of the journal that could not be read; their entries were sent without them.",
            ),
            lost: counter(
                "journalship_entries_lost_total",
                "Entries that are missing in the journal's numbers: deleted before they were read, or in files that cannot \
                 be opened.",
            ),
            shipped: registry.family(
                "journalship_acknowledged_timestamp_seconds",
                "When the newest entry was written that is done with, in the order of the journal.",
                Kind::Gauge,
                None,
            ),
            unsaved: counter(
                "journalship_checkpoint_failures_total",
                "Attempts to save the checkpoint that failed.",
            ),
            streams: registry.family(
                "journalship_streams",
                "Streams that had entries lately.",
                Kind::Gauge,
                None,
            ),
        }
    }

    /// Publishes what a pipeline has counted.
    pub(super) fn publish(
        &self,
        destination: &str,
        counts: &Counts,
        journal: &journald_reader::Counts,
        lost: u64,
        streams: usize,
    ) {
        let labels = |name: &str, value: &str| {
            vec![("destination".to_owned(), destination.to_owned()), (name.to_owned(), value.to_owned())]
        };
        let only = || vec![("destination".to_owned(), destination.to_owned())];
        for (rule, count) in counts.relabelled.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.dropped.set(labels("reason", &format!("relabel_configs[{rule}]")), 0, *count as f64);
        }
        for (reason, count) in &counts.stages {
            self.dropped.set(labels("reason", reason), 0, *count as f64);
        }
        for (rule, count) in counts.retention.iter().enumerate() {
            let rule = match rule + 1 == counts.retention.len() {
                true => "retention_default".to_owned(),
                false => format!("retention_rule_{}", rule + 1),
            };
            for (what, n) in [("drop", count.dropped), ("sample", count.sampled), ("expired", count.expired)]
            {
                if n > 0 {
                    self.dropped.set(labels("reason", &format!("{rule}_{what}")), 0, n as f64);
                }
            }
        }
        for (stage, count) in &counts.failed {
            self.failed.set(labels("stage", stage), 0, *count as f64);
        }
        for (kind, count) in counts.labels.kinds().into_iter().filter(|(_, count)| *count > 0) {
            self.labels.set(labels("kind", kind), 0, count as f64);
        }
        // Known from the start, so that the first loss is an increase.
        for reason in Reason::ALL {
            self.damaged.set(labels("reason", reason.name()), 0, journal.damaged.of(reason) as f64);
        }
        self.fields_damaged.set(only(), 0, journal.fields_damaged as f64);
        self.lost.set(only(), 0, lost as f64);
        self.streams.set(only(), 0, streams as f64);
    }

    /// Everything up to this entry is done with.
    pub(super) fn shipped(&self, destination: &str, cursor: &Cursor) {
        let labels = vec![("destination".to_owned(), destination.to_owned())];
        self.shipped.set(labels, 0, cursor.realtime as f64 / 1e6);
    }

    /// A checkpoint could not be saved.
    pub(super) fn unsaved(&self, destination: &str) {
        self.unsaved.add(vec![("destination".to_owned(), destination.to_owned())], 0, 1.0);
    }
}

/// Counts what became of the entries of a destination.
pub(super) struct Counted {
    pub name: String,
    pub totals: Arc<Totals>,
    pub metrics: Metrics,
}

impl Counted {
    fn labels(&self, more: Option<(&str, String)>) -> SeriesLabels {
        let more = more.map(|(name, value)| (name.to_owned(), value));
        [("destination".to_owned(), self.name.clone())].into_iter().chain(more).collect()
    }
}

impl Tally for Counted {
    fn acknowledged(&self, entries: u64) {
        self.totals.acknowledged.fetch_add(entries, Relaxed);
        self.metrics.acknowledged.add(self.labels(None), 0, entries as f64);
    }

    fn refused(&self, reason: &'static str, entries: u64) {
        self.totals.refused.fetch_add(entries, Relaxed);
        self.metrics.refused.add(self.labels(Some(("reason", reason.to_owned()))), 0, entries as f64);
    }

    fn answered(&self, status: Option<u16>) {
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        self.metrics.requests.add(self.labels(Some(("status", status))), 0, 1.0);
    }

    fn folded(&self, entries: u64) {
        if entries > 0 {
            self.metrics.folded.add(self.labels(None), 0, entries as f64);
        }
    }

    fn bounded(&self, rate: Option<f64>) {
        self.metrics.bound.set(self.labels(None), 0, rate.unwrap_or(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_behind_unless_all_that_was_read_is_done() {
        let now = "2026-11-28T10:00:00Z".parse::<Timestamp>().unwrap();
        let minutes_ago = |minutes: u64| now.as_microsecond() as u64 - minutes * 60_000_000;
        for (done, end, expected) in [
            (None, None, ""),
            (Some(90), Some(0), "; main up to 2026-11-28T08:30:00Z"),
            (Some(90), Some(minutes_ago(90)), "; main up to 2026-11-28T08:30:00Z"),
            (Some(90), Some(minutes_ago(1)), "; main up to 2026-11-28T08:30:00Z, 1h30m behind"),
            (Some(90), None, "; main up to 2026-11-28T08:30:00Z, 1h30m behind"),
        ] {
            let totals = Totals::default();
            totals.begin([("main".to_owned(), done.map(minutes_ago))].into_iter());
            totals.waits("main", end);
            assert_eq!(totals.line(now), format!("0 entries acknowledged{expected}"));
        }
    }
}
