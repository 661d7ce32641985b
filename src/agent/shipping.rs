//! Shipping: the threads and tasks of one configuration. They start and stop as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::AgentError;
use super::destination::{Common, Opened};
use super::families::Metrics;
use super::metrics::{self, Totals};
use super::status;
use super::watching::Watching;
use crate::alerts::alertmanager::{Outboxes, Teller, Told};
use crate::alerts::memory::of_alerts;
use crate::alerts::{Alertmanager, Alerts};
use crate::config::Config;
use crate::journal::follow::WatchError;
use crate::observe::health::Readiness;
use crate::observe::http::Served;
use crate::observe::metrics::Registry;
use crate::observe::process;
use crate::os::systemd::Pulses;
use crate::shape::stages::Setup;
use journald_reader::Waker;

/// The longest time that pushing goes on after the order to stop.
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

/// A thread that reads, with the name of what it reads for.
pub(super) type Reader = (String, JoinHandle<Result<(), WatchError>>);

/// The threads and tasks of one configuration.
pub(super) struct Shipping {
    stop: Stop,
    readers: Vec<Reader>,
    pushers: JoinSet<()>,
    savers: JoinSet<()>,
    tellers: JoinSet<()>,
    /// Whether threads and tasks make progress.
    pub(super) pulses: Pulses,
    /// Closed when the thread of the rules ends.
    watched: Option<oneshot::Receiver<()>>,
}

impl Shipping {
    /// Starts everything. All of it is opened before anything runs, so a start succeeds as a whole, or fails with a reason.
    pub(super) fn start(
        config: &Config,
        registry: &Arc<Registry>,
        served: &Arc<Served>,
        totals: &Arc<Totals>,
    ) -> Result<Shipping, AgentError> {
        process::register(registry);
        metrics::on_scrape(registry, totals, &served.readiness);
        let counted = Metrics::new(registry);
        status::show(served, counted.clone(), totals.clone());
        let mut stop = Stop { flag: Arc::default(), wakers: Vec::new() };
        let mut pulses = Pulses::default();
        let common = Common {
            sections: config.into(),
            journal: &config.journal,
            state_directory: &config.state_directory,
            metrics: counted,
            totals,
            readiness: &served.readiness,
            stop: &stop.flag,
        };
        // Entries are counted by the stage `metrics` once, however many destinations they go to.
        let mut setup = Setup { metrics: registry.clone(), ..Setup::default() };
        let mut destinations = Vec::new();
        for destination in &config.loki {
            let waker = Waker::new()?;
            destinations.push(Opened::open(&common, destination, &setup, waker.clone(), &mut pulses)?);
            stop.wakers.push(waker);
            setup = Setup::default();
        }
        let (outboxes, tellers) = tellers(&config.alerts, registry, &served.readiness)?;
        let waker = Waker::new()?;
        let watching = Watching::open(
            config,
            outboxes,
            registry,
            served,
            stop.flag.clone(),
            waker.clone(),
            &mut pulses,
        )?;
        stop.wakers.push(waker);

        totals.begin(destinations.iter().map(Opened::begins));
        let mut shipping = Shipping {
            stop,
            readers: Vec::new(),
            pushers: JoinSet::new(),
            savers: JoinSet::new(),
            tellers: JoinSet::new(),
            pulses,
            watched: None,
        };
        for destination in destinations {
            let reader = destination.start(&mut shipping.pushers, &mut shipping.savers)?;
            shipping.readers.push(reader);
        }
        if let Some((watching, tail)) = watching {
            tellers.into_iter().for_each(|teller| _ = shipping.tellers.spawn(teller.run()));
            let (ends, ended) = oneshot::channel();
            shipping.watched = Some(ended);
            shipping.readers.push(("alert rules".to_owned(), watching.start(tail, ends)?));
        }
        Ok(shipping)
    }

    /// Waits until something ends without an order to stop. (A pusher ends only after its reader.)
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

    /// Stops reading, pushes what was read for a while, and saves the checkpoints. `at_once` ends the pushing.
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
            // Without pushers the channels are closed. That ends readers that wait for room.
            self.pushers.shutdown().await;
            self.tellers.shutdown().await;
        }
        // Each saver ends after its pusher, when the last acknowledgement is on disk.
        while self.savers.join_next().await.is_some() {}
        join(self.readers)
    }
}

/// The tasks that tell Alertmanagers, and the outboxes that they empty.
fn tellers(
    alerts: &Alerts,
    registry: &Registry,
    readiness: &Arc<Readiness>,
) -> Result<(Outboxes, Vec<Teller>), AgentError> {
    let mut outboxes = Outboxes::default();
    let told = Told::new(registry);
    let teller = |server: &Alertmanager| {
        // There is room for all possible alerts, so none waits behind others for ever.
        let outbox = outboxes.add(of_alerts(alerts.max_memory));
        let teller = Teller::new(server, outbox, alerts.resend_delay, readiness.clone(), told.clone());
        teller.map_err(|reason| AgentError::Alertmanager { url: server.url.clone(), reason })
    };
    let tellers = alerts.alertmanagers.iter().map(teller).collect::<Result<_, _>>()?;
    Ok((outboxes, tellers))
}

/// Waits for the threads that read. The first failure is returned.
fn join(readers: Vec<Reader>) -> Result<(), AgentError> {
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
