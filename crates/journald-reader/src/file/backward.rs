//! Reading backward, to find the last entries of a journal.

use super::JournalFile;
use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::entries::chain::Chain;
use crate::entries::place::Place;
use crate::format::fault::Fault;
use crate::format::object;
use crate::select::Selection;

/// Reads entries backward from a place. The place in the arrays, where forward reading is, stays the same.
pub(crate) struct Backward {
    chain: Chain,
    /// The offsets of all entries that may be wanted, if they were looked up.
    walked: Option<Vec<u64>>,
    /// The offsets of some entries, as they were read at once, and the number of the first of them.
    read: (u64, Vec<u64>),
    /// How many entries are left.
    left: u64,
}

impl Backward {
    /// Begins before a place, or at the end.
    pub(crate) fn begin(
        bytes: &mut Bytes,
        selection: &Selection,
        place: Option<Place>,
    ) -> Result<Backward, Fault> {
        let chain = Chain::read(bytes)?;
        let total = chain.total();
        let mut left = place.map_or(Ok(total), |place| chain.find(bytes, place))?;
        let walked = selection.walk_through(bytes)?;
        if let Some(walked) = &walked {
            let end = if left < total { chain.offset_at(bytes, left)? } else { u64::MAX };
            left = walked.partition_point(|offset| *offset < end) as u64;
        }
        Ok(Backward { chain, walked, read: (u64::MAX, Vec::new()), left })
    }

    /// How many wanted entries are left at least, as far as arrays tell; `None` where it has to be found out of each entry whether
    /// it is wanted.
    fn len(&self, selection: &Selection) -> Option<u64> {
        match &self.walked {
            // The newest entry of a file may not be wanted.
            Some(_) if selection.walks_only_to_wanted() => Some(self.left.saturating_sub(1)),
            None if !selection.is_filtered() => Some(self.left),
            _ => None,
        }
    }

    /// The first of the last so many wanted entries, if [`Backward::len`] has so many.
    fn first_of_last(&self, bytes: &mut Bytes, count: u64) -> Option<Cursor> {
        let offset = match &self.walked {
            Some(walked) => {
                let number = self.left.checked_sub(count.checked_add(1)?)?;
                walked.get(usize::try_from(number).ok()?).copied()
            }
            None => self.chain.offset_at(bytes, self.left.checked_sub(count)?).ok(),
        };
        bytes.entry_at(offset?).ok().map(|(entry, _)| entry)
    }

    /// The wanted entry before the last one given; entries that cannot be read are passed over.
    pub(crate) fn previous(&mut self, bytes: &mut Bytes, selection: &mut Selection) -> Option<Cursor> {
        while let Some(number) = self.left.checked_sub(1) {
            self.left = number;
            let offset = match &self.walked {
                Some(walked) => walked.get(number as usize).copied(),
                None => self.offset_at(bytes, number),
            };
            let in_arena = |offset: &u64| bytes.check_place(*offset, object::ENTRY_SIZE_MIN as u64).is_ok();
            let Some(offset) = offset.filter(in_arena) else { continue };
            if selection.is_filtered() {
                match selection.glance(bytes, offset) {
                    Ok((cursor, true)) => return Some(cursor),
                    _ => continue,
                }
            }
            bytes.show_backward(offset, object::ENTRY_SIZE_MIN).ok()?;
            let head = bytes.windows().ahead(offset, object::ENTRY_SIZE_MIN).unwrap_or_default();
            if bytes.check_object(head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN).is_ok() {
                return Some(bytes.cursor_of(head));
            }
        }
        None
    }

    /// Where the entry of a number stands, if its array can be read there.
    fn offset_at(&mut self, bytes: &Bytes, number: u64) -> Option<u64> {
        if number < self.read.0 {
            self.read = self.chain.offsets_up_to(bytes, number).ok()?;
        }
        self.read.1.get(usize::try_from(number - self.read.0).ok()?).copied()
    }
}

impl JournalFile {
    /// Begins to read backward from a place, or from the end; forward reading begins anew after it.
    pub(crate) fn backward(&mut self, place: Option<Place>) -> Result<Backward, Fault> {
        self.selection.look_up(&mut self.bytes, self.visited.items())?;
        Backward::begin(&mut self.bytes, &self.selection, place)
    }

    /// How many wanted entries are left at least, if that can be told without looking at each of them.
    pub(crate) fn wanted_left(&self, backward: &Backward) -> Option<u64> {
        backward.len(&self.selection)
    }

    /// The first of the last so many wanted entries, if so many are left for sure.
    pub(crate) fn first_of_last(&mut self, backward: &Backward, count: u64) -> Option<Cursor> {
        backward.first_of_last(&mut self.bytes, count)
    }

    /// The wanted entry before the last one given; entries that cannot be read are passed over.
    pub(crate) fn previous(&mut self, backward: &mut Backward) -> Option<Cursor> {
        backward.previous(&mut self.bytes, &mut self.selection)
    }
}
