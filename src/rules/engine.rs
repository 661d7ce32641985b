//! The engine: looks at each entry once and evaluates expressions when their time has come.
//!
//! Time is that of the entries. An evaluation at t sees the entries up to t, so it is made when an entry behind t comes,
//! or when the caller knows that none will: following the journal, catching up, and testing rules on the past are one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::window::Window;
use crate::labels::LabelSet;
use crate::logql::expr::{Expr, Grouping, RangeAggregation};
use crate::logql::pipeline::Extractor;
use crate::logql::vectors::{EvalError, Vector, evaluate};

/// Streams whose sources are remembered (count).
const STREAMS_MAX: usize = 8 << 10;

/// Makes samples of entries for the windows that want the same.
#[derive(Debug)]
struct Source {
    extractor: Extractor,
    windows: Vec<usize>,
    /// A stream was met that it chooses.
    streams: bool,
    /// An entry has passed.
    entries: bool,
}

/// An expression and its windows, in the order of its range aggregations.
#[derive(Debug)]
struct Watched {
    expr: Expr,
    interval: i64,
    windows: Vec<usize>,
}

/// Expressions that are watched.
#[derive(Debug, Default)]
pub struct Engine {
    watched: Vec<Watched>,
    windows: Vec<Window>,
    sources: Vec<Source>,
    /// By the address of the set, which no sender can choose: the hash need not be keyed.
    by_stream: HashMap<usize, (Arc<LabelSet>, Vec<usize>), foldhash::fast::RandomState>,
    series_max: usize,
    /// The last time that was evaluated, for each interval (nanoseconds).
    ticks: BTreeMap<i64, i64>,
    /// Before this there is nothing to evaluate (nanoseconds): every entry asks.
    idle: Option<i64>,
}

/// The value of a watched expression at a time.
#[derive(Debug)]
pub struct Evaluation {
    /// Its number, as [`Engine::watch`] gave it.
    pub number: usize,
    /// When (nanoseconds since 1970).
    pub time: i64,
    /// Its series.
    pub result: Result<Vector, EvalError>,
}

impl Engine {
    /// Watches nothing yet. A range aggregation has at most `series_max` series.
    pub fn new(series_max: usize) -> Engine {
        Engine { series_max, ..Engine::default() }
    }

    /// Watches an expression: it will be evaluated at all multiples of `interval` (nanoseconds). Gives its number.
    pub fn watch(&mut self, expr: Expr, interval: i64) -> usize {
        let interval = interval.max(1);
        let mut windows = Vec::new();
        let mut wanted: Vec<(RangeAggregation, Option<Grouping>)> = Vec::new();
        expr.ranges(&mut |range, outer| wanted.push((range.clone(), outer.cloned())));
        for (range, outer) in wanted {
            let index = self.windows.len();
            self.windows.push(Window::new(&range, interval, self.series_max));
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

    /// How long before an evaluation an entry may lie that counts for it (nanoseconds).
    pub fn reach(&self) -> i64 {
        self.windows.iter().map(Window::reach).max().unwrap_or(0)
    }

    /// Whether each range aggregation of an expression has met a stream that it chooses, and an entry that passes: all of them
    /// have, or not.
    pub fn met(&self, number: usize) -> (bool, bool) {
        let windows = self.watched.get(number).map(|watched| watched.windows.as_slice()).unwrap_or_default();
        let of = |window: &usize| self.sources.iter().find(|source| source.windows.contains(window));
        let met = |what: fn(&Source) -> bool| windows.iter().all(|window| of(window).is_some_and(what));
        (met(|source| source.streams), met(|source| source.entries))
    }

    /// How many series there are in all windows.
    pub fn series(&self) -> usize {
        self.windows.iter().map(Window::len).sum()
    }

    /// The first evaluation that is still to be made (nanoseconds since 1970), once it is known when it is.
    pub fn next(&self) -> Option<i64> {
        self.ticks.iter().filter_map(|(interval, last)| last.checked_add(*interval)).min()
    }

    /// Evaluations up to a time are not made.
    pub fn skip(&mut self, to: i64) {
        for (interval, last) in &mut self.ticks {
            *last = (*last).max(to.div_euclid(*interval) * *interval);
        }
        self.idle = self.next();
    }

    /// Whether any source chooses a stream. Sets with one address are one set.
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
        // The set is kept, so that no other one can have its address.
        self.by_stream.insert(key, (labels.clone(), sources));
        wanted
    }

    /// Looks at an entry of a stream; `time` in nanoseconds since 1970. Evaluate up to it first.
    pub fn observe<'m>(
        &mut self,
        time: i64,
        labels: &Arc<LabelSet>,
        line: &str,
        metadata: impl Iterator<Item = (&'m str, &'m str)> + Clone,
    ) {
        if !self.wants(labels) {
            return;
        }
        let Some((_, sources)) = self.by_stream.get(&(Arc::as_ptr(labels) as usize)) else { return };
        for source in sources {
            let Some(source) = self.sources.get_mut(*source) else { continue };
            let Some((series, value)) = source.extractor.extract(labels, line, metadata.clone()) else {
                continue;
            };
            source.entries = true;
            for window in &source.windows {
                if let Some(window) = self.windows.get_mut(*window) {
                    window.add(&series, (time, value));
                }
            }
        }
    }

    /// Makes all evaluations up to a time (nanoseconds since 1970) that were not made yet, in the order of time. The
    /// first call only says when it is.
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
                let mut windows = watched.windows.iter();
                let all = &mut self.windows;
                let result = evaluate(&watched.expr, &mut |_| {
                    let window = windows.next().and_then(|index| all.get_mut(*index));
                    window.map_or(Ok(Vec::new()), |window| window.value_at(time))
                });
                done(Evaluation { number, time, result });
            }
        }
        self.idle = self.next();
    }
}
