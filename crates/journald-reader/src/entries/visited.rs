//! The entry visited last: where it stands, its number, and where its fields stand.

use crate::bytes::{Bytes, take_items};
use crate::cursor::{Cursor, Id128};
use crate::format::fault::Fault;
use crate::format::object::{self, u64_at};

/// What an item of an entry is set to when its field is left out; no object stands there.
pub(crate) const LEFT_OUT: u64 = u64::MAX;

/// Where an entry stands, and its number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spot {
    pub offset: u64,
    pub seqnum: u64,
}

/// The entry visited last.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    /// The last entry that was believed, wanted or not. The next one must stand behind it and have a higher number.
    spot: Spot,
    /// The offsets of the DATA objects of the entry read last.
    items: Vec<u64>,
}

impl Visited {
    /// Reads an ENTRY, which must stand behind the last one: returns its cursor and keeps its items.
    #[inline]
    pub(crate) fn visit(&mut self, bytes: &mut Bytes, offset: u64) -> Result<Cursor, Fault> {
        if offset <= self.spot.offset {
            return Err(Fault::Damaged { what: "an entry before the one before it", offset });
        }
        self.read(bytes, offset)
    }

    /// Reads an ENTRY: returns its cursor and keeps its items.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &mut Bytes, offset: u64) -> Result<Cursor, Fault> {
        bytes.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        bytes.show_ahead(offset, object::ENTRY_SIZE_MIN)?;
        let head = bytes.windows().ahead(offset, object::ENTRY_SIZE_MIN).unwrap_or_default();
        let size = bytes.check_object(head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        let cursor = bytes.cursor_of(head);
        bytes.check_items(offset, size)?;
        bytes.show_ahead(offset, size as usize)?;
        let entry = bytes.windows().ahead(offset, size as usize).unwrap_or_default();
        let items = entry.get(object::ENTRY_SIZE_MIN..).unwrap_or_default();
        take_items(items, bytes.header().entry_item_size(), &mut self.items);
        if cursor.seqnum == 0 || self.items.is_empty() {
            return Err(Fault::Damaged { what: "an entry without number or fields", offset });
        }
        if (cursor.realtime | cursor.monotonic) >= object::TIME_MAX || cursor.boot_id == Id128::default() {
            return Err(Fault::Damaged { what: "an entry of an impossible time", offset });
        }
        Ok(cursor)
    }

    /// The last entry that was believed.
    #[inline]
    pub(crate) fn spot(&self) -> Spot {
        self.spot
    }

    /// The entry at this place is believed.
    #[inline]
    pub(crate) fn arrive(&mut self, spot: Spot) {
        self.spot = spot;
    }

    /// The entry before the next one has this number.
    pub(crate) fn set_number(&mut self, seqnum: u64) {
        self.spot.seqnum = seqnum;
    }

    /// The offsets of the DATA objects of the entry read last; [`LEFT_OUT`] for a field that is left out.
    #[inline]
    pub(crate) fn items(&self) -> &[u64] {
        &self.items
    }

    /// Whether the fields of the entry read last, at `offset`, stand before it. They are in the order of their places.
    #[inline]
    pub(crate) fn is_behind_its_fields(&self, offset: u64) -> bool {
        self.items.last().is_some_and(|last| *last < offset)
    }

    /// Leaves a field of the entry read last out.
    pub(crate) fn leave_out(&mut self, index: usize) {
        if let Some(item) = self.items.get_mut(index) {
            *item = LEFT_OUT;
        }
    }

    /// How many fields of the entry read last are left out.
    pub(crate) fn left_out(&self) -> usize {
        self.items.iter().filter(|item| **item == LEFT_OUT).count()
    }
}

/// The hash that an item of the entry at `offset` states for its DATA object, if the file's format has it and the
/// forward window still holds the entry.
#[inline]
pub(crate) fn item_hash(bytes: &Bytes, offset: u64, index: usize) -> Option<u64> {
    if bytes.header().compact {
        return None;
    }
    let at = object::ENTRY_SIZE_MIN + index * bytes.header().entry_item_size() + 8;
    Some(u64_at(bytes.windows().ahead(offset + at as u64, 8)?, 0))
}
