//! Entries that stand in a file twice: a disk may have written a block, or a part of one, over another.
//!
//! journald only appends. So the fields of an entry stand before it, its number is above the numbers before it, and
//! within a boot no time is below an earlier one. An entry that breaks one of these rules has come from another place of the
//! file, where it still stands, and the entry that stood here is lost. An entry that came early is remembered until its own
//! place is reached, so that it is not handed on again.

use super::proof::{Around, Proof};
use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::entries::arrays::Arrays;
use crate::entries::chain::Chain;
use crate::entries::place::Place;
use crate::entries::visited::{Spot, Visited};
use crate::format::fault::Fault;
use crate::format::object::{self, u64_at};
use crate::select::Way;

/// Entries that are remembered for having come before their place (count). Where there are more, entries that come late
/// are taken for damage.
const EARLY_MAX: usize = 64;

/// Whether the next entry has a number that is not above this one's. Where numbers are missing, that is looked up for
/// every entry.
pub(crate) fn is_overtaken(bytes: &Bytes, arrays: &Arrays, way: Way, entry: &Cursor) -> bool {
    let next = match arrays.coming().first() {
        Some(next) => Some(*next),
        None if way.walks => None,
        None => arrays.look_on(bytes),
    };
    let Some(next) = next else { return false };
    match bytes.windows().ahead(next, object::ENTRY_SIZE_MIN) {
        Some(next) => {
            next.first() == Some(&object::TYPE_ENTRY) && (1..=entry.seqnum).contains(&u64_at(next, 16))
        }
        None => bytes.entry_at(next).is_ok_and(|(next, _)| (1..=entry.seqnum).contains(&next.seqnum)),
    }
}

/// Whether neither of the next two entries has a number above this one's: then this entry's number is wrong.
pub(crate) fn is_overtaken_twice(bytes: &Bytes, arrays: &Arrays, entry: &Cursor) -> bool {
    let next = arrays.coming().get(..2).unwrap_or_default();
    next.len() == 2
        && next.iter().all(|next| bytes.entry_at(*next).is_ok_and(|(next, _)| next.seqnum <= entry.seqnum))
}

/// Whether the entry last visited has come from further up in the file, though its number is that of this place: it
/// alone is older than the last entry, which was written at `time`, and it stands up there, too.
pub(crate) fn is_from_before(
    bytes: &mut Bytes,
    arrays: &Arrays,
    time: u64,
    entry: &Cursor,
) -> Result<bool, Fault> {
    if entry.realtime >= time {
        return Ok(false);
    }
    let next = arrays.coming().first().and_then(|next| bytes.entry_at(*next).ok());
    if next.is_some_and(|(next, _)| next.realtime < time) {
        // Several are older: the clock was set back, or a sender has written entries twice, as systemd-journal-upload
        // does when it is not sure.
        return Ok(false);
    }
    let chain = Chain::read(bytes)?;
    let from = chain.find(bytes, Place::Realtime(entry.realtime))?;
    for number in from..arrays.number_visited() {
        match chain.cursor_at(bytes, number) {
            Ok(other) if other.realtime != entry.realtime => break,
            Ok(other) if (Cursor { seqnum: entry.seqnum, ..other }) == *entry => return Ok(true),
            Err(fault @ Fault::Io(_)) => return Err(fault),
            _ => {}
        }
    }
    Ok(false)
}

/// Entries that were handed on before their place was reached.
#[derive(Debug, Default)]
pub(crate) struct Early(Vec<Cursor>);

impl Early {
    /// Whether an entry that has its place here was handed on before.
    pub(crate) fn contains(&self, entry: &Cursor) -> bool {
        self.0.contains(entry)
    }

    /// Of the first `count` entries of the file, which were handed on, remembers those that belong behind this place: at
    /// `spot` or with a number that is not below its number. Returns where the entry before them stands; `None` when there
    /// are too many. The items of the entry visited last are others afterwards.
    pub(crate) fn recall(
        &mut self,
        bytes: &mut Bytes,
        visited: &mut Visited,
        proof: &mut Proof,
        around: Around,
        count: u64,
        spot: Spot,
    ) -> Result<Option<Spot>, Fault> {
        let chain = Chain::read(bytes)?;
        for (steps, number) in (0..count).rev().enumerate() {
            let entry = chain.offset_at(bytes, number).and_then(|at| Ok((at, bytes.entry_at(at)?.0)));
            let (at, entry) = match entry {
                Ok(entry) => entry,
                Err(Fault::Damaged { .. }) => continue,
                Err(fault) => return Err(fault),
            };
            if at < spot.offset && entry.seqnum < spot.seqnum {
                return Ok(Some(Spot { offset: at, seqnum: entry.seqnum }));
            }
            if steps == EARLY_MAX || self.0.len() == EARLY_MAX {
                return Ok(None);
            }
            // An entry with wrong hashes was not handed on.
            if is_sound(bytes, visited, proof, around, at)? && !self.contains(&entry) {
                self.0.push(entry);
            }
        }
        Ok(Some(Spot::default()))
    }
}

/// Whether an entry before the last one has the right hashes.
fn is_sound(
    bytes: &mut Bytes,
    visited: &mut Visited,
    proof: &mut Proof,
    around: Around,
    at: u64,
) -> Result<bool, Fault> {
    let spot = visited.spot();
    visited.arrive(Spot::default());
    let result = visited.visit(bytes, at).and_then(|entry| proof.verify(bytes, visited, around, at, &entry));
    visited.arrive(spot);
    match result {
        Ok(()) => Ok(true),
        Err(fault @ Fault::Io(_)) => Err(fault),
        Err(_) => Ok(false),
    }
}
