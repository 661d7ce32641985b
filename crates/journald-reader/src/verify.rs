//! Whether an entry is what journald wrote: its hashes tell.
//!
//! A file in which nothing looks wrong is read without: hashing costs as much as all other reading. Once something
//! does, the file is in doubt for good, and an entry is handed on only when its hashes prove it. There are three: the one
//! that each DATA object states of its payload, the one that each item of the entry states of it, too (in regular files),
//! and the entry's `xor_hash`, made of all payloads. Numbers and times are under no hash: they must be plausible.
//!
//! ```text
//!  all payloads make the xor_hash              the entry is whole, whatever else is damaged
//!  a payload is damaged, and the entry is not  the field is left out, the rest is handed on
//!  the entry names what it never had           the entry is lost
//! ```
//!
//! That it is the payload that is damaged, and not the entry, is shown by the hash that both still state; in compact files,
//! where entries state none, by an object that is there; and where there is none any more, by what is left of it that
//! names the entry, or by another entry that names the same place.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::decompress::Decompressor;
use super::file::{Fault, JournalFile};
use super::object::{self, Hashing, u64_at};
use super::payload::{CHECKED, Flaw, Payload};

/// What an item of an entry is set to whose field is left out; no object stands there.
pub(super) const LEFT_OUT: u64 = u64::MAX;
/// Entries behind one that may name the same place (count).
const NEIGHBOURS: u64 = 16;
/// Places that are remembered until another entry names them (count).
const NAMED_MAX: usize = 4096;

/// What checking a file takes; it exists from the moment that something looks wrong.
pub(super) struct Doubt {
    /// Sound payloads, each at its place, by offset, and bad ones.
    pub checked: Box<[(u64, Payload)]>,
    pub bad: HashMap<u64, Payload>,
    /// Places where an entry says that a field is and where nothing can be read, and that entry.
    named: HashMap<u64, u64>,
    pub unpack: Decompressor,
    pub piece: Vec<u8>,
    /// The hashes of the entry at hand.
    entry: Vec<u64>,
    /// Why a field of the entry at hand is left out.
    why: Option<(Flaw, u64)>,
    /// Bytes that were hashed, to bound what is spent on what proves to be no entry.
    pub hashed: u64,
}

impl Doubt {
    pub(super) fn new() -> Doubt {
        Doubt {
            checked: vec![(0, Payload::default()); CHECKED].into_boxed_slice(),
            bad: HashMap::new(),
            named: HashMap::new(),
            unpack: Decompressor::default(),
            piece: Vec::new(),
            entry: Vec::new(),
            why: None,
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
        let fits = self.has_fitting_number(entry) && self.is_in_place(offset, entry);
        match self.doubt.is_none() && fits {
            true => Ok(Trust::Deserved),
            false => self.trust(offset, entry),
        }
    }

    #[cold]
    fn trust(&mut self, offset: u64, entry: &Cursor) -> Result<Trust, Fault> {
        if !self.has_fitting_number(entry) {
            match self.judge_number(entry.seqnum) {
                Trust::Deserved => {
                    if self.recall(self.number_visited(), offset, entry.seqnum)?.is_none() {
                        return Ok(Trust::Lies);
                    }
                    self.visit(offset)?;
                }
                other => return Ok(other),
            }
        } else if !self.is_behind_its_fields(offset) || self.is_from_before(entry)? {
            self.distrust();
            return Ok(Trust::Lies);
        } else if self.is_overtaken(entry) {
            self.distrust();
            if self.is_overtaken_twice(entry) {
                return Ok(Trust::Lies);
            }
        }
        // The clock was set back.
        if self.doubt.is_none() {
            return Ok(Trust::Deserved);
        }
        if self.came_early(entry) {
            return Ok(Trust::Lies);
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

    /// Checks the entry last visited, which stands at `offset`, by its hashes. Fields that are damaged while the entry is not
    /// are left out of it.
    ///
    /// # Errors
    /// What is not as journald wrote it.
    pub(super) fn verify(&mut self, offset: u64, entry: &Cursor) -> Result<(), Fault> {
        let mut parts = std::mem::take(&mut self.doubt_mut().entry);
        let mut proved = self.prove(offset, entry, &mut parts);
        // Before a payload is doubted, its hash is.
        if !matches!(proved, Ok(true) | Err(Fault::Io(_))) && self.settle_hashing() {
            proved = self.prove(offset, entry, &mut parts);
        }
        self.doubt_mut().entry = parts;
        match proved? {
            true => Ok(()),
            false => self.leave_out(offset, entry),
        }
    }

    /// Whether the entry last visited is whole; false when a field of it is damaged.
    fn prove(&mut self, offset: u64, entry: &Cursor, parts: &mut Vec<u64>) -> Result<bool, Fault> {
        parts.clear();
        let (mut xor, mut sound, mut complete) = (0, true, true);
        for index in 0..self.items.len() {
            let Some(data) = self.items.get(index).copied() else { break };
            let payload = self.check_data(data)?;
            sound &= payload.flaw.is_none() && self.agrees(offset, index, payload.stated);
            match payload.found {
                Some(found) => {
                    xor ^= found.jenkins;
                    parts.push(found.jenkins);
                }
                None => complete = false,
            }
        }
        let whole = complete && (xor == entry.xor_hash || (sound && repeats(parts, xor ^ entry.xor_hash)));
        match (whole, sound) {
            (true, _) => Ok(true),
            (false, true) => Err(Fault::Hash { offset }),
            (false, false) => Ok(false),
        }
    }

    /// Whether an item of the entry at `offset` states this hash, as far as that can be known.
    fn agrees(&self, offset: u64, index: usize, stated: u64) -> bool {
        self.item_hash(offset, index).is_none_or(|hash| hash == stated)
    }

    /// Leaves those fields out of the entry last visited that are damaged.
    ///
    /// # Errors
    /// When it is the entry that is damaged, or nothing would be left of it.
    #[cold]
    fn leave_out(&mut self, offset: u64, entry: &Cursor) -> Result<(), Fault> {
        let (mut xor, mut complete, mut parts) = (0, true, Vec::new());
        let (mut bad, mut why) = (Vec::new(), None);
        for index in 0..self.items.len() {
            let Some(data) = self.items.get(index).copied() else { break };
            let payload = self.check_data(data)?;
            let named = self.item_hash(offset, index);
            let jenkins = match payload.found {
                Some(found) if payload.flaw.is_none() && self.agrees(offset, index, payload.stated) => {
                    Some(found.jenkins)
                }
                // What is damaged is the hash in the object.
                Some(found) if named == Some(found.own) => Some(found.jenkins),
                _ => {
                    // A sound field of which the entry states another hash: it is another entry's.
                    let flaw = payload.flaw.ok_or(Fault::Hash { offset })?;
                    if !self.has_named(offset, data, named, &payload) {
                        return Err(flaw.at(data));
                    }
                    bad.push(index);
                    why = why.or(Some((flaw, data)));
                    // Without a key it says what belongs into the xor_hash.
                    let stated = named.or(payload.found.map(|_| payload.stated));
                    stated.filter(|_| self.header.hashing == Hashing::Plain)
                }
            };
            match jenkins {
                Some(jenkins) => {
                    xor ^= jenkins;
                    parts.push(jenkins);
                }
                None => complete = false,
            }
        }
        let known = !complete || xor == entry.xor_hash || repeats(&parts, xor ^ entry.xor_hash);
        if bad.len() == self.items.len() || !known {
            return Err(why.filter(|_| known).map_or(Fault::Hash { offset }, |(flaw, data)| flaw.at(data)));
        }
        for index in bad {
            if let Some(item) = self.items.get_mut(index) {
                *item = LEFT_OUT;
            }
        }
        self.doubt_mut().why = why;
        Ok(())
    }

    /// Whether the entry at `offset` has had the field that should stand at `data`, though it cannot be read.
    fn has_named(&mut self, offset: u64, data: u64, named: Option<u64>, payload: &Payload) -> bool {
        match named {
            Some(hash) if hash == payload.stated => return true,
            None if payload.found.is_some() && data.saturating_add(payload.size) <= offset => return true,
            _ => {}
        }
        if self.check_place(data, object::DATA_SIZE_MIN as u64).is_err() || data >= offset {
            return false;
        }
        let before = &mut self.doubt_mut().named;
        if before.len() >= NAMED_MAX {
            before.clear();
        }
        let named_before = *before.entry(data).or_insert(offset) != offset;
        // An object names the first entry that has it.
        let head = self.read_fixed::<{ object::DATA_SIZE_MIN }>(data).unwrap_or([0; object::DATA_SIZE_MIN]);
        if u64_at(&head, object::DATA_ENTRY) == offset {
            return true;
        }
        // A search takes entries wherever they seem to be, and compact ones prove little.
        let proves_little = named.is_none() && self.search.is_some();
        if proves_little && head.first() != Some(&object::TYPE_DATA) {
            return false;
        }
        if named_before {
            return true;
        }
        let Ok(arrays) = self.arrays() else { return false };
        let next = self.visited - (self.offsets.as_slice().len() as u64).min(self.visited);
        let mut names = |number: u64| {
            let at = self.offset_at(&arrays, number)?;
            let head = self.read_fixed::<{ object::ENTRY_SIZE_MIN }>(at)?;
            let size = self.check_object(&head, at, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
            Ok::<bool, Fault>(at != offset && self.items_of(at, size)?.contains(&data))
        };
        let found = (next..next + NEIGHBOURS).any(|number| names(number).unwrap_or(false));
        if found {
            self.doubt_mut().named.insert(data, LEFT_OUT);
        }
        found
    }

    /// Why a field of the entry at hand was left out, if it was.
    pub(super) fn why_left_out(&mut self) -> Option<Fault> {
        let (flaw, data) = self.doubt.as_ref()?.why?;
        Some(flaw.at(data))
    }

    /// What was found of payloads is of no use any more.
    pub(super) fn forget_verdicts(&mut self) {
        if let Some(doubt) = &mut self.doubt {
            doubt.checked.fill((0, Payload::default()));
            doubt.bad.clear();
        }
    }

    /// What was bad may have been written by now.
    pub(super) fn forget_flaws(&mut self) {
        if let Some(doubt) = &mut self.doubt {
            doubt.bad.clear();
        }
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

    pub(super) fn doubt_mut(&mut self) -> &mut Doubt {
        self.doubt.get_or_insert_with(|| Box::new(Doubt::new()))
    }
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
}
