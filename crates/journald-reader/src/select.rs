//! Selecting: which of a file's entries are handed on, and how they are come by.
//!
//! With a filter, entries that it does not want are passed over: in reading on, each is tested; or, where they are few, those
//! that may be wanted are walked along the entry arrays of the values that they have, up to the file's newest entry of when
//! that was decided. The ordinal of an entry counts wanted ones only, so both ways give the same.

use super::cursor::Cursor;
use super::file::{Fault, JournalFile};
use super::lookup::Walk;
use super::loss::Reason;

impl JournalFile {
    /// Finds out where what is wanted stands, and from a new place on how to get there.
    pub(super) fn prepare(&mut self) -> Result<(), Fault> {
        self.look_up()?;
        if !self.planned {
            let from = self.visited - (self.offsets.as_slice().len() as u64).min(self.visited);
            self.walk = self.plan(from)?;
            self.planned = true;
        }
        Ok(())
    }

    /// Whether the entry just visited is wanted; it gets its place in its microsecond.
    #[inline]
    pub(super) fn admit(&mut self, cursor: &Cursor, offset: u64) -> Result<bool, Fault> {
        let wanted = self.wanted.is_none() || self.wants_visited();
        if self.run.0 != cursor.realtime {
            self.run = (cursor.realtime, 0);
        } else if self.jumped && wanted && self.run.1 > 0 {
            // Entries of other times may stand between, when the clock has jumped back.
            match self.count_before(offset, cursor.realtime) {
                Ok(count) => self.run.1 = count,
                Err(fault @ Fault::Io(_)) => return Err(fault),
                // As many as were seen.
                Err(_) => {}
            }
        }
        self.jumped = false;
        if wanted {
            self.ordinal = self.run.1;
            self.run.1 += 1;
        }
        match &mut self.walk {
            Some(walk) => walk.wanted += u64::from(wanted),
            None => self.unwanted += u64::from(!wanted),
        }
        Ok(wanted)
    }

    fn wants_visited(&mut self) -> bool {
        let items = std::mem::take(&mut self.items);
        let wanted = self.wants(&items);
        self.items = items;
        wanted
    }

    /// The next entry by the values that it has; `None` when reading goes on entry by entry.
    pub(super) fn next_walked(&mut self, mut walk: Box<Walk>) -> Result<Option<u64>, Fault> {
        self.jumped = true;
        let next = match walk.next(self) {
            Ok(None) => self.leave_walk(&walk, walk.last).map(|()| None),
            // What the values say of their entries is damaged; the entries may not be.
            Err(Fault::Damaged { .. }) => self
                .number_at(&walk.arrays, walk.reached())
                .and_then(|number| self.leave_walk(&walk, number))
                .map(|()| None),
            next => next,
        };
        if !matches!(next, Ok(None)) {
            self.walk = Some(walk);
        }
        next
    }

    /// Reads on entry by entry, at this number.
    fn leave_walk(&mut self, walk: &Walk, number: u64) -> Result<(), Fault> {
        let before = number.checked_sub(1).and_then(|before| {
            let offset = self.offset_at(&walk.arrays, before).ok()?;
            Some(self.entry_at(offset).ok()?.seqnum)
        });
        self.go_to_entry(&walk.arrays, number, before)?;
        self.unwanted += number.saturating_sub(walk.from + walk.wanted);
        Ok(())
    }

    /// Something was damaged; false when nothing was being walked. What the values name may be wrong, the file's own arrays
    /// right: reading goes on by these at `at`, or where the walk is, and where they are damaged, too, it is searched on.
    pub(super) fn give_up_walk(&mut self, at: Option<u64>) -> Result<bool, Fault> {
        let Some(walk) = self.walk.take() else { return Ok(false) };
        let number = self.number_at(&walk.arrays, at.unwrap_or(walk.reached()));
        match number.and_then(|number| self.leave_walk(&walk, number)) {
            Ok(()) => {}
            Err(fault @ Fault::Io(_)) => {
                self.walk = Some(walk);
                return Err(fault);
            }
            Err(fault) => self.begin_search(Reason::Array, &fault),
        }
        Ok(true)
    }
}
