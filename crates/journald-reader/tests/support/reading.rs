//! Reading with the reader under test, into the form in which journalctl's answers are compared.

use std::path::PathBuf;

use journald_reader::{Keys, Scope, Start, Tail, Waker};

use super::fixtures::ExportedEntry;

/// An entry in the form of journalctl's export, and its time in nanoseconds.
pub type Read = (ExportedEntry, u64);

/// A tail of all fields.
pub fn open(paths: &[PathBuf], start: Start) -> Tail {
    let mut keys = Keys::default();
    keys.add_all();
    Tail::open(&Scope::of(paths), keys, start, Waker::new().unwrap()).unwrap()
}

/// The next entry, if one can be read now.
pub fn next(tail: &mut Tail) -> Option<Read> {
    let entry = tail.next_entry()?;
    let cursor = entry.cursor();
    let fields = entry
        .fields()
        .filter(|(name, _)| *name != b"_BOOT_ID")
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
        .collect();
    let exported = ExportedEntry {
        cursor: cursor.to_string(),
        realtime: cursor.realtime,
        monotonic: cursor.monotonic,
        boot_id: u128::from_be_bytes(cursor.boot_id.0),
        fields,
    };
    Some((exported, entry.timestamp_ns()))
}

/// All that can be read now.
pub fn drain(tail: &mut Tail) -> Vec<Read> {
    std::iter::from_fn(|| next(tail)).collect()
}

/// All that can be read now from there.
pub fn read(paths: &[PathBuf], start: Start) -> Vec<Read> {
    drain(&mut open(paths, start))
}
