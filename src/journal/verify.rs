//! Whether an entry is what journald wrote: its hashes tell.
//!
//! A file in which nothing looks wrong is read without: hashing costs as much as all other reading. Once something
//! does, the file is in doubt for good, and an entry is handed on only when each payload has the hash that its
//! DATA object states, each item of the entry (in regular files) states that hash too, and the entry's
//! `xor_hash` is made of all of them. Numbers and times are under no hash: they must be plausible.

use std::io::BufReader;

use memchr::memchr;

use super::cursor::Cursor;
use super::decompress::{Decompressor, stated_size};
use super::file::{Fault, FileSlice, JournalFile, NAME_MAX};
use super::hash::{Jenkins, SipHash};
use super::object::{self, Header, u64_at};

/// Payloads that are remembered as checked (count): most fields of an entry are those of others, too.
const CHECKED: usize = 4096;
/// Bytes that are read at once of a payload that no window holds.
const PIECE: usize = 64 << 10;
/// A compressed payload that unpacks to more is not checked, and not trusted (bytes): some formats need all that
/// was unpacked before to go on, so this bounds memory.
const UNPACKED_MAX: u64 = 32 << 20;

/// The hashes of a payload: the one that its DATA object states, and the one that goes into `xor_hash`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hashes {
    stated: u64,
    jenkins: u64,
}

/// What checking a file takes; it exists from the moment that something looks wrong.
pub(super) struct Doubt {
    /// Offsets of payloads that have been checked since, each at its place, and their hashes.
    checked: Box<[(u64, Hashes)]>,
    unpack: Decompressor,
    piece: Vec<u8>,
    /// The hashes of the entry at hand.
    entry: Vec<u64>,
    /// Bytes that were hashed, to bound what is spent on what proves to be no entry.
    pub hashed: u64,
}

impl Doubt {
    fn new() -> Doubt {
        Doubt {
            checked: vec![(0, Hashes::default()); CHECKED].into_boxed_slice(),
            unpack: Decompressor::default(),
            piece: Vec::new(),
            entry: Vec::new(),
            hashed: 0,
        }
    }
}

/// What an entry's number says.
pub(super) enum Trust {
    /// It fits, and so do the hashes if they were looked at.
    Deserved,
    /// It is another entry's, or none.
    Lies,
    /// Others are missing before it.
    Skips,
}

/// Both hashes of a payload at once, in pieces.
struct Hasher<'a> {
    keyed: Option<SipHash>,
    jenkins: Jenkins,
    hashed: &'a mut u64,
}

impl Hasher<'_> {
    fn new<'a>(header: &Header, len: u64, hashed: &'a mut u64) -> Hasher<'a> {
        let keyed = header.keyed.then(|| SipHash::new(header.file_id));
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
        Hashes { stated: self.keyed.map_or(jenkins, SipHash::finish), jenkins }
    }
}

impl JournalFile {
    /// From now on entries are verified before they are handed on.
    pub(super) fn distrust(&mut self) {
        self.doubt.get_or_insert_with(|| Box::new(Doubt::new()));
    }

    /// Whether hashes are looked at.
    #[inline]
    pub(super) fn in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether the entry last visited has a number between that of the last one and what the header leaves it.
    #[inline]
    pub(super) fn has_fitting_number(&self, entry: &Cursor) -> bool {
        let index = self.visited - self.offsets.as_slice().len() as u64;
        // A walk leaps over entries, by how many numbers nobody knows.
        let leaps = self.walk.is_some() || self.jumped;
        entry.seqnum > self.place.seqnum && (leaps || entry.seqnum <= self.number_max.saturating_add(index))
    }

    /// Whether the entry last visited can be the one after the last that was handed on.
    #[inline]
    pub(super) fn judge(&mut self, offset: u64, entry: &Cursor) -> Result<Trust, Fault> {
        match self.doubt.is_none() && self.has_fitting_number(entry) {
            true => Ok(Trust::Deserved),
            false => self.trust(offset, entry),
        }
    }

    #[cold]
    fn trust(&mut self, offset: u64, entry: &Cursor) -> Result<Trust, Fault> {
        if !self.has_fitting_number(entry) {
            match self.judge_number(entry.seqnum) {
                Trust::Deserved => {}
                other => return Ok(other),
            }
        }
        self.verify(offset, entry)?;
        Ok(Trust::Deserved)
    }

    /// Of an entry with a number that does not fit: either it lies, or what it does not fit to does. The next
    /// entry tells.
    fn judge_number(&mut self, seqnum: u64) -> Trust {
        self.distrust();
        let next = self.offsets.as_slice().first().and_then(|next| self.entry_at(*next).ok());
        let (next, last) = (next.map(|next| next.seqnum), self.place.seqnum);
        match next {
            // The last one lied.
            Some(next) if seqnum <= last && seqnum < next && next <= last => Trust::Deserved,
            // The header lies, or the arrays have passed entries over.
            Some(next) if seqnum > last && seqnum < next => {
                self.header.forget_numbers();
                Trust::Skips
            }
            None if seqnum > last && self.header.tail_seqnum().is_none_or(|tail| seqnum <= tail) => {
                Trust::Skips
            }
            _ => Trust::Lies,
        }
    }

    /// Checks the entry last visited, which stands at `offset`, by its hashes.
    ///
    /// # Errors
    /// What is not as journald wrote it.
    pub(super) fn verify(&mut self, offset: u64, entry: &Cursor) -> Result<(), Fault> {
        let (mut xor, mut parts) = (0, std::mem::take(&mut self.doubt_mut().entry));
        parts.clear();
        for index in 0..self.items.len() {
            let Some(data) = self.items.get(index).copied() else { break };
            let hashes = self.verify_data(data)?;
            if self.item_hash(offset, index).is_some_and(|hash| hash != hashes.stated) {
                return Err(Fault::Hash { offset });
            }
            xor ^= hashes.jenkins;
            parts.push(hashes.jenkins);
        }
        let agrees = xor == entry.xor_hash || repeats(&parts, xor ^ entry.xor_hash);
        self.doubt_mut().entry = parts;
        if agrees { Ok(()) } else { Err(Fault::Hash { offset }) }
    }

    /// The hash that an item of the entry at `offset` states for its DATA object, if the file's format has it and the
    /// forward window still holds the entry.
    #[inline]
    pub(super) fn item_hash(&self, offset: u64, index: usize) -> Option<u64> {
        if self.header.compact {
            return None;
        }
        let at = object::ENTRY_SIZE_MIN + index * self.header.entry_item_size() + 8;
        Some(u64_at(self.ahead.get(offset + at as u64, 8)?, 0))
    }

    /// Checks a DATA object by its hash.
    pub(super) fn verify_data(&mut self, offset: u64) -> Result<Hashes, Fault> {
        let place = (offset >> 3) as usize % CHECKED;
        if let Some((known, hashes)) = self.doubt_mut().checked.get(place)
            && *known == offset
        {
            return Ok(*hashes);
        }
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
        if let (Ok(hashes), Some(slot)) = (&hashes, doubt.checked.get_mut(place))
            && hashes.stated == stated
        {
            *slot = (offset, *hashes);
        }
        self.doubt = Some(doubt);
        let hashes = hashes?;
        if hashes.stated == stated { Ok(hashes) } else { Err(Fault::Hash { offset }) }
    }

    fn doubt_mut(&mut self) -> &mut Doubt {
        self.doubt.get_or_insert_with(|| Box::new(Doubt::new()))
    }

    fn hash_stored(&self, at: u64, len: u64, doubt: &mut Doubt) -> Result<Hashes, Fault> {
        let nameless = Fault::Damaged { what: "a field without a name", offset: at };
        let mut hasher = Hasher::new(&self.header, len, &mut doubt.hashed);
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
        let (mut hasher, mut done, mut named) = (Hasher::new(&self.header, len, &mut doubt.hashed), 0, false);
        let mut take = |piece: &[u8]| {
            named |= done == 0 && has_name(piece);
            done += piece.len() as u64;
            hasher.update(piece);
        };
        doubt.unpack.stream(flags, slice(), len + 1, &mut take).map_err(broken)?;
        if done == len && named { Ok(hasher.finish()) } else { Err(Fault::Packed { offset: at }) }
    }
}

/// Whether a payload begins as `NAME=`.
fn has_name(payload: &[u8]) -> bool {
    memchr(b'=', payload.get(..payload.len().min(NAME_MAX + 1)).unwrap_or_default()).is_some_and(|n| n > 0)
}

/// Whether fields that a sender gave twice explain a difference in the `xor_hash`: they are stored once, and their
/// hashes cancel each other out. One such field or two; more would explain anything.
fn repeats(parts: &[u64], difference: u64) -> bool {
    /// With so many fields (count) two of them make any difference once in 10^13 files.
    const PAIRS_MAX: usize = 1024;
    let pairs = parts.get(..parts.len().min(PAIRS_MAX)).unwrap_or_default();
    parts.contains(&difference)
        || pairs
            .iter()
            .enumerate()
            .any(|(n, part)| pairs.get(n + 1..).unwrap_or_default().contains(&(part ^ difference)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_given_twice_explain_a_difference_and_nothing_else_does() {
        let parts: Vec<u64> = (1..40u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        for (difference, explained) in [
            (parts[3], true),
            (parts[0] ^ parts[38], true),
            (parts[0] ^ parts[1] ^ parts[2], false),
            (parts[7] ^ 1, false),
        ] {
            assert_eq!(repeats(&parts, difference), explained, "{difference:x}");
        }
    }

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
