//! An entry: one record of the journal, borrowed from the tail. Fields are bytes, not strings.

use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::keys::Key;

/// Nanoseconds in a microsecond.
const NANOS: u64 = 1000;

/// One entry, valid until the next one is read.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    cursor: &'a Cursor,
    ordinal: u16,
    fields: &'a Fields,
}

impl<'a> Entry<'a> {
    pub(crate) fn new(cursor: &'a Cursor, ordinal: u16, fields: &'a Fields) -> Entry<'a> {
        Entry { cursor, ordinal, fields }
    }

    /// The name of the entry, with its times.
    pub fn cursor(&self) -> &'a Cursor {
        self.cursor
    }

    /// When journald received it, in nanoseconds since 1970.
    ///
    /// journald counts microseconds. The last three digits differ between entries of one microsecond: they are the entry's
    /// ordinal among the entries of that microsecond that stand together in its file, up to 999. So they are the same
    /// whenever the file is read, and wherever reading begins. Loki drops an entry that is equal to another in time and
    /// line; thanks to the digits, two entries are never equal.
    pub fn timestamp_ns(&self) -> u64 {
        self.cursor.realtime.saturating_mul(NANOS).saturating_add(u64::from(self.ordinal))
    }

    /// The value of the first field of that name.
    #[inline]
    pub fn value(&self, key: Key) -> Option<&'a [u8]> {
        self.fields.value(key)
    }

    /// A number that stands for that field's value: within one [`Entry::generation`], equal numbers mean equal values. Zero
    /// when the entry has no such field.
    #[inline]
    pub fn identity(&self, key: Key) -> u64 {
        self.fields.identity(key)
    }

    /// The fields whose names the rule of [`crate::Keys::add_matching`] accepts: name and value.
    pub fn matching(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields.matching()
    }

    /// For each field of [`Entry::matching`], the number that [`Entry::identity`] gives for a key.
    #[inline]
    pub fn matching_identities(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.fields.matching_identities()
    }

    /// Changes when identities get other meanings: forget all identities then.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.fields.generation()
    }

    /// All fields that the reader was asked for: name and value. Names may repeat.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields.iter()
    }
}
