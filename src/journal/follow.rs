//! Following a tail: the one loop of everything that reads the journal, be it to ship, to evaluate rules, or to show.
//!
//! A [`Follower`] says what is done with an entry, what is done between two entries, and what is done when there is none for
//! now. The loop reads, waits, looks for files that come and go, and ends when it is told to.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use journald_reader::{Entry, Tail};

use crate::os::systemd::Pulse;

/// While there is a backlog, files that come and go are noticed once in so many entries (count).
const POLL_EVERY: u32 = 50_000;

/// While stages hold lines and the journal is quiet, a follower looks this often whether their time is over.
pub(crate) const HELD_EVERY: Duration = Duration::from_millis(500);

/// The system does not tell of changes in the journal's folders any more.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be watched for changes: {0}")]
pub struct WatchError(#[from] io::Error);

/// What follows an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next entry.
    Next,
    /// [`Follower::between`], and then the next entry.
    Between,
    /// Nothing: the follower wants no more entries.
    End,
}

/// What follows when a follower has had its turn without an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Reading goes on at once.
    Read,
    /// Reading goes on when there may be entries, and at this time at the latest.
    Wait(Option<Instant>),
    /// Reading goes on at this time, whether there are entries or not.
    Pause(Instant),
    /// Nothing: the follower is done.
    End,
}

/// What is done with the entries of a tail.
pub(crate) trait Follower {
    /// Why following ends early.
    type Error: From<WatchError>;

    /// An entry was read.
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, Self::Error>;

    /// An entry was answered with [`Step::Between`]; the tail stands behind it.
    fn between(&mut self, _tail: &mut Tail) -> Result<Rest, Self::Error> {
        Ok(Rest::Read)
    }

    /// There is no entry for now.
    fn idle(&mut self, tail: &mut Tail) -> Result<Rest, Self::Error>;

    /// Whether files that come and go matter while there is a backlog.
    fn polls(&self) -> bool {
        true
    }

    /// Waiting for entries begins (`true`) or is over (`false`).
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
