//! Copies: an entry that stands in several files is handed on once.
//!
//! A copy mostly meets its entry: the files offer both at the same time, or while entries of their instant are being read.
//! `recent` knows these. Where a clock went back in the copy's own file, its turn comes later, after entries that were
//! written after it. Such an entry is late: its boot has shown one of its time or a later one. Only for late entries are the
//! other files asked whether they have handed on the same entry, which costs reads.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

use super::super::cursor::{Cursor, Id128};
use super::super::file::JournalFile;
use super::super::format::fault::Fault;
use super::super::scan::FileId;
use super::Tail;
use super::source::{Finished, Source};

/// Entries of one instant, and copies, that are remembered to know further copies in other files (count).
const RECENT_MAX: usize = 128;
/// Boots whose latest time is remembered (count), 24 bytes each: those of a fleet in a year. Behind them, a copy may come
/// twice.
const BOOTS_MAX: usize = 1 << 14;

/// The latest time that each boot has shown (monotonic, microseconds).
#[derive(Debug, Default)]
pub(super) struct Boots {
    current: (Id128, u64),
    others: HashMap<Id128, u64, foldhash::quality::RandomState>,
    /// An earlier tail has read entries: what boots have shown in it has to be asked of the files.
    resumed: bool,
    /// The entry that was met last was late.
    late: bool,
    /// The entries of the current instant are late: others of the same instant were read before the turn of these.
    instant: bool,
}

impl Boots {
    /// What a tail knows at its beginning. `resumed`: an earlier tail has read entries.
    pub(super) fn new(resumed: bool) -> Boots {
        // Whether the entries of the instant were late is not known any more.
        Boots { resumed, instant: resumed, ..Boots::default() }
    }

    /// Takes an entry as shown. It is late if its boot had shown one of this time or a later one before.
    #[inline]
    fn meet(&mut self, entry: &Cursor) {
        if self.current.0 != entry.boot_id {
            self.change(entry.boot_id);
        }
        self.late = entry.monotonic <= self.current.1;
        self.current.1 = self.current.1.max(entry.monotonic);
    }

    /// Whether it has to be asked what this boot has shown to an earlier tail.
    #[inline]
    fn misses(&self, boot: Id128) -> bool {
        self.resumed && self.current.0 != boot && !self.others.contains_key(&boot)
    }

    #[cold]
    fn change(&mut self, boot: Id128) {
        if self.others.len() >= BOOTS_MAX {
            self.others.clear();
        }
        let known = self.others.get(&boot).copied().unwrap_or(0);
        let (last, time) = std::mem::replace(&mut self.current, (boot, known));
        self.others.insert(last, time);
    }
}

/// What was read of a file.
struct Read<'t> {
    path: &'t Path,
    id: FileId,
    counter: Id128,
    /// The numbers of the entries that were handed on, or passed over as copies, now or by an earlier tail.
    numbers: RangeInclusive<u64>,
    /// Nothing in it was lost.
    whole: bool,
}

impl Tail {
    /// Whether this entry, the next one of a source, has been handed on from another file.
    #[inline]
    pub(super) fn is_copy(&mut self, head: &Cursor, index: usize) -> bool {
        if !self.state.runtime.is_empty()
            && let Some(source) = self.sources.get(index).filter(|source| !source.runtime)
            && let Some(read) = self.state.runtime.get(&source.journal)
            && read.boot_id == head.boot_id
            && head.monotonic < read.monotonic
        {
            return true;
        }
        if self.boots.misses(head.boot_id) {
            let latest = self.latest_read(head, index);
            self.boots.others.insert(head.boot_id, latest);
        }
        self.boots.meet(head);
        let late = if self.is_of_last_instant(head) { self.boots.instant } else { self.boots.late };
        head.is_copy(&self.recent) || (late && self.was_handed_on(head, index))
    }

    /// What was read of each file before this entry, the next one of the source with this index.
    fn reads(&self, head: &Cursor, index: usize) -> impl Iterator<Item = Read<'_>> {
        let next = (index, head.seqnum);
        let sources = self.sources.iter().enumerate().filter_map(move |(number, source)| {
            let last = source.last?.seqnum;
            // The entry itself may have been taken for read.
            let to = if (number, last) == next { last.saturating_sub(1) } else { last };
            let whole = source.losses().total() == 0;
            let Source { path, id, seqnum_id, from, .. } = source;
            Some(Read { path, id: *id, counter: *seqnum_id, numbers: *from..=to, whole })
        });
        let finished = self.finished.iter().filter_map(|(id, finished)| {
            let Finished { path, seqnum_id, from, whole, last, .. } = finished;
            let numbers = *from..=last.as_ref()?.seqnum;
            Some(Read { path, id: *id, counter: *seqnum_id, numbers, whole: *whole })
        });
        sources.chain(finished)
    }

    /// The latest time that the boot of this entry has shown before it in all that was read (monotonic, microseconds); zero if it has shown nothing.
    #[cold]
    fn latest_read(&self, head: &Cursor, index: usize) -> u64 {
        let latest = |read: Read<'_>| {
            let mut file = JournalFile::open(read.path, read.id).ok()?;
            file.latest_of_boot(head.boot_id, *read.numbers.end()).ok()?
        };
        self.reads(head, index).filter_map(latest).max().unwrap_or(0)
    }

    /// Whether another file has handed on this late entry. Where that cannot be told, it has not: an entry that comes twice
    /// is better than one that is lost.
    #[cold]
    fn was_handed_on(&self, head: &Cursor, index: usize) -> bool {
        let mut met = Vec::new();
        for read in self.reads(head, index) {
            match equal_entries(read.path, read.id, read.numbers, head) {
                Ok(found) if read.whole => add(&mut met, found),
                // Without all that its own counter has shown, it is not known which of several equal entries it is.
                _ if read.counter == head.seqnum_id => return false,
                _ => {}
            }
        }
        head.is_copy(&met)
    }

    /// Counts an entry of a source as read that has been handed on from another file.
    pub(super) fn pass_copy(&mut self, copy: Cursor, index: usize) {
        self.counts.copies += 1;
        let before = self.count(&copy);
        if let Some(source) = self.sources.get_mut(index) {
            source.last = Some(copy);
            if self.filter.is_none() {
                self.numbers.meet(source.numbers, before, copy.seqnum, false);
            }
        }
        // One that has the same number, too, counts once, or the next equal entry would pass for a copy.
        if self.is_of_last_instant(&copy) && !self.recent.contains(&copy) {
            self.meet(copy);
        }
    }

    /// Takes an entry for handed on.
    #[inline]
    pub(super) fn remember(&mut self, head: Cursor, index: usize) {
        self.state.cursor = Some(head);
        if let Some(source) = self.sources.get(index).filter(|source| source.runtime) {
            match self.state.runtime.get_mut(&source.journal) {
                Some(read) => *read = head,
                None => {
                    self.state.runtime.insert(source.journal.clone(), head);
                }
            }
        }
        if !self.is_of_last_instant(&head) {
            self.recent.clear();
            self.boots.instant = self.boots.late;
        }
        self.meet(head);
    }

    #[inline]
    fn is_of_last_instant(&self, head: &Cursor) -> bool {
        self.recent.last().is_some_and(|r| r.monotonic == head.monotonic && r.boot_id == head.boot_id)
    }

    fn meet(&mut self, head: Cursor) {
        if self.recent.len() < RECENT_MAX {
            self.recent.push(head);
        }
    }
}

/// Adds entries, each once: a backup of a file makes no second entry.
pub(super) fn add(met: &mut Vec<Cursor>, more: Vec<Cursor>) {
    for entry in more {
        if !met.contains(&entry) {
            met.push(entry);
        }
    }
}

/// The entries of a file that are equal to this one and have these numbers, as far as the file's arrays tell.
pub(super) fn equal_entries(
    path: &Path,
    id: FileId,
    numbers: RangeInclusive<u64>,
    entry: &Cursor,
) -> Result<Vec<Cursor>, Fault> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = JournalFile::open(path, id)?.equal_entries(entry)?;
    found.retain(|found| numbers.contains(&found.seqnum));
    Ok(found)
}
