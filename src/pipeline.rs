//! What becomes of an entry between the journal and a batch: its stream, its line, its metadata.

use std::borrow::Cow;

use crate::batch::Batch;
use crate::config::{Config, Destination};
use crate::entry::Entry;
use crate::journal::Keys;
use crate::labels::{FieldLookup, Labeler, Outcome, cut, lossy};
use crate::line::Liner;
use crate::loki::encode::Metadata;

/// Longest that names and values of an entry's metadata are together (bytes; grafana/loki,
/// `pkg/validation/limits.go`, `max_structured_metadata_size`). Values are cut to fit.
const METADATA_MAX: usize = 64 << 10;

/// Names of metadata that an entry may have (count; the same, `max_structured_metadata_entries_count`).
const METADATA_NAMES_MAX: usize = 128;

/// Shapes entries for one destination.
pub struct Pipeline {
    labeler: Labeler,
    metadata: Vec<FieldLookup>,
    names: usize,
    liner: Liner,
    encoded: Metadata,
}

impl Pipeline {
    /// Prepares for a destination and says which fields of the journal it needs.
    pub fn new(config: &Config, destination: Option<&Destination>) -> (Pipeline, Keys) {
        let mut keys = Keys::default();
        let added = destination.map(|d| d.labels.as_slice()).unwrap_or_default();
        let labeler = Labeler::new(&config.labels, added, None, &mut keys);
        let metadata: Vec<_> =
            config.structured_metadata.iter().map(|rule| FieldLookup::new(rule, &mut keys)).collect();
        let liner = Liner::new(config.line, &mut keys);
        let names = metadata.iter().map(|m| m.name.len()).sum();
        (Pipeline { labeler, metadata, names, liner, encoded: Metadata::default() }, keys)
    }

    /// Adds an entry to the batch, unless a relabelling rule drops it.
    #[inline]
    pub fn append(&mut self, entry: &Entry<'_>, batch: &mut Batch) {
        let Outcome::Kept(resolved) = self.labeler.stream(entry) else { return };
        self.encoded.clear();
        let mut room = METADATA_MAX.saturating_sub(self.names);
        for lookup in &self.metadata {
            if let Some(value) = lookup.value(entry) {
                let value: Cow<'_, str> = cut(lossy(value), room);
                room -= value.len();
                self.encoded.add(&lookup.name, &value);
            }
        }
        let moved = resolved.moved.iter().filter(|(name, _)| self.metadata.iter().all(|m| m.name != *name));
        for (name, value) in moved.take(METADATA_NAMES_MAX.saturating_sub(self.metadata.len())) {
            room = room.saturating_sub(name.len());
            let value = cut(value.into(), room);
            room -= value.len();
            self.encoded.add(name, &value);
        }
        batch.push(resolved.stream, entry.timestamp_ns(), &self.liner.line(entry), &self.encoded);
    }
}
