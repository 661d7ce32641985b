//! The engine: it looks at each entry once, and evaluates each expression when its time has come.
//!
//! Time is that of the entries. An evaluation at t sees the entries up to t. So it is made when an entry after t comes, or
//! when the caller knows that no more will come. Following the journal, catching up and testing rules on the past work alike.
//!
//! All windows share one budget of memory. When it is used up, the largest window loses its newest series. So a flood in
//! one window leaves the others their share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory::{self, MEMORY_MAX};
use super::origin::Origin;
use super::window::{Crowded, Window};
use logql::expr::{Expr, Grouping, RangeAggregation};
use logql::label_set::LabelSet;
use logql::pipeline::Extractor;
use logql::vectors::{EvalError, Vector, evaluate};

/// Streams whose sources are remembered (count).
const STREAMS_MAX: usize = 8 << 10;

/// Makes samples of entries, for all windows whose expressions select the same entries in the same way.
#[derive(Debug)]
struct Source {
    extractor: Extractor,
    windows: Vec<usize>,
    /// Whether it has met a stream that it selects.
    streams: bool,
    /// Whether an entry has passed its filters.
    entries: bool,
}

/// An expression and its windows, in the order of its range aggregations.
#[derive(Debug)]
struct Watched {
    expr: Expr,
    interval: i64,
    windows: Vec<usize>,
}

/// The expressions that are evaluated.
#[derive(Debug)]
pub struct Engine {
    watched: Vec<Watched>,
    windows: Vec<Window>,
    sources: Vec<Source>,
    /// The sources of a stream, by the address of its label set. No sender can choose an address, so the hash needs no key.
    by_stream: HashMap<usize, (Arc<LabelSet>, Vec<usize>), foldhash::fast::RandomState>,
    series_max: usize,
    /// Most that the labels of one series take (bytes).
    labels_max: usize,
    /// The most that all windows may take (bytes).
    memory_max: usize,
    /// What all windows take (bytes).
    held: usize,
    /// The last time that was evaluated, for each interval (nanoseconds).
    ticks: BTreeMap<i64, i64>,
    /// Before this time there is nothing to evaluate (nanoseconds). It is checked for every entry.
    idle: Option<i64>,
}

/// The value of a watched expression at a time.
#[derive(Debug)]
pub struct Evaluation {
    /// Its number, as [`Engine::watch`] gave it.
    pub number: usize,
    /// When (nanoseconds since 1970).
    pub time: i64,
    /// Its series. Those of one origin are in the order of their age, and origins take turns.
    pub result: Result<Vector, EvalError>,
    /// What its windows had too little of. If this is set, some series are missing in the result.
    pub crowded: Option<Crowded>,
    /// Samples that found no room for their series, and series that gave way, since the beginning (count).
    pub refused: u64,
    /// How long it took.
    pub took: Duration,
}

impl Engine {
    /// An engine without expressions. A range aggregation has at most `series_max` series, and all windows together take
    /// their share of [`MEMORY_MAX`].
    pub fn new(series_max: usize) -> Engine {
        Engine {
            watched: Vec::new(),
            windows: Vec::new(),
            sources: Vec::new(),
            by_stream: HashMap::default(),
            series_max,
            labels_max: memory::SERIES_LABELS_MAX,
            memory_max: memory::of_windows(MEMORY_MAX),
            held: 0,
            ticks: BTreeMap::new(),
            idle: None,
        }
    }

    /// Sets the most that all windows may take (bytes).
    pub fn limit_memory(&mut self, bytes: usize) {
        self.memory_max = bytes;
    }

    /// Sets the most series that a range aggregation may have, also for expressions that are watched already.
    pub fn limit_series(&mut self, most: usize) {
        self.series_max = most;
        self.windows.iter_mut().for_each(|window| window.limit_series(most));
    }

    /// Sets the most that the labels of one series may take (bytes), for expressions that are watched from now on.
    pub fn limit_labels(&mut self, bytes: usize) {
        self.labels_max = bytes;
    }

    /// What windows take (bytes).
    pub fn bytes(&self) -> usize {
        self.held
    }

    /// Adds an expression, to be evaluated at all multiples of `interval` (nanoseconds). Returns its number.
    pub fn watch(&mut self, expr: Expr, interval: i64) -> usize {
        let interval = interval.max(1);
        let mut windows = Vec::new();
        let mut wanted: Vec<(RangeAggregation, Option<Grouping>)> = Vec::new();
        expr.ranges(&mut |range, outer| wanted.push((range.clone(), outer.cloned())));
        for (range, outer) in wanted {
            let index = self.windows.len();
            self.windows.push(Window::new(&range, interval, (self.series_max, self.labels_max)));
            windows.push(index);
            let extractor = Extractor::new(&range, outer.as_ref());
            match self.sources.iter_mut().find(|source| source.extractor == extractor) {
                Some(source) => source.windows.push(index),
                None => self.sources.push(Source {
                    extractor,
                    windows: vec![index],
                    streams: false,
                    entries: false,
                }),
            }
        }
        self.by_stream.clear();
        self.idle = None;
        self.watched.push(Watched { expr, interval, windows });
        self.watched.len() - 1
    }

    /// How far before an evaluation an entry may lie and still count for it (nanoseconds).
    pub fn reach(&self) -> i64 {
        self.windows.iter().map(Window::reach).max().unwrap_or(0)
    }

    /// How far behind an evaluation an entry may lie and still count for it (nanoseconds).
    pub fn ahead(&self) -> i64 {
        self.nearest().saturating_neg().max(0)
    }

    /// How far before an evaluation the last entry lies that may count for it (nanoseconds): the smallest offset.
    pub fn nearest(&self) -> i64 {
        self.windows.iter().map(Window::offset).min().unwrap_or(0)
    }

    /// Whether every range aggregation of an expression has met a stream that it selects, and whether every one has met an
    /// entry that passes its filters.
    pub fn met(&self, number: usize) -> (bool, bool) {
        let windows = self.watched.get(number).map(|watched| watched.windows.as_slice()).unwrap_or_default();
        let of = |window: &usize| self.sources.iter().find(|source| source.windows.contains(window));
        let met = |what: fn(&Source) -> bool| windows.iter().all(|window| of(window).is_some_and(what));
        (met(|source| source.streams), met(|source| source.entries))
    }

    /// Whether engines that have looked at parts of the entries come to exactly what one comes to that looks at all, when they are
    /// joined.
    pub fn joins(&self) -> bool {
        self.windows.iter().all(Window::joins)
    }

    /// Whether its windows have left nothing out, for want of room or because an entry failed.
    pub fn is_whole(&self) -> bool {
        self.windows.iter().all(Window::is_whole)
    }

    /// Whether the next evaluation will lack series that had no room, whatever comes until then. It is at most at `last` (nanoseconds
    /// since 1970), if it is wanted.
    pub fn will_be_crowded(&self, last: i64) -> bool {
        let is_crowded = |window: &Window| window.crowded().is_some();
        let Some(next) = self.windows.iter().any(is_crowded).then(|| self.next()).flatten() else {
            return false;
        };
        next <= last && self.windows.iter().any(|window| window.will_be_crowded(next))
    }

    /// Takes over what another engine, which watches the same, has kept of the entries behind those that this one has looked at.
    /// `false`: one of them has left something out, and what they have together is not what one alone would have.
    pub fn join(&mut self, later: Engine) -> bool {
        let mut whole = self.windows.len() == later.windows.len();
        for (window, later) in self.windows.iter_mut().zip(later.windows) {
            whole &= window.join(later);
        }
        for (source, later) in self.sources.iter_mut().zip(later.sources) {
            source.streams |= later.streams;
            source.entries |= later.entries;
        }
        self.held = self.windows.iter().map(Window::bytes).sum();
        whole && self.held <= self.memory_max
    }

    /// The number of series in all windows.
    pub fn series(&self) -> usize {
        self.windows.iter().map(Window::len).sum()
    }

    /// The time of the next evaluation (nanoseconds since 1970), if it is known.
    pub fn next(&self) -> Option<i64> {
        self.ticks.iter().filter_map(|(interval, last)| last.checked_add(*interval)).min()
    }

    /// Skips the evaluations up to a time.
    pub fn skip(&mut self, to: i64) {
        for (interval, last) in &mut self.ticks {
            *last = (*last).max(to.div_euclid(*interval) * *interval);
        }
        self.idle = self.next();
    }

    /// Whether any source selects a stream. Two label sets with the same address are the same set.
    pub fn wants(&mut self, labels: &Arc<LabelSet>) -> bool {
        let key = Arc::as_ptr(labels) as usize;
        if let Some((_, sources)) = self.by_stream.get(&key) {
            return !sources.is_empty();
        }
        if self.by_stream.len() >= STREAMS_MAX {
            self.by_stream.clear();
        }
        let chosen = |(index, source): (usize, &Source)| source.extractor.matches(labels).then_some(index);
        let sources: Vec<_> = self.sources.iter().enumerate().filter_map(chosen).collect();
        let wanted = !sources.is_empty();
        for source in &sources {
            if let Some(source) = self.sources.get_mut(*source) {
                source.streams = true;
            }
        }
        // The set is kept, so that no other set can get its address.
        self.by_stream.insert(key, (labels.clone(), sources));
        wanted
    }

    /// Whether every aggregation begins with line filters, so that [`Engine::may_observe`] can say no.
    pub fn filters_lines(&self) -> bool {
        self.sources.iter().all(|source| source.extractor.filters_lines())
    }

    /// Whether a line passes the line filters of any aggregation: an entry with another one changes nothing.
    #[inline]
    pub fn may_observe(&self, line: &str) -> bool {
        self.sources.iter().any(|source| source.extractor.may_extract(line))
    }

    /// Looks at an entry of a stream; `time` in nanoseconds since 1970. Evaluate up to it first.
    pub fn observe<'m>(
        &mut self,
        time: i64,
        labels: &Arc<LabelSet>,
        line: &str,
        metadata: impl Iterator<Item = (&'m str, &'m str)> + Clone,
    ) {
        self.observe_from(time, labels, line, metadata, || Origin::of_stream(labels));
    }

    /// As [`Engine::observe`]. `origin` says who wrote the entry; it is called only for a new series.
    pub(super) fn observe_from<'m>(
        &mut self,
        time: i64,
        labels: &Arc<LabelSet>,
        line: &str,
        metadata: impl Iterator<Item = (&'m str, &'m str)> + Clone,
        origin: impl Fn() -> Origin,
    ) {
        if !self.wants(labels) {
            return;
        }
        let Engine { by_stream, sources: all, windows, held, .. } = self;
        let Some((_, sources)) = by_stream.get(&(Arc::as_ptr(labels) as usize)) else { return };
        for source in sources {
            let Some(source) = all.get_mut(*source) else { continue };
            let Some((series, value)) = source.extractor.extract(labels, (time, line), metadata.clone())
            else {
                continue;
            };
            source.entries = true;
            for window in &source.windows {
                if let Some(window) = windows.get_mut(*window) {
                    let before = window.bytes();
                    window.add(&series, (time, value), &origin);
                    *held = *held + window.bytes() - before;
                }
            }
        }
        while self.held > self.memory_max && self.make_room(time) {}
    }

    /// Takes a series from the largest window. `time` is that of the entry that found no room.
    fn make_room(&mut self, time: i64) -> bool {
        let Some(largest) = self.windows.iter_mut().max_by_key(|window| window.bytes()) else { return false };
        let before = largest.bytes();
        let gave = largest.give_way(time);
        self.held = self.held + largest.bytes() - before;
        gave
    }

    /// Makes all evaluations up to a time (nanoseconds since 1970) that were not made yet, in the order of time. The first
    /// call makes none: it only sets the time.
    pub fn advance(&mut self, to: i64, mut done: impl FnMut(Evaluation)) {
        if self.idle.is_some_and(|idle| to < idle) {
            return;
        }
        for watched in &self.watched {
            let before = to.div_euclid(watched.interval) * watched.interval;
            self.ticks.entry(watched.interval).or_insert(before);
        }
        while let Some((interval, time)) = self
            .ticks
            .iter()
            .filter_map(|(interval, last)| Some((*interval, last.checked_add(*interval)?)))
            .min_by_key(|(_, next)| *next)
            && time <= to
        {
            self.ticks.insert(interval, time);
            for (number, watched) in self.watched.iter().enumerate().filter(|(_, w)| w.interval == interval) {
                let begun = Instant::now();
                let mut windows = watched.windows.iter();
                let (all, held) = (&mut self.windows, &mut self.held);
                let result = evaluate(&watched.expr, &mut |_| {
                    let Some(window) = windows.next().and_then(|index| all.get_mut(*index)) else {
                        return Ok(Vec::new());
                    };
                    let before = window.bytes();
                    let value = window.value_at(time);
                    *held = *held + window.bytes() - before;
                    value
                });
                let own = || watched.windows.iter().filter_map(|index| all.get(*index));
                done(Evaluation {
                    number,
                    time,
                    result: result.map(|vector| in_turns(vector, own)),
                    crowded: own().find_map(Window::crowded),
                    refused: own().map(Window::refused).sum(),
                    took: begun.elapsed(),
                });
            }
        }
        self.idle = self.next();
    }
}

/// Orders the series of a vector so that origins take turns. Then taking the first series is fair to all origins. With one
/// origin, or if the windows do not know the series, the order stays.
fn in_turns<'w, I: Iterator<Item = &'w Window>>(vector: Vector, windows: impl Fn() -> I) -> Vector {
    if vector.len() <= 1 {
        return vector;
    }
    let mut counts: HashMap<Origin, usize> = HashMap::new();
    let turn = |labels: &LabelSet, counts: &mut HashMap<Origin, usize>| {
        let origin = windows().find_map(|window| window.origin(labels)).unwrap_or_default();
        let count = counts.entry(origin).or_default();
        *count += 1;
        *count
    };
    let turns: Vec<_> = vector.iter().map(|sample| turn(&sample.labels, &mut counts)).collect();
    if counts.len() <= 1 {
        return vector;
    }
    let mut placed: Vec<_> = turns.into_iter().zip(vector).collect();
    placed.sort_by_key(|(turn, _)| *turn);
    placed.into_iter().map(|(_, sample)| sample).collect()
}
