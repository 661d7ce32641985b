//! Metric queries as text, in the form that Loki's formatter gives (grafana/loki, `pkg/logql/syntax/ast.go`).

use std::fmt;

use super::{
    BinaryOperation, Cardinality, Conversion, Expr, Grouping, LabelReplace, LogQuery, Matching,
    RangeAggregation, Unwrap, VectorAggregation,
};
use crate::ast::write_matchers;
use crate::go::quote::Quoted;
use crate::written::{Duration, Number};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(value) => write!(f, "{}", Number(*value)),
            Expr::Vector(value) => write!(f, "vector({})", Number(*value)),
            Expr::Range(range) => write!(f, "{range}"),
            Expr::Aggregate(VectorAggregation { op, parameter, grouping, inner }) => {
                f.write_str(op.name())?;
                if *grouping != Grouping::default() {
                    write!(f, "{grouping}")?;
                }
                match parameter {
                    Some(parameter) => write!(f, "({parameter},{inner})"),
                    None => write!(f, "({inner})"),
                }
            }
            Expr::Binary(operation) => write!(f, "{operation}"),
            Expr::LabelReplace(replace) => {
                let LabelReplace { inner, to, replacement, from, regex } = &**replace;
                let [to, replacement, from, regex] =
                    [to, replacement, from, regex.source()].map(|text: &str| Quoted(text));
                write!(f, "label_replace({inner},{to},{replacement},{from},{regex})")
            }
        }
    }
}

impl fmt::Display for BinaryOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Matching { on, labels, cardinality, include } = &self.matching;
        write!(f, "({} {}", self.left, self.op.symbol())?;
        if self.bool {
            f.write_str(" bool")?;
        }
        if *on || !labels.is_empty() || *cardinality != Cardinality::OneToOne {
            write!(f, " {} ({})", if *on { "on" } else { "ignoring" }, labels.join(","))?;
        }
        match cardinality {
            Cardinality::OneToOne => {}
            Cardinality::ManyToOne => f.write_str(" group_left")?,
            Cardinality::OneToMany => f.write_str(" group_right")?,
        }
        if !include.is_empty() {
            write!(f, " ({})", include.join(","))?;
        }
        write!(f, " {})", self.right)
    }
}

impl fmt::Display for RangeAggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.name())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{},", Number(parameter))?;
        }
        write!(f, "{}[{}]", self.query, Duration(self.range))?;
        if self.offset != 0 {
            write!(f, " offset {}", Duration(self.offset))?;
        }
        f.write_str(")")?;
        self.grouping.iter().try_for_each(|grouping| write!(f, "{grouping}"))
    }
}

impl fmt::Display for LogQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_matchers(f, &self.matchers)?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))?;
        let Some(Unwrap { label, conversion, filters }) = &self.unwrap else {
            return Ok(());
        };
        match conversion {
            Conversion::Number => write!(f, " | unwrap {label}")?,
            Conversion::Bytes => write!(f, " | unwrap bytes({label})")?,
            Conversion::Duration => write!(f, " | unwrap duration({label})")?,
            Conversion::DurationSeconds => write!(f, " | unwrap duration_seconds({label})")?,
        }
        filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {} ({})", if self.without { "without" } else { "by" }, self.labels.join(","))
    }
}
