//! Buckets: what is kept of the samples of a series instead of the samples.
//!
//! A window is cut where coming evaluations begin or end theirs, and what lies between two cuts is one bucket. Two
//! neighbours are merged without knowing their samples, so a window takes memory for its buckets, not its entries.
//! Only a quantile needs all values.

use crate::logql::aggregate::{self, Point};
use crate::logql::expr::{RangeAggregation, RangeOp};

/// Values that a series keeps for a quantile in one bucket (count); of more, every second one is given up, in turns.
const VALUES_MAX: usize = 4096;

/// What is known of samples next to each other in time.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    count: f64,
    sum: f64,
    /// Mean, and the sum of squared distances from it.
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
    first: Point,
    last: Point,
    /// What a counter had before it began anew.
    resets: f64,
    values: Option<Box<Values>>,
}

#[derive(Debug, Clone, Default)]
struct Values {
    kept: Vec<f64>,
    /// Each stands for so many (a power of two).
    each: u32,
}

impl Bucket {
    /// One sample.
    pub(super) fn new(op: RangeOp, (time, value): Point) -> Bucket {
        let keeps = op == RangeOp::QuantileOverTime;
        Bucket {
            count: 1.0,
            sum: value,
            mean: value,
            squares: 0.0,
            min: value,
            max: value,
            first: (time, value),
            last: (time, value),
            resets: 0.0,
            values: keeps.then(|| Box::new(Values { kept: vec![value], each: 1 })),
        }
    }

    /// Adds another sample. One that comes late is taken as if it came in time, but for counters.
    pub(super) fn add(&mut self, (time, value): Point) {
        self.count += 1.0;
        self.sum += value;
        let delta = value - self.mean;
        // Of infinities of one sign the mean is infinite.
        if !(self.mean.is_infinite() && (value.is_finite() || value == self.mean)) {
            self.mean += delta / self.count;
        }
        self.squares += delta * (value - self.mean);
        self.extend((time, value), value, value);
        if let Some(values) = &mut self.values {
            values.kept.push(value);
            values.thin();
        }
    }

    fn extend(&mut self, point: Point, min: f64, max: f64) {
        if min < self.min || self.min.is_nan() {
            self.min = min;
        }
        if max > self.max || self.max.is_nan() {
            self.max = max;
        }
        if point.0 >= self.last.0 {
            if point.1 < self.last.1 {
                self.resets += self.last.1;
            }
            self.last = point;
        } else if point.0 < self.first.0 {
            self.first = point;
        }
    }

    /// Adds those of the next bucket.
    pub(super) fn merge(&mut self, next: &Bucket) {
        let count = self.count + next.count;
        let delta = next.mean - self.mean;
        if !(self.mean.is_infinite() && (next.mean.is_finite() || next.mean == self.mean)) {
            self.mean =
                if next.mean.is_infinite() { next.mean } else { self.mean + delta * next.count / count };
        }
        self.squares += next.squares + delta * delta * self.count * next.count / count;
        self.count = count;
        self.sum += next.sum;
        if next.min < self.min || self.min.is_nan() {
            self.min = next.min;
        }
        if next.max > self.max || self.max.is_nan() {
            self.max = next.max;
        }
        if next.first.1 < self.last.1 {
            self.resets += self.last.1;
        }
        self.resets += next.resets;
        self.last = next.last;
        if let (Some(values), Some(next)) = (&mut self.values, &next.values) {
            values.merge(next);
        }
    }

    /// The value of an aggregation whose window ends at `end` (nanoseconds since 1970).
    pub(super) fn value(&self, range: &RangeAggregation, end: i64) -> f64 {
        const SECOND: f64 = 1e9;
        let seconds = range.range as f64 / SECOND;
        match range.op {
            RangeOp::CountOverTime => self.count,
            RangeOp::Rate if range.query.unwrap.is_none() => self.count / seconds,
            RangeOp::Rate | RangeOp::BytesRate => self.sum / seconds,
            RangeOp::BytesOverTime | RangeOp::SumOverTime => self.sum,
            RangeOp::AvgOverTime => self.mean,
            RangeOp::MinOverTime => self.min,
            RangeOp::MaxOverTime => self.max,
            RangeOp::StdvarOverTime => self.squares / self.count,
            RangeOp::StddevOverTime => (self.squares / self.count).sqrt(),
            RangeOp::FirstOverTime => self.first.1,
            RangeOp::LastOverTime => self.last.1,
            RangeOp::AbsentOverTime => 1.0,
            RangeOp::RateCounter => {
                let growth = self.last.1 - self.first.1 + self.resets;
                let counter =
                    aggregate::Counter { first: self.first, last: self.last, growth, count: self.count };
                counter.rate(range.range, end)
            }
            RangeOp::QuantileOverTime => {
                let quantile = range.parameter.unwrap_or(f64::NAN);
                let values = self.values.as_deref().map(|values| values.kept.clone()).unwrap_or_default();
                aggregate::quantile(quantile, values)
            }
        }
    }
}

impl Values {
    fn merge(&mut self, next: &Values) {
        // Those that stand for fewer are thinned first, so that all weigh the same.
        while self.each < next.each {
            self.halve();
        }
        let step = (self.each / next.each.max(1)).max(1) as usize;
        self.kept.extend(next.kept.iter().step_by(step));
        self.thin();
    }

    fn thin(&mut self) {
        while self.kept.len() > VALUES_MAX {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let mut index = 0;
        self.kept.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.each *= 2;
    }
}
