//! Finding a place in a file without reading it through: by what its header says of its first and last entry, and
//! by bisection over its entry arrays.

use super::cursor::Cursor;
use super::file::{Fault, JournalFile};
use super::object::{self, Header, u32_at, u64_at};
use super::step::onward;

/// Bytes that are read at once when entries are read backward: some fifty entries.
const BACKWARD: usize = 32 << 10;
/// Arrays of a chain that are looked at to find a place (count): each is twice as long as the one before it, so no honest
/// chain has more. What lies behind is read through.
const ARRAYS_MAX: usize = 1024;

/// A place between the entries of a journal; what lies before it is not wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Before all entries.
    First,
    /// Before the first entry of the file's own counter with this number or a higher one.
    Seqnum(u64),
    /// Before the first entry written at this time or later (realtime, microseconds).
    Realtime(u64),
    /// Behind this entry, or where it would stand.
    After(Cursor),
}

/// How all entries of a file lie to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// All of them before it.
    Before,
    /// Some of them may lie on either side.
    Around,
    /// All of them behind it.
    Behind,
}

impl Place {
    /// The same place, as it can be found fastest in a file with this header.
    fn within(self, header: &Header) -> Place {
        match self {
            Place::After(cursor) if cursor.seqnum_id == header.seqnum_id => {
                Place::Seqnum(cursor.seqnum.saturating_add(1))
            }
            place => place,
        }
    }

    /// Whether it is behind an entry.
    pub(super) fn is_behind(&self, entry: &Cursor) -> bool {
        match self {
            Place::First => false,
            Place::Seqnum(seqnum) => entry.seqnum < *seqnum,
            Place::Realtime(time) => entry.realtime < *time,
            Place::After(cursor) => entry.order(cursor).is_le(),
        }
    }

    /// What the header of a file tells, before any of its entries is read. `still`: nobody writes to the file.
    pub(super) fn side(self, header: &Header, still: bool) -> Side {
        let Header { head_seqnum, head_realtime, tail_realtime, .. } = *header;
        // A header that contradicts itself is not believed.
        let Some(tail_seqnum) = header.tail_seqnum().filter(|_| header.n_entries > 0) else {
            return Side::Around;
        };
        let (head, tail, place) = match self.within(header) {
            Place::First => return Side::Behind,
            Place::Seqnum(seqnum) => (head_seqnum, tail_seqnum, seqnum),
            Place::Realtime(time) if head_realtime <= tail_realtime => (head_realtime, tail_realtime, time),
            Place::Realtime(_) | Place::After(_) => return Side::Around,
        };
        match () {
            () if head >= place => Side::Behind,
            () if tail < place && still => Side::Before,
            () => Side::Around,
        }
    }
}

/// One array of the chain: where it is, which entries it holds.
#[derive(Debug)]
pub(super) struct ArrayInfo {
    offset: u64,
    pub first: u64,
    pub count: u64,
}

/// Reads entries backward from a place.
pub(super) struct Backward {
    arrays: Vec<ArrayInfo>,
    /// The offsets of all entries that may be wanted, if they were looked up.
    walked: Option<Vec<u64>>,
    /// Entries that are left.
    left: u64,
}

impl JournalFile {
    /// How all entries of this file lie to a place, told by few reads. `still`: nobody writes to the file.
    pub(super) fn side(&mut self, place: Place, still: bool) -> Result<Side, Fault> {
        let side = place.side(&self.header, still);
        if side != Side::Around || self.header.n_entries == 0 {
            return Ok(side);
        }
        let Place::After(_) = place.within(&self.header) else { return Ok(side) };
        // Entries of another counter go by boot and time, which headers do not tell of.
        let lies = |entry: Result<Cursor, Fault>| match entry {
            Ok(entry) => Ok(Some(place.is_behind(&entry))),
            Err(Fault::Damaged { .. }) => Ok(None),
            Err(fault) => Err(fault),
        };
        let Header { entry_array_offset, tail_array, .. } = self.header;
        if lies(self.entry_in(entry_array_offset, 0))? == Some(false) {
            return Ok(Side::Behind);
        }
        if let Some((array, entries)) = tail_array.filter(|_| still)
            && lies(self.entry_in(array, entries - 1))? == Some(true)
        {
            return Ok(Side::Before);
        }
        Ok(Side::Around)
    }

    /// The entry that an item of an array names.
    fn entry_in(&mut self, array: u64, item: u64) -> Result<Cursor, Fault> {
        let only = [ArrayInfo { offset: array, first: 0, count: item + 1 }];
        self.cursor_at(&only, item)
    }

    /// Goes to a place, so that [`JournalFile::next`] gives the first entry behind it; entries must be in the order that
    /// the place speaks of, as journald writes them.
    ///
    /// The entry just before that place has been passed then; those of its microsecond that stand with it are counted,
    /// so that places in a microsecond do not depend on where reading began.
    pub(super) fn seek(&mut self, place: Place) -> Result<(), Fault> {
        self.look_up()?;
        let arrays = self.arrays()?;
        let target = self.find(&arrays, place)?;
        let last = target.checked_sub(1).and_then(|index| self.cursor_at(&arrays, index).ok());
        self.go_to_entry(&arrays, target, last.map(|last| last.seqnum))?;
        let together = match last {
            Some(last) => self.count_together(&arrays, target, last.realtime)?,
            None => 0,
        };
        self.begin_behind(last, together);
        Ok(())
    }

    /// Makes the entry of this number the next to be visited; the entry before it has this sequence number.
    pub(super) fn go_to_entry(
        &mut self,
        arrays: &[ArrayInfo],
        number: u64,
        before: Option<u64>,
    ) -> Result<(), Fault> {
        let found = arrays.iter().rev().find(|a| a.first <= number);
        self.go_to(found.map(|array| (array.offset, number - array.first)), number, before)
    }

    /// The number of the first entry behind a place, counted from zero.
    pub(super) fn find(&mut self, arrays: &[ArrayInfo], place: Place) -> Result<u64, Fault> {
        let place = place.within(&self.header);
        let (mut low, mut high) = (0, arrays.last().map_or(0, |a| a.first + a.count));
        while low < high {
            let middle = low + (high - low) / 2;
            // What cannot be read says nothing; the next that can be read does.
            match self.first_readable(arrays, middle, high)? {
                Some((index, cursor)) if place.is_behind(&cursor) => low = index + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first entry of these numbers that can be read, and its number.
    fn first_readable(
        &mut self,
        arrays: &[ArrayInfo],
        from: u64,
        to: u64,
    ) -> Result<Option<(u64, Cursor)>, Fault> {
        for index in from..to {
            match self.cursor_at(arrays, index) {
                Ok(cursor) => return Ok(Some((index, cursor))),
                Err(Fault::Damaged { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    /// Whether an entry stands in this file, as far as its arrays tell.
    pub(super) fn holds_entry(&mut self, entry: &Cursor) -> Result<bool, Fault> {
        let arrays = self.arrays()?;
        let index = self.find(&arrays, Place::Seqnum(entry.seqnum))?;
        match self.cursor_at(&arrays, index) {
            Ok(found) => Ok(found == *entry),
            Err(Fault::Damaged { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Begins to read backward from a place, or from the end; forward reading begins anew after it.
    pub(super) fn backward(&mut self, place: Option<Place>) -> Result<Backward, Fault> {
        self.look_up()?;
        let arrays = self.arrays()?;
        let total = arrays.last().map_or(0, |a| a.first + a.count);
        let mut left = place.map_or(Ok(total), |place| self.find(&arrays, place))?;
        let walked = self.walk_through()?;
        if let Some(walked) = &walked {
            let end = if left < total { self.offset_at(&arrays, left)? } else { u64::MAX };
            left = walked.partition_point(|offset| *offset < end) as u64;
        }
        Ok(Backward { arrays, walked, left })
    }

    /// The wanted entry before the last one given; those that cannot be read are passed over.
    pub(super) fn previous(&mut self, backward: &mut Backward) -> Option<Cursor> {
        while let Some(index) = backward.left.checked_sub(1) {
            backward.left = index;
            let walked = backward.walked.as_ref().map(|walked| walked.get(index as usize).copied());
            let offset = match walked {
                Some(offset) => offset,
                None => self.offset_at(&backward.arrays, index).ok(),
            };
            let Some(offset) = offset else { continue };
            if self.wanted.is_some() {
                match self.glance(offset) {
                    Ok((cursor, true)) => return Some(cursor),
                    _ => continue,
                }
            }
            if self.ahead.get(offset, object::ENTRY_SIZE_MIN).is_none() {
                let start = (offset + object::ENTRY_SIZE_MIN as u64).saturating_sub(BACKWARD as u64);
                self.ahead.load(&self.file, start, BACKWARD).ok()?;
            }
            let head = self.ahead.get(offset, object::ENTRY_SIZE_MIN).unwrap_or_default();
            if self.check_object(head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN).is_ok() {
                return Some(self.cursor_of(head));
            }
        }
        None
    }

    /// The chain of arrays that hold entries.
    pub(super) fn arrays(&self) -> Result<Vec<ArrayInfo>, Fault> {
        let len = self.file.metadata()?.len();
        let mut arrays = Vec::new();
        let (mut offset, mut first) = (self.header.entry_array_offset, 0);
        while offset != 0 && first < self.header.n_entries && arrays.len() < ARRAYS_MAX {
            let (items, next) = match self.array_at(offset) {
                Ok(array) => array,
                Err(Fault::Damaged { .. }) => break,
                Err(fault) => return Err(fault),
            };
            // A damaged size may claim any number of items; those behind the file's end do not exist.
            let items_at = offset + object::ENTRY_ARRAY_SIZE_MIN as u64;
            let held = len.saturating_sub(items_at) / self.header.array_item_size() as u64;
            let count = items.min(held).min(self.header.n_entries - first);
            arrays.push(ArrayInfo { offset, first, count });
            first += count;
            let Ok(next) = onward(offset, next, "an entry array that leads back") else { break };
            offset = next;
        }
        Ok(arrays)
    }

    /// Where the entry of this number stands.
    pub(super) fn offset_at(&mut self, arrays: &[ArrayInfo], index: u64) -> Result<u64, Fault> {
        let lost = Fault::Damaged { what: "an entry outside the arrays", offset: 0 };
        let array = arrays.iter().rev().find(|a| a.first <= index).ok_or(lost)?;
        let item_size = self.header.array_item_size();
        let at =
            array.offset + object::ENTRY_ARRAY_SIZE_MIN as u64 + (index - array.first) * item_size as u64;
        let bytes = self.show_behind(at, item_size)?;
        let offset = if item_size == 4 { u64::from(u32_at(bytes, 0)) } else { u64_at(bytes, 0) };
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        Ok(offset)
    }

    pub(super) fn cursor_at(&mut self, arrays: &[ArrayInfo], index: u64) -> Result<Cursor, Fault> {
        let offset = self.offset_at(arrays, index)?;
        self.entry_at(offset)
    }
}
