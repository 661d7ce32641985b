//! Reading backward, to find the last entries of a journal.

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
        Ok(Backward { chain, walked, left })
    }

    /// The wanted entry before the last one given; entries that cannot be read are passed over.
    pub(crate) fn previous(&mut self, bytes: &mut Bytes, selection: &mut Selection) -> Option<Cursor> {
        while let Some(number) = self.left.checked_sub(1) {
            self.left = number;
            let offset = match &self.walked {
                Some(walked) => walked.get(number as usize).copied(),
                None => self.chain.offset_at(bytes, number).ok(),
            };
            let Some(offset) = offset else { continue };
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
}
