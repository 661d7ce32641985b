//! Looking things up in a file instead of reading it through: a value by its hash, the entries that have it, and an
//! entry's place among all.
//!
//! ```text
//!  header ─ data hash table ─▶ bucket ─▶ DATA ─ next ─▶ DATA …        all of one bucket, as they were written
//!                                         │
//!                                         ├─ entry ─▶ ENTRY            the first entry with this value
//!                                         └─ entry array ─▶ ENTRY_ARRAY ─ next ─▶ …     the others
//! ```
//!
//! Objects are appended, so chains lead forward only; one that does not is damaged. journald links an entry into the
//! file's own array first and into those of its values then, so of the newest entry these may know nothing yet: it is
//! always found by the file's own array. Source: systemd, `journal_file_find_data_object_with_hash` and
//! `journal_file_link_entry` in `src/libsystemd/sd-journal/journal-file.c`.

use std::io::{BufReader, Read};

use super::cursor::Cursor;
use super::decompress::Decompressor;
use super::file::{Fault, FileSlice, JournalFile, take_items};
use super::filter::Wanted;
use super::object::{self, u64_at};
use super::seek::ArrayInfo;
use super::step::onward;

/// DATA objects of one bucket (count). journald begins a new file when a chain has a hundred; longer ones were made.
const CHAIN_MAX: usize = 10_000;
/// Bytes of a bucket of the hash table: first and last object.
const BUCKET: u64 = 16;
/// Entries that are passed over while one is looked up (count): below that, reading them all is cheaper. One that is
/// looked up costs a read of its own, about 3 µs; one passed over in reading on, a third of a microsecond.
const LOOK_UP_RATIO: u64 = 16;

/// What a DATA object says of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Data {
    pub offset: u64,
    /// How many entries have it.
    pub entries: u64,
    /// The first of them; zero when there is none.
    first: u64,
    /// The chain of arrays that name the others.
    array: u64,
}

impl JournalFile {
    /// The DATA object that holds `payload`, which is `FIELD=value`.
    ///
    /// # Errors
    /// When the hash table is damaged where it would be, or cannot be read.
    pub(super) fn find_data(&mut self, payload: &[u8]) -> Result<Option<Data>, Fault> {
        let (table, buckets) = (self.header.hash_table, self.header.hash_table_size / BUCKET);
        let damaged = |what, offset| Fault::Damaged { what, offset };
        let hash = self.header.hashing.of(payload).ok_or(damaged("a hash table whose key is lost", table))?;
        let bucket = hash.checked_rem(buckets).ok_or(damaged("no hash table", table))?;
        let at = table.saturating_add(bucket * BUCKET);
        self.check_place(at, BUCKET)?;
        let (mut offset, mut before) = (u64_at(&self.read_fixed::<16>(at)?, 0), 0);
        let payload_at = self.header.data_payload();
        for _ in 0..CHAIN_MAX {
            if offset == 0 {
                return Ok(None);
            }
            offset = onward(before, offset, "a hash chain that leads back")?;
            self.check_place(offset, payload_at as u64)?;
            let head = self.show_behind(offset, payload_at)?;
            let [its, next, first, array, entries] = [16, 24, 40, 48, 56].map(|at| u64_at(head, at));
            if its.checked_rem(buckets) != Some(bucket) {
                return Err(damaged("an object in another's hash chain", offset));
            }
            if its == hash && self.holds(offset, payload)? {
                return Ok(Some(Data { offset, entries, first, array }));
            }
            (before, offset) = (offset, next);
        }
        Err(damaged("a hash chain without end", at))
    }

    /// Whether a DATA object holds this payload.
    fn holds(&mut self, offset: u64, payload: &[u8]) -> Result<bool, Fault> {
        let payload_at = self.header.data_payload();
        let head = self.show_behind(offset, payload_at)?.to_vec();
        let size = self.check_object(&head, offset, object::TYPE_DATA, payload_at + 1)?;
        let packed = size - payload_at as u64;
        let flags = head.get(1).copied().unwrap_or(0) & 7;
        if flags == 0 && packed != payload.len() as u64 {
            return Ok(false);
        }
        let source = FileSlice::new(self, offset + payload_at as u64, packed);
        // One byte more tells a longer payload.
        let (limit, mut bytes) = (payload.len() + 1, Vec::new());
        match flags {
            0 => drop(source.take(limit as u64).read_to_end(&mut bytes)?),
            _ => Decompressor::default()
                .unpack(flags, BufReader::new(source), limit, &mut bytes)
                .map_err(|_| Fault::Damaged { what: "a payload that does not unpack", offset })?,
        }
        Ok(bytes == payload)
    }

    /// Asks the hash table for the values that are looked for and were not there yet.
    pub(super) fn look_up(&mut self) -> Result<(), Fault> {
        let values = self.header.values();
        let Some(mut wanted) = self.wanted.take() else { return Ok(()) };
        let mut answers = Vec::new();
        let mut result = Ok(());
        for (term, payload) in wanted.unanswered(values) {
            let found = match self.find_data(&payload) {
                // With a wrong key nothing would be there.
                Ok(None) if self.settle_hashing() => self.find_data(&payload),
                found => found,
            };
            match found {
                Ok(found) => answers.push((term, found)),
                Err(Fault::Damaged { .. }) => wanted.distrust(),
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        if result.is_ok() {
            wanted.answer(values, answers);
        }
        self.wanted = Some(wanted);
        result
    }

    /// Whether an entry of these DATA objects is wanted.
    pub(super) fn wants(&mut self, items: &[u64]) -> bool {
        let Some(mut wanted) = self.wanted.take() else { return true };
        let compare = |offset, terms: &[Vec<u8>]| {
            self.check_place(offset, self.header.data_payload() as u64).ok()?;
            // A damaged one is none of them.
            terms.iter().position(|term| self.holds(offset, term).unwrap_or(false))
        };
        let answer = wanted.test(items, compare);
        self.wanted = Some(wanted);
        answer
    }

    /// The entries from `from` on among which all wanted ones are, the last of the file excepted, if to look them up is
    /// cheaper than to read them all.
    pub(super) fn plan(&mut self, from: u64) -> Result<Option<Box<Walk>>, Fault> {
        let candidates = self.wanted.as_deref().and_then(Wanted::candidates);
        let Some((cost, data)) = candidates else { return Ok(None) };
        if cost.saturating_mul(LOOK_UP_RATIO) > self.header.n_entries.saturating_sub(from) {
            return Ok(None);
        }
        let arrays = self.arrays()?;
        let total = arrays.last().map_or(0, |a| a.first + a.count);
        let Some(last) = total.checked_sub(1).filter(|last| from < *last) else { return Ok(None) };
        let (at, end) = (self.offset_at(&arrays, from)?, self.offset_at(&arrays, last)?);
        let lists = data.iter().map(List::new).collect();
        Ok(Some(Box::new(Walk { lists, arrays, from, wanted: 0, at, end, last })))
    }

    /// The offsets of all entries that may be wanted, if to look them up is cheaper than to read them all.
    pub(super) fn walk_through(&mut self) -> Result<Option<Vec<u64>>, Fault> {
        let Some(mut walk) = self.plan(0)? else { return Ok(None) };
        let walked: Result<Vec<u64>, Fault> = std::iter::from_fn(|| walk.next(self).transpose()).collect();
        match walked {
            Ok(offsets) => Ok(Some(offsets.into_iter().chain([walk.end]).collect())),
            Err(Fault::Damaged { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// How many wanted entries of the microsecond stand directly before the entry at an offset.
    pub(super) fn count_before(&mut self, offset: u64, realtime: u64) -> Result<u64, Fault> {
        let arrays = self.arrays()?;
        let number = self.number_at(&arrays, offset)?;
        self.count_together(&arrays, number, realtime)
    }

    /// As [`JournalFile::count_before`], by the entry's number.
    pub(super) fn count_together(
        &mut self,
        arrays: &[ArrayInfo],
        number: u64,
        realtime: u64,
    ) -> Result<u64, Fault> {
        let mut count = 0;
        for number in (0..number).rev() {
            let glance = self.offset_at(arrays, number).and_then(|offset| self.glance(offset));
            match glance {
                Ok((cursor, _)) if cursor.realtime != realtime => break,
                Ok((_, wanted)) => count += u64::from(wanted),
                // As in reading on: it is passed over.
                Err(Fault::Damaged { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(count)
    }

    /// The number of the first entry at or behind an offset.
    pub(super) fn number_at(&mut self, arrays: &[ArrayInfo], offset: u64) -> Result<u64, Fault> {
        let (mut low, mut high) = (0, arrays.last().map_or(0, |a| a.first + a.count));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.offset_at(arrays, middle)? < offset {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// An entry that is not the one visited: its cursor, and whether it is wanted.
    pub(super) fn glance(&mut self, offset: u64) -> Result<(Cursor, bool), Fault> {
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        let head = self.read_fixed::<{ object::ENTRY_SIZE_MIN }>(offset)?;
        let size = self.check_object(&head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        let cursor = self.cursor_of(&head);
        if self.wanted.is_none() {
            return Ok((cursor, true));
        }
        let items = self.items_of(offset, size)?;
        Ok((cursor, self.wants(&items)))
    }

    /// The offsets of the DATA objects of an ENTRY of this size that is not the one visited.
    pub(super) fn items_of(&self, offset: u64, size: u64) -> Result<Vec<u64>, Fault> {
        let (mut items, mut bytes) = (Vec::new(), Vec::new());
        let (at, len) = (offset + object::ENTRY_SIZE_MIN as u64, size - object::ENTRY_SIZE_MIN as u64);
        self.check_items(offset, size)?;
        FileSlice::new(self, at, len).read_to_end(&mut bytes)?;
        take_items(&bytes, self.header.entry_item_size(), &mut items);
        Ok(items)
    }
}

/// Entries by the values that they have: of several lists, in order, each once.
#[derive(Debug)]
pub(super) struct Walk {
    lists: Vec<List>,
    /// The file's own arrays, when it was planned.
    pub arrays: Vec<ArrayInfo>,
    /// The number of the entry it begins at, and how many behind it were wanted.
    pub from: u64,
    pub wanted: u64,
    /// Entries before this offset are not walked, or have been.
    at: u64,
    /// The entry where reading goes on, by offset and number.
    end: u64,
    pub last: u64,
}

impl Walk {
    /// The offset of the next entry; `None` when it is time to read on at the last one.
    pub(super) fn next(&mut self, file: &JournalFile) -> Result<Option<u64>, Fault> {
        let mut least = None;
        for list in &mut self.lists {
            let next = list.from(self.at, file)?;
            least = least.into_iter().chain(next).min();
        }
        let least = least.filter(|offset| *offset < self.end);
        if let Some(offset) = least {
            self.at = offset + 1;
        }
        Ok(least)
    }

    /// First offset that has not been walked.
    pub(super) fn reached(&self) -> u64 {
        self.at
    }
}

/// The entries of one DATA object.
#[derive(Debug)]
struct List {
    /// The one that is next, if it has been read.
    head: Option<u64>,
    /// Those read from the current array behind it.
    read: std::vec::IntoIter<u64>,
    /// Where the current array's unread items begin, and how many these are.
    items_at: u64,
    items_left: u64,
    /// The current array, zero before the first, and the one behind it.
    array: u64,
    next_array: u64,
    /// Entries in no array yet read.
    left: u64,
}

impl List {
    fn new(data: &Data) -> List {
        let head = (data.entries > 0).then_some(data.first);
        List {
            head,
            read: Vec::new().into_iter(),
            items_at: 0,
            items_left: 0,
            array: 0,
            next_array: data.array,
            left: data.entries.saturating_sub(1),
        }
    }

    /// The first entry at or behind an offset.
    fn from(&mut self, at: u64, file: &JournalFile) -> Result<Option<u64>, Fault> {
        while let Some(head) = self.head.filter(|head| *head < at) {
            self.head = self.next(file)?;
            if let Some(next) = self.head {
                onward(head, next, "an entry array out of order")?;
            }
        }
        Ok(self.head)
    }

    fn next(&mut self, file: &JournalFile) -> Result<Option<u64>, Fault> {
        loop {
            if let Some(offset) = self.read.next() {
                return Ok(Some(offset));
            }
            if self.left == 0 {
                return Ok(None);
            }
            if self.items_left == 0 {
                // A chain that ends early, or leads back, is damaged.
                let array = onward(self.array, self.next_array, "an entry array without successor")?;
                self.array = array;
                (self.items_left, self.next_array) = file.array_at(array)?;
                self.items_at = array + object::ENTRY_ARRAY_SIZE_MIN as u64;
            }
            let items = file.array_part(self.items_at, self.items_left.min(self.left))?;
            let count = items.len() as u64;
            self.items_at += count * file.header.array_item_size() as u64;
            self.items_left -= count;
            self.left -= count;
            self.read = items.into_iter();
        }
    }
}
