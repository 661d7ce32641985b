//! Why something in a file could not be read.

use std::io;

/// Why something in a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The bytes cannot be what journald wrote.
    #[error("{what} at offset {offset:#x}")]
    Damaged { what: &'static str, offset: u64 },
    /// A compressed payload that does not unpack.
    #[error("a payload that does not unpack at offset {offset:#x}")]
    Packed { offset: u64 },
    /// A payload or an entry does not have the hash that is stated of it.
    #[error("a hash that does not agree at offset {offset:#x}")]
    Hash { offset: u64 },
    /// The file is not a journal file, or it is of a kind that is not known here.
    #[error("{0}")]
    Foreign(String),
    /// Nothing is written in the file: it is just being made, or will never be written.
    #[error("{0}")]
    Unborn(String),
}

impl Fault {
    /// Whether the file is no longer where it was found.
    pub(crate) fn is_moved(&self) -> bool {
        matches!(self, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}
