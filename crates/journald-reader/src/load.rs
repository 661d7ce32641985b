//! The fields of an entry: what its DATA objects say, read only as far as somebody wants it.

use std::io;

use memchr::memchr;

use super::decompress::Decompressor;
use super::fields::{self, Fields};
use super::file::{Fault, FileSlice, JournalFile, NAME_MAX};
use super::loss::Reason;
use super::object::{self, u64_at};
use super::verify::LEFT_OUT;

/// Bits that no offset has: with them it could pass for another one, or another file's, in the cache.
const NO_OFFSET: u64 = !(object::OFFSET_MAX - 1) | 7;

impl JournalFile {
    /// Adds the fields of the entry last handed on. `tag` names this file among the reader's.
    ///
    /// One that is damaged is left out and counted, and the file is in doubt from now on.
    ///
    /// # Errors
    /// When it is the entry that is damaged: it is counted as lost. Or when the file is no longer where it was: nothing is
    /// counted yet.
    pub(super) fn load(
        &mut self,
        tag: u16,
        fields: &mut Fields,
        unpack: &mut Decompressor,
    ) -> Result<(), Fault> {
        let loaded = match self.load_items(tag, fields, unpack) {
            Err(fault) if !matches!(fault, Fault::Io(_)) => {
                self.verify_again(fault).and_then(|()| self.load_items(tag, fields, unpack))
            }
            loaded => loaded,
        };
        match &loaded {
            Ok(()) if self.in_doubt() => self.count_left_out(),
            Ok(()) => {}
            // One that was renamed may be found again.
            Err(fault) if fault.is_moved() => {}
            Err(fault) => drop(self.lose(Reason::Field, 1, fault)),
        }
        loaded
    }

    /// Something in the entry last visited is damaged: finds out whether it can do without.
    #[cold]
    fn verify_again(&mut self, fault: Fault) -> Result<(), Fault> {
        self.distrust();
        let offset = self.place.offset;
        let entry = self.read_entry(offset)?;
        // Whoever has changed the file meanwhile has made another entry of it.
        if entry.seqnum != self.place.seqnum {
            return Err(fault);
        }
        self.verify(offset, &entry)
    }

    fn load_items(&mut self, tag: u16, fields: &mut Fields, unpack: &mut Decompressor) -> Result<(), Fault> {
        // Offsets are multiples of eight: what was read before the file came into doubt is another field, and is
        // not found in the cache any more.
        let file = fields::identity(tag, u64::from(self.in_doubt()));
        fields.begin();
        for index in 0..self.items.len() {
            let Some(offset) = self.items.get(index).copied() else { break };
            let identity = file | offset;
            if offset == LEFT_OUT {
                continue;
            }
            // What is in the cache has passed all checks.
            if offset & NO_OFFSET == 0 && fields.add_cached(identity) {
                continue;
            }
            self.check_place(offset, self.header.data_payload() as u64)?;
            self.load_data(index, offset, identity, fields, unpack)?;
        }
        Ok(())
    }

    fn load_data(
        &mut self,
        index: usize,
        offset: u64,
        identity: u64,
        fields: &mut Fields,
        unpack: &mut Decompressor,
    ) -> Result<(), Fault> {
        let payload_at = self.header.data_payload();
        if self.ahead.get(offset, payload_at).is_none() {
            self.show_behind(offset, payload_at)?;
        }
        let head = self.shown(offset, payload_at).unwrap_or_default();
        let size = self.check_object(head, offset, object::TYPE_DATA, payload_at + 1)?;
        // In doubt, the entry has been proved with all its hashes, of which one may be damaged.
        let stated = u64_at(head, 16);
        if !self.in_doubt() && self.item_hash(self.place.offset, index).is_some_and(|hash| hash != stated) {
            return Err(Fault::Hash { offset });
        }
        let flags = head.get(1).copied().unwrap_or(0) & 7;
        let recurs = u64_at(head, 56) > 1;
        let packed = size as usize - payload_at;
        let at = offset + payload_at as u64;
        let start = fields.arena().len();
        let limit = fields.value_max().saturating_add(NAME_MAX + 1);

        if flags != 0 {
            let unpacked = match self.shown(at, packed) {
                Some(bytes) => unpack.unpack(flags, bytes, limit, fields.arena()),
                None => {
                    let source = FileSlice::new(self, at, packed as u64);
                    let mut source = io::BufReader::with_capacity(packed.min(16 << 10), source);
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
            return Ok(());
        }

        let peek = packed.min(NAME_MAX + 1);
        if self.shown(at, peek).is_none() {
            self.show_behind(at, peek)?;
        }
        let bytes = self.shown(at, peek).unwrap_or_default();
        let name_len = memchr(b'=', bytes)
            .filter(|n| *n > 0)
            .ok_or(Fault::Damaged { what: "a field without a name", offset })?;
        let Some(key) = fields.wanted(bytes.get(..name_len).unwrap_or_default()) else {
            fields.remember_unwanted(identity, recurs);
            return Ok(());
        };
        let len = packed.min(name_len + 1 + fields.value_max());
        match self.shown(at, len) {
            Some(bytes) => fields.arena().extend_from_slice(bytes),
            None => {
                let arena = fields.arena();
                arena.resize(start + len, 0);
                let read = self.file.read_at_most(arena.get_mut(start..).unwrap_or_default(), at)?;
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
