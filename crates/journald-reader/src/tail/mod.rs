//! A tail: the entries of many journal files, merged into one order, read on as they are written.
//!
//! Each file with unread entries offers its next one, its head; the least head is the next entry (`merge`). Files that
//! are read to their end and cannot grow are let go. Of files whose turn has not come, only the headers are read, so that a
//! folder of five hundred needs few reads and few descriptors. `turn` says which file is read next, and with how much
//! memory; `follow` notices what journald writes, renames, makes and deletes; `recognise` knows a file again by its
//! entries; `copies` hands on once what stands in several files; `last` finds the last entries from the end.

mod copies;
mod follow;
mod last;
mod merge;
mod numbers;
mod recognise;
mod source;
mod turn;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::bytes::Bytes;
use super::bytes::handle::Reads;
use super::cursor::{Cursor, Id128};
use super::doubt::loss::{Losses, Reason};
use super::error::OpenError;
use super::fields::Fields;
use super::file::JournalFile;
use super::format::decompress::Decompressor;
use super::format::fault::Fault;
use super::keys::Keys;
use super::resume::{ById, Resume, Start};
use super::scan::{FileId, Roots, journal_of};
use super::scope::Scope;
use super::select::filter::Filter;
use super::watch::{Waker, Watch};
use crate::entry::Entry;
use copies::Boots;
use follow::PassedOver;
use merge::Merge;
use numbers::Numbers;
pub use source::Files;
use source::{Finished, Source};

/// Ordinals below the microsecond that an entry can be given: Loki's timestamps are nanoseconds.
const ORDINAL_MAX: u16 = 999;

/// What was met on the way and not handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Entries that are in a file and cannot be read, or whose bytes cannot be what journald wrote.
    pub damaged: Losses,
    /// Fields that cannot be what journald wrote; they were left out of entries that were handed on.
    pub fields_damaged: u64,
    /// Entries that were in two files and handed on once.
    pub copies: u64,
    /// Numbers of entries that were passed over: nobody can read them any more, or a file shows them later. With a match
    /// only those between the place that was resumed at and the oldest entry that is left, wanted or not.
    pub missing: u64,
    /// Entries that no match wants.
    pub unwanted: u64,
    /// Reads from journal files (calls to the system).
    pub reads: u64,
    /// What these reads gave (bytes).
    pub bytes_read: u64,
}

impl Counts {
    /// Counts what was read from a file.
    fn read(&mut self, file: &Bytes) {
        let Reads { calls, bytes } = file.reads();
        self.reads += calls;
        self.bytes_read += bytes;
    }
}

/// Reads the journal, entry after entry.
pub struct Tail {
    roots: Roots,
    filter: Option<Arc<Filter>>,
    watch: Watch,
    sources: Vec<Source>,
    finished: HashMap<FileId, Finished>,
    merge: Merge,
    /// Sources came, went or have a next entry where they had none: whose turn it is has to be found anew.
    changed: bool,
    /// The source whose turn it is, and whether its head was handed on.
    current: Option<usize>,
    taken: bool,
    tags: u16,
    /// Turns and growths so far.
    clock: u64,
    /// What `clock` was when sources came or went last, or when the cache was last fitted to the number of files.
    gathered: u64,
    /// At least so many sources have a descriptor.
    open: usize,
    /// So many may have one.
    open_max: usize,
    /// Sources that are being read and hold windows.
    windows: usize,
    fields: Fields,
    unpack: Decompressor,
    /// Entries of the current instant, and their copies.
    recent: Vec<Cursor>,
    boots: Boots,
    state: Resume,
    /// The highest entry read of the counter that was read last; `state` has those of the others.
    highest: Cursor,
    /// Of sources that were let go, and of the tail itself.
    counts: Counts,
    numbers: Numbers,
    /// When files were last looked at because numbers were left out.
    looked: Option<Instant>,
    cursor: Cursor,
    ordinal: u16,
    /// A file was not ready to be read, as before its header was written: the next write may complete it.
    incomplete: bool,
    /// Files that are not read, and when those of them in which nothing is written were last spoken of.
    passed_over: HashMap<FileId, PassedOver>,
    unborn_said: Instant,
    /// While files are being written to, their headers are looked at without waiting for journald to tell; until then.
    busy: Option<Instant>,
    /// The end of what is wanted: entries that were written later are left out (realtime, microseconds). `u64::MAX` stands for no end.
    end: u64,
    /// Problems reported once.
    reported: HashMap<PathBuf, io::ErrorKind>,
}

impl Tail {
    /// Opens what is in scope.
    ///
    /// # Errors
    /// When nothing can be read, with the reason for each place and what to do about it.
    pub fn open(scope: &Scope, keys: Keys, start: Start, waker: Waker) -> Result<Tail, OpenError> {
        let mut tail = Tail {
            roots: Roots::new(scope),
            filter: Filter::new(&scope.matches),
            watch: Watch::new(waker).map_err(OpenError::Watch)?,
            sources: Vec::new(),
            finished: HashMap::new(),
            merge: Merge::default(),
            changed: true,
            current: None,
            taken: false,
            tags: 0,
            clock: 0,
            gathered: 0,
            open: 0,
            open_max: turn::open_max(),
            windows: 0,
            fields: Fields::new(keys),
            unpack: Decompressor::default(),
            recent: Vec::new(),
            boots: Boots::default(),
            state: start.state(),
            highest: Cursor::default(),
            counts: Counts::default(),
            numbers: Numbers::default(),
            looked: None,
            cursor: Cursor::default(),
            ordinal: 0,
            incomplete: false,
            passed_over: HashMap::new(),
            unborn_said: Instant::now(),
            busy: None,
            end: match start {
                Start::Span { until, .. } => until,
                _ => u64::MAX,
            },
            reported: HashMap::new(),
        };
        tail.boots = Boots::new(tail.state.cursor.is_some());
        // Copies in another file may be still to come.
        tail.recent = std::mem::take(&mut tail.state.recent);
        tail.recent.extend(tail.state.cursor);
        let problems = tail.rescan(true);
        // A folder that was named and can be read may be empty for now; this machine's journal may not.
        let may_wait = tail.incomplete || (problems.is_empty() && !scope.paths.is_empty());
        if tail.is_empty() && !may_wait {
            return Err(OpenError::nothing(scope, problems));
        }
        tail.report(problems);
        tail.check_start();
        tail.begin_numbers();
        if tail.filter.is_some() {
            tail.numbers.missing = tail.gone();
        }
        Ok(tail)
    }

    /// From now on, entries that were written later than this are not wanted either (realtime, microseconds). Those up to an hour
    /// later may still come, as [`Start::Span`] says.
    pub fn end_at(&mut self, until: u64) {
        self.end = self.end.min(until);
    }

    /// Tells the journals which of their numbers were met before the place that was resumed at.
    fn begin_numbers(&mut self) {
        let sources = self.sources.iter().map(|s| (s.numbers, s.seqnum_id));
        let mut met: Vec<(usize, u64)> = sources
            .filter_map(|(journal, id)| Some((journal, self.state.counters.get(&id)?.seqnum)))
            .collect();
        for finished in self.finished.values() {
            let journal = self.numbers.journal(finished.runtime, &journal_of(&finished.path));
            met.extend(self.state.counters.get(&finished.seqnum_id).map(|read| (journal, read.seqnum)));
        }
        for (journal, number) in met {
            self.numbers.begin(journal, number);
        }
    }

    /// Entries that were there at the place that was resumed at and are not any more: of each counter, the numbers
    /// between the last one read and the first one left.
    fn gone(&self) -> u64 {
        let lost = |(id, read): (&Id128, &Cursor)| {
            let files = self.sources.iter().filter(|s| s.seqnum_id == *id);
            let first = files.filter(|s| s.oldest > 0).min_by_key(|s| s.oldest)?;
            let shown = self.numbers.shown(first.numbers, read.seqnum, first.oldest);
            Some(first.oldest.saturating_sub(shown.saturating_add(1)))
        };
        self.state.counters.iter().filter_map(lost).sum()
    }

    /// Says so if the entry that reading goes on behind is not there any more. What was deleted unread is counted by its
    /// numbers.
    fn check_start(&self) {
        let Some(last) = self.state.after.or(self.state.cursor) else { return };
        // With a match, others may have been passed over since.
        let is_last = |id, read: Option<Cursor>| {
            let number = read.map_or(0, |read| read.seqnum);
            id == last.seqnum_id && (number == last.seqnum || (self.filter.is_some() && number > last.seqnum))
        };
        let there = self
            .sources
            .iter()
            .any(|s| is_last(s.seqnum_id, s.last) || s.last.is_some_and(|c| c.same_entry(&last)))
            || self.finished.values().any(|f| is_last(f.seqnum_id, f.last));
        if !there {
            log::warn!(
                "the entry that was read last is no longer in the journal ({last}): reading goes on by its time; entries \
                 that were deleted unread are counted as far as numbers tell of them"
            );
        }
    }

    /// The next entry, or `None` when there is none for now: [`Tail::wait`] says when to ask again.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        loop {
            if std::mem::take(&mut self.taken) {
                self.advance();
            }
            let head = self.turn()?;
            let index = self.current?;
            if self.leaves_out(&head, index) && self.look_for_others(index) {
                continue;
            }
            if self.is_set_back(&head) && self.pass_copies_in_rings() {
                continue;
            }
            self.taken = true;
            let source = self.sources.get_mut(index)?;
            let ordinal = source.file.as_ref().map_or(0, JournalFile::ordinal);
            let ordinal = u16::try_from(ordinal).unwrap_or(ORDINAL_MAX).min(ORDINAL_MAX);
            let read = source.last.map_or(0, |last| last.seqnum);
            let in_doubt = source.file.as_ref().is_some_and(JournalFile::in_doubt);
            let journal = source.numbers;
            // What is not handed on below, a copy or damage, has been read all the same.
            source.last = Some(head);
            let before = self.count(&head);
            // Within a file in doubt, numbers are missing by damage, which is counted as that.
            let damage = in_doubt && read == before;
            let copy = self.is_copy(&head, index);
            // What no match wants is not missing.
            if self.filter.is_none() {
                self.numbers.meet(journal, before, head.seqnum, !damage && !copy);
            }
            if copy {
                self.pass_copy(head, index);
                continue;
            }
            let loaded = self.load(index).is_ok();
            if let Some(source) = self.sources.get_mut(index).filter(|source| source.has_news()) {
                source.tell();
            }
            if !loaded {
                continue;
            }
            self.remember(head, index);
            if self.merge.meets(&head) {
                let generation = self.fields.generation();
                self.pass_copies(&head);
                // Rarely, the cache that the fields are in was emptied by that.
                if self.fields.generation() != generation && self.load(index).is_err() {
                    continue;
                }
            }
            (self.cursor, self.ordinal) = (head, ordinal);
            return Some(Entry::new(&self.cursor, self.ordinal, &self.fields));
        }
    }

    /// Loads the fields of the entry that was read last in a source.
    fn load(&mut self, index: usize) -> Result<(), Fault> {
        let mut moved = false;
        loop {
            let Tail { sources, fields, unpack, .. } = self;
            let Some(source) = sources.get_mut(index) else { return Ok(()) };
            let Some(file) = &mut source.file else { return Ok(()) };
            match file.load(source.tag, fields, unpack) {
                Err(fault) if fault.is_moved() && !moved => self.rename_all(),
                Err(fault) if fault.is_moved() => {
                    file.lose(Reason::Field, 1, &fault);
                    return Err(fault);
                }
                result => return result,
            }
            moved = true;
        }
    }

    /// Takes an entry for read in its counter; the highest number read before it, zero if there is none.
    #[inline]
    fn count(&mut self, head: &Cursor) -> u64 {
        if self.highest.seqnum_id != head.seqnum_id {
            let known = self.state.counters.get(&head.seqnum_id).copied();
            let known = known.unwrap_or(Cursor { seqnum_id: head.seqnum_id, ..Cursor::default() });
            let other = std::mem::replace(&mut self.highest, known);
            if other.seqnum > 0 {
                self.state.counters.insert(other.seqnum_id, other);
            }
        }
        let before = self.highest.seqnum;
        if before < head.seqnum {
            self.highest = *head;
        }
        before
    }

    /// Whether numbers are left out before an entry that is the next one.
    #[inline]
    fn leaves_out(&self, head: &Cursor, index: usize) -> bool {
        if self.filter.is_some() {
            return false;
        }
        let Some(source) = self.sources.get(index) else { return false };
        let before = match self.highest.seqnum_id == head.seqnum_id {
            true => self.highest.seqnum,
            false => self.state.counters.get(&head.seqnum_id).map_or(0, |read| read.seqnum),
        };
        let shown = self.numbers.shown(source.numbers, before, head.seqnum);
        shown > 0 && head.seqnum.saturating_sub(shown) > 1
    }

    /// How far this tail has read.
    pub fn resume(&self) -> Resume {
        let mut resume = Resume {
            cursor: self.state.cursor,
            recent: self.recent.iter().copied().filter(|read| Some(*read) != self.state.cursor).collect(),
            floor: self.state.floor,
            after: self.state.after,
            runtime: self.state.runtime.clone(),
            ..Resume::default()
        };
        for source in self.sources.iter().filter(|s| !s.archived) {
            if let Some(cursor) = source.done().or_else(|| self.state.files.get(&source.file_id).copied()) {
                // An older copy of a file has its id, too.
                advance_to(&mut resume.files, source.file_id, cursor);
            }
        }
        let present = |id: &Id128| {
            self.sources.iter().any(|s| s.seqnum_id == *id)
                || self.finished.values().any(|f| f.seqnum_id == *id)
        };
        let counters = self.state.counters.iter().map(|(id, read)| (*id, *read));
        resume.counters = counters.filter(|(id, _)| present(id)).collect();
        if self.highest.seqnum > 0 && present(&self.highest.seqnum_id) {
            resume.counters.insert(self.highest.seqnum_id, self.highest);
        }
        if self.filter.is_some() {
            // What was passed over is done with, too, as long as no file has an entry of a lower number to hand on.
            let done = self.sources.iter().map(|s| (s.seqnum_id, s.done()));
            for (id, cursor) in done.chain(self.finished.values().map(|f| (f.seqnum_id, f.last))) {
                let heads = self.sources.iter().filter(|s| s.seqnum_id == id).filter_map(|s| s.head);
                let first = heads.map(|head| head.seqnum()).min().unwrap_or(u64::MAX);
                if let Some(cursor) = cursor.filter(|cursor| cursor.seqnum < first) {
                    advance_to(&mut resume.counters, id, cursor);
                }
            }
        }
        resume
    }

    /// What was skipped so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { missing: self.numbers.missing, ..self.counts };
        for source in &self.sources {
            counts.damaged += source.losses();
            counts.unwanted += source.unwanted();
            counts.fields_damaged += source.fields();
            source.file.iter().for_each(|file| counts.read(file.bytes()));
        }
        counts
    }

    /// How many files it reads.
    pub fn files(&self) -> Files {
        let growing = self.sources.iter().filter(|source| !source.archived).count();
        Files { growing, finished: self.sources.len() - growing + self.finished.len() }
    }

    /// Whether there is any file at all.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.finished.is_empty()
    }

    /// A number for a file in the field cache.
    fn new_tag(&mut self) -> u16 {
        if self.tags == u16::MAX {
            // A file that has been held all the while must not share its number with a new one.
            self.fields.forget_all();
            self.tags = 0;
            for source in &mut self.sources {
                self.tags = self.tags.saturating_add(1);
                source.tag = self.tags;
            }
        }
        self.tags = self.tags.saturating_add(1);
        self.tags
    }
}

/// Keeps the higher number of the two: an entry that becomes visible late has a lower one than others read.
#[inline]
fn advance_to(places: &mut ById, id: Id128, cursor: Cursor) {
    let place = places.entry(id).or_insert(cursor);
    if place.seqnum < cursor.seqnum {
        *place = cursor;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test stops at the first surprise

    use super::*;
    use std::path::Path;

    #[test]
    fn no_two_files_share_a_number_when_numbers_begin_anew() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/journal/system.journal");
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.journal", "b.journal"] {
            std::fs::copy(&demo, dir.path().join(name)).unwrap();
        }
        let mut tail = Tail::open(
            &Scope::of([dir.path().into()]),
            Keys::default(),
            Start::Oldest,
            Waker::new().unwrap(),
        )
        .unwrap();
        let generation = tail.fields.generation();
        for _ in 0..=u16::MAX {
            let new = tail.new_tag();
            assert!(tail.sources.iter().all(|s| s.tag != new), "{new}");
        }
        assert_ne!(tail.fields.generation(), generation);
    }
}
