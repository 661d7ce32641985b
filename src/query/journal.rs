//! The journal that is asked: the entries of a span, read once and taken through the pipeline.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::narrow::Shape;
use super::{Progress, QueryError, Run};
use crate::journal::follow::{Follower, HELD_EVERY, Rest, Step, follow};
use crate::loki::Destination;
use crate::os::systemd::Pulse;
use crate::pipeline::{Pipeline, Sink};
use crate::shape::Sections;
use crate::shape::stages::Setup;
use journald_reader::{Entry, Keys, Match, Scope, Start, Tail, Waker};

/// So far beside a span entries are read whose stages may give them a time within it (microseconds).
pub(crate) const BESIDE: u64 = 3_600_000_000;
/// The clock, and whoever waits, are looked at every so many entries (count).
pub(crate) const LOOKED_AT: u64 = 512;
/// Where bytes are bounded, they are counted every so many entries (count): all files are asked then.
const COUNTED_AT: u64 = 64;

/// A journal, and what gives its entries their labels.
#[derive(Debug, Clone)]
pub struct Journal<'c> {
    scope: Scope,
    sections: Sections<'c>,
    destination: Option<&'c Destination>,
}

/// What a sink says of reading on.
pub(super) trait Asking: Sink {
    /// Whether no entry can change anything more.
    fn is_done(&self) -> bool {
        false
    }

    /// The time after which entries can change nothing more (microseconds since 1970).
    fn end(&self) -> u64 {
        u64::MAX
    }

    /// The last microsecond before the span begins that is read beside this one, where that is not the one behind it.
    fn border(&self) -> Option<u64> {
        None
    }

    /// How many entries of chosen streams it has seen (count).
    fn chosen(&self) -> u64;
}

impl<'c> Journal<'c> {
    /// The journal of a scope.
    pub fn new(scope: Scope, sections: Sections<'c>, destination: Option<&'c Destination>) -> Journal<'c> {
        Journal { scope, sections, destination }
    }

    /// What gives entries their labels.
    pub(super) fn shape(&self) -> Shape<'c> {
        let added = self.destination.map(|destination| destination.labels.as_slice()).unwrap_or_default();
        Shape { sections: self.sections, added }
    }

    /// The entries that also match one of `narrowed`, if there are any.
    fn narrowed(&self, narrowed: &[Match]) -> Scope {
        let own = match self.scope.matches.as_slice() {
            [] => &[Match::new()],
            own => own,
        };
        let mut all: Vec<Match> = Vec::new();
        for (own, further) in own.iter().flat_map(|own| narrowed.iter().map(move |further| (own, further))) {
            let mut both = own.clone();
            for (field, values) in further {
                // An entry may have a field twice: two conditions on one cannot be made one.
                both.entry(field.clone()).or_insert_with(|| values.clone());
            }
            if !all.contains(&both) {
                all.push(both);
            }
        }
        let any = narrowed.iter().any(Match::is_empty) || narrowed.is_empty();
        Scope { matches: if any { self.scope.matches.clone() } else { all }, ..self.scope.clone() }
    }

    /// Whether lines can become one line: then a span cannot be read in pieces.
    pub(super) fn has_stages(&self) -> bool {
        !self.sections.stages.is_empty()
    }

    /// The time from which on about the last `count` entries up to a time were written that match one of `matches`; `None` where
    /// there are fewer. What is read for it is added to `bytes`.
    ///
    /// # Errors
    /// When nothing can be read.
    pub(super) fn time_of_last(
        &self,
        count: u64,
        until: u64,
        matches: &[Match],
        bytes: &mut u64,
    ) -> Result<Option<u64>, QueryError> {
        let mut tail =
            Tail::open(&self.narrowed(matches), Keys::default(), Start::Realtime(u64::MAX), Waker::none())?;
        let time = tail.time_of_about_last(count, Some(until));
        *bytes = bytes.saturating_add(tail.counts().bytes_read);
        Ok(time)
    }

    /// When the first and the last entry of a span were written that match one of `matches` (microseconds since 1970).
    ///
    /// # Errors
    /// When nothing can be read.
    pub(super) fn extent(
        &self,
        (from, to): (u64, u64),
        matches: &[Match],
    ) -> Result<Option<(u64, u64)>, QueryError> {
        let mut tail =
            Tail::open(&self.narrowed(matches), Keys::default(), Start::Realtime(from), Waker::none())?;
        let Some(first) = tail.next_entry().map(|entry| entry.cursor().realtime) else { return Ok(None) };
        let last = self.time_of_last(1, to, matches, &mut 0)?;
        Ok(last.map(|last| (first, last)))
    }

    /// Shows the entries of a span (microseconds since 1970, both ends inclusive) that match one of `matches` to a sink. The
    /// sink sees no entry outside, except where stages may give it a time within.
    ///
    /// # Errors
    /// When nothing can be read, or the time is over.
    pub(super) fn read<S: Asking>(
        &self,
        (from, to): (u64, u64),
        matches: &[Match],
        sink: &mut S,
        run: &mut Run<'_>,
    ) -> Result<Progress, QueryError> {
        // Whoever reads many short spans comes here before there are entries enough to look at the clock.
        if run.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(QueryError::Deadline);
        }
        let beside = if self.has_stages() { BESIDE } else { 0 };
        let span = (from.saturating_sub(beside), to.saturating_add(beside));
        let mut keys = Keys::default();
        let setup = Setup { dry: true, ..Setup::default() };
        let pipeline = Pipeline::new(self.sections, self.destination, &setup, &mut keys);
        let start = Start::Span { from: span.0, until: span.1 };
        let mut tail = Tail::open(&self.narrowed(matches), keys, start, Waker::none())?;
        let progress = Progress { span, ..Progress::default() };
        let (stop, before): (&AtomicBool, u64) = (run.stop, run.bytes_read);
        let border = sink.border().unwrap_or(span.1);
        let mut reading = Reading { pipeline, sink, span, border, end: u64::MAX, run, before, progress };
        follow(&mut tail, &mut reading, stop, &Pulse::default())?;
        reading.count(&tail)?;
        let Reading { mut pipeline, sink, mut progress, .. } = reading;
        pipeline.show_rest(sink);
        progress.chosen = sink.chosen();
        Ok(progress)
    }
}

impl Journal<'_> {
    /// Opens the journal, to follow it from a time on (microseconds since 1970): what is written from now on comes later,
    /// whatever its time.
    ///
    /// # Errors
    /// When nothing can be read.
    pub(super) fn open(&self, from: u64, matches: &[Match]) -> Result<Open, QueryError> {
        let mut keys = Keys::default();
        let setup = Setup { dry: true, ..Setup::default() };
        let pipeline = Pipeline::new(self.sections, self.destination, &setup, &mut keys);
        let waker = Waker::new().map_err(crate::journal::follow::WatchError::from)?;
        let tail = Tail::open(&self.narrowed(matches), keys, Start::Realtime(from), waker)?;
        Ok(Open { tail, pipeline })
    }
}

/// A journal that is open, to be followed.
pub(super) struct Open {
    tail: Tail,
    pipeline: Pipeline,
}

/// Why [`Open::follow`] pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Many entries have come.
    Many,
    /// All that is there has come.
    AtEnd,
}

impl Open {
    /// Shows entries to a sink as they come, until `stop` is set. `pause` is called when there are none for now, when many have
    /// come, and when the sink is `full`.
    ///
    /// # Errors
    /// When nothing can be read, or `pause` fails.
    pub(super) fn follow<S: Sink>(
        mut self,
        sink: S,
        full: fn(&S) -> bool,
        stop: &AtomicBool,
        pause: impl FnMut(&mut S, Pause) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut following = Following { pipeline: self.pipeline, sink, full, pause, entries: 0 };
        follow(&mut self.tail, &mut following, stop, &Pulse::default())
    }
}

/// Takes entries through the pipeline as they come.
struct Following<S, P> {
    pipeline: Pipeline,
    sink: S,
    full: fn(&S) -> bool,
    pause: P,
    entries: u64,
}

impl<S: Sink, P: FnMut(&mut S, Pause) -> Result<(), QueryError>> Follower for Following<S, P> {
    type Error = QueryError;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, QueryError> {
        self.pipeline.show(entry, &mut self.sink);
        self.entries += 1;
        if self.entries.is_multiple_of(LOOKED_AT) || (self.full)(&self.sink) {
            (self.pause)(&mut self.sink, Pause::Many)?;
        }
        Ok(Step::Next)
    }

    fn idle(&mut self, _tail: &mut Tail) -> Result<Rest, QueryError> {
        self.pipeline.show_held(&mut self.sink);
        (self.pause)(&mut self.sink, Pause::AtEnd)?;
        // Ctrl-C sets a flag, which somebody has to look at.
        Ok(Rest::Wait(Instant::now().checked_add(HELD_EVERY)))
    }
}

/// Takes entries of a span through the pipeline.
struct Reading<'r, 'q, S> {
    pipeline: Pipeline,
    sink: &'r mut S,
    span: (u64, u64),
    /// The next span begins behind it (microseconds since 1970).
    border: u64,
    /// The end that the sink named last.
    end: u64,
    run: &'r mut Run<'q>,
    /// What was read from journal files before (bytes).
    before: u64,
    progress: Progress,
}

impl<S> Reading<'_, '_, S> {
    /// Counts what was read from journal files.
    fn count(&mut self, tail: &Tail) -> Result<(), QueryError> {
        self.run.bytes_read = self.before.saturating_add(tail.counts().bytes_read);
        self.run.limits.read(self.run.bytes_read)
    }
}

impl<S: Asking> Follower for Reading<'_, '_, S> {
    type Error = QueryError;

    #[inline]
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, QueryError> {
        let realtime = entry.cursor().realtime;
        self.progress.entries += 1;
        if self.progress.entries.is_multiple_of(LOOKED_AT) {
            self.progress.at = realtime;
            self.progress.chosen = self.sink.chosen();
            (self.run.progress)(&self.progress);
            if self.run.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(QueryError::Deadline);
            }
        }
        let (from, to) = self.span;
        self.progress.edges.see((from, self.border), entry.cursor());
        if (from..=to).contains(&realtime) {
            self.pipeline.show(entry, self.sink);
        }
        if self.sink.is_done() {
            return Ok(Step::End);
        }
        let counts = self.run.limits.bytes_read.is_some() && self.progress.entries.is_multiple_of(COUNTED_AT);
        Ok(if counts || self.sink.end() < self.end { Step::Between } else { Step::Next })
    }

    fn between(&mut self, tail: &mut Tail) -> Result<Rest, QueryError> {
        self.end = self.sink.end();
        tail.end_at(self.end);
        self.count(tail).map(|()| Rest::Read)
    }

    fn idle(&mut self, _tail: &mut Tail) -> Result<Rest, QueryError> {
        Ok(Rest::End)
    }

    fn polls(&self) -> bool {
        false
    }
}
