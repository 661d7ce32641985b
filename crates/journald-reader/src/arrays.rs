//! Entry arrays: the chain of lists that names a file's entries in order, read forward in pieces.
//!
//! journald appends arrays as the file grows, each twice as long as the one before, and fills the last one from the front.

use super::file::{Fault, JournalFile};
use super::object::{self, u32_at, u64_at};
use super::step::onward;

/// Items of an entry array that are read at once.
const ARRAY_ITEMS: usize = 512;
/// Bytes that a typical entry takes of the file, with its new DATA objects: a window and the offsets read at once last
/// equally long.
const ENTRY_SPAN: usize = 512;

impl JournalFile {
    /// Takes what was read of the current array and not visited back, and as many that were, as if not read.
    pub(super) fn unread(&mut self, visited: u64) {
        let back = self.offsets.as_slice().len() as u64 + visited;
        self.offsets = Vec::new().into_iter();
        self.visited = self.visited.saturating_sub(back);
        self.items_left += back;
        self.items_at -= (back * self.header.array_item_size() as u64).min(self.items_at);
    }

    pub(super) fn next_offset(&mut self) -> Result<Option<u64>, Fault> {
        if let Some(walk) = self.walk.take()
            && let Some(offset) = self.next_walked(walk)?
        {
            return Ok(Some(offset));
        }
        loop {
            if let Some(offset) = self.offsets.next() {
                return Ok(Some(offset));
            }
            let wanted = self.header.n_entries.saturating_sub(self.visited);
            if wanted == 0 {
                return Ok(None);
            }
            if self.items_left == 0 {
                self.next_array()?;
            }
            let at_once = (self.ahead_max / ENTRY_SPAN).min(ARRAY_ITEMS) as u64;
            let offsets = self.array_part(self.items_at, self.items_left.min(wanted).min(at_once))?;
            // journald appends: an item that stands out of order names an entry of another place.
            if !offsets.is_sorted_by(|a, b| a < b) {
                self.go_back(&offsets, self.visited);
                return Err(Fault::Damaged { what: "an entry array out of order", offset: self.items_at });
            }
            self.visited += offsets.len() as u64;
            self.items_left -= offsets.len() as u64;
            self.items_at += (offsets.len() * self.header.array_item_size()) as u64;
            self.offsets = offsets.into_iter();
        }
    }

    /// Some items of an entry array, at most so many; at least one.
    pub(super) fn array_part(&self, at: u64, count: u64) -> Result<Vec<u64>, Fault> {
        let item_size = self.header.array_item_size();
        let mut bytes = vec![0; count.min(ARRAY_ITEMS as u64) as usize * item_size];
        let read = self.file.read_at_most(&mut bytes, at)?;
        bytes.truncate(read / item_size * item_size);
        if bytes.is_empty() {
            return Err(Fault::Damaged { what: "an entry array behind the file's end", offset: at });
        }
        Ok(match item_size {
            4 => bytes.chunks_exact(4).map(|b| u64::from(u32_at(b, 0))).collect(),
            _ => bytes.chunks_exact(8).map(|b| u64_at(b, 0)).collect(),
        })
    }

    /// Opens the array after the current one: there must be one, since the header promises more entries.
    fn next_array(&mut self) -> Result<(), Fault> {
        let next = match self.array {
            0 => self.header.entry_array_offset,
            // The link is read only now: it is set when the current array is full.
            current => u64_at(&self.read_fixed::<{ object::ENTRY_ARRAY_SIZE_MIN }>(current)?, 16),
        };
        if next == 0 {
            return Err(Fault::Damaged { what: "an entry array too few", offset: self.array });
        }
        let next = onward(self.array, next, "an entry array that leads back")?;
        let items = self.array_items(next)?;
        if items == 0 {
            return Err(Fault::Damaged { what: "an entry array without entries", offset: next });
        }
        self.array = next;
        self.items_at = next + object::ENTRY_ARRAY_SIZE_MIN as u64;
        self.items_left = items;
        Ok(())
    }

    /// How many items the array at this offset has room for.
    fn array_items(&self, offset: u64) -> Result<u64, Fault> {
        Ok(self.array_at(offset)?.0)
    }

    /// How many items an array whose head was read has room for.
    pub(super) fn array_room(&self, head: &[u8], offset: u64) -> Result<u64, Fault> {
        let size = self.check_object(head, offset, object::TYPE_ENTRY_ARRAY, object::ENTRY_ARRAY_SIZE_MIN)?;
        Ok((size - object::ENTRY_ARRAY_SIZE_MIN as u64) / self.header.array_item_size() as u64)
    }

    /// How many items the array at this offset has room for, and the array behind it.
    pub(super) fn array_at(&self, offset: u64) -> Result<(u64, u64), Fault> {
        let head = self.read_fixed::<{ object::ENTRY_ARRAY_SIZE_MIN }>(offset)?;
        Ok((self.array_room(&head, offset)?, u64_at(&head, 16)))
    }

    /// Makes the item of this number in an array the next to be visited, if there is any array; so many entries stand
    /// before it, the last of them with this number.
    pub(super) fn go_to(
        &mut self,
        array: Option<(u64, u64)>,
        visited: u64,
        last: Option<u64>,
    ) -> Result<(), Fault> {
        self.offsets = Vec::new().into_iter();
        self.again = None;
        self.visited = visited;
        self.place.seqnum = last.unwrap_or(self.place.seqnum);
        if let Some((array, done)) = array {
            self.array = array;
            self.items_at =
                array + object::ENTRY_ARRAY_SIZE_MIN as u64 + done * self.header.array_item_size() as u64;
            self.items_left = self.array_items(array)?.saturating_sub(done);
        }
        Ok(())
    }
}
