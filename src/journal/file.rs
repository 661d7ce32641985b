//! One journal file, read forward: entries in the order of its entry arrays, fields on request.
//!
//! Reading goes through two windows. `ahead` slides forward with the entries and holds them together with
//! the DATA objects written just before them; `behind` fetches the few that lie further back and that the
//! field cache has lost. Everything a file says is checked before it is used: type, size, place. The file
//! is held by its descriptor, so renaming and unlinking it changes nothing here.

use std::io::{self, Read};
use std::path::Path;

use memchr::memchr;

use super::cursor::Cursor;
use super::decompress::Decompressor;
use super::fields::{self, Fields};
use super::handle::Handle;
use super::object::{self, Header, id_at, u32_at, u64_at};
use super::scan::FileId;
use super::window::Window;

/// The forward window when a file is read through (bytes): one read serves about a hundred entries.
const AHEAD_MAX: usize = 256 << 10;
/// The forward window after the file has grown (bytes); it doubles with each read that follows the last.
const AHEAD_MIN: usize = 8 << 10;
/// The window for DATA objects further back (bytes): one page, since neighbours are seldom wanted.
const BEHIND: usize = 4 << 10;
/// Longest field name that journald writes (bytes; systemd, `FIELD_NAME_MAX` in `journal-importer`/`journald-native`
/// is 64). A longer one is damage.
const NAME_MAX: usize = 64;
/// Items of an entry array that are read at once.
const ARRAY_ITEMS: usize = 512;
/// Bytes that a typical entry takes of the file, with its new DATA objects: a window and the offsets read at once last
/// equally long.
const ENTRY_SPAN: usize = 512;
/// Fields an entry may have; systemd's own limit is 1,024 (`ENTRY_FIELD_COUNT_MAX`).
const ENTRY_ITEMS_MAX: usize = 16 << 10;
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
    /// The file is no journal file, or one of a kind not known here.
    #[error("{0}")]
    Foreign(String),
    /// The file has been created, and its header is yet to be written.
    #[error("it has no header yet")]
    Unborn,
}

impl Fault {
    /// Whether the file is no longer where it was found.
    pub(super) fn is_moved(&self) -> bool {
        matches!(self, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// An open journal file and the place that has been reached in it.
pub(super) struct JournalFile {
    pub file: Handle,
    /// The header at the last look.
    pub header: Header,
    pub ahead: Window,
    ahead_size: usize,
    ahead_max: usize,
    behind: Window,
    /// Offsets of entries, read from the current array and not yet visited.
    offsets: std::vec::IntoIter<u64>,
    /// The current array, zero before the first; where its unread items begin; how many these are.
    array: u64,
    items_at: u64,
    items_left: u64,
    /// Entries visited.
    visited: u64,
    /// The entry last visited: the offsets of its DATA objects.
    items: Vec<u64>,
    /// Nothing more can be read: the chain of arrays is broken.
    dead: bool,
    /// Entries that could not be read.
    pub damaged: u64,
}

impl JournalFile {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path, id: FileId) -> Result<JournalFile, Fault> {
        let file = Handle::open(path, id)?;
        let header = read_header(&file)?;
        file.expect(header.file_id);
        Ok(JournalFile {
            file,
            header,
            ahead: Window::default(),
            ahead_size: AHEAD_MIN,
            ahead_max: AHEAD_MAX,
            behind: Window::default(),
            offsets: Vec::new().into_iter(),
            array: 0,
            items_at: 0,
            items_left: 0,
            visited: 0,
            items: Vec::new(),
            dead: false,
            damaged: 0,
        })
    }

    /// Looks at the header again; true when there are more entries than at the last look.
    pub(super) fn refresh(&mut self) -> Result<bool, Fault> {
        let before = self.header.n_entries;
        self.header = read_header(&self.file)?;
        let grown = self.header.n_entries > before;
        if grown {
            self.ahead.forget();
            self.behind.forget();
            self.ahead_size = AHEAD_MIN;
        }
        Ok(grown)
    }

    /// Gives the windows' memory back: the end has been reached and nothing may come for long.
    pub(super) fn rest(&mut self) {
        self.ahead.clear();
        self.behind.clear();
        self.ahead_size = AHEAD_MIN;
    }

    /// From now on takes about this much memory for windows (bytes), of what all files that are read by turns have.
    pub(super) fn share(&mut self, bytes: usize) {
        self.ahead_max = bytes.clamp(BEHIND, AHEAD_MAX);
        self.ahead_size = self.ahead_size.min(self.ahead_max);
    }

    /// Whether the file has a name left. Unreadable counts as gone.
    pub(super) fn is_linked(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|m| m.nlink() > 0)
    }

    /// Entries not yet visited.
    pub(super) fn remaining(&self) -> u64 {
        self.header.n_entries.saturating_sub(self.visited) + self.offsets.as_slice().len() as u64
    }

    /// Counts the rest of the file as damaged and reads no more of it.
    pub(super) fn give_up(&mut self) {
        self.damaged += self.remaining().max(1);
        self.visited = self.header.n_entries;
        self.offsets = Vec::new().into_iter();
        self.dead = true;
    }

    /// Visits the next entry that can be read: its cursor, its fields by [`JournalFile::load`]. `None` at
    /// the end. Damaged entries, and arrays, are skipped and counted.
    pub(super) fn next(&mut self) -> Result<Option<Cursor>, Fault> {
        loop {
            if self.dead {
                return Ok(None);
            }
            let Some(offset) = self.next_offset()? else { return Ok(None) };
            match self.visit(offset) {
                Ok(cursor) => return Ok(Some(cursor)),
                Err(Fault::Damaged { .. }) => self.damaged += 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    fn next_offset(&mut self) -> Result<Option<u64>, Fault> {
        loop {
            if let Some(offset) = self.offsets.next() {
                return Ok(Some(offset));
            }
            let wanted = self.header.n_entries.saturating_sub(self.visited);
            if wanted == 0 {
                return Ok(None);
            }
            if self.items_left == 0 && !self.next_array()? {
                // Either the header promises more than the arrays hold, or the array is just being
                // linked: the next look at the header tells.
                return Ok(None);
            }
            let at_once = (self.ahead_max / ENTRY_SPAN).min(ARRAY_ITEMS) as u64;
            let count = self.items_left.min(wanted).min(at_once);
            let item_size = self.header.array_item_size();
            let mut bytes = vec![0; count as usize * item_size];
            let read = self.file.read_at_most(&mut bytes, self.items_at)?;
            bytes.truncate(read / item_size * item_size);
            if bytes.is_empty() {
                return Err(Fault::Damaged {
                    what: "an entry array behind the file's end",
                    offset: self.items_at,
                });
            }
            let offsets: Vec<u64> = match item_size {
                4 => bytes.chunks_exact(4).map(|b| u64::from(u32_at(b, 0))).collect(),
                _ => bytes.chunks_exact(8).map(|b| u64_at(b, 0)).collect(),
            };
            self.visited += offsets.len() as u64;
            self.items_left -= offsets.len() as u64;
            self.items_at += bytes.len() as u64;
            self.offsets = offsets.into_iter();
        }
    }

    /// Opens the array after the current one; false when there is none (yet).
    fn next_array(&mut self) -> Result<bool, Fault> {
        let next = match self.array {
            0 => self.header.entry_array_offset,
            // The link is read only now: it is set when the current array is full.
            current => u64_at(&self.read_fixed::<{ object::ENTRY_ARRAY_SIZE_MIN }>(current)?, 16),
        };
        // Arrays are appended as the file grows, so a chain never leads back.
        if next == 0 || next <= self.array {
            return Ok(false);
        }
        let items = self.array_items(next)?;
        self.array = next;
        self.items_at = next + object::ENTRY_ARRAY_SIZE_MIN as u64;
        self.items_left = items;
        Ok(items > 0)
    }

    /// How many items the array at this offset has room for.
    fn array_items(&self, offset: u64) -> Result<u64, Fault> {
        self.array_room(&self.read_fixed::<{ object::ENTRY_ARRAY_SIZE_MIN }>(offset)?, offset)
    }

    /// As [`JournalFile::array_items`], of an array whose head was read.
    pub(super) fn array_room(&self, head: &[u8], offset: u64) -> Result<u64, Fault> {
        let size = self.check_object(head, offset, object::TYPE_ENTRY_ARRAY, object::ENTRY_ARRAY_SIZE_MIN)?;
        Ok((size - object::ENTRY_ARRAY_SIZE_MIN as u64) / self.header.array_item_size() as u64)
    }

    /// Makes the item of this number in an array the next to be visited, if there is any array; so many entries stand
    /// before it.
    pub(super) fn go_to(&mut self, array: Option<(u64, u64)>, visited: u64) -> Result<(), Fault> {
        self.offsets = Vec::new().into_iter();
        self.visited = visited;
        if let Some((array, done)) = array {
            self.array = array;
            self.items_at =
                array + object::ENTRY_ARRAY_SIZE_MIN as u64 + done * self.header.array_item_size() as u64;
            self.items_left = self.array_items(array)?.saturating_sub(done);
        }
        Ok(())
    }

    pub(super) fn read_fixed<const N: usize>(&self, offset: u64) -> Result<[u8; N], Fault> {
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

    /// Reads an ENTRY: its cursor is returned, its items are kept for [`JournalFile::load`].
    fn visit(&mut self, offset: u64) -> Result<Cursor, Fault> {
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        self.show_ahead(offset, object::ENTRY_SIZE_MIN)?;
        let head = self.ahead.get(offset, object::ENTRY_SIZE_MIN).unwrap_or_default();
        let size = self.check_object(head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        let cursor = self.cursor_of(head);
        let item_size = self.header.entry_item_size();
        let count = (size as usize - object::ENTRY_SIZE_MIN) / item_size;
        if count > ENTRY_ITEMS_MAX {
            return Err(Fault::Damaged { what: "an entry of an impossible size", offset });
        }
        self.show_ahead(offset, size as usize)?;
        let bytes = self.ahead.get(offset, size as usize).unwrap_or_default();
        let items = bytes.get(object::ENTRY_SIZE_MIN..).unwrap_or_default().chunks_exact(item_size);
        self.items.clear();
        match item_size {
            4 => self.items.extend(items.map(|b| u64::from(u32_at(b, 0)))),
            _ => self.items.extend(items.map(|b| u64_at(b, 0))),
        }
        if cursor.seqnum == 0 || self.items.is_empty() {
            return Err(Fault::Damaged { what: "an entry without number or fields", offset });
        }
        Ok(cursor)
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
    fn show_ahead(&mut self, offset: u64, len: usize) -> Result<(), Fault> {
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
        self.ahead_size = (self.ahead_size * 2).min(self.ahead_max);
        match self.ahead.get(offset, len) {
            Some(_) => Ok(()),
            None => Err(Fault::Damaged { what: "an object behind the file's end", offset }),
        }
    }

    /// Adds the fields of the entry last visited. `tag` names this file among the reader's.
    pub(super) fn load(
        &mut self,
        tag: u16,
        fields: &mut Fields,
        unpack: &mut Decompressor,
    ) -> Result<(), Fault> {
        for index in 0..self.items.len() {
            let Some(offset) = self.items.get(index).copied() else { break };
            // An offset beyond the arena could pass for another file's.
            self.check_place(offset, self.header.data_payload() as u64)?;
            let identity = fields::identity(tag, offset);
            if !fields.add_cached(identity) {
                self.load_data(offset, identity, fields, unpack)?;
            }
        }
        Ok(())
    }

    fn load_data(
        &mut self,
        offset: u64,
        identity: u64,
        fields: &mut Fields,
        unpack: &mut Decompressor,
    ) -> Result<(), Fault> {
        let payload_at = self.header.data_payload();
        if self.ahead.get(offset, payload_at).is_none() {
            self.show_behind(offset, payload_at)?;
        }
        let head = self.shown(offset, payload_at).unwrap_or_default();
        let size = self.check_object(head, offset, object::TYPE_DATA, payload_at + 1)?;
        let flags = head.get(1).copied().unwrap_or(0) & 7;
        let recurs = u64_at(head, 56) > 1;
        let packed = size as usize - payload_at;
        let at = offset + payload_at as u64;
        let start = fields.arena().len();
        let limit = fields.value_max().saturating_add(NAME_MAX + 1);

        if flags != 0 {
            let unpacked = match self.shown(at, packed) {
                Some(bytes) => unpack.unpack(flags, bytes, limit, fields.arena()),
                None => {
                    let source = FileSlice { file: &self.file, at, left: packed as u64 };
                    let mut source = io::BufReader::with_capacity(packed.min(16 << 10), source);
                    unpack.unpack(flags, &mut source, limit, fields.arena())
                }
            };
            unpacked.map_err(|_| Fault::Damaged { what: "a payload that does not unpack", offset })?;
            match fields.name_in_arena(start, NAME_MAX) {
                Some((name_len, Some(key))) => {
                    fields.cut_value(start, name_len);
                    fields.add_from_arena(identity, start, name_len, key, recurs);
                }
                Some((_, None)) => {
                    fields.arena().truncate(start);
                    fields.remember_unwanted(identity, recurs);
                }
                None => return Err(Fault::Damaged { what: "a field without a name", offset }),
            }
            return Ok(());
        }

        let peek = packed.min(NAME_MAX + 1);
        if self.shown(at, peek).is_none() {
            self.show_behind(at, peek)?;
        }
        let bytes = self.shown(at, peek).unwrap_or_default();
        let name_len = memchr(b'=', bytes)
            .filter(|n| *n > 0)
            .ok_or(Fault::Damaged { what: "a field without a name", offset })?;
        let Some(key) = fields.wanted(bytes.get(..name_len).unwrap_or_default()) else {
            fields.remember_unwanted(identity, recurs);
            return Ok(());
        };
        let len = packed.min(name_len + 1 + fields.value_max());
        match self.shown(at, len) {
            Some(bytes) => fields.arena().extend_from_slice(bytes),
            None => {
                let arena = fields.arena();
                arena.resize(start + len, 0);
                let read = self.file.read_at_most(arena.get_mut(start..).unwrap_or_default(), at)?;
                if read < len {
                    arena.truncate(start);
                    return Err(Fault::Damaged { what: "a field behind the file's end", offset });
                }
            }
        }
        fields.add_from_arena(identity, start, name_len, key, recurs);
        Ok(())
    }

    /// These bytes, if a window holds them.
    #[inline]
    fn shown(&self, offset: u64, len: usize) -> Option<&[u8]> {
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

fn read_header(file: &Handle) -> Result<Header, Fault> {
    let mut bytes = [0; HEADER_READ];
    let read = file.read_at_most(&mut bytes, 0)?;
    if bytes.iter().take(object::SIGNATURE.len()).all(|byte| *byte == 0) {
        return Err(Fault::Unborn);
    }
    Header::parse(bytes.get(..read).unwrap_or_default()).map_err(Fault::Foreign)
}

/// A part of a file as a stream.
struct FileSlice<'a> {
    file: &'a Handle,
    at: u64,
    left: u64,
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
