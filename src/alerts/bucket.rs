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
            // An infinite value has no distance from the mean, which is infinite, too.
            squares: if value.is_finite() { 0.0 } else { f64::NAN },
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
            self.mean += if next.mean.is_infinite() { next.mean } else { delta * next.count / count };
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
    use logql::Expr;

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

    fn range(text: &str) -> RangeAggregation {
        let mut ranges = Vec::new();
        Expr::parse(text).unwrap().ranges(&mut |range, _| ranges.push(range.clone()));
        ranges.remove(0)
    }

    /// The value of samples in buckets of so many each.
    fn parted<B: Bucket>(range: &RangeAggregation, points: &[Point], each: usize, end: i64) -> f64 {
        let bucket = |points: &[Point]| {
            let mut bucket = B::new(range.op, points[0]);
            points[1..].iter().for_each(|point| bucket.add(range.op, *point));
            bucket
        };
        let mut buckets = points.chunks(each).map(bucket);
        let mut merged = buckets.next().unwrap();
        buckets.for_each(|next| merged.merge(range.op, &next));
        merged.value(range, end)
    }

    fn value(range: &RangeAggregation, points: &[Point], each: usize, end: i64) -> f64 {
        match Sum::is_enough(range.op) {
            true => parted::<Sum>(range, points, each, end),
            false => parted::<Moments>(range, points, each, end),
        }
    }

    fn assert_same(found: f64, expected: f64, what: &str) {
        let near = (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
        let same = near || found == expected || (found.is_nan() && expected.is_nan());
        assert!(same, "{found} instead of {expected}: {what}");
    }

    const FUNCTIONS: [&str; 14] = [
        "count_over_time({a=\"b\"} [1m])",
        "bytes_rate({a=\"b\"} [1m])",
        "bytes_over_time({a=\"b\"} [1m])",
        "absent_over_time({a=\"b\"} [1m])",
        "rate({a=\"b\"} | unwrap c [1m])",
        "sum_over_time({a=\"b\"} | unwrap c [1m])",
        "min_over_time({a=\"b\"} | unwrap c [1m])",
        "max_over_time({a=\"b\"} | unwrap c [1m])",
        "avg_over_time({a=\"b\"} | unwrap c [1m])",
        "stdvar_over_time({a=\"b\"} | unwrap c [1m])",
        "stddev_over_time({a=\"b\"} | unwrap c [1m])",
        "first_over_time({a=\"b\"} | unwrap c [1m])",
        "last_over_time({a=\"b\"} | unwrap c [1m])",
        "quantile_over_time(0.7, {a=\"b\"} | unwrap c [1m])",
    ];
    const COUNTER: &str = "rate_counter({a=\"b\"} | unwrap c [1m])";
    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn samples_come_to_the_same_however_they_are_parted() {
        const INFINITE: f64 = f64::INFINITY;
        for values in [
            &[3.0][..],
            &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
            &[9.0, -3.5, 7.0, 7.0, -20.0, 0.25, 100.0],
            // A counter that begins again, twice.
            &[5.0, 8.0, 2.0, 3.0, 9.0, 1.0, 4.0],
            &[1.0, f64::NAN, -2.0],
            &[f64::NAN, 5.0, 7.0],
            &[1.0, INFINITE, 2.0, 3.0],
            &[INFINITE, INFINITE, 1.0],
            &[-INFINITE, 1.0, INFINITE, 2.0],
            &[INFINITE, -INFINITE],
            &[f64::NAN, INFINITE],
            &[INFINITE, f64::NAN],
        ] {
            let points: Vec<Point> = (1..).zip(values).map(|(n, value)| (n * 5 * SECOND, *value)).collect();
            for text in FUNCTIONS.into_iter().chain([COUNTER]) {
                let range = range(text);
                let expected = aggregate::aggregate(&range, &points, 60 * SECOND);
                for each in 1..=points.len() {
                    let found = value(&range, &points, each, 60 * SECOND);
                    assert_same(found, expected, &format!("{text} of {values:?}, {each} in a bucket"));
                }
            }
        }
    }

    #[test]
    fn late_samples_count_as_if_they_came_in_time() {
        let late = [(20, 4.0), (10, 7.0), (40, -1.0), (5, 3.0), (30, 9.0), (40, 6.0), (5, 2.0)];
        let late = late.map(|(time, value)| (time * SECOND, value));
        let mut sorted = late;
        sorted.sort_by_key(|(time, _)| *time);
        for text in FUNCTIONS {
            let range = range(text);
            let expected = aggregate::aggregate(&range, &sorted, 60 * SECOND);
            assert_same(value(&range, &late, late.len(), 60 * SECOND), expected, text);
        }
    }

    #[test]
    fn a_bucket_takes_memory_for_the_values_of_a_quantile_alone() {
        let moments = |op, count| {
            let mut moments = Moments::new(op, (0, 0.0));
            (1..count).for_each(|n| moments.add(op, (n, 0.0)));
            moments
        };
        assert_eq!(moments(RangeOp::AvgOverTime, 100).allocated(), 0);
        assert_eq!(Sum::new(RangeOp::SumOverTime, (0, 1.0)).allocated(), 0);
        for (count, kept) in [(1, 1), (VALUES_MAX, VALUES_MAX), (VALUES_MAX + 1, VALUES_MAX / 2 + 1)] {
            let moments = moments(RangeOp::QuantileOverTime, count as i64);
            let values = moments.values.as_deref().unwrap();
            assert_eq!(values.kept.len(), kept, "{count}");
            let least = size_of::<Values>() + values.kept.capacity() * size_of::<f64>();
            assert!(
                (least..=least + 64).contains(&moments.allocated()),
                "{} of {least}",
                moments.allocated()
            );
        }
    }
}
