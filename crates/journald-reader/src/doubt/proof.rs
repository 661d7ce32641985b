//! Whether an entry is what journald wrote: its hashes tell.
//!
//! A file in which nothing looks wrong is read without this: hashing costs as much as all other reading. Once something
//! looks wrong, the file stays in doubt, and an entry is handed on only when its hashes prove it. There are three: the hash
//! that each DATA object states of its payload, the hash that each item of the entry states of it, too (in regular files),
//! and the entry's `xor_hash`, made of all payloads. Numbers and times are under no hash: they must be plausible.
//!
//! ```text
//!  all payloads make the xor_hash              the entry is whole, whatever else is damaged
//!  a payload is damaged, and the entry is not  the field is left out, the rest is handed on
//!  the entry names a field it never had        the entry is lost
//! ```
//!
//! How is it known that the payload is damaged, and not the entry? By the hash that both still state; in compact files,
//! where entries state none, by an object that is there; and where no object is left, by its remains that name the entry,
//! or by another entry that names the same place.
//!
//! With a payload missing, the `xor_hash` proves the others only if the hash of the missing one is known. Entries that have
//! the same field tell it: what is missing in one is missing in all. Until it is known, a sound payload of a compact file is
//! proved by the list of entries that its DATA object has. If this entry is not in that list, another field has been
//! written over this one, or the entry names another field than it had: it is left out, too.

use std::collections::HashMap;

use super::payload::{Flaw, Payload, Payloads};
use crate::bytes::{Bytes, hashing};
use crate::cursor::Cursor;
use crate::entries::chain::Chain;
use crate::entries::visited::{LEFT_OUT, Visited, item_hash};
use crate::format::fault::Fault;
use crate::format::object::{self, Hashing, u64_at};
use crate::select::lookup::Data;

/// Entries behind an entry that may name the same place (count).
const NEIGHBOURS_MAX: u64 = 16;
/// Places that are remembered until another entry names them, and payloads whose hash was found out (count).
const NAMED_MAX: usize = 4096;
/// Lists of entries that are looked into in one file (count): a minute or two, and four million fields.
const LISTS_MAX: u64 = 1 << 22;

/// What checking a file takes; it exists from the moment that something looks wrong.
pub(crate) struct Proof {
    payloads: Payloads,
    /// Places where an entry says that a field is and where nothing can be read, and that entry.
    named: HashMap<u64, u64>,
    /// The hashes that damaged payloads had, as entries with these fields tell, by the places of the payloads.
    missing: HashMap<u64, u64>,
    /// Lists of entries that may still be looked into.
    lists_left: u64,
    /// The hashes of the entry at hand.
    parts: Vec<u64>,
    /// Why a field of the entry at hand is left out, and where that field stands.
    why: Option<(Flaw, u64)>,
}

/// What is around the entry that is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    /// The number of the next entry in the arrays, counted from zero.
    pub next: u64,
    /// The entry was found by search: it may be none at all.
    pub searching: bool,
}

impl Proof {
    pub(crate) fn new(hashing: Hashing) -> Proof {
        Proof {
            payloads: Payloads::new(hashing),
            named: HashMap::new(),
            missing: HashMap::new(),
            lists_left: LISTS_MAX,
            parts: Vec::new(),
            why: None,
        }
    }

    /// The payloads, to check a DATA object alone.
    pub(crate) fn payloads(&mut self) -> &mut Payloads {
        &mut self.payloads
    }

    /// Checks the entry last visited, which stands at `offset`, by its hashes. If fields are damaged and the entry is not,
    /// they are left out of it.
    ///
    /// # Errors
    /// What is not as journald wrote it.
    pub(crate) fn verify(
        &mut self,
        bytes: &mut Bytes,
        visited: &mut Visited,
        around: Around,
        offset: u64,
        entry: &Cursor,
    ) -> Result<(), Fault> {
        let mut whole = self.is_whole(bytes, visited, offset, entry);
        // Before a payload is doubted, the kind of hash is.
        if !matches!(whole, Ok(true) | Err(Fault::Io(_))) && hashing::settle(bytes, visited.items()) {
            whole = self.is_whole(bytes, visited, offset, entry);
        }
        match whole? {
            true => Ok(()),
            false => self.leave_out(bytes, visited, around, offset, entry),
        }
    }

    /// Whether the entry last visited is whole; false when a field of it is damaged.
    fn is_whole(
        &mut self,
        bytes: &mut Bytes,
        visited: &Visited,
        offset: u64,
        entry: &Cursor,
    ) -> Result<bool, Fault> {
        self.parts.clear();
        let (mut xor, mut sound, mut complete) = (0, true, true);
        for (index, data) in visited.items().iter().enumerate() {
            let payload = self.payloads.check(bytes, *data)?;
            sound &= payload.flaw.is_none() && agrees(bytes, offset, index, payload.stated);
            match payload.found {
                Some(found) => {
                    xor ^= found.jenkins;
                    self.parts.push(found.jenkins);
                }
                None => complete = false,
            }
        }
        let difference = xor ^ entry.xor_hash;
        // A field that was given twice cancels out: with nothing else to prove it, it may be altered.
        let proved = bytes.header().hashing != Hashing::Unknown;
        let whole = complete && (difference == 0 || (proved && sound && repeats(&self.parts, difference)));
        match (whole, sound) {
            (true, _) => Ok(true),
            (false, true) => Err(Fault::Hash { offset }),
            (false, false) => Ok(false),
        }
    }

    /// Leaves those fields out of the entry last visited that are damaged.
    ///
    /// # Errors
    /// When it is the entry that is damaged, or nothing would be left of it.
    #[cold]
    fn leave_out(
        &mut self,
        bytes: &mut Bytes,
        visited: &mut Visited,
        around: Around,
        offset: u64,
        entry: &Cursor,
    ) -> Result<(), Fault> {
        let mut rest = self.sort_out(bytes, visited, around, offset)?;
        // Where no hash of a payload can be compared, only all payloads together prove each of them.
        let proved = bytes.header().hashing != Hashing::Unknown;
        let difference = rest.xor ^ entry.xor_hash;
        let known = match rest.unknown.as_slice() {
            [] => difference == 0 || (proved && repeats(&rest.sound, difference)),
            unknown => proved && self.missing_of(unknown) == Some(difference),
        };
        if !known {
            if rest.unknown.is_empty() {
                return Err(Fault::Hash { offset });
            }
            let listed = proved && self.leave_out_unlisted(bytes, visited, around, offset, &mut rest)?;
            if let ([data], true) = (rest.unknown.as_slice(), listed) {
                self.learn(*data, difference);
            }
        }
        let nothing_left = rest.bad.len() == visited.items().len();
        if nothing_left || !(known || proved) {
            return Err(rest.why.map_or(Fault::Hash { offset }, |(flaw, data)| flaw.at(data)));
        }
        rest.bad.into_iter().for_each(|index| visited.leave_out(index));
        self.why = rest.why;
        Ok(())
    }

    /// Tells the damaged fields of the entry last visited from the sound ones.
    ///
    /// # Errors
    /// When it is the entry that is damaged.
    fn sort_out(
        &mut self,
        bytes: &mut Bytes,
        visited: &Visited,
        around: Around,
        offset: u64,
    ) -> Result<Rest, Fault> {
        let mut rest = Rest::default();
        for (index, data) in visited.items().iter().copied().enumerate() {
            let payload = self.payloads.check(bytes, data)?;
            let named = item_hash(bytes, offset, index);
            let jenkins = match payload.found {
                Some(found) if payload.flaw.is_none() && agrees(bytes, offset, index, payload.stated) => {
                    Some(found.jenkins)
                }
                // What is damaged is the hash in the object.
                Some(found) if named == Some(found.own) => Some(found.jenkins),
                _ => {
                    // The field is sound, but the entry states another hash: the field belongs to another entry.
                    let flaw = payload.flaw.ok_or(Fault::Hash { offset })?;
                    let claim = Claim { entry: offset, data, hash: named };
                    if !self.has_named(bytes, around, claim, &payload) {
                        return Err(flaw.at(data));
                    }
                    rest.leave_out(index, flaw, data);
                    // Without a key it is the hash that belongs into the xor_hash.
                    let stated = named.or(payload.found.map(|_| payload.stated));
                    stated.filter(|_| bytes.header().hashing == Hashing::Plain)
                }
            };
            match jenkins {
                Some(jenkins) => {
                    rest.xor ^= jenkins;
                    rest.sound.push(jenkins);
                }
                None => rest.unknown.push(data),
            }
        }
        Ok(rest)
    }

    /// Leaves those sound fields out of an entry of a compact file whose DATA objects do not list it; whether all list it.
    fn leave_out_unlisted(
        &mut self,
        bytes: &mut Bytes,
        visited: &Visited,
        around: Around,
        offset: u64,
        rest: &mut Rest,
    ) -> Result<bool, Fault> {
        if !bytes.header().compact {
            return Ok(true);
        }
        let mut unlisted = Vec::new();
        let items = visited.items().iter().copied().enumerate();
        for (index, data) in items.filter(|(index, _)| !rest.bad.contains(index)) {
            self.lists_left = self.lists_left.saturating_sub(1);
            match Data::at(bytes, data).and_then(|data| data.lists(bytes, offset)) {
                Ok(true) if self.lists_left > 0 => {}
                Err(fault @ Fault::Io(_)) => return Err(fault),
                _ => unlisted.push((index, data)),
            }
        }
        // journald puts an entry into the file's own array first and into those lists then.
        let is_new = rest.bad.len() + unlisted.len() == visited.items().len()
            && bytes.grows()
            && !around.searching
            && self.lists_left > 0;
        for (index, data) in unlisted.iter().filter(|_| !is_new) {
            rest.leave_out(*index, Flaw::Damaged("a field that does not list the entry that has it"), *data);
        }
        Ok(unlisted.is_empty())
    }

    /// The hashes that these damaged payloads had, joined; `None` when one is not known.
    fn missing_of(&self, places: &[u64]) -> Option<u64> {
        places.iter().try_fold(0, |joined, data| Some(joined ^ self.missing.get(data)?))
    }

    /// The damaged payload at an offset had this hash.
    fn learn(&mut self, data: u64, jenkins: u64) {
        if self.missing.len() >= NAMED_MAX {
            self.missing.clear();
        }
        self.missing.insert(data, jenkins);
    }

    /// Whether an entry has had the field that it names, though the field cannot be read.
    fn has_named(&mut self, bytes: &mut Bytes, around: Around, claim: Claim, payload: &Payload) -> bool {
        let Claim { entry, data, hash } = claim;
        match hash {
            Some(hash) if hash == payload.stated => return true,
            None if payload.found.is_some() && data.saturating_add(payload.size) <= entry => return true,
            _ => {}
        }
        if bytes.check_place(data, object::DATA_SIZE_MIN as u64).is_err() || data >= entry {
            return false;
        }
        if self.named.len() >= NAMED_MAX {
            self.named.clear();
        }
        let named_before = *self.named.entry(data).or_insert(entry) != entry;
        // An object names the first entry that has it.
        let head = bytes.read_fixed::<{ object::DATA_SIZE_MIN }>(data).unwrap_or([0; object::DATA_SIZE_MIN]);
        if u64_at(&head, object::DATA_ENTRY) == entry {
            return true;
        }
        // A search takes entries wherever they seem to be, and an entry of a compact file proves little.
        let proves_little = hash.is_none() && around.searching;
        if proves_little && head.first() != Some(&object::TYPE_DATA) {
            return false;
        }
        if named_before {
            return true;
        }
        let Ok(chain) = Chain::read(bytes) else { return false };
        let mut names = |number: u64| {
            let at = chain.offset_at(bytes, number)?;
            let (_, size) = bytes.entry_at(at)?;
            Ok::<bool, Fault>(at != entry && bytes.items_of(at, size)?.contains(&data))
        };
        let mut neighbours = around.next..around.next + NEIGHBOURS_MAX;
        let found = neighbours.any(|number| names(number).unwrap_or(false));
        if found {
            self.named.insert(data, LEFT_OUT);
        }
        found
    }

    /// Why a field of the entry at hand was left out, if one was.
    pub(crate) fn why_left_out(&self) -> Option<Fault> {
        let (flaw, data) = self.why?;
        Some(flaw.at(data))
    }
}

/// The fields of an entry, of which some are damaged.
#[derive(Debug, Default)]
struct Rest {
    /// The hashes that are known of its fields, and all of them joined.
    sound: Vec<u64>,
    xor: u64,
    /// The places of the damaged payloads whose hash is not known.
    unknown: Vec<u64>,
    /// The items to be left out, and why the first of them is.
    bad: Vec<usize>,
    why: Option<(Flaw, u64)>,
}

impl Rest {
    fn leave_out(&mut self, index: usize, flaw: Flaw, data: u64) {
        self.bad.push(index);
        self.why = self.why.or(Some((flaw, data)));
    }
}

/// What an entry says of one of its fields.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// Where the entry stands.
    entry: u64,
    /// Where it says that the field stands.
    data: u64,
    /// The hash that it states of the field, if it states one.
    hash: Option<u64>,
}

/// Whether an item of the entry at `offset` states this hash, as far as that can be known.
fn agrees(bytes: &Bytes, offset: u64, index: usize, stated: u64) -> bool {
    item_hash(bytes, offset, index).is_none_or(|hash| hash == stated)
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
