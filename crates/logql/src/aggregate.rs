//! Range aggregations: one value of the samples of a series (grafana/loki, `pkg/logql/range_vector.go`).

use crate::expr::{RangeAggregation, RangeOp};

/// One sample: its time (nanoseconds since 1970) and value.
pub type Point = (i64, f64);

const SECOND: f64 = 1e9;

/// The value of an aggregation over the samples of a series within its window, which ends at `end` (nanoseconds
/// since 1970). There is at least one sample, and they are sorted by time.
pub fn aggregate(range: &RangeAggregation, points: &[Point], end: i64) -> f64 {
    let values = || points.iter().map(|(_, value)| *value);
    let seconds = range.range as f64 / SECOND;
    let count = points.len() as f64;
    match range.op {
        RangeOp::CountOverTime => count,
        RangeOp::Rate if range.query.unwrap.is_none() => count / seconds,
        RangeOp::Rate | RangeOp::BytesRate => values().sum::<f64>() / seconds,
        RangeOp::BytesOverTime | RangeOp::SumOverTime => values().sum(),
        RangeOp::RateCounter => rate_counter(points, range.range, end),
        RangeOp::AvgOverTime => mean(values()),
        RangeOp::MinOverTime => extreme(values(), |value, known| value < known),
        RangeOp::MaxOverTime => extreme(values(), |value, known| value > known),
        RangeOp::StdvarOverTime => variance(values()),
        RangeOp::StddevOverTime => variance(values()).sqrt(),
        RangeOp::QuantileOverTime => quantile(range.parameter.unwrap_or(f64::NAN), values().collect()),
        RangeOp::FirstOverTime => points.first().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::LastOverTime => points.last().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::AbsentOverTime => 1.0,
    }
}

fn extreme(values: impl Iterator<Item = f64>, better: impl Fn(f64, f64) -> bool) -> f64 {
    values.fold(f64::NAN, |known, value| if better(value, known) || known.is_nan() { value } else { known })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (0.0_f64, 0.0);
    for value in values {
        count += 1.0;
        if mean.is_infinite() && (value.is_finite() || value == mean) {
            continue;
        }
        mean += value / count - mean / count;
    }
    mean
}

fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count, mut mean) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        sum += delta * (value - mean);
    }
    sum / count
}

/// A quantile (0 to 1) of values; between two values it is interpolated.
pub fn quantile(quantile: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    // NaN comes first, as in Loki's heap.
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let last = values.len() - 1;
    let rank = quantile * last as f64;
    let weight = rank - rank.floor();
    let at = |index: usize| values.get(index.min(last)).copied().unwrap_or(f64::NAN);
    at(rank as usize) * (1.0 - weight) + at(rank as usize + 1) * weight
}

fn rate_counter(points: &[Point], range: i64, end: i64) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    let mut growth = last.1 - first.1;
    let mut before = 0.0;
    for (_, value) in points {
        if *value < before {
            growth += before;
        }
        before = *value;
    }
    Counter { first: *first, last: *last, growth, count: points.len() as f64 }.rate(range, end)
}

/// The samples of a counter, summed up.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// The first sample.
    pub first: Point,
    /// The last one.
    pub last: Point,
    /// By how much the counter grew, also over resets to zero.
    pub growth: f64,
    /// How many samples there are.
    pub count: f64,
}

impl Counter {
    /// How fast the counter grows (per second) in a window of length `range` that ends at `end` (nanoseconds), as if it were
    /// known at both ends of the window.
    pub fn rate(&self, range: i64, end: i64) -> f64 {
        let Counter { first, last, growth, count } = *self;
        if count < 2.0 {
            return 0.0;
        }
        let mut to_start = first.0.saturating_sub(end.saturating_sub(range)) as f64 / SECOND;
        let mut to_end = end.saturating_sub(last.0) as f64 / SECOND;
        let sampled = last.0.saturating_sub(first.0) as f64 / SECOND;
        let usual = sampled / (count - 1.0);
        let threshold = usual * 1.1;
        if to_start >= threshold {
            to_start = usual / 2.0;
        }
        // A counter never was below zero.
        let to_zero = if growth > 0.0 && first.1 >= 0.0 { sampled * (first.1 / growth) } else { to_start };
        to_start = to_start.min(to_zero);
        if to_end >= threshold {
            to_end = usual / 2.0;
        }
        growth * ((sampled + to_start + to_end) / sampled) / (range as f64 / SECOND)
    }
}
