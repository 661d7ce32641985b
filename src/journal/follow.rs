//! Following a tail: this is the one loop that reads the journal, to ship entries, to evaluate rules, or to show entries.
//!
//! A [`Follower`] says what to do with an entry, between two entries, and when there is no entry for now. The loop reads,
//! waits, looks for files that appear and disappear, and ends when it is told to.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use journald_reader::{Entry, Tail};

use crate::os::systemd::Pulse;

/// In a backlog, the loop looks for new and deleted files once in so many entries (count).
const POLL_EVERY: u32 = 50_000;

/// While stages hold lines and the journal is quiet, a follower checks this often whether to send them.
pub(crate) const HELD_EVERY: Duration = Duration::from_millis(500);

/// The system no longer reports changes in the folders of the journal.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be watched for changes: {0}")]
pub struct WatchError(#[from] io::Error);

/// What the loop does after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It reads the next entry.
    Next,
    /// It calls [`Follower::between`], and then reads the next entry.
    Between,
    /// It ends: the follower wants no more entries.
    End,
}

/// What the loop does after a call without an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It goes on reading at once.
    Read,
    /// It waits until there may be entries, or until this time.
    Wait(Option<Instant>),
    /// It waits until this time, even if there are entries.
    Pause(Instant),
    /// It ends: the follower is done.
    End,
}

/// What is done with the entries of a tail.
pub(crate) trait Follower {
    /// Why following ends early.
    type Error: From<WatchError>;

    /// An entry was read.
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, Self::Error>;

    /// Called after [`Step::Between`]. The tail is after the entry.
    fn between(&mut self, _tail: &mut Tail) -> Result<Rest, Self::Error> {
        Ok(Rest::Read)
    }

    /// Called when there is no entry for now.
    fn idle(&mut self, tail: &mut Tail) -> Result<Rest, Self::Error>;

    /// Whether the loop looks for new and deleted files in a backlog.
    fn polls(&self) -> bool {
        true
    }

    /// Called when waiting for entries begins (`true`) or ends (`false`).
    fn waits(&mut self, _begins: bool) {}
}

/// Shows the entries of a tail to a follower until the follower is done or `stop` is set. `pulse` beats as long as reading goes on.
///
/// # Errors
/// The follower fails, or the journal cannot be watched for changes.
pub(crate) fn follow<F: Follower>(
    tail: &mut Tail,
    follower: &mut F,
    stop: &AtomicBool,
    pulse: &Pulse,
) -> Result<(), F::Error> {
    let mut unpolled = 0;
    while !stop.load(Relaxed) {
        let rest = match tail.next_entry() {
            Some(entry) => match follower.entry(&entry)? {
                Step::Next => {
                    unpolled += 1;
                    if unpolled < POLL_EVERY {
                        continue;
                    }
                    Rest::Read
                }
                Step::Between => {
                    unpolled = POLL_EVERY;
                    follower.between(tail)?
                }
                Step::End => Rest::End,
            },
            None => {
                unpolled = 0;
                follower.idle(tail)?
            }
        };
        if unpolled >= POLL_EVERY {
            unpolled = 0;
            pulse.beat();
            if follower.polls() {
                tail.poll().map_err(WatchError)?;
            }
        }
        match rest {
            Rest::Read => {}
            Rest::Wait(deadline) => {
                follower.waits(true);
                wait(tail, pulse, deadline)?;
                follower.waits(false);
            }
            Rest::Pause(until) => {
                while Instant::now() < until && !stop.load(Relaxed) {
                    wait(tail, pulse, Some(until))?;
                }
            }
            Rest::End => break,
        }
    }
    Ok(())
}

/// Sleeps until there may be entries.
fn wait(tail: &mut Tail, pulse: &Pulse, deadline: Option<Instant>) -> Result<(), WatchError> {
    pulse.rest(|| tail.wait(deadline)).map_err(WatchError)
}
