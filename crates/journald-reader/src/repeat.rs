//! Entries that stand in a file twice: a disk may have written a block, or a part of one, over another.
//!
//! journald only appends. So the fields of an entry stand before it, its number is above the numbers before it, and
//! within a boot no time is below an earlier one. An entry that breaks one of these has come from another place of the
//! file, where it still stands, and the entry that was there is lost. What came early is remembered until its own place is reached, so
//! that it is not handed on again.

use super::cursor::Cursor;
use super::file::{Fault, JournalFile, Spot};
use super::object::{self, u64_at};
use super::seek::Place;

/// Entries that are remembered for having come before their place (count). Where there are more, what comes late is taken
/// for damage.
const EARLY_MAX: usize = 64;

impl JournalFile {
    /// Whether nothing tells that the entry last visited is from another place of the file, its number aside.
    #[inline]
    pub(super) fn is_in_place(&self, offset: u64, entry: &Cursor) -> bool {
        self.is_behind_its_fields(offset)
            && entry.realtime >= self.run.0
            && (entry.seqnum == self.place.seqnum + 1 || !self.is_overtaken(entry))
    }

    /// Whether the fields of the entry last visited stand before it. They are in the order of their places.
    #[inline]
    pub(super) fn is_behind_its_fields(&self, offset: u64) -> bool {
        self.items.last().is_some_and(|last| *last < offset)
    }

    /// Whether the next entry has a number that is not above this one's. Where numbers are missing, that is asked of every entry.
    pub(super) fn is_overtaken(&self, entry: &Cursor) -> bool {
        let Some(next) = self.place_ahead() else { return false };
        match self.ahead.get(next, object::ENTRY_SIZE_MIN) {
            Some(next) => {
                next.first() == Some(&object::TYPE_ENTRY) && (1..=entry.seqnum).contains(&u64_at(next, 16))
            }
            None => self.entry_at(next).is_ok_and(|next| (1..=entry.seqnum).contains(&next.seqnum)),
        }
    }

    /// Where the next entry stands, in the arrays.
    fn place_ahead(&self) -> Option<u64> {
        if let Some(next) = self.offsets.as_slice().first() {
            return Some(*next);
        }
        if self.walk.is_some() || self.visited >= self.header.n_entries || self.array == 0 {
            return None;
        }
        let items_at = match self.items_left {
            0 => self.array_at(self.array).ok()?.1.checked_add(object::ENTRY_ARRAY_SIZE_MIN as u64)?,
            _ => self.items_at,
        };
        self.array_part(items_at, 1).ok()?.first().copied()
    }

    /// Whether neither of the next two entries has a number above this one's: then it is this one that lies.
    pub(super) fn is_overtaken_twice(&self, entry: &Cursor) -> bool {
        let next = self.offsets.as_slice().get(..2).unwrap_or_default();
        next.len() == 2
            && next.iter().all(|next| self.entry_at(*next).is_ok_and(|next| next.seqnum <= entry.seqnum))
    }

    /// Whether the entry last visited has come from further up in the file, though its number is that of this place: it
    /// alone is older than the last one, and it stands up there, too.
    pub(super) fn is_from_before(&mut self, entry: &Cursor) -> Result<bool, Fault> {
        if entry.realtime >= self.run.0 {
            return Ok(false);
        }
        let next = self.offsets.as_slice().first().and_then(|next| self.entry_at(*next).ok());
        if next.is_some_and(|next| next.realtime < self.run.0) {
            // Several: the clock was set back, or somebody has written entries twice, as systemd-journal-upload does when
            // it is not sure.
            return Ok(false);
        }
        let arrays = self.arrays()?;
        let from = self.find(&arrays, Place::Realtime(entry.realtime))?;
        for number in from..self.number_visited() {
            match self.cursor_at(&arrays, number) {
                Ok(other) if other.realtime != entry.realtime => break,
                Ok(other) if (Cursor { seqnum: entry.seqnum, ..other }) == *entry => return Ok(true),
                Err(fault @ Fault::Io(_)) => return Err(fault),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Remembers the entries that were handed on although they belong behind this place or behind this number; where the one
    /// before them stands. `None` when there are too many. So many entries were visited; the one visited last is another one then.
    pub(super) fn recall(&mut self, visited: u64, offset: u64, seqnum: u64) -> Result<Option<Spot>, Fault> {
        let arrays = self.arrays()?;
        for (steps, number) in (0..visited).rev().enumerate() {
            let entry = self.offset_at(&arrays, number).and_then(|at| Ok((at, self.entry_at(at)?)));
            let (at, entry) = match entry {
                Ok(entry) => entry,
                Err(Fault::Damaged { .. }) => continue,
                Err(fault) => return Err(fault),
            };
            if at < offset && entry.seqnum < seqnum {
                return Ok(Some(Spot { offset: at, seqnum: entry.seqnum }));
            }
            if steps == EARLY_MAX || self.early.len() == EARLY_MAX {
                return Ok(None);
            }
            // One that is another by its hashes was not this one.
            if self.is_sound(at)? && !self.early.contains(&entry) {
                self.early.push(entry);
            }
        }
        Ok(Some(Spot::default()))
    }

    /// Before a search: when an array leads back to an entry that stands before the last one, an earlier item has led too far.
    /// What lies between was not read yet.
    pub(super) fn go_back(&mut self, offsets: &[u64], visited: u64) {
        let leads_back = |offset: &&u64| **offset <= self.place.offset && self.entry_at(**offset).is_ok();
        if self.walk.is_none()
            && let Some(offset) = offsets.iter().find(leads_back).copied()
            && let Ok(entry) = self.entry_at(offset)
            && let Ok(Some(spot)) = self.recall(visited, offset, entry.seqnum)
        {
            self.place = spot;
        }
    }

    /// The number of the entry last visited, counted from zero.
    pub(super) fn number_visited(&self) -> u64 {
        self.visited.saturating_sub(self.offsets.as_slice().len() as u64 + 1)
    }

    /// Whether an entry before the last one has the right hashes.
    fn is_sound(&mut self, at: u64) -> Result<bool, Fault> {
        let place = std::mem::take(&mut self.place);
        let result = self.visit(at).and_then(|entry| self.verify(at, &entry));
        self.place = place;
        match result {
            Ok(()) => Ok(true),
            Err(fault @ Fault::Io(_)) => Err(fault),
            Err(_) => Ok(false),
        }
    }

    /// Whether an entry that has its place here was handed on before.
    pub(super) fn came_early(&self, entry: &Cursor) -> bool {
        self.early.contains(entry)
    }
}
