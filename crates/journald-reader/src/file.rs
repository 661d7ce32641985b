//! One journal file, read forward: entries in the order of its entry arrays.
//!
//! Reading goes through two windows. `ahead` slides forward with the entries and holds them together with
//! the DATA objects written just before them; `behind` fetches the few that lie further back and that the
//! field cache has lost. Everything a file says is checked before it is used: type, size, place, number, time.
//! Where something does not fit, the file is in doubt from then on (`verify`), and what the arrays do not show is
//! searched for (`search`). The file is held by its descriptor, so renaming and unlinking it changes nothing here.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cursor::{Cursor, Id128};
use super::filter::{Filter, Wanted};
use super::handle::Handle;
use super::lookup::Walk;
use super::loss::{Ledger, Reason};
use super::object::{self, Header, id_at, u32_at, u64_at};
use super::recover;
use super::scan::{FileId, is_archived_name};
use super::search::Search;
use super::verify::{Doubt, Trust};
use super::window::Window;

/// The forward window when a file is read through (bytes): one read serves about a hundred entries.
const AHEAD_MAX: usize = 256 << 10;
/// The forward window after the file has grown (bytes); it doubles with each read that follows the last.
const AHEAD_MIN: usize = 8 << 10;
/// The window for DATA objects further back (bytes): one page, since neighbours are seldom wanted.
const BEHIND: usize = 4 << 10;
/// Longest field name that journald writes (bytes; systemd, `FIELD_NAME_MAX` in `journal-importer`/`journald-native`
/// is 64). A longer one is damage.
pub(super) const NAME_MAX: usize = 64;
/// Fields an entry may have; systemd's own limit is 1,024 (`ENTRY_FIELD_COUNT_MAX`).
const ENTRY_ITEMS_MAX: usize = 16 << 10;
/// A file that was written to longer ago is not being written to: journald touches it at least every 250 ms while it is.
const AT_REST: Duration = Duration::from_secs(5);
/// Bytes of the header that are read.
const HEADER_READ: usize = 272;

/// Why something in a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The bytes cannot be what journald wrote.
    #[error("{what} at offset {offset:#x}")]
    Damaged { what: &'static str, offset: u64 },
    /// A compressed payload is none.
    #[error("a payload that does not unpack at offset {offset:#x}")]
    Packed { offset: u64 },
    /// A payload, or an entry, is another one than was written.
    #[error("a hash that does not agree at offset {offset:#x}")]
    Hash { offset: u64 },
    /// The file is no journal file, or one of a kind not known here.
    #[error("{0}")]
    Foreign(String),
    /// Nothing is written in the file: it is just being made, or will never be.
    #[error("{0}")]
    Unborn(String),
}

impl Fault {
    /// Whether the file is no longer where it was found.
    pub(super) fn is_moved(&self) -> bool {
        matches!(self, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// An open journal file and the place that has been reached in it.
pub(super) struct JournalFile {
    pub(super) file: Handle,
    /// The header at the last look.
    pub header: Header,
    /// The name says that nothing will be appended.
    archived: bool,
    pub(super) ahead: Window,
    ahead_size: usize,
    pub(super) ahead_max: usize,
    /// How often the window was moved in this turn.
    turn_reads: u32,
    pub(super) behind: Window,
    /// Offsets of entries, read from the current array and not yet visited.
    pub(super) offsets: std::vec::IntoIter<u64>,
    /// The current array, zero before the first; where its unread items begin; how many these are.
    pub(super) array: u64,
    pub(super) items_at: u64,
    pub(super) items_left: u64,
    /// Entries visited, and those of `offsets`.
    pub(super) visited: u64,
    /// An entry that could not be visited yet, because the file was not where it was.
    pub(super) again: Option<u64>,
    /// The highest number that an entry can have, before as many as were visited are added.
    pub(super) number_max: u64,
    /// The entry last visited, wanted or not.
    pub(super) place: Spot,
    /// Entries that were handed on before their place was reached (`repeat`).
    pub(super) early: Vec<Cursor>,
    /// The entry last visited: the offsets of its DATA objects.
    pub(super) items: Vec<u64>,
    /// Which entries are wanted; none: all.
    pub wanted: Option<Box<Wanted>>,
    /// Whether it was decided how they are found.
    pub(super) planned: bool,
    /// While wanted entries are looked up instead of read through.
    pub(super) walk: Option<Box<Walk>>,
    /// The entry visited last does not stand directly behind the one visited before.
    pub(super) jumped: bool,
    /// The microsecond of the entry visited last, and how many wanted ones of it stand together up to there.
    pub(super) run: (u64, u64),
    /// The place of the entry visited last among these.
    pub(super) ordinal: u64,
    /// The entry passed over last, because it is not wanted or lies before the start.
    pub(super) passed: Option<Cursor>,
    /// Entries passed over because they are not wanted.
    pub unwanted: u64,
    /// The entry at which a file that grows was looked at twice.
    looked_twice: u64,
    /// It was found out how payloads are hashed, whatever the header says.
    pub(super) hashing_settled: bool,
    /// Hashes are checked, because something looked wrong.
    pub(super) doubt: Option<Box<Doubt>>,
    /// The arrays are not to be trusted any more.
    pub(super) search: Option<Search>,
    /// Nothing more can be read.
    pub(super) dead: bool,
    /// What could not be read.
    pub ledger: Ledger,
}

/// Where an entry stands, and its number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spot {
    pub offset: u64,
    pub seqnum: u64,
}

impl JournalFile {
    /// Opens a file, known under this name, and reads its header.
    pub(super) fn open(path: &Path, id: FileId) -> Result<JournalFile, Fault> {
        let file = Handle::open(path, id)?;
        let header = read_header(&file)?;
        if !header.lost {
            file.expect(header.file_id);
        }
        let mut file = JournalFile {
            file,
            header,
            archived: false,
            ahead: Window::default(),
            ahead_size: AHEAD_MIN,
            ahead_max: AHEAD_MAX,
            turn_reads: 0,
            behind: Window::default(),
            offsets: Vec::new().into_iter(),
            array: 0,
            items_at: 0,
            items_left: 0,
            visited: 0,
            again: None,
            number_max: 0,
            place: Spot::default(),
            early: Vec::new(),
            items: Vec::new(),
            wanted: None,
            planned: false,
            walk: None,
            jumped: false,
            run: (0, 0),
            ordinal: 0,
            passed: None,
            unwanted: 0,
            looked_twice: u64::MAX,
            hashing_settled: header.lost,
            doubt: None,
            search: None,
            dead: false,
            ledger: Ledger::default(),
        };
        file.bound();
        file.named(path);
        if let Some(what) = header.trouble {
            let fault = Fault::Damaged { what, offset: 0 };
            match header.lost {
                true => file.begin_search(Reason::Header, &fault),
                false => drop(file.lose(Reason::Header, 0, &fault)),
            }
        }
        Ok(file)
    }

    /// The file has this name (now): what journald has put aside as unclean, or its writer has left open for good,
    /// is in doubt.
    pub(super) fn named(&mut self, path: &Path) {
        self.file.rename(path);
        self.archived |= is_archived_name(path);
        let unclean = path.as_os_str().as_encoded_bytes().ends_with(b"~");
        if unclean || (self.archived && self.header.online) {
            self.distrust();
        }
    }

    /// Whether more may be appended.
    pub(super) fn grows(&self) -> bool {
        !self.archived && !self.header.archived
    }

    /// The same file, of which only some entries are wanted.
    pub(super) fn filtered(mut self, filter: Option<&Arc<Filter>>) -> JournalFile {
        self.wanted = filter.map(|filter| Box::new(Wanted::new(filter.clone())));
        self
    }

    /// The place of the entry last visited among the wanted ones of its microsecond that stand with it, from zero.
    #[inline]
    pub(super) fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// The entry passed over last on the way to the one last visited, or to the end.
    pub(super) fn passed(&self) -> Option<Cursor> {
        self.passed
    }

    /// Looks at the header again; true when there are more entries than at the last look.
    pub(super) fn refresh(&mut self) -> Result<bool, Fault> {
        let before = self.header;
        if before.lost {
            return Ok(false);
        }
        let header = read_header(&self.file)?;
        if !header.is_same_file(&before) {
            return Err(Fault::Foreign("another journal file has been written over it".into()));
        }
        // An id that is damaged meanwhile is not asked any more.
        if !header.lost {
            self.file.expect(header.file_id);
        }
        let hashing = if self.hashing_settled { before.hashing } else { header.hashing };
        self.header = header;
        (self.header.file_id, self.header.hashing) = (before.file_id, hashing);
        self.bound();
        let grown = self.header.n_entries > before.n_entries;
        // A search looks at what is not in the arrays yet.
        if grown || (self.search.is_some() && self.header.tail_object != before.tail_object) {
            self.forget();
        }
        Ok(grown)
    }

    /// The bytes in the windows are old.
    fn forget(&mut self) {
        self.ahead.forget();
        self.behind.forget();
        self.forget_flaws();
        self.ahead_size = AHEAD_MIN;
    }

    /// Numbers of entries rise by one at least, and the last one is in the header: that bounds each.
    pub(super) fn bound(&mut self) {
        self.number_max = match (self.header.tail_seqnum(), &self.search) {
            (None, _) => u64::MAX >> 1,
            (Some(tail), None) => tail - self.header.n_entries,
            // How many entries it has missed a search does not know.
            (Some(tail), Some(_)) => tail,
        };
    }

    /// Gives the windows' memory back: the end has been reached and nothing may come for long.
    pub(super) fn rest(&mut self) {
        self.ahead.clear();
        self.behind.clear();
        self.ahead_size = AHEAD_MIN;
    }

    /// Its turn begins: of the memory that all files which are read by turns have for windows it takes about this much
    /// (bytes), and more only if the turn is a long one.
    pub(super) fn begin_turn(&mut self, share: usize) {
        self.ahead_max = share.clamp(BEHIND, AHEAD_MAX);
        self.ahead_size = self.ahead_size.min(self.ahead_max);
        self.turn_reads = 0;
    }

    /// Its turn is over: gives back what it has taken beyond its share (bytes).
    pub(super) fn end_turn(&mut self, share: usize) {
        if self.ahead.len() > share.max(BEHIND) {
            self.ahead.clear();
        }
    }

    /// Whether the file has a name left. Unreadable counts as gone.
    pub(super) fn is_linked(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|m| m.nlink() > 0)
    }

    /// That reading begins behind this entry, which is one of so many wanted ones of its microsecond that stand together.
    pub(super) fn begin_behind(&mut self, passed: Option<Cursor>, together: u64) {
        self.passed = passed;
        self.run = (passed.map_or(0, |cursor| cursor.realtime), together);
        (self.planned, self.walk, self.jumped) = (false, None, false);
    }

    /// That the entry last visited is passed over.
    pub(super) fn pass(&mut self, entry: Cursor) {
        self.passed = Some(entry);
    }

    /// Visits the next wanted entry that can be trusted: its cursor, its fields by [`JournalFile::load`]. `None` at
    /// the end. What is damaged is skipped, and counted when it is known how much that is.
    pub(super) fn next(&mut self) -> Result<Option<Cursor>, Fault> {
        if self.wanted.is_some() {
            self.prepare()?;
        }
        loop {
            if self.dead {
                return Ok(None);
            }
            if self.search.is_some() {
                let Some(cursor) = self.search_on()? else { return Ok(None) };
                match self.admit(&cursor, self.place.offset)? {
                    true => return Ok(Some(cursor)),
                    false => self.pass(cursor),
                }
                continue;
            }
            let next = match self.again.take() {
                Some(offset) => Ok(Some(offset)),
                None => self.next_offset(),
            };
            let (at, fault, consumed) = match next {
                Ok(None) => match self.hidden()? {
                    None => return Ok(None),
                    Some(fault) => {
                        self.begin_search(Reason::Header, &fault);
                        continue;
                    }
                },
                Err(fault) => (None, fault, 0),
                Ok(Some(offset)) => match self.visit(offset) {
                    Err(fault) => {
                        self.go_back(&[offset], self.number_visited());
                        (Some(offset), fault, 1)
                    }
                    Ok(cursor) => match self.judge(offset, &cursor) {
                        Ok(Trust::Deserved) => match self.admit(&cursor, offset) {
                            Ok(wanted) => {
                                self.place = Spot { offset, seqnum: cursor.seqnum };
                                if wanted {
                                    return Ok(Some(cursor));
                                }
                                self.pass(cursor);
                                continue;
                            }
                            Err(fault) => (Some(offset), fault, 1),
                        },
                        Ok(Trust::Skips) => {
                            let what = "entries that the arrays leave out before that";
                            (Some(offset), Fault::Damaged { what, offset }, 1)
                        }
                        // It stands where an entry should, and so will the next.
                        Ok(Trust::Lies) => {
                            let fault =
                                Fault::Damaged { what: "an entry out of the order of numbers", offset };
                            self.lose(Reason::Entry, 1, &fault);
                            continue;
                        }
                        Err(fault @ Fault::Io(_)) => (Some(offset), fault, 1),
                        Err(fault) => {
                            self.lose(Reason::Field, 1, &fault);
                            continue;
                        }
                    },
                },
            };
            if let Fault::Io(_) = fault {
                // The file may be found again.
                self.again = at;
                return Err(fault);
            }
            if self.give_up_walk(at)? {
                continue;
            }
            self.unread(consumed);
            if self.grows() && self.looked_twice != self.visited {
                // Another processor may see what journald writes in another order: once more, with fresh eyes.
                self.looked_twice = self.visited;
                // A header that cannot be read is found out about below.
                self.refresh().ok();
                self.forget();
                continue;
            }
            self.begin_search(if consumed == 0 { Reason::Array } else { Reason::Entry }, &fault);
        }
    }

    /// At the end of what the header counts: why there should be more, if it says so itself. While a file is written to,
    /// its header may be behind for a moment.
    fn hidden(&self) -> Result<Option<Fault>, Fault> {
        let header = &self.header;
        let what = match header.n_entries {
            0 if header.entry_array_offset != 0 || header.head_seqnum != 0 => {
                "a header that counts no entries"
            }
            1.. if self.place.offset > 0
                && header.tail_seqnum().is_some_and(|tail| tail > self.place.seqnum) =>
            {
                "a header that counts fewer entries than it has given numbers"
            }
            _ => return Ok(None),
        };
        if self.grows() && header.online {
            let age = self.file.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age < AT_REST {
                return Ok(None);
            }
        }
        Ok(Some(Fault::Damaged { what, offset: 0 }))
    }

    /// What the ENTRY at this place says of itself.
    pub(super) fn entry_at(&self, offset: u64) -> Result<Cursor, Fault> {
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        let entry = self.read_fixed::<{ object::ENTRY_SIZE_MIN }>(offset)?;
        self.check_object(&entry, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        Ok(self.cursor_of(&entry))
    }

    pub(super) fn read_fixed<const N: usize>(&self, offset: u64) -> Result<[u8; N], Fault> {
        // The system refuses offsets that it takes for negative, and that is no failure to read.
        self.check_place(offset, N as u64)?;
        let mut bytes = [0; N];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Fault::Damaged { what: "an object behind the file's end", offset })
            }
            Err(e) => Err(Fault::Io(e)),
        }
    }

    /// Checks type, alignment and size of an object whose header was read; returns the size in bytes.
    pub(super) fn check_object(
        &self,
        head: &[u8],
        offset: u64,
        kind: u8,
        least: usize,
    ) -> Result<u64, Fault> {
        let size = u64_at(head, 8);
        if head.first() != Some(&kind) {
            return Err(Fault::Damaged { what: "an object of the wrong type", offset });
        }
        if size < least as u64 || size > self.header.objects_end {
            return Err(Fault::Damaged { what: "an object of an impossible size", offset });
        }
        self.check_place(offset, size)?;
        Ok(size)
    }

    pub(super) fn check_place(&self, offset: u64, size: u64) -> Result<(), Fault> {
        let inside = offset >= self.header.objects_start
            && offset.is_multiple_of(8)
            && offset.checked_add(size).is_some_and(|end| end <= self.header.objects_end);
        if inside { Ok(()) } else { Err(Fault::Damaged { what: "an object outside the arena", offset }) }
    }

    /// Reads an ENTRY, which must stand behind the last one: its cursor is returned, its items are kept for
    /// [`JournalFile::load`].
    #[inline]
    pub(super) fn visit(&mut self, offset: u64) -> Result<Cursor, Fault> {
        if offset <= self.place.offset {
            return Err(Fault::Damaged { what: "an entry before the one before it", offset });
        }
        self.read_entry(offset)
    }

    /// Reads an ENTRY: its cursor is returned, its items are kept.
    #[inline]
    pub(super) fn read_entry(&mut self, offset: u64) -> Result<Cursor, Fault> {
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        self.show_ahead(offset, object::ENTRY_SIZE_MIN)?;
        let head = self.ahead.get(offset, object::ENTRY_SIZE_MIN).unwrap_or_default();
        let size = self.check_object(head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        let cursor = self.cursor_of(head);
        self.check_items(offset, size)?;
        self.show_ahead(offset, size as usize)?;
        let bytes = self.ahead.get(offset, size as usize).unwrap_or_default();
        let items = bytes.get(object::ENTRY_SIZE_MIN..).unwrap_or_default();
        take_items(items, self.header.entry_item_size(), &mut self.items);
        if cursor.seqnum == 0 || self.items.is_empty() {
            return Err(Fault::Damaged { what: "an entry without number or fields", offset });
        }
        if (cursor.realtime | cursor.monotonic) >= object::TIME_MAX || cursor.boot_id == Id128::default() {
            return Err(Fault::Damaged { what: "an entry of an impossible time", offset });
        }
        Ok(cursor)
    }

    /// That an ENTRY of this size can be one.
    pub(super) fn check_items(&self, offset: u64, size: u64) -> Result<(), Fault> {
        match size > (object::ENTRY_SIZE_MIN + ENTRY_ITEMS_MAX * self.header.entry_item_size()) as u64 {
            true => Err(Fault::Damaged { what: "an entry of an impossible size", offset }),
            false => Ok(()),
        }
    }

    pub(super) fn cursor_of(&self, entry: &[u8]) -> Cursor {
        Cursor {
            seqnum_id: self.header.seqnum_id,
            seqnum: u64_at(entry, 16),
            realtime: u64_at(entry, 24),
            monotonic: u64_at(entry, 32),
            boot_id: id_at(entry, 40),
            xor_hash: u64_at(entry, 56),
        }
    }

    /// Makes sure that the forward window holds these bytes.
    #[inline]
    pub(super) fn show_ahead(&mut self, offset: u64, len: usize) -> Result<(), Fault> {
        if self.ahead.get(offset, len).is_some() {
            return Ok(());
        }
        // New DATA objects stand just before their ENTRY: the window goes on where it ended, or, after a
        // jump, reaches back by half its size.
        let end = self.ahead.end();
        let follows = end > 0 && end <= offset && offset - end < (self.ahead_size / 2) as u64;
        let start = if follows { end } else { offset.saturating_sub((self.ahead_size / 2) as u64) };
        let need = (offset - start) as usize + len;
        self.ahead.load(&self.file, start, need.max(self.ahead_size))?;
        self.turn_reads = self.turn_reads.saturating_add(1);
        if self.turn_reads > 1 {
            self.ahead_max = AHEAD_MAX;
        }
        // Looked up entries lie far apart.
        if self.walk.is_none() {
            self.ahead_size = (self.ahead_size * 2).min(self.ahead_max);
        }
        match self.ahead.get(offset, len) {
            Some(_) => Ok(()),
            None => Err(Fault::Damaged { what: "an object behind the file's end", offset }),
        }
    }

    /// These bytes, if a window holds them.
    #[inline]
    pub(super) fn shown(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.ahead.get(offset, len).or_else(|| self.behind.get(offset, len))
    }

    /// Shows bytes that the forward window has not.
    pub(super) fn show_behind(&mut self, offset: u64, len: usize) -> Result<&[u8], Fault> {
        if self.behind.get(offset, len).is_none() {
            self.behind.load(&self.file, offset, len.max(BEHIND))?;
        }
        self.behind.get(offset, len).ok_or(Fault::Damaged { what: "an object behind the file's end", offset })
    }
}

pub(super) fn read_header(file: &Handle) -> Result<Header, Fault> {
    let mut bytes = [0; HEADER_READ];
    let read = file.read_at_most(&mut bytes, 0)?;
    let bytes = bytes.get(..read).unwrap_or_default();
    Header::parse(bytes).or_else(|why| recover::header(file, bytes, why))
}

/// The offsets of an ENTRY's DATA objects, from its bytes behind the fixed part.
pub(super) fn take_items(bytes: &[u8], item_size: usize, items: &mut Vec<u64>) {
    items.clear();
    match item_size {
        4 => items.extend(bytes.chunks_exact(4).map(|b| u64::from(u32_at(b, 0)))),
        _ => items.extend(bytes.chunks_exact(item_size).map(|b| u64_at(b, 0))),
    }
}

/// A part of a file as a stream.
pub(super) struct FileSlice<'a> {
    file: &'a Handle,
    at: u64,
    left: u64,
}

impl FileSlice<'_> {
    pub(super) fn new(file: &JournalFile, at: u64, left: u64) -> FileSlice<'_> {
        FileSlice { file: &file.file, at, left }
    }
}

impl Read for FileSlice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read_at(buffer.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}
