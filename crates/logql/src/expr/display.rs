//! Queries as text. There are two forms of it.
//!
//! `{}` reads back as the same query, whatever is in it. It is what a rule is known by, also to a later version (its states on
//! disk are found by this text): so it must not change.
//!
//! `{:#}` is what Loki's `String` methods give (grafana/loki, `pkg/logql/syntax/ast.go`). It rounds sizes and numbers of
//! `vector`, and has words for numbers that LogQL cannot read.

use std::fmt;

use super::{
    BinaryOperation, Cardinality, Conversion, Expr, Grouping, LabelReplace, LogQuery, Matching,
    RangeAggregation, Unwrap, VectorAggregation,
};
use crate::ast::write_matchers;
use crate::go::quote::Quoted;
use crate::go::units;
use crate::written::{Duration, Number};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(value) => Number(*value).fmt(f),
            Expr::Vector(value) if f.alternate() => write!(f, "vector({value:.6})"),
            Expr::Vector(value) => write!(f, "vector({})", Number(*value)),
            Expr::Range(range) => range.fmt(f),
            Expr::Aggregate(VectorAggregation { op, parameter, grouping, inner }) => {
                f.write_str(op.name())?;
                if *grouping != Grouping::default() {
                    write!(f, "{grouping}")?;
                }
                f.write_str("(")?;
                if let Some(parameter) = parameter {
                    write!(f, "{parameter},")?;
                }
                inner.fmt(f)?;
                f.write_str(")")
            }
            Expr::Binary(operation) => operation.fmt(f),
            Expr::LabelReplace(replace) => {
                let LabelReplace { inner, to, replacement, from, regex } = &**replace;
                let [to, replacement, from, regex] =
                    [to, replacement, from, regex.source()].map(|text: &str| Quoted(text));
                f.write_str("label_replace(")?;
                inner.fmt(f)?;
                write!(f, ",{to},{replacement},{from},{regex})")
            }
        }
    }
}

impl fmt::Display for BinaryOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Matching { on, labels, cardinality, include } = &self.matching;
        f.write_str("(")?;
        self.left.fmt(f)?;
        write!(f, " {}", self.op.symbol())?;
        if self.bool {
            f.write_str(" bool")?;
        }
        let group = match cardinality {
            Cardinality::OneToOne => "",
            Cardinality::ManyToOne => "group_left",
            Cardinality::OneToMany => "group_right",
        };
        // Loki has a place for the group behind `on`, used or not, and forgets `ignoring ()` with its group.
        let loki = f.alternate();
        let matches = *on || !labels.is_empty();
        if matches || !loki && !group.is_empty() {
            write!(f, " {} ({})", if *on { "on" } else { "ignoring" }, labels.join(","))?;
            if loki || !group.is_empty() {
                write!(f, " {group}")?;
            }
            if !include.is_empty() {
                write!(f, " ({})", include.join(","))?;
            }
        }
        f.write_str(" ")?;
        self.right.fmt(f)?;
        f.write_str(")")
    }
}

impl fmt::Display for RangeAggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.name())?;
        match self.parameter {
            Some(parameter) if f.alternate() => write!(f, "{parameter},")?,
            Some(parameter) => write!(f, "{},", Number(parameter))?,
            None => {}
        }
        self.query.fmt(f)?;
        f.write_str("[")?;
        Duration(self.range).fmt(f)?;
        f.write_str("]")?;
        match self.offset {
            0 => {}
            offset if f.alternate() => write!(f, " offset {}", units::format_go_duration(offset))?,
            offset => write!(f, " offset {}", Duration(offset))?,
        }
        f.write_str(")")?;
        self.grouping.iter().try_for_each(|grouping| write!(f, "{grouping}"))
    }
}

impl fmt::Display for LogQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_matchers(f, &self.matchers)?;
        for stage in &self.stages {
            f.write_str(" ")?;
            stage.fmt(f)?;
        }
        let Some(Unwrap { label, conversion, filters }) = &self.unwrap else {
            return Ok(());
        };
        match conversion {
            Conversion::Number => write!(f, " | unwrap {label}")?,
            Conversion::Bytes => write!(f, " | unwrap bytes({label})")?,
            Conversion::Duration => write!(f, " | unwrap duration({label})")?,
            Conversion::DurationSeconds => write!(f, " | unwrap duration_seconds({label})")?,
        }
        filters.iter().try_for_each(|filter| {
            f.write_str(" | ")?;
            filter.fmt(f)
        })
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {} ({})", if self.without { "without" } else { "by" }, self.labels.join(","))
    }
}
