//! The files with passwords, tokens and certificates: how they are read, and how a change is noticed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::AccessError;

/// The longest file with a password, a token or certificates (bytes). The bundle of all public authorities has a quarter
/// of that.
const FILE_MAX: u64 = 1 << 20;

/// A password or a token. It can be used, but `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The state of a file: device, inode, size and times. A file with another state has changed.
pub(crate) type Version = (u64, u64, u64, i64, i64, i64);

/// The state of a file. `None`: it does not exist, or its folder is not open to us.
pub(crate) fn version(path: &Path) -> Option<Version> {
    let data = fs::metadata(path).ok()?;
    Some((data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec(), data.ctime_nsec()))
}

/// What a file of the configuration holds.
pub(crate) struct Content {
    /// The key that names the file.
    key: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Content {
    /// Reads a file that `key` names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(key: &'static str, path: &Path) -> Result<Content, AccessError> {
        let bytes = read(path).map_err(|error| unreadable(key, path, &error))?;
        Ok(Content { key, path: path.to_owned(), bytes })
    }

    /// Why it is of no use.
    pub(crate) fn wrong(&self, why: impl fmt::Display) -> AccessError {
        AccessError(format!("{}: {} {why}", self.key, self.path.display()))
    }

    /// The secret in it.
    pub(super) fn secret(&self) -> Result<Secret, AccessError> {
        secret_of(&self.bytes).map_err(|why| self.wrong(why))
    }
}

/// What all files of a configuration hold.
pub(super) struct Contents(Vec<Content>);

impl Contents {
    /// Reads files, each named by a key.
    pub(super) fn read<'f>(
        files: impl Iterator<Item = (&'static str, &'f Path)>,
    ) -> Result<Contents, AccessError> {
        files.map(|(key, path)| Content::read(key, path)).collect::<Result<_, _>>().map(Contents)
    }

    /// The file of this key.
    pub(super) fn of(&self, key: &str) -> Option<&Content> {
        self.0.iter().find(|content| content.key == key)
    }

    /// The file of this key and path, where a key may name several.
    pub(super) fn at(&self, key: &str, path: &Path) -> Option<&Content> {
        self.0.iter().find(|content| content.key == key && content.path == path)
    }
}

/// The secret in a file that `key` names.
///
/// # Errors
/// When the file cannot be read, or holds no secret of one line.
pub(crate) fn read_secret(key: &'static str, path: &Path) -> Result<String, AccessError> {
    Content::read(key, path)?.secret().map(|secret| secret.0)
}

/// Reads a whole file. Only regular files are read: reading from a pipe without a writer would never end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut content)?;
    match content.len() as u64 > FILE_MAX {
        true => Err(io::Error::other(format!("longer than {FILE_MAX} bytes"))),
        false => Ok(content),
    }
}

fn unreadable(key: &str, path: &Path, error: &io::Error) -> AccessError {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the user that runs journal-ship must be able to read it: with systemd, name it in LoadCredential= and \
             write ${CREDENTIALS_DIRECTORY}/NAME here"
        }
        _ => "",
    };
    AccessError(format!("{key}: {} cannot be read: {error}{help}", path.display()))
}

/// The secret in a file: its content without the line end that editors add.
fn secret_of(content: &[u8]) -> Result<Secret, &'static str> {
    let text = str::from_utf8(content).map_err(|_| "is not UTF-8")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text {
        "" => Err("is empty"),
        text if text.contains(char::is_control) => Err("holds more than one line, or control characters"),
        text => Ok(Secret(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_one_line_of_its_file() {
        for (content, expected) in [
            (&b"hunter2"[..], Ok("hunter2")),
            (b"hunter2\n", Ok("hunter2")),
            (b"hunter2\r\n", Ok("hunter2")),
            (b" a b \n", Ok(" a b ")),
            ("p\u{e4}ss".as_bytes(), Ok("p\u{e4}ss")),
            (b"", Err("is empty")),
            (b"\n", Err("is empty")),
            (b"a\nb\n", Err("holds more than one line, or control characters")),
            (b"a\0", Err("holds more than one line, or control characters")),
            (b"\xff", Err("is not UTF-8")),
        ] {
            assert_eq!(secret_of(content).as_ref().map(|s| s.0.as_str()).map_err(|why| *why), expected);
        }
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "Secret(…)");
    }
}
