//! A window: some consecutive bytes of a file, held in memory and moved by positioned reads.
//!
//! Files are not mapped: a mapped file that is truncated kills the process, and its pages count as the
//! process's memory.

use std::io;

use super::handle::Handle;

/// Bytes of a file from `start` on.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// The `len` bytes at `offset`, if all of them are in the window.
    #[inline]
    pub(super) fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }

    /// All bytes of the window from `offset` on.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.bytes.get(from..)).unwrap_or_default()
    }

    /// Bytes in the window.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// First byte behind the window.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Moves the window: `len` bytes from `start` on, fewer where the file ends.
    ///
    /// # Errors
    /// When the file cannot be read; the window is empty then.
    pub(super) fn load(&mut self, file: &Handle, start: u64, len: usize) -> io::Result<()> {
        self.start = start;
        if self.bytes.capacity() > 2 * len {
            self.bytes = Vec::new();
        }
        self.bytes.resize(len, 0);
        let read = file.read_at_most(&mut self.bytes, start);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }

    /// Forgets the bytes and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.start = 0;
    }

    /// Forgets the bytes: the file has grown, and what was read behind its end is stale.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}
