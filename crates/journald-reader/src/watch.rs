//! Waiting for the journal to change: inotify on its folders, and nothing else. No timer runs.
//!
//! journald writes through a mapping, which inotify does not see; it announces its writes by truncating
//! the file to the size it has, at most every 250 ms (systemd, `journal_file_post_change`).

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

/// Room for inotify events that are read at once (bytes).
const EVENTS_MAX: usize = 4096;

/// Wakes a waiting [`super::Tail`] from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Option<Arc<OwnedFd>>);

impl Waker {
    /// For a tail that reads what is there and never waits: nobody wakes it, and it asks the system for no notification. The
    /// system takes 10 to 20 ms to end one, which is longer than most answers take.
    pub fn none() -> Waker {
        Waker(None)
    }

    /// A waker for one tail, or for several.
    ///
    /// # Errors
    /// When the process may open no more descriptors.
    pub fn new() -> io::Result<Waker> {
        Ok(Waker(Some(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))))
    }

    /// Ends the current wait, or the next one. Never blocks.
    pub fn wake(&self) {
        let Some(event) = &self.0 else { return };
        // Only a full counter can refuse, and then the wait ends anyway.
        let _ = rustix::io::write(event, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        let Some(event) = &self.0 else { return };
        let _ = rustix::io::read(event, &mut [0; 8]);
    }
}

/// Names of written files that are kept between two looks (count); if there are more, all files are looked at.
const NAMES_MAX: usize = 64;

/// What ended a wait; empty when the deadline did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Files came, went or changed their names.
    pub files: bool,
    /// Files were written to.
    pub writes: Writes,
    /// The waker was used.
    pub woken: bool,
}

/// Which files were written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Files of these names, in any of the folders.
    Files(Vec<OsString>),
    /// Any files.
    Any,
}

impl Default for Writes {
    fn default() -> Writes {
        Writes::Files(Vec::new())
    }
}

impl Writes {
    fn add(&mut self, name: Option<&CStr>) {
        match (&mut *self, name) {
            (Writes::Files(names), Some(name)) if names.len() < NAMES_MAX => {
                let name = OsStr::from_bytes(name.to_bytes());
                if !names.iter().any(|n| n == name) {
                    names.push(name.to_owned());
                }
            }
            _ => *self = Writes::Any,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Watch {
    /// `None` with [`Waker::none`]: nobody waits, so nothing is watched.
    inotify: Option<OwnedFd>,
    /// The system's number of each watch: a folder made anew under an old name gets another number.
    folders: HashMap<PathBuf, i32>,
    waker: Waker,
}

impl Watch {
    pub(crate) fn new(waker: Waker) -> io::Result<Watch> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = waker.0.is_some().then(|| inotify::init(flags)).transpose()?;
        Ok(Watch { inotify, folders: HashMap::new(), waker })
    }

    /// Watches these folders; in `parents` only what appears. A folder must be watched before it is
    /// read, so that no change falls between: the caller scans again when this returns true.
    pub(crate) fn set_folders(&mut self, folders: &[PathBuf], parents: &[PathBuf]) -> bool {
        use inotify::WatchFlags as W;
        const APPEARS: W = W::CREATE.union(W::MOVED_TO).union(W::ONLYDIR);
        const CHANGES: W = APPEARS
            .union(W::MOVED_FROM)
            .union(W::DELETE)
            .union(W::DELETE_SELF)
            .union(W::MOVE_SELF)
            .union(W::MODIFY);
        let Some(inotify) = &self.inotify else { return false };
        let mut added = false;
        for (list, flags) in [(parents, APPEARS), (folders, CHANGES)] {
            for folder in list {
                // A folder that was removed and made again needs a new watch; adding twice does no harm.
                let Ok(number) = inotify::add_watch(inotify, folder, flags) else { continue };
                added |= self.folders.insert(folder.clone(), number) != Some(number);
            }
        }
        self.folders.retain(|known, _| folders.contains(known) || parents.contains(known));
        added
    }

    /// Sleeps until the journal changes, the waker is used or the deadline is there.
    ///
    /// # Errors
    /// When the system fails, and for [`Waker::none`].
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Event> {
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let timeout = left.map(timespec);
            let (Some(inotify), Some(waker)) = (&self.inotify, &self.waker.0) else {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "nobody can wake this tail"));
            };
            let mut fds =
                [inotify.as_fd(), waker.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(Event::default()),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            }
            let [changed, woken] = fds.map(|fd| !fd.revents().is_empty());
            if woken {
                self.waker.clear();
            }
            let event = Event { woken, ..if changed { self.drain()? } else { Event::default() } };
            if event != Event::default() {
                return Ok(event);
            }
        }
    }

    /// What has happened until now, without waiting. With [`Waker::none`], anything may have.
    pub(crate) fn drain(&mut self) -> io::Result<Event> {
        use inotify::ReadFlags as R;
        let Some(inotify) = &self.inotify else {
            return Ok(Event { files: true, writes: Writes::Any, woken: false });
        };
        let mut buffer = [MaybeUninit::uninit(); EVENTS_MAX];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        let mut event = Event::default();
        loop {
            match reader.next() {
                Ok(one) => {
                    let flags = one.events();
                    if flags.intersects(R::MODIFY | R::QUEUE_OVERFLOW) {
                        event.writes.add(one.file_name());
                    }
                    event.files |= flags.intersects(
                        R::CREATE
                            | R::MOVED_TO
                            | R::MOVED_FROM
                            | R::DELETE
                            | R::DELETE_SELF
                            | R::MOVE_SELF
                            | R::QUEUE_OVERFLOW,
                    );
                }
                Err(Errno::AGAIN) => return Ok(event),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn says_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        let waker = Waker::new().unwrap();
        let mut watch = Watch::new(waker.clone()).unwrap();
        let folders = [dir.path().to_path_buf()];
        assert!(watch.set_folders(&folders, &[]) && !watch.set_folders(&folders, &[]));

        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(watch.wait(Some(soon)).unwrap(), Event::default());
        fs::write(dir.path().join("a"), "x").unwrap();
        let written = || Writes::Files(vec!["a".into()]);
        assert_eq!(watch.wait(None).unwrap(), Event { files: true, writes: written(), woken: false });
        fs::OpenOptions::new().write(true).open(dir.path().join("a")).unwrap().set_len(1).unwrap();
        assert_eq!(watch.wait(None).unwrap(), Event { writes: written(), ..Event::default() });
        waker.wake();
        assert_eq!(watch.wait(None).unwrap(), Event { woken: true, ..Event::default() });
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(watch.wait(None).unwrap(), Event { files: true, ..Event::default() });
    }

    #[test]
    fn where_nobody_wakes_anything_may_have_changed_and_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let waker = Waker::none();
        let mut watch = Watch::new(waker.clone()).unwrap();
        assert!(!watch.set_folders(&[dir.path().to_path_buf()], &[]));
        waker.wake();
        let anything = Event { files: true, writes: Writes::Any, woken: false };
        assert_eq!(watch.drain().unwrap(), anything);
        assert_eq!(watch.wait(Some(Instant::now())).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
