//! A handle on a file: its name and number, and a descriptor that may be closed and is opened again when it is needed.
//!
//! A folder may hold hundreds of journals that all may grow. The tail decides which of them keep a descriptor; other
//! code does not notice. A name that belongs to another file by now is not followed.

use std::cell::Cell;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cursor::Id128;
use crate::format::object;
use crate::scan::FileId;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    /// Calls to the system (count).
    pub calls: u64,
    /// What they gave (bytes).
    pub bytes: u64,
}

/// A file that is read by position.
pub(crate) struct Handle {
    path: PathBuf,
    id: FileId,
    file: Cell<Option<File>>,
    /// The id in its header: the inode number of a file that was deleted may belong to another file by now.
    file_id: Cell<Option<Id128>>,
    reads: Cell<Reads>,
}

impl Handle {
    /// A handle on this file; opens it.
    pub(crate) fn open(path: &Path, id: FileId) -> io::Result<Handle> {
        let file = Cell::new(Some(open(path, id)?));
        Ok(Handle { path: path.to_owned(), id, file, file_id: Cell::new(None), reads: Cell::default() })
    }

    /// From now on, refuses to open a file that has another id in its header.
    pub(crate) fn expect(&self, file_id: Id128) {
        self.file_id.set(Some(file_id));
    }

    /// The name that the file had last.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file has this name now.
    pub(crate) fn rename(&mut self, path: &Path) {
        if self.path != path {
            self.path = path.to_owned();
        }
    }

    /// Gives the descriptor back; the next read opens the file again.
    pub(crate) fn close(&self) {
        self.file.set(None);
    }

    /// Whether there is a descriptor.
    pub(crate) fn is_open(&self) -> bool {
        let file = self.file.take();
        let open = file.is_some();
        self.file.set(file);
        open
    }

    /// What was read so far.
    pub(crate) fn reads(&self) -> Reads {
        self.reads.get()
    }

    /// As [`FileExt::read_at`].
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| {
            let read = file.read_at(buffer, offset);
            let Reads { calls, bytes } = self.reads.get();
            let more = read.as_ref().map_or(0, |more| *more as u64);
            self.reads.set(Reads { calls: calls + 1, bytes: bytes + more });
            read
        })
    }

    /// Fills `buffer` from `offset` on, as far as the file reaches.
    pub(crate) fn read_at_most(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// As [`FileExt::read_exact_at`].
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self.read_at_most(buffer, offset)? {
            read if read == buffer.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// As [`File::metadata`].
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.with(File::metadata)
    }

    fn with<T>(&self, ask: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open_again()?,
        };
        let answer = ask(&file);
        self.file.set(Some(file));
        answer
    }

    fn open_again(&self) -> io::Result<File> {
        let file = open(&self.path, self.id)?;
        if let Some(expected) = self.file_id.get() {
            let mut file_id = [0; 16];
            file.read_exact_at(&mut file_id, object::FILE_ID)?;
            if Id128(file_id) != expected {
                return Err(io::Error::new(io::ErrorKind::NotFound, "another file has its place"));
            }
        }
        Ok(file)
    }
}

/// Opens a regular file if it is still this one. Anything else of that name is refused, without waiting as for a
/// pipe's writer.
fn open(path: &Path, id: FileId) -> io::Result<File> {
    let file =
        File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if FileId::of(&metadata) != id {
        // Renamed between listing and opening: the next look finds it under its new name.
        return Err(io::Error::new(io::ErrorKind::NotFound, "the file was renamed meanwhile"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_closed_file_is_opened_again_and_no_other_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let mut handle = Handle::open(&path, FileId::of(&fs::metadata(&path).unwrap())).unwrap();
        let read = |handle: &Handle| {
            let mut buffer = [0; 8];
            handle.read_at_most(&mut buffer, 1).map(|n| buffer[..n].to_vec())
        };
        assert_eq!(read(&handle).unwrap(), b"ne");
        handle.close();
        assert!(!handle.is_open());
        assert_eq!(read(&handle).unwrap(), b"ne");
        assert!(handle.is_open());
        let renamed = dir.path().join("b");
        fs::rename(&path, &renamed).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(read(&handle).unwrap(), b"ne", "a descriptor does not mind names");
        handle.close();
        assert_eq!(read(&handle).unwrap_err().kind(), io::ErrorKind::NotFound);
        handle.rename(&renamed);
        assert_eq!(read(&handle).unwrap(), b"ne");
        let reads = Reads { calls: 8, bytes: 8 };
        assert_eq!(handle.reads(), reads, "each of four answers takes a second read to see the end");
    }
}
