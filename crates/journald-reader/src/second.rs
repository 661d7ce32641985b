//! A second opinion: the order, the cursors and the times that libsystemd gives, through the crate sd-journal.
//!
//! Only what is sound in that crate is used: opening, moving and asking for the cursor, which holds both
//! times. Its functions for fields read past the end of their buffers.

use sd_journal::{CursorMovement, FileFlags, Journal, PathFlags, UserFlags};

use crate::cursor::Cursor;
use crate::scope::{Namespaces, Scope};

/// libsystemd's reader.
pub struct SecondReader {
    journal: Journal,
}

/// Why the two readers cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SecondError {
    /// libsystemd reports an error.
    #[error("libsystemd: {0}")]
    Library(String),
    /// It reads only whole journals.
    #[error("libsystemd compares whole journals, without matches and namespaces")]
    Scope,
    /// It opens only one folder, or files.
    #[error("libsystemd opens one folder, or files")]
    Paths,
    /// They read different entries.
    #[error("the readers disagree after {after} entries: this one has {own}, libsystemd has {theirs}")]
    Disagree {
        /// Entries on which they agreed.
        after: u64,
        /// The cursor read natively.
        own: String,
        /// libsystemd's.
        theirs: String,
    },
}

impl SecondReader {
    /// Opens the same journal as [`super::Tail::open`].
    ///
    /// # Errors
    /// When libsystemd cannot open it.
    pub fn open(scope: &Scope) -> Result<SecondReader, SecondError> {
        if !scope.matches.is_empty() || scope.namespaces != Namespaces::default() {
            return Err(SecondError::Scope);
        }
        let journal = match scope.paths.as_slice() {
            [] => Journal::open(FileFlags::LocalOnly, UserFlags::AllUsers),
            [folder] if folder.is_dir() => {
                Journal::open_directory(folder, PathFlags::FullPath, UserFlags::AllUsers)
            }
            files if files.iter().all(|p| p.is_file()) => Journal::open_files(files),
            _ => return Err(SecondError::Paths),
        };
        let journal = journal.map_err(library)?;
        journal.seek_head().map_err(library)?;
        Ok(SecondReader { journal })
    }

    /// The next entry's cursor, or `None` at the end.
    ///
    /// # Errors
    /// When libsystemd cannot read on.
    pub fn next_cursor(&self) -> Result<Option<Cursor>, SecondError> {
        match self.journal.next().map_err(library)? {
            CursorMovement::EoF => Ok(None),
            _ => {
                let text = self.journal.get_cursor_id().map_err(library)?;
                text.parse().map(Some).map_err(|e: super::CursorError| SecondError::Library(e.to_string()))
            }
        }
    }

    /// The next cursor must be this one; entries written before `since` (realtime, microseconds) are passed over.
    ///
    /// # Errors
    /// When it is another one.
    pub fn agree(&self, own: &Cursor, after: u64, since: Option<u64>) -> Result<(), SecondError> {
        loop {
            match self.next_cursor()? {
                Some(theirs) if theirs == *own => return Ok(()),
                Some(theirs) if since.is_some_and(|since| theirs.realtime < since) => {}
                theirs => {
                    let theirs = theirs.map_or("no more".into(), |c| c.to_string());
                    return Err(SecondError::Disagree { after, own: own.to_string(), theirs });
                }
            }
        }
    }
}

fn library(error: sd_journal::Error) -> SecondError {
    SecondError::Library(format!("{error:?}"))
}
