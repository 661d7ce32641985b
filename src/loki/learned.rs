//! What a destination turned out to take: limits that its answers have revealed.
//!
//! Who reads the journal looks here before it makes lines and batches, so that a limit costs one refused request, not
//! one for each batch. Nothing of it outlives the process: a limit may be raised, and what is cut after a restart
//! is cut in the same way again.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A batch is never made smaller than this (bytes): below, requests cost more than what they carry.
pub(super) const BATCH_MIN: usize = 4 << 10;
/// A line is never cut shorter than this (bytes), whatever an answer says.
const LINE_MIN: usize = 64;

/// Limits for lines and metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line.
    pub line: usize,
    /// Bytes of names and values of an entry's metadata.
    pub metadata: usize,
    /// Names of an entry's metadata.
    pub metadata_names: usize,
}

/// The limits of one destination; they only shrink.
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
    /// Bytes of a batch before compression.
    pub fn batch(&self) -> usize {
        self.batch.load(Relaxed)
    }

    /// Those for lines and metadata.
    pub fn limits(&self) -> Limits {
        Limits {
            line: self.line.load(Relaxed),
            metadata: self.metadata.load(Relaxed),
            metadata_names: self.metadata_names.load(Relaxed),
        }
    }

    /// A batch of so many bytes was too large.
    pub(super) fn too_large(&self, bytes: usize) {
        self.batch.fetch_min((bytes / 2).max(BATCH_MIN), Relaxed);
    }

    /// The longest line (bytes). Says whether that is new.
    pub(super) fn line(&self, bytes: u64) -> bool {
        shrink(&self.line, bytes.max(LINE_MIN as u64))
    }

    /// The most metadata (bytes). Says whether that is new.
    pub(super) fn metadata(&self, bytes: u64) -> bool {
        shrink(&self.metadata, bytes)
    }

    /// The most names of metadata. Says whether that is new.
    pub(super) fn metadata_names(&self, count: u64) -> bool {
        shrink(&self.metadata_names, count)
    }
}

fn shrink(limit: &AtomicUsize, to: u64) -> bool {
    let to = usize::try_from(to).unwrap_or(usize::MAX);
    limit.fetch_min(to, Relaxed) > to
}
