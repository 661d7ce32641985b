//! Entries that stand in a file twice: a disk may have written a block, or a part of one, over another.
//!
//! journald only appends. So the fields of an entry stand before it, its number is above the numbers before it, and
//! within a boot no time is below an earlier one. An entry that breaks one of these rules may have come from another place of
//! the file. Then it still stands there, as the lists of its fields prove, and the entry that stood here is lost. An entry
//! that came early is remembered until its own place is reached, so that it is not handed on again.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::entries::arrays::Arrays;
use crate::entries::chain::Chain;
use crate::entries::place::Place;
use crate::entries::visited::{LEFT_OUT, Spot};
use crate::format::fault::Fault;
use crate::format::object;
use crate::select::Way;
use crate::select::lookup::Data;

/// Entries that are remembered for having come before their place (count). Where there are more, entries that come late
/// are taken for damage.
const EARLY_MAX: usize = 64;
/// Entries before a fault of the arrays that are looked at again (count), since the arrays may have led past others there.
pub(crate) const LOOKED_BACK: u64 = 32;
/// Entries behind one whose number is doubted that are looked at (count): a block of a disk may hold so many wrong ones.
pub(super) const LOOKED_AHEAD: usize = 32;
/// Entries that the list of a field may name (count). Where it names more, it is not looked through.
const LISTED_MAX: u64 = 64;

/// The entry that stands next in the arrays. Where the window does not hold it, it is looked up.
fn coming(bytes: &Bytes, arrays: &Arrays, way: Way) -> Option<Cursor> {
    let next = match arrays.coming().first() {
        Some(next) => *next,
        None if way.walks => return None,
        None => arrays.look_on(bytes)?,
    };
    match bytes.windows().ahead(next, object::ENTRY_SIZE_MIN) {
        Some(head) if head.first() == Some(&object::TYPE_ENTRY) => Some(bytes.cursor_of(head)),
        Some(_) => None,
        None => bytes.entry_at(next).ok().map(|(next, _)| next),
    }
}

/// Whether the next entry has a number that is not above this one's. Where numbers are missing, that is looked up for
/// every entry.
pub(crate) fn is_overtaken(bytes: &Bytes, arrays: &Arrays, way: Way, entry: &Cursor) -> bool {
    coming(bytes, arrays, way).is_some_and(|next| (1..=entry.seqnum).contains(&next.seqnum))
}

/// Whether the next entry is older than this one, so that this one's time may be wrong.
pub(crate) fn is_ahead(bytes: &Bytes, arrays: &Arrays, way: Way, entry: &Cursor) -> bool {
    coming(bytes, arrays, way).is_none_or(|next| next.realtime < entry.realtime)
}

/// Whether neither of the next two entries of this place has a number above this one's: then this entry's number is wrong.
pub(crate) fn is_overtaken_twice(bytes: &mut Bytes, arrays: &Arrays, entry: &Cursor) -> Result<bool, Fault> {
    let mut below = 0;
    for next in arrays.coming().iter().take(LOOKED_AHEAD) {
        match bytes.entry_at(*next) {
            Ok((other, _)) if other.seqnum > entry.seqnum => return Ok(false),
            Ok((other, size)) => {
                let copied = match bytes.items_of(*next, size) {
                    Ok(items) => is_copied(bytes, &items, *next, &other)?,
                    Err(fault @ Fault::Io(_)) => return Err(fault),
                    Err(_) => None,
                };
                below += usize::from(copied != Some(true));
            }
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(_) => {}
        }
        if below == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an entry with these fields, which stands at `offset`, is a copy of one that stands elsewhere in the file; `None`
/// when nothing tells.
///
/// journald enters each entry into the lists of its fields. It is a copy if a list names that place and not this one; or if a
/// list names both, the entry has the same number there, and the numbers of the others fit better to that place. A sender may
/// write an entry twice, as systemd-journal-upload does when it is not sure. Then the lists name both, and the numbers differ.
pub(crate) fn is_copied(
    bytes: &mut Bytes,
    items: &[u64],
    offset: u64,
    entry: &Cursor,
) -> Result<Option<bool>, Fault> {
    let mut fields = Vec::new();
    // The newest fields, which are the rarest ones, stand last.
    for at in items.iter().rev().filter(|at| **at != LEFT_OUT) {
        match Data::at(bytes, *at) {
            // An entry that has this field alone.
            Ok(data) if data.entries == 1 && data.first == offset => return Ok(Some(false)),
            Ok(data) if (1..=LISTED_MAX).contains(&data.entries) => fields.push(data),
            Err(fault @ Fault::Io(_)) => return Err(fault),
            _ => {}
        }
    }
    fields.sort_unstable_by_key(|data| data.entries);
    for field in fields {
        let listed = entries_of(bytes, &field)?;
        // Behind its end, a damaged list says nothing; and in a file that grows, journald enters an entry into it last.
        let whole = listed.len() as u64 == field.entries;
        let covers = (whole && !bytes.grows()) || listed.last().is_some_and(|(at, _)| *at >= offset);
        match testify(&listed, offset, entry) {
            Some(copied) if covers && (copied || whole) => return Ok(Some(copied)),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether the entry at `offset` is a copy, by the entries of one of its fields and where they stand; `None` when they do not
/// tell.
fn testify(listed: &[(u64, Cursor)], offset: u64, entry: &Cursor) -> Option<bool> {
    if !listed.iter().any(|(at, _)| *at == offset) {
        return listed.iter().any(|(_, other)| other.same_content(entry)).then_some(true);
    }
    // How many of the others have a number that does not fit to an entry with this one's number at this place.
    let misfits = |place: u64| {
        let fits = |at: u64, other: &Cursor| match other.seqnum.cmp(&entry.seqnum) {
            Ordering::Less => at < place,
            Ordering::Greater => at > place,
            Ordering::Equal => true,
        };
        listed.iter().filter(|(at, other)| !fits(*at, other)).count()
    };
    // Both places may be named, because an entry of the same fields stood here.
    let twins = || listed.iter().filter(|(at, other)| *at != offset && other == entry);
    Some(twins().any(|(at, _)| misfits(*at) < misfits(offset)))
}

/// The entries that have a field, and where they stand, as far as they can be read.
fn entries_of(bytes: &mut Bytes, field: &Data) -> Result<Vec<(u64, Cursor)>, Fault> {
    let others = Chain::of(bytes, field.array, field.entries - 1)?;
    let mut entries = Vec::new();
    for number in 0..=others.total() {
        let at = match number.checked_sub(1) {
            None => Ok(field.first),
            Some(number) => others.offset_at(bytes, number),
        };
        match at.and_then(|at| Ok((at, bytes.entry_at(at)?.0))) {
            Ok(entry) => entries.push(entry),
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(entries)
}

/// Whether the entry last visited has come from further up in the file, though its number is that of this place: it
/// alone is older than the last entry, which was written at `time`, and it stands up there, too. This also tells of an entry
/// that was written over one of the same fields, whose lists name both places.
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
pub(crate) struct Early {
    entries: Vec<Cursor>,
    /// Where entries stand that were not handed on, since they are damaged or not of their place: the last of them.
    refused: VecDeque<u64>,
}

impl Early {
    /// Whether an entry that has its place here was handed on before.
    pub(crate) fn contains(&self, entry: &Cursor) -> bool {
        self.entries.contains(entry)
    }

    /// The entry at this place is not handed on.
    pub(crate) fn refuse(&mut self, offset: u64) {
        if self.refused.len() == EARLY_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(offset);
    }

    /// Of the first `count` entries of the file, remembers those that were handed on and belong behind this place: at `spot`
    /// or with a number that is not below its number. Returns where the entry before them stands; `None` when there are too
    /// many.
    pub(crate) fn recall(
        &mut self,
        bytes: &mut Bytes,
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
            if self.refused.contains(&at) {
                continue;
            }
            if at < spot.offset && entry.seqnum < spot.seqnum {
                return Ok(Some(Spot { offset: at, seqnum: entry.seqnum }));
            }
            if steps == EARLY_MAX || self.entries.len() == EARLY_MAX {
                return Ok(None);
            }
            if !self.contains(&entry) {
                self.entries.push(entry);
            }
        }
        Ok(Some(Spot::default()))
    }
}
