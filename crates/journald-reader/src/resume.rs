//! How far a tail has read: what it needs to go on, after any pause, without losing or doubling an entry.
//!
//! One cursor is not enough: journald writes several files at once (the system's, each user's), and an
//! entry can become visible in one of them after later ones of another were read. So a position is kept
//! for each file that may still grow, by the file's own id, which survives renaming; for finished files
//! the highest number read of each counter says what is done; and `floor` says where the very first start
//! began. `cursor` is the entry read last, for people and for `journalctl --after-cursor`.

use std::collections::HashMap;

use crate::cursor::{Cursor, Id128};

/// Entries by the ids of files or counters. Strangers choose the ids, so the hash is seeded; where journals of many hosts take
/// turns, each turn asks for a few.
pub type ById = HashMap<Id128, Cursor, foldhash::quality::RandomState>;

/// A place in the whole journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resume {
    /// The entry read last.
    pub cursor: Option<Cursor>,
    /// Entries of the same instant that were read before it: their copies in other files may be still to come.
    pub recent: Vec<Cursor>,
    /// Entries written before this are not wanted, except where `files` or `counters` say more (realtime, microseconds).
    /// Zero: all are wanted.
    pub floor: u64,
    /// Entries up to this one are not wanted, except where `files` or `counters` say more.
    pub after: Option<Cursor>,
    /// For each file that may grow, by file id: the entry read last in it.
    pub files: ById,
    /// For each counter of sequence numbers: the highest entry read.
    pub counters: ById,
    /// For each journal by the name of its folder (a machine id, perhaps with a namespace): the entry read last from its
    /// runtime part. The entries that journald later copies to the persistent journal were read up to here.
    pub runtime: HashMap<String, Cursor>,
    /// Entries up to here that the consumer has not finished with, because more lines belong to them. The
    /// consumer fills and reads this list; a tail does neither.
    pub held: Vec<Cursor>,
}

/// Where a tail begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// At the oldest entry.
    Oldest,
    /// At the first entry written at or after this time (realtime, microseconds since 1970). All entries behind it come,
    /// also those that were written after the clock had been set back.
    Realtime(u64),
    /// At the first entry written at or after `from`; entries written after `until` do not come (realtime, microseconds since
    /// 1970, both inclusive). Each file is begun and ended by itself, so clocks that differ between files lose nothing. Within
    /// a file, a clock may have been set back by an hour at most. So that this loses nothing either, entries up to an
    /// hour before and behind the span may come, too: the reader of the span passes them over.
    Span {
        /// The beginning.
        from: u64,
        /// The end.
        until: u64,
    },
    /// Behind this entry, as `journalctl --after-cursor` does. If the entry is not there any more, reading begins where it
    /// would stand, and the log says so.
    After(Cursor),
    /// Where another tail stopped.
    Resume(Box<Resume>),
}

impl Start {
    /// The same place as the state of a tail that has read nothing.
    pub(crate) fn state(&self) -> Resume {
        match self {
            Start::Oldest => Resume::default(),
            Start::Realtime(floor) | Start::Span { from: floor, .. } => {
                Resume { floor: *floor, ..Resume::default() }
            }
            // Numbers of its counter that are missing behind it are counted.
            Start::After(cursor) => Resume {
                after: Some(*cursor),
                counters: ById::from_iter([(cursor.seqnum_id, *cursor)]),
                ..Resume::default()
            },
            Start::Resume(resume) => (**resume).clone(),
        }
    }
}
