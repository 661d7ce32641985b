//! Metric queries at one time: aggregations over series, and operators between them
//! (grafana/loki, `pkg/logql/evaluator.go`). The caller provides the series.

use std::collections::HashMap;
use std::sync::Arc;

use crate::expr::{
    BinaryOp, BinaryOperation, Cardinality, Expr, Grouping, LabelReplace, Matching, RangeAggregation,
    VectorAggregation, VectorOp,
};
use crate::label_set::LabelSet;

/// The value of a series at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which series.
    pub labels: Arc<LabelSet>,
    /// Its value.
    pub value: f64,
}

/// The values of all series at one time: no two with the same labels, unless the query makes them.
pub type Vector = Vec<Sample>;

/// Why a query has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A stage failed on an entry, and no filter lets that pass.
    /// The words are Loki's (`pkg/logqlmodel/error.go`).
    #[error(
        "pipeline error: '{kind}' for series: '{labels}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{kind}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )"
    )]
    Pipeline {
        /// `JSONParserErr`, `SampleExtractionErr`, …
        kind: String,
        /// The labels so far, with the failure's among them.
        labels: String,
    },
    /// Several series of one side belong to one series of the other. The words are Loki's (`pkg/logql/evaluator.go`).
    #[error("{0}")]
    Matching(&'static str),
    /// There is no memory for even one series of this range. The caller says how to give it more.
    #[error("its window has no room in memory: evaluate it less often, look back less, or give it more")]
    NoRoom,
}

/// The value of a query. `ranges` gives the series of a range aggregation.
///
/// # Errors
/// The errors of `ranges`, and sides of an operator that do not fit.
pub fn evaluate(
    expr: &Expr,
    ranges: &mut impl FnMut(&RangeAggregation) -> Result<Vector, EvalError>,
) -> Result<Vector, EvalError> {
    match expr {
        Expr::Number(value) | Expr::Vector(value) => {
            Ok(vec![Sample { labels: Arc::default(), value: *value }])
        }
        Expr::Range(range) => ranges(range),
        Expr::Aggregate(aggregation) => {
            let inner = evaluate(&aggregation.inner, ranges)?;
            Ok(aggregate(aggregation, inner))
        }
        Expr::Binary(operation) => match (&operation.left, &operation.right) {
            (Expr::Number(number), right) => {
                let right = evaluate(right, ranges)?;
                Ok(with_number(operation, right, |value| (*number, value)))
            }
            (left, Expr::Number(number)) => {
                let left = evaluate(left, ranges)?;
                Ok(with_number(operation, left, |value| (value, *number)))
            }
            (left, right) => {
                let left = evaluate(left, ranges)?;
                let right = evaluate(right, ranges)?;
                binary(operation, left, right)
            }
        },
        Expr::LabelReplace(replace) => {
            let mut inner = evaluate(&replace.inner, ranges)?;
            inner.iter_mut().for_each(|sample| label_replace(replace, sample));
            Ok(inner)
        }
    }
}

impl Grouping {
    /// The labels that stay of a series.
    pub fn group(&self, labels: &LabelSet) -> LabelSet {
        if !self.without {
            return labels.only(&self.labels);
        }
        let mut group = labels.clone();
        group.retain(|name, _| self.labels.iter().all(|label| label != name));
        group
    }
}

/// The running values of a group.
struct Group {
    labels: Arc<LabelSet>,
    value: f64,
    mean: f64,
    count: f64,
    chosen: Vec<Sample>,
}

fn aggregate(aggregation: &VectorAggregation, inner: Vector) -> Vector {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<Arc<LabelSet>, usize> = HashMap::new();
    for sample in inner {
        let labels = Arc::new(aggregation.grouping.group(&sample.labels));
        let index = *known.entry(labels.clone()).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.add(aggregation.op, sample),
            None => groups.push(Group::new(aggregation.op, labels, sample)),
        }
    }
    groups.into_iter().flat_map(|group| group.end(aggregation.op, aggregation.parameter)).collect()
}

impl Group {
    fn new(op: VectorOp, labels: Arc<LabelSet>, sample: Sample) -> Group {
        let value = if matches!(op, VectorOp::Stddev | VectorOp::Stdvar) { 0.0 } else { sample.value };
        Group { labels, value, mean: sample.value, count: 1.0, chosen: vec![sample] }
    }

    fn add(&mut self, op: VectorOp, sample: Sample) {
        let value = sample.value;
        self.count += 1.0;
        match op {
            VectorOp::Sum => self.value += value,
            VectorOp::Avg => {
                // The mean of infinities of one sign is infinite, not NaN.
                let stays = self.mean.is_infinite()
                    && (value.is_finite()
                        || (value.is_infinite() && value.is_sign_positive() == self.mean.is_sign_positive()));
                if !stays {
                    self.mean += (value - self.mean) / self.count;
                }
            }
            VectorOp::Count => {}
            VectorOp::Max if self.value < value || self.value.is_nan() => self.value = value,
            VectorOp::Min if self.value > value || self.value.is_nan() => self.value = value,
            VectorOp::Max | VectorOp::Min => {}
            VectorOp::Stddev | VectorOp::Stdvar => {
                let delta = value - self.mean;
                self.mean += delta / self.count;
                self.value += delta * (value - self.mean);
            }
            VectorOp::Topk | VectorOp::Bottomk | VectorOp::Sort | VectorOp::SortDesc => {
                self.chosen.push(sample)
            }
        }
    }

    fn end(mut self, op: VectorOp, parameter: Option<usize>) -> Vec<Sample> {
        let value = match op {
            VectorOp::Sum | VectorOp::Max | VectorOp::Min => self.value,
            VectorOp::Avg => self.mean,
            VectorOp::Count => self.count,
            VectorOp::Stddev => (self.value / self.count).sqrt(),
            VectorOp::Stdvar => self.value / self.count,
            VectorOp::Topk | VectorOp::Bottomk | VectorOp::Sort | VectorOp::SortDesc => {
                let down = matches!(op, VectorOp::Topk | VectorOp::SortDesc);
                // NaN comes last; the sort is stable.
                self.chosen.sort_by(|a, b| {
                    let (a, b) = (a.value, b.value);
                    let order = if down { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
                    order.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
                });
                self.chosen.truncate(parameter.unwrap_or(usize::MAX));
                return self.chosen;
            }
        };
        vec![Sample { labels: self.labels, value }]
    }
}

/// The result of an operator on two numbers; a comparison gives 1 or 0.
pub(crate) fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        // As in Loki, a division by zero is not infinite.
        BinaryOp::Div | BinaryOp::Mod if right == 0.0 => f64::NAN,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Equal => f64::from(left == right),
        BinaryOp::NotEqual => f64::from(left != right),
        BinaryOp::Greater => f64::from(left > right),
        BinaryOp::GreaterOrEqual => f64::from(left >= right),
        BinaryOp::Less => f64::from(left < right),
        BinaryOp::LessOrEqual => f64::from(left <= right),
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => f64::NAN,
    }
}

/// The value of a pair: a comparison without `bool` passes `kept` on, or nothing.
fn merge(operation: &BinaryOperation, left: f64, right: f64, kept: f64) -> Option<f64> {
    let value = arithmetic(operation.op, left, right);
    match operation.op.is_comparison() && !operation.bool {
        true => (value == 1.0).then_some(kept),
        false => Some(value),
    }
}

fn with_number(operation: &BinaryOperation, series: Vector, sides: impl Fn(f64) -> (f64, f64)) -> Vector {
    let value = |sample: Sample| {
        let (left, right) = sides(sample.value);
        Some(Sample { value: merge(operation, left, right, sample.value)?, ..sample })
    };
    series.into_iter().filter_map(value).collect()
}

impl Matching {
    /// What series of both sides must agree in.
    fn signature(&self, labels: &LabelSet) -> LabelSet {
        if self.on {
            return labels.only(&self.labels);
        }
        let mut signature = labels.clone();
        signature.retain(|name, _| self.labels.iter().all(|label| label != name));
        signature
    }

    /// The labels of the result of a pair.
    fn result(&self, many: &LabelSet, one: &LabelSet) -> LabelSet {
        let mut result = match self.cardinality {
            Cardinality::OneToOne => self.signature(many),
            _ => many.clone(),
        };
        for name in &self.include {
            result.insert_whole(name, one.get(name).unwrap_or_default());
        }
        result
    }
}

fn binary(operation: &BinaryOperation, left: Vector, right: Vector) -> Result<Vector, EvalError> {
    let matching = &operation.matching;
    let signatures = |side: &Vector| -> Vec<LabelSet> {
        side.iter().map(|sample| matching.signature(&sample.labels)).collect()
    };
    if operation.op.is_set() {
        let (of_left, of_right) = (signatures(&left), signatures(&right));
        let has = |known: &[LabelSet]| known.iter().cloned().map(|set| (set, ())).collect::<HashMap<_, _>>();
        let zipped = |side: Vector, signatures: Vec<LabelSet>| side.into_iter().zip(signatures);
        let only = |side, signatures, known: HashMap<LabelSet, ()>, wanted: bool| -> Vector {
            let chosen = zipped(side, signatures).filter(|(_, set)| known.contains_key(set) == wanted);
            chosen.map(|(sample, _)| sample).collect()
        };
        return Ok(match operation.op {
            BinaryOp::And => only(left, of_left, has(&of_right), true),
            BinaryOp::Unless => only(left, of_left, has(&of_right), false),
            _ => {
                let more = only(right, of_right, has(&of_left), false);
                left.into_iter().chain(more).collect()
            }
        });
    }
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut by_signature: HashMap<LabelSet, &Sample> = HashMap::new();
    for (sample, signature) in one.iter().zip(signatures(&one)) {
        if by_signature.insert(signature, sample).is_some() {
            return Err(EvalError::Matching(match swapped {
                true => {
                    "found duplicate series on the left hand-side;many-to-many matching not allowed: matching labels \
                     must be unique on one side"
                }
                false => {
                    "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels \
                     must be unique on one side"
                }
            }));
        }
    }
    let mut results: Vector = Vec::new();
    let mut seen: HashMap<(LabelSet, Option<LabelSet>), ()> = HashMap::new();
    for (sample, signature) in many.iter().zip(signatures(&many)) {
        let Some(other) = by_signature.get(&signature) else { continue };
        let labels = matching.result(&sample.labels, &other.labels);
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        if seen.insert((signature, (!one_to_one).then(|| labels.clone())), ()).is_some() {
            return Err(EvalError::Matching(match one_to_one {
                true => {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                }
                false => "multiple matches for labels: grouping labels must ensure unique matches",
            }));
        }
        let (left, right) = if swapped { (other.value, sample.value) } else { (sample.value, other.value) };
        if let Some(value) = merge(operation, left, right, left) {
            results.push(Sample { labels: Arc::new(labels), value });
        }
    }
    Ok(results)
}

fn label_replace(replace: &LabelReplace, sample: &mut Sample) {
    let LabelReplace { to, replacement, from, regex, .. } = replace;
    let value = sample.labels.get(from).unwrap_or_default();
    if let Some(captures) = regex.captures(value) {
        let value = regex.expand(&captures, replacement);
        Arc::make_mut(&mut sample.labels).insert_whole(to, &value);
    }
}
