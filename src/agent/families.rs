//! The metrics of destinations: their names, kinds and help texts.

use std::sync::Arc;

use crate::observe::metrics::{Family, Kind, Registry};

/// Bounds of the histogram of requests' durations (seconds): from a Loki beside us to the default timeout.
const DURATIONS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Bounds of the histogram of entries in a request (count).
const BATCHES: [f64; 6] = [1.0, 10.0, 100.0, 1000.0, 5000.0, 20000.0];

/// The metrics of destinations. Each has the destination as a label.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    /// What is counted of the journal.
    pub(super) journal: OfJournal,
    pub(super) acknowledged: Arc<Family>,
    pub(super) refused: Arc<Family>,
    pub(super) folded: Arc<Family>,
    pub(super) requests: Arc<Family>,
    pub(super) bytes: Arc<Family>,
    pub(super) duration: Arc<Family>,
    pub(super) batch: Arc<Family>,
    pub(super) bound: Arc<Family>,
    pub(super) dropped: Arc<Family>,
    pub(super) failed: Arc<Family>,
    pub(super) labels: Arc<Family>,
    pub(super) streams: Arc<Family>,
    pub(super) shipped: Arc<Family>,
    pub(super) unsaved: Arc<Family>,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Metrics {
        Metrics {
            journal: OfJournal::new(registry),
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
            bytes: registry.counter(
                "journalship_push_bytes_total",
                "Bytes of the bodies of requests to Loki, compressed, repeated ones included.",
            ),
            duration: registry.family(
                "journalship_push_duration_seconds",
                "How long requests to Loki took until their answer, or until there was none.",
                Kind::Histogram(DURATIONS.to_vec()),
                None,
            ),
            batch: registry.family(
                "journalship_push_entries",
                "Entries in a request to Loki.",
                Kind::Histogram(BATCHES.to_vec()),
                None,
            ),
            bound: registry.gauge(
                "journalship_push_rate_bound_bytes",
                "Bytes a second that pushing keeps to because Loki limits the rate; 0: no bound.",
            ),
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
            shipped: registry.gauge(
                "journalship_acknowledged_timestamp_seconds",
                "When the newest finished entry was written, in the order of the journal: Loki has acknowledged it, or it is not sent.",
            ),
            unsaved: registry.counter(
                "journalship_checkpoint_failures_total",
                "Attempts to save the checkpoint that failed.",
            ),
            streams: registry.gauge("journalship_streams", "Streams that had entries lately."),
        }
    }
}

/// What is counted of the journal that is read for a destination.
#[derive(Debug, Clone)]
pub(super) struct OfJournal {
    pub(super) damaged: Arc<Family>,
    pub(super) fields_damaged: Arc<Family>,
    pub(super) lost: Arc<Family>,
    pub(super) files: Arc<Family>,
    pub(super) bytes_read: Arc<Family>,
}

impl OfJournal {
    fn new(registry: &Registry) -> OfJournal {
        OfJournal {
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
            files: registry.gauge(
                "journalship_journal_files",
                "Journal files that are read, by state: journald may still write to those that are growing.",
            ),
            bytes_read: registry.counter(
                "journalship_journal_read_bytes_total",
                "Bytes read from journal files, those that are read again included.",
            ),
        }
    }
}
