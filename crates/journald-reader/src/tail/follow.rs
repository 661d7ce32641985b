//! Following: what is written, renamed, made and deleted while a tail reads.
//!
//! inotify tells of names at once and of writes when journald announces them, at most every 250 ms. While a file is
//! being written to, its header is looked at in between, so that entries come at once; when it rests, nothing runs.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::cursor::Cursor;
use super::super::doubt::loss::{Known, Reason};
use super::super::entries::place::{Place, SET_BACK_MAX};
use super::super::error::Problem;
use super::super::file::JournalFile;
use super::super::format::fault::Fault;
use super::super::scan::{FileId, Found, is_archived_name, journal_of};
use super::super::watch::{Event, Writes};
use super::Tail;
use super::merge::Head;
use super::source::{Begin, Finished, Source, begin};

/// How often the headers of files that are being written to are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For this long after a file has grown it counts as being written to: two of journald's announcements.
const BUSY_FOR: Duration = Duration::from_millis(500);
/// For this long a file may be empty before the log mentions it: journald writes the header at once.
const UNBORN_FOR: Duration = Duration::from_secs(5);
/// What the log says of an empty file.
const UNBORN: &str =
    "so is a file that is just being made, or that a crash has left; it is read when it has a header";
/// Scans in a row while folders appear that were not watched (count). Folders may be made without end; inotify tells of
/// those that appear later.
const RESCANS_MAX: usize = 8;

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
            let unborn = self.unborn_due();
            let event = self.watch.wait(look.into_iter().chain(unborn).chain(deadline).min())?;
            if unborn.is_some_and(|due| due <= Instant::now()) {
                self.unborn_said = Instant::now();
                self.rename_all();
            }
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
        let written = |path: &Path| match &event.writes {
            Writes::Any => true,
            Writes::Files(names) => path.file_name().is_some_and(|name| names.iter().any(|n| n == name)),
        };
        let incomplete = self.incomplete && event.writes != Writes::default();
        if event.files || incomplete || self.passed_over.values().any(|passed| written(&passed.path)) {
            self.rename_all();
        }
        let now = Instant::now();
        self.refresh(now, |source| !source.archived && (all || source.is_busy(now) || written(&source.path)))
    }

    /// An entry of this source is the next one, and numbers before it were not met: looks whether another file has them,
    /// as one that was made a moment ago. False if it has been looked for since this entry became visible: what was written
    /// before it was visible then, too.
    #[cold]
    pub(super) fn look_for_others(&mut self, index: usize) -> bool {
        let Some(source) = self.sources.get(index).filter(|source| !source.archived) else { return false };
        if self.looked.is_some_and(|looked| source.grown.is_none_or(|grown| grown < looked)) {
            return false;
        }
        let id = source.id;
        // A failure shows at the next wait.
        let event = self.watch.drain().unwrap_or_default();
        self.look(&event);
        // The others after this one: what they show then includes all that was written before its entries.
        self.refresh(Instant::now(), |source| !source.archived && source.id != id);
        self.looked = Some(Instant::now());
        true
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
        let reopened = !file.bytes().is_open();
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
                if let Fault::Foreign(_) = fault {
                    file.lose(Reason::Header, 0, &fault);
                    source.tell();
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
        let archived = file.header().archived;
        // Since systemd 254 a file gets the counter's id with its first entry.
        if source.seqnum_id != file.header().seqnum_id {
            source.seqnum_id = file.header().seqnum_id;
            self.changed = true;
        }
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
        for _ in 0..RESCANS_MAX {
            if !self.watch.set_folders(&scan.folders, &scan.parents) {
                break;
            }
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
            // The name of an archived file is given once; any other name may belong to another file by now.
            let finished = is_archived_name(&found.path)
                && self.finished.get(&found.id).is_some_and(|f| f.path == found.path);
            if finished || known.contains_key(&found.id) {
                continue;
            }
            // What cannot be read is not looked at again before it changes.
            let stamp = Stamp::of(&found.path);
            let passed = self.passed_over.get(&found.id).filter(|passed| passed.stamp == stamp);
            let added = match passed {
                Some(passed) if passed.unborn.is_none() => continue,
                Some(_) => Ok(()),
                None => {
                    let added = self.add(found, first);
                    if added.is_ok() {
                        self.passed_over.remove(&found.id);
                    }
                    added
                }
            };
            match added {
                Ok(()) => {}
                Err(fault) if fault.is_moved() => {}
                Err(Fault::Io(error)) => problems.push(Problem::new(found.path.clone(), &error)),
                Err(fault) => {
                    let since =
                        self.passed_over.get(&found.id).map_or_else(Instant::now, |passed| passed.since);
                    let unborn = matches!(fault, Fault::Unborn(_)).then(|| fault.to_string());
                    if unborn.is_none() {
                        problems.push(Problem::damaged(found.path.clone(), fault.to_string()));
                    }
                    let passed = PassedOver { path: found.path.clone(), stamp, since, unborn };
                    self.passed_over.insert(found.id, passed);
                }
            }
        }
        for passed in self.passed_over.values() {
            let Some(what) = &passed.unborn else { continue };
            // At the start the log says so at once: a program that reads to the end and stops would say nothing.
            let young = passed.since.elapsed() < UNBORN_FOR;
            self.incomplete |= young;
            if first || !young {
                problems.push(Problem::damaged(passed.path.clone(), format!("{what}; {UNBORN}")));
            }
        }
        let present: HashSet<FileId> = scan.files.iter().map(|f| f.id).collect();
        self.finished.retain(|id, _| present.contains(id));
        self.passed_over.retain(|id, _| present.contains(id));
        // A source whose file is gone may be over.
        self.changed |= self.sources.iter().any(|source| source.missed > 0);
        problems
    }

    /// When it is time to log that a file is empty.
    fn unborn_due(&self) -> Option<Instant> {
        let unborn = self.passed_over.values().filter(|passed| passed.unborn.is_some());
        unborn.map(|passed| passed.since + UNBORN_FOR).filter(|due| *due > self.unborn_said).min()
    }

    /// Opens a file that was not known and goes to the first entry in it that is to be read.
    fn add(&mut self, found: &Found, first: bool) -> Result<(), Fault> {
        if self.sources.iter().any(|source| source.id == found.id) {
            return Ok(()); // listed twice
        }
        let mut file = JournalFile::open(&found.path, found.id)?.filtered(self.filter.as_ref());
        let recognised = if first { self.recognise(&mut file, found)? } else { None };
        let (file_id, seqnum_id) = (file.header().file_id, file.header().seqnum_id);
        if let Some(finished) = self.finished.get_mut(&found.id).filter(|f| f.file_id == file_id) {
            // Read to its end before it was renamed.
            finished.path.clone_from(&found.path);
            return Ok(());
        }
        let archived = is_archived_name(&found.path) || file.header().archived;
        let place = self.place_in(&file, recognised, archived, first);
        let begin = match file.header().head_realtime > self.end.saturating_add(SET_BACK_MAX) {
            true => Begin::Nowhere,
            false => begin(&mut file, place, archived)?,
        };
        let all = self.state.after.is_none() && file.header().head_realtime >= self.state.floor;
        let from = begin.number(place, all, &file);
        self.finished.remove(&found.id);
        let oldest = file.header().head_seqnum;
        let (head, last, file) = match begin {
            Begin::Nowhere => {
                self.counts.read(file.bytes());
                let last = Some(Cursor { seqnum_id, seqnum: file.header().tail_seqnum, ..Cursor::default() });
                let (path, runtime) = (found.path.clone(), found.runtime);
                let finished = Finished { path, runtime, file_id, seqnum_id, from, whole: true, last };
                self.finished.insert(found.id, finished);
                return Ok(());
            }
            // Its turn comes later; until then only its header is known.
            Begin::First(seqnum) if archived => {
                self.counts.read(file.bytes());
                (Some(Head::Expected(seqnum)), None, None)
            }
            // A file that grows is held open, so that its entries can be read after rotation and vacuuming, too.
            Begin::First(seqnum) => (Some(Head::Expected(seqnum)), None, Some(file)),
            Begin::Within(head) => {
                file.rest();
                (head.map(Head::Seen), file.passed(), Some(file))
            }
        };
        let opened = file.is_some();
        let tag = self.new_tag();
        let journal = journal_of(&found.path);
        let numbers = self.numbers.journal(found.runtime, &journal);
        let mut source = Source {
            id: found.id,
            path: found.path.clone(),
            tag,
            file_id,
            seqnum_id,
            runtime: found.runtime,
            journal,
            numbers,
            archived,
            file,
            head,
            last,
            from,
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

    /// Where reading begins in a file that was not known. A file that appears while the tail follows is new in whole,
    /// unless it takes the place of a known one, as when a copy is brought up to date. At the start, the state tells.
    fn place_in(&self, file: &JournalFile, recognised: Option<Cursor>, archived: bool, first: bool) -> Place {
        let (file_id, seqnum_id) = (file.header().file_id, file.header().seqnum_id);
        let known = if first {
            let by_file = self.state.files.get(&file_id).or(recognised.as_ref());
            let by_counter = self.state.counters.get(&seqnum_id).filter(|_| archived);
            by_file.or(by_counter).map(|read| read.seqnum)
        } else {
            let sources = self.sources.iter().map(|s| (s.file_id, s.done()));
            let finished = self.finished.values().map(|f| (f.file_id, f.last));
            let read = sources.chain(finished).filter(|(id, _)| *id == file_id);
            read.filter_map(|(_, last)| last).map(|last| last.seqnum).max()
        };
        match (known, self.state.after) {
            (Some(read), _) => Place::Seqnum(read.saturating_add(1)),
            (None, Some(after)) if first => Place::After(after),
            // Which file it was, and what was read of it, is not known; entries are read in order.
            (None, None) if first && file.header().lost && self.state.cursor.is_some() => {
                self.state.cursor.map_or(Place::First, Place::After)
            }
            (None, None) if first && self.end < u64::MAX => Place::Since(self.state.floor),
            (None, None) if first && self.state.floor > 0 => Place::Realtime(self.state.floor),
            (None, _) => Place::First,
        }
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

/// A file that is not read.
pub(super) struct PassedOver {
    path: PathBuf,
    stamp: Option<Stamp>,
    since: Instant,
    /// If nothing is written in it: what was seen.
    unborn: Option<String>,
}

/// How long a file is, and when it was written to: tells whether it has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, i64, i64);

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path).ok().map(|file| Stamp(file.len(), file.mtime(), file.mtime_nsec()))
    }
}

impl Source {
    /// Whether it is being written to.
    fn is_busy(&self, now: Instant) -> bool {
        self.grown.is_some_and(|grown| now < grown + BUSY_FOR)
    }
}
