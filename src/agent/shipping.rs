//! Shipping: all that runs for one configuration, started and stopped as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::AgentError;
use super::metrics::{Counted, Metrics, Totals};
use super::reading::{Lost, Reading, take_held};
use super::saving::save;
use super::watching::Watching;
use crate::alerts::Alertmanager;
use crate::alerts::alertmanager::{Outboxes, Teller, Told};
use crate::alerts::memory::of_alerts;
use crate::client::without_query;
use crate::config::Config;
use crate::journal::Journal;
use crate::journal::follow::WatchError;
use crate::loki::batch::Batches;
use crate::loki::checkpoint::{Checkpoint, CheckpointError};
use crate::loki::learned::Learned;
use crate::loki::push::Pusher;
use crate::observe::health::{Health, LOKI};
use crate::observe::http::Served;
use crate::observe::metrics::Registry;
use crate::os::systemd::{self, Pulses};
use crate::pipeline::Pipeline;
use crate::shape::stages::Setup;
use crate::yaml::units;
use journald_reader::{Keys, OpenError, Resume, Start, Tail, Waker};

/// Sealed batches between reader and pusher (count): one is on its way while the next is being filled.
const QUEUE: usize = 2;
/// Longest time that pushing goes on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);

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

/// The threads and tasks of one configuration.
pub(super) struct Shipping {
    stop: Stop,
    readers: Vec<(String, JoinHandle<Result<(), WatchError>>)>,
    pushers: JoinSet<()>,
    savers: JoinSet<()>,
    tellers: JoinSet<()>,
    /// How the threads get on.
    pub(super) pulses: Pulses,
    /// Ends when the thread of the rules does.
    watched: Option<oneshot::Receiver<()>>,
}

impl Shipping {
    /// Starts it. Everything is opened before anything runs: a start either succeeds whole or says why not.
    pub(super) fn start(
        config: &Config,
        registry: &Arc<Registry>,
        served: &Arc<Served>,
        totals: &Arc<Totals>,
    ) -> Result<Shipping, AgentError> {
        let readiness = &served.readiness;
        let setup = Setup { metrics: registry.clone(), ..Setup::default() };
        let metrics = Metrics::new(registry);
        let mut stop = Stop { flag: Arc::default(), wakers: Vec::new() };
        let mut starting = Vec::new();
        let mut pulses = Pulses::default();
        for destination in &config.loki {
            let checkpoint = Checkpoint::new(&config.state_directory, &destination.name);
            let resume = starting_point(&checkpoint, &config.journal)?;
            let waker = Waker::new()?;
            // Entries are counted by the stage `metrics` once, however many destinations they go to.
            let counted = if starting.is_empty() { setup.clone() } else { Setup::default() };
            let mut keys = Keys::default();
            let mut pipeline = Pipeline::new(config, Some(destination), &counted, &mut keys);
            let scope = &config.journal.scope;
            let tail =
                Tail::open(scope, keys.clone(), Start::Resume(Box::new(resume.clone())), waker.clone())?;
            let mut batches = Batches::new(config.labels.max_streams);
            take_held(scope, keys, &resume.held, &mut pipeline, &mut batches)?;
            if tail.is_empty() {
                let seen = systemd::line(&OpenError::nothing(scope, Vec::new()).to_string());
                log::warn!("there is no journal file yet in any of journal.paths; waiting for one: {seen}");
            }
            stop.wakers.push(waker);
            let (sender, receiver) = mpsc::channel(QUEUE);
            let learned = Arc::new(Learned::default());
            let health = Health::new(&LOKI, &destination.name, &destination.url, readiness.clone());
            let counted =
                Counted { name: destination.name.clone(), totals: totals.clone(), metrics: metrics.clone() };
            let class = config.retention.as_ref().and_then(|retention| retention.label.as_deref());
            let pusher = Pusher::new(destination, class, learned.clone(), health, Box::new(counted))?
                .with_pulse(pulses.add(format!("pushing to loki `{}`", destination.name)));
            let reading = Reading {
                destination: destination.clone(),
                pipeline,
                batches,
                stop: stop.flag.clone(),
                sender,
                metrics: metrics.clone(),
                totals: totals.clone(),
                learned,
                newest: 0,
                unsaid: 0,
                unwanted: (0, Instant::now()),
                lost: Lost::new(Instant::now()),
                pause: None,
                pulse: pulses.add(format!("reading for loki `{}`", destination.name)),
            };
            starting.push((reading, tail, receiver, checkpoint, resume, pusher));
        }
        let waker = Waker::new()?;
        stop.wakers.push(waker.clone());
        let mut outboxes = Outboxes::default();
        let told = Told::new(registry);
        let teller = |server: &Alertmanager| {
            let resend = config.alerts.resend_delay;
            // Room for all alerts that there can be: none waits behind others for ever.
            let outbox = outboxes.add(of_alerts(config.alerts.max_memory));
            let teller = Teller::new(server, outbox, resend, readiness.clone(), told.clone());
            teller.map_err(|reason| AgentError::Alertmanager { url: server.url.clone(), reason })
        };
        let starting_tellers =
            config.alerts.alertmanagers.iter().map(teller).collect::<Result<Vec<_>, _>>()?;
        let watching =
            Watching::open(config, outboxes, registry, served, stop.flag.clone(), waker, &mut pulses)?;

        totals.begin(starting.iter().map(|(reading, _, _, _, resume, _)| {
            (reading.destination.name.clone(), resume.cursor.as_ref().map(|cursor| cursor.realtime))
        }));
        let (mut readers, mut pushers, mut savers) = (Vec::new(), JoinSet::new(), JoinSet::new());
        for (reading, tail, receiver, checkpoint, resume, pusher) in starting {
            let destination = &reading.destination;
            let name = destination.name.clone();
            log::info!(
                "shipping to loki `{name}` ({}) {}",
                without_query(&destination.url),
                resume.cursor.map_or("from the start of the backfill".into(), |c| format!("after {c}"))
            );
            let (acknowledged, latest) = watch::channel(Resume::default());
            savers.spawn(save(name.clone(), checkpoint, latest, metrics.clone(), totals.clone()));
            pushers.spawn(pusher.run(receiver, acknowledged));
            readers.push((format!("loki `{name}`"), reading.start(tail)?));
        }
        let (mut tellers, mut watched) = (JoinSet::new(), None);
        if let Some((watching, tail)) = watching {
            starting_tellers.into_iter().for_each(|teller| _ = tellers.spawn(teller.run()));
            let (ends, ended) = oneshot::channel();
            watched = Some(ended);
            readers.push(("alert rules".to_owned(), watching.start(tail, ends)?));
        }
        Ok(Shipping { stop, readers, pushers, savers, tellers, pulses, watched })
    }

    /// Waits until something ends without having been stopped: a pusher ends only when its reader has.
    pub(super) async fn broken(&mut self) {
        let Shipping { pushers, watched, .. } = self;
        let pusher = async {
            match pushers.is_empty() {
                true => std::future::pending().await,
                false => pushers.join_next().await,
            }
        };
        let watched = async {
            match watched {
                Some(watched) => _ = watched.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { _ = pusher => {}, () = watched => {} }
    }

    /// Stops reading, pushes for a while what was read, and saves how far that came; `at_once` cuts that short.
    pub(super) async fn stop(mut self, at_once: impl Future<Output = ()>) -> Result<(), AgentError> {
        self.stop.now();
        let (pushers, tellers) = (&mut self.pushers, &mut self.tellers);
        let drained = tokio::select! {
            () = async { while pushers.join_next().await.is_some() || tellers.join_next().await.is_some() {} } => true,
            () = tokio::time::sleep(DRAIN) => false,
            () = at_once => false,
        };
        if !drained {
            log::warn!(
                "not all entries were acknowledged before the stop ({} s at most); the journal keeps them, and the next \
                 start sends them",
                DRAIN.as_secs()
            );
            // Dropping the pushers closes the channels, and that ends readers that wait for room.
            self.pushers.shutdown().await;
            self.tellers.shutdown().await;
        }
        // Each ends with its pusher, once the last acknowledgement is on disk.
        while self.savers.join_next().await.is_some() {}
        join(self.readers)
    }
}

/// Waits for the reading threads; the first failure is the agent's.
fn join(readers: Vec<(String, JoinHandle<Result<(), WatchError>>)>) -> Result<(), AgentError> {
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

/// Where reading begins. The first start is written down at once, so that a crash before the first
/// acknowledgement does not move it.
fn starting_point(checkpoint: &Checkpoint, journal: &Journal) -> Result<Resume, AgentError> {
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
                units::format_duration(backfill)
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
