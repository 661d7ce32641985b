//! Pieces: the buckets of one series, in the order of time.

use std::collections::VecDeque;

use super::bucket::{Bucket, Moments, Sum};
use super::memory::heap;
use logql::aggregate::Point;
use logql::expr::{RangeAggregation, RangeOp};

/// The buckets of a series, of the kind that its aggregation needs.
#[derive(Debug)]
pub(super) enum Pieces {
    /// Buckets of one number.
    Sums(Line<Sum>),
    /// Buckets with more.
    Moments(Line<Moments>),
}

/// Whether the samples of an aggregation come to exactly the same, wherever they are parted. Counts and lengths do, which are
/// whole numbers, and so do the smallest and the largest value; sums of fractions do not.
pub(super) fn join(range: &RangeAggregation) -> bool {
    match range.op {
        RangeOp::CountOverTime
        | RangeOp::BytesRate
        | RangeOp::BytesOverTime
        | RangeOp::MinOverTime
        | RangeOp::MaxOverTime
        | RangeOp::AbsentOverTime => true,
        RangeOp::Rate => range.query.unwrap.is_none(),
        RangeOp::SumOverTime
        | RangeOp::AvgOverTime
        | RangeOp::StdvarOverTime
        | RangeOp::StddevOverTime
        | RangeOp::FirstOverTime
        | RangeOp::LastOverTime
        | RangeOp::RateCounter
        | RangeOp::QuantileOverTime => false,
    }
}

/// The buckets that an evaluation needs: those after `after`, up to `last`. The next evaluation does not need those up to
/// `next`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) after: i64,
    pub(super) last: i64,
    pub(super) next: i64,
}

impl Pieces {
    /// No buckets yet.
    pub(super) fn new(op: RangeOp) -> Pieces {
        match Sum::is_enough(op) {
            true => Pieces::Sums(Line::default()),
            false => Pieces::Moments(Line::default()),
        }
    }

    /// Adds a sample to the bucket of this number.
    pub(super) fn add(&mut self, op: RangeOp, number: i64, point: Point) {
        match self {
            Pieces::Sums(line) => line.add(op, number, point),
            Pieces::Moments(line) => line.add(op, number, point),
        }
    }

    /// Adds the buckets of later samples of the same aggregation.
    pub(super) fn join(&mut self, op: RangeOp, later: Pieces) {
        match (self, later) {
            (Pieces::Sums(line), Pieces::Sums(later)) => line.join(op, later),
            (Pieces::Moments(line), Pieces::Moments(later)) => line.join(op, later),
            (Pieces::Sums(_), Pieces::Moments(_)) | (Pieces::Moments(_), Pieces::Sums(_)) => {}
        }
    }

    /// The value of an aggregation whose window ends at `end` (nanoseconds since 1970), if it has a sample. Buckets that are
    /// no longer needed are forgotten.
    pub(super) fn value(&mut self, range: &RangeAggregation, span: Span, end: i64) -> Option<f64> {
        match self {
            Pieces::Sums(line) => line.value(range, span, end),
            Pieces::Moments(line) => line.value(range, span, end),
        }
    }

    /// Whether it holds no bucket.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Pieces::Sums(line) => line.buckets.is_empty(),
            Pieces::Moments(line) => line.buckets.is_empty(),
        }
    }

    /// What the buckets have allocated (bytes).
    pub(super) fn allocated(&self) -> usize {
        match self {
            Pieces::Sums(line) => line.allocated(),
            Pieces::Moments(line) => line.allocated(),
        }
    }
}

/// Buckets by their number, the oldest first.
#[derive(Debug)]
pub(super) struct Line<B> {
    buckets: VecDeque<(i64, B)>,
    /// What the buckets themselves have allocated (bytes).
    within: usize,
}

impl<B> Default for Line<B> {
    fn default() -> Self {
        Line { buckets: VecDeque::new(), within: 0 }
    }
}

impl<B: Bucket> Line<B> {
    fn add(&mut self, op: RangeOp, number: i64, point: Point) {
        self.put(number, |bucket| bucket.add(op, point), || B::new(op, point));
    }

    fn join(&mut self, op: RangeOp, later: Line<B>) {
        for (number, bucket) in &later.buckets {
            self.put(*number, |own| own.merge(op, bucket), || bucket.clone());
        }
    }

    /// Changes the bucket of a number, or puts a new one in its place.
    fn put(&mut self, number: i64, change: impl FnOnce(&mut B), new: impl FnOnce() -> B) {
        // Usually it is the last bucket.
        let at = self.buckets.iter().rposition(|(other, _)| *other <= number);
        if let Some((other, bucket)) = at.and_then(|at| self.buckets.get_mut(at))
            && *other == number
        {
            let before = bucket.allocated();
            change(bucket);
            self.within = self.within + bucket.allocated() - before;
            return;
        }
        if self.buckets.len() == self.buckets.capacity() {
            // It grows by a quarter. If it doubled, half of the memory might be unused.
            self.buckets.reserve_exact(self.buckets.len() / 4 + 1);
        }
        let bucket = new();
        self.within += bucket.allocated();
        self.buckets.insert(at.map_or(0, |at| at + 1), (number, bucket));
    }

    fn value(&mut self, range: &RangeAggregation, span: Span, end: i64) -> Option<f64> {
        let inside = |number: i64| span.after < number && number <= span.last;
        let mut merged: Option<B> = None;
        for (_, bucket) in self.buckets.iter().filter(|(number, _)| inside(*number)) {
            match &mut merged {
                Some(merged) => merged.merge(range.op, bucket),
                None => merged = Some(bucket.clone()),
            }
        }
        while self.buckets.front().is_some_and(|(number, _)| *number <= span.next) {
            let gone = self.buckets.pop_front();
            self.within -= gone.map_or(0, |(_, bucket)| bucket.allocated());
        }
        if self.buckets.capacity() > 2 * self.buckets.len() + 4 {
            self.buckets.shrink_to(self.buckets.len() + self.buckets.len() / 4);
        }
        merged.map(|merged| merged.value(range, end))
    }

    fn allocated(&self) -> usize {
        heap(self.buckets.capacity() * size_of::<(i64, B)>()) + self.within
    }
}
