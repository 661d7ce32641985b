//! Metric queries: aggregations over ranges of lines, aggregations over series, and arithmetic.
//! `Display` reads back as the same. With `{:#}` it is the form that Loki gives (grafana/loki, `pkg/logql/syntax/ast.go`).

mod display;
mod pretty;

use crate::ast::Matcher;
use crate::go::re2::Re2;
use crate::stage::{LabelFilter, Stage};

/// A metric query.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `5`: one value without labels.
    Number(f64),
    /// `vector(5)`: one series without labels.
    Vector(f64),
    /// `rate({unit="a"} |= "x" [5m])`
    Range(RangeAggregation),
    /// `sum by (unit) (…)`
    Aggregate(VectorAggregation),
    /// `… / …`
    Binary(Box<BinaryOperation>),
    /// `label_replace(…, "to", "$1", "from", "(.*)")`
    LabelReplace(Box<LabelReplace>),
}

impl Expr {
    /// How deep queries are nested (count).
    pub(crate) fn height(&self) -> usize {
        match self {
            Expr::Number(_) | Expr::Vector(_) | Expr::Range(_) => 1,
            Expr::Aggregate(aggregation) => 1 + aggregation.inner.height(),
            Expr::Binary(binary) => 1 + binary.left.height().max(binary.right.height()),
            Expr::LabelReplace(replace) => 1 + replace.inner.height(),
        }
    }

    /// Whether `sort` or `sort_desc` stands anywhere in it: then its series have that order, and Loki does not sort them by their
    /// labels (grafana/loki, `pkg/logql/evaluator.go`, `Sortable`).
    pub fn sorts(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::Vector(_) | Expr::Range(_) => false,
            Expr::Aggregate(VectorAggregation { op, inner, .. }) => {
                matches!(op, VectorOp::Sort | VectorOp::SortDesc) || inner.sorts()
            }
            Expr::Binary(binary) => binary.left.sorts() || binary.right.sorts(),
            Expr::LabelReplace(replace) => replace.inner.sorts(),
        }
    }

    /// Makes the query look at entries from so much earlier (nanoseconds).
    pub fn shift(&mut self, by: i64) {
        match self {
            Expr::Number(_) | Expr::Vector(_) => {}
            Expr::Range(range) => range.offset = range.offset.saturating_add(by),
            Expr::Aggregate(aggregate) => aggregate.inner.shift(by),
            Expr::Binary(binary) => {
                binary.left.shift(by);
                binary.right.shift(by);
            }
            Expr::LabelReplace(replace) => replace.inner.shift(by),
        }
    }

    /// Calls `visit` for each range aggregation, in the order of evaluation. If a `sum` stands right around it and may be made
    /// of its samples, `visit` gets the grouping of the sum too: then the series need no other labels.
    pub fn ranges<'e>(&'e self, visit: &mut impl FnMut(&'e RangeAggregation, Option<&'e Grouping>)) {
        match self {
            Expr::Number(_) | Expr::Vector(_) => {}
            Expr::Range(range) => visit(range, None),
            Expr::Aggregate(VectorAggregation { op, grouping, inner, .. }) => match &**inner {
                Expr::Range(range) => {
                    visit(range, (*op == VectorOp::Sum && range.op.adds_up()).then_some(grouping))
                }
                inner => inner.ranges(visit),
            },
            Expr::Binary(binary) => {
                binary.left.ranges(visit);
                binary.right.ranges(visit);
            }
            Expr::LabelReplace(replace) => replace.inner.ranges(visit),
        }
    }
}

impl Expr {
    /// Whether each series of the result has exactly the same value in whatever order the series of its ranges come. Sums of
    /// fractions do not, nor is it told which of two equal values `topk` leaves out.
    pub fn is_unordered(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::Vector(_) | Expr::Range(_) => true,
            Expr::Aggregate(VectorAggregation { op, inner, .. }) => match (op, &**inner) {
                (VectorOp::Count, inner) => inner.is_unordered(),
                // The range has one series for each group already.
                (VectorOp::Sum, Expr::Range(range)) if range.op.adds_up() => true,
                (VectorOp::Max | VectorOp::Min, Expr::Range(range)) if range.query.unwrap.is_none() => true,
                (VectorOp::Sum | VectorOp::Max | VectorOp::Min, inner) => inner.is_whole(),
                _ => false,
            },
            Expr::Binary(binary) => binary.left.is_unordered() && binary.right.is_unordered(),
            // Two series may become one.
            Expr::LabelReplace(_) => false,
        }
    }

    /// Whether its values are counts, which come to the same in whatever order they are added.
    fn is_whole(&self) -> bool {
        match self {
            Expr::Range(range) => {
                matches!(range.op, RangeOp::CountOverTime | RangeOp::BytesOverTime)
                    && range.query.unwrap.is_none()
            }
            Expr::Aggregate(VectorAggregation { op, inner, .. }) => {
                (*op == VectorOp::Count && inner.is_unordered())
                    || (matches!(op, VectorOp::Sum | VectorOp::Max | VectorOp::Min) && inner.is_whole())
            }
            Expr::Number(_) | Expr::Vector(_) | Expr::Binary(_) | Expr::LabelReplace(_) => false,
        }
    }
}

/// A log query: matchers and a pipeline, with or without `unwrap`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogQuery {
    /// The label matchers. At least one of them refuses the empty value.
    pub matchers: Vec<Matcher>,
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// The label whose value counts, instead of the line.
    pub unwrap: Option<Unwrap>,
}

/// `| unwrap duration(took) | took > 5`
#[derive(Debug, Clone, PartialEq)]
pub struct Unwrap {
    /// Which label.
    pub label: String,
    /// How its value becomes a number.
    pub conversion: Conversion,
    /// Filters behind it: all must pass.
    pub filters: Vec<LabelFilter>,
}

/// How a label's value becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// The value is a number.
    Number,
    /// A size, in bytes.
    Bytes,
    /// `duration`: a duration, in seconds.
    Duration,
    /// `duration_seconds`: the same as [`Conversion::Duration`].
    DurationSeconds,
}

/// A function of the samples of a series within a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // as they are written
pub enum RangeOp {
    CountOverTime,
    Rate,
    RateCounter,
    BytesOverTime,
    BytesRate,
    AvgOverTime,
    SumOverTime,
    MinOverTime,
    MaxOverTime,
    StdvarOverTime,
    StddevOverTime,
    QuantileOverTime,
    FirstOverTime,
    LastOverTime,
    AbsentOverTime,
}

impl RangeOp {
    /// All of them.
    pub const ALL: [(RangeOp, &'static str); 15] = [
        (RangeOp::CountOverTime, "count_over_time"),
        (RangeOp::Rate, "rate"),
        (RangeOp::RateCounter, "rate_counter"),
        (RangeOp::BytesOverTime, "bytes_over_time"),
        (RangeOp::BytesRate, "bytes_rate"),
        (RangeOp::AvgOverTime, "avg_over_time"),
        (RangeOp::SumOverTime, "sum_over_time"),
        (RangeOp::MinOverTime, "min_over_time"),
        (RangeOp::MaxOverTime, "max_over_time"),
        (RangeOp::StdvarOverTime, "stdvar_over_time"),
        (RangeOp::StddevOverTime, "stddev_over_time"),
        (RangeOp::QuantileOverTime, "quantile_over_time"),
        (RangeOp::FirstOverTime, "first_over_time"),
        (RangeOp::LastOverTime, "last_over_time"),
        (RangeOp::AbsentOverTime, "absent_over_time"),
    ];

    /// Whether the sum of two series is the value of their samples together.
    fn adds_up(self) -> bool {
        use RangeOp::{BytesOverTime, BytesRate, CountOverTime, Rate, SumOverTime};
        matches!(self, BytesOverTime | BytesRate | CountOverTime | Rate | SumOverTime)
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        RangeOp::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }
}

/// A range aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeAggregation {
    /// What it computes.
    pub op: RangeOp,
    /// The quantile of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// The log query that gives the samples.
    pub query: LogQuery,
    /// How far back it looks (nanoseconds).
    pub range: i64,
    /// How long before the evaluation the range ends (nanoseconds).
    pub offset: i64,
    /// The labels that make a series.
    pub grouping: Option<Grouping>,
}

/// Which labels stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grouping {
    /// `without`: all labels but these stay; else only these stay.
    pub without: bool,
    /// Their names, as they are written.
    pub labels: Vec<String>,
}

/// A function of several series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // as they are written
pub enum VectorOp {
    Sum,
    Avg,
    Count,
    Max,
    Min,
    Stddev,
    Stdvar,
    Bottomk,
    Topk,
    Sort,
    SortDesc,
}

impl VectorOp {
    /// All of them.
    pub const ALL: [(VectorOp, &'static str); 11] = [
        (VectorOp::Sum, "sum"),
        (VectorOp::Avg, "avg"),
        (VectorOp::Count, "count"),
        (VectorOp::Max, "max"),
        (VectorOp::Min, "min"),
        (VectorOp::Stddev, "stddev"),
        (VectorOp::Stdvar, "stdvar"),
        (VectorOp::Bottomk, "bottomk"),
        (VectorOp::Topk, "topk"),
        (VectorOp::Sort, "sort"),
        (VectorOp::SortDesc, "sort_desc"),
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        VectorOp::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }
}

/// An aggregation over series.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorAggregation {
    /// What it computes.
    pub op: VectorOp,
    /// How many series `topk` and `bottomk` choose.
    pub parameter: Option<usize>,
    /// The labels that stay; by default none.
    pub grouping: Grouping,
    /// The series that it works on.
    pub inner: Box<Expr>,
}

/// An operator between two queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // as they are written
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl BinaryOp {
    /// All of them, with how tightly they bind.
    pub(crate) const ALL: [(BinaryOp, &'static str, u8); 15] = [
        (BinaryOp::Or, "or", 1),
        (BinaryOp::And, "and", 2),
        (BinaryOp::Unless, "unless", 2),
        (BinaryOp::Equal, "==", 3),
        (BinaryOp::NotEqual, "!=", 3),
        (BinaryOp::Greater, ">", 3),
        (BinaryOp::GreaterOrEqual, ">=", 3),
        (BinaryOp::Less, "<", 3),
        (BinaryOp::LessOrEqual, "<=", 3),
        (BinaryOp::Add, "+", 4),
        (BinaryOp::Sub, "-", 4),
        (BinaryOp::Mul, "*", 5),
        (BinaryOp::Div, "/", 5),
        (BinaryOp::Mod, "%", 5),
        (BinaryOp::Pow, "^", 6),
    ];

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        BinaryOp::ALL.iter().find(|(op, ..)| *op == self).map_or("", |(_, symbol, _)| symbol)
    }

    /// How tightly it binds.
    fn binds(self) -> u8 {
        BinaryOp::ALL.iter().find(|(op, ..)| *op == self).map_or(0, |(.., binds)| *binds)
    }

    /// Whether it works on sets of series, not on values.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Greater | GreaterOrEqual | Less | LessOrEqual)
    }
}

/// Which side of an operator may have several series for one series of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cardinality {
    /// Neither.
    #[default]
    OneToOne,
    /// `group_left`: the left one.
    ManyToOne,
    /// `group_right`: the right one.
    OneToMany,
}

/// Which series of two sides belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// `on`: series that agree in `labels` belong together; else series that agree in all other labels.
    pub on: bool,
    /// Which labels.
    pub labels: Vec<String>,
    /// How many series of one side belong to one series of the other side.
    pub cardinality: Cardinality,
    /// Labels that the result takes over from the side with one series.
    pub include: Vec<String>,
}

/// Two queries and an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryOperation {
    /// Which one.
    pub op: BinaryOp,
    /// `bool`: a comparison gives 0 or 1, and drops nothing.
    pub bool: bool,
    /// Which series belong together.
    pub matching: Matching,
    /// Its left side.
    pub left: Expr,
    /// Its right side.
    pub right: Expr,
}

/// A label made of another.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelReplace {
    /// The series that it works on.
    pub inner: Expr,
    /// The label that is set.
    pub to: String,
    /// To what, with `$1` for groups.
    pub replacement: String,
    /// The label that is looked at.
    pub from: String,
    /// What its whole value must match.
    pub regex: Re2,
}

#[cfg(test)]
mod tests;
