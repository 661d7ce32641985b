//! An entry: one record of the journal, borrowed from whoever read it. Fields are bytes, not strings.

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

    /// Its name.
    pub fn cursor(&self) -> &'a Cursor {
        self.cursor
    }

    /// When journald received it, in nanoseconds since 1970.
    ///
    /// journald counts microseconds. The three digits below tell entries of one microsecond apart: they
    /// are the entry's ordinal among those that stand with it in its file, so they are the same whenever
    /// and from wherever the file is read. Loki folds entries equal in time and line; these never are.
    pub fn timestamp_ns(&self) -> u64 {
        self.cursor.realtime.saturating_mul(NANOS).saturating_add(u64::from(self.ordinal))
    }

    /// The value of the first field of that name.
    #[inline]
    pub fn value(&self, key: Key) -> Option<&'a [u8]> {
        self.fields.value(key)
    }

    /// A number that stands for that field's value: within one [`Entry::generation`], equal numbers are
    /// equal values; zero when the entry has no such field.
    #[inline]
    pub fn identity(&self, key: Key) -> u64 {
        self.fields.identity(key)
    }

    /// The fields that the reader was asked for by a rule for names ([`crate::Keys::add_matching`]):
    /// name and value.
    pub fn matching(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields.matching()
    }

    /// What [`Entry::identity`] is for a key, for each of [`Entry::matching`].
    #[inline]
    pub fn matching_identities(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.fields.matching_identities()
    }

    /// Changes when identities begin to mean something else.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.fields.generation()
    }

    /// All fields that the reader was asked for: name and value. Names may repeat.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields.iter()
    }
}
