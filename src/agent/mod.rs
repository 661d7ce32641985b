//! The agent: what runs for as long as the process does, and the only place that starts threads and tasks.
//!
//! Each destination has a thread that reads the journal and fills batches (`reading`), and a task that pushes them. A
//! channel for a few batches connects the two. When Loki is away, the channel is full, the thread waits, and memory stays
//! flat: the journal itself is the queue. Everything that waits for the network is on one thread.

mod destination;
mod families;
mod metrics;
mod reading;
mod saving;
mod shipping;
mod status;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

pub(crate) use self::destination::first_start;
use self::metrics::Totals;
pub(crate) use self::reading::take_held;
use self::shipping::Shipping;
pub(crate) use self::watching::host;
use crate::client::AccessError;
use crate::config::Config;
use crate::journal::unreadable;
use crate::loki::checkpoint::CheckpointError;
use crate::loki::push::PushError;
use crate::observe::Http;
use crate::observe::http::{self, Hosts, Served};
use crate::observe::metrics::Registry;
use crate::observe::status::Read;
use crate::os::systemd::Manager;
use crate::query::serve::{ServeError, Server};
use crate::query::source::Source;
use journald_reader::OpenError;

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The journal cannot be read.
    #[error("{}", unreadable::told(.0))]
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
    /// The state was written by a newer version of this program.
    #[error("{0}")]
    Newer(CheckpointError),
    /// Another agent uses the same state.
    #[error("another journal-ship runs with the state in {0}; each needs a state_directory of its own")]
    Locked(PathBuf),
    /// No request can be sent to a destination.
    #[error("{0}")]
    Push(#[from] PushError),
    /// No request can be sent to an Alertmanager.
    #[error("alertmanager {url}: {reason}")]
    Alertmanager {
        /// Its URL.
        url: String,
        /// The reason.
        reason: AccessError,
    },
    /// The system refused a thread, a signal handler or a descriptor.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// The port for /metrics cannot be opened.
    #[error("cannot listen on {address} (http.listen): {reason}; choose another port, or `null` for none")]
    Listen {
        /// `http.listen`
        address: std::net::SocketAddr,
        /// The reason.
        reason: std::io::Error,
    },
    /// The API of queries cannot be had.
    #[error("{0}")]
    Queries(#[from] ServeError),
    /// A reader ended, although it should go on.
    #[error("reading for {name} failed: {reason}")]
    Reader {
        /// For what.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// Reads the configuration again. The error is a text for a person, with every mistake.
pub type Load<'a> = dyn Fn() -> Result<Config, String> + 'a;

/// Runs until SIGTERM or SIGINT; a second one ends it at once. On SIGHUP it takes the configuration that `load` gives,
/// if that is valid.
///
/// # Errors
/// When it cannot start, or when reading fails for good. The error says what to do.
pub fn run(config: Config, load: &Load<'_>) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run_until_signal(config, load));
    // The look-up of a name cannot be stopped, and may take much longer than a stop should.
    runtime.shutdown_background();
    result
}

async fn run_until_signal(config: Config, load: &Load<'_>) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let manager = Manager::new(|name| std::env::var(name).ok());
    let start = Agent::start(config).await;
    let (mut agent, mut shipping) = start.inspect_err(|error| manager.status(&error.to_string()))?;
    manager.ready(&agent.status());
    let mut due = manager.watchdog().map(tokio::time::interval);
    let result = loop {
        let watchdog = async {
            match &mut due {
                Some(due) => _ = due.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = hangup.recv() => {
                manager.reloading();
                shipping = agent.reload(load, shipping).await?;
                manager.ready(&agent.status());
            }
            () = watchdog => match shipping.pulses.stuck().as_slice() {
                [] => manager.alive(&agent.status()),
                stuck => log::error!("{} does not get on: systemd is given no sign of life, and starts the agent anew when WatchdogSec= is over", stuck.join(", ")),
            },
            () = agent.served.readiness.changed() => manager.status(&agent.status()),
            () = shipping.broken() => break Ok(()),
        }
    };
    manager.stopping();
    let again = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let result = result.and(shipping.stop(again).await);
    if let Some(server) = agent.server {
        server.abort();
    }
    log::info!(
        "stopped; {} entries acknowledged, {} refused",
        agent.totals.acknowledged.load(Relaxed),
        agent.totals.refused.load(Relaxed)
    );
    result
}

/// What stays when the configuration changes.
struct Agent {
    config: Config,
    /// The lock on the state folder, against a second agent.
    lock: std::fs::File,
    served: Arc<Served>,
    server: Option<JoinHandle<()>>,
    queries: Option<Server>,
    totals: Arc<Totals>,
}

impl Agent {
    /// The line of status.
    fn status(&self) -> String {
        let report = self.served.readiness.report();
        let troubles = report.servers.iter().filter(|server| !server.is_well());
        std::iter::once(self.totals.line(jiff::Timestamp::now()))
            .chain(troubles.map(ToString::to_string))
            .collect::<Vec<_>>()
            .join("; ")
    }

    async fn start(config: Config) -> Result<(Agent, Shipping), AgentError> {
        let lock = lock_state(&config.state_directory)?;
        let listener = bind(&config.http).await?;
        let registry = Arc::new(Registry::default());
        let served = Arc::new(Served::new(registry.clone()));
        served.set_hosts(Hosts::new(&watching::host(), &config.http.hosts));
        let totals = Arc::<Totals>::default();
        let queries = Some(answer_queries(&config, &served).await?);
        let shipping = Shipping::start(&config, &registry, &served, &totals)?;
        reloaded(&registry, true);
        served.configuration(Read::Taken);
        let server = serve(listener, &served);
        Ok((Agent { config, lock, served, server, queries, totals }, shipping))
    }

    /// Replaces the configuration by a new one. If that is invalid, or cannot be used (for example because its port is in
    /// use), the log and a metric say so, and nothing else changes.
    async fn reload(&mut self, load: &Load<'_>, shipping: Shipping) -> Result<Shipping, AgentError> {
        let (config, lock, listener) = match self.prepare(load).await {
            Ok(Some(prepared)) => prepared,
            Ok(None) => {
                log::info!("the configuration is the same as before");
                reloaded(&self.served.registry(), true);
                self.served.configuration(Read::Same);
                return Ok(shipping);
            }
            Err(why) => {
                log::error!("the new configuration is not taken, the old one goes on: {why}");
                reloaded(&self.served.registry(), false);
                self.served.configuration(Read::Refused);
                return Ok(shipping);
            }
        };
        // Entries that were read and not acknowledged are read again from the checkpoint.
        if let Err(error) = shipping.stop(std::future::pending()).await {
            log::error!("{error}");
        }
        let registry = Arc::new(Registry::default());
        let start = |config: &Config| Shipping::start(config, &registry, &self.served, &self.totals);
        let shipping = match start(&config) {
            Ok(shipping) => shipping,
            Err(error) => {
                log::error!("the new configuration is not taken, the old one goes on: {error}");
                let shipping = start(&self.config)?;
                self.served.change(registry.clone());
                reloaded(&registry, false);
                self.served.configuration(Read::Refused);
                return Ok(shipping);
            }
        };
        self.served.change(registry.clone());
        self.served.set_hosts(Hosts::new(&watching::host(), &config.http.hosts));
        if config.http.listen != self.config.http.listen {
            if let Some(old) = self.server.take() {
                old.abort();
            }
            self.server = serve(listener, &self.served);
        }
        // The old one has to let go of the socket and the address first. Without it nothing else stands still.
        if let Some(queries) = self.queries.take() {
            queries.stop().await;
        }
        self.queries = match answer_queries(&config, &self.served).await {
            Ok(queries) => Some(queries),
            Err(error) => {
                log::error!("no queries are answered: {error}");
                None
            }
        };
        if let Some(lock) = lock {
            self.lock = lock;
        }
        ::log::set_max_level(config.log_level);
        self.config = config;
        log::info!("the new configuration is taken");
        reloaded(&registry, true);
        self.served.configuration(Read::Taken);
        Ok(shipping)
    }

    /// Reads the configuration, and opens the port and the lock that it needs. `None`: it is the same configuration.
    #[allow(clippy::type_complexity)] // used once, beside
    async fn prepare(
        &self,
        load: &Load<'_>,
    ) -> Result<Option<(Config, Option<std::fs::File>, Option<TcpListener>)>, String> {
        let config = load()?;
        if config == self.config {
            return Ok(None);
        }
        Server::check(&config.query).map_err(|error| error.to_string())?;
        let moved = config.state_directory != self.config.state_directory;
        let lock = moved.then(|| lock_state(&config.state_directory)).transpose();
        let lock = lock.map_err(|error| error.to_string())?;
        let listener = match config.http.listen == self.config.http.listen {
            true => None,
            false => bind(&config.http).await.map_err(|error| error.to_string())?,
        };
        Ok(Some((config, lock, listener)))
    }
}

/// Sets the metric that says whether the last configuration was taken.
fn reloaded(registry: &Registry, taken: bool) {
    let help = "Whether the configuration that was read last was taken.";
    let family = registry.gauge("journalship_config_last_reload_successful", help);
    family.set(Vec::new(), f64::from(u8::from(taken)));
}

async fn bind(section: &Http) -> Result<Option<TcpListener>, AgentError> {
    let Some(address) = section.listen else { return Ok(None) };
    let bound = http::bind(address).await;
    bound.map(Some).map_err(|reason| AgentError::Listen { address, reason })
}

/// Answers queries of the journal, where the configuration says.
async fn answer_queries(config: &Config, served: &Arc<Served>) -> Result<Server, ServeError> {
    let source = Source::new(&config.journal.scope, config.into(), config.loki.first());
    Server::start(&config.query, source, served.clone(), &watching::host()).await
}

fn serve(listener: Option<TcpListener>, served: &Arc<Served>) -> Option<JoinHandle<()>> {
    listener.map(|listener| tokio::spawn(http::serve(listener, served.clone())))
}

/// Makes the state folder if it does not exist, and locks it against a second agent.
fn lock_state(folder: &Path) -> Result<std::fs::File, AgentError> {
    let state = |e: std::io::Error| AgentError::State { folder: folder.into(), reason: e.to_string() };
    std::fs::create_dir_all(folder).map_err(state)?;
    let lock = std::fs::File::create(folder.join("lock")).map_err(state)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(AgentError::Locked(folder.into())),
        Err(std::fs::TryLockError::Error(e)) => Err(state(e)),
    }
}
