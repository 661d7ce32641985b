//! Where a dry run begins to read.

use std::io::Write;

#[cfg(feature = "sd-journal")]
use super::Second;
use super::{DryRunError, Options, Seen, nanoseconds};
use crate::agent::take_held;
use crate::config::Config;
use crate::journal::follow::WatchError;
use crate::query::Progress;
use journald_reader::{Keys, OpenError, Start, Tail, Waker};

/// Where reading begins, and what the entries are shown to.
pub(super) fn open<'c, 'o, W: Write>(
    config: &'c Config,
    options: &'c Options,
    progress: &'o mut dyn FnMut(&Progress),
    out: &'o mut W,
) -> Result<(Tail, Seen<'c, 'o, W>), DryRunError> {
    let scope = &options.scope;
    let mut keys = Keys::default();
    let mut seen = Seen::new(config, options, (progress, out), &mut keys);
    let waker = Waker::new().map_err(WatchError::from)?;
    if let Some(pending) = &options.pending {
        let start = Start::Resume(Box::new(pending.resume.clone()));
        let tail = Tail::open(scope, keys.clone(), start, waker)?;
        take_held(scope, keys, &pending.resume.held, &mut seen.pipeline, &mut seen.batches)?;
        return if tail.is_empty() {
            Err(OpenError::nothing(scope, Vec::new()).into())
        } else {
            Ok((tail, seen))
        };
    }
    let mut start = options.since.map_or(Start::Oldest, Start::Realtime);
    // Which messages match is known only when all are read.
    if let Some(lines) = options.lines.filter(|_| options.grep.is_none()) {
        let mut tail = Tail::open(scope, keys.clone(), start.clone(), waker.clone())?;
        if let Some(time) = tail.time_of_last(lines, options.until) {
            start = Start::Realtime(time.max(options.since.unwrap_or(0)));
        }
    }
    // Rules look back: their windows need entries from before the first one that is shown.
    seen.shown_from = if let Start::Realtime(since) = start { Some(since) } else { None };
    if let Some(watcher) = &mut seen.watcher {
        let since = seen.shown_from.filter(|_| !options.only_try);
        start = watcher.remember(since.map(nanoseconds)).map_or(start, Start::Realtime);
    }
    #[cfg(feature = "sd-journal")]
    if options.compare {
        let since = if let Start::Realtime(since) = start { Some(since) } else { None };
        let reader = journald_reader::SecondReader::open(scope)?;
        seen.second = Some(Second { reader, agreed: 0, start: since });
    }
    let tail = Tail::open(scope, keys, start, waker)?;
    if tail.is_empty() {
        return Err(OpenError::nothing(scope, Vec::new()).into());
    }
    Ok((tail, seen))
}
