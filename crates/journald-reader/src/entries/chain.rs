//! The whole chain of entry arrays: finds the entry of a number, and places by bisection, without reading the file
//! through.

use super::arrays::{ARRAY_ITEMS_MAX, head_at, part};
use super::place::{Place, SET_BACK_MAX};
use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::format::fault::Fault;
use crate::format::object::{self, u32_at, u64_at};
use crate::format::step::onward;

/// Arrays of a chain that are looked at to find a place (count): each is twice as long as the one before it, so no honest
/// chain has more. Entries behind them are read one by one.
const ARRAYS_MAX: usize = 1024;

/// By so much two clocks of a host may differ in [`SET_BACK_MAX`] (microseconds): the system speeds a clock up or slows it down by
/// 500 millionths at most (adjtimex(2)).
const STEADY: u64 = 2_000_000;
/// Boots within [`SET_BACK_MAX`] that are looked at (count); a host that starts more often is taken for unsteady.
const BOOTS_MAX: usize = 8;

/// The arrays of a file at one moment. Entries have numbers in it, counted from zero.
#[derive(Debug)]
pub(crate) struct Chain(Vec<Array>);

/// One array of the chain: where it is, which entries it holds.
#[derive(Debug)]
struct Array {
    offset: u64,
    first: u64,
    count: u64,
}

impl Chain {
    /// Reads the heads of all arrays of a file.
    pub(crate) fn read(bytes: &Bytes) -> Result<Chain, Fault> {
        Chain::of(bytes, bytes.header().entry_array_offset, bytes.header().n_entries)
    }

    /// Reads the heads of the arrays that begin with this one and name so many entries.
    pub(crate) fn of(bytes: &Bytes, array: u64, entries: u64) -> Result<Chain, Fault> {
        let (len, item_size) = (bytes.len()?, bytes.header().array_item_size() as u64);
        let mut arrays = Vec::new();
        let (mut offset, mut first) = (array, 0);
        while offset != 0 && first < entries && arrays.len() < ARRAYS_MAX {
            let (items, next) = match head_at(bytes, offset) {
                Ok(array) => array,
                Err(Fault::Damaged { .. }) => break,
                Err(fault) => return Err(fault),
            };
            // A damaged size may claim any number of items; those behind the file's end do not exist.
            let items_at = offset + object::ENTRY_ARRAY_SIZE_MIN as u64;
            let held = len.saturating_sub(items_at) / item_size;
            let count = items.min(held).min(entries - first);
            arrays.push(Array { offset, first, count });
            first += count;
            let Ok(next) = onward(offset, next, "an entry array that leads back") else { break };
            offset = next;
        }
        Ok(Chain(arrays))
    }

    /// One array alone, which holds so many entries.
    pub(crate) fn only(offset: u64, count: u64) -> Chain {
        Chain(vec![Array { offset, first: 0, count }])
    }

    /// How many entries it names.
    pub(crate) fn total(&self) -> u64 {
        self.0.last().map_or(0, |array| array.first + array.count)
    }

    /// The array that holds the entry of this number, and how many entries stand before it in that array.
    pub(crate) fn array_of(&self, number: u64) -> Option<(u64, u64)> {
        let array = self.0.iter().rev().find(|array| array.first <= number)?;
        Some((array.offset, number - array.first))
    }

    /// Where the entry of this number stands.
    pub(crate) fn offset_at(&self, bytes: &mut Bytes, number: u64) -> Result<u64, Fault> {
        let lost = Fault::Damaged { what: "an entry outside the arrays", offset: 0 };
        let (array, before) = self.array_of(number).ok_or(lost)?;
        let item_size = bytes.header().array_item_size();
        let at = array + object::ENTRY_ARRAY_SIZE_MIN as u64 + before * item_size as u64;
        let item = bytes.show_behind(at, item_size)?;
        let offset = if item_size == 4 { u64::from(u32_at(item, 0)) } else { u64_at(item, 0) };
        bytes.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        Ok(offset)
    }

    /// Where the entries of the highest numbers up to this one stand, as far as one read of their array shows them, and the number
    /// of the first of them.
    pub(crate) fn offsets_up_to(&self, bytes: &Bytes, number: u64) -> Result<(u64, Vec<u64>), Fault> {
        let lost = Fault::Damaged { what: "an entry outside the arrays", offset: 0 };
        let (array, before) = self.array_of(number).ok_or(lost)?;
        let count = (before + 1).min(ARRAY_ITEMS_MAX as u64);
        let first = (before + 1 - count) * bytes.header().array_item_size() as u64;
        let offsets = part(bytes, array + object::ENTRY_ARRAY_SIZE_MIN as u64 + first, count)?;
        Ok((number + 1 - count, offsets))
    }

    /// The cursor of the entry of this number.
    pub(crate) fn cursor_at(&self, bytes: &mut Bytes, number: u64) -> Result<Cursor, Fault> {
        let offset = self.offset_at(bytes, number)?;
        Ok(bytes.entry_at(offset)?.0)
    }

    /// The number of the first entry at or behind an offset.
    pub(crate) fn number_at(&self, bytes: &mut Bytes, offset: u64) -> Result<u64, Fault> {
        let (mut low, mut high) = (0, self.total());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.offset_at(bytes, middle)? < offset {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// The number of the first entry behind a place. Entries must be in the order that the place speaks of, as journald
    /// writes them.
    pub(crate) fn find(&self, bytes: &mut Bytes, place: Place) -> Result<u64, Fault> {
        if let Place::Since(time) = place {
            return self.since(bytes, time);
        }
        let place = place.within(bytes.header());
        self.first_not(bytes, |entry| place.is_behind(entry))
    }

    /// The number of the first entry behind [`Place::Since`] a time (microseconds).
    fn since(&self, bytes: &mut Bytes, time: u64) -> Result<u64, Fault> {
        let target = self.find(bytes, Place::Realtime(time.saturating_sub(STEADY)))?;
        let early = self.find(bytes, Place::Realtime(time.saturating_sub(SET_BACK_MAX)))?;
        if early < target && self.is_steady(bytes, early, target)? {
            Ok(target)
        } else {
            Ok(early.min(target))
        }
    }

    /// Whether the clock went on steadily in the entries of these numbers, the end exclusive: by each boot's own clock, its last entry
    /// was written as long after its first one as by the time of day.
    fn is_steady(&self, bytes: &mut Bytes, from: u64, to: u64) -> Result<bool, Fault> {
        let Some((_, first)) = self.first_readable(bytes, from, to)? else { return Ok(false) };
        let mut end = to;
        for _ in 0..BOOTS_MAX {
            let Some((_, last)) = self.first_readable(bytes, end.saturating_sub(1), to)? else {
                return Ok(false);
            };
            if last.boot_id == first.boot_id {
                return Ok(is_steady(&first, &last));
            }
            // The first entry of this boot, and the last one of the boot before it.
            let (mut low, mut high) = (from, end);
            while low < high {
                let middle = low + (high - low) / 2;
                match self.first_readable(bytes, middle, high)? {
                    Some((number, entry)) if entry.boot_id != last.boot_id => low = number + 1,
                    _ => high = middle,
                }
            }
            let Some((_, begin)) = self.first_readable(bytes, low, end)? else { return Ok(false) };
            let before = self.first_readable(bytes, low.saturating_sub(1), low)?;
            if !is_steady(&begin, &last) || before.is_some_and(|(_, before)| before.realtime > begin.realtime)
            {
                return Ok(false);
            }
            end = low;
        }
        Ok(false)
    }

    /// The number of the first entry that does not meet a condition. All entries before it must meet it, and none behind it may.
    pub(crate) fn first_not(
        &self,
        bytes: &mut Bytes,
        condition: impl Fn(&Cursor) -> bool,
    ) -> Result<u64, Fault> {
        let (mut low, mut high) = (0, self.total());
        while low < high {
            let middle = low + (high - low) / 2;
            // An entry that cannot be read says nothing; the next readable one does.
            match self.first_readable(bytes, middle, high)? {
                Some((number, cursor)) if condition(&cursor) => low = number + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first entry of these numbers that can be read, and its number.
    fn first_readable(&self, bytes: &mut Bytes, from: u64, to: u64) -> Result<Option<(u64, Cursor)>, Fault> {
        for number in from..to {
            match self.cursor_at(bytes, number) {
                Ok(cursor) => return Ok(Some((number, cursor))),
                Err(Fault::Damaged { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    /// Whether an entry stands in the file, as far as its arrays tell.
    pub(crate) fn holds(&self, bytes: &mut Bytes, entry: &Cursor) -> Result<bool, Fault> {
        let number = self.find(bytes, Place::Seqnum(entry.seqnum))?;
        match self.cursor_at(bytes, number) {
            Ok(found) => Ok(found == *entry),
            Err(Fault::Damaged { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

/// Whether the time of day went on between two entries of a boot as the boot's own clock did.
fn is_steady(first: &Cursor, last: &Cursor) -> bool {
    let by_day = i128::from(last.realtime) - i128::from(first.realtime);
    let by_boot = i128::from(last.monotonic) - i128::from(first.monotonic);
    first.boot_id == last.boot_id && (by_day - by_boot).unsigned_abs() <= u128::from(STEADY)
}
