//! Windows: what is kept of entries for one range aggregation, for the evaluations of its group.
//!
//! A window has room for a number of series. If a new series does not fit, the origin with the most series loses its newest
//! one. So the oldest series stay, and an origin with few series gets a place.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;

use super::memory;
use super::origin::Origin;
use super::pieces::{self, Pieces, Span};
use logql::aggregate::Point;
use logql::expr::{RangeAggregation, RangeOp};
use logql::label_set::LabelSet;
use logql::pipeline::{ERROR, PRESERVE};
use logql::vectors::{EvalError, Sample, Vector};
use logql::{MatchOp, Matcher};

/// Senders choose the labels, so this hash has a random seed and the better quality.
type BySet<T> = IndexMap<Arc<LabelSet>, T, foldhash::quality::RandomState>;

/// One range aggregation, evaluated every `interval` nanoseconds.
#[derive(Debug)]
pub(super) struct Window {
    range: RangeAggregation,
    interval: i64,
    /// The two places within an interval at which buckets begin (nanoseconds). They may be the same.
    cuts: [i64; 2],
    /// The series, the oldest first.
    series: BySet<Series>,
    /// How many series each origin has.
    origins: HashMap<Origin, usize, foldhash::fast::RandomState>,
    /// What series and their labels take (bytes), without the table of them.
    within: usize,
    /// What the whole window takes (bytes).
    bytes: usize,
    /// The buckets in which an entry failed, with the error. Errors of one kind share the first one.
    failed: VecDeque<(i64, Arc<EvalError>)>,
    /// The last bucket in which a series had no room, and what there was too little of.
    crowded: Option<(i64, Crowded)>,
    /// The last bucket in which not even one series had room.
    lost: Option<i64>,
    /// Samples that found no room for their series, and series that gave way (count).
    refused: u64,
    series_max: usize,
    /// Most that the labels of one series take (bytes).
    labels_max: usize,
    absent: Arc<LabelSet>,
}

/// What a window can have too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// It has the most series that it may have.
    Series(usize),
    /// There is no more memory.
    Memory,
}

#[derive(Debug)]
struct Series {
    origin: Origin,
    pieces: Pieces,
    /// What its labels take (bytes).
    labels: usize,
}

impl Series {
    fn bytes(&self) -> usize {
        self.labels + self.pieces.allocated()
    }
}

impl Window {
    /// `interval` in nanoseconds; at most `series_max` series at a time, whose labels take at most `labels_max` bytes each.
    pub(super) fn new(
        range: &RangeAggregation,
        interval: i64,
        (series_max, labels_max): (usize, usize),
    ) -> Window {
        let interval = interval.max(1);
        // Each is reduced first, because their sum may be too large for a time.
        let back = |by: i64| interval - by.rem_euclid(interval);
        let first = back(range.offset) % interval;
        let mut cuts = [first, (first + back(range.range)) % interval];
        cuts.sort_unstable();
        Window {
            absent: Arc::new(absent_labels(&range.query.matchers)),
            range: range.clone(),
            interval,
            cuts,
            series: BySet::default(),
            origins: HashMap::default(),
            within: 0,
            bytes: 0,
            failed: VecDeque::new(),
            crowded: None,
            lost: None,
            refused: 0,
            series_max: series_max.max(1),
            labels_max,
        }
    }

    /// Sets the most series at a time.
    pub(super) fn limit_series(&mut self, most: usize) {
        self.series_max = most.max(1);
    }

    /// How far before an evaluation an entry may lie and still count for it (nanoseconds).
    pub(super) fn reach(&self) -> i64 {
        self.range.range.saturating_add(self.range.offset.max(0))
    }

    /// How far before an evaluation the last entry lies that may count for it (nanoseconds): an offset may be negative.
    pub(super) fn offset(&self) -> i64 {
        self.range.offset
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// What it takes in memory (bytes), beyond what an empty one takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Updates what it takes, after a change.
    fn count(&mut self) {
        // A hash beside each pair; a place of a number, and a byte, in a table that is at most seven eighths full.
        let pair = size_of::<(usize, Arc<LabelSet>, Series)>();
        let place = (size_of::<usize>() + 1) * 8 / 7;
        let origin = (size_of::<(Origin, usize)>() + 1) * 8 / 7;
        let failed = self.failed.capacity() * size_of::<(i64, Arc<EvalError>)>();
        let tables = [self.series.capacity() * pair, self.series.capacity() * place, failed];
        let tables = tables.into_iter().chain([self.origins.capacity() * origin]);
        self.bytes = self.within + tables.map(memory::heap).sum::<usize>();
    }

    /// Samples that found no room for their series, and series that gave way (count).
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// What there was too little of in the window that was evaluated last, if a series had no room.
    pub(super) fn crowded(&self) -> Option<Crowded> {
        self.crowded.map(|(_, crowded)| crowded)
    }

    /// Whether the evaluation at a time (nanoseconds since 1970), which is the next one, will be of a window in which a series had no
    /// room.
    pub(super) fn will_be_crowded(&self, time: i64) -> bool {
        let after = || self.bucket(time.saturating_sub(self.range.offset).saturating_sub(self.range.range));
        self.crowded.is_some_and(|(number, _)| number > after())
    }

    /// Who made a series.
    pub(super) fn origin(&self, labels: &LabelSet) -> Option<Origin> {
        self.series.get(labels).map(|series| series.origin)
    }

    /// The number of the bucket that a time belongs to. Its end belongs to a bucket, its beginning does not.
    fn bucket(&self, time: i64) -> i64 {
        let [first, second] = self.cuts;
        let since = time.saturating_sub(first).saturating_sub(1);
        let behind = since.rem_euclid(self.interval) + 1 > second - first;
        // A query may have an interval of a nanosecond, and a range of centuries.
        let number = since.div_euclid(self.interval).saturating_mul(2);
        number.saturating_add(i64::from(behind && second > first))
    }

    /// Counts an entry. `origin` says who wrote it; it is called only for a new series.
    pub(super) fn add(&mut self, labels: &LabelSet, point: Point, origin: impl FnOnce() -> Origin) {
        let number = self.bucket(point.0);
        if let (Some(kind), None) = (labels.get(ERROR), labels.get(PRESERVE)) {
            self.fail(number, kind, labels);
            return;
        }
        let op = self.range.op;
        if let Some(series) = self.series.get_mut(labels) {
            let before = series.pieces.allocated();
            series.pieces.add(op, number, point);
            let after = series.pieces.allocated();
            self.within = self.within + after - before;
            self.bytes = self.bytes + after - before;
            return;
        }
        let origin = origin();
        let (text, _) = labels.allocated();
        if text > self.labels_max {
            self.crowd(number, Crowded::Memory);
            return;
        }
        if self.series.len() >= self.series_max {
            self.crowd(number, Crowded::Series(self.series_max));
            // A new series gets a place only if its origin still has fewer series then.
            let own = self.origins.get(&origin).copied().unwrap_or(0);
            if self.largest().is_none_or(|(_, most)| most <= own + 1) {
                return;
            }
            self.drop_newest();
        }
        let mut labels = labels.clone();
        labels.shrink();
        let mut series = Series { origin, pieces: Pieces::new(op), labels: memory::label_set(&labels) };
        series.pieces.add(op, number, point);
        self.within += series.bytes();
        *self.origins.entry(origin).or_default() += 1;
        self.series.insert(Arc::new(labels), series);
        self.count();
    }

    /// Whether what was kept of parts of the entries can be joined exactly.
    pub(super) fn joins(&self) -> bool {
        pieces::join(&self.range)
    }

    /// Whether it has left nothing out.
    pub(super) fn is_whole(&self) -> bool {
        self.failed.is_empty() && self.refused == 0
    }

    /// Takes over what a window of the same aggregation has kept of later entries. `false`: one of them has left something out.
    pub(super) fn join(&mut self, later: Window) -> bool {
        if !self.is_whole() || !later.is_whole() {
            return false;
        }
        for (labels, series) in later.series {
            match self.series.get_mut(&labels) {
                Some(own) => own.pieces.join(self.range.op, series.pieces),
                None => {
                    *self.origins.entry(series.origin).or_default() += 1;
                    self.series.insert(labels, series);
                }
            }
        }
        self.within = self.series.values().map(Series::bytes).sum();
        self.count();
        self.series.len() <= self.series_max
    }

    /// Notes that an entry failed in a bucket.
    fn fail(&mut self, number: i64, kind: &str, labels: &LabelSet) {
        // One error is enough for a bucket. Entries may come out of order.
        if self.failed.iter().rev().any(|(other, _)| *other == number) {
            return;
        }
        let same =
            |error: &EvalError| matches!(error, EvalError::Pipeline { kind: other, .. } if other == kind);
        let error = match self.failed.back().filter(|(_, error)| same(error)) {
            Some((_, error)) => error.clone(),
            None => Arc::new(EvalError::Pipeline {
                kind: memory::kept(kind.to_owned()),
                labels: memory::kept(labels.to_string()),
            }),
        };
        self.failed.push_back((number, error));
        self.count();
    }

    /// Notes that a sample had no room in a bucket.
    fn crowd(&mut self, number: i64, crowded: Crowded) {
        self.refused += 1;
        if self.crowded.is_none_or(|(last, _)| last <= number) {
            self.crowded = Some((number, crowded));
        }
    }

    /// The origin with the most series, and their number.
    fn largest(&self) -> Option<(Origin, usize)> {
        self.origins.iter().map(|(origin, count)| (*origin, *count)).max_by_key(|(_, count)| *count)
    }

    /// Frees memory for other windows: removes the newest series of the origin with the most series. `time` is that of the
    /// entry that found no room (nanoseconds since 1970). `false`: there is nothing more to remove.
    pub(super) fn give_way(&mut self, time: i64) -> bool {
        let number = self.bucket(time);
        self.crowd(number, Crowded::Memory);
        if self.series.len() == 1 {
            self.lost = Some(self.lost.map_or(number, |last| last.max(number)));
        }
        self.drop_newest()
    }

    fn drop_newest(&mut self) -> bool {
        let Some((origin, _)) = self.largest() else { return false };
        let Some(at) = self.series.values().rposition(|series| series.origin == origin) else { return false };
        if let Some((_, series)) = self.series.shift_remove_index(at) {
            self.forget(&series);
        }
        self.shrink();
        self.count();
        true
    }

    /// Removes a series.
    fn forget(&mut self, series: &Series) {
        self.within -= series.bytes();
        if let Some(count) = self.origins.get_mut(&series.origin) {
            *count -= 1;
            if *count == 0 {
                self.origins.remove(&series.origin);
            }
        }
    }

    /// Shrinks tables that are mostly empty.
    fn shrink(&mut self) {
        const ALWAYS: usize = 16;
        if self.series.capacity() > 4 * self.series.len() + ALWAYS {
            self.series.shrink_to(2 * self.series.len());
        }
        if self.origins.capacity() > 4 * self.origins.len() + ALWAYS {
            self.origins.shrink_to(2 * self.origins.len());
        }
    }

    /// The series at an evaluation (nanoseconds since 1970), the oldest first. What later evaluations do not need is
    /// forgotten.
    ///
    /// # Errors
    /// An entry in the window failed, or not even one series had room.
    pub(super) fn value_at(&mut self, time: i64) -> Result<Vector, EvalError> {
        let end = time.saturating_sub(self.range.offset);
        let span = Span {
            after: self.bucket(end.saturating_sub(self.range.range)),
            last: self.bucket(end),
            // What the next evaluation does not need makes room for new series.
            next: self.bucket(end.saturating_add(self.interval).saturating_sub(self.range.range)),
        };
        self.failed.retain(|(number, _)| *number > span.after);
        self.crowded = self.crowded.filter(|(number, _)| *number > span.after);
        self.lost = self.lost.filter(|number| *number > span.after);
        let vector = if self.series.is_empty() { Vec::new() } else { self.values(span, end) };
        if let Some((_, error)) = self.failed.iter().find(|(number, _)| *number <= span.last) {
            return Err((**error).clone());
        }
        if self.lost.is_some() {
            return Err(EvalError::NoRoom);
        }
        if self.range.op == RangeOp::AbsentOverTime {
            let absent = Sample { labels: self.absent.clone(), value: 1.0 };
            return Ok(if vector.is_empty() { vec![absent] } else { Vec::new() });
        }
        Ok(vector)
    }

    /// The values of the series. What is no longer needed is forgotten.
    fn values(&mut self, span: Span, end: i64) -> Vector {
        let (mut vector, mut within) = (Vec::new(), 0);
        let Window { range, series, origins, .. } = self;
        series.retain(|labels, series| {
            if let Some(value) = series.pieces.value(range, span, end) {
                vector.push(Sample { labels: labels.clone(), value });
            }
            let stays = !series.pieces.is_empty();
            match (stays, origins.get_mut(&series.origin)) {
                (true, _) => within += series.bytes(),
                (false, Some(count)) => *count -= 1,
                (false, None) => {}
            }
            stays
        });
        origins.retain(|_, count| *count > 0);
        self.within = within;
        self.shrink();
        self.count();
        vector
    }
}

/// The labels of the result of `absent_over_time`: those with one matcher only, which must be `=` (grafana/loki,
/// `pkg/logql/evaluator.go`, `absentLabels`).
fn absent_labels(matchers: &[Matcher]) -> LabelSet {
    let mut labels = LabelSet::default();
    let mut others: Vec<&str> = Vec::new();
    for matcher in matchers {
        match matcher.op() == MatchOp::Equal && labels.get(matcher.name()).is_none() {
            true => labels.insert(matcher.name(), matcher.value().as_bytes()),
            false => others.push(matcher.name()),
        }
    }
    for name in others {
        labels.remove(name);
    }
    labels
}

#[cfg(test)]
mod tests;
