//! A pusher of the library at work, without an agent around it: batches made by hand, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal_ship::config::{Backoff, Destination};
use journal_ship::loki::batch::{Batch, Sealed};
use journal_ship::loki::encode::Metadata;
use journal_ship::loki::learned::Learned;
use journal_ship::loki::push::{Parcel, Pusher, Tally};
use journal_ship::observe::health::{Health, LOKI, Readiness};
use journal_ship::shape::labels::Stream;
use journald_reader::{Cursor, Resume};
use tokio::sync::{mpsc, watch};

use super::agent::PATIENCE;
use super::loki::by_hand::now_ns;

/// What was counted.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Counts {
    pub acknowledged: u64,
    pub refused: BTreeMap<&'static str, u64>,
    pub folded: u64,
    pub statuses: BTreeMap<u16, u64>,
}

#[derive(Clone, Default)]
pub struct Counter(pub Arc<Mutex<Counts>>);

impl Tally for Counter {
    fn acknowledged(&self, entries: u64) {
        self.0.lock().unwrap().acknowledged += entries;
    }
    fn refused(&self, reason: &'static str, entries: u64) {
        *self.0.lock().unwrap().refused.entry(reason).or_default() += entries;
    }
    fn answered(&self, _: &Sealed, status: Option<u16>, _: Duration) {
        *self.0.lock().unwrap().statuses.entry(status.unwrap_or(0)).or_default() += 1;
    }
    fn folded(&self, entries: u64) {
        self.0.lock().unwrap().folded += entries;
    }
    fn bounded(&self, _: Option<f64>) {}
}

/// A pusher at work.
pub struct Pushing {
    pub runtime: tokio::runtime::Runtime,
    pub sender: Option<mpsc::Sender<Parcel>>,
    pub acknowledged: watch::Receiver<Resume>,
    pub task: tokio::task::JoinHandle<()>,
    pub counter: Counter,
    pub learned: Arc<Learned>,
    pub readiness: Arc<Readiness>,
    pub parcels: u64,
}

impl Pushing {
    pub fn start(url: &str) -> Pushing {
        Pushing::to(&destination(url))
    }

    pub fn to(destination: &Destination) -> Pushing {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (learned, readiness, counter) =
            (Arc::<Learned>::default(), Arc::<Readiness>::default(), Counter::default());
        let health = Health::new(&LOKI, "main", &destination.url, readiness.clone());
        let retention = Some("retention");
        let pusher =
            Pusher::new(destination, retention, learned.clone(), health, Box::new(counter.clone())).unwrap();
        let (sender, receiver) = mpsc::channel(2);
        let (done, acknowledged) = watch::channel(Resume::default());
        let task = runtime.spawn(pusher.run(receiver, done));
        Pushing { runtime, sender: Some(sender), acknowledged, task, counter, learned, readiness, parcels: 0 }
    }

    /// Hands a parcel over.
    pub fn send(&mut self, batches: Vec<Sealed>) {
        self.parcels += 1;
        let cursor = Cursor { seqnum: self.parcels, ..Cursor::default() };
        let parcel = Parcel { batches, resume: Resume { cursor: Some(cursor), ..Resume::default() } };
        self.sender.as_ref().unwrap().blocking_send(parcel).unwrap();
    }

    /// The number of the last parcel that is done with.
    pub fn done(&self) -> u64 {
        self.acknowledged.borrow().cursor.map_or(0, |cursor| cursor.seqnum)
    }

    /// Waits until all is done with, and says what was counted.
    pub fn finish(mut self) -> Counts {
        self.sender = None;
        let task = &mut self.task;
        let ended = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, task).await });
        ended.unwrap_or_else(|_| panic!("not delivered: {:?}", self.counter.0.lock().unwrap())).unwrap();
        assert_eq!(self.done(), self.parcels, "the place behind the last parcel is acknowledged");
        self.counter.0.lock().unwrap().clone()
    }
}

/// An entry of a batch: labels, line, metadata.
pub type Given<'a> = (&'a str, String, Vec<(&'a str, String)>);

/// A batch; the entries' times go up in steps of a microsecond from now.
pub fn batch(entries: &[Given<'_>]) -> Sealed {
    static STEP: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    let mut batch = Batch::default();
    let mut ids: Vec<&str> = Vec::new();
    for (labels, line, pairs) in entries {
        let id = ids.iter().position(|known| known == labels).unwrap_or_else(|| {
            ids.push(labels);
            ids.len() - 1
        });
        let mut metadata = Metadata::default();
        pairs.iter().for_each(|(name, value)| metadata.add(name, value));
        let step = STEP.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let time = u64::try_from(now_ns() + step * 1000).unwrap();
        batch.push(
            &Stream { id: u32::try_from(id).unwrap(), labels: (*labels).into() },
            time,
            line,
            &metadata,
        );
    }
    batch.seal()
}

/// Plain entries of two streams.
pub fn plain(count: usize) -> Vec<Given<'static>> {
    let labels = |n: usize| if n.is_multiple_of(3) { r#"{a="1"}"# } else { r#"{b="2"}"# };
    (0..count).map(|n| (labels(n), format!("line {n}"), Vec::new())).collect()
}

/// A destination with short pauses.
pub fn destination(url: &str) -> Destination {
    let mut destination = Destination::new("main", format!("{url}/loki/api/v1/push"));
    destination.backoff = Backoff { min: Duration::from_millis(1), max: Duration::from_millis(20) };
    destination
}
