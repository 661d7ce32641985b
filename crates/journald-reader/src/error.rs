//! Why a journal cannot be read, and what to do about it.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::scan::Roots;
use crate::scope::Scope;

/// One place that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or folder.
    pub path: PathBuf,
    /// What kind of failure.
    pub kind: io::ErrorKind,
    reason: String,
}

impl Problem {
    pub(crate) fn new(path: PathBuf, error: &io::Error) -> Problem {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => match group_of(&path) {
                Some(group) => format!("permission denied; it is readable for group `{group}`"),
                None => "permission denied".into(),
            },
            io::ErrorKind::NotFound => "no such file or folder".into(),
            _ => error.to_string(),
        };
        Problem { path, kind: error.kind(), reason }
    }

    /// A file or folder that exists and is not read.
    pub(crate) fn passed_over(path: PathBuf, reason: String) -> Problem {
        Problem { path, kind: io::ErrorKind::Unsupported, reason }
    }

    pub(crate) fn damaged(path: PathBuf, reason: String) -> Problem {
        let reason = format!("not a journal file that can be read: {reason}");
        Problem { path, kind: io::ErrorKind::InvalidData, reason }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Why no journal could be opened.
#[derive(Debug)]
pub enum OpenError {
    /// No file could be opened: all places with their reasons, also those that are not read on purpose.
    Unreadable(Vec<Problem>),
    /// The system's change notification could not be set up.
    Watch(io::Error),
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// Nothing can be read in this scope. Names `problems`, and everything else that stands there and is not read.
    pub fn nothing(scope: &Scope, mut problems: Vec<Problem>) -> OpenError {
        for (path, reason) in Roots::new(scope).passed_over() {
            if problems.iter().all(|problem| problem.path != path) {
                problems.push(Problem::passed_over(path, reason));
            }
        }
        OpenError::Unreadable(problems)
    }

    /// Whether a journal is there that may not be read.
    pub fn is_denied(&self) -> bool {
        let denied = |problem: &Problem| problem.kind == io::ErrorKind::PermissionDenied;
        matches!(self, OpenError::Unreadable(problems) if problems.iter().any(denied))
    }
}

/// Places that an error lists (count); it says only how many more there are.
const LISTED_MAX: usize = 5;

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = match self {
            OpenError::Watch(error) => {
                return write!(
                    f,
                    "cannot watch the journal for changes (inotify): {error}; \
                     sysctl fs.inotify.max_user_instances may be too low"
                );
            }
            OpenError::Unreadable(problems) => problems,
        };
        write!(f, "no journal can be read")?;
        for problem in problems.iter().take(LISTED_MAX) {
            write!(f, "\n  {problem}")?;
        }
        if problems.len() > LISTED_MAX {
            write!(f, "\n  … and {} more", problems.len() - LISTED_MAX)?;
        }
        if !self.is_denied() {
            write!(
                f,
                "\nsystemd-journald writes *.journal files below /var/log/journal or /run/log/journal; is it running here?"
            )?;
        }
        if let Some(denied) = problems.iter().find(|p| p.kind == io::ErrorKind::PermissionDenied) {
            let group = group_of(&denied.path).unwrap_or_else(|| "systemd-journal".into());
            write!(
                f,
                "\nA service gets access by `SupplementaryGroups={group}` in its unit, a person by \
                 `sudo usermod -aG {group} USER` and a new login; root needs neither"
            )?;
        }
        Ok(())
    }
}

/// The group that a file seems to have when its own group has no number in this user namespace, as under `PrivateUsers=`
/// (linux/highuid.h, `DEFAULT_OVERFLOWGID`).
const UNMAPPED_GID: u32 = 65534;

/// The group of a file, or of its folder where the file cannot be looked at; `None` if it is not known.
fn group_of(path: &Path) -> Option<String> {
    let gid = path.ancestors().find_map(|p| fs::metadata(p).ok())?.gid();
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(gid) && gid != 0 && gid != UNMAPPED_GID).then(|| name.to_string())
    })
}
