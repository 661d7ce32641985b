//! A tail: the entries of many journal files, merged into one order, read on as they are written.
//!
//! Each file with unread entries offers its next one, its head. The least head is the next entry; while one
//! file's heads stay below all others', which is nearly always, they come out without looking further.
//! Within one counter of sequence numbers the lowest number always goes first, so what was read of a
//! counter is described by one number. Files that are read to their end and cannot grow are closed; files
//! whose turn has not come are closed too, so that a folder of five hundred needs few descriptors.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::cursor::{Cursor, Id128};
use super::decompress::Decompressor;
use super::error::{OpenError, Problem};
use super::fields::{Fields, Keys};
use super::file::{Fault, JournalFile};
use super::resume::{Resume, Start};
use super::scan::{FileId, Found, Roots, is_archived_name};
use super::watch::{Event, Waker, Watch};
use crate::entry::Entry;

/// Ordinals below the microsecond that an entry can be given: Loki's timestamps are nanoseconds.
const ORDINAL_MAX: u16 = 999;
/// Entries of one instant that are remembered, to know copies in other files (count).
const RECENT_MAX: usize = 64;

/// What was met on the way and not handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Entries whose bytes cannot be what journald wrote.
    pub damaged: u64,
    /// Entries that were in two files and handed on once.
    pub copies: u64,
    /// Numbers of entries that were passed over: nobody can read them any more, or a file shows them later.
    pub missing: u64,
}

/// A file with entries to read, now or when it grows.
struct Source {
    id: FileId,
    path: PathBuf,
    /// Numbers the files of this tail in the field cache; a reopened file gets a new number.
    tag: u16,
    file_id: Id128,
    seqnum_id: Id128,
    runtime: bool,
    archived: bool,
    /// Closed while its turn has not come.
    file: Option<JournalFile>,
    /// The next entry, if it has been seen.
    head: Option<Cursor>,
    /// The entry of this file that was read last: realtime and its ordinal in that microsecond.
    last: Option<(Cursor, u16)>,
}

/// A file that was read to its end and cannot grow.
struct Finished {
    path: PathBuf,
    file_id: Id128,
    seqnum_id: Id128,
    last: Option<Cursor>,
}

/// Reads the journal, entry after entry.
pub struct Tail {
    roots: Roots,
    watch: Watch,
    sources: Vec<Source>,
    finished: HashMap<FileId, Finished>,
    tags: u16,
    fields: Fields,
    unpack: Decompressor,
    /// The source that is being read, and whether its head was handed on.
    current: Option<usize>,
    taken: bool,
    /// The least head of the other sources, and the least number of the current counter among them.
    limit: Option<Cursor>,
    limit_seqnum: u64,
    /// Entries handed on of the current instant.
    recent: Vec<Cursor>,
    state: Resume,
    counts: Counts,
    cursor: Cursor,
    ordinal: u16,
    /// A file was seen before its header was written: the next write may complete it.
    unborn: bool,
    /// Problems reported once.
    reported: HashMap<PathBuf, io::ErrorKind>,
}

impl Tail {
    /// Opens these folders or files, or this machine's journal when there are none.
    ///
    /// # Errors
    /// When nothing can be read, with the reason for each place and what to do about it.
    pub fn open(paths: &[PathBuf], keys: Keys, start: Start, waker: Waker) -> Result<Tail, OpenError> {
        let mut tail = Tail {
            roots: Roots::new(paths),
            watch: Watch::new(waker).map_err(OpenError::Watch)?,
            sources: Vec::new(),
            finished: HashMap::new(),
            tags: 0,
            fields: Fields::new(keys),
            unpack: Decompressor::default(),
            current: None,
            taken: false,
            limit: None,
            limit_seqnum: u64::MAX,
            recent: Vec::new(),
            state: start.state(),
            counts: Counts::default(),
            cursor: Cursor::default(),
            ordinal: 0,
            unborn: false,
            reported: HashMap::new(),
        };
        // Its copy in another file may be still to come.
        tail.recent.extend(tail.state.cursor);
        let problems = tail.rescan(true);
        // A folder that was named and can be read may be empty for now; this machine's journal may not.
        let may_wait = tail.unborn || (problems.is_empty() && !paths.is_empty());
        if tail.is_empty() && !may_wait {
            return Err(OpenError::Unreadable(problems));
        }
        tail.report(problems);
        Ok(tail)
    }

    /// The next entry, or `None` when there is none for now: [`Tail::wait`] says when to ask again.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        loop {
            if std::mem::take(&mut self.taken) {
                self.advance();
            }
            let head = self.turn()?;
            let index = self.current?;
            self.taken = true;
            let source = self.sources.get_mut(index)?;
            let ordinal = match source.last {
                Some((last, n)) if last.realtime == head.realtime => (n + 1).min(ORDINAL_MAX),
                _ => 0,
            };
            // What is not handed on below, a copy or damage, has been read all the same.
            source.last = Some((head, ordinal));
            let before = self.state.counters.get(&head.seqnum_id).map(|read| read.seqnum);
            advance_to(&mut self.state.counters, head.seqnum_id, head);
            if self.is_copy(&head, index) {
                self.counts.copies += 1;
                continue;
            }
            if let Some(before) = before {
                self.count_missing(before, head.seqnum);
            }
            let source = self.sources.get_mut(index)?;
            self.fields.begin();
            if let Some(file) = &mut source.file
                && let Err(fault) = file.load(source.tag, &mut self.fields, &mut self.unpack)
            {
                log::debug!("{}: entry {head}: {fault}; skipped", source.path.display());
                self.counts.damaged += 1;
                continue;
            }
            if source.runtime {
                self.state.runtime = Some(head);
            }
            self.remember(head);
            (self.cursor, self.ordinal) = (head, ordinal);
            return Some(Entry::new(&self.cursor, self.ordinal, &self.fields));
        }
    }

    /// Counts the numbers between an entry and the one read before it in the same counter. One that comes late fills
    /// its gap.
    #[inline]
    fn count_missing(&mut self, before: u64, now: u64) {
        match now > before {
            true => self.counts.missing += now - before - 1,
            false => self.counts.missing = self.counts.missing.saturating_sub(1),
        }
    }

    /// Sleeps until the journal has changed, the waker was used or the deadline has come. Looks for
    /// new entries and new files before it returns.
    ///
    /// # Errors
    /// When the system's notification fails.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let event = self.watch.wait(deadline)?;
        self.look(event);
        Ok(())
    }

    /// Looks whether something has changed, without sleeping.
    ///
    /// # Errors
    /// As [`Tail::wait`].
    pub fn poll(&mut self) -> io::Result<()> {
        let event = self.watch.drain()?;
        self.look(Event { writes: true, ..event });
        Ok(())
    }

    fn look(&mut self, event: Event) {
        // New names first: a file that is being rotated away then shows its last entries before the
        // next file shows its first.
        if event.files || (event.writes && self.unborn) {
            let problems = self.rescan(false);
            self.report(problems);
        }
        if event.files || event.writes {
            self.refresh();
        }
    }

    /// How far this tail has read.
    pub fn resume(&self) -> Resume {
        let mut resume = Resume {
            cursor: self.state.cursor,
            floor: self.state.floor,
            after: self.state.after,
            runtime: self.state.runtime,
            ..Resume::default()
        };
        for source in self.sources.iter().filter(|s| !s.archived) {
            let read = source.last.map(|(cursor, _)| cursor);
            if let Some(cursor) = read.or_else(|| self.state.files.get(&source.file_id).copied()) {
                // An older copy of a file has its id, too.
                advance_to(&mut resume.files, source.file_id, cursor);
            }
        }
        let present = |id: &Id128| {
            self.sources.iter().any(|s| s.seqnum_id == *id)
                || self.finished.values().any(|f| f.seqnum_id == *id)
        };
        resume.counters =
            self.state.counters.iter().filter(|(id, _)| present(id)).map(|(id, c)| (*id, *c)).collect();
        resume
    }

    /// What was skipped so far.
    pub fn counts(&self) -> Counts {
        let damaged: u64 = self.sources.iter().filter_map(|s| s.file.as_ref()).map(|f| f.damaged).sum();
        Counts { damaged: self.counts.damaged + damaged, ..self.counts }
    }

    /// Whether there is any file at all.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.finished.is_empty()
    }

    /// The time from which on the last `count` entries were written (realtime, microseconds). Entries
    /// after `until` do not count. Of no entries, the end of time: none that is there is wanted.
    pub fn time_of_last(&mut self, count: u64, until: Option<u64>) -> Option<u64> {
        if count == 0 {
            return Some(u64::MAX);
        }
        let mut entries: Vec<Cursor> = Vec::new();
        for source in &mut self.sources {
            let mut opened = match source.file {
                Some(_) => None,
                None => open(&source.path).map_err(Fault::from).and_then(JournalFile::new).ok(),
            };
            let Some(file) = source.file.as_mut().or(opened.as_mut()) else { continue };
            entries.extend(file.last_entries(count, until.unwrap_or(u64::MAX)).unwrap_or_default());
        }
        // Copies come together, newest first, and count once.
        entries
            .sort_unstable_by_key(|c| Reverse((c.realtime, c.boot_id, c.monotonic, c.xor_hash, c.seqnum_id)));
        entries.dedup_by(|a, b| a.same_entry(b));
        entries.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        entries.last().map(|c| c.realtime)
    }

    /// Moves the current source to its next entry.
    fn advance(&mut self) {
        let Some(source) = self.current.and_then(|index| self.sources.get_mut(index)) else { return };
        source.head = None;
        let Some(file) = &mut source.file else { return };
        match file.next() {
            Ok(head) => source.head = head,
            Err(fault) => {
                log::warn!("{}: {fault}; the rest of this file is skipped", source.path.display());
                file.give_up();
            }
        }
        if source.head.is_none() {
            self.current = None;
        }
    }

    /// Makes the source with the least head the current one and returns that head.
    #[inline]
    fn turn(&mut self) -> Option<Cursor> {
        if let Some(source) = self.current.and_then(|index| self.sources.get(index))
            && let Some(head) = source.head
            && head.seqnum <= self.limit_seqnum
            && self.limit.is_none_or(|limit| head.order(&limit) != Ordering::Greater)
        {
            return Some(head);
        }
        self.choose()
    }

    fn choose(&mut self) -> Option<Cursor> {
        loop {
            self.retire();
            let heads = || self.sources.iter().enumerate().filter_map(|(i, s)| Some((i, s.head?)));
            let Some((mut index, mut head)) = heads().reduce(least) else {
                self.current = None;
                return None;
            };
            // The order is not transitive when clocks have jumped; within a counter it must be.
            let counter = head.seqnum_id;
            for (i, other) in heads().filter(|(_, h)| h.seqnum_id == counter) {
                if other.seqnum < head.seqnum {
                    (index, head) = (i, other);
                }
            }
            self.limit = heads().filter(|(i, _)| *i != index).reduce(least).map(|(_, head)| head);
            self.limit_seqnum = heads()
                .filter(|(i, h)| *i != index && h.seqnum_id == head.seqnum_id)
                .map(|(_, h)| h.seqnum)
                .min()
                .unwrap_or(u64::MAX);
            self.current = Some(index);
            if self.open_current(&head) {
                return Some(head);
            }
        }
    }

    /// Opens the current source if it was closed, at its head; false when its head is another one now, or
    /// none.
    fn open_current(&mut self, head: &Cursor) -> bool {
        let Some(source) = self.current.and_then(|index| self.sources.get_mut(index)) else { return false };
        if source.file.is_some() {
            return true;
        }
        let result = open_at(&source.path, source.id, |c| c.seqnum < head.seqnum);
        match result {
            Ok((file, Some(found), _)) => {
                source.file = Some(file);
                source.head = Some(found);
                let (index, tag) = (self.current, self.new_tag());
                if let Some(source) = index.and_then(|index| self.sources.get_mut(index)) {
                    source.tag = tag;
                }
                // Where the entry that was seen cannot be read any more, another one is the head now, and
                // its turn may be later.
                found == *head
            }
            other => {
                let why = other.err().map_or("its entries are gone".into(), |fault| fault.to_string());
                log::warn!("{}: {why}; it was not read", source.path.display());
                source.head = None;
                source.archived = true;
                self.current = None;
                false
            }
        }
    }

    /// Whether this entry has been handed on from another file.
    #[inline]
    fn is_copy(&self, head: &Cursor, index: usize) -> bool {
        if let Some(read) = &self.state.runtime
            && read.boot_id == head.boot_id
            && head.monotonic < read.monotonic
            && !self.sources.get(index).is_some_and(|s| s.runtime)
        {
            return true;
        }
        self.recent.iter().any(|r| r.same_entry(head))
    }

    #[inline]
    fn remember(&mut self, head: Cursor) {
        self.state.cursor = Some(head);
        let same_instant =
            self.recent.last().is_some_and(|r| r.monotonic == head.monotonic && r.boot_id == head.boot_id);
        if !same_instant {
            self.recent.clear();
        }
        if self.recent.len() < RECENT_MAX {
            self.recent.push(head);
        }
    }

    /// Lets go of sources that are read to the end and cannot grow.
    fn retire(&mut self) {
        let mut index = 0;
        while let Some(source) = self.sources.get(index) {
            let over = source.head.is_none()
                && (source.archived
                    || source.file.as_ref().is_none_or(|f| f.header.archived || !f.is_linked()));
            if over {
                let source = self.sources.swap_remove(index);
                // What the header promises and the arrays do not hold is lost.
                self.counts.damaged += source.file.as_ref().map_or(0, |f| f.damaged + f.remaining());
                let Source { id, path, file_id, seqnum_id, last, .. } = source;
                let last = last.map(|(cursor, _)| cursor);
                self.finished.insert(id, Finished { path, file_id, seqnum_id, last });
            } else {
                index += 1;
            }
        }
        self.current = None;
    }

    /// Looks at the headers of all files that may grow.
    fn refresh(&mut self) {
        let mut changed = false;
        for source in &mut self.sources {
            let Some(file) = &mut source.file else { continue };
            if let Err(fault) = file.refresh() {
                log::debug!("{}: {fault}", source.path.display());
            }
            if source.head.is_none() {
                match file.next() {
                    Ok(head) => source.head = head,
                    Err(fault) => {
                        log::warn!("{}: {fault}; the rest of this file is skipped", source.path.display());
                        file.give_up();
                    }
                }
                changed |= source.head.is_some();
            }
        }
        if changed {
            self.compare_anew();
        }
    }

    /// Looks for files that came, went or changed their names.
    fn rescan(&mut self, first: bool) -> Vec<Problem> {
        self.unborn = false;
        let mut scan = self.roots.scan();
        // What is found on the second look may hold folders that are not watched either.
        while self.watch.set_folders(&scan.folders, &scan.parents) {
            scan = self.roots.scan();
        }
        let mut problems: Vec<Problem> =
            scan.problems.into_iter().map(|(path, error)| Problem::new(path, &error)).collect();
        // Renames first: a source must be known under its new name before the old name's next file is.
        for found in &scan.files {
            if let Some(source) = self.sources.iter_mut().find(|s| s.id == found.id) {
                source.path.clone_from(&found.path);
                source.archived |= is_archived_name(&found.path);
            }
        }
        for found in &scan.files {
            // The name of an archived file is given once; any other may by now be another file's.
            let finished = is_archived_name(&found.path)
                && self.finished.get(&found.id).is_some_and(|f| f.path == found.path);
            if finished || self.sources.iter().any(|s| s.id == found.id) {
                continue;
            }
            match self.add(found, first) {
                Ok(()) => {}
                Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Fault::Unborn) => self.unborn = true,
                Err(Fault::Io(error)) => problems.push(Problem::new(found.path.clone(), &error)),
                Err(fault) => problems.push(Problem::damaged(found.path.clone(), fault.to_string())),
            }
        }
        let present: std::collections::HashSet<FileId> = scan.files.iter().map(|f| f.id).collect();
        self.finished.retain(|id, _| present.contains(id));
        problems
    }

    /// Opens a file that was not known and goes to the first entry in it that is to be read.
    fn add(&mut self, found: &Found, first: bool) -> Result<(), Fault> {
        let file = JournalFile::new(open_checked(&found.path, found.id)?)?;
        let (file_id, seqnum_id) = (file.header.file_id, file.header.seqnum_id);
        if let Some(finished) = self.finished.get_mut(&found.id).filter(|f| f.file_id == file_id) {
            // Read to its end before it was renamed.
            finished.path.clone_from(&found.path);
            return Ok(());
        }
        let archived = is_archived_name(&found.path) || file.header.archived;
        let floor = self.state.floor;
        // A file that appears while we look on is new in whole, unless it takes the place of one that we
        // know, as when a copy is brought up to date. At the start, the state tells.
        let known = if first {
            let by_file = self.state.files.get(&file_id);
            let by_counter = self.state.counters.get(&seqnum_id).filter(|_| archived);
            by_file.or(by_counter).copied()
        } else {
            let sources = self.sources.iter().map(|s| (s.file_id, s.last.map(|(cursor, _)| cursor)));
            let finished = self.finished.values().map(|f| (f.file_id, f.last));
            let same = sources.chain(finished).filter(|(id, _)| *id == file_id);
            same.filter_map(|(_, last)| last).max_by_key(|last| last.seqnum)
        };
        let (mut file, head, last) = match (known, self.state.after) {
            (Some(read), _) => position(file, |c| c.seqnum <= read.seqnum)?,
            (None, Some(after)) if first => position(file, |c| c.order(&after) != Ordering::Greater)?,
            (None, None) if first => position(file, |c| c.realtime < floor)?,
            (None, _) => position(file, |_| false)?,
        };
        let tag = self.new_tag();
        file.rest();
        // An archived file waits closed for its turn; one that grows is held, so that rotation and
        // vacuuming take nothing from us.
        let file = (!archived || head.is_none()).then_some(file);
        self.sources.push(Source {
            id: found.id,
            path: found.path.clone(),
            tag,
            file_id,
            seqnum_id,
            runtime: found.runtime,
            archived,
            file,
            head,
            last,
        });
        self.finished.remove(&found.id);
        self.compare_anew();
        Ok(())
    }

    /// Makes the next [`Tail::turn`] look at all heads: numbers begin at one, so no head is within this
    /// limit.
    fn compare_anew(&mut self) {
        self.limit_seqnum = 0;
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

    /// Says once what could not be read while other things could.
    fn report(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if self.reported.insert(problem.path.clone(), problem.kind) != Some(problem.kind) {
                log::warn!("{problem}; its entries are not read");
            }
        }
    }
}

/// Keeps the higher number of the two: an entry that becomes visible late has a lower one than others read.
#[inline]
fn advance_to(places: &mut HashMap<Id128, Cursor>, id: Id128, cursor: Cursor) {
    let place = places.entry(id).or_insert(cursor);
    if place.seqnum < cursor.seqnum {
        *place = cursor;
    }
}

fn least(a: (usize, Cursor), b: (usize, Cursor)) -> (usize, Cursor) {
    if b.1.order(&a.1) == Ordering::Less { b } else { a }
}

/// Opens a regular file. Anything else of that name is refused, without waiting as for a pipe's writer.
fn open(path: &Path) -> io::Result<File> {
    let file =
        File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn open_checked(path: &Path, id: FileId) -> Result<File, Fault> {
    let file = open(path)?;
    if FileId::of(&file.metadata()?) != id {
        // Renamed between listing and opening: the next look finds it under its new name.
        return Err(Fault::Io(io::Error::new(io::ErrorKind::NotFound, "the file was renamed meanwhile")));
    }
    Ok(file)
}

type Positioned = (JournalFile, Option<Cursor>, Option<(Cursor, u16)>);

fn open_at(path: &Path, id: FileId, before: impl FnMut(&Cursor) -> bool) -> Result<Positioned, Fault> {
    position(JournalFile::new(open_checked(path, id)?)?, before)
}

/// Goes to the first entry that is not `before`; also returns the entry just before it with its ordinal,
/// so that the ordinals within a microsecond do not depend on where reading began.
fn position(mut file: JournalFile, before: impl FnMut(&Cursor) -> bool) -> Result<Positioned, Fault> {
    let last = file.seek(before, ORDINAL_MAX)?;
    let head = file.next()?;
    Ok((file, head, last))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test stops at the first surprise

    use super::*;

    #[test]
    fn no_two_files_share_a_number_when_numbers_begin_anew() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal/system.journal");
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.journal", "b.journal"] {
            std::fs::copy(&demo, dir.path().join(name)).unwrap();
        }
        let mut tail =
            Tail::open(&[dir.path().into()], Keys::default(), Start::Oldest, Waker::new().unwrap()).unwrap();
        let generation = tail.fields.generation();
        for _ in 0..=u16::MAX {
            let new = tail.new_tag();
            assert!(tail.sources.iter().all(|s| s.tag != new), "{new}");
        }
        assert_ne!(tail.fields.generation(), generation);
    }
}
