//! One file of a tail: what is known of it, and how far it was read.

use std::path::PathBuf;
use std::time::Instant;

use super::super::cursor::{Cursor, Id128};
use super::super::doubt::loss::{Known, Losses};
use super::super::entries::place::{Place, Side};
use super::super::file::JournalFile;
use super::super::format::fault::Fault;
use super::super::scan::FileId;
use super::merge::Head;

/// How many files a tail reads (counts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// Files that journald may still write to.
    pub growing: usize,
    /// Files that nobody writes to any more.
    pub finished: usize,
}

/// A file with entries to read, now or when it grows.
pub(super) struct Source {
    pub id: FileId,
    pub path: PathBuf,
    /// Numbers the files of this tail in the field cache.
    pub tag: u16,
    pub file_id: Id128,
    pub seqnum_id: Id128,
    /// It lies where a reboot deletes it.
    pub runtime: bool,
    /// The name of its folder, which its journald has in the persistent place, too.
    pub journal: String,
    /// The place of that journal among [`super::numbers::Numbers`].
    pub numbers: usize,
    /// Nobody writes to it any more.
    pub archived: bool,
    /// `None` while an archived file waits for its turn and only its header was read.
    pub file: Option<JournalFile>,
    /// The next entry.
    pub head: Option<Head>,
    /// The entry of this file that was read last, or passed over before it was read.
    pub last: Option<Cursor>,
    /// Entries of lower numbers were not wanted: they lie before the place where reading began.
    pub from: u64,
    /// The number of its first entry; zero while there is none.
    pub oldest: u64,
    /// When it was last seen to have grown.
    pub grown: Option<Instant>,
    /// When its turn was, or when it grew, by the tail's own count of turns.
    pub used: u64,
    /// Scans in a row that did not find it.
    pub missed: u8,
    /// Causes of loss that were logged.
    pub known: Known,
}

/// Scans that must have missed a file without a descriptor before it is given up (count): a single scan may have looked
/// while the file was being renamed.
const MISSED_MAX: u8 = 2;

impl Source {
    /// The next entry, if it was read.
    pub(super) fn seen(&self) -> Option<Cursor> {
        match self.head? {
            Head::Seen(cursor) => Some(cursor),
            Head::Expected(_) => None,
        }
    }

    /// The entry up to which it was read, entries that no match wants included.
    pub(super) fn done(&self) -> Option<Cursor> {
        let passed = self.file.as_ref().and_then(JournalFile::passed);
        self.last.into_iter().chain(passed).max_by_key(|cursor| cursor.seqnum)
    }

    /// Whether it is read to its end and cannot grow.
    pub(super) fn is_over(&self) -> bool {
        let gone = || match &self.file {
            Some(file) if file.bytes().is_open() => !file.bytes().is_linked(),
            _ => self.missed >= MISSED_MAX,
        };
        let archived = self.archived || self.file.as_ref().is_some_and(|file| file.header().archived);
        self.head.is_none() && (archived || (self.missed > 0 && gone()))
    }

    /// What was lost in it so far.
    pub(super) fn losses(&self) -> Losses {
        self.file.as_ref().map_or(Losses::default(), |file| file.ledger().losses())
    }

    /// Fields left out of its entries so far.
    pub(super) fn fields(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.ledger().fields())
    }

    /// Whether there is a loss to log.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.ledger().has_news())
    }

    /// Logs what was lost, once for each cause.
    pub(super) fn tell(&mut self) {
        for news in self.file.as_mut().map(|file| file.take_news()).unwrap_or_default() {
            if self.known.learn(news.loss) {
                log::warn!("{}: {news}", self.path.display());
            }
        }
    }

    /// Entries in it that no match wants (count).
    pub(super) fn unwanted(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.unwanted())
    }

    /// Lets the file go: what its header promises and nothing has shown is lost. Returns what is left of it, and its
    /// losses.
    pub(super) fn finish(mut self) -> (FileId, Finished, Losses) {
        if let Some(file) = &mut self.file {
            file.close_account();
        }
        self.tell();
        let (losses, last) = (self.losses(), self.done());
        let Source { id, path, runtime, file_id, seqnum_id, from, .. } = self;
        let whole = losses.total() == 0;
        (id, Finished { path, runtime, file_id, seqnum_id, from, whole, last }, losses)
    }
}

/// A file that was read to its end and cannot grow.
pub(super) struct Finished {
    pub path: PathBuf,
    pub runtime: bool,
    pub file_id: Id128,
    pub seqnum_id: Id128,
    /// As in [`Source`].
    pub from: u64,
    /// Nothing in it was lost.
    pub whole: bool,
    /// Its last entry, of which at least the number is known.
    pub last: Option<Cursor>,
}

/// Where reading begins in a file.
pub(super) enum Begin {
    /// Nothing in it is wanted, and nothing will be.
    Nowhere,
    /// At its first entry, of which only the number is known.
    First(u64),
    /// Somewhere in it: the next entry.
    Within(Option<Cursor>),
}

impl Begin {
    /// Reading begins at this place: the number from which on all entries have been handed on, now or by an earlier tail,
    /// once they are read. `all`: an earlier tail began with the file's
    /// first entry.
    pub(super) fn number(&self, place: Place, all: bool, file: &JournalFile) -> u64 {
        match (place, self) {
            (Place::First, _) => 0,
            (Place::Seqnum(_), _) if all => 0,
            // Where the earlier tail began in this file is not known.
            (Place::Seqnum(first), _) => first,
            (_, Begin::Nowhere) => u64::MAX,
            (_, Begin::First(number)) => *number,
            (_, Begin::Within(Some(head))) => head.seqnum,
            (_, Begin::Within(None)) => file.passed().map_or(0, |passed| passed.seqnum.saturating_add(1)),
        }
    }
}

/// Finds a place in a file that was opened. `still`: nothing is written to it.
pub(super) fn begin(file: &mut JournalFile, place: Place, still: bool) -> Result<Begin, Fault> {
    match file.side(place, still)? {
        Side::Before => Ok(Begin::Nowhere),
        Side::Behind => Ok(Begin::First(file.header().head_seqnum)),
        Side::Around => Ok(Begin::Within(go_to(file, place)?)),
    }
}

/// Goes to the first entry behind a place.
fn go_to(file: &mut JournalFile, place: Place) -> Result<Option<Cursor>, Fault> {
    file.seek(place)?;
    let mut head = file.next()?;
    // Where arrays are damaged, seeking ends before the place; the entries up to it are passed over one by one.
    while let Some(passed) = head.filter(|head| place.is_behind(head)) {
        file.pass(passed);
        head = file.next()?;
    }
    Ok(head)
}
