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
//!  no field is left that is proved             the entry is lost
//! ```
//!
//! With a payload missing, the `xor_hash` proves the others only if the hash of the missing one is known. Entries that have
//! the same field tell it: what is missing in one is missing in all. Otherwise each of the others must be proved alone: in
//! regular files by the hash that the entry states of it. In compact files, where entries state none, by the list of entries
//! that its DATA object has: if this entry is not in that list, another field has been written over this one, or the entry
//! names another field than it had. The lists also prove the entry, where it names a field that it may never have had.

use std::collections::HashMap;

use super::payload::{Flaw, Payloads};
use crate::bytes::{Bytes, hashing};
use crate::cursor::Cursor;
use crate::entries::chain::Chain;
use crate::entries::visited::{Visited, item_hash};
use crate::format::fault::Fault;
use crate::format::object::Hashing;
use crate::select::lookup::Data;

/// How many of the next entries are looked at (count). At least one of them must be readable.
const NEIGHBOURS_MAX: u64 = 16;
/// Damaged payloads whose hash is remembered (count).
const MISSING_MAX: usize = 4096;
/// Lists of entries that are looked into in one file (count): a minute or two, and four million fields.
const LISTS_MAX: u64 = 1 << 22;

/// What checking a file takes; it exists from the moment that something looks wrong.
pub(crate) struct Proof {
    payloads: Payloads,
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

    /// Leaves those fields out of the entry last visited that are damaged, or that it may never have had.
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
        let mut rest = self.sort_out(bytes, visited, offset)?;
        // Where no hash of a payload can be compared, only all payloads together prove each of them.
        let proved = bytes.header().hashing != Hashing::Unknown;
        let difference = rest.xor ^ entry.xor_hash;
        let known = match rest.unknown.as_slice() {
            [] => difference == 0 || (proved && repeats(&rest.sound, difference)),
            unknown => proved && self.missing_of(unknown) == Some(difference),
        };
        if !known && (rest.unknown.is_empty() || (rest.disputed && !is_followed(bytes, around, entry)?)) {
            return Err(Fault::Hash { offset });
        }
        if !known && proved && (rest.disputed || bytes.header().compact) {
            self.leave_out_unlisted(bytes, visited, around, offset, &mut rest, difference)?;
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
    fn sort_out(&mut self, bytes: &mut Bytes, visited: &Visited, offset: u64) -> Result<Rest, Fault> {
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
                found => {
                    // Has the entry had this field? The hash that both state tells; in compact files, an object that is there.
                    rest.disputed |= match named {
                        Some(hash) => hash != payload.stated,
                        None => found.is_none() || data.saturating_add(payload.size) > offset,
                    };
                    rest.leave_out(index, payload.flaw.unwrap_or(Flaw::Hash), data);
                    // Without a key it is the hash that belongs into the xor_hash.
                    let stated = named.or(found.map(|_| payload.stated));
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

    /// Leaves those sound fields out of the entry last visited whose DATA objects do not list it. When all of them do, the hash
    /// of the missing one is known: it makes the `difference`.
    fn leave_out_unlisted(
        &mut self,
        bytes: &mut Bytes,
        visited: &Visited,
        around: Around,
        offset: u64,
        rest: &mut Rest,
        difference: u64,
    ) -> Result<(), Fault> {
        let damaged = rest.bad.len();
        for (index, data) in visited.items().iter().copied().enumerate() {
            if rest.bad.contains(&index) {
                continue;
            }
            self.lists_left = self.lists_left.saturating_sub(1);
            match Data::at(bytes, data).and_then(|data| data.lists(bytes, offset)) {
                Ok(true) if self.lists_left > 0 => {}
                Err(fault @ Fault::Io(_)) => return Err(fault),
                _ => rest.leave_out(index, Flaw::Damaged("a field that does not list its entry"), data),
            }
        }
        // journald puts an entry into the file's own array first and into the lists of its fields then.
        let is_new = bytes.grows() && !around.searching && rest.bad.len() == visited.items().len();
        if is_new && !rest.disputed {
            rest.bad.truncate(damaged);
        } else if let ([data], true) = (rest.unknown.as_slice(), rest.bad.len() == damaged) {
            self.learn(*data, difference);
        }
        Ok(())
    }

    /// The hashes that these damaged payloads had, joined; `None` when one is not known.
    fn missing_of(&self, places: &[u64]) -> Option<u64> {
        places.iter().try_fold(0, |joined, data| Some(joined ^ self.missing.get(data)?))
    }

    /// The damaged payload at an offset had this hash.
    fn learn(&mut self, data: u64, jenkins: u64) {
        if self.missing.len() >= MISSING_MAX {
            self.missing.clear();
        }
        self.missing.insert(data, jenkins);
    }

    /// Why a field of the entry at hand was left out, if one was.
    pub(crate) fn why_left_out(&self) -> Option<Fault> {
        let (flaw, data) = self.why?;
        Some(flaw.at(data))
    }
}

/// The fields of an entry that has damaged fields.
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
    /// The entry may never have had one of the damaged fields.
    disputed: bool,
}

impl Rest {
    fn leave_out(&mut self, index: usize, flaw: Flaw, data: u64) {
        self.bad.push(index);
        self.why = self.why.or(Some((flaw, data)));
    }
}

/// Whether the next entry in the arrays can come behind this one: it has a higher number, and no earlier time in its boot. The
/// last entry has the number that the header says.
/// Number and time are under no hash, and those of another entry may have been written over them.
fn is_followed(bytes: &mut Bytes, around: Around, entry: &Cursor) -> Result<bool, Fault> {
    if around.searching {
        // A search compares sequence numbers only. It has already checked the number of the next entry.
        return Ok(true);
    }
    let chain = Chain::read(bytes)?;
    if around.next >= chain.total() {
        let is_last = |tail| entry.seqnum == tail || (bytes.grows() && entry.seqnum < tail);
        return Ok(bytes.header().tail_seqnum().is_none_or(is_last));
    }
    for number in around.next..chain.total().min(around.next + NEIGHBOURS_MAX) {
        match chain.cursor_at(bytes, number) {
            Ok(next) => {
                let in_time = next.boot_id != entry.boot_id || next.monotonic >= entry.monotonic;
                return Ok(next.seqnum > entry.seqnum && in_time);
            }
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(true)
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
