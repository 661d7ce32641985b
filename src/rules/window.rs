//! Windows: what one range aggregation knows of its entries, for the evaluations of its group.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::bucket::Bucket;
use crate::labels::LabelSet;
use crate::logql::aggregate::Point;
use crate::logql::expr::{RangeAggregation, RangeOp};
use crate::logql::pipeline::{DETAILS, ERROR, PRESERVE};
use crate::logql::vectors::{EvalError, Sample, Vector};
use crate::logql::{MatchOp, Matcher};

/// Buckets that a window may have for each series that it may have (count): with 10,000 series 90 MB or so. Hours that are
/// evaluated every minute have fewer; a month that is, has more, and room for a few series.
const BUCKETS_EACH: usize = 100;

/// One range aggregation, evaluated every `interval` nanoseconds.
#[derive(Debug)]
pub(super) struct Window {
    range: RangeAggregation,
    interval: i64,
    /// Where in an interval buckets begin (nanoseconds): two cuts, which may be the same.
    cuts: [i64; 2],
    /// The buckets of each series by their number, the oldest first.
    series: HashMap<Arc<LabelSet>, VecDeque<(i64, Bucket)>>,
    /// Buckets in which an entry failed.
    failed: VecDeque<(i64, EvalError)>,
    /// The last bucket in which something had no room.
    crowded: Option<(i64, EvalError)>,
    series_max: usize,
    /// Buckets of all series (count).
    kept: usize,
    absent: Arc<LabelSet>,
}

impl Window {
    /// `interval` in nanoseconds; at most `series_max` series at a time.
    pub(super) fn new(range: &RangeAggregation, interval: i64, series_max: usize) -> Window {
        let interval = interval.max(1);
        // Taken apart, for their sum may be more than there is time.
        let back = |by: i64| interval - by.rem_euclid(interval);
        let first = back(range.offset) % interval;
        let mut cuts = [first, (first + back(range.range)) % interval];
        cuts.sort_unstable();
        Window {
            absent: Arc::new(absent_labels(&range.query.matchers)),
            range: range.clone(),
            interval,
            cuts,
            series: HashMap::new(),
            failed: VecDeque::new(),
            crowded: None,
            series_max,
            kept: 0,
        }
    }

    /// How long before an evaluation an entry may lie that counts for it (nanoseconds).
    pub(super) fn reach(&self) -> i64 {
        self.range.range.saturating_add(self.range.offset.max(0))
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// The number of the bucket that a time belongs to: a bucket does not have its beginning, but its end.
    fn bucket(&self, time: i64) -> i64 {
        let [first, second] = self.cuts;
        let since = time.saturating_sub(first).saturating_sub(1);
        let behind = since.rem_euclid(self.interval) + 1 > second - first;
        since.div_euclid(self.interval) * 2 + i64::from(behind && second > first)
    }

    /// Counts an entry.
    pub(super) fn add(&mut self, labels: &LabelSet, point: Point) {
        let number = self.bucket(point.0);
        if let (Some(kind), None) = (labels.get(ERROR), labels.get(PRESERVE)) {
            // One is enough for a bucket, and entries may come out of order.
            if !self.failed.iter().rev().any(|(other, _)| *other == number) {
                let details = labels.get(DETAILS).unwrap_or_default().to_owned();
                let error =
                    EvalError::Pipeline { kind: kind.to_owned(), labels: labels.to_string(), details };
                self.failed.push_back((number, error));
            }
            return;
        }
        let op = self.range.op;
        if !self.series.contains_key(labels) {
            if self.series.len() >= self.series_max {
                self.crowd(number, EvalError::TooManySeries(self.series_max));
                return;
            }
            let labels = Arc::new(labels.clone());
            self.series.insert(labels, VecDeque::new());
        }
        let Some(buckets) = self.series.get_mut(labels) else { return };
        // Usually it is the last one.
        let at = buckets.iter().rposition(|(other, _)| *other <= number);
        match at.and_then(|at| buckets.get_mut(at)) {
            Some((other, bucket)) if *other == number => bucket.add(point),
            _ => {
                let most = self.series_max.saturating_mul(BUCKETS_EACH);
                if self.kept >= most {
                    self.crowd(number, EvalError::TooManyBuckets(most));
                    return;
                }
                self.kept += 1;
                buckets.insert(at.map_or(0, |at| at + 1), (number, Bucket::new(op, point)));
            }
        }
    }

    /// There was no room in a bucket.
    fn crowd(&mut self, number: i64, error: EvalError) {
        if self.crowded.as_ref().is_none_or(|(last, _)| *last <= number) {
            self.crowded = Some((number, error));
        }
    }

    /// The series at an evaluation (nanoseconds since 1970). What no later one needs is forgotten.
    ///
    /// # Errors
    /// An entry in the window failed, or there were too many series.
    pub(super) fn value_at(&mut self, time: i64) -> Result<Vector, EvalError> {
        let end = time.saturating_sub(self.range.offset);
        let after = self.bucket(end.saturating_sub(self.range.range));
        let last = self.bucket(end);
        // What the next evaluation does not need makes room for what comes until then.
        let next = self.bucket(end.saturating_add(self.interval).saturating_sub(self.range.range));
        self.failed.retain(|(number, _)| *number > after);
        self.crowded = self.crowded.take().filter(|(number, _)| *number > after);
        let (mut vector, mut kept) = (Vec::new(), 0);
        self.series.retain(|labels, buckets| {
            let mut merged: Option<Bucket> = None;
            let inside = |number: i64| after < number && number <= last;
            for (_, bucket) in buckets.iter().filter(|(number, _)| inside(*number)) {
                match &mut merged {
                    Some(merged) => merged.merge(bucket),
                    None => merged = Some(bucket.clone()),
                }
            }
            if let Some(merged) = merged {
                let value = merged.value(&self.range, end);
                vector.push(Sample { labels: labels.clone(), value });
            }
            while buckets.front().is_some_and(|(number, _)| *number <= next) {
                buckets.pop_front();
            }
            kept += buckets.len();
            !buckets.is_empty()
        });
        self.kept = kept;
        if let Some((_, error)) = self.failed.iter().find(|(number, _)| *number <= last) {
            return Err(error.clone());
        }
        if let Some((_, error)) = &self.crowded {
            return Err(error.clone());
        }
        if self.range.op == RangeOp::AbsentOverTime {
            let absent = Sample { labels: self.absent.clone(), value: 1.0 };
            return Ok(if vector.is_empty() { vec![absent] } else { Vec::new() });
        }
        Ok(vector)
    }
}

/// The labels that `absent_over_time` gives: those that are asked for with `=`, if nothing else is asked of them
/// (grafana/loki, `pkg/logql/evaluator.go`, `absentLabels`).
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
mod tests {
    use super::*;
    use crate::logql::Expr;

    const SECOND: i64 = 1_000_000_000;

    fn window(text: &str, interval: i64) -> Window {
        let expr = Expr::parse(text).unwrap();
        let mut windows = Vec::new();
        expr.ranges(&mut |range, _| windows.push(Window::new(range, interval * SECOND, 2)));
        windows.remove(0)
    }

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        let mut labels = LabelSet::default();
        pairs.iter().for_each(|(name, value)| labels.insert(name, value.as_bytes()));
        labels
    }

    #[test]
    fn failures_out_of_order_are_kept_once_a_bucket_and_end_with_their_window() {
        let mut window = window(r#"count_over_time({a="b"}[2m])"#, 60);
        for n in 0..1000 {
            window.add(&set(&[(ERROR, "JSONParserErr")]), ((90 - n % 2 * 60) * SECOND, 1.0));
        }
        assert_eq!(window.failed.len(), 2);
        assert!(window.value_at(120 * SECOND).is_err());
        assert!(window.value_at(180 * SECOND).is_err(), "that of 90 s is in (60 s, 180 s]");
        assert_eq!(window.value_at(240 * SECOND), Ok(Vec::new()));
        assert!(window.failed.is_empty());
    }

    #[test]
    fn too_many_series_are_an_error_until_their_window_is_over() {
        let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
        for n in 0..5 {
            window.add(&set(&[("n", &n.to_string())]), (30 * SECOND, 1.0));
        }
        assert_eq!(window.len(), 2);
        assert_eq!(window.value_at(60 * SECOND), Err(EvalError::TooManySeries(2)));
        window.add(&set(&[("n", "9")]), (90 * SECOND, 1.0));
        assert_eq!(window.value_at(120 * SECOND).map(|vector| vector.len()), Ok(1));
    }

    #[test]
    fn a_window_that_is_cut_too_often_is_an_error_until_it_is_over() {
        let mut window = window(r#"count_over_time({a="b"}[1h])"#, 1);
        let labels = set(&[("n", "1")]);
        for second in 1..=4000 {
            let there = second <= 150 || (1000..=1300).contains(&second);
            if there {
                window.add(&labels, (second * SECOND, 1.0));
            }
            let value = window.value_at(second * SECOND).map(|vector| vector.first().map(|one| one.value));
            // 150 and 50 there is room for. What came then is in the window until 1300 + 3600.
            match second {
                ..1050 => assert!(matches!(value, Ok(Some(_))), "{second}: {value:?}"),
                1050.. => assert_eq!(value, Err(EvalError::TooManyBuckets(200)), "{second}"),
            }
        }
        assert_eq!(window.kept, 50);
        assert_eq!(window.value_at(5000 * SECOND), Ok(Vec::new()));
        assert_eq!((window.kept, window.len()), (0, 0));
    }
}
