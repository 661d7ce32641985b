//! Limits of a destination that its answers have shown.
//!
//! The reader of the journal looks here before it makes lines and batches. So a limit costs one refused request, not one for
//! each batch. Nothing of this is kept on disk: a limit may be raised, and after a restart entries are cut in the same way
//! again.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The smallest limit of a batch (bytes). Below it, requests cost more than what they carry.
pub(super) const BATCH_MIN: usize = 4 << 10;
/// The smallest limit of a line (bytes), whatever an answer says.
const LINE_MIN: usize = 64;

/// Limits for lines and metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line (bytes).
    pub line: usize,
    /// The most that names and values of the metadata of an entry take (bytes).
    pub metadata: usize,
    /// The most names of metadata of an entry (count).
    pub metadata_names: usize,
}

/// The limits of one destination. They only become smaller.
#[derive(Debug)]
pub struct Learned {
    batch: AtomicUsize,
    line: AtomicUsize,
    metadata: AtomicUsize,
    metadata_names: AtomicUsize,
}

impl Default for Learned {
    fn default() -> Learned {
        let none = || AtomicUsize::new(usize::MAX);
        Learned { batch: none(), line: none(), metadata: none(), metadata_names: none() }
    }
}

impl Learned {
    /// The largest batch (bytes before compression).
    pub fn batch(&self) -> usize {
        self.batch.load(Relaxed)
    }

    /// The limits for lines and metadata.
    pub fn limits(&self) -> Limits {
        Limits {
            line: self.line.load(Relaxed),
            metadata: self.metadata.load(Relaxed),
            metadata_names: self.metadata_names.load(Relaxed),
        }
    }

    /// Notes that a batch of so many bytes was too large.
    pub(super) fn too_large(&self, bytes: usize) {
        self.batch.fetch_min((bytes / 2).max(BATCH_MIN), Relaxed);
    }

    /// Sets the longest line (bytes). Returns whether that is new.
    pub(super) fn line(&self, bytes: u64) -> bool {
        shrink(&self.line, bytes.max(LINE_MIN as u64))
    }

    /// Sets the most metadata (bytes). Returns whether that is new.
    pub(super) fn metadata(&self, bytes: u64) -> bool {
        shrink(&self.metadata, bytes)
    }

    /// Sets the most names of metadata (count). Returns whether that is new.
    pub(super) fn metadata_names(&self, count: u64) -> bool {
        shrink(&self.metadata_names, count)
    }
}

fn shrink(limit: &AtomicUsize, to: u64) -> bool {
    let to = usize::try_from(to).unwrap_or(usize::MAX);
    limit.fetch_min(to, Relaxed) > to
}
