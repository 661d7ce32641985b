//! Following: what is written, renamed, made and deleted while a tail reads.
//!
//! inotify tells of names at once and of writes when journald announces them, at most every 250 ms. While a file is
//! being written to, its header is looked at in between, so that entries come at once; when it rests, nothing runs.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use super::super::cursor::Cursor;
use super::super::error::Problem;
use super::super::file::{Fault, JournalFile};
use super::super::loss::Known;
use super::super::scan::{FileId, Found, is_archived_name, journal_of};
use super::super::seek::Place;
use super::super::watch::{Event, Writes};
use super::Tail;
use super::merge::Head;
use super::source::{Begin, Finished, Source, begin};

/// How often the headers of files that are being written to are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So long after a file has grown it counts as being written to: two of journald's announcements.
const BUSY_FOR: Duration = Duration::from_millis(500);

impl Tail {
    /// Sleeps until the journal has changed, the waker was used or the deadline has come. Looks for
    /// new entries and new files before it returns.
    ///
    /// # Errors
    /// When the system's notification fails.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            let now = Instant::now();
            self.busy = self.busy.filter(|until| *until > now);
            let look = self.busy.map(|_| now + LOOK_EVERY);
            let event = self.watch.wait(look.into_iter().chain(deadline).min())?;
            let grown = self.look(&event);
            let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if grown || over || event != Event::default() {
                return Ok(());
            }
        }
    }

    /// Looks whether something has changed, without sleeping.
    ///
    /// # Errors
    /// As [`Tail::wait`].
    pub fn poll(&mut self) -> io::Result<()> {
        let event = self.watch.drain()?;
        self.look(&event);
        Ok(())
    }

    /// Looks at what may have changed; true when there are new entries.
    fn look(&mut self, event: &Event) -> bool {
        // New names first: a file that is being rotated away then shows its last entries before the
        // next file shows its first.
        let all = event.files || event.writes == Writes::Any;
        if event.files || (self.incomplete && event.writes != Writes::default()) {
            self.rename_all();
        }
        let now = Instant::now();
        self.refresh(now, |source| {
            let told = || match &event.writes {
                Writes::Any => true,
                Writes::Files(names) => {
                    source.path.file_name().is_some_and(|name| names.iter().any(|n| n == name))
                }
            };
            !source.archived && (all || source.is_busy(now) || told())
        })
    }

    /// Looks at the headers of some files; true when there are new entries.
    fn refresh(&mut self, now: Instant, which: impl Fn(&Source) -> bool) -> bool {
        let mut grown = false;
        for index in 0..self.sources.len() {
            if self.sources.get(index).is_some_and(&which) {
                grown |= self.refresh_one(index, now);
            }
        }
        grown
    }

    fn refresh_one(&mut self, index: usize, now: Instant) -> bool {
        let Some(source) = self.sources.get_mut(index) else { return false };
        let Some(file) = &mut source.file else { return false };
        let reopened = !file.file.is_open();
        let grown = match file.refresh() {
            Ok(grown) => grown,
            Err(fault) => {
                log::debug!("{}: {fault}", source.path.display());
                // Another file may have its name by now.
                self.incomplete |= fault.is_moved();
                if fault.is_moved() && source.head.is_none() {
                    source.archived = true;
                    self.changed = true;
                }
                return false;
            }
        };
        if grown {
            self.clock += 1;
            source.used = self.clock;
            source.grown = Some(now);
            self.busy = Some(now + BUSY_FOR);
        }
        let archived = file.header.archived;
        if source.head.is_none() {
            let head = self.next_of(index).map(Head::Seen);
            self.changed |= head.is_some() || archived;
            if let Some(source) = self.sources.get_mut(index) {
                source.head = head;
            }
        }
        if reopened {
            self.opened();
        }
        grown
    }

    /// Looks for files that came, went or changed their names, and says what cannot be read.
    pub(super) fn rename_all(&mut self) {
        let problems = self.rescan(false);
        self.report(problems);
    }

    /// Looks for files that came, went or changed their names.
    pub(super) fn rescan(&mut self, first: bool) -> Vec<Problem> {
        self.incomplete = false;
        let mut scan = self.roots.scan();
        // What is found on the second look may hold folders that are not watched either.
        while self.watch.set_folders(&scan.folders, &scan.parents) {
            scan = self.roots.scan();
        }
        let mut problems: Vec<Problem> =
            scan.problems.into_iter().map(|(path, error)| Problem::new(path, &error)).collect();
        // Renames first: a source must be known under its new name before the old name's next file is.
        let known: HashMap<FileId, usize> = self.sources.iter().enumerate().map(|(i, s)| (s.id, i)).collect();
        for source in &mut self.sources {
            source.missed = source.missed.saturating_add(1);
        }
        let mut archived = Vec::new();
        for found in &scan.files {
            let Some(index) = known.get(&found.id).copied() else { continue };
            let Some(source) = self.sources.get_mut(index) else { continue };
            source.missed = 0;
            if source.path != found.path {
                source.path.clone_from(&found.path);
                if let Some(file) = &mut source.file {
                    file.named(&found.path);
                }
            }
            if is_archived_name(&found.path) && !std::mem::replace(&mut source.archived, true) {
                archived.push(index);
            }
        }
        // The last entries were written before the file got its last name.
        for index in archived {
            self.refresh_one(index, Instant::now());
        }
        for found in &scan.files {
            // The name of an archived file is given once; any other may by now be another file's.
            let finished = is_archived_name(&found.path)
                && self.finished.get(&found.id).is_some_and(|f| f.path == found.path);
            if finished || known.contains_key(&found.id) {
                continue;
            }
            match self.add(found, first) {
                Ok(()) => {}
                Err(fault) if fault.is_moved() => {}
                Err(Fault::Unborn) => self.incomplete = true,
                Err(Fault::Io(error)) => problems.push(Problem::new(found.path.clone(), &error)),
                Err(fault) => problems.push(Problem::damaged(found.path.clone(), fault.to_string())),
            }
        }
        let present: HashSet<FileId> = scan.files.iter().map(|f| f.id).collect();
        self.finished.retain(|id, _| present.contains(id));
        // What is gone may be over.
        self.changed |= self.sources.iter().any(|source| source.missed > 0);
        problems
    }

    /// Opens a file that was not known and goes to the first entry in it that is to be read.
    fn add(&mut self, found: &Found, first: bool) -> Result<(), Fault> {
        if self.sources.iter().any(|source| source.id == found.id) {
            return Ok(()); // listed twice
        }
        let mut file = JournalFile::open(&found.path, found.id)?.filtered(self.filter.as_ref());
        let (file_id, seqnum_id) = (file.header.file_id, file.header.seqnum_id);
        if let Some(finished) = self.finished.get_mut(&found.id).filter(|f| f.file_id == file_id) {
            // Read to its end before it was renamed.
            finished.path.clone_from(&found.path);
            return Ok(());
        }
        let archived = is_archived_name(&found.path) || file.header.archived;
        // A file that appears while we look on is new in whole, unless it takes the place of one that we
        // know, as when a copy is brought up to date. At the start, the state tells.
        let known = if first {
            let by_file = self.state.files.get(&file_id);
            let by_counter = self.state.counters.get(&seqnum_id).filter(|_| archived);
            by_file.or(by_counter).map(|read| read.seqnum)
        } else {
            let sources = self.sources.iter().map(|s| (s.file_id, s.done()));
            let finished = self.finished.values().map(|f| (f.file_id, f.last));
            let read = sources.chain(finished).filter(|(id, _)| *id == file_id);
            read.filter_map(|(_, last)| last).map(|last| last.seqnum).max()
        };
        let place = match (known, self.state.after) {
            (Some(read), _) => Place::Seqnum(read.saturating_add(1)),
            (None, Some(after)) if first => Place::After(after),
            (None, None) if first && self.state.floor > 0 => Place::Realtime(self.state.floor),
            (None, _) => Place::First,
        };
        let begin = begin(&mut file, place, archived)?;
        self.finished.remove(&found.id);
        let oldest = file.header.head_seqnum;
        let (head, last, file) = match begin {
            Begin::Nowhere => {
                self.counts.reads += file.file.reads();
                let last = Some(Cursor { seqnum_id, seqnum: file.header.tail_seqnum, ..Cursor::default() });
                let finished = Finished { path: found.path.clone(), file_id, seqnum_id, last };
                self.finished.insert(found.id, finished);
                return Ok(());
            }
            // It waits, known by its header only.
            Begin::First(seqnum) if archived => {
                self.counts.reads += file.file.reads();
                (Some(Head::Expected(seqnum)), None, None)
            }
            // One that grows is held, so that rotation and vacuuming take nothing from us.
            Begin::First(seqnum) => (Some(Head::Expected(seqnum)), None, Some(file)),
            Begin::Within(head) => {
                file.rest();
                (head.map(Head::Seen), file.passed(), Some(file))
            }
        };
        let opened = file.is_some();
        let tag = self.new_tag();
        let mut source = Source {
            id: found.id,
            path: found.path.clone(),
            tag,
            file_id,
            seqnum_id,
            runtime: found.runtime,
            journal: journal_of(&found.path),
            archived,
            file,
            head,
            last,
            oldest,
            grown: None,
            used: 0,
            missed: 0,
            known: Known::default(),
        };
        source.tell();
        self.sources.push(source);
        self.changed = true;
        if opened {
            self.opened();
        }
        Ok(())
    }

    /// Says once what could not be read while other things could.
    pub(super) fn report(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if self.reported.insert(problem.path.clone(), problem.kind) != Some(problem.kind) {
                log::warn!("{problem}; its entries are not read");
            }
        }
    }
}

impl Source {
    /// Whether it is being written to.
    fn is_busy(&self, now: Instant) -> bool {
        self.grown.is_some_and(|grown| now < grown + BUSY_FOR)
    }
}
