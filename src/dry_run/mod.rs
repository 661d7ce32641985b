//! The dry run: what would be pushed, on standard output, and nothing else happens.
//!
//! Entries take the very way they take in the agent, into a sealed batch; the records shown are decoded
//! from its bytes, by prost, not by the code that wrote them. What this prints is what Loki would get.

mod printer;
mod summary;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use crate::agent::{HELD_EVERY, host};
use crate::batch::Batches;
use crate::config::Config;
use crate::journal::{Keys, OpenError, Start, Tail, Waker};
use crate::pipeline::Pipeline;
use crate::rules::Watcher;
use crate::rules::history::History;
use crate::stages::Setup;

use printer::Printer;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Time, `{labels}`, line.
    Short,
    /// One JSON object a line: timestamp, labels, metadata, line, tenant.
    Json,
    /// As short, and each step that changed, dropped, held or sampled an entry.
    Explain,
}

/// What is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// Read these instead of what the configuration names.
    pub paths: Vec<PathBuf>,
    /// From this time on (realtime, microseconds).
    pub since: Option<u64>,
    /// Up to this time (realtime, microseconds), inclusive.
    pub until: Option<u64>,
    /// Only the last so many.
    pub lines: Option<u64>,
    /// Go on with new entries.
    pub follow: bool,
    /// In which form.
    pub output: Output,
    /// No records, but what all of them come to.
    pub summary: bool,
    /// Compare order, cursors and times with libsystemd's, entry by entry.
    #[cfg(feature = "sd-journal")]
    pub compare: bool,
}

/// Why a dry run stopped.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The journal cannot be read.
    #[error("{0}")]
    Journal(#[from] OpenError),
    /// The journal cannot be watched.
    #[error("the journal cannot be watched for changes: {0}")]
    Watch(io::Error),
    /// What is shown cannot be written.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// libsystemd reads something else.
    #[cfg(feature = "sd-journal")]
    #[error("{0}")]
    Second(#[from] crate::journal::SecondError),
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
}

/// Shows what would be pushed to the first destination, or with the labels that all have when there is
/// none. Returns at the journal's end, or never when following.
///
/// # Errors
/// When the journal cannot be read or `out` not be written to.
pub fn run(config: &Config, options: &Options, out: &mut impl Write) -> Result<Shown, DryRunError> {
    let destination = config.loki.first();
    let mut scope = config.journal.scope.clone();
    if !options.paths.is_empty() {
        scope.paths.clone_from(&options.paths);
    }
    let mut keys = Keys::default();
    let setup = Setup { dry: true, ..Setup::default() };
    let mut pipeline = Pipeline::new(config, destination, &setup, &mut keys);
    let waker = Waker::new().map_err(DryRunError::Watch)?;
    let mut watcher = (config.alerts.rules() > 0).then(|| Watcher::new(config, Some(&host()), &mut keys));
    let mut start = options.since.map_or(Start::Oldest, Start::Realtime);
    if let Some(lines) = options.lines {
        let mut tail = Tail::open(&scope, keys.clone(), start.clone(), waker.clone())?;
        if let Some(time) = tail.time_of_last(lines, options.until) {
            start = Start::Realtime(time.max(options.since.unwrap_or(0)));
        }
    }
    // Rules need what was before the first record that is shown.
    let shown_from = if let Start::Realtime(since) = start { Some(since) } else { None };
    if let Some(watcher) = &mut watcher {
        let since = shown_from.map(|since| i64::try_from(since).unwrap_or(i64::MAX).saturating_mul(1000));
        start = watcher.remember(since).map_or(start, Start::Realtime);
    }
    #[cfg(feature = "sd-journal")]
    let second = options.compare.then(|| crate::journal::SecondReader::open(&scope)).transpose()?;
    #[cfg(feature = "sd-journal")]
    let (mut agreed, since) = (0, if let Start::Realtime(since) = start { Some(since) } else { None });
    let mut tail = Tail::open(&scope, keys, start, waker)?;
    if tail.is_empty() {
        return Err(OpenError::Unreadable(Vec::new()).into());
    }
    let max_bytes = destination.map_or(BATCH, |d| d.batch.max_bytes);
    let explain = options.output == Output::Explain && !options.summary;
    if explain {
        pipeline.explain();
    }
    let tenant = destination.and_then(|d| d.tenant.clone());
    let mut printer = Printer::new(options.output, tenant, options.lines, options.summary);
    let mut batches = Batches::ordered();
    let mut ended = false;
    loop {
        match if ended { None } else { tail.next_entry() } {
            Some(entry) if options.until.is_none_or(|until| entry.cursor().realtime <= until) => {
                #[cfg(feature = "sd-journal")]
                if let Some(second) = &second {
                    second.agree(entry.cursor(), agreed, since)?;
                    agreed += 1;
                }
                let realtime = entry.cursor().realtime;
                if let Some(watcher) = &mut watcher {
                    if watcher.entry(&entry) {
                        tell(watcher, &mut printer, &mut batches, out)?;
                    }
                    if shown_from.is_some_and(|since| realtime < since) {
                        continue;
                    }
                }
                pipeline.append(&entry, &mut batches);
                if explain {
                    let steps = pipeline.explained();
                    match batches.is_empty() {
                        true => printer.show_unsent(realtime, &steps, out)?,
                        false => printer.show(&mut batches, &steps, out)?,
                    }
                } else if batches.size() >= max_bytes {
                    pipeline.release_passed(&mut batches);
                    printer.show(&mut batches, &[], out)?;
                }
            }
            // The order is by time within a source only, so later entries may be early enough.
            Some(entry) => {
                let until = options.until.unwrap_or(u64::MAX).saturating_add(UNTIL_BEHIND);
                ended = !options.follow && entry.cursor().realtime > until;
            }
            None => {
                match options.follow {
                    true => pipeline.release(&mut batches),
                    // What stages still hold has no more lines to wait for.
                    false => pipeline.release_all(&mut batches),
                }
                printer.show(&mut batches, &pipeline.explained(), out)?;
                if let Some(watcher) = &mut watcher {
                    match options.follow {
                        true => watcher.quiet(),
                        false => watcher.finish(options.until.map_or(i64::MAX, |until| {
                            i64::try_from(until).unwrap_or(i64::MAX).saturating_mul(1000)
                        })),
                    };
                    tell(watcher, &mut printer, &mut batches, out)?;
                }
                printer.release(out)?;
                if !options.follow {
                    if let Some(summary) = &printer.summary {
                        let report = summary.report(&pipeline, watcher.as_mut());
                        match options.output {
                            Output::Json => report.write_json(out)?,
                            Output::Short | Output::Explain => report.write(out)?,
                        }
                    }
                    out.flush()?;
                    return Ok(Shown {
                        entries: printer.entries,
                        damaged: tail.counts().damaged.total(),
                        fields_damaged: tail.counts().fields_damaged,
                        dropped: pipeline.counts().dropped(),
                        alerts: watcher
                            .as_mut()
                            .and_then(Watcher::history)
                            .map(|history| history.fired().len()),
                    });
                }
                out.flush()?;
                let now = Instant::now();
                let look = pipeline.holds().then(|| now + HELD_EVERY);
                let due = watcher.as_ref().and_then(Watcher::due).and_then(|due| now.checked_add(due));
                tail.wait(look.into_iter().chain(due).min()).map_err(DryRunError::Watch)?;
            }
        }
    }
}

/// Shows what alerts have begun or ended, behind the entries before that.
fn tell(
    watcher: &mut Watcher,
    printer: &mut Printer,
    batches: &mut Batches,
    out: &mut impl Write,
) -> Result<(), DryRunError> {
    let news = watcher.history().map(History::news).unwrap_or_default();
    if !news.is_empty() {
        printer.show(batches, &[], out)?;
        printer.tell(&news, out)?;
    }
    Ok(())
}

/// So long behind `until` no entry is looked for that was written before it, under a clock that had been set back, or in a
/// file that is read later (microseconds): one hour. journalctl ends with the first entry that is later.
const UNTIL_BEHIND: u64 = 3_600_000_000;
/// Size of a batch when no destination says (bytes).
const BATCH: usize = 1 << 20;
