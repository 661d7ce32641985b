//! Streams that Loki has no room for.
//!
//! A tenant has a number of active streams, over all hosts, and past it Loki takes no entry of a new one. Waiting for
//! room would hold back everything else, so the entries of such a stream go to an overflow stream, as those past
//! `labels.max_streams` do. Which streams are meant Loki tells for one of a request only; the others are found by halving.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::split;
use crate::batch::Sealed;

/// So long a stream is not tried again: Loki forgets streams that are idle for about as long (grafana/loki,
/// `pkg/ingester/ingester.go`, `chunk_idle_period`).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 60);
/// Streams that are remembered (count): more than a reader makes with default settings.
const STREAMS_MAX: usize = 8 << 10;

/// What belongs into overflow streams, of one destination.
pub(super) struct Crowd {
    retention: Option<String>,
    /// Tenants and label sets.
    streams: HashSet<(Option<Arc<str>>, String)>,
    since: Option<Instant>,
}

impl Crowd {
    /// Nothing yet. `retention` is the label of the retention class: overflow streams keep it.
    pub(super) fn new(retention: Option<&str>) -> Crowd {
        Crowd { retention: retention.map(str::to_owned), streams: HashSet::new(), since: None }
    }

    /// A batch as it has to be sent, and how many of its entries go to an overflow stream.
    pub(super) fn fold(&mut self, sealed: Sealed, now: Instant) -> (Sealed, u64) {
        if self.since.is_some_and(|since| now.saturating_duration_since(since) >= FORGOTTEN_AFTER) {
            self.streams.clear();
            self.since = None;
        }
        if self.streams.is_empty() {
            return (sealed, 0);
        }
        let mut key = (sealed.tenant.clone(), String::new());
        let refused = |labels: &str| {
            key.1.clear();
            key.1.push_str(labels);
            self.streams.contains(&key)
        };
        match split::fold(std::slice::from_ref(&sealed), self.retention.as_deref(), refused) {
            Some((folded, entries)) => (folded, entries),
            None => (sealed, 0),
        }
    }

    /// Loki has refused these parts of one stream each. They become one batch for each tenant; with the number of
    /// entries. Says too whether that is new.
    pub(super) fn refused(&mut self, mut parts: Vec<Sealed>, now: Instant) -> (Vec<(Sealed, u64)>, bool) {
        let new = self.since.is_none();
        self.since.get_or_insert(now);
        for part in &parts {
            if self.streams.len() >= STREAMS_MAX {
                self.streams.clear();
            }
            self.streams.extend(split::labels(part).into_iter().map(|labels| (part.tenant.clone(), labels)));
        }
        parts.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        let fold = |parts: &[Sealed]| split::fold(parts, self.retention.as_deref(), |_| true);
        (parts.chunk_by(|a, b| a.tenant == b.tenant).filter_map(fold).collect(), new)
    }

    /// Whether the stream of a part could go to an overflow stream, and is none already.
    pub(super) fn can_fold(&self, part: &Sealed) -> bool {
        split::fold(std::slice::from_ref(part), self.retention.as_deref(), |_| true).is_some()
    }
}
