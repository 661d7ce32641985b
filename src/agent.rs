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

use crate::batch::{Batch, Sealed};
use crate::config::{self, Config, Destination};
use crate::journal::{OpenError, Resume, Start, Tail, Waker};
use crate::loki::checkpoint::{Checkpoint, CheckpointError};
use crate::loki::push::{Client, ClientError, Outcome};
use crate::pipeline::Pipeline;

/// Sealed batches between reader and pusher (count): one is on its way while the next is being filled.
const QUEUE: usize = 2;
/// Longest time that pushing goes on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// What Loki refuses for good is logged at most this often.
const REFUSED_EVERY: Duration = Duration::from_secs(60);

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
    Client(#[from] ClientError),
    /// The system refused a thread, a signal handler or a descriptor.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// A reader ended that should not have.
    #[error("reading for loki `{name}` failed: {reason}")]
    Reader {
        /// The destination.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// All that crosses from reader to pusher.
struct Message {
    batch: Sealed,
    /// Where reading goes on once this batch is acknowledged.
    resume: Resume,
}

/// What was done, for the log at the end.
#[derive(Debug, Default)]
struct Totals {
    acknowledged: AtomicU64,
    refused: AtomicU64,
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

    let totals = Arc::new(Totals::default());
    let mut stop = Stop { flag: Arc::default(), wakers: Vec::new() };
    let mut readers = Vec::new();
    let (mut pushers, mut savers) = (JoinSet::new(), JoinSet::new());
    let mut starting = Vec::new();
    // Everything is opened before anything runs: a start either succeeds whole or says why not.
    for destination in &config.loki {
        let checkpoint = Checkpoint::new(&config.state_directory, &destination.name);
        let resume = starting_point(&checkpoint, config.journal.backfill)?;
        let waker = Waker::new()?;
        let (pipeline, keys) = Pipeline::new(config, Some(destination));
        let tail = Tail::open(&config.journal.paths, keys, Start::Resume(resume.clone()), waker.clone())?;
        if tail.is_empty() {
            log::warn!("there is no journal file yet in any of journal.paths; waiting for one");
        }
        stop.wakers.push(waker);
        starting.push((destination.clone(), tail, pipeline, checkpoint, resume, Client::new(destination)?));
    }
    for (destination, tail, pipeline, checkpoint, resume, client) in starting {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let name = destination.name.clone();
        log::info!(
            "shipping to loki `{name}` ({}) {}",
            destination.url,
            resume.cursor.map_or("from the start of the backfill".into(), |c| format!("after {c}"))
        );
        let (acknowledged, latest) = watch::channel(Resume::default());
        savers.spawn(save(checkpoint, latest));
        pushers.spawn(push(client, receiver, acknowledged, name.clone(), totals.clone()));
        readers.push((name, read(destination, tail, pipeline, stop.flag.clone(), sender)?));
    }

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
    log::info!(
        "stopped; {} entries acknowledged, {} in batches with refused ones",
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
fn starting_point(checkpoint: &Checkpoint, backfill: Duration) -> Result<Resume, AgentError> {
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
                "{error}; kept as {}, shipping begins anew {} s back (journal.backfill)",
                aside.display(),
                backfill.as_secs()
            );
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let floor = u64::try_from(now.saturating_sub(backfill).as_micros()).unwrap_or(0);
    let resume = Resume { floor, ..Resume::default() };
    checkpoint.save(&resume).map_err(state)?;
    Ok(resume)
}

/// Starts the thread that reads the journal for one destination.
fn read(
    destination: Destination,
    mut tail: Tail,
    mut pipeline: Pipeline,
    stop: Arc<AtomicBool>,
    sender: mpsc::Sender<Message>,
) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
    thread::Builder::new().name(format!("tail {}", destination.name)).spawn(move || {
        let config::Batch { max_bytes, max_wait } = destination.batch;
        let mut batch = Batch::default();
        let send = |batch: &mut Batch, tail: &Tail| {
            let message = Message { batch: batch.seal(), resume: tail.resume() };
            sender.blocking_send(message).is_ok()
        };
        while !stop.load(Relaxed) {
            if let Some(entry) = tail.next_entry() {
                pipeline.append(&entry, &mut batch);
                if batch.size() < max_bytes {
                    continue;
                }
                if !send(&mut batch, &tail) {
                    return Ok(());
                }
                // While there is a backlog, files that come and go are noticed once a batch.
                tail.poll()?;
                continue;
            }
            let due = batch.opened().map(|opened| opened + max_wait);
            if due.is_some_and(|due| due <= Instant::now()) {
                if !send(&mut batch, &tail) {
                    return Ok(());
                }
                continue;
            }
            tail.wait(due)?;
        }
        if !batch.is_empty() {
            send(&mut batch, &tail);
        }
        let counts = tail.counts();
        if counts.damaged > 0 {
            log::warn!("{} damaged entries were skipped", counts.damaged);
        }
        Ok(())
    })
}

/// Pushes batches until the reader has ended.
async fn push(
    mut client: Client,
    mut receiver: mpsc::Receiver<Message>,
    acknowledged: watch::Sender<Resume>,
    name: String,
    totals: Arc<Totals>,
) {
    let mut refused = Refused::default();
    while let Some(Message { batch, resume }) = receiver.recv().await {
        match client.deliver(&batch).await {
            Outcome::Acknowledged => totals.acknowledged.fetch_add(batch.entries, Relaxed),
            Outcome::Refused(words) => {
                refused.tell(&name, &words, batch.entries);
                totals.refused.fetch_add(batch.entries, Relaxed)
            }
        };
        acknowledged.send_replace(resume);
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

/// Tells of refused batches, at most once a minute.
#[derive(Default)]
struct Refused {
    told: Option<Instant>,
    batches: u64,
    entries: u64,
}

impl Refused {
    fn tell(&mut self, name: &str, words: &str, entries: u64) {
        self.batches += 1;
        self.entries += entries;
        if self.told.is_none_or(|told| told.elapsed() >= REFUSED_EVERY) {
            log::error!(
                "loki `{name}` refused entries for good in {} batches of {} entries together; the others of a batch are \
                 stored, unless Loki refused it whole (as with 413): {words}",
                self.batches,
                self.entries
            );
            *self = Refused { told: Some(Instant::now()), ..Refused::default() };
        }
    }
}
