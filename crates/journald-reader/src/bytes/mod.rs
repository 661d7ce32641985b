//! The bytes of one journal file: its handle, its header, two windows on it, and the checks that every object passes
//! before it is used. This room reads; it has no place in the file and no opinion on entries.

pub(crate) mod handle;
pub(crate) mod hashing;
mod recover;
mod window;

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use crate::cursor::{Cursor, Id128};
use crate::format::fault::Fault;
use crate::format::object::{self, Hashing, Header, id_at, u32_at, u64_at};
use crate::scan::{FileId, is_archived_name};
use handle::{Handle, Reads};
use window::Windows;

/// Fields an entry may have (count); systemd's own limit is 1,024 (`ENTRY_FIELD_COUNT_MAX`).
const ENTRY_ITEMS_MAX: usize = 16 << 10;
/// A file that was written to longer ago is at rest: journald touches a file at least every 250 ms while it writes to it.
const AT_REST: Duration = Duration::from_secs(5);
/// Bytes of the header that are read.
const HEADER_READ: usize = 272;
/// Bytes that are read at once of an entry that no window holds: its fixed part, and the items of most entries.
const ENTRY_READ: usize = 512;

/// The bytes of one file. The file is held by its descriptor, so renaming and unlinking it changes nothing here.
pub(crate) struct Bytes {
    handle: Handle,
    /// The header at the last look.
    header: Header,
    /// The name says that nothing will be appended.
    archived: bool,
    windows: Windows,
    /// How payloads are hashed was found out from payloads, whatever the header says.
    hashing_settled: bool,
}

/// What a second look at the header has shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Growth {
    /// There are more entries.
    pub entries: bool,
    /// The last object is another one.
    pub objects: bool,
}

impl Bytes {
    /// Opens a file, known under this name, and reads its header.
    pub(crate) fn open(path: &Path, id: FileId) -> Result<Bytes, Fault> {
        let handle = Handle::open(path, id)?;
        let header = read_header(&handle)?;
        if !header.lost {
            handle.expect(header.file_id);
        }
        Ok(Bytes { handle, header, archived: false, windows: Windows::new(), hashing_settled: header.lost })
    }

    /// The header at the last look.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The file has this name now.
    pub(crate) fn rename(&mut self, path: &Path) {
        self.handle.rename(path);
        self.archived |= is_archived_name(path);
    }

    /// Whether journald has put the file aside as unclean, or its writer has left it open for good.
    pub(crate) fn is_unclean(&self) -> bool {
        let put_aside = self.handle.path().as_os_str().as_encoded_bytes().ends_with(b"~");
        put_aside || (self.archived && self.header.online)
    }

    /// Whether more may be appended.
    pub(crate) fn grows(&self) -> bool {
        !self.archived && !self.header.archived
    }

    /// Whether journald is writing to the file, as far as its header and its age tell.
    pub(crate) fn is_written_to(&self) -> Result<bool, Fault> {
        if !self.grows() || !self.header.online {
            return Ok(false);
        }
        let age = self.handle.metadata()?.modified()?.elapsed().unwrap_or_default();
        Ok(age < AT_REST)
    }

    /// Whether the file has a name left. A file that cannot be asked counts as gone.
    pub(crate) fn is_linked(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.handle.metadata().is_ok_and(|m| m.nlink() > 0)
    }

    /// Whether there is a descriptor.
    pub(crate) fn is_open(&self) -> bool {
        self.handle.is_open()
    }

    /// Gives the descriptor back; the next read opens the file again.
    pub(crate) fn close(&self) {
        self.handle.close();
    }

    /// What was read so far.
    pub(crate) fn reads(&self) -> Reads {
        self.handle.reads()
    }

    /// The length of the file (bytes).
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.handle.metadata()?.len())
    }

    /// Looks at the header again, and says what it has shown.
    ///
    /// # Errors
    /// When it cannot be read, or is the header of another file.
    pub(crate) fn refresh(&mut self) -> Result<Growth, Fault> {
        let before = self.header;
        if before.lost {
            return Ok(Growth::default());
        }
        let header = read_header(&self.handle)?;
        if !header.is_same_file(&before) {
            return Err(Fault::Foreign("another journal file has been written over it".into()));
        }
        // An id that has been damaged meanwhile is not compared any more.
        if !header.lost {
            self.handle.expect(header.file_id);
        }
        let hashing = if self.hashing_settled { before.hashing } else { header.hashing };
        self.header = header;
        (self.header.file_id, self.header.hashing) = (before.file_id, hashing);
        Ok(Growth {
            entries: header.n_entries > before.n_entries,
            objects: header.tail_object != before.tail_object,
        })
    }

    /// Whether the content of the file is no longer there: journald frees the blocks of what it deletes, too, and a copy
    /// may be written over it.
    pub(crate) fn is_gone(&self) -> bool {
        // Where there was no header before, none can be missing, and looking through the objects takes long.
        if self.header.lost {
            return false;
        }
        match read_header(&self.handle) {
            Ok(header) => !header.is_same_file(&self.header),
            Err(fault) => matches!(fault, Fault::Unborn(_)),
        }
    }

    /// The numbers in the header have proved wrong.
    pub(crate) fn forget_numbers(&mut self) {
        self.header.forget_numbers();
    }

    /// The entries of this file, whose header is lost, belong to this counter.
    pub(crate) fn set_counter(&mut self, id: Id128) {
        self.header.seqnum_id = id;
    }

    /// Whether it was found out from payloads how they are hashed.
    pub(crate) fn is_hashing_settled(&self) -> bool {
        self.hashing_settled
    }

    /// Payloads are hashed this way, whatever the header says; true when it is another way than was thought.
    pub(crate) fn settle_hashing(&mut self, found: Hashing) -> bool {
        self.hashing_settled = true;
        std::mem::replace(&mut self.header.hashing, found) != found
    }

    /// Reads this many bytes at an offset.
    pub(crate) fn read_fixed<const N: usize>(&self, offset: u64) -> Result<[u8; N], Fault> {
        // The system refuses offsets that it takes for negative: that is damage in the file, not a failure to read.
        self.check_place(offset, N as u64)?;
        let mut bytes = [0; N];
        match self.handle.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Fault::Damaged { what: "an object behind the file's end", offset })
            }
            Err(e) => Err(Fault::Io(e)),
        }
    }

    /// Fills `buffer` from `offset` on, as far as the file reaches; returns how many bytes were read.
    pub(crate) fn read_at_most(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.handle.read_at_most(buffer, offset)
    }

    /// A part of the file as a stream: `len` bytes from `at` on.
    pub(crate) fn slice(&self, at: u64, len: u64) -> Slice<'_> {
        Slice { handle: &self.handle, at, left: len }
    }

    /// Checks type, alignment and size of an object whose head was read; returns the size in bytes.
    pub(crate) fn check_object(
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

    /// Checks that an object of this size (bytes) can stand at an offset.
    pub(crate) fn check_place(&self, offset: u64, size: u64) -> Result<(), Fault> {
        let inside = offset >= self.header.objects_start
            && offset.is_multiple_of(8)
            && offset.checked_add(size).is_some_and(|end| end <= self.header.objects_end);
        if inside { Ok(()) } else { Err(Fault::Damaged { what: "an object outside the arena", offset }) }
    }

    /// Checks that an ENTRY can have this size (bytes).
    pub(crate) fn check_items(&self, offset: u64, size: u64) -> Result<(), Fault> {
        match size > (object::ENTRY_SIZE_MIN + ENTRY_ITEMS_MAX * self.header.entry_item_size()) as u64 {
            true => Err(Fault::Damaged { what: "an entry of an impossible size", offset }),
            false => Ok(()),
        }
    }

    /// The cursor of the ENTRY that begins with these bytes.
    pub(crate) fn cursor_of(&self, entry: &[u8]) -> Cursor {
        Cursor {
            seqnum_id: self.header.seqnum_id,
            seqnum: u64_at(entry, 16),
            realtime: u64_at(entry, 24),
            monotonic: u64_at(entry, 32),
            boot_id: id_at(entry, 40),
            xor_hash: u64_at(entry, 56),
        }
    }

    /// The cursor of the ENTRY at an offset, and its size in bytes. The windows stay where they are.
    pub(crate) fn entry_at(&self, offset: u64) -> Result<(Cursor, u64), Fault> {
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        let head = self.read_fixed::<{ object::ENTRY_SIZE_MIN }>(offset)?;
        let size = self.check_object(&head, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        Ok((self.cursor_of(&head), size))
    }

    /// The offsets of the DATA objects of an ENTRY of this size (bytes). The windows stay where they are.
    pub(crate) fn items_of(&self, offset: u64, size: u64) -> Result<Vec<u64>, Fault> {
        let (mut items, mut bytes) = (Vec::new(), Vec::new());
        let (at, len) = (offset + object::ENTRY_SIZE_MIN as u64, size - object::ENTRY_SIZE_MIN as u64);
        self.check_items(offset, size)?;
        self.slice(at, len).read_to_end(&mut bytes)?;
        take_items(&bytes, self.header.entry_item_size(), &mut items);
        Ok(items)
    }

    /// The cursor of the ENTRY at an offset, and the offsets of its DATA objects. The windows stay where they are.
    pub(crate) fn entry_with_items(&self, offset: u64) -> Result<(Cursor, Vec<u64>), Fault> {
        self.check_place(offset, object::ENTRY_SIZE_MIN as u64)?;
        let mut buffer = [0; ENTRY_READ];
        let read = self.handle.read_at_most(&mut buffer, offset)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if read < object::ENTRY_SIZE_MIN {
            return Err(Fault::Damaged { what: "an object behind the file's end", offset });
        }
        let size = self.check_object(bytes, offset, object::TYPE_ENTRY, object::ENTRY_SIZE_MIN)?;
        self.check_items(offset, size)?;
        let cursor = self.cursor_of(bytes);
        // An entry at the file's end may be cut off.
        let Some(bytes) =
            bytes.get(object::ENTRY_SIZE_MIN..read.min(size as usize)).filter(|_| size <= ENTRY_READ as u64)
        else {
            return Ok((cursor, self.items_of(offset, size)?));
        };
        let mut items = Vec::new();
        take_items(bytes, self.header.entry_item_size(), &mut items);
        Ok((cursor, items))
    }

    /// Makes sure that the forward window holds these bytes.
    #[inline]
    pub(crate) fn show_ahead(&mut self, offset: u64, len: usize) -> Result<(), Fault> {
        self.windows.show_ahead(&self.handle, offset, len)
    }

    /// Shows bytes in the window for what lies further back.
    pub(crate) fn show_behind(&mut self, offset: u64, len: usize) -> Result<&[u8], Fault> {
        self.windows.show_behind(&self.handle, offset, len)
    }

    /// Shows these bytes and those before them, to read backward.
    pub(crate) fn show_backward(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        self.windows.show_backward(&self.handle, offset, len)
    }

    /// What the windows hold.
    #[inline]
    pub(crate) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The windows, to say how much they may take and when they are old.
    pub(crate) fn windows_mut(&mut self) -> &mut Windows {
        &mut self.windows
    }
}

/// Reads a file's header; where it is damaged, what can be found out without it.
fn read_header(file: &Handle) -> Result<Header, Fault> {
    let mut bytes = [0; HEADER_READ];
    let read = file.read_at_most(&mut bytes, 0)?;
    let bytes = bytes.get(..read).unwrap_or_default();
    Header::parse(bytes).or_else(|why| recover::header(file, bytes, why))
}

/// The offsets of an ENTRY's DATA objects, from its bytes behind the fixed part.
pub(crate) fn take_items(bytes: &[u8], item_size: usize, items: &mut Vec<u64>) {
    items.clear();
    match item_size {
        4 => items.extend(bytes.chunks_exact(4).map(|b| u64::from(u32_at(b, 0)))),
        _ => items.extend(bytes.chunks_exact(item_size).map(|b| u64_at(b, 0))),
    }
}

/// A part of a file as a stream.
pub(crate) struct Slice<'a> {
    handle: &'a Handle,
    at: u64,
    left: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.handle.read_at(buffer.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}
