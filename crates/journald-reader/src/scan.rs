//! Which files belong to the journal: the folders where journald keeps them, or what a person named.
//!
//! A journal folder holds files directly, in a folder per machine (named by machine id) and one per machine and
//! namespace (`MACHINE-ID.NAMESPACE`), or both. Namespaces are read where they are in scope. A folder or file that was
//! named itself is always read.

use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::cursor::Id128;
use crate::scope::{self, Namespaces, Scope};

/// Where journald keeps what survives a reboot, and what does not.
const PERSISTENT: &str = "/var/log/journal";
const RUNTIME: &str = "/run/log/journal";

/// Identifies a file, whatever its name is: device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &fs::Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A file that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub path: PathBuf,
    pub id: FileId,
    /// It lies where journald keeps what a reboot deletes.
    pub runtime: bool,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub files: Vec<Found>,
    /// The folders that were read, to be watched.
    pub folders: Vec<PathBuf>,
    /// Folders in which a folder may appear that is missing now.
    pub parents: Vec<PathBuf>,
    /// What could not be read.
    pub problems: Vec<(PathBuf, io::Error)>,
}

/// The places to look at.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    paths: Vec<PathBuf>,
    namespaces: Namespaces,
    /// Machine folders other than this one's are skipped.
    machine: Option<Id128>,
    /// The paths are this machine's own: they need not exist.
    own: bool,
}

impl Roots {
    /// This machine's journal, or the paths that were named.
    pub(crate) fn new(scope: &Scope) -> Roots {
        let namespaces = scope.namespaces.clone();
        if scope.paths.is_empty() {
            let machine = fs::read_to_string("/etc/machine-id").ok().and_then(|id| id.trim().parse().ok());
            Roots { paths: vec![PERSISTENT.into(), RUNTIME.into()], namespaces, machine, own: true }
        } else {
            Roots { paths: scope.paths.clone(), namespaces, machine: None, own: false }
        }
    }

    /// Looks at all places.
    pub(crate) fn scan(&self) -> Scan {
        let mut scan = Scan::default();
        for path in &self.paths {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => self.scan_folder(path, true, &mut scan),
                Ok(metadata) => {
                    scan.files.push(Found {
                        path: path.clone(),
                        id: FileId::of(&metadata),
                        runtime: is_runtime(path),
                    });
                    // inotify tells of writes by the folder.
                    if let Ok(Some(folder)) = std::path::absolute(path).as_deref().map(Path::parent) {
                        scan.folders.push(folder.to_path_buf());
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    // Volatile or persistent storage only, or a folder that went: it may appear later.
                    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                    if let Some(parent) = path.ancestors().find(|p| p.is_dir()) {
                        scan.parents.push(parent.to_path_buf());
                    }
                    if !self.own {
                        scan.problems.push((path.clone(), e));
                    }
                }
                Err(e) => scan.problems.push((path.clone(), e)),
            }
        }
        scan
    }

    /// What stands at these places and is not read, each with the reason: for the error when nothing was found.
    pub(crate) fn passed_over(&self) -> Vec<(PathBuf, String)> {
        let mut passed = Vec::new();
        for path in &self.paths {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => self.passed_over_in(path, &mut passed),
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.own => {
                    passed.push((path.clone(), "no such folder".to_owned()));
                }
                _ => {}
            }
        }
        passed
    }

    fn passed_over_in(&self, folder: &Path, passed: &mut Vec<(PathBuf, String)>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        let (mut seen, mut files) = (0, 0);
        for entry in entries.flatten() {
            seen += 1;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            if !path.is_dir() {
                files += usize::from(!is_journal_name(&name));
                passed.extend(unfinished(&path).map(|reason| (path, reason)));
                continue;
            }
            let reason = match self.namespaces.include_folder(&name, self.machine) {
                true if fs::read_dir(&path).is_ok_and(|within| !holds_journal(within)) => {
                    "a folder with no *.journal file in it".to_owned()
                }
                true => {
                    let within =
                        fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
                    passed.extend(within.filter_map(|path| unfinished(&path).map(|reason| (path, reason))));
                    continue;
                }
                false => self.why_not(&name),
            };
            passed.push((path, reason));
        }
        match (seen, files) {
            (0, _) => passed.push((folder.to_path_buf(), "an empty folder".to_owned())),
            (_, 0) => {}
            (_, 1) => passed.push((folder.to_path_buf(), "1 file in it is not named *.journal".to_owned())),
            _ => passed.push((folder.to_path_buf(), format!("{files} files in it are not named *.journal"))),
        }
    }

    /// Why a folder of this name is not read.
    fn why_not(&self, name: &str) -> String {
        match (scope::split(name), self.machine) {
            (None, _) => "not the folder of a machine: those are named by a machine id".to_owned(),
            (Some((id, _)), Some(machine)) if id != machine => {
                format!(
                    "the journal of another machine (/etc/machine-id is {machine}); to read it, name this folder"
                )
            }
            (Some((_, namespace)), _) => {
                format!("the journal namespace `{namespace}`; to read it, add it to `journal.namespaces`")
            }
        }
    }

    fn scan_folder(&self, folder: &Path, top: bool, scan: &mut Scan) {
        let read = fs::metadata(folder).and_then(|m| Ok((m.dev(), fs::read_dir(folder)?)));
        let (device, entries) = match read {
            Ok(read) => read,
            Err(e) => return scan.problems.push((folder.to_path_buf(), e)),
        };
        scan.folders.push(folder.to_path_buf());
        // Whether the folder's list gives the numbers of its files, so that no file has to be asked. In file systems made of
        // layers (overlayfs), files are on another device than their folder.
        let mut list_tells = None;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => return scan.problems.push((folder.to_path_buf(), e)),
            };
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else { continue };
            if is_journal_name(name) {
                let id = match entry.file_type() {
                    Ok(kind) if kind.is_file() => {
                        let listed = FileId { device, inode: entry.ino() };
                        let asked = || fs::metadata(&path).map(|metadata| FileId::of(&metadata));
                        match list_tells {
                            Some(true) => listed,
                            // The file is gone by now.
                            Some(false) | None => {
                                let Ok(id) = asked() else { continue };
                                list_tells = Some(id == listed);
                                id
                            }
                        }
                    }
                    Ok(kind) if kind.is_symlink() => match fs::metadata(&path) {
                        Ok(metadata) if metadata.is_file() => FileId::of(&metadata),
                        _ => continue,
                    },
                    _ => continue,
                };
                scan.files.push(Found { id, runtime: is_runtime(&path), path });
            } else if top && self.namespaces.include_folder(name, self.machine) {
                self.scan_folder(&path, false, scan);
            }
        }
    }
}

fn is_journal_name(name: &str) -> bool {
    name.ends_with(".journal") || name.ends_with(".journal~")
}

/// What is missing in a journal file to which nothing was written yet.
fn unfinished(path: &Path) -> Option<String> {
    let empty = is_journal_name(&path.to_string_lossy())
        && fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
    empty.then(|| "an empty file: its header is still to be written".to_owned())
}

fn holds_journal(entries: fs::ReadDir) -> bool {
    entries.flatten().any(|entry| is_journal_name(&entry.file_name().to_string_lossy()))
}

/// The name of the folder that a journal file lies in. A journald uses the same name in the runtime and in the persistent
/// place.
pub(crate) fn journal_of(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    folder.unwrap_or_default().to_owned()
}

fn is_runtime(path: &Path) -> bool {
    path.starts_with("/run")
}

/// Whether a file of this name is finished: journald renames files when it archives them, or when it
/// finds them unclean.
pub(crate) fn is_archived_name(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    name.contains('@') || name.ends_with('~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_files_of_a_journal_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let machine = "0123456789abcdef0123456789abcdef";
        for path in [
            "system.journal",
            "notes.txt",
            "0123456789abcdef0123456789abcdef/system@x.journal",
            "0123456789abcdef0123456789abcdef/user-1000.journal~",
            "0123456789abcdef0123456789abcdef/deeper/system.journal",
            "0123456789abcdef0123456789abcdef.name/system.journal",
            "other/system.journal",
            "folder.journal/x",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("notes.txt", dir.path().join("link.journal")).unwrap();
        std::os::unix::fs::symlink("nothing", dir.path().join("dangling.journal")).unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket.journal")).unwrap();
        let names = |scan: &Scan| {
            let relative = |f: &Found| f.path.strip_prefix(dir.path()).unwrap().display().to_string();
            let mut names: Vec<_> = scan.files.iter().map(relative).collect();
            names.sort();
            names
        };
        let mut scope = Scope::of([dir.path().to_path_buf()]);
        let scan = Roots::new(&scope).scan();
        let expected = [
            format!("{machine}/system@x.journal"),
            format!("{machine}/user-1000.journal~"),
            "link.journal".into(),
            "system.journal".into(),
        ];
        assert_eq!(names(&scan), expected);
        assert_eq!(scan.folders.len(), 2);
        assert!(scan.files.iter().all(|f| f.id == FileId::of(&fs::metadata(&f.path).unwrap())));

        for namespaces in [Namespaces::All, Namespaces::Named(vec!["name".into()])] {
            scope.namespaces = namespaces;
            let scan = Roots::new(&scope).scan();
            let own = format!("{machine}.name/system.journal");
            assert_eq!(names(&scan), [&[own], &expected[..]].concat());
            assert_eq!(scan.folders.len(), 3);
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_a_problem() {
        let scan = Roots::new(&Scope::of(["/nowhere/at/all".into()])).scan();
        assert_eq!(scan.problems.len(), 1);
    }

    /// Whatever is there and not read is named with the reason.
    #[test]
    fn what_is_passed_over_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = ("0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef");
        for folder in ["empty", "text", "odd/sub", "file"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for folder in [own.to_owned(), format!("{own}.web"), other.to_owned()] {
            fs::create_dir_all(dir.path().join("machines").join(folder)).unwrap();
        }
        fs::write(dir.path().join("text/a.log"), "").unwrap();
        fs::write(dir.path().join("file/system.journal"), "").unwrap();
        for (folder, own_paths, expected) in [
            ("empty", false, &["empty: an empty folder"][..]),
            ("text", false, &["text: 1 file in it is not named *.journal"]),
            ("odd", false, &["odd/sub: not the folder of a machine"]),
            ("file", false, &["file/system.journal: an empty file"]),
            ("missing", true, &["missing: no such folder"]),
            ("missing", false, &[]),
            (
                "machines",
                true,
                &[
                    "0123456789abcdef0123456789abcdef: a folder with no *.journal file in it",
                    ".web: the journal namespace `web`; to read it, add it to `journal.namespaces`",
                    "1123456789abcdef0123456789abcdef: the journal of another machine (/etc/machine-id is 0123",
                ],
            ),
        ] {
            let mut roots = Roots::new(&Scope::of([dir.path().join(folder)]));
            (roots.own, roots.machine) = (own_paths, own_paths.then(|| own.parse().unwrap()));
            let said: Vec<String> =
                roots.passed_over().iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
            assert_eq!(said.len(), expected.len(), "{folder}: {said:?}");
            for part in expected {
                assert!(said.iter().any(|line| line.contains(part)), "{folder}: {part}: {said:?}");
            }
        }
    }

    #[test]
    fn archived_files_are_known_by_name() {
        for (name, archived) in [
            ("system.journal", false),
            ("user-1000.journal", false),
            ("system@0005f-1.journal", true),
            ("system@0005f.journal~", true),
            ("x.journal~", true),
        ] {
            assert_eq!(
                is_archived_name(Path::new("/var/log/journal").join(name).as_path()),
                archived,
                "{name}"
            );
        }
    }
}
