//! The agent: the only place that starts threads and tasks, and stops them.
//!
//! Each destination has a thread that reads the journal and fills batches, and a task that pushes them.
//! Between the two stands a channel of [`QUEUE`] batches: when Loki is away the channel is full, the thread
//! stands still, and memory stays flat; the journal itself is the queue. Everything that waits on the
//! network is on one thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::batch::Batches;
use crate::config::{self, Config, Destination};
use crate::http;
use crate::journal::{Cursor, Keys, OpenError, Resume, Start, Tail, Waker};
use crate::loki::checkpoint::{Checkpoint, CheckpointError};
use crate::loki::health::{Health, Readiness};
use crate::loki::learned::Learned;
use crate::loki::push::{Parcel, PushError, Pusher, Tally, without_query};
use crate::metrics::{Family, Kind, Registry, SeriesLabels};
use crate::pipeline::{Counts, Pipeline};
use crate::stages::Setup;

/// Sealed batches between reader and pusher (count): one is on its way while the next is being filled.
const QUEUE: usize = 2;
/// Longest time that pushing goes on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// When so many entries in a row are dropped, the checkpoint moves although there is nothing to send (count).
const PASSED_BY_MAX: u64 = 50_000;
/// While stages hold lines and the journal is quiet, whether their time is over is looked at this often.
pub(crate) const HELD_EVERY: Duration = Duration::from_millis(500);

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The journal cannot be read.
    #[error("{0}")]
    Journal(#[from] OpenError),
    /// State cannot be kept.
    #[error(
        "cannot keep state in {folder}: {reason}; the folder must exist and be writable for this user \
             (a unit gets one with StateDirectory=journal-ship)"
    )]
    State {
        /// `state_directory`
        folder: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A newer program has been here.
    #[error("{0}")]
    Newer(CheckpointError),
    /// Another agent uses the same state.
    #[error("another journal-ship runs with the state in {0}; each needs a state_directory of its own")]
    Locked(PathBuf),
    /// A destination cannot be spoken to.
    #[error("{0}")]
    Push(#[from] PushError),
    /// The system refused a thread, a signal handler or a descriptor.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// The port for /metrics cannot be had.
    #[error("cannot listen on {address} (http.listen): {reason}; choose another port, or `null` for none")]
    Listen {
        /// `http.listen`
        address: std::net::SocketAddr,
        /// The reason.
        reason: std::io::Error,
    },
    /// A reader ended that should not have.
    #[error("reading for loki `{name}` failed: {reason}")]
    Reader {
        /// The destination.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// What was done, for the log at the end and for /metrics.
#[derive(Debug)]
struct Totals {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    metrics: Metrics,
}

/// The agent's own metrics. Each has the destination as label.
#[derive(Debug, Clone)]
struct Metrics {
    acknowledged: Arc<Family>,
    refused: Arc<Family>,
    requests: Arc<Family>,
    bound: Arc<Family>,
    dropped: Arc<Family>,
    failed: Arc<Family>,
    labels: Arc<Family>,
    damaged: Arc<Family>,
    streams: Arc<Family>,
}

impl Metrics {
    fn new(registry: &Registry) -> Metrics {
        let counter = |name: &str, help: &str| registry.family(name, help, Kind::Counter, None);
        Metrics {
            acknowledged: counter("journalship_entries_acknowledged_total", "Entries that Loki has stored."),
            refused: counter(
                "journalship_entries_refused_total",
                "Entries that Loki has refused for good, by reason.",
            ),
            requests: counter(
                "journalship_push_requests_total",
                "Requests to Loki, by the status of the answer; none: there was no answer.",
            ),
            bound: registry.family(
                "journalship_push_rate_bound_bytes",
                "Bytes a second that pushing keeps to because Loki limits the rate; 0: no bound.",
                Kind::Gauge,
                None,
            ),
            dropped: counter(
                "journalship_entries_dropped_total",
                "Entries that the configuration keeps from being sent, by reason.",
            ),
            failed: counter(
                "journalship_stage_failures_total",
                "Entries that a stage could not work on; they were sent.",
            ),
            labels: counter(
                "journalship_label_changes_total",
                "What was done to labels so that Loki takes them, by kind.",
            ),
            damaged: counter(
                "journalship_entries_damaged_total",
                "Entries of the journal that could not be read.",
            ),
            streams: registry.family(
                "journalship_streams",
                "Streams that had entries lately.",
                Kind::Gauge,
                None,
            ),
        }
    }

    /// Publishes what a pipeline has counted.
    fn publish(&self, destination: &str, counts: &Counts, damaged: u64, streams: usize) {
        let labels = |name: &str, value: &str| {
            vec![("destination".to_owned(), destination.to_owned()), (name.to_owned(), value.to_owned())]
        };
        let only = || vec![("destination".to_owned(), destination.to_owned())];
        for (rule, count) in counts.relabelled.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.dropped.set(labels("reason", &format!("relabel_configs[{rule}]")), 0, *count as f64);
        }
        for (reason, count) in &counts.stages {
            self.dropped.set(labels("reason", reason), 0, *count as f64);
        }
        for (rule, count) in counts.retention.iter().enumerate() {
            let rule = match rule + 1 == counts.retention.len() {
                true => "retention_default".to_owned(),
                false => format!("retention_rule_{}", rule + 1),
            };
            for (what, n) in [("drop", count.dropped), ("sample", count.sampled), ("expired", count.expired)]
            {
                if n > 0 {
                    self.dropped.set(labels("reason", &format!("{rule}_{what}")), 0, n as f64);
                }
            }
        }
        for (stage, count) in &counts.failed {
            self.failed.set(labels("stage", stage), 0, *count as f64);
        }
        for (kind, count) in counts.labels.kinds().into_iter().filter(|(_, count)| *count > 0) {
            self.labels.set(labels("kind", kind), 0, count as f64);
        }
        self.damaged.set(only(), 0, damaged as f64);
        self.streams.set(only(), 0, streams as f64);
    }
}

/// Tells all readers to stop, wherever they are.
#[derive(Clone)]
struct Stop {
    flag: Arc<AtomicBool>,
    wakers: Vec<Waker>,
}

impl Stop {
    fn now(&self) {
        self.flag.store(true, Relaxed);
        self.wakers.iter().for_each(Waker::wake);
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or when reading fails for good; each says what to do.
pub fn run(config: &Config) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run_until_signal(config));
    // A look-up of a name cannot be called off, and may take much longer than a stop should.
    runtime.shutdown_background();
    result
}

async fn run_until_signal(config: &Config) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _lock = lock_state(&config.state_directory)?;

    let setup = Setup::default();
    let listener = match config.listen {
        Some(address) => {
            let bound = http::bind(address).await;
            Some(bound.map_err(|reason| AgentError::Listen { address, reason })?)
        }
        None => None,
    };
    let totals = Arc::new(Totals {
        acknowledged: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        metrics: Metrics::new(&setup.metrics),
    });
    let readiness = Arc::new(Readiness::default());
    let mut stop = Stop { flag: Arc::default(), wakers: Vec::new() };
    let mut readers = Vec::new();
    let (mut pushers, mut savers) = (JoinSet::new(), JoinSet::new());
    let mut starting = Vec::new();
    // Everything is opened before anything runs: a start either succeeds whole or says why not.
    for destination in &config.loki {
        let checkpoint = Checkpoint::new(&config.state_directory, &destination.name);
        let resume = starting_point(&checkpoint, &config.journal)?;
        let waker = Waker::new()?;
        // Entries are counted by the stage `metrics` once, however many destinations they go to.
        let counted = if starting.is_empty() { setup.clone() } else { Setup::default() };
        let (mut pipeline, keys) = Pipeline::new(config, Some(destination), &counted);
        let paths = &config.journal.paths;
        let tail = Tail::open(paths, keys.clone(), Start::Resume(Box::new(resume.clone())), waker.clone())?;
        let mut batches = Batches::default();
        take_held(paths, keys, &resume.held, &mut pipeline, &mut batches)?;
        if tail.is_empty() {
            log::warn!("there is no journal file yet in any of journal.paths; waiting for one");
        }
        stop.wakers.push(waker);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (destination, stop) = (destination.clone(), stop.flag.clone());
        let learned = Arc::new(Learned::default());
        let health = Health::new(&destination.name, &destination.url, readiness.clone());
        let counted = Counted { name: destination.name.clone(), totals: totals.clone() };
        let pusher = Pusher::new(&destination, learned.clone(), health, Box::new(counted))?;
        let metrics = totals.metrics.clone();
        let reading =
            Reading { destination, tail, pipeline, batches, stop, sender, metrics, learned, unsaid: 0 };
        starting.push((reading, receiver, checkpoint, resume, pusher));
    }
    for (reading, receiver, checkpoint, resume, pusher) in starting {
        let destination = &reading.destination;
        let name = destination.name.clone();
        log::info!(
            "shipping to loki `{name}` ({}) {}",
            without_query(&destination.url),
            resume.cursor.map_or("from the start of the backfill".into(), |c| format!("after {c}"))
        );
        let (acknowledged, latest) = watch::channel(Resume::default());
        savers.spawn(save(checkpoint, latest));
        pushers.spawn(pusher.run(receiver, acknowledged));
        readers.push((name, reading.start()?));
    }

    let server = listener
        .map(|listener| tokio::spawn(http::serve(listener, setup.metrics.clone(), readiness.clone())));
    // A pusher ends only when its reader has: on the order to stop, or because reading failed.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = pushers.join_next() => {}
    }
    stop.now();
    let drained = tokio::time::timeout(DRAIN, async { while pushers.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        log::warn!(
            "not all entries were acknowledged within {} s of the order to stop; \
             the journal keeps them, and the next start sends them",
            DRAIN.as_secs()
        );
        // Dropping the pushers closes the channels, and that ends readers that wait for room.
        pushers.shutdown().await;
    }
    // Each ends with its pusher, once the last acknowledgement is on disk.
    while savers.join_next().await.is_some() {}
    let result = join(readers);
    if let Some(server) = server {
        server.abort();
    }
    log::info!(
        "stopped; {} entries acknowledged, {} refused",
        totals.acknowledged.load(Relaxed),
        totals.refused.load(Relaxed)
    );
    result
}

/// Waits for the reading threads; the first failure is the agent's.
fn join(readers: Vec<(String, JoinHandle<std::io::Result<()>>)>) -> Result<(), AgentError> {
    let mut result = Ok(());
    for (name, reader) in readers {
        let reason = match reader.join() {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the reading thread panicked; this is a bug".into(),
        };
        result = result.and(Err(AgentError::Reader { name, reason }));
    }
    result
}

/// Makes the state folder if need be and holds it against a second agent.
fn lock_state(folder: &std::path::Path) -> Result<std::fs::File, AgentError> {
    let state = |e: std::io::Error| AgentError::State { folder: folder.into(), reason: e.to_string() };
    std::fs::create_dir_all(folder).map_err(state)?;
    let lock = std::fs::File::create(folder.join("lock")).map_err(state)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(AgentError::Locked(folder.into())),
        Err(std::fs::TryLockError::Error(e)) => Err(state(e)),
    }
}

/// Where reading begins. The first start is written down at once, so that a crash before the first
/// acknowledgement does not move it.
fn starting_point(checkpoint: &Checkpoint, journal: &config::Journal) -> Result<Resume, AgentError> {
    let backfill = journal.backfill;
    let state = |e: CheckpointError| AgentError::State {
        folder: checkpoint.path().parent().unwrap_or(checkpoint.path()).into(),
        reason: e.to_string(),
    };
    match checkpoint.load() {
        Ok(Some(resume)) => {
            // Saving now tells whether it can be saved later.
            checkpoint.save(&resume).map_err(state)?;
            return Ok(resume);
        }
        Ok(None) => {}
        Err(error @ CheckpointError::Io { .. }) => return Err(state(error)),
        // Beginning anew would send much again, or skip what was not sent yet; nothing is broken.
        Err(error @ CheckpointError::Newer { .. }) => return Err(AgentError::Newer(error)),
        Err(error @ CheckpointError::Damaged { .. }) => {
            let aside = checkpoint.set_aside().map_err(state)?;
            log::error!(
                "{error}; kept as {}, shipping begins anew {} back (journal.backfill)",
                aside.display(),
                config::units::format_duration(backfill)
            );
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let floor = u64::try_from(now.saturating_sub(backfill).as_micros()).unwrap_or(0);
    let resume = match journal.start_cursor {
        Some(_) => Resume { after: journal.start_cursor, ..Resume::default() },
        None => Resume { floor, ..Resume::default() },
    };
    checkpoint.save(&resume).map_err(state)?;
    Ok(resume)
}

/// What the thread that reads for one destination works with.
struct Reading {
    destination: Destination,
    tail: Tail,
    pipeline: Pipeline,
    batches: Batches,
    stop: Arc<AtomicBool>,
    sender: mpsc::Sender<Parcel>,
    metrics: Metrics,
    learned: Arc<Learned>,
    /// Entries read since the last message.
    unsaid: u64,
}

impl Reading {
    /// Starts the thread.
    fn start(mut self) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
        thread::Builder::new().name(format!("tail {}", self.destination.name)).spawn(move || self.run())
    }

    fn run(&mut self) -> std::io::Result<()> {
        let config::Batch { max_bytes, max_wait } = self.destination.batch;
        while !self.stop.load(Relaxed) {
            if let Some(entry) = self.tail.next_entry() {
                self.pipeline.append(&entry, &mut self.batches);
                self.unsaid += 1;
                if let Some(until) = self.pipeline.pause() {
                    self.pause(until)?;
                }
                let passed_by = self.batches.is_empty() && self.unsaid >= PASSED_BY_MAX;
                if self.batches.size() < max_bytes.min(self.learned.batch()) && !passed_by {
                    continue;
                }
                self.pipeline.release_passed(&mut self.batches);
                if !self.send() {
                    return Ok(());
                }
                // While there is a backlog, files that come and go are noticed once a batch.
                self.tail.poll()?;
                continue;
            }
            self.pipeline.release(&mut self.batches);
            let due = self.batches.opened().map(|opened| opened + max_wait);
            // What is dropped or held moves the place in the journal, too.
            let passed_by = due.is_none() && self.unsaid > 0;
            if passed_by || due.is_some_and(|due| due <= Instant::now()) {
                if !self.send() {
                    return Ok(());
                }
                continue;
            }
            let look = self.pipeline.holds().then(|| Instant::now() + HELD_EVERY);
            self.tail.wait(due.into_iter().chain(look).min())?;
        }
        if self.unsaid > 0 || !self.batches.is_empty() {
            self.send();
        }
        let damaged = self.tail.counts().damaged;
        if damaged > 0 {
            log::warn!("{damaged} damaged entries were skipped");
        }
        Ok(())
    }

    /// Hands the batches over; false when nobody takes them any more.
    fn send(&mut self) -> bool {
        self.pipeline.tick();
        self.pipeline.fit(self.learned.limits());
        self.publish();
        self.unsaid = 0;
        let mut resume = self.tail.resume();
        resume.held = self.pipeline.held();
        self.sender.blocking_send(Parcel { batches: self.batches.seal(), resume }).is_ok()
    }

    /// Tells /metrics what was counted.
    fn publish(&self) {
        let damaged = self.tail.counts().damaged;
        let streams = self.pipeline.streams();
        self.metrics.publish(&self.destination.name, &self.pipeline.counts(), damaged, streams);
    }

    /// Reads nothing until then, unless the agent is to stop.
    fn pause(&mut self, until: Instant) -> std::io::Result<()> {
        while Instant::now() < until && !self.stop.load(Relaxed) {
            self.tail.wait(Some(until))?;
        }
        Ok(())
    }
}

/// Takes entries that a stage held when the checkpoint was written through the pipeline again: everything
/// behind them may have been sent already, they were not.
fn take_held(
    paths: &[PathBuf],
    keys: Keys,
    held: &[Cursor],
    pipeline: &mut Pipeline,
    batches: &mut Batches,
) -> Result<(), AgentError> {
    let Some(oldest) = held.iter().map(|cursor| cursor.realtime).min() else { return Ok(()) };
    let mut tail = Tail::open(paths, keys, Start::Realtime(oldest), Waker::new()?)?;
    let mut missing = held.len();
    while missing > 0
        && let Some(entry) = tail.next_entry()
    {
        if held.contains(entry.cursor()) {
            pipeline.append(&entry, batches);
            missing -= 1;
        }
    }
    if missing > 0 {
        log::warn!("{missing} lines that a multiline stage held are no longer in the journal: they are lost");
    }
    Ok(())
}

/// Counts what became of the entries of a destination.
struct Counted {
    name: String,
    totals: Arc<Totals>,
}

impl Counted {
    fn labels(&self, more: Option<(&str, String)>) -> SeriesLabels {
        let more = more.map(|(name, value)| (name.to_owned(), value));
        [("destination".to_owned(), self.name.clone())].into_iter().chain(more).collect()
    }
}

impl Tally for Counted {
    fn acknowledged(&self, entries: u64) {
        self.totals.acknowledged.fetch_add(entries, Relaxed);
        self.totals.metrics.acknowledged.add(self.labels(None), 0, entries as f64);
    }

    fn refused(&self, reason: &'static str, entries: u64) {
        self.totals.refused.fetch_add(entries, Relaxed);
        self.totals.metrics.refused.add(self.labels(Some(("reason", reason.to_owned()))), 0, entries as f64);
    }

    fn answered(&self, status: Option<u16>) {
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        self.totals.metrics.requests.add(self.labels(Some(("status", status))), 0, 1.0);
    }

    fn bounded(&self, rate: Option<f64>) {
        self.totals.metrics.bound.set(self.labels(None), 0, rate.unwrap_or(0.0));
    }
}

/// Keeps the checkpoint file up with the acknowledgements. Those that come while one is being written
/// are written together, so a slow disk does not slow the pushing.
async fn save(checkpoint: Checkpoint, mut latest: watch::Receiver<Resume>) {
    let mut failing = false;
    while latest.changed().await.is_ok() {
        let resume = latest.borrow_and_update().clone();
        let file = checkpoint.clone();
        let result = tokio::task::spawn_blocking(move || file.save(&resume)).await;
        match result {
            Ok(Ok(())) => failing = false,
            Ok(Err(error)) if !failing => {
                failing = true;
                log::error!(
                    "the checkpoint cannot be saved: {error}; shipping goes on, \
                     but a restart now would send entries again"
                );
            }
            _ => {}
        }
    }
}
