//! One destination: everything that it needs is opened before anything runs; then its thread and its tasks start.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::AgentError;
use super::families::Metrics;
use super::metrics::{Account, Totals};
use super::reading::{Lost, Reading, take_held};
use super::saving::save;
use super::shipping::Reader;
use crate::client::without_query;
use crate::journal::Journal;
use crate::journal::unreadable::told;
use crate::loki::Destination;
use crate::loki::batch::Batches;
use crate::loki::checkpoint::{Checkpoint, CheckpointError};
use crate::loki::learned::Learned;
use crate::loki::push::{Parcel, Pusher};
use crate::observe::health::{Health, LOKI, Readiness};
use crate::os::systemd::{self, Pulses};
use crate::os::when::Realtime;
use crate::pipeline::Pipeline;
use crate::shape::Sections;
use crate::shape::stages::Setup;
use crate::yaml::units;
use journald_reader::{Keys, OpenError, Resume, Start, Tail, Waker};

/// Sealed batches between reader and pusher (count): one is on its way while the next is being filled.
const QUEUE: usize = 2;

/// What all destinations of a configuration have in common.
pub(super) struct Common<'c> {
    /// What becomes of an entry.
    pub sections: Sections<'c>,
    pub journal: &'c Journal,
    pub state_directory: &'c Path,
    pub metrics: Metrics,
    pub totals: &'c Arc<Totals>,
    pub readiness: &'c Arc<Readiness>,
    /// Tells all readers to stop.
    pub stop: &'c Arc<AtomicBool>,
}

/// A destination that is ready to start.
pub(super) struct Opened {
    reading: Reading,
    tail: Tail,
    pusher: Pusher,
    parcels: mpsc::Receiver<Parcel>,
    checkpoint: Checkpoint,
    resume: Resume,
}

impl Opened {
    /// Opens the journal and prepares everything. `waker` wakes the reader; `setup` is what stages are built with.
    pub(super) fn open(
        common: &Common<'_>,
        destination: &Destination,
        setup: &Setup,
        waker: Waker,
        pulses: &mut Pulses,
    ) -> Result<Opened, AgentError> {
        let checkpoint = Checkpoint::new(common.state_directory, &destination.name);
        let resume = starting_point(&checkpoint, common.journal)?;
        let mut keys = Keys::default();
        let mut pipeline = Pipeline::new(common.sections, Some(destination), setup, &mut keys);
        let scope = &common.journal.scope;
        let tail = Tail::open(scope, keys.clone(), Start::Resume(Box::new(resume.clone())), waker)?;
        let mut batches = Batches::new(common.sections.labels.max_streams);
        take_held(scope, keys, &resume.held, &mut pipeline, &mut batches)?;
        if tail.is_empty() {
            let seen = systemd::line(&told(&OpenError::nothing(scope, Vec::new())).to_string());
            log::warn!("there is no journal file yet in any of journal.paths; waiting for one: {seen}");
        }
        let (sender, parcels) = mpsc::channel(QUEUE);
        let learned = Arc::new(Learned::default());
        let health = Health::new(&LOKI, &destination.name, &destination.url, common.readiness.clone());
        let account = Account::new(&destination.name, common.totals.clone(), common.metrics.clone());
        let class = common.sections.retention.and_then(|retention| retention.label.as_deref());
        let pusher = Pusher::new(destination, class, learned.clone(), health, Box::new(account.clone()))?
            .with_pulse(pulses.add(format!("pushing to loki `{}`", destination.name)));
        let reading = Reading {
            destination: destination.clone(),
            pipeline,
            batches,
            stop: common.stop.clone(),
            sender,
            account,
            learned,
            newest: None,
            unsaid: 0,
            unwanted: (0, Instant::now()),
            lost: Lost::new(Instant::now()),
            pause: None,
            pulse: pulses.add(format!("reading for loki `{}`", destination.name)),
        };
        Ok(Opened { reading, tail, pusher, parcels, checkpoint, resume })
    }

    /// Its name, and when the entry behind which it begins was written, if there is one.
    pub(super) fn begins(&self) -> (String, Option<Realtime>) {
        let done = self.resume.cursor.as_ref().map(|cursor| Realtime(cursor.realtime));
        (self.reading.destination.name.clone(), done)
    }

    /// Starts the thread that reads, and the tasks that push and save.
    pub(super) fn start(
        self,
        pushers: &mut JoinSet<()>,
        savers: &mut JoinSet<()>,
    ) -> std::io::Result<Reader> {
        let Opened { reading, tail, pusher, parcels, checkpoint, resume } = self;
        let Destination { name, url, .. } = &reading.destination;
        log::info!(
            "shipping to loki `{name}` ({}) {}",
            without_query(url),
            resume.cursor.map_or("from the start of the backfill".into(), |cursor| format!("after {cursor}"))
        );
        let reads_for = format!("loki `{name}`");
        let (acknowledged, latest) = watch::channel(Resume::default());
        savers.spawn(save(reading.account.clone(), checkpoint, latest));
        pushers.spawn(pusher.run(parcels, acknowledged));
        Ok((reads_for, reading.start(tail)?))
    }
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
            // If it cannot be saved, it is better to say so now.
            checkpoint.save(&resume).map_err(state)?;
            return Ok(resume);
        }
        Ok(None) => {}
        Err(error @ CheckpointError::Io { .. }) => return Err(state(error)),
        // The file is not broken. A new start would send many entries again, or skip some that were not sent yet.
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
    let resume = first_start(journal);
    checkpoint.save(&resume).map_err(state)?;
    Ok(resume)
}

/// Where a first start begins to read.
pub(crate) fn first_start(journal: &Journal) -> Resume {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let floor = u64::try_from(now.saturating_sub(journal.backfill).as_micros()).unwrap_or(0);
    match journal.start_cursor {
        Some(_) => Resume { after: journal.start_cursor, ..Resume::default() },
        None => Resume { floor, ..Resume::default() },
    }
}
