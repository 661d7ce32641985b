//! Buckets: what is kept of the samples of a series, instead of the samples.
//!
//! Time is cut where the windows of coming evaluations begin and end. What lies between two cuts is one bucket. Two
//! neighbours can be merged without their samples, so a window takes memory for its buckets, not for its entries. Most rules
//! need a count or a sum, which is one number ([`Sum`]). Other aggregations need more ([`Moments`]), and a quantile needs all
//! values.

use super::memory::heap;
use logql::aggregate::{self, Point};
use logql::expr::{RangeAggregation, RangeOp};

/// The most values that a bucket keeps for a quantile (count). When there are more, every second value is dropped.
const VALUES_MAX: usize = 4096;

/// What is kept of samples that are next to each other in time.
pub(super) trait Bucket: Clone {
    /// A bucket with one sample.
    fn new(op: RangeOp, point: Point) -> Self;
    /// Adds a sample. Except for counters, a late sample counts as if it came in time.
    fn add(&mut self, op: RangeOp, point: Point);
    /// Adds the samples of the next bucket.
    fn merge(&mut self, op: RangeOp, next: &Self);
    /// The value of an aggregation whose window ends at `end` (nanoseconds since 1970).
    fn value(&self, range: &RangeAggregation, end: i64) -> f64;
    /// What it has allocated (bytes).
    fn allocated(&self) -> usize;
}

/// A count, a sum, the smallest or the largest value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum(f64);

impl Sum {
    /// Whether one number is enough for an aggregation.
    pub(super) fn is_enough(op: RangeOp) -> bool {
        match op {
            RangeOp::CountOverTime
            | RangeOp::Rate
            | RangeOp::BytesRate
            | RangeOp::BytesOverTime
            | RangeOp::SumOverTime
            | RangeOp::MinOverTime
            | RangeOp::MaxOverTime
            | RangeOp::AbsentOverTime => true,
            RangeOp::AvgOverTime
            | RangeOp::StdvarOverTime
            | RangeOp::StddevOverTime
            | RangeOp::FirstOverTime
            | RangeOp::LastOverTime
            | RangeOp::RateCounter
            | RangeOp::QuantileOverTime => false,
        }
    }
}

impl Bucket for Sum {
    fn new(op: RangeOp, (_, value): Point) -> Sum {
        Sum(if op == RangeOp::CountOverTime { 1.0 } else { value })
    }

    fn add(&mut self, op: RangeOp, point: Point) {
        self.merge(op, &Sum::new(op, point));
    }

    fn merge(&mut self, op: RangeOp, next: &Sum) {
        let extends = match op {
            RangeOp::MinOverTime => next.0 < self.0 || self.0.is_nan(),
            RangeOp::MaxOverTime => next.0 > self.0 || self.0.is_nan(),
            _ => {
                self.0 += next.0;
                false
            }
        };
        if extends {
            self.0 = next.0;
        }
    }

    fn value(&self, range: &RangeAggregation, _end: i64) -> f64 {
        const SECOND: f64 = 1e9;
        match range.op {
            RangeOp::Rate | RangeOp::BytesRate => self.0 / (range.range as f64 / SECOND),
            RangeOp::AbsentOverTime => 1.0,
            _ => self.0,
        }
    }

    fn allocated(&self) -> usize {
        0
    }
}

/// What other aggregations need.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    count: f64,
    /// The mean, and the sum of squared distances from it.
    mean: f64,
    squares: f64,
    first: Point,
    last: Point,
    /// The sum of the values of a counter before each time that it began again at 0.
    resets: f64,
    values: Option<Box<Values>>,
}

#[derive(Debug, Clone, Default)]
struct Values {
    kept: Vec<f64>,
    /// How many samples each value stands for (a power of two).
    each: u32,
    /// How many values came since the last one that was kept.
    since: u32,
}

impl Bucket for Moments {
    fn new(op: RangeOp, (time, value): Point) -> Moments {
        let keeps = op == RangeOp::QuantileOverTime;
        Moments {
            count: 1.0,
            mean: value,
            squares: 0.0,
            first: (time, value),
            last: (time, value),
            resets: 0.0,
            values: keeps.then(|| Box::new(Values { kept: vec![value], each: 1, since: 0 })),
        }
    }

    fn add(&mut self, _op: RangeOp, (time, value): Point) {
        self.count += 1.0;
        let delta = value - self.mean;
        // The mean of infinities of one sign is infinite.
        if !(self.mean.is_infinite() && (value.is_finite() || value == self.mean)) {
            self.mean += delta / self.count;
        }
        self.squares += delta * (value - self.mean);
        if time >= self.last.0 {
            if value < self.last.1 {
                self.resets += self.last.1;
            }
            self.last = (time, value);
        } else if time < self.first.0 {
            self.first = (time, value);
        }
        if let Some(values) = &mut self.values {
            values.add(value);
        }
    }

    fn merge(&mut self, _op: RangeOp, next: &Moments) {
        let count = self.count + next.count;
        let delta = next.mean - self.mean;
        if !(self.mean.is_infinite() && (next.mean.is_finite() || next.mean == self.mean)) {
            self.mean =
                if next.mean.is_infinite() { next.mean } else { self.mean + delta * next.count / count };
        }
        self.squares += next.squares + delta * delta * self.count * next.count / count;
        self.count = count;
        if next.first.1 < self.last.1 {
            self.resets += self.last.1;
        }
        self.resets += next.resets;
        self.last = next.last;
        if let (Some(values), Some(next)) = (&mut self.values, &next.values) {
            values.merge(next);
        }
    }

    fn value(&self, range: &RangeAggregation, end: i64) -> f64 {
        match range.op {
            RangeOp::AvgOverTime => self.mean,
            RangeOp::StdvarOverTime => self.squares / self.count,
            RangeOp::StddevOverTime => (self.squares / self.count).sqrt(),
            RangeOp::FirstOverTime => self.first.1,
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
            _ => self.last.1,
        }
    }

    fn allocated(&self) -> usize {
        let of =
            |values: &Values| heap(size_of::<Values>()) + heap(values.kept.capacity() * size_of::<f64>());
        self.values.as_deref().map_or(0, of)
    }
}

impl Values {
    fn add(&mut self, value: f64) {
        self.since += 1;
        // A kept value stands for `each` samples, so only every `each`-th one is kept.
        if self.since >= self.each {
            self.since = 0;
            self.kept.push(value);
            self.thin();
        }
    }

    fn merge(&mut self, next: &Values) {
        // Values that stand for fewer samples are thinned first, so that all have the same weight.
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
        self.each = self.each.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many there are: the largest quarter comes last.
    #[test]
    fn a_quantile_of_many_values_is_not_that_of_the_last_ones() {
        let op = RangeOp::QuantileOverTime;
        for (count, buckets) in [(100_000, 1), (100_000, 3), (1_000_000, 7)] {
            let value = |n: usize| if n * 4 < count * 3 { (n % 100) as f64 } else { 1e6 };
            let mut merged: Option<Moments> = None;
            for bucket in 0..buckets {
                let mut all =
                    (bucket * count / buckets..(bucket + 1) * count / buckets).map(|n| (n as i64, value(n)));
                let mut moments = Moments::new(op, all.next().unwrap());
                all.for_each(|point| moments.add(op, point));
                match &mut merged {
                    Some(merged) => merged.merge(op, &moments),
                    None => merged = Some(moments),
                }
            }
            let values = merged.and_then(|merged| merged.values).unwrap().kept;
            assert!((VALUES_MAX / 4..=VALUES_MAX).contains(&values.len()), "{}", values.len());
            let large = values.iter().filter(|value| **value == 1e6).count() as f64 / values.len() as f64;
            assert!((0.22..0.28).contains(&large), "{count} in {buckets}: {large} instead of a quarter");
        }
    }
}
