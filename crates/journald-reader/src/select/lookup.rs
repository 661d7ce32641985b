//! Looking a value up in a file by its hash.
//!
//! ```text
//!  header ─ data hash table ─▶ bucket ─▶ DATA ─ next ─▶ DATA …        all of one bucket, as they were written
//!                                         │
//!                                         ├─ entry ─▶ ENTRY            the first entry with this value
//!                                         └─ entry array ─▶ ENTRY_ARRAY ─ next ─▶ …     the others
//! ```
//!
//! Objects are appended, so chains lead forward only; a chain that leads back is damaged. journald links an entry into the
//! file's own array first and into the arrays of its values then. So these may not name the newest entry yet: that one is
//! always found by the file's own array. Source: systemd, `journal_file_find_data_object_with_hash` and
//! `journal_file_link_entry` in `src/libsystemd/sd-journal/journal-file.c`.

use std::io::{BufReader, Read};

use crate::bytes::Bytes;
use crate::cursor::{Cursor, Id128};
use crate::entries::chain::Chain;
use crate::format::decompress::Decompressor;
use crate::format::fault::Fault;
use crate::format::object::{self, u64_at};
use crate::format::step::onward;

/// DATA objects of one bucket (count). journald begins a new file when a chain has a hundred; a longer one is damage.
const CHAIN_MAX: usize = 10_000;
/// Entries of one instant that are compared (count): journald gives more than a few the same microsecond only where it copies.
const INSTANT_MAX: usize = 1024;
/// Bytes of a bucket of the hash table: first and last object.
const BUCKET: u64 = 16;

/// What a DATA object says of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Data {
    pub offset: u64,
    /// How many entries have it.
    pub entries: u64,
    /// The first of them; zero when no entry has it.
    pub first: u64,
    /// The chain of arrays that name the others.
    pub array: u64,
}

impl Data {
    /// What the object at an offset says; it begins with these bytes.
    fn of(offset: u64, head: &[u8]) -> Data {
        let [first, array, entries] = [object::DATA_ENTRY, 48, 56].map(|at| u64_at(head, at));
        Data { offset, entries, first, array }
    }

    /// What the object at an offset says.
    pub(crate) fn at(bytes: &Bytes, offset: u64) -> Result<Data, Fault> {
        Ok(Data::of(offset, &bytes.read_fixed::<{ object::DATA_SIZE_MIN }>(offset)?))
    }

    /// Whether the entry at an offset is one of its entries.
    pub(crate) fn lists(&self, bytes: &mut Bytes, entry: u64) -> Result<bool, Fault> {
        if self.first == entry {
            return Ok(true);
        }
        let others = Chain::of(bytes, self.array, self.entries.saturating_sub(1))?;
        let number = others.number_at(bytes, entry)?;
        Ok(number < others.total() && others.offset_at(bytes, number)? == entry)
    }
}

/// The DATA object that holds `payload`, which is `FIELD=value`.
///
/// # Errors
/// When the hash table is damaged where the object would be, or cannot be read.
pub(crate) fn find_data(bytes: &mut Bytes, payload: &[u8]) -> Result<Option<Data>, Fault> {
    let header = bytes.header();
    let (table, buckets) = (header.hash_table, header.hash_table_size / BUCKET);
    let damaged = |what, offset| Fault::Damaged { what, offset };
    let hash = header.hashing.of(payload).ok_or(damaged("a hash table whose key is lost", table))?;
    let bucket = hash.checked_rem(buckets).ok_or(damaged("no hash table", table))?;
    let payload_at = header.data_payload();
    let at = table.saturating_add(bucket * BUCKET);
    bytes.check_place(at, BUCKET)?;
    let (mut offset, mut before) = (u64_at(&bytes.read_fixed::<16>(at)?, 0), 0);
    for _ in 0..CHAIN_MAX {
        if offset == 0 {
            return Ok(None);
        }
        offset = onward(before, offset, "a hash chain that leads back")?;
        bytes.check_place(offset, payload_at as u64)?;
        let head = bytes.show_behind(offset, payload_at)?;
        let ([its, next], data) = ([16, 24].map(|at| u64_at(head, at)), Data::of(offset, head));
        if its.checked_rem(buckets) != Some(bucket) {
            return Err(damaged("an object in another's hash chain", offset));
        }
        if its == hash && holds(bytes, offset, payload)? {
            return Ok(Some(data));
        }
        (before, offset) = (offset, next);
    }
    Err(damaged("a hash chain without end", at))
}

/// The entries of a boot: the first one, and the chain that names the others. Their monotonic times ascend even where the wall
/// clock was set back.
fn of_boot(bytes: &mut Bytes, boot: Id128) -> Result<Option<(Cursor, Chain)>, Fault> {
    let boot = format!("_BOOT_ID={boot}");
    let Some(boot) = find_data(bytes, boot.as_bytes())?.filter(|boot| boot.entries > 0) else {
        return Ok(None);
    };
    let first = bytes.entry_at(boot.first)?.0;
    Ok(Some((first, Chain::of(bytes, boot.array, boot.entries - 1)?)))
}

/// The entries that are equal to this one: of its boot, its time and its fields, of whatever counter. No more than
/// [`INSTANT_MAX`] entries of the instant are looked at.
pub(crate) fn equal_entries(bytes: &mut Bytes, entry: &Cursor) -> Result<Vec<Cursor>, Fault> {
    let Some((first, others)) = of_boot(bytes, entry.boot_id)? else { return Ok(Vec::new()) };
    let mut found = vec![first];
    let begin = others.first_not(bytes, |other| other.monotonic < entry.monotonic)?;
    for number in (begin..others.total()).take(INSTANT_MAX) {
        match others.cursor_at(bytes, number)? {
            other if other.monotonic == entry.monotonic => found.push(other),
            _ => break,
        }
    }
    found.retain(|other| other.same_content(entry));
    Ok(found)
}

/// The latest time of a boot (monotonic, microseconds) among its entries up to this number; `None` if it has none.
pub(crate) fn latest_of_boot(bytes: &mut Bytes, boot: Id128, number: u64) -> Result<Option<u64>, Fault> {
    let Some((first, others)) = of_boot(bytes, boot)? else { return Ok(None) };
    match others.first_not(bytes, |entry| entry.seqnum <= number)?.checked_sub(1) {
        Some(last) => Ok(Some(others.cursor_at(bytes, last)?.monotonic)),
        None => Ok((first.seqnum <= number).then_some(first.monotonic)),
    }
}

/// Whether a DATA object holds this payload.
pub(crate) fn holds(bytes: &mut Bytes, offset: u64, payload: &[u8]) -> Result<bool, Fault> {
    let payload_at = bytes.header().data_payload();
    let head = bytes.show_behind(offset, payload_at)?.to_vec();
    let size = bytes.check_object(&head, offset, object::TYPE_DATA, payload_at + 1)?;
    let packed = size - payload_at as u64;
    let flags = head.get(1).copied().unwrap_or(0) & 7;
    if flags == 0 && packed != payload.len() as u64 {
        return Ok(false);
    }
    let source = bytes.slice(offset + payload_at as u64, packed);
    // One byte more tells a longer payload.
    let (limit, mut found) = (payload.len() + 1, Vec::new());
    match flags {
        0 => drop(source.take(limit as u64).read_to_end(&mut found)?),
        _ => Decompressor::default()
            .unpack(flags, BufReader::new(source), limit, &mut found)
            .map_err(|_| Fault::Damaged { what: "a payload that does not unpack", offset })?,
    }
    Ok(found == payload)
}
