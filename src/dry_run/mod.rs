//! The dry run: what would be pushed, on standard output, and nothing else happens.
//!
//! Entries take the very way they take in the agent, into a sealed batch; the records shown are decoded
//! from its bytes, by prost, not by the code that wrote them. What this prints is what Loki would get.

mod open;
mod opened;
mod pending;
mod printer;
mod summary;
mod tried;

use std::io::{self, Write};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::agent::{AgentError, host};
use crate::alerts::Watcher;
use crate::alerts::history::History;
use crate::alerts::watch::clock;
use crate::config::Config;
use crate::journal::follow::{Follower, HELD_EVERY, Rest, Step, WatchError, follow};
use crate::journal::unreadable;
use crate::loki::batch::Batches;
use crate::os::systemd::Pulse;
use crate::os::when::local_zone;
use crate::pipeline::Pipeline;
use crate::query::Progress;
use crate::shape::limits::AGE_MAX;
use crate::shape::shown::Look;
use crate::shape::stages::Setup;
use crate::yaml::Unmet;
use journald_reader::{Entry, Key, Keys, OpenError, Scope, Tail};
use logql::go::re2::Re2;
use logql::label_set::lossy;

pub use pending::{Pending, pending};
use printer::Printer;
use summary::OfBackfill;
use tried::Trial;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Time, `{labels}`, line; or for a person.
    Short(Look),
    /// One JSON object a line: timestamp, labels, metadata, line, tenant.
    Json,
    /// As short, and where each label comes from, and each step that changed, dropped, held or sampled an entry.
    Explain(Look),
}

/// What is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is read, and which entries of it.
    pub scope: Scope,
    /// It is this machine's journal, as the agent reads it.
    pub own: bool,
    /// Only entries whose message matches. Rules see no others either.
    pub grep: Option<Re2>,
    /// From this time on (realtime, microseconds).
    pub since: Option<u64>,
    /// Up to this time (realtime, microseconds), inclusive.
    pub until: Option<u64>,
    /// Only the last so many.
    pub lines: Option<u64>,
    /// From the checkpoint of a destination on; rules look at nothing then.
    pub pending: Option<Pending>,
    /// The newest first; goes with `lines`.
    pub reverse: bool,
    /// Go on with new entries.
    pub follow: bool,
    /// In which form.
    pub output: Output,
    /// No records, but what all of them come to.
    pub summary: bool,
    /// Only try the configuration on the entries: nothing is shown, and rules look at no others.
    pub only_try: bool,
    /// Reading ends then, wherever it is.
    pub deadline: Option<Instant>,
    /// Compare order, cursors and times with libsystemd's, entry by entry.
    #[cfg(feature = "sd-journal")]
    pub compare: bool,
}

/// Why a dry run stopped.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The journal cannot be read.
    #[error("{}", unreadable::told(.0))]
    Journal(#[from] OpenError),
    /// The journal cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// What is shown cannot be written.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// libsystemd reads something else.
    #[cfg(feature = "sd-journal")]
    #[error("{}", compared(.0))]
    Second(#[from] journald_reader::SecondError),
    /// What stages held at the checkpoint cannot be read again.
    #[error(transparent)]
    Held(#[from] AgentError),
    /// The bytes of a batch do not decode.
    #[error("a batch does not decode: {0}; this is a bug")]
    Body(String),
}

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Records.
    pub entries: u64,
    /// Entries that could not be read.
    pub damaged: u64,
    /// Fields that could not be read; their entries were shown without them.
    pub fields_damaged: u64,
    /// Entries that were read and would not be pushed.
    pub dropped: u64,
    /// Alerts that would have fired, if there are rules.
    pub alerts: Option<usize>,
    /// Entries that are older than `journal.backfill`, which a first start leaves out.
    pub older: u64,
    /// Whether they are among those that are shown as sent.
    pub older_sent: bool,
    /// Entries that are shown as sent and older than Loki takes by default.
    pub too_old: u64,
    /// Entries that were read.
    pub read: u64,
    /// When the first and the last of them were written (realtime, microseconds).
    pub span: Option<(u64, u64)>,
    /// What of the configuration met nothing; known only with a summary.
    pub unmet: Vec<Unmet>,
}

/// Shows what would be pushed to the first destination, or with the labels that all have when there is
/// none. Returns at the journal's end, or never when following. `progress` is told now and then how far reading is.
///
/// # Errors
/// When the journal cannot be read or `out` not be written to.
pub fn run(
    config: &Config,
    options: &Options,
    progress: &mut dyn FnMut(&Progress),
    out: &mut impl Write,
) -> Result<Shown, DryRunError> {
    let (mut tail, mut seen) = open::open(config, options, progress, out)?;
    if let Some(until) = options.until.filter(|_| !options.follow) {
        tail.end_at(until);
    }
    // A person ends it, who stops the whole program.
    follow(&mut tail, &mut seen, &AtomicBool::new(false), &Pulse::default())?;
    seen.finish(&tail)
}

/// A comparison with what libsystemd reads.
#[cfg(feature = "sd-journal")]
struct Second {
    reader: journald_reader::SecondReader,
    agreed: u64,
    start: Option<u64>,
}

/// What entries are shown to.
struct Seen<'c, 'o, W> {
    out: &'o mut W,
    progress: &'o mut dyn FnMut(&Progress),
    #[cfg(feature = "sd-journal")]
    second: Option<Second>,
    config: &'c Config,
    options: &'c Options,
    /// What messages must match, and the key of their field.
    grep: Option<(&'c Re2, Key)>,
    pipeline: Pipeline,
    watcher: Option<Watcher>,
    trial: Option<Trial>,
    printer: Printer,
    batches: Batches,
    /// Steps are explained.
    explain: bool,
    /// A batch is shown when it has so many bytes.
    max_bytes: usize,
    /// Entries before this (realtime, microseconds) are for rules only.
    shown_from: Option<u64>,
    /// Entries before this are left out by a first start.
    backfill_from: Option<u64>,
    /// Loki takes nothing from before this.
    too_old: u64,
    shown: Shown,
}

impl<'c, 'o, W: Write> Seen<'c, 'o, W> {
    fn new(
        config: &'c Config,
        options: &'c Options,
        (progress, out): (&'o mut dyn FnMut(&Progress), &'o mut W),
        keys: &mut Keys,
    ) -> Seen<'c, 'o, W> {
        let destination = config.loki.get(options.pending.as_ref().map_or(0, |pending| pending.destination));
        let setup = Setup { dry: true, ..Setup::default() };
        let mut pipeline = Pipeline::new(config, destination, &setup, keys);
        let mut watcher = (config.alerts.rules() > 0 && options.pending.is_none())
            .then(|| Watcher::new(&config.alerts, config, Some(&host()), keys));
        if let Some(watcher) = &mut watcher {
            watcher.learn_host(&config.alerts, keys);
        }
        let trial = options.summary.then(|| Trial::new(config.into(), keys));
        let explain = matches!(options.output, Output::Explain(_)) && !options.summary;
        if explain {
            pipeline.explain();
        }
        if trial.is_some() {
            pipeline.watch();
        }
        let tenant = destination.and_then(|d| d.tenant.clone());
        // Who chooses the time gets it. A cursor is another way to say where a first start begins, and a checkpoint says it all.
        let chosen = options.since.is_some();
        let begins_elsewhere =
            config.journal.start_cursor.is_some() || options.pending.is_some() || (chosen && !options.own);
        // Another journal than the agent's has no first start: all of it is shown.
        let older_sent = chosen || !options.own || options.only_try;
        let backfill = u64::try_from(config.journal.backfill.as_micros()).unwrap_or(u64::MAX);
        Seen {
            out,
            progress,
            #[cfg(feature = "sd-journal")]
            second: None,
            config,
            options,
            grep: options.grep.as_ref().map(|grep| (grep, keys.add("MESSAGE"))),
            pipeline,
            watcher,
            trial,
            printer: Printer::new(options, tenant),
            batches: Batches::ordered(),
            explain,
            max_bytes: destination.map_or(BATCH, |d| d.batch.max_bytes),
            shown_from: None,
            backfill_from: (!begins_elsewhere).then(|| now().saturating_sub(backfill)),
            too_old: now().saturating_sub(u64::try_from(AGE_MAX.as_micros()).unwrap_or(u64::MAX)),
            shown: Shown { older_sent, ..Shown::default() },
        }
    }

    fn show(&mut self, entry: &Entry<'_>) -> Result<(), DryRunError> {
        let realtime = entry.cursor().realtime;
        let message = |key| entry.value(key).unwrap_or_default();
        if self.grep.is_some_and(|(grep, key)| !grep.is_match(&lossy(message(key)))) {
            return Ok(());
        }
        if let Some(watcher) = &mut self.watcher
            && watcher.entry(entry)
        {
            self.tell()?;
        }
        if self.shown_from.is_some_and(|since| realtime < since) {
            return Ok(());
        }
        self.shown.read += 1;
        let (first, last) = self.shown.span.unwrap_or((realtime, realtime));
        self.shown.span = Some((first.min(realtime), last.max(realtime)));
        if let Some(trial) = &mut self.trial {
            trial.entry(entry);
        }
        if self.backfill_from.is_some_and(|from| realtime < from) {
            self.shown.older += 1;
            if !self.shown.older_sent {
                if self.explain {
                    self.pipeline
                        .leave_out(entry, format!("older than {}", self.config.journal.backfill_shown()));
                    self.printer.explain(&mut self.batches, &self.pipeline.explained(), self.out)?;
                }
                return Ok(());
            }
        }
        self.shown.too_old += u64::from(realtime < self.too_old);
        self.pipeline.append(entry, &mut self.batches);
        if self.explain {
            self.printer.explain(&mut self.batches, &self.pipeline.explained(), self.out)?;
        } else if self.batches.size() >= self.max_bytes {
            self.pipeline.release_passed(&mut self.batches);
            self.printer.show(&mut self.batches, self.out)?;
        }
        Ok(())
    }

    /// What all of it comes to.
    fn finish(mut self, tail: &Tail) -> Result<Shown, DryRunError> {
        self.caught_up()?;
        let Seen { out, config, options, pipeline, mut watcher, trial, printer, shown, .. } = self;
        let unmet = trial
            .map(|trial| trial.unmet(config.into(), &config.alerts, &pipeline, watcher.as_ref()))
            .unwrap_or_default();
        if let Some(summary) = printer.summary.as_ref().filter(|_| !options.only_try) {
            let of_backfill = OfBackfill { older: shown.older, sent: shown.older_sent };
            let report = summary.report(
                &pipeline,
                watcher.as_mut(),
                (config.into(), &config.journal),
                of_backfill,
                &unmet,
            );
            match options.output {
                Output::Json => report.write_json(out)?,
                Output::Short(_) | Output::Explain(_) => {
                    summary::Text::new(&report, out, local_zone()).write()?
                }
            }
        }
        out.flush()?;
        Ok(Shown {
            entries: printer.entries,
            damaged: tail.counts().damaged.total(),
            fields_damaged: tail.counts().fields_damaged,
            dropped: pipeline.counts().dropped(),
            alerts: watcher.as_mut().and_then(Watcher::history).map(|history| history.fired().len()),
            unmet,
            ..shown
        })
    }

    /// There are no entries for now.
    fn caught_up(&mut self) -> Result<(), DryRunError> {
        match self.options.follow {
            true => self.pipeline.release(&mut self.batches),
            // What stages still hold has no more lines to wait for.
            false => self.pipeline.release_all(&mut self.batches),
        }
        match self.explain {
            true => self.printer.explain(&mut self.batches, &self.pipeline.explained(), self.out)?,
            false => self.printer.show(&mut self.batches, self.out)?,
        }
        if let Some(watcher) = &mut self.watcher {
            match self.options.follow {
                true => watcher.quiet(),
                false if self.options.only_try => false,
                false => watcher.finish(self.options.until.map_or(i64::MAX, nanoseconds)),
            };
            self.tell()?;
        }
        Ok(self.printer.release(self.out)?)
    }

    /// Tells how far reading is: at an entry of this time.
    fn tell_progress(&mut self, at: u64) {
        let from = self.shown.span.map_or(at, |(first, _)| first);
        let to = self.options.until.unwrap_or_else(now);
        let entries = self.shown.read;
        (self.progress)(&Progress { entries, chosen: entries, at, span: (from, to), ..Progress::default() });
    }

    /// Shows what alerts have begun or ended, behind the entries before that.
    fn tell(&mut self) -> Result<(), DryRunError> {
        let news = self.watcher.as_mut().and_then(Watcher::history).map(History::news).unwrap_or_default();
        if !news.is_empty() {
            self.printer.show(&mut self.batches, self.out)?;
            self.printer.tell(&news, self.out)?;
        }
        Ok(())
    }
}

impl<W: Write> Follower for Seen<'_, '_, W> {
    type Error = DryRunError;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, DryRunError> {
        let realtime = entry.cursor().realtime;
        // The order is by time within a source only, so later entries may be early enough. The tail ends each file.
        if self.options.until.is_some_and(|until| realtime > until) {
            return Ok(Step::Next);
        }
        #[cfg(feature = "sd-journal")]
        if let Some(second) = &mut self.second {
            second.reader.agree(entry.cursor(), second.agreed, second.start)?;
            second.agreed += 1;
        }
        self.show(entry)?;
        if self.shown.read.is_multiple_of(TOLD_EVERY) {
            self.tell_progress(realtime);
        }
        let late = || self.options.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        Ok(if self.shown.read.is_multiple_of(LOOKED_AT) && late() { Step::End } else { Step::Next })
    }

    fn idle(&mut self, _tail: &mut Tail) -> Result<Rest, DryRunError> {
        if !self.options.follow {
            return Ok(Rest::End);
        }
        self.caught_up()?;
        self.out.flush()?;
        let now = Instant::now();
        let look = self.pipeline.holds().then(|| now + HELD_EVERY);
        let due = self.watcher.as_ref().and_then(Watcher::due).and_then(|due| now.checked_add(due));
        Ok(Rest::Wait(look.into_iter().chain(due).min()))
    }

    fn polls(&self) -> bool {
        self.options.follow
    }
}

/// Why readers cannot be compared, and which of our keys and options are to blame.
#[cfg(feature = "sd-journal")]
fn compared(error: &journald_reader::SecondError) -> String {
    use journald_reader::SecondError;
    match error {
        SecondError::Scope => format!("{error}: leave out journal.match and journal.namespaces"),
        SecondError::Paths => format!("{error}: give one --path, or files only"),
        _ => error.to_string(),
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    u64::try_from(clock() / 1000).unwrap_or(0)
}

fn nanoseconds(microseconds: u64) -> i64 {
    i64::try_from(microseconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// The clock is looked at every so many entries (count).
const LOOKED_AT: u64 = 256;
/// Progress is told every so many entries (count).
const TOLD_EVERY: u64 = 4096;
/// Size of a batch when no destination says (bytes).
const BATCH: usize = 1 << 20;
