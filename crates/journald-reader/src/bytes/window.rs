//! Windows: consecutive bytes of a file, held in memory and moved by positioned reads.
//!
//! Files are not mapped: a mapped file that is truncated kills the process, and its pages count as the
//! process's memory.

use std::io;

use super::handle::Handle;
use crate::format::fault::Fault;

/// The forward window when a file is read through (bytes): one read serves about a hundred entries, and what is remembered of
/// fields stays in the processor's cache beside it.
const AHEAD_MAX: usize = 64 << 10;
/// The forward window after the file has grown (bytes); it doubles with each read that follows the last.
const AHEAD_MIN: usize = 8 << 10;
/// The forward window while entries are looked up, one here and one there (bytes): most entries, and what was written for them alone.
/// Half of it lies before the entry's beginning.
const SPARSE: usize = 1536;
/// The window for objects further back (bytes): one page, since neighbours are seldom wanted.
const BEHIND: usize = 4 << 10;
/// The same while entries are looked up (bytes): one field, as long as most are.
const BEHIND_SPARSE: usize = 1 << 10;
/// Bytes that are read at once when entries are read backward: some fifty entries.
const BACKWARD: usize = 32 << 10;

/// The two windows on a file: `ahead` slides forward with the entries, and holds them together with the DATA objects
/// written just before them; `behind` fetches the few objects that lie further back.
#[derive(Debug)]
pub(crate) struct Windows {
    ahead: Window,
    /// Bytes that the forward window takes at its next move, and the most that it may take.
    ahead_size: usize,
    ahead_max: usize,
    /// How often the forward window was moved in this turn.
    turn_reads: u32,
    /// While entries are looked up: how far behind the next one others are wanted that lie near (bytes). A move takes [`SPARSE`] and
    /// so much more, and does not enlarge the window.
    sparse: Option<usize>,
    behind: Window,
}

impl Windows {
    pub(crate) fn new() -> Windows {
        Windows {
            ahead: Window::default(),
            ahead_size: AHEAD_MIN,
            ahead_max: AHEAD_MAX,
            turn_reads: 0,
            sparse: None,
            behind: Window::default(),
        }
    }

    /// The bytes in the windows are old.
    pub(crate) fn forget(&mut self) {
        self.ahead.forget();
        self.behind.forget();
        self.ahead_size = AHEAD_MIN;
    }

    /// Gives the memory back: the end has been reached and nothing may come for long.
    pub(crate) fn rest(&mut self) {
        self.ahead.clear();
        self.behind.clear();
        self.ahead_size = AHEAD_MIN;
    }

    /// Begins a turn that has about so many bytes for windows; a long turn takes more.
    pub(crate) fn begin_turn(&mut self, share: usize) {
        self.ahead_max = share.clamp(BEHIND, AHEAD_MAX);
        self.ahead_size = self.ahead_size.min(self.ahead_max);
        self.turn_reads = 0;
    }

    /// Ends a turn: gives back what was taken beyond the share (bytes).
    pub(crate) fn end_turn(&mut self, share: usize) {
        if self.ahead.len() > share.max(BEHIND) {
            self.ahead.clear();
        }
    }

    /// Says whether the next entries are looked up instead of read one after the other, and how far behind the next one others are
    /// wanted that lie near (bytes).
    pub(crate) fn set_sparse(&mut self, sparse: Option<usize>) {
        self.sparse = sparse;
    }

    /// The most that the forward window may take (bytes).
    pub(crate) fn ahead_max(&self) -> usize {
        self.ahead_max
    }

    /// Makes sure that the forward window holds these bytes.
    #[inline]
    pub(crate) fn show_ahead(&mut self, handle: &Handle, offset: u64, len: usize) -> Result<(), Fault> {
        if self.ahead.get(offset, len).is_some() {
            return Ok(());
        }
        // New DATA objects stand just before their ENTRY: the window goes on where it ended, or, after a
        // jump, reaches back by half its size.
        let (size, near) = match self.sparse {
            Some(near) => (SPARSE, near.min(self.ahead_max.saturating_sub(SPARSE))),
            None => (self.ahead_size, 0),
        };
        let end = self.ahead.end();
        let follows = end > 0 && end <= offset && offset - end < (size / 2) as u64;
        let start = if follows { end } else { offset.saturating_sub((size / 2) as u64) };
        let need = (offset - start) as usize + len;
        self.ahead.load(handle, start, need.max(size) + near)?;
        self.turn_reads = self.turn_reads.saturating_add(1);
        if self.turn_reads > 1 {
            self.ahead_max = AHEAD_MAX;
        }
        if self.sparse.is_none() {
            self.ahead_size = (self.ahead_size * 2).min(self.ahead_max);
        }
        match self.ahead.get(offset, len) {
            Some(_) => Ok(()),
            None => Err(Fault::Damaged { what: "an object behind the file's end", offset }),
        }
    }

    /// These bytes, if the forward window holds them.
    #[inline]
    pub(crate) fn ahead(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.ahead.get(offset, len)
    }

    /// All bytes of the forward window from `offset` on.
    pub(crate) fn ahead_from(&self, offset: u64) -> &[u8] {
        self.ahead.from(offset)
    }

    /// Shows these bytes and those before them, to read backward.
    pub(crate) fn show_backward(&mut self, handle: &Handle, offset: u64, len: usize) -> io::Result<&[u8]> {
        if self.ahead.get(offset, len).is_none() {
            let start = (offset + len as u64).saturating_sub(BACKWARD as u64);
            self.ahead.load(handle, start, BACKWARD)?;
        }
        Ok(self.ahead.get(offset, len).unwrap_or_default())
    }

    /// These bytes, if a window holds them.
    #[inline]
    pub(crate) fn shown(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.ahead.get(offset, len).or_else(|| self.behind.get(offset, len))
    }

    /// Shows bytes in the window for what lies further back.
    pub(crate) fn show_behind(&mut self, handle: &Handle, offset: u64, len: usize) -> Result<&[u8], Fault> {
        if self.behind.get(offset, len).is_none() {
            let size = if self.sparse.is_some() { BEHIND_SPARSE } else { BEHIND };
            self.behind.load(handle, offset, len.max(size))?;
        }
        self.behind.get(offset, len).ok_or(Fault::Damaged { what: "an object behind the file's end", offset })
    }
}

/// Bytes of a file from `start` on.
#[derive(Debug, Default)]
struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// The `len` bytes at `offset`, if all of them are in the window.
    #[inline]
    fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }

    /// All bytes of the window from `offset` on.
    fn from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.bytes.get(from..)).unwrap_or_default()
    }

    /// Bytes in the window.
    fn len(&self) -> usize {
        self.bytes.len()
    }

    /// First byte behind the window.
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Moves the window: `len` bytes from `start` on, fewer where the file ends.
    ///
    /// # Errors
    /// When the file cannot be read; the window is empty then.
    fn load(&mut self, file: &Handle, start: u64, len: usize) -> io::Result<()> {
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
    fn clear(&mut self) {
        self.bytes = Vec::new();
        self.start = 0;
    }

    /// Forgets the bytes: the file has grown, and what was read behind its end is stale.
    fn forget(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}
