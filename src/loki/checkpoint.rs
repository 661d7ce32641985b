//! The checkpoint: how far Loki has acknowledged, on disk. It is the agent's only state.
//!
//! Each destination has a small JSON file. It is replaced in one step: a new file is written, fsynced and renamed over the old
//! one, and the folder is fsynced. So a crash at any moment leaves the old file or the new one. The checkpoint is never ahead
//! of an acknowledgement. Entries after it are sent again, byte for byte the same.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::os::disk;
use journald_reader::{ById, Cursor, Id128, Resume};

/// How many damaged files are kept (count).
const ASIDE_MAX: u32 = 9;
/// The version of the file. A higher number means that a newer program wrote it.
const VERSION: u32 = 1;
/// The longest checkpoint (bytes). Entries that stages hold take at most 3 MB of it.
const SIZE_MAX: u64 = 16 << 20;

/// The form of the file. Cursors are written as by journalctl, ids as 32 hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<String>,
    floor: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(default)]
    files: HashMap<String, String>,
    #[serde(default)]
    counters: HashMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
    /// The positions by the names of folders.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    runtimes: HashMap<String, String>,
}

/// Why a checkpoint could not be read or saved.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not what [`Checkpoint::save`] writes.
    #[error("{path} is not a checkpoint: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer program wrote it.
    #[error(
        "{path} has version {version}, and this journal-ship reads {VERSION}: install the newer one again, or \
         move the file away to begin anew (journal.backfill)"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// The part that all versions have in common.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// The checkpoint file of one destination.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// `FOLDER/NAME.json`.
    pub fn new(folder: &Path, name: &str) -> Checkpoint {
        Checkpoint { path: folder.join(format!("{name}.json")) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the checkpoint. `None`: it does not exist yet.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn load(&self) -> Result<Option<Resume>, CheckpointError> {
        let text = match disk::read(&self.path, SIZE_MAX) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(self.damaged(error)),
            Err(error) => return Err(self.io(error)),
        };
        let AnyVersion { version } = serde_json::from_slice(&text).map_err(|e| self.damaged(e))?;
        if version > VERSION {
            return Err(CheckpointError::Newer { path: self.path.clone(), version });
        }
        if version < VERSION {
            return Err(self.damaged(format!("there is no version {version}")));
        }
        let written: Written = serde_json::from_slice(&text).map_err(|e| self.damaged(e))?;
        let cursor = |text: String| text.parse::<Cursor>().map_err(|e| self.damaged(e));
        let table = |table: HashMap<String, String>| {
            table
                .into_iter()
                .map(|(id, text)| Ok((id.parse::<Id128>().map_err(|e| self.damaged(e))?, cursor(text)?)))
                .collect::<Result<ById, _>>()
        };
        Ok(Some(Resume {
            cursor: written.cursor.map(cursor).transpose()?,
            recent: written.recent.into_iter().map(cursor).collect::<Result<_, _>>()?,
            floor: written.floor,
            after: written.after.map(cursor).transpose()?,
            files: table(written.files)?,
            counters: table(written.counters)?,
            runtime: written
                .runtimes
                .into_iter()
                .map(|(journal, text)| Ok((journal, cursor(text)?)))
                .collect::<Result<_, _>>()?,
            held: written.held.into_iter().map(cursor).collect::<Result<_, _>>()?,
        }))
    }

    /// Replaces the checkpoint. When this returns, it is on disk.
    ///
    /// # Errors
    /// When the folder cannot be written to; the old file is untouched then.
    pub fn save(&self, resume: &Resume) -> Result<(), CheckpointError> {
        let table =
            |table: &ById| table.iter().map(|(id, cursor)| (id.to_string(), cursor.to_string())).collect();
        let written = Written {
            version: VERSION,
            cursor: resume.cursor.map(|c| c.to_string()),
            recent: resume.recent.iter().map(Cursor::to_string).collect(),
            floor: resume.floor,
            after: resume.after.map(|c| c.to_string()),
            files: table(&resume.files),
            counters: table(&resume.counters),
            runtimes: resume.runtime.iter().map(|(journal, c)| (journal.clone(), c.to_string())).collect(),
            held: resume.held.iter().map(Cursor::to_string).collect(),
        };
        let mut text = serde_json::to_vec_pretty(&written).map_err(|e| self.damaged(e))?;
        text.push(b'\n');
        disk::replace(&self.path, &text).map_err(|e| self.io(e))
    }

    /// Renames a damaged file so that a person can look at it; returns its new name.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn set_aside(&self) -> Result<PathBuf, CheckpointError> {
        // Damaged files from before are kept, too: a person may want to look at them.
        let name = |n: u32| match n {
            1 => self.path.with_extension("json.damaged"),
            n => self.path.with_extension(format!("json.damaged-{n}")),
        };
        let aside = (1..=ASIDE_MAX).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(ASIDE_MAX));
        fs::rename(&self.path, &aside).map_err(|e| self.io(e))?;
        Ok(aside)
    }

    fn io(&self, source: io::Error) -> CheckpointError {
        CheckpointError::Io { path: self.path.clone(), source }
    }

    fn damaged(&self, reason: impl ToString) -> CheckpointError {
        CheckpointError::Damaged { path: self.path.clone(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume() -> Resume {
        let cursor = Cursor { seqnum: 7, realtime: 9, ..Cursor::default() };
        Resume {
            cursor: Some(cursor),
            recent: vec![cursor],
            floor: 5,
            after: Some(cursor),
            files: ById::from_iter([(Id128([1; 16]), cursor)]),
            counters: ById::from_iter([(Id128([2; 16]), cursor)]),
            runtime: HashMap::from([("0123456789abcdef0123456789abcdef.web".to_owned(), cursor)]),
            held: vec![cursor],
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(dir.path(), "main");
        assert_eq!(checkpoint.load().unwrap(), None);
        for resume in [Resume::default(), resume()] {
            checkpoint.save(&resume).unwrap();
            assert_eq!(checkpoint.load().unwrap(), Some(resume));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn what_is_not_a_checkpoint_is_said_and_can_be_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(dir.path(), "main");
        for (text, part) in [
            ("", "EOF"),
            ("{\"version\":0,\"cursor\":null,\"floor\":0}", "no version 0"),
            ("{\"version\":2,\"places\":[]}", "install the newer one again"),
            ("{\"version\":1,\"cursor\":\"s=1\",\"floor\":0}", "not a journal cursor"),
            ("{\"version\":1,\"cursor\":null,\"floor\":0,\"files\":{\"x\":\"y\"}}", "`x` is not an id"),
            ("cursor-systemd: s=1", "expected value"),
        ] {
            fs::write(checkpoint.path(), text).unwrap();
            let error = checkpoint.load().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("main.json"), "{error}");
        }
        for round in 1..12 {
            fs::write(checkpoint.path(), format!("{round}")).unwrap();
            let aside = checkpoint.set_aside().unwrap();
            assert!(aside.exists() && checkpoint.load().unwrap().is_none());
        }
        let first = fs::read_to_string(dir.path().join("main.json.damaged")).unwrap();
        assert_eq!((first.as_str(), fs::read_dir(dir.path()).unwrap().count()), ("1", 9));
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_said() {
        let checkpoint = Checkpoint::new(Path::new("/proc/nowhere"), "main");
        let error = checkpoint.save(&Resume::default()).unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere/main.json"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_long_is_damaged_and_one_that_cannot_be_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(dir.path(), "main");
        let file = fs::File::create(checkpoint.path()).unwrap();
        for (length, reason) in [(SIZE_MAX, "expected value"), (SIZE_MAX + 1, "it has 16777217 bytes")] {
            file.set_len(length).unwrap();
            let error = checkpoint.load().unwrap_err();
            assert!(matches!(error, CheckpointError::Damaged { .. }), "{length}: {error}");
            assert!(error.to_string().contains(reason), "{length}: {error}");
        }
        fs::remove_file(checkpoint.path()).unwrap();
        fs::create_dir(checkpoint.path()).unwrap();
        let error = checkpoint.load().unwrap_err();
        assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
    }
}
