//! What must be in Loki: the entries of a part of the span, as the pipeline makes them for one destination.
//!
//! Of each entry only its stream, its time and a hash of its line are kept, sorted by stream and time. So a count over any
//! interval of a stream is two searches. A part holds at most so many entries ([`ROWS_MAX`]), whatever the span has.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use indexmap::IndexMap;

use super::{Interval, VerifyError};
use crate::journal::follow::{Follower, Rest, Step, WatchError, follow};
use crate::loki::Destination;
use crate::loki::encode::Metadata;
use crate::os::systemd::Pulse;
use crate::pipeline::{Pipeline, Take};
use crate::query::Progress;
use crate::query::journal::{BESIDE, LOOKED_AT};
use crate::shape::Sections;
use crate::shape::labels::Stream;
use crate::shape::stages::Setup;
use journald_reader::{Entry, Keys, Scope, Start, Tail, Waker};
use logql::label_set;

/// The most entries that are held at once, if nobody wants another number (count): 24 MB.
pub const ROWS_MAX: usize = 1 << 20;
/// The most streams of a span (count). A host has hundreds; `labels.max_streams` keeps it to 5,000 at a time.
const STREAMS_MAX: usize = 100_000;

/// The journal, and what becomes of its entries on the way to a destination.
#[derive(Debug, Clone)]
pub struct Source<'c> {
    /// Which journal is read.
    pub scope: Scope,
    /// What becomes of an entry.
    pub sections: Sections<'c>,
    /// Where it goes.
    pub destination: &'c Destination,
}

/// The name of a stream in Loki: the tenant that a stage has set, and its labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamName {
    /// The tenant; `None`: that of the destination.
    pub tenant: Option<Arc<str>>,
    /// `{a="b", c="d"}`
    pub labels: Arc<str>,
}

/// An entry: its stream, its time (nanoseconds since 1970), and a hash of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) stream: u32,
    pub(super) time: i64,
    pub(super) hash: u64,
}

/// The streams of a span, by the numbers that stand for them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    found: IndexMap<StreamName, BTreeMap<String, String>, foldhash::quality::RandomState>,
    /// The hash of lines. Its key is drawn at random: who writes to the journal cannot choose lines that look the same.
    hasher: foldhash::quality::RandomState,
}

impl Streams {
    /// A stream's name and its labels.
    pub(super) fn get(&self, stream: u32) -> Option<(&StreamName, &BTreeMap<String, String>)> {
        self.found.get_index(stream as usize)
    }

    /// All streams, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&StreamName, &BTreeMap<String, String>)> {
        self.found.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// The hash of a line.
    pub(super) fn hash(&self, line: &str) -> u64 {
        self.hasher.hash_one(line)
    }

    /// The number of a stream, which may be new. `None`: there are too many.
    pub(super) fn number(&mut self, tenant: Option<&str>, labels: &Arc<str>) -> Option<u32> {
        let name = StreamName { tenant: tenant.map(Arc::from), labels: labels.clone() };
        if self.found.len() >= STREAMS_MAX && !self.found.contains_key(&name) {
            return None;
        }
        let entry = self.found.entry(name);
        let number = entry.index();
        entry.or_insert_with(|| label_set::parse(labels));
        u32::try_from(number).ok()
    }
}

/// The entries of an interval.
#[derive(Debug, Default)]
pub(super) struct Expected {
    rows: Vec<Row>,
    /// Entries within the interval that were not sent: those before the first that was, and those behind the last (count).
    pub(super) unsent: (u64, u64),
}

impl Expected {
    /// The entries of a stream within an interval, in the order of time.
    pub(super) fn rows(&self, stream: u32, within: Interval) -> &[Row] {
        let first = self.rows.partition_point(|row| (row.stream, row.time) <= (stream, within.after));
        let behind = self.rows.partition_point(|row| (row.stream, row.time) <= (stream, within.until));
        self.rows.get(first..behind).unwrap_or_default()
    }

    /// How many entries a stream has within an interval (count).
    pub(super) fn count(&self, stream: u32, within: Interval) -> u64 {
        self.rows(stream, within).len() as u64
    }

    /// The streams that have entries.
    pub(super) fn streams(&self) -> Vec<u32> {
        let mut streams: Vec<u32> = self.rows.iter().map(|row| row.stream).collect();
        streams.dedup();
        streams
    }

    /// How many entries there are (count).
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// What came of reading.
pub(super) enum Read {
    /// The entries.
    All(Expected),
    /// There are more than can be held; so many stand up to this time (nanoseconds since 1970).
    TooMany(i64),
}

/// Gathers the entries of an interval.
struct Gathering<'s> {
    streams: &'s mut Streams,
    within: Interval,
    shipped: Interval,
    unsent: (u64, u64),
    rows: Vec<Row>,
    /// The most rows (count).
    most: usize,
    /// The number of the stream that the pipeline knows by this number, as long as this pipeline lives.
    numbers: Vec<Option<u32>>,
    /// The newest time that was seen (nanoseconds since 1970).
    newest: i64,
    too_many: bool,
    crowded: bool,
}

impl Take for Gathering<'_> {
    fn push(&mut self, tenant: Option<&str>, stream: &Stream, time: u64, line: &str, _: &Metadata) {
        let time = i64::try_from(time).unwrap_or(i64::MAX);
        self.newest = self.newest.max(time);
        if !self.within.contains(time) {
            return;
        }
        if !self.shipped.contains(time) {
            let (sooner, later) = &mut self.unsent;
            *if time <= self.shipped.after { sooner } else { later } += 1;
            return;
        }
        if self.rows.len() >= self.most {
            self.too_many = true;
            return;
        }
        let known = self.numbers.get(stream.id as usize).copied().flatten().filter(|_| tenant.is_none());
        let Some(number) = known.or_else(|| self.streams.number(tenant, &stream.labels)) else {
            self.crowded = true;
            return;
        };
        if known.is_none() && tenant.is_none() {
            let at = stream.id as usize;
            if self.numbers.len() <= at {
                self.numbers.resize(at + 1, None);
            }
            if let Some(known) = self.numbers.get_mut(at) {
                *known = Some(number);
            }
        }
        self.rows.push(Row { stream: number, time, hash: self.streams.hash(line) });
    }
}

/// Reads the entries of an interval, at most so many. Only those within `shipped` were sent.
///
/// # Errors
/// The journal cannot be read, or it has more streams than can be told apart.
pub(super) fn read(
    source: &Source<'_>,
    (within, shipped): (Interval, Interval),
    most: usize,
    streams: &mut Streams,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Read, VerifyError> {
    let mut gathering = Gathering {
        streams,
        within,
        shipped,
        unsent: (0, 0),
        rows: Vec::new(),
        most,
        numbers: Vec::new(),
        newest: 0,
        too_many: false,
        crowded: false,
    };
    each(source, within, Clock::Entries, &mut gathering, |taker| taker.too_many, stop, progress)?;
    let Gathering { mut rows, unsent, newest, too_many, crowded, .. } = gathering;
    if crowded {
        return Err(VerifyError::Streams(STREAMS_MAX));
    }
    if too_many {
        return Ok(Read::TooMany(newest));
    }
    rows.sort_unstable();
    // Loki folds entries that are equal in stream, time and line.
    rows.dedup();
    Ok(Read::All(Expected { rows, unsent }))
}

/// Which time it is for stages and retention rules that ask how old an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// When the entry was written: what is too old now was not when it was shipped.
    Entries,
    /// Now.
    Wall,
}

/// Takes the entries of an interval, and some beside it where stages may give them other times, to the end of the pipeline.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn each<T: Take>(
    source: &Source<'_>,
    within: Interval,
    clock: Clock,
    taker: &mut T,
    done: impl FnMut(&mut T) -> bool,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(), VerifyError> {
    let beside = if source.sections.stages.is_empty() { 0 } else { BESIDE };
    let micros = |nanoseconds: i64| u64::try_from(nanoseconds.div_euclid(1000)).unwrap_or(0);
    let span = (micros(within.after).saturating_sub(beside), micros(within.until).saturating_add(beside));
    let mut keys = Keys::default();
    let setup = Setup { dry: true, ..Setup::default() };
    let pipeline = Pipeline::new(source.sections, Some(source.destination), &setup, &mut keys);
    let waker = Waker::new().map_err(WatchError::from)?;
    // Nothing is narrowed: the digits below the microsecond are those that were shipped.
    let start = Start::Span { from: span.0, until: span.1 };
    let mut tail = Tail::open(&source.scope, keys, start, waker)?;
    let mut reading = Reading {
        pipeline,
        taker,
        done,
        span,
        clock,
        progress,
        seen: Progress { span, ..Progress::default() },
    };
    follow(&mut tail, &mut reading, stop, &Pulse::default())?;
    if stop.load(Relaxed) {
        return Err(VerifyError::Stopped);
    }
    let Reading { mut pipeline, taker, .. } = reading;
    pipeline.release_all(taker);
    Ok(())
}

struct Reading<'r, T, D> {
    pipeline: Pipeline,
    taker: &'r mut T,
    done: D,
    /// Microseconds since 1970, both ends inclusive.
    span: (u64, u64),
    clock: Clock,
    progress: &'r mut dyn FnMut(&Progress),
    seen: Progress,
}

impl<T: Take, D: FnMut(&mut T) -> bool> Follower for Reading<'_, T, D> {
    type Error = VerifyError;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, VerifyError> {
        let realtime = entry.cursor().realtime;
        self.seen.entries += 1;
        if self.seen.entries.is_multiple_of(LOOKED_AT) {
            self.seen.at = realtime;
            (self.progress)(&self.seen);
        }
        let (from, to) = self.span;
        if (from..=to).contains(&realtime) {
            if self.clock == Clock::Entries {
                let now = i64::try_from(realtime).unwrap_or(i64::MAX).saturating_mul(1000);
                self.pipeline.set_time(now);
            }
            self.pipeline.append(entry, self.taker);
            if (self.done)(self.taker) {
                return Ok(Step::End);
            }
        }
        Ok(Step::Next)
    }

    fn idle(&mut self, _tail: &mut Tail) -> Result<Rest, VerifyError> {
        Ok(Rest::End)
    }

    fn polls(&self) -> bool {
        false
    }
}
