//! Reading for one destination: a thread that takes entries from the journal through the pipeline into batches.
//!
//! When the channel to the pusher is full, the thread waits: the journal itself is the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::AgentError;
use super::metrics::{Account, Reader};
use crate::config::Destination;
use crate::journal::follow::{Follower, HELD_EVERY, Rest, Step, WatchError, follow};
use crate::loki::batch::Batches;
use crate::loki::learned::Learned;
use crate::loki::push::Parcel;
use crate::os::systemd::Pulse;
use crate::os::when::Realtime;
use crate::pipeline::Pipeline;
use journald_reader::{Cursor, Entry, Keys, Scope, Start, Tail, Waker};

/// When so many entries in a row are dropped, the checkpoint moves although there is nothing to send (count).
const PASSED_BY_MAX: u64 = 50_000;
/// If nothing is sent, entries that no match wants move the checkpoint at most this often. It writes a file, and only
/// makes the next start faster.
const UNWANTED_EVERY: Duration = Duration::from_secs(10);
/// For this long after an entry, files may show other entries that were written before it.
const SETTLE: Duration = Duration::from_secs(1);

/// Counts entries that are missing in the journal. Another file may show a missing entry a moment later, so only what is
/// missing for [`SETTLE`] counts.
#[derive(Debug)]
pub(super) struct Lost {
    /// The smallest number that was missing since `since`.
    least: u64,
    since: Instant,
    told: u64,
}

impl Lost {
    pub(super) fn new(now: Instant) -> Lost {
        Lost { least: 0, since: now, told: 0 }
    }

    /// How many more entries are lost since the last call. `None`: no more.
    fn look(&mut self, missing: u64, now: Instant) -> Option<u64> {
        self.least = self.least.min(missing);
        if now.duration_since(self.since) < SETTLE {
            return None;
        }
        let more = self.least.saturating_sub(self.told);
        self.told += more;
        (self.least, self.since) = (missing, now);
        (more > 0).then_some(more)
    }

    /// When to look again, if more is missing than was reported.
    fn due(&self, missing: u64) -> Option<Instant> {
        (missing > self.told).then(|| self.since + SETTLE)
    }
}

/// The state of the thread that reads for one destination.
pub(super) struct Reading {
    pub destination: Destination,
    pub pipeline: Pipeline,
    pub batches: Batches,
    pub stop: Arc<AtomicBool>,
    pub sender: mpsc::Sender<Parcel>,
    pub account: Account,
    pub learned: Arc<Learned>,
    /// When the last entry that was read was written, if one was read.
    pub newest: Option<Realtime>,
    /// Entries that were read since the last parcel (count).
    pub unsaid: u64,
    /// How many entries no match wanted until the last parcel, and when that was.
    pub unwanted: (u64, Instant),
    pub lost: Lost,
    /// When reading may go on, if a stage asks for a pause.
    pub pause: Option<Instant>,
    pub pulse: Pulse,
}

impl Reading {
    /// Starts the thread.
    pub(super) fn start(mut self, tail: Tail) -> std::io::Result<JoinHandle<Result<(), WatchError>>> {
        thread::Builder::new().name(format!("tail {}", self.destination.name)).spawn(move || self.run(tail))
    }

    fn run(&mut self, mut tail: Tail) -> Result<(), WatchError> {
        let (stop, pulse) = (self.stop.clone(), self.pulse.clone());
        self.account.files(tail.files());
        follow(&mut tail, self, &stop, &pulse)?;
        if self.unsaid > 0 || self.unwanted(&tail) || !self.batches.is_empty() {
            self.send(&tail);
        }
        let journal = tail.counts();
        let damaged = journal.damaged.total();
        if damaged > 0 {
            log::warn!("{damaged} damaged entries were skipped");
        }
        if journal.fields_damaged > 0 {
            log::warn!("{} damaged fields were left out of their entries", journal.fields_damaged);
        }
        Ok(())
    }

    /// Whether a batch is large enough to be sent.
    fn is_full(&self) -> bool {
        self.batches.are_full(self.destination.batch.max_bytes.min(self.learned.batch()))
    }

    /// Whether so many entries were dropped, without any to send, that the checkpoint must move.
    fn passes_by(&self) -> bool {
        self.batches.is_empty() && self.unsaid >= PASSED_BY_MAX
    }

    /// Whether entries that no match wants were passed over since the last parcel.
    fn unwanted(&self, tail: &Tail) -> bool {
        tail.counts().unwanted > self.unwanted.0
    }

    /// Hands the batches over to the pusher. If the pusher has ended, reading ends.
    fn send(&mut self, tail: &Tail) -> Rest {
        self.pipeline.tick();
        self.pipeline.fit(self.learned.limits());
        self.publish(tail);
        self.pulse.beat();
        self.unsaid = 0;
        self.unwanted = (tail.counts().unwanted, Instant::now());
        let mut resume = tail.resume();
        resume.held = self.pipeline.held();
        let parcel = Parcel { batches: self.batches.seal(), resume };
        // Loki decides how long this takes.
        match self.pulse.rest(|| self.sender.blocking_send(parcel).map_err(drop)) {
            Ok(()) => Rest::Read,
            Err(()) => Rest::End,
        }
    }

    /// Tells /metrics what was counted.
    fn publish(&mut self, tail: &Tail) {
        let journal = tail.counts();
        if let Some(more) = self.lost.look(journal.missing, Instant::now()) {
            log::error!(
                "{more} entries are missing in the numbers of the journal: they were deleted before loki `{}` got them, or \
                 stand in files that cannot be read; journald keeps more with SystemMaxUse= in journald.conf(5)",
                self.destination.name
            );
        }
        let (counts, streams) = (self.pipeline.counts(), self.pipeline.streams());
        self.account.files(tail.files());
        self.account.publish(&counts, &journal, self.lost.told, streams);
    }
}

impl Follower for Reading {
    type Error = WatchError;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, WatchError> {
        self.pipeline.append(entry, &mut self.batches);
        self.unsaid += 1;
        self.newest = Some(Realtime(entry.cursor().realtime));
        self.pause = self.pipeline.pause();
        let between = self.pause.is_some() || self.is_full() || self.passes_by();
        Ok(if between { Step::Between } else { Step::Next })
    }

    fn between(&mut self, tail: &mut Tail) -> Result<Rest, WatchError> {
        if self.is_full() || self.passes_by() {
            self.pipeline.release_passed(&mut self.batches);
            if self.send(tail) == Rest::End {
                return Ok(Rest::End);
            }
        }
        Ok(self.pause.take().map_or(Rest::Read, Rest::Pause))
    }

    fn idle(&mut self, tail: &mut Tail) -> Result<Rest, WatchError> {
        self.pipeline.release(&mut self.batches);
        let due = self.batches.opened().map(|opened| opened + self.destination.batch.max_wait);
        // Entries that are dropped or held move the checkpoint, too.
        let unwanted = self.unwanted(tail) && self.unwanted.1.elapsed() >= UNWANTED_EVERY;
        let passed_by = due.is_none() && (self.unsaid > 0 || unwanted);
        if passed_by || due.is_some_and(|due| due <= Instant::now()) {
            return Ok(self.send(tail));
        }
        let settled = self.lost.due(tail.counts().missing);
        if settled.is_some_and(|settled| settled <= Instant::now()) {
            self.publish(tail);
            return Ok(Rest::Read);
        }
        let look = self.pipeline.holds().then(|| Instant::now() + HELD_EVERY);
        Ok(Rest::Wait(due.into_iter().chain(look).chain(settled).min()))
    }

    fn waits(&mut self, begins: bool) {
        self.account.reader(if begins { Reader::Waits(self.newest) } else { Reader::Reads });
    }
}

/// Reads the entries again that stages held when the checkpoint was written. They were not sent then, although entries
/// after them may have been.
pub(crate) fn take_held(
    scope: &Scope,
    keys: Keys,
    held: &[Cursor],
    pipeline: &mut Pipeline,
    batches: &mut Batches,
) -> Result<(), AgentError> {
    let Some(oldest) = held.iter().map(|cursor| cursor.realtime).min() else { return Ok(()) };
    let mut tail = Tail::open(scope, keys, Start::Realtime(oldest), Waker::new()?)?;
    // These parts of a cursor stay the same when journald moves an entry from the runtime journal and numbers it anew.
    let key = |cursor: &Cursor| (cursor.realtime, cursor.monotonic, cursor.xor_hash);
    let mut left: HashMap<_, Vec<Cursor>> = HashMap::new();
    held.iter().for_each(|cursor| left.entry(key(cursor)).or_default().push(*cursor));
    let mut missing = held.len();
    while missing > 0
        && let Some(entry) = tail.next_entry()
    {
        let alike = left.get_mut(&key(entry.cursor()));
        // There may be several equal entries of one moment. Each has its own cursor in the list.
        let found = alike.and_then(|alike| {
            let at = alike.iter().position(|cursor| cursor.same_entry(entry.cursor()))?;
            Some(alike.swap_remove(at))
        });
        if found.is_some() {
            pipeline.append(&entry, batches);
            missing -= 1;
        }
    }
    if missing > 0 {
        log::warn!(
            "{missing} entries that were held to be joined are no longer in the journal: they are lost"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_for_a_while_is_lost() {
        let start = Instant::now();
        let mut lost = Lost::new(start);
        for (ms, missing, more, due) in [
            (0, 0, None, None),
            (10, 3, None, Some(1000)),
            // Nothing of it was missing the whole second.
            (1000, 3, None, Some(2000)),
            (1500, 1, None, Some(2000)),
            (2000, 1, Some(1), None),
            (2100, 5, None, Some(3000)),
            (3000, 5, None, Some(4000)),
            (4000, 5, Some(4), None),
        ] {
            let at = |ms| start + Duration::from_millis(ms);
            assert_eq!(lost.look(missing, at(ms)), more, "{ms} ms");
            assert_eq!(lost.due(missing), due.map(at), "{ms} ms");
        }
        assert_eq!(lost.told, 5);
    }
}
