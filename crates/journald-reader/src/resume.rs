//! How far a tail has read: what it needs to go on, after any pause, without losing or doubling an entry.
//!
//! One cursor is not enough: journald writes several files at once (the system's, each user's), and an
//! entry can become visible in one of them after later ones of another were read. So a position is kept
//! for each file that may still grow, by the file's own id, which survives renaming; for finished files
//! the highest number read of each counter says what is done; and `floor` says where the very first start
//! began. `cursor` is the entry read last, for people and for `journalctl --after-cursor`.

use std::collections::HashMap;

use crate::cursor::{Cursor, Id128};

/// A place in the whole journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resume {
    /// The entry read last.
    pub cursor: Option<Cursor>,
    /// What was read of the same instant before it: copies of these in other files may be still to come.
    pub recent: Vec<Cursor>,
    /// Entries written before this are not wanted unless something else says so (realtime, microseconds).
    pub floor: u64,
    /// Entries up to this one are not wanted unless something else says so.
    pub after: Option<Cursor>,
    /// For each file that may grow, by file id: the entry read last in it.
    pub files: HashMap<Id128, Cursor>,
    /// For each counter of sequence numbers: the highest entry read.
    pub counters: HashMap<Id128, Cursor>,
    /// For each journal by the name of its folder (a machine id, perhaps with a namespace): the entry read last from its
    /// runtime part. What journald later copies to the persistent journal
    /// has been read up to here.
    pub runtime: HashMap<String, Cursor>,
    /// Entries up to here with which whoever reads is not done, because more lines belong to them. They are
    /// read again, and nothing else before this place is.
    pub held: Vec<Cursor>,
}

/// Where a tail begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// At the oldest entry.
    Oldest,
    /// At the first entry written at or after this time (realtime, microseconds since 1970). Behind it, entries that were
    /// written after the clock had been set back come all the same.
    Realtime(u64),
    /// Behind this entry, as `journalctl --after-cursor` does. One that is not there any more still has its place in the
    /// order, where reading begins; the log says so.
    After(Cursor),
    /// Where another tail stopped.
    Resume(Box<Resume>),
}

impl Start {
    /// The same place as the state of a tail that has read nothing.
    pub(crate) fn state(&self) -> Resume {
        match self {
            Start::Oldest => Resume::default(),
            Start::Realtime(floor) => Resume { floor: *floor, ..Resume::default() },
            // What is missing behind it in its counter is counted.
            Start::After(cursor) => Resume {
                after: Some(*cursor),
                counters: HashMap::from([(cursor.seqnum_id, *cursor)]),
                ..Resume::default()
            },
            Start::Resume(resume) => (**resume).clone(),
        }
    }
}
