//! Sending again what is missing, and nothing else.
//!
//! The journal is read once more, and the entries that are missing go the usual way: batches, the pusher, its limits and its
//! pauses. Loki refuses an entry that is more than an hour older than the newest of its stream. So what is older goes to a stream
//! beside it, which has the same labels and [`REPAIRED`]. A query for the stream finds both.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::compare::Difference;
use super::expected::{self, Clock, Source, StreamName};
use super::{Interval, Report, Run, VerifyError, Work};
use crate::client::without_query;
use crate::loki::batch::{Batches, Sealed};
use crate::loki::encode::Metadata;
use crate::loki::learned::Learned;
use crate::loki::push::{Parcel, Pusher, Tally};
use crate::loki::{Destination, is_barred};
use crate::observe::health::{Health, LOKI, Readiness};
use crate::pipeline::Take;
use crate::shape::labels::Stream;
use crate::shape::limits::BEHIND_MAX;
use journald_reader::Resume;
use logql::label_set::{LabelSet, parse};

/// The label of streams beside others, for entries that Loki no longer takes in their own; its value is the day of the entries
/// (UTC). So the same entries always go to the same stream, and within a run no entry is far behind another.
pub const REPAIRED: &str = "repaired";
/// Entries that are so much older than now are too far behind for their own stream (nanoseconds), or soon will be.
const BEHIND: i64 = BEHIND_MAX as i64 / 12 * 11;
/// Sealed batches that wait for the pusher (count).
const QUEUE: usize = 2;
/// How often the thread that pushes looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of what was sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Entries that were sent (count).
    pub sent: u64,
    /// Entries that Loki has acknowledged (count).
    pub acknowledged: u64,
    /// Entries that Loki has refused, by reason (count).
    pub refused: BTreeMap<&'static str, u64>,
}

/// Counts what becomes of entries.
#[derive(Clone, Default)]
struct Counted {
    mended: Arc<Mutex<Mended>>,
    /// The last answer says that the address takes nothing, or not with these credentials.
    barred: Arc<AtomicBool>,
}

impl Counted {
    fn change(&self, change: impl FnOnce(&mut Mended)) {
        change(&mut self.mended.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn get(&self) -> Mended {
        self.mended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nothing was taken, and nothing will be before a person mends something. The agent waits for that; who repairs by
    /// hand wants to know.
    fn is_vain(&self) -> bool {
        self.barred.load(Relaxed) && self.get() == Mended::default()
    }
}

impl Tally for Counted {
    fn acknowledged(&self, entries: u64) {
        self.change(|mended| mended.acknowledged += entries);
    }

    fn refused(&self, reason: &'static str, entries: u64) {
        self.change(|mended| *mended.refused.entry(reason).or_default() += entries);
    }

    fn answered(&self, _request: &Sealed, status: Option<u16>, _took: Duration) {
        self.barred.store(status.is_some_and(is_barred), Relaxed);
    }

    fn folded(&self, _entries: u64) {}

    fn bounded(&self, _rate: Option<f64>) {}
}

/// Sends what a report names as missing, as far as Loki may still take it.
///
/// # Errors
/// The journal cannot be read, nothing can be sent, or the time is over. What was sent until then may be stored.
pub fn repair(source: &Source<'_>, report: &Report, run: &mut Run<'_>) -> Result<Mended, VerifyError> {
    let wanted = report.differences.iter().filter(|d| d.missing > 0 && d.known.is_none());
    let mut holes: HashMap<&StreamName, Vec<&Difference>> = HashMap::new();
    for difference in wanted {
        if let Some(name) = report.stream(difference) {
            holes.entry(name).or_default().push(difference);
        }
    }
    let spans = holes.values().flatten().map(|difference| difference.within);
    let Some(within) = spans.reduce(Interval::join) else { return Ok(Mended::default()) };
    holes.values_mut().for_each(|holes| holes.sort_unstable_by_key(|hole| hole.within));

    let counted = Counted::default();
    let learned = Arc::new(Learned::default());
    let (sender, parcels) = mpsc::channel(QUEUE);
    let failed = |error: &dyn std::error::Error| VerifyError::Repair(error.to_string());
    let readiness = Arc::new(Readiness::default());
    let Destination { name, url, .. } = source.destination;
    let health = Health::new(&LOKI, name, url, readiness.clone());
    let class = source.sections.retention.and_then(|retention| retention.label.as_deref());
    let pusher = Pusher::new(source.destination, class, learned.clone(), health, Box::new(counted.clone()))
        .map_err(|error| failed(&error))?;
    let given_up = Arc::new(AtomicBool::new(false));
    let ended = {
        let (counted, given_up, deadline) = (counted.clone(), given_up.clone(), run.deadline);
        move || {
            if counted.is_vain() {
                let trouble = readiness.report().servers.into_iter().find_map(|server| server.trouble);
                return Some(Unsent::Vain(trouble.map(|(_, words)| words).unwrap_or_default()));
            }
            (Instant::now() >= deadline || given_up.load(Relaxed)).then_some(Unsent::GivenUp)
        }
    };
    let pushing = push(pusher, parcels, ended).map_err(|error| failed(&error))?;

    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let mut mending = Mending {
        report,
        holes,
        batches: Batches::new(source.sections.labels.max_streams),
        max_bytes: source.destination.batch.max_bytes,
        learned,
        sender,
        behind: now.saturating_sub(BEHIND),
        beside: HashMap::new(),
        sent: 0,
        ended: false,
    };
    let read = expected::each(
        source,
        within,
        Clock::Wall,
        &mut mending,
        |mending| mending.ended,
        run.stop,
        &mut |progress| (run.progress)(Work::Reading(*progress)),
    );
    mending.seal();
    let Mending { sent, sender, .. } = mending;
    drop(sender);
    while !pushing.is_finished() {
        given_up.fetch_or(run.stop.load(Relaxed) || read.is_err(), Relaxed);
        (run.progress)(Work::Sending(counted.get().acknowledged));
        thread::sleep(LOOK_EVERY);
    }
    let pushed = pushing.join().unwrap_or(Err(Unsent::GivenUp));
    read?;
    match pushed {
        Ok(()) => Ok(Mended { sent, ..counted.get() }),
        Err(Unsent::Vain(words)) => {
            Err(VerifyError::Repair(format!("{} takes no entries: {words}", without_query(url))))
        }
        Err(Unsent::GivenUp) if run.stop.load(Relaxed) => Err(VerifyError::Stopped),
        Err(Unsent::GivenUp) => Err(VerifyError::Deadline),
    }
}

/// Why not all was sent.
enum Unsent {
    /// The time is over, or a person has stopped it.
    GivenUp,
    /// Nothing will be taken before a person mends something: what the server says.
    Vain(String),
}

/// Pushes in a thread of its own until all of it was answered for, or `ended` says why not.
fn push(
    pusher: Pusher,
    parcels: mpsc::Receiver<Parcel>,
    ended: impl Fn() -> Option<Unsent> + Send + 'static,
) -> std::io::Result<JoinHandle<Result<(), Unsent>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("repair".to_owned()).spawn(move || {
        runtime.block_on(async {
            let over = async {
                loop {
                    if let Some(end) = ended() {
                        return end;
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            let (acknowledged, _) = watch::channel(Resume::default());
            tokio::select! {
                () = pusher.run(parcels, acknowledged) => Ok(()),
                end = over => Err(end),
            }
        })
    })
}

/// Picks the entries that are missing.
struct Mending<'r> {
    report: &'r Report,
    /// What is missing of each stream, in the order of time.
    holes: HashMap<&'r StreamName, Vec<&'r Difference>>,
    batches: Batches,
    max_bytes: usize,
    learned: Arc<Learned>,
    sender: mpsc::Sender<Parcel>,
    /// Entries before this go to a stream beside their own (nanoseconds since 1970).
    behind: i64,
    /// The streams beside others, by labels.
    beside: HashMap<String, Stream>,
    sent: u64,
    /// Nobody pushes any more.
    ended: bool,
}

impl Take for Mending<'_> {
    fn push(&mut self, tenant: Option<&str>, stream: &Stream, time: u64, line: &str, metadata: &Metadata) {
        let name = StreamName { tenant: tenant.map(Arc::from), labels: stream.labels.clone() };
        let Some(holes) = self.holes.get(&name) else { return };
        let at = i64::try_from(time).unwrap_or(i64::MAX);
        let hash = self.report.names.hash(line);
        // Holes of a stream do not overlap.
        let next = holes.partition_point(|hole| hole.within.until < at);
        if !holes.get(next).is_some_and(|hole| hole.lacks(at, hash)) {
            return;
        }
        let stream = if at < self.behind { self.beside(&stream.labels, at) } else { stream.clone() };
        self.batches.push(tenant, &stream, time, line, metadata);
        self.sent += 1;
        if self.batches.are_full(self.max_bytes.min(self.learned.batch())) {
            self.seal();
        }
    }
}

impl Mending<'_> {
    /// The stream beside another, for entries of this time.
    fn beside(&mut self, labels: &str, time: i64) -> Stream {
        let day =
            Timestamp::from_nanosecond(time.into()).unwrap_or_default().strftime("%Y-%m-%d").to_string();
        let mut set = LabelSet::default();
        parse(labels).iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
        set.insert(REPAIRED, day.as_bytes());
        let labels = set.to_string();
        // The pipeline counts its streams from 0 up, and these from the end down.
        let id = u32::MAX - u32::try_from(self.beside.len()).unwrap_or(u32::MAX);
        self.beside
            .entry(labels)
            .or_insert_with_key(|labels| Stream { id, labels: labels.as_str().into() })
            .clone()
    }

    fn seal(&mut self) {
        if !self.batches.is_empty() {
            let parcel = Parcel { batches: self.batches.seal(), resume: Resume::default() };
            self.ended |= self.sender.blocking_send(parcel).is_err();
        }
    }
}
