//! Knowing a file again when its header does not say any more which file it is: by the entries that were read last.

use std::collections::HashMap;

use super::super::cursor::{Cursor, Id128};
use super::super::file::JournalFile;
use super::super::format::fault::Fault;
use super::super::scan::Found;
use super::Tail;

impl Tail {
    /// The entry up to which a file was read, if the file is not known by its id and holds one of the entries that were
    /// read last. A file without a header gets the counter's id of that entry.
    pub(super) fn recognise(&self, file: &mut JournalFile, found: &Found) -> Result<Option<Cursor>, Fault> {
        if self.state.files.contains_key(&file.header().file_id) {
            return Ok(None);
        }
        if file.header().lost {
            return self.recognise_lost(file, found);
        }
        // An archived file is known by its counter.
        if !file.bytes().grows() {
            return Ok(None);
        }
        let counter = file.header().seqnum_id;
        let mut read = self.state.files.values().filter(|cursor| cursor.seqnum_id == counter);
        read.try_fold(None, |known: Option<Cursor>, cursor| {
            Ok(match file.holds_entry(cursor)? {
                true => known.into_iter().chain([*cursor]).max_by_key(|cursor| cursor.seqnum),
                false => known,
            })
        })
    }

    fn recognise_lost(&self, file: &mut JournalFile, found: &Found) -> Result<Option<Cursor>, Fault> {
        let state = &self.state;
        let read = state.files.values().chain(state.counters.values()).chain(&state.cursor);
        // Without the counter, which is not known of the file yet.
        let key = |cursor: &Cursor| (cursor.seqnum, cursor.boot_id, cursor.monotonic, cursor.xor_hash);
        let wanted: HashMap<_, Id128> = read.map(|cursor| (key(cursor), cursor.seqnum_id)).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let (mut look, mut known) = (JournalFile::open(&found.path, found.id)?, None);
        while let Some(cursor) = look.next()? {
            if let Some(counter) = wanted.get(&key(&cursor)) {
                known = Some(Cursor { seqnum_id: *counter, ..cursor });
            }
        }
        if let Some(known) = known {
            file.set_counter(known.seqnum_id);
        }
        Ok(known)
    }
}
