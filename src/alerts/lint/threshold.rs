//! Finds thresholds that no series will exceed, and comparisons that cannot notice silence.
//!
//! A range aggregation without a grouping makes a series for each stream and each value of its structured metadata. A series
//! without entries does not have the value 0: it does not exist.

use super::series::{chooses, of_range};
use crate::shape::known::KnownLabels;
use crate::yaml::Lint;
use logql::expr::{BinaryOp, Expr, LogQuery, RangeAggregation, RangeOp, VectorOp};

/// The comparison that each value must fulfil.
type Threshold = (BinaryOp, f64);

/// Warns about an expression. `recorded`: its series become metrics.
pub(super) fn lint(expr: &Expr, known: &KnownLabels, recorded: bool, lints: &mut Vec<Lint>) {
    let mut found = Found { known, lints };
    found.compared(expr);
    if recorded {
        found.recorded(expr);
    } else if let Expr::Binary(binary) = expr
        && binary.bool
        && binary.op.is_comparison()
    {
        found.lints.push(Lint {
            title: format!("with `bool` a comparison drops no series: `{} bool`", binary.op.symbol()),
            label: "this alert fires whatever the value is".to_owned(),
            help: "leave `bool` out".to_owned(),
            part: Some("bool".to_owned()),
        });
    }
}

struct Found<'l> {
    known: &'l KnownLabels,
    lints: &'l mut Vec<Lint>,
}

impl Found<'_> {
    /// Looks for comparisons with a number.
    fn compared(&mut self, expr: &Expr) {
        match expr {
            Expr::Number(_) | Expr::Vector(_) | Expr::Range(_) => {}
            Expr::Aggregate(aggregation) => self.compared(&aggregation.inner),
            Expr::LabelReplace(replace) => self.compared(&replace.inner),
            Expr::Binary(binary) => {
                let number = |expr: &Expr| match expr {
                    Expr::Number(value) | Expr::Vector(value) => Some(*value),
                    _ => None,
                };
                let asked = match (binary.op.is_comparison(), number(&binary.left), number(&binary.right)) {
                    (true, None, Some(value)) => Some((&binary.left, binary.op, value)),
                    (true, Some(value), None) => Some((&binary.right, mirrored(binary.op), value)),
                    _ => None,
                };
                match asked {
                    Some((values, op, value)) => {
                        self.split(values, Some((op, value)));
                        if !binary.bool {
                            self.silence(values, op, value);
                        }
                        self.compared(values);
                    }
                    None if binary.op == BinaryOp::Or && (fills(&binary.left) || fills(&binary.right)) => {}
                    None => {
                        self.compared(&binary.left);
                        self.compared(&binary.right);
                    }
                }
            }
        }
    }

    /// Warns of a threshold for series that are split by values of metadata, if few entries do not exceed it.
    fn split(&mut self, values: &Expr, threshold: Option<Threshold>) {
        match values {
            Expr::Range(range) => self.split_range(range, threshold),
            Expr::LabelReplace(replace) => self.split(&replace.inner, threshold),
            Expr::Aggregate(aggregation) => {
                let single = matches!(aggregation.op, VectorOp::Max | VectorOp::Min | VectorOp::Avg);
                let by_metadata = !aggregation.grouping.without
                    && self
                        .known
                        .metadata()
                        .any(|name| aggregation.grouping.labels.iter().any(|label| label == name));
                if (single || chooses(aggregation.op)) && !by_metadata {
                    self.split(&aggregation.inner, threshold);
                }
            }
            Expr::Binary(binary) => match (&binary.left, &binary.right, threshold) {
                (values, Expr::Number(by), Some((op, value))) if *by > 0.0 => match binary.op {
                    BinaryOp::Mul => self.split(values, Some((op, value / by))),
                    BinaryOp::Div => self.split(values, Some((op, value * by))),
                    _ => {}
                },
                (values, Expr::Vector(_), _) if binary.op == BinaryOp::Or => self.split(values, threshold),
                _ => {}
            },
            Expr::Number(_) | Expr::Vector(_) => {}
        }
    }

    fn split_range(&mut self, range: &RangeAggregation, threshold: Option<Threshold>) {
        let Some((op, value)) = threshold else { return };
        let seconds = range.range as f64 / 1e9;
        let of_one = match range.op {
            RangeOp::CountOverTime => Some(1.0),
            RangeOp::Rate if range.query.unwrap.is_none() => Some(1.0 / seconds),
            RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::SumOverTime => None,
            _ => return,
        };
        let passes = match op {
            BinaryOp::Greater => of_one.is_some_and(|one| one > value),
            BinaryOp::GreaterOrEqual => of_one.is_some_and(|one| one >= value),
            _ => return,
        };
        if passes || value <= 0.0 || range.grouping.is_some() {
            return;
        }
        let Some(names) = self.metadata_of(range) else { return };
        self.lints.push(Lint {
            title: format!("each value of {names} is a series of its own"),
            label: format!("one of them alone will hardly pass {value}"),
            help: format!("count them together: `{}`", self.summed(range)),
            part: Some(range.op.name().to_owned()),
        });
    }

    /// Warns of a metric with a series for each value of metadata.
    fn recorded(&mut self, expr: &Expr) {
        match expr {
            Expr::Range(range) if range.grouping.is_none() && range.op != RangeOp::AbsentOverTime => {
                let Some(names) = self.metadata_of(range) else { return };
                self.lints.push(Lint {
                    title: format!("each value of {names} is a series of its own"),
                    label: "the metric gets a new series with each of them".to_owned(),
                    help: format!("take them together: `{}`", self.summed(range)),
                    part: Some(range.op.name().to_owned()),
                });
            }
            Expr::Aggregate(aggregation) if chooses(aggregation.op) => self.recorded(&aggregation.inner),
            Expr::Binary(binary) => {
                self.recorded(&binary.left);
                self.recorded(&binary.right);
            }
            Expr::LabelReplace(replace) => self.recorded(&replace.inner),
            _ => {}
        }
    }

    /// The labels that split the series, as text.
    fn metadata_of(&self, range: &RangeAggregation) -> Option<String> {
        let names = of_range(range, self.known);
        let left: Vec<_> =
            names.iter().filter(|name| self.known.splitting().any(|other| other == *name)).collect();
        let quoted: Vec<_> = left.iter().map(|name| format!("`{name}`")).collect();
        (!quoted.is_empty()).then(|| quoted.join(" and "))
    }

    fn summed(&self, range: &RangeAggregation) -> String {
        match self.known.host() {
            Some(host) => format!("sum by ({host}) ({range})"),
            None => format!("sum({range})"),
        }
    }

    /// Warns of a comparison that is meant for silence, but is not made when there are no entries.
    fn silence(&mut self, values: &Expr, op: BinaryOp, value: f64) {
        let low = match op {
            BinaryOp::Less => value > 0.0,
            BinaryOp::LessOrEqual => value >= 0.0,
            BinaryOp::Equal => value == 0.0,
            _ => false,
        };
        if !low {
            return;
        }
        let Some((query, range)) = counts(values) else { return };
        let never = value == 0.0;
        let symbol = op.symbol();
        self.lints.push(Lint {
            title: format!("a series without entries is not there, it is not 0: `{symbol} {value}`"),
            label: match never {
                true => "this is never true".to_owned(),
                false => "this fires when there are few entries, and not when there are none".to_owned(),
            },
            help: format!(
                "to notice silence: `absent_over_time({query}[{range}])`, for each unit its own{}",
                if never { "" } else { ", joined with `or`" }
            ),
            part: None,
        });
    }
}

/// Whether an expression has a value when there are no entries.
fn fills(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::Vector(_) => true,
        Expr::Range(range) => range.op == RangeOp::AbsentOverTime,
        Expr::Aggregate(aggregation) => fills(&aggregation.inner),
        Expr::LabelReplace(replace) => fills(&replace.inner),
        Expr::Binary(binary) => match binary.op {
            BinaryOp::Or => fills(&binary.left) || fills(&binary.right),
            op if op.is_set() => false,
            _ => fills(&binary.left) && fills(&binary.right),
        },
    }
}

/// What is counted, if values are numbers of entries (or their bytes) and missing series have no replacement.
fn counts(expr: &Expr) -> Option<(&LogQuery, String)> {
    match expr {
        Expr::Range(range) if range.query.unwrap.is_none() => {
            let counted = matches!(
                range.op,
                RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate
            );
            let length = std::time::Duration::from_nanos(range.range.unsigned_abs());
            counted.then(|| (&range.query, crate::yaml::units::format_duration(length)))
        }
        Expr::Aggregate(aggregation) => counts(&aggregation.inner),
        Expr::LabelReplace(replace) => counts(&replace.inner),
        _ => None,
    }
}

/// `5 < a` is `a > 5`.
fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterOrEqual => BinaryOp::LessOrEqual,
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessOrEqual => BinaryOp::GreaterOrEqual,
        op => op,
    }
}
