//! LogQL evaluated slowly: every query looks at every entry anew. What the rule engine does must come to the same.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use logql::aggregate::{Point, aggregate};
use logql::expr::{Expr, RangeOp};
use logql::label_set::LabelSet;
use logql::pipeline::{ERROR, Extractor, PRESERVE};
use logql::vectors::{EvalError, Sample, Vector, evaluate};
use logql::{MatchOp, Matcher};

/// An entry as a query sees it.
#[derive(Debug, Clone)]
pub struct Given {
    /// Nanoseconds since 1970.
    pub time: i64,
    pub labels: Arc<LabelSet>,
    pub metadata: Vec<(String, String)>,
    pub line: String,
}

/// A label set of pairs.
pub fn label_set<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> LabelSet {
    let mut set = LabelSet::default();
    for (name, value) in pairs {
        set.insert(name.as_ref(), value.as_ref().as_bytes());
    }
    set
}

/// The labels that `absent_over_time` gives: those that are asked for with `=`, each once.
fn absent_labels(matchers: &[Matcher]) -> LabelSet {
    let mut set = LabelSet::default();
    let mut others: Vec<&str> = Vec::new();
    for matcher in matchers {
        match matcher.op() == MatchOp::Equal && set.get(matcher.name()).is_none() {
            true => set.insert(matcher.name(), matcher.value().as_bytes()),
            false => others.push(matcher.name()),
        }
    }
    others.into_iter().for_each(|name| _ = set.remove(name));
    set
}

/// A query over entries, with what each gives to each of its range aggregations: time, series, value.
pub struct Slow<'e> {
    expr: &'e Expr,
    samples: Vec<Vec<(i64, Arc<LabelSet>, f64)>>,
}

impl<'e> Slow<'e> {
    /// Of entries in the order of time.
    pub fn new(expr: &'e Expr, entries: &[Given]) -> Slow<'e> {
        // Equal sets are one.
        let (mut samples, mut sets) = (Vec::new(), HashSet::<Arc<LabelSet>>::new());
        expr.ranges(&mut |range, outer| {
            let extractor = Extractor::new(range, outer);
            let mut taken = Vec::new();
            for entry in entries.iter().filter(|entry| extractor.matches(&entry.labels)) {
                let metadata = entry.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                if let Some((labels, value)) =
                    extractor.extract(&entry.labels, (entry.time, &entry.line), metadata)
                {
                    let labels = sets.get(&labels).cloned().unwrap_or_else(|| Arc::new(labels));
                    sets.insert(labels.clone());
                    taken.push((entry.time, labels, value));
                }
            }
            samples.push(taken);
        });
        Slow { expr, samples }
    }

    /// The value at a time (nanoseconds since 1970).
    pub fn value_at(&self, time: i64) -> Result<Vector, EvalError> {
        let mut samples = self.samples.iter();
        evaluate(self.expr, &mut |range| {
            let samples = samples.next().unwrap();
            let end = time - range.offset;
            let first = samples.partition_point(|(time, ..)| *time <= end - range.range);
            let behind = samples.partition_point(|(time, ..)| *time <= end);
            let mut series: BTreeMap<usize, (Arc<LabelSet>, Vec<Point>)> = BTreeMap::new();
            for (time, labels, value) in samples.get(first..behind).unwrap_or_default() {
                if let (Some(kind), None) = (labels.get(ERROR), labels.get(PRESERVE)) {
                    return Err(EvalError::Pipeline { kind: kind.to_owned(), labels: labels.to_string() });
                }
                let (_, points) = series
                    .entry(Arc::as_ptr(labels) as usize)
                    .or_insert_with(|| (labels.clone(), Vec::new()));
                points.push((*time, *value));
            }
            if range.op == RangeOp::AbsentOverTime {
                let labels = Arc::new(absent_labels(&range.query.matchers));
                return Ok(if series.is_empty() { vec![Sample { labels, value: 1.0 }] } else { Vec::new() });
            }
            let sample =
                |(labels, points): (_, Vec<Point>)| Sample { labels, value: aggregate(range, &points, end) };
            Ok(series.into_values().map(sample).collect())
        })
    }
}
