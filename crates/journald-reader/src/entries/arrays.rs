//! Entry arrays: the chain of lists that names a file's entries in order, read forward in pieces.
//!
//! journald appends arrays as the file grows, each twice as long as the one before, and fills the last one from the front.

use super::chain::Chain;
use super::visited::Visited;
use crate::bytes::Bytes;
use crate::format::fault::Fault;
use crate::format::object::{self, u32_at, u64_at};
use crate::format::step::onward;

/// Items of an entry array that are read at once (count).
pub(super) const ARRAY_ITEMS_MAX: usize = 512;
/// Bytes that a typical entry takes of the file, with its new DATA objects: a window and the offsets read at once last
/// equally long.
const ENTRY_SPAN: usize = 512;
/// Bytes of the fixed part of an array.
const HEAD: u64 = object::ENTRY_ARRAY_SIZE_MIN as u64;

/// The place that was reached in the entry arrays of a file.
#[derive(Debug, Default)]
pub(crate) struct Arrays {
    /// Offsets of entries, read from the current array and not yet visited.
    offsets: std::vec::IntoIter<u64>,
    /// The current array, zero before the first; where its unread items begin; how many these are.
    array: u64,
    items_at: u64,
    items_left: u64,
    /// Entries that were visited, found by search or counted as lost, and those in `offsets`.
    taken: u64,
    /// An entry that could not be visited yet, because the file was not where it was.
    again: Option<u64>,
}

/// What reading on in the arrays has given.
pub(crate) enum Part {
    /// Offsets of entries.
    Offsets,
    /// Nothing: all entries that the header counts were taken.
    End,
    /// These offsets, which are not in order: nothing was taken.
    Disordered(Vec<u64>, Fault),
}

impl Arrays {
    /// The next entry, if its offset was read.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.offsets.next()
    }

    /// Reads offsets of the next entries.
    pub(crate) fn read_on(&mut self, bytes: &Bytes) -> Result<Part, Fault> {
        let wanted = bytes.header().n_entries.saturating_sub(self.taken);
        if wanted == 0 {
            return Ok(Part::End);
        }
        if self.items_left == 0 {
            self.next_array(bytes)?;
        }
        let at_once = (bytes.windows().ahead_max() / ENTRY_SPAN).min(ARRAY_ITEMS_MAX) as u64;
        let offsets = part(bytes, self.items_at, self.items_left.min(wanted).min(at_once))?;
        // journald appends: an item out of order names an entry of another place.
        if !offsets.is_sorted_by(|a, b| a < b) {
            let fault = Fault::Damaged { what: "an entry array out of order", offset: self.items_at };
            return Ok(Part::Disordered(offsets, fault));
        }
        self.taken += offsets.len() as u64;
        self.items_left -= offsets.len() as u64;
        self.items_at += (offsets.len() * bytes.header().array_item_size()) as u64;
        self.offsets = offsets.into_iter();
        Ok(Part::Offsets)
    }

    /// Opens the array after the current one: there must be one, since the header promises more entries.
    fn next_array(&mut self, bytes: &Bytes) -> Result<(), Fault> {
        let next = match self.array {
            0 => bytes.header().entry_array_offset,
            // The link is read only now: it is set when the current array is full.
            current => u64_at(&bytes.read_fixed::<{ object::ENTRY_ARRAY_SIZE_MIN }>(current)?, 16),
        };
        if next == 0 {
            return Err(Fault::Damaged { what: "an entry array too few", offset: self.array });
        }
        let next = onward(self.array, next, "an entry array that leads back")?;
        let (items, _) = head_at(bytes, next)?;
        if items == 0 {
            return Err(Fault::Damaged { what: "an entry array without entries", offset: next });
        }
        self.array = next;
        self.items_at = next + HEAD;
        self.items_left = items;
        Ok(())
    }

    /// Puts the offsets that were read and not visited back, and those of the last `visited` entries, as if not read.
    pub(crate) fn unread(&mut self, bytes: &Bytes, visited: u64) {
        let back = self.offsets.as_slice().len() as u64 + visited;
        self.offsets = Vec::new().into_iter();
        self.taken = self.taken.saturating_sub(back);
        self.items_left += back;
        self.items_at -= (back * bytes.header().array_item_size() as u64).min(self.items_at);
    }

    /// Makes the entry of this number (counted from zero) the next to be visited; the entry before it has this sequence
    /// number.
    pub(crate) fn go_to(
        &mut self,
        bytes: &Bytes,
        visited: &mut Visited,
        chain: &Chain,
        number: u64,
        before: Option<u64>,
    ) -> Result<(), Fault> {
        self.offsets = Vec::new().into_iter();
        self.again = None;
        self.taken = number;
        if let Some(seqnum) = before {
            visited.set_number(seqnum);
        }
        if let Some((array, done)) = chain.array_of(number) {
            self.array = array;
            self.items_at = array + HEAD + done * bytes.header().array_item_size() as u64;
            self.items_left = head_at(bytes, array)?.0.saturating_sub(done);
        }
        Ok(())
    }

    /// Keeps an entry, to be visited again.
    pub(crate) fn keep(&mut self, offset: Option<u64>) {
        self.again = offset;
    }

    /// The entry that was kept.
    #[inline]
    pub(crate) fn take_kept(&mut self) -> Option<u64> {
        self.again.take()
    }

    /// Takes so many more entries for done: they were found by search, or are lost.
    pub(crate) fn count(&mut self, entries: u64) {
        self.taken += entries;
    }

    /// Takes all entries that the header counts for done.
    pub(crate) fn end(&mut self, bytes: &Bytes) {
        self.taken = bytes.header().n_entries;
    }

    /// How many entries are done, those included whose offsets were read.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The number of the next entry to be visited, counted from zero.
    #[inline]
    pub(crate) fn number_next(&self) -> u64 {
        self.taken.saturating_sub(self.offsets.as_slice().len() as u64)
    }

    /// The number of the entry visited last, counted from zero.
    pub(crate) fn number_visited(&self) -> u64 {
        self.number_next().saturating_sub(1)
    }

    /// The offsets of the next entries, as far as they were read.
    #[inline]
    pub(crate) fn coming(&self) -> &[u64] {
        self.offsets.as_slice()
    }

    /// Where unread items of the current array begin.
    pub(crate) fn items_at(&self) -> u64 {
        self.items_at
    }

    /// The offset of the next entry when no offset is left that was read; only looks.
    pub(crate) fn look_on(&self, bytes: &Bytes) -> Option<u64> {
        if self.taken >= bytes.header().n_entries || self.array == 0 {
            return None;
        }
        let items_at = match self.items_left {
            0 => head_at(bytes, self.array).ok()?.1.checked_add(HEAD)?,
            _ => self.items_at,
        };
        part(bytes, items_at, 1).ok()?.first().copied()
    }
}

/// Some items of an entry array, at most so many; at least one.
pub(crate) fn part(bytes: &Bytes, at: u64, count: u64) -> Result<Vec<u64>, Fault> {
    let item_size = bytes.header().array_item_size();
    let mut items = vec![0; count.min(ARRAY_ITEMS_MAX as u64) as usize * item_size];
    let read = bytes.read_at_most(&mut items, at)?;
    items.truncate(read / item_size * item_size);
    if items.is_empty() {
        return Err(Fault::Damaged { what: "an entry array behind the file's end", offset: at });
    }
    Ok(match item_size {
        4 => items.chunks_exact(4).map(|b| u64::from(u32_at(b, 0))).collect(),
        _ => items.chunks_exact(8).map(|b| u64_at(b, 0)).collect(),
    })
}

/// How many items the array at this offset has room for, and the array behind it (zero: none).
pub(crate) fn head_at(bytes: &Bytes, offset: u64) -> Result<(u64, u64), Fault> {
    let head = bytes.read_fixed::<{ object::ENTRY_ARRAY_SIZE_MIN }>(offset)?;
    let size = bytes.check_object(&head, offset, object::TYPE_ENTRY_ARRAY, object::ENTRY_ARRAY_SIZE_MIN)?;
    Ok(((size - HEAD) / bytes.header().array_item_size() as u64, u64_at(&head, 16)))
}
