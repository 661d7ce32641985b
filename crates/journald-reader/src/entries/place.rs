//! Places between the entries of a journal, and how the entries of a file lie to them.

use super::chain::Chain;
use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::format::fault::Fault;
use crate::format::object::Header;

/// A clock may be set back so far within a file (microseconds): journald begins a new file then, but what gathers the journals of
/// other hosts does not. An hour is what zones and summer time are mistaken by.
pub(crate) const SET_BACK_MAX: u64 = 3_600_000_000;
/// A place between the entries of a journal; what lies before it is not wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Before all entries.
    First,
    /// Before the first entry of the file's own counter with this number or a higher one.
    Seqnum(u64),
    /// Before the first entry written at this time or later (realtime, microseconds).
    Realtime(u64),
    /// Before all entries written at this time or later (realtime, microseconds), although a clock may have been set back by
    /// [`SET_BACK_MAX`]: then entries lie behind it that were written before that time.
    Since(u64),
    /// Behind this entry, or where it would stand.
    After(Cursor),
}

/// How all entries of a file lie to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// All of them before it.
    Before,
    /// Some of them may lie on either side.
    Around,
    /// All of them behind it.
    Behind,
}

impl Place {
    /// The same place, as it can be found fastest in a file with this header.
    pub(crate) fn within(self, header: &Header) -> Place {
        match self {
            Place::After(cursor) if cursor.seqnum_id == header.seqnum_id => {
                Place::Seqnum(cursor.seqnum.saturating_add(1))
            }
            place => place,
        }
    }

    /// Whether it is behind an entry.
    pub(crate) fn is_behind(&self, entry: &Cursor) -> bool {
        match self {
            Place::First => false,
            Place::Seqnum(seqnum) => entry.seqnum < *seqnum,
            Place::Realtime(time) => entry.realtime < *time,
            Place::Since(time) => entry.realtime < time.saturating_sub(SET_BACK_MAX),
            Place::After(cursor) => entry.order(cursor).is_le(),
        }
    }

    /// How the entries of a file lie to the place, as far as its header tells. `still`: nothing is written to the file.
    fn side_by_header(self, header: &Header, still: bool) -> Side {
        let Header { head_seqnum, head_realtime, tail_realtime, .. } = *header;
        // A header that contradicts itself is not believed.
        let Some(tail_seqnum) = header.tail_seqnum().filter(|_| header.n_entries > 0) else {
            return Side::Around;
        };
        let (head, tail, place) = match self.within(header) {
            Place::First => return Side::Behind,
            Place::Seqnum(seqnum) => (head_seqnum, tail_seqnum, seqnum),
            Place::Realtime(time) if head_realtime <= tail_realtime => (head_realtime, tail_realtime, time),
            Place::Since(time) if head_realtime >= time => return Side::Behind,
            Place::Since(time) => (0, tail_realtime, time.saturating_sub(SET_BACK_MAX)),
            Place::Realtime(_) | Place::After(_) => return Side::Around,
        };
        match () {
            () if head >= place => Side::Behind,
            () if tail < place && still => Side::Before,
            () => Side::Around,
        }
    }

    /// How all entries of a file lie to the place; needs few reads. `still`: nothing is written to the file.
    pub(crate) fn side(self, bytes: &mut Bytes, still: bool) -> Result<Side, Fault> {
        let side = self.side_by_header(bytes.header(), still);
        if side != Side::Around || bytes.header().n_entries == 0 {
            return Ok(side);
        }
        let Place::After(_) = self.within(bytes.header()) else { return Ok(side) };
        // Entries of another counter are ordered by boot and time, which the header does not state of them.
        let lies = |entry: Result<Cursor, Fault>| match entry {
            Ok(entry) => Ok(Some(self.is_behind(&entry))),
            Err(Fault::Damaged { .. }) => Ok(None),
            Err(fault) => Err(fault),
        };
        let Header { entry_array_offset, tail_array, .. } = *bytes.header();
        if lies(Chain::only(entry_array_offset, 1).cursor_at(bytes, 0))? == Some(false) {
            return Ok(Side::Behind);
        }
        if let Some((array, entries)) = tail_array.filter(|_| still)
            && lies(Chain::only(array, entries).cursor_at(bytes, entries - 1))? == Some(true)
        {
            return Ok(Side::Before);
        }
        Ok(Side::Around)
    }
}
