//! The fields of an entry: what its DATA objects say, read only as far as they are wanted.

use std::io;

use memchr::memchr;

use crate::bytes::Bytes;
use crate::entries::visited::{LEFT_OUT, Visited, item_hash};
use crate::fields::{self, Fields};
use crate::format::decompress::Decompressor;
use crate::format::fault::Fault;
use crate::format::name::NAME_MAX;
use crate::format::object::{self, u64_at};

/// Bytes that are read at once of a compressed payload that no window holds.
const PACKED_PIECE: usize = 16 << 10;

/// Loads the fields of the entry last visited.
pub(crate) struct Loader<'a> {
    pub bytes: &'a mut Bytes,
    pub visited: &'a Visited,
    /// The entry has been proved by its hashes.
    pub in_doubt: bool,
    pub fields: &'a mut Fields,
    pub unpack: &'a mut Decompressor,
}

/// One DATA object whose head was read.
#[derive(Clone, Copy)]
struct Data {
    offset: u64,
    identity: u64,
    /// Where its payload begins, and how long it is as it is stored (bytes).
    at: u64,
    len: usize,
    /// How it is compressed; zero: it is not.
    flags: u8,
    /// Other entries refer to it, too.
    recurs: bool,
}

impl Loader<'_> {
    /// Adds the fields of the entry. `tag` names this file among the reader's.
    ///
    /// # Errors
    /// When a field is damaged, or the file cannot be read.
    pub(crate) fn load(&mut self, tag: u16) -> Result<(), Fault> {
        // Offsets are multiples of eight: a field that was read before the file came into doubt has another identity, and
        // is not found in the cache any more.
        let file = fields::identity(tag, u64::from(self.in_doubt));
        self.fields.begin();
        let (items, mut at) = (self.visited.items(), 0);
        self.fields.fetch(file, items);
        loop {
            // What is in the cache has passed all checks.
            at += self.fields.add_cached(file, items.get(at..).unwrap_or_default());
            let Some(offset) = items.get(at).copied() else { return Ok(()) };
            if offset != LEFT_OUT {
                self.bytes.check_place(offset, self.bytes.header().data_payload() as u64)?;
                self.load_data(at, offset, file | offset)?;
            }
            at += 1;
        }
    }

    fn load_data(&mut self, index: usize, offset: u64, identity: u64) -> Result<(), Fault> {
        let payload_at = self.bytes.header().data_payload();
        if self.bytes.windows().ahead(offset, payload_at).is_none() {
            self.bytes.show_behind(offset, payload_at)?;
        }
        let head = self.bytes.windows().shown(offset, payload_at).unwrap_or_default();
        let size = self.bytes.check_object(head, offset, object::TYPE_DATA, payload_at + 1)?;
        // In doubt, the entry has been proved with all its hashes; a single one of them may be damaged.
        let stated = u64_at(head, 16);
        let named = || item_hash(self.bytes, self.visited.spot().offset, index);
        if !self.in_doubt && named().is_some_and(|hash| hash != stated) {
            return Err(Fault::Hash { offset });
        }
        let data = Data {
            offset,
            identity,
            at: offset + payload_at as u64,
            len: size as usize - payload_at,
            flags: head.get(1).copied().unwrap_or(0) & 7,
            recurs: u64_at(head, 56) > 1,
        };
        match data.flags {
            0 => self.load_stored(data),
            _ => self.load_packed(data),
        }
    }

    fn load_packed(&mut self, data: Data) -> Result<(), Fault> {
        let Loader { bytes, fields, unpack, .. } = self;
        let Data { offset, identity, at, len, flags, recurs } = data;
        let start = fields.arena().len();
        let limit = fields.value_max().saturating_add(NAME_MAX + 1);
        let unpacked = match bytes.windows().shown(at, len) {
            Some(packed) => unpack.unpack(flags, packed, limit, fields.arena()),
            None => {
                let source = bytes.slice(at, len as u64);
                let mut source = io::BufReader::with_capacity(len.min(PACKED_PIECE), source);
                unpack.unpack(flags, &mut source, limit, fields.arena())
            }
        };
        unpacked.map_err(|_| Fault::Packed { offset })?;
        match fields.name_in_arena(start, NAME_MAX) {
            Some((name_len, Some(key))) => {
                fields.cut_value(start, name_len);
                fields.add_from_arena(identity, start, name_len, key, recurs);
            }
            Some((_, None)) => {
                fields.arena().truncate(start);
                fields.remember_unwanted(identity, recurs);
            }
            None => return Err(Fault::Damaged { what: "a field without a name", offset }),
        }
        Ok(())
    }

    #[inline]
    fn load_stored(&mut self, data: Data) -> Result<(), Fault> {
        let Loader { bytes, fields, .. } = self;
        let Data { offset, identity, at, len, recurs, .. } = data;
        let peek = len.min(NAME_MAX + 1);
        if bytes.windows().shown(at, peek).is_none() {
            bytes.show_behind(at, peek)?;
        }
        let begin = bytes.windows().shown(at, peek).unwrap_or_default();
        let name_len = memchr(b'=', begin)
            .filter(|n| *n > 0)
            .ok_or(Fault::Damaged { what: "a field without a name", offset })?;
        let Some(key) = fields.wanted(begin.get(..name_len).unwrap_or_default()) else {
            fields.remember_unwanted(identity, recurs);
            return Ok(());
        };
        let start = fields.arena().len();
        let len = len.min(name_len + 1 + fields.value_max());
        match bytes.windows().shown(at, len) {
            Some(payload) => fields.arena().extend_from_slice(payload),
            None => {
                let arena = fields.arena();
                arena.resize(start + len, 0);
                let read = bytes.read_at_most(arena.get_mut(start..).unwrap_or_default(), at)?;
                if read < len {
                    arena.truncate(start);
                    return Err(Fault::Damaged { what: "a field behind the file's end", offset });
                }
            }
        }
        fields.add_from_arena(identity, start, name_len, key, recurs);
        Ok(())
    }
}
