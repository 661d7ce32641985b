//! The on-disk layout: where each number of a journal file stands.
//!
//! The picture of a file is at the top of the crate.

use super::hash;
use crate::cursor::{Cursor, Id128};

/// First bytes of every journal file.
pub(crate) const SIGNATURE: &[u8; 8] = b"LPKSHHRH";

/// Where the id of the file stands.
pub(crate) const FILE_ID: u64 = 24;

/// Bytes of the header that this reader looks at; the oldest header is this long.
pub(crate) const HEADER_SIZE_MIN: usize = 208;

/// A header of this size or more counts DATA objects (systemd 187).
const N_DATA_END: u64 = 216;

/// `incompatible_flags`: a file with a bit that is not known here must not be read.
pub(crate) const INCOMPATIBLE_XZ: u32 = 1;
pub(crate) const INCOMPATIBLE_LZ4: u32 = 2;
pub(crate) const INCOMPATIBLE_KEYED_HASH: u32 = 4;
pub(crate) const INCOMPATIBLE_ZSTD: u32 = 8;
pub(crate) const INCOMPATIBLE_COMPACT: u32 = 16;
const INCOMPATIBLE_KNOWN: u32 =
    INCOMPATIBLE_XZ | INCOMPATIBLE_LZ4 | INCOMPATIBLE_KEYED_HASH | INCOMPATIBLE_ZSTD | INCOMPATIBLE_COMPACT;

/// `state` of a file that is being written, or was when its writer died.
const STATE_ONLINE: u8 = 1;
/// `state` of a file that will never change again.
const STATE_ARCHIVED: u8 = 2;

/// Object types that this reader follows.
pub(crate) const TYPE_DATA: u8 = 1;
pub(crate) const TYPE_ENTRY: u8 = 3;
pub(crate) const TYPE_ENTRY_ARRAY: u8 = 6;
/// The highest type (TAG).
pub(crate) const TYPE_MAX: u64 = 7;

/// Object flags: how a DATA payload is compressed.
pub(crate) const COMPRESSED_XZ: u8 = 1;
pub(crate) const COMPRESSED_LZ4: u8 = 2;
pub(crate) const COMPRESSED_ZSTD: u8 = 4;

/// Times at or beyond this are not believed (microseconds): systemd's own limit, in the year 3111
/// (`VALID_REALTIME`, `VALID_MONOTONIC`).
pub(crate) const TIME_MAX: u64 = 1 << 55;

/// Bytes of the fixed part of a DATA object, and the place in it that names the first entry with this field.
pub(crate) const DATA_SIZE_MIN: usize = 64;
pub(crate) const DATA_ENTRY: usize = 40;
/// Bytes of the fixed part of an ENTRY.
pub(crate) const ENTRY_SIZE_MIN: usize = 64;
/// Bytes of the fixed part of an ENTRY_ARRAY.
pub(crate) const ENTRY_ARRAY_SIZE_MIN: usize = 24;

/// Offsets at or beyond this are not believed (256 TiB; journald's own limit for a file is 4 GiB, or
/// 64 GiB and more when told so). It leaves sixteen bits of an offset free, which the field cache uses.
pub(crate) const OFFSET_MAX: u64 = 1 << 48;

/// Reads a little-endian number; zero beyond the end, which no check in this module accepts.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + 8).and_then(|b| b.first_chunk::<8>()) {
        Some(b) => u64::from_le_bytes(*b),
        None => 0,
    }
}

/// As [`u64_at`], four bytes.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4).and_then(|b| b.first_chunk::<4>()) {
        Some(b) => u32::from_le_bytes(*b),
        None => 0,
    }
}

/// As [`u64_at`], a 128-bit id.
pub(crate) fn id_at(bytes: &[u8], at: usize) -> Id128 {
    match bytes.get(at..at + 16).and_then(|b| b.first_chunk::<16>()) {
        Some(b) => Id128(*b),
        None => Id128::default(),
    }
}

/// The hash that a DATA object states of its payload as it was before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// lookup3.
    Plain,
    /// SipHash with this key, which is the file's id.
    Keyed(Id128),
    /// SipHash with a key that is lost.
    Unknown,
}

impl Hashing {
    /// The hash of a payload; `None` when the key is lost.
    pub(crate) fn of(self, payload: &[u8]) -> Option<u64> {
        match self {
            Hashing::Plain => Some(hash::jenkins(payload)),
            Hashing::Keyed(key) => Some(hash::siphash(key, payload)),
            Hashing::Unknown => None,
        }
    }
}

/// Whether a header has `incompatible_flags` that are not known here.
pub(crate) fn has_unknown_flags(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE) && u32_at(bytes, 12) & !INCOMPATIBLE_KNOWN != 0
}

/// What the header says, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub compact: bool,
    /// How payloads are hashed.
    pub hashing: Hashing,
    pub online: bool,
    pub archived: bool,
    pub file_id: Id128,
    pub seqnum_id: Id128,
    /// First byte behind the header: no object lies before it.
    pub objects_start: u64,
    /// First byte behind the arena: no object reaches beyond it.
    pub objects_end: u64,
    pub n_entries: u64,
    pub entry_array_offset: u64,
    /// Where the object stands that was appended last, whether it is whole or not.
    pub tail_object: u64,
    /// Numbers of the first entry and the last; zero while there is none. The last one may run ahead of the arrays while
    /// an entry is being written.
    pub head_seqnum: u64,
    pub tail_seqnum: u64,
    /// When the first entry was written, and the last that is in the arrays (microseconds).
    pub head_realtime: u64,
    pub tail_realtime: u64,
    tail_monotonic: u64,
    /// The last entry array and the number of its entries, where the header has room for them (systemd 252).
    pub tail_array: Option<(u64, u64)>,
    /// First bucket of the hash table of DATA objects, and the table's size in bytes.
    pub hash_table: u64,
    pub hash_table_size: u64,
    /// DATA objects; zero in files of writers that did not count them.
    n_data: u64,
    /// What was wrong with the header, if it was mended.
    pub trouble: Option<&'static str>,
    /// The header is lost: everything here was found out from the objects.
    pub lost: bool,
}

impl Header {
    /// Checks the first bytes of a file.
    ///
    /// # Errors
    /// What is wrong with them, as a phrase that completes "is not a journal file: …".
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header, String> {
        if bytes.len() < HEADER_SIZE_MIN {
            return Err(format!("it has {} bytes, a header has {HEADER_SIZE_MIN}", bytes.len()));
        }
        if !bytes.starts_with(SIGNATURE) {
            return Err("its first bytes are not LPKSHHRH".into());
        }
        let incompatible = u32_at(bytes, 12);
        if has_unknown_flags(bytes) {
            let unknown = incompatible & !INCOMPATIBLE_KNOWN;
            return Err(format!(
                "it uses a feature that this version does not know (flags {incompatible:#x}, of which {unknown:#x} are \
                 unknown); a newer systemd has written it, or a bit of its header has flipped"
            ));
        }
        let header_size = u64_at(bytes, 88);
        let arena_size = u64_at(bytes, 96);
        let objects_end = header_size.saturating_add(arena_size);
        let outside = u64_at(bytes, 136) >= objects_end;
        if header_size < HEADER_SIZE_MIN as u64 || objects_end >= OFFSET_MAX || outside {
            return Err(format!("its header claims {header_size} bytes and an arena of {arena_size}"));
        }
        Ok(Header {
            compact: incompatible & INCOMPATIBLE_COMPACT != 0,
            hashing: match incompatible & INCOMPATIBLE_KEYED_HASH != 0 {
                true => Hashing::Keyed(id_at(bytes, FILE_ID as usize)),
                false => Hashing::Plain,
            },
            online: bytes.get(16) == Some(&STATE_ONLINE),
            archived: bytes.get(16) == Some(&STATE_ARCHIVED),
            file_id: id_at(bytes, FILE_ID as usize),
            seqnum_id: id_at(bytes, 72),
            objects_start: header_size,
            objects_end,
            // No honest file has more, and a damaged number must not become a count of lost entries.
            n_entries: u64_at(bytes, 152).min(arena_size / ENTRY_SIZE_MIN as u64),
            entry_array_offset: u64_at(bytes, 176),
            tail_object: u64_at(bytes, 136),
            head_seqnum: u64_at(bytes, 168),
            tail_seqnum: u64_at(bytes, 160),
            tail_realtime: u64_at(bytes, 192),
            tail_monotonic: u64_at(bytes, 200),
            head_realtime: u64_at(bytes, 184),
            tail_array: Some((u64::from(u32_at(bytes, 256)), u64::from(u32_at(bytes, 260))))
                .filter(|(offset, entries)| header_size >= 264 && *offset > 0 && *entries > 0),
            hash_table: u64_at(bytes, 104),
            hash_table_size: u64_at(bytes, 112),
            n_data: if header_size >= N_DATA_END { u64_at(bytes, 208) } else { 0 },
            trouble: None,
            lost: false,
        })
    }

    /// What is known of a file whose header is lost.
    pub(crate) fn lost(
        file_id: Id128,
        seqnum_id: Id128,
        len: u64,
        compact: bool,
        hashing: Hashing,
        trouble: &'static str,
    ) -> Header {
        Header {
            compact,
            hashing,
            online: false,
            // journald cannot go on writing to it.
            archived: true,
            file_id,
            seqnum_id,
            objects_start: HEADER_SIZE_MIN as u64,
            objects_end: len,
            n_entries: 0,
            entry_array_offset: 0,
            tail_object: 0,
            head_seqnum: 0,
            tail_seqnum: 0,
            head_realtime: 0,
            tail_realtime: 0,
            tail_monotonic: 0,
            tail_array: None,
            hash_table: 0,
            hash_table_size: 0,
            n_data: 0,
            trouble: Some(trouble),
            lost: true,
        }
    }

    /// The highest number that an entry of this file can have; `None` when the header's own numbers contradict each other.
    ///
    /// While a file is written it may be the number of an entry that is not in the arrays yet.
    pub(crate) fn tail_seqnum(&self) -> Option<u64> {
        let span = self.tail_seqnum.checked_sub(self.head_seqnum)?.saturating_add(1);
        (self.head_seqnum > 0 && span >= self.n_entries).then_some(self.tail_seqnum)
    }

    /// How many entries the file has, by the lower of the header's two statements: the count, and the numbers given.
    pub(crate) fn promised(&self) -> u64 {
        let span = self.tail_seqnum.checked_sub(self.head_seqnum).filter(|_| self.head_seqnum > 0);
        self.n_entries.min(span.map_or(u64::MAX, |span| span.saturating_add(1)))
    }

    /// The numbers in the header have proved wrong.
    pub(crate) fn forget_numbers(&mut self) {
        self.head_seqnum = 0;
    }

    /// Whether an entry was finished before the header was read: journald writes an entry, puts it into the
    /// arrays, and then says in the header when it was written.
    pub(crate) fn has_published(&self, entry: &Cursor) -> bool {
        self.tail_seqnum().is_none_or(|tail| {
            entry.seqnum < tail
                || (entry.seqnum == tail
                    && (entry.realtime, entry.monotonic) == (self.tail_realtime, self.tail_monotonic))
        })
    }

    /// Whether both are headers of one file, although a byte may be damaged: they have the same id, or the same first entry.
    pub(crate) fn is_same_file(&self, other: &Header) -> bool {
        let first = |header: &Header| (header.seqnum_id, header.head_seqnum, header.head_realtime);
        self.file_id == other.file_id || (self.head_seqnum > 0 && first(self) == first(other))
    }

    /// A number that changes when values were added.
    pub(crate) fn values(&self) -> u64 {
        if self.n_data == 0 { self.n_entries } else { self.n_data }
    }

    /// Where the payload of a DATA object begins: compact files keep two more numbers before it.
    pub(crate) fn data_payload(&self) -> usize {
        if self.compact { 72 } else { 64 }
    }

    /// Bytes of one item of an ENTRY.
    pub(crate) fn entry_item_size(&self) -> usize {
        if self.compact { 4 } else { 16 }
    }

    /// Bytes of one item of an ENTRY_ARRAY.
    pub(crate) fn array_item_size(&self) -> usize {
        if self.compact { 4 } else { 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0; 272];
        bytes[..8].copy_from_slice(SIGNATURE);
        bytes[88..96].copy_from_slice(&272u64.to_le_bytes());
        bytes[96..104].copy_from_slice(&(8u64 << 20).to_le_bytes());
        change(&mut bytes);
        bytes
    }

    #[test]
    fn headers_are_taken_or_refused() {
        assert!(Header::parse(&header(|_| ())).is_ok());
        assert!(Header::parse(&header(|b| b[12] = 16)).is_ok_and(|h| h.compact));
        assert!(Header::parse(&header(|b| b[16] = 2)).is_ok_and(|h| h.archived));
        for (bytes, part) in [
            (vec![], "it has 0 bytes"),
            (header(|b| b[0] = b'X'), "LPKSHHRH"),
            (header(|b| b[12] = 33), "flags 0x21, of which 0x20 are unknown"),
            (header(|b| b[89] = 0), "claims"),
            (header(|b| b[103] = 0xff), "claims"),
        ] {
            let error = Header::parse(&bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
