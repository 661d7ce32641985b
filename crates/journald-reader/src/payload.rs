//! Payloads: whether what a DATA object holds is what its hash was made of.
//!
//! Most payloads belong to many entries, so what was found of one is remembered: the sound ones at a place of their own, the
//! bad ones all, since hashing them again for each of their entries could take as long as one likes.

use std::io::BufReader;

use memchr::memchr;

use super::decompress::stated_size;
use super::file::{Fault, FileSlice, JournalFile, NAME_MAX};
use super::hash::{Jenkins, SipHash};
use super::object::{self, Hashing, u64_at};
use super::verify::Doubt;

/// Sound payloads that are remembered (count): most fields of an entry are those of others, too.
pub(super) const CHECKED: usize = 4096;
/// Bad payloads that are remembered (count); then the memory starts anew.
const BAD_MAX: usize = 4096;
/// Bytes that are read at once of a payload that no window holds.
const PIECE: usize = 64 << 10;
/// A compressed payload that unpacks to more is not checked, and not trusted (bytes): some formats need all that
/// was unpacked before to go on, so this bounds memory.
const UNPACKED_MAX: u64 = 32 << 20;

/// The hashes of a payload: the one that its DATA object states, and the one that goes into `xor_hash`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    pub own: u64,
    pub jenkins: u64,
}

/// What was found where a DATA object should stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Payload {
    /// The hash that stands there, in the object's head.
    pub stated: u64,
    /// The hashes of the payload, where there is one.
    pub found: Option<Hashes>,
    /// The object's size (bytes); zero where there is no payload.
    pub size: u64,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

/// What can be wrong with a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is none.
    Damaged(&'static str),
    /// It does not unpack.
    Packed,
    /// Its hash is another.
    Hash,
}

impl Flaw {
    /// The same of the payload at an offset.
    pub(super) fn at(self, offset: u64) -> Fault {
        match self {
            Flaw::Damaged(what) => Fault::Damaged { what, offset },
            Flaw::Packed => Fault::Packed { offset },
            Flaw::Hash => Fault::Hash { offset },
        }
    }
}

/// Both hashes of a payload at once, in pieces.
struct Hasher<'a> {
    keyed: Option<SipHash>,
    jenkins: Jenkins,
    hashed: &'a mut u64,
}

impl Hasher<'_> {
    fn new<'a>(hashing: Hashing, len: u64, hashed: &'a mut u64) -> Hasher<'a> {
        let keyed = match hashing {
            Hashing::Keyed(key) => Some(SipHash::new(key)),
            Hashing::Plain | Hashing::Unknown => None,
        };
        Hasher { keyed, jenkins: Jenkins::new(len), hashed }
    }

    fn update(&mut self, piece: &[u8]) {
        *self.hashed += piece.len() as u64;
        if let Some(keyed) = &mut self.keyed {
            keyed.update(piece);
        }
        self.jenkins.update(piece);
    }

    fn finish(self) -> Hashes {
        let jenkins = self.jenkins.finish();
        Hashes { own: self.keyed.map_or(jenkins, SipHash::finish), jenkins }
    }
}

impl JournalFile {
    /// What stands where a DATA object should.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn check_data(&mut self, offset: u64) -> Result<Payload, Fault> {
        let place = (offset >> 3) as usize % CHECKED;
        let doubt = self.doubt_mut();
        if let Some((known, payload)) = doubt.checked.get(place)
            && *known == offset
        {
            return Ok(*payload);
        }
        if let Some(payload) = doubt.bad.get(&offset) {
            return Ok(*payload);
        }
        let payload = match self.hash_data(offset) {
            Ok(payload) => payload,
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(fault) => {
                Payload { flaw: Some(flaw(&fault)), stated: self.stated_at(offset), ..Payload::default() }
            }
        };
        let doubt = self.doubt_mut();
        match (payload.flaw, doubt.checked.get_mut(place)) {
            (None, Some(slot)) => *slot = (offset, payload),
            _ => {
                if doubt.bad.len() >= BAD_MAX {
                    doubt.bad.clear();
                }
                doubt.bad.insert(offset, payload);
            }
        }
        Ok(payload)
    }

    /// Of a DATA object that must be sound: its size in bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn verify_data(&mut self, offset: u64) -> Result<u64, Fault> {
        let payload = self.check_data(offset)?;
        match payload.flaw {
            None => Ok(payload.size),
            Some(flaw) => Err(flaw.at(offset)),
        }
    }

    /// The hash that stands where a DATA object has it, whatever else is there; zero where nothing can be read.
    fn stated_at(&self, offset: u64) -> u64 {
        self.read_fixed::<24>(offset).map_or(0, |head| u64_at(&head, 16))
    }

    fn hash_data(&mut self, offset: u64) -> Result<Payload, Fault> {
        let payload_at = self.header.data_payload();
        self.check_place(offset, payload_at as u64)?;
        if self.shown(offset, payload_at).is_none() {
            self.show_behind(offset, payload_at)?;
        }
        let head = self.shown(offset, payload_at).unwrap_or_default();
        let size = self.check_object(head, offset, object::TYPE_DATA, payload_at + 1)?;
        let (flags, stated) = (head.get(1).copied().unwrap_or(0) & 7, u64_at(head, 16));
        let (at, len) = (offset + payload_at as u64, size - payload_at as u64);
        let mut doubt = self.doubt.take().unwrap_or_else(|| Box::new(Doubt::new()));
        let hashes = match flags {
            0 => self.hash_stored(at, len, &mut doubt),
            _ => self.hash_packed(flags, at, len, &mut doubt),
        };
        self.doubt = Some(doubt);
        let mut found = hashes?;
        if self.header.hashing == Hashing::Unknown {
            // Nobody can tell; the entry's own hash does.
            found.own = stated;
        }
        let flaw = (found.own != stated).then_some(Flaw::Hash);
        Ok(Payload { stated, found: Some(found), size, flaw })
    }

    fn hash_stored(&self, at: u64, len: u64, doubt: &mut Doubt) -> Result<Hashes, Fault> {
        let nameless = Fault::Damaged { what: "a field without a name", offset: at };
        let mut hasher = Hasher::new(self.header.hashing, len, &mut doubt.hashed);
        if let Some(payload) = usize::try_from(len).ok().and_then(|len| self.shown(at, len)) {
            hasher.update(payload);
            return if has_name(payload) { Ok(hasher.finish()) } else { Err(nameless) };
        }
        doubt.piece.resize(PIECE, 0);
        let mut done = 0;
        while done < len {
            let want = PIECE.min(usize::try_from(len - done).unwrap_or(PIECE));
            let piece = doubt.piece.get_mut(..want).unwrap_or_default();
            if self.file.read_at_most(piece, at + done)? < want {
                return Err(Fault::Damaged { what: "a field behind the file's end", offset: at });
            }
            if done == 0 && !has_name(piece) {
                return Err(nameless);
            }
            hasher.update(piece);
            done += want as u64;
        }
        Ok(hasher.finish())
    }

    fn hash_packed(&self, flags: u8, at: u64, packed: u64, doubt: &mut Doubt) -> Result<Hashes, Fault> {
        let broken = |_| Fault::Packed { offset: at };
        let slice = || BufReader::with_capacity(PIECE.min(packed as usize), FileSlice::new(self, at, packed));
        let mut head = [0; 32];
        let read = self.file.read_at_most(head.get_mut(..packed.min(32) as usize).unwrap_or_default(), at)?;
        // Jenkins' hash begins with the length, which xz tells only at its end.
        let len = match stated_size(flags, head.get(..read).unwrap_or_default()).map_err(broken)? {
            Some(len) => len,
            None => {
                let mut len = 0;
                doubt
                    .unpack
                    .stream(flags, slice(), UNPACKED_MAX + 1, &mut |piece| len += piece.len() as u64)
                    .map_err(broken)?;
                len
            }
        };
        if len > UNPACKED_MAX {
            return Err(Fault::Packed { offset: at });
        }
        let (mut hasher, mut done, mut named) =
            (Hasher::new(self.header.hashing, len, &mut doubt.hashed), 0, false);
        let mut take = |piece: &[u8]| {
            named |= done == 0 && has_name(piece);
            done += piece.len() as u64;
            hasher.update(piece);
        };
        doubt.unpack.stream(flags, slice(), len + 1, &mut take).map_err(broken)?;
        if done == len && named { Ok(hasher.finish()) } else { Err(Fault::Packed { offset: at }) }
    }
}

/// What a fault says of a payload.
fn flaw(fault: &Fault) -> Flaw {
    match fault {
        Fault::Packed { .. } => Flaw::Packed,
        Fault::Hash { .. } => Flaw::Hash,
        Fault::Damaged { what, .. } => Flaw::Damaged(what),
        _ => Flaw::Damaged("a field that cannot be read"),
    }
}

/// Whether a payload begins as `NAME=`.
pub(super) fn has_name(payload: &[u8]) -> bool {
    memchr(b'=', payload.get(..payload.len().min(NAME_MAX + 1)).unwrap_or_default()).is_some_and(|n| n > 0)
}

/// Whether journald takes this for the name of a field (systemd, `journal_field_valid`).
pub(super) fn is_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !name.first().is_some_and(u8::is_ascii_digit)
        && name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_begins_with_a_name() {
        for (payload, named) in
            [("A=", true), ("MESSAGE=x=y", true), ("=x", false), ("", false), ("AAAA", false)]
        {
            assert_eq!(has_name(payload.as_bytes()), named, "{payload}");
        }
        assert!(!has_name(format!("{}=x", "N".repeat(NAME_MAX + 1)).as_bytes()));
    }
}
