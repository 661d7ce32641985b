//! Payloads: whether what a DATA object holds is what its hash was made of.
//!
//! Most payloads belong to many entries, so the result of each check is remembered: each sound payload until another one
//! takes its slot, and all bad ones, since a file could be made in which hashing them again for each entry takes hours.

use std::collections::HashMap;
use std::io::BufReader;

use crate::bytes::Bytes;
use crate::format::decompress::{Decompressor, stated_size};
use crate::format::fault::Fault;
use crate::format::hash::{Jenkins, SipHash};
use crate::format::name::has_name;
use crate::format::object::{self, Hashing, u64_at};

/// Sound payloads that are remembered (count): most fields of an entry are those of others, too.
const SOUND_MAX: usize = 4096;
/// Bad payloads that are remembered (count); then the memory starts anew.
const BAD_MAX: usize = 4096;
/// Bytes that are read at once of a payload that no window holds.
const PIECE: usize = 64 << 10;
/// A compressed payload that unpacks to more is not checked, and not trusted (bytes). Some formats need everything that
/// was unpacked before to go on, so this bounds memory.
const UNPACKED_MAX: u64 = 32 << 20;

/// The hashes of a payload: `own` is the hash that its DATA object should state, `jenkins` goes into `xor_hash`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub own: u64,
    pub jenkins: u64,
}

/// What was found where a DATA object should stand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Payload {
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
pub(crate) enum Flaw {
    /// It cannot be a payload.
    Damaged(&'static str),
    /// It does not unpack.
    Packed,
    /// It does not have the hash that is stated of it.
    Hash,
}

impl Flaw {
    /// The same as a fault of the payload at an offset.
    pub(crate) fn at(self, offset: u64) -> Fault {
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

/// Checks payloads, and remembers what was found.
pub(crate) struct Payloads {
    /// Sound payloads by offset, each in its slot.
    sound: Box<[(u64, Payload)]>,
    bad: HashMap<u64, Payload>,
    /// How payloads were hashed when these were checked.
    hashing: Hashing,
    unpack: Decompressor,
    piece: Vec<u8>,
    /// Bytes that were hashed, to bound what is spent on places where no entry stands.
    hashed: u64,
}

impl Payloads {
    pub(crate) fn new(hashing: Hashing) -> Payloads {
        Payloads {
            sound: vec![(0, Payload::default()); SOUND_MAX].into_boxed_slice(),
            bad: HashMap::new(),
            hashing,
            unpack: Decompressor::default(),
            piece: Vec::new(),
            hashed: 0,
        }
    }

    /// What stands where a DATA object should.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn check(&mut self, bytes: &mut Bytes, offset: u64) -> Result<Payload, Fault> {
        if self.hashing != bytes.header().hashing {
            self.hashing = bytes.header().hashing;
            self.sound.fill((0, Payload::default()));
            self.bad.clear();
        }
        let slot = (offset >> 3) as usize % SOUND_MAX;
        if let Some((known, payload)) = self.sound.get(slot)
            && *known == offset
        {
            return Ok(*payload);
        }
        if let Some(payload) = self.bad.get(&offset) {
            return Ok(*payload);
        }
        let payload = match self.hash(bytes, offset) {
            Ok(payload) => payload,
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(fault) => {
                Payload { flaw: Some(flaw(&fault)), stated: stated_at(bytes, offset), ..Payload::default() }
            }
        };
        match (payload.flaw, self.sound.get_mut(slot)) {
            (None, Some(slot)) => *slot = (offset, payload),
            _ => {
                if self.bad.len() >= BAD_MAX {
                    self.bad.clear();
                }
                self.bad.insert(offset, payload);
            }
        }
        Ok(payload)
    }

    /// Of a DATA object that must be sound: its size in bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn verify(&mut self, bytes: &mut Bytes, offset: u64) -> Result<u64, Fault> {
        let payload = self.check(bytes, offset)?;
        match payload.flaw {
            None => Ok(payload.size),
            Some(flaw) => Err(flaw.at(offset)),
        }
    }

    /// Payloads that were bad may have been written by now.
    pub(crate) fn forget_flaws(&mut self) {
        self.bad.clear();
    }

    /// How much was hashed so far (bytes).
    pub(crate) fn hashed(&self) -> u64 {
        self.hashed
    }

    fn hash(&mut self, bytes: &mut Bytes, offset: u64) -> Result<Payload, Fault> {
        let payload_at = bytes.header().data_payload();
        bytes.check_place(offset, payload_at as u64)?;
        if bytes.windows().shown(offset, payload_at).is_none() {
            bytes.show_behind(offset, payload_at)?;
        }
        let head = bytes.windows().shown(offset, payload_at).unwrap_or_default();
        let size = bytes.check_object(head, offset, object::TYPE_DATA, payload_at + 1)?;
        let (flags, stated) = (head.get(1).copied().unwrap_or(0) & 7, u64_at(head, 16));
        let (at, len) = (offset + payload_at as u64, size - payload_at as u64);
        let mut found = match flags {
            0 => self.hash_stored(bytes, at, len)?,
            _ => self.hash_packed(bytes, flags, at, len)?,
        };
        if bytes.header().hashing == Hashing::Unknown {
            // Without a key it cannot be compared; the entry's own hash is.
            found.own = stated;
        }
        let flaw = (found.own != stated).then_some(Flaw::Hash);
        Ok(Payload { stated, found: Some(found), size, flaw })
    }

    fn hash_stored(&mut self, bytes: &Bytes, at: u64, len: u64) -> Result<Hashes, Fault> {
        let nameless = Fault::Damaged { what: "a field without a name", offset: at };
        let mut hasher = Hasher::new(self.hashing, len, &mut self.hashed);
        if let Some(payload) = usize::try_from(len).ok().and_then(|len| bytes.windows().shown(at, len)) {
            hasher.update(payload);
            return if has_name(payload) { Ok(hasher.finish()) } else { Err(nameless) };
        }
        self.piece.resize(PIECE, 0);
        let mut done = 0;
        while done < len {
            let want = PIECE.min(usize::try_from(len - done).unwrap_or(PIECE));
            let piece = self.piece.get_mut(..want).unwrap_or_default();
            if bytes.read_at_most(piece, at + done)? < want {
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

    fn hash_packed(&mut self, bytes: &Bytes, flags: u8, at: u64, packed: u64) -> Result<Hashes, Fault> {
        let broken = |_| Fault::Packed { offset: at };
        let slice = || BufReader::with_capacity(PIECE.min(packed as usize), bytes.slice(at, packed));
        let mut head = [0; 32];
        let read = bytes.read_at_most(head.get_mut(..packed.min(32) as usize).unwrap_or_default(), at)?;
        // Jenkins' hash begins with the length, which xz tells only at its end.
        let len = match stated_size(flags, head.get(..read).unwrap_or_default()).map_err(broken)? {
            Some(len) => len,
            None => {
                let mut len = 0;
                self.unpack
                    .stream(flags, slice(), UNPACKED_MAX + 1, &mut |piece| len += piece.len() as u64)
                    .map_err(broken)?;
                len
            }
        };
        if len > UNPACKED_MAX {
            return Err(Fault::Packed { offset: at });
        }
        let (mut hasher, mut done, mut named) = (Hasher::new(self.hashing, len, &mut self.hashed), 0, false);
        let mut take = |piece: &[u8]| {
            named |= done == 0 && has_name(piece);
            done += piece.len() as u64;
            hasher.update(piece);
        };
        self.unpack.stream(flags, slice(), len + 1, &mut take).map_err(broken)?;
        if done == len && named { Ok(hasher.finish()) } else { Err(Fault::Packed { offset: at }) }
    }
}

/// The hash that stands where a DATA object has it, whatever else is there; zero where nothing can be read.
fn stated_at(bytes: &Bytes, offset: u64) -> u64 {
    bytes.read_fixed::<24>(offset).map_or(0, |head| u64_at(&head, 16))
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
