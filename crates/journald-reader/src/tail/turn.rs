//! Turns: which file is read next, and how many descriptors and how much memory it may use meanwhile.

use std::io;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::super::cursor::Cursor;
use super::super::entries::place::SET_BACK_MAX;
use super::super::file::JournalFile;
use super::super::format::fault::Fault;
use super::super::select::filter::Filter;
use super::Tail;
use super::merge::{Head, Merge};
use super::source::Source;

/// Journal files that keep a descriptor (count): those read and written last. Where more take turns, as many as a large fleet
/// has hosts, files are opened again and again, and entries are lost of a file that is deleted while it has none.
const OPEN_MAX: usize = 512;
/// As many at least, whatever the process may open (count). A host writes to far fewer at a time.
const OPEN_MIN: usize = 16;
/// The part of the descriptors that the process may open that one tail takes at most: there may be a tail for each destination,
/// for the rules, and for queries.
const OPEN_SHARE: u64 = 16;
/// Turns of each file, on average, after which files are known to be read by turns (count): files that are read one after the
/// other have one each.
const TURNS: u64 = 8;
/// Memory for the windows of all files that are read by turns (bytes); one alone takes a quarter of it.
const WINDOWS_MAX: usize = 1 << 20;

impl Tail {
    /// Moves the current source to its next entry.
    #[inline]
    pub(super) fn advance(&mut self) {
        if let Some(index) = self.current {
            self.step(index);
        }
    }

    /// Moves a source to its next entry, and returns that.
    #[inline]
    fn step(&mut self, index: usize) -> Option<Cursor> {
        let head = self.next_of(index);
        if let Some(source) = self.sources.get_mut(index) {
            source.head = head.map(Head::Seen);
            // It will be let go.
            self.changed |= head.is_none() && source.is_over();
        }
        head
    }

    /// Passes over the copies of the entry just read that other files have as their next one.
    #[cold]
    pub(super) fn pass_copies(&mut self, head: &Cursor) {
        while let Some((lane, index, next)) = self.merge.copy_of(head) {
            let next = match next {
                Head::Expected(_) => self.see(index),
                Head::Seen(copy) if !self.is_copy(&copy, index) => return,
                Head::Seen(copy) => {
                    self.pass_copy(copy, index);
                    self.use_source(index);
                    let next = self.step(index);
                    let share = self.share();
                    let file = self.sources.get_mut(index).and_then(|source| source.file.as_mut());
                    file.into_iter().for_each(|file| file.end_turn(share));
                    next
                }
            };
            self.merge.replace(lane, next);
            self.see_all();
        }
    }

    /// Whether the clock was set back before an entry, which comes next: its boot has shown a later time just before.
    #[inline]
    pub(super) fn is_set_back(&self, head: &Cursor) -> bool {
        self.state.cursor.is_some_and(|last| {
            head.realtime < last.realtime && head.boot_id == last.boot_id && head.monotonic >= last.monotonic
        })
    }

    /// Before the first entry behind a clock that was set back: passes over what other files have as their next one and is a
    /// copy of an entry of the last instant. By the new time, its turn would come later. Returns whether there was one: it
    /// may have kept others from their turn.
    #[cold]
    pub(super) fn pass_copies_in_rings(&mut self) -> bool {
        self.merge.expect_rings();
        let before = self.counts.copies;
        for entry in self.recent.clone() {
            self.pass_copies(&entry);
        }
        self.counts.copies > before
    }

    /// Reads the next entries of all sources that have to be known before it is known whose turn it is.
    fn see_all(&mut self) {
        while let Some(index) = self.merge.unseen() {
            let head = self.see(index);
            self.merge.see(head);
        }
    }

    /// The next entry of a source; `None` at the end of its file, and when the file cannot be read any further.
    #[inline]
    pub(super) fn next_of(&mut self, index: usize) -> Option<Cursor> {
        let (mut moved, end) = (false, self.end.saturating_add(SET_BACK_MAX));
        loop {
            let source = self.sources.get_mut(index)?;
            let file = source.file.as_mut()?;
            let head = match file.next() {
                Err(fault) if fault.is_moved() && !moved => {
                    moved = true;
                    self.rename_all();
                    continue;
                }
                Ok(Some(head)) if head.realtime > end => {
                    file.let_go();
                    None
                }
                Ok(head) => head,
                Err(fault) if fault.is_moved() => {
                    log::warn!(
                        "{}: deleted before it was read to its end; what is missing is counted by its numbers",
                        source.path.display()
                    );
                    file.let_go();
                    None
                }
                Err(fault) => {
                    file.give_up(&fault);
                    None
                }
            };
            if file.ledger().has_news() {
                source.tell();
            }
            return head;
        }
    }

    /// Makes the source with the least head the current one and returns that head.
    #[inline]
    pub(super) fn turn(&mut self) -> Option<Cursor> {
        if !self.changed
            && let Some(source) = self.current.and_then(|index| self.sources.get(index))
            && let Some(head) = source.seen()
            && self.merge.allows(&head)
        {
            return Some(head);
        }
        self.choose()
    }

    fn choose(&mut self) -> Option<Cursor> {
        if let Some(index) = self.current.take()
            && !self.changed
        {
            let share = self.share();
            let source = self.sources.get_mut(index);
            let head = source.and_then(|source| {
                source.file.iter_mut().for_each(|file| file.end_turn(share));
                source.seen()
            });
            self.merge.give_back(index, head);
        }
        loop {
            if std::mem::take(&mut self.changed) {
                self.gather();
            }
            self.see_all();
            if self.changed {
                continue;
            }
            let (index, head) = self.merge.take()?;
            self.current = Some(index);
            self.use_source(index);
            if self.clock.saturating_sub(self.gathered) > TURNS * self.windows as u64 {
                self.gathered = self.clock;
                self.fields.make_room(self.windows);
            }
            return Some(head);
        }
    }

    /// Lets go of sources that are over, and asks all others for their heads.
    fn gather(&mut self) {
        let mut index = 0;
        while let Some(source) = self.sources.get(index) {
            if !source.is_over() {
                index += 1;
                continue;
            }
            let source = self.sources.swap_remove(index);
            self.counts.unwanted += source.unwanted();
            self.counts.fields_damaged += source.fields();
            source.file.iter().for_each(|file| self.counts.read(file.bytes()));
            let (id, finished, losses) = source.finish();
            self.counts.damaged += losses;
            self.finished.insert(id, finished);
        }
        self.gathered = self.clock;
        self.windows = self.sources.iter().filter(|s| s.file.is_some() && s.head.is_some()).count();
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(index, s)| Some((index, s.seqnum_id, s.head?)));
        self.merge = Merge::new(heads, self.merge.expects_rings());
    }

    /// Reads the head of a source of which only its number is known.
    fn see(&mut self, index: usize) -> Option<Cursor> {
        let source = self.sources.get_mut(index)?;
        if source.file.is_none() {
            match reopen(source, self.filter.as_ref()) {
                Ok(file) => source.file = Some(file),
                Err(fault) if fault.is_moved() => {
                    self.rename_all();
                    let source = self.sources.get_mut(index)?;
                    source.file = reopen(source, self.filter.as_ref()).ok();
                }
                Err(_) => {}
            }
            self.windows += 1;
            self.opened();
        } else if source.file.as_ref().is_some_and(|file| !file.bytes().is_open()) {
            self.opened();
        }
        let head = self.next_of(index);
        let source = self.sources.get_mut(index)?;
        source.head = head.map(Head::Seen);
        // Its turn may come much later.
        source.file.iter_mut().for_each(JournalFile::rest);
        if source.file.is_none() {
            log::warn!("{}: it cannot be opened any more; it was not read", source.path.display());
            source.archived = true;
        }
        self.changed |= head.is_none() && source.is_over();
        head
    }

    /// The memory for windows of each file that is read by turns (bytes).
    fn share(&self) -> usize {
        WINDOWS_MAX / self.windows.max(4)
    }

    /// A source is about to be read: it may take a descriptor, which others have to give back, and a share of the
    /// memory for windows.
    fn use_source(&mut self, index: usize) {
        self.clock += 1;
        let share = self.share();
        let Some(source) = self.sources.get_mut(index) else { return };
        source.used = self.clock;
        let Some(file) = &mut source.file else { return };
        file.begin_turn(share);
        if !file.bytes().is_open() {
            self.opened();
        }
    }

    /// One more file has a descriptor, or is about to have one.
    pub(super) fn opened(&mut self) {
        self.open += 1;
        if self.open > self.open_max {
            self.close_some();
        }
    }

    /// Closes descriptors, all but those used last, so many at once that this happens seldom.
    fn close_some(&mut self) {
        let kept = self.open_max / 2;
        let mut open: Vec<(u64, &mut JournalFile)> = Vec::new();
        for source in &mut self.sources {
            if let Some(file) = source.file.as_mut().filter(|file| file.bytes().is_open()) {
                open.push((source.used, file));
            }
        }
        open.sort_unstable_by_key(|(used, _)| std::cmp::Reverse(*used));
        for (_, file) in open.iter().skip(kept) {
            file.bytes().close();
        }
        // The file that is about to be opened counts, too.
        self.open = open.len().min(kept) + 1;
    }
}

/// The most files that a tail of this process keeps open (count).
pub(super) fn open_max() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / OPEN_SHARE).unwrap_or(OPEN_MAX).clamp(OPEN_MIN, OPEN_MAX)
}

/// Opens the file of a source of which only the header was read, at its beginning.
fn reopen(source: &Source, filter: Option<&Arc<Filter>>) -> Result<JournalFile, Fault> {
    let file = JournalFile::open(&source.path, source.id)?.filtered(filter);
    match file.header().file_id == source.file_id {
        true => Ok(file),
        false => Err(Fault::Io(io::ErrorKind::NotFound.into())),
    }
}
