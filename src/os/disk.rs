//! Small files of state. A file is read whole. It is replaced in one step, so that a crash at any moment leaves either the
//! old file or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Reads a whole file. `None`: the file does not exist.
///
/// # Errors
/// When it cannot be read, or has more than `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > most => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has {} bytes", metadata.len())))
        }
        Ok(_) => fs::read(path).map(Some),
    }
}

/// Replaces a file by `content`. When this returns, the content is on disk.
///
/// # Errors
/// When the folder cannot be written to; the old file is untouched then.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}
