//! Long queries in several lines, as Loki's formatter breaks them (grafana/loki, `pkg/logql/syntax/prettier.go`): what is longer
//! than a line has each of its parts on lines of its own, further in.
//!
//! Loki loses brackets around operations, operands of a line filter behind `or`, empty lists of labels, and offsets that look
//! ahead when it breaks a query, so that it can mean something else. Here they stay.

use std::fmt::Display;

use super::{
    BinaryOp, BinaryOperation, Cardinality, Conversion, Expr, Grouping, LabelReplace, LogQuery,
    RangeAggregation, Unwrap, VectorAggregation,
};
use crate::go::quote::Quoted;
use crate::stage::Stage;
use crate::written::{Duration, Number};

/// Longest text that stays on a line (bytes), as in Loki (`MaxCharsPerLine`).
const WIDTH: usize = 100;

impl LogQuery {
    /// The query in several lines where it is long.
    pub(crate) fn pretty(&self) -> String {
        Pretty { width: WIDTH }.pipeline(self, 0)
    }
}

impl Expr {
    /// The query in several lines where it is long.
    pub(crate) fn pretty(&self) -> String {
        Pretty { width: WIDTH }.expr(self, 0)
    }
}

/// So far in is a line of a level.
fn indent(level: usize) -> String {
    "  ".repeat(level)
}

/// A line of a level.
fn line(level: usize, text: impl Display) -> String {
    format!("{}{text}", indent(level))
}

/// A function with its arguments, each on its own lines.
fn call(level: usize, head: &str, arguments: &[String], tail: &str) -> String {
    format!("{}(\n{}\n{}){tail}", line(level, head), arguments.join(",\n"), indent(level))
}

/// ` by (a, b)`
fn grouping(grouping: &Grouping) -> String {
    format!(" {} ({})", if grouping.without { "without" } else { "by" }, grouping.labels.join(", "))
}

struct Pretty {
    /// Longest text that stays on a line (bytes).
    width: usize,
}

impl Pretty {
    fn is_long(&self, text: &str) -> bool {
        text.len() > self.width
    }

    fn expr(&self, expr: &Expr, level: usize) -> String {
        let text = format!("{expr:#}");
        if !self.is_long(&text) {
            return line(level, text);
        }
        match expr {
            Expr::Number(_) | Expr::Vector(_) => line(level, text),
            Expr::Range(range) => self.range(range, level),
            Expr::Aggregate(VectorAggregation { op, parameter, grouping: by, inner }) => {
                let mut head = op.name().to_owned();
                if *by != Grouping::default() {
                    head += &grouping(by);
                }
                let mut arguments: Vec<_> = parameter.iter().map(|number| line(level + 1, number)).collect();
                arguments.push(self.expr(inner, level + 1));
                call(level, &head, &arguments, "")
            }
            Expr::Binary(operation) => self.binary(operation, level),
            Expr::LabelReplace(replace) => {
                let LabelReplace { inner, to, replacement, from, regex } = &**replace;
                let mut arguments = vec![self.expr(inner, level + 1)];
                let texts: [&str; 4] = [to, replacement, from, regex.source()];
                arguments.extend(texts.map(|text| line(level + 1, Quoted(text))));
                call(level, "label_replace", &arguments, "")
            }
        }
    }

    fn binary(&self, operation: &BinaryOperation, level: usize) -> String {
        let BinaryOperation { op, bool, matching, left, right } = operation;
        let mut symbol = op.symbol().to_owned();
        if *bool {
            symbol += " bool";
        }
        let group = match matching.cardinality {
            Cardinality::OneToOne => "",
            Cardinality::ManyToOne => " group_left",
            Cardinality::OneToMany => " group_right",
        };
        if matching.on || !matching.labels.is_empty() || !group.is_empty() {
            let on = if matching.on { "on" } else { "ignoring" };
            // Loki has a place for the group, used or not.
            let group = if group.is_empty() && !matching.labels.is_empty() { " " } else { group };
            symbol += &format!(" {on} ({}){group}", matching.labels.join(", "));
        }
        if !matching.include.is_empty() {
            symbol += &format!(" ({})", matching.include.join(", "));
        }
        // A chain of one operator is read from its left, but for `^`.
        let binds = op.binds();
        let (of_left, of_right) = if *op == BinaryOp::Pow { (binds + 1, binds) } else { (binds, binds + 1) };
        let (left, right) = (self.side(left, of_left, level + 1), self.side(right, of_right, level + 1));
        format!("{left}\n{}\n{right}", line(level, symbol))
    }

    /// A side of an operation; in brackets if it does not bind as strongly as that.
    fn side(&self, expr: &Expr, strength: u8, level: usize) -> String {
        match expr {
            Expr::Binary(operation)
                if operation.op.binds() < strength && self.is_long(&format!("{expr:#}")) =>
            {
                format!("{}\n{}\n{}", line(level, "("), self.expr(expr, level + 1), line(level, ")"))
            }
            _ => self.expr(expr, level),
        }
    }

    fn range(&self, range: &RangeAggregation, level: usize) -> String {
        let RangeAggregation { op, parameter, query, grouping: by, .. } = range;
        let mut arguments: Vec<_> =
            parameter.iter().map(|number| line(level + 1, format_args!("{:#}", Number(*number)))).collect();
        let plain = LogQuery { unwrap: None, ..query.clone() };
        let mut inner = self.pipeline(&plain, level + 1);
        if let Some(Unwrap { label, conversion, filters }) = &query.unwrap {
            let value = match conversion {
                Conversion::Number => label.clone(),
                Conversion::Bytes => format!("bytes({label})"),
                Conversion::Duration => format!("duration({label})"),
                Conversion::DurationSeconds => format!("duration_seconds({label})"),
            };
            inner += &format!("\n{}", line(level + 2, format_args!("| unwrap {value}")));
            for filter in filters {
                inner += &format!("\n{}", line(level + 2, format_args!("| {filter:#}")));
            }
        }
        inner += &format!(" [{:#}]", Duration(range.range));
        if range.offset != 0 {
            inner += &format!(" offset {:#}", Duration(range.offset));
        }
        arguments.push(inner);
        call(level, op.name(), &arguments, &by.as_ref().map(grouping).unwrap_or_default())
    }

    fn pipeline(&self, query: &LogQuery, level: usize) -> String {
        let text = format!("{query:#}");
        if !self.is_long(&text) || query.stages.is_empty() {
            return line(level, text);
        }
        let matchers = LogQuery { matchers: query.matchers.clone(), stages: Vec::new(), unwrap: None };
        let mut all = line(level, format_args!("{matchers:#}"));
        let mut stages = query.stages.as_slice();
        while let Some(first) = stages.first() {
            let (filters, others) =
                stages.split_at(stages.iter().take_while(|stage| is_filter(stage)).count());
            let (own, rest) = self.fitting(filters);
            let own = own.iter().map(written).collect::<Vec<_>>().join(" ");
            let rest = rest.iter().map(written);
            for text in Some(own).into_iter().filter(|own| !own.is_empty()).chain(rest) {
                all += &format!("\n{}", line(level + 1, text));
            }
            stages = others;
            if !is_filter(first)
                && let Some((stage, others)) = others.split_first()
            {
                // Loki has it at the margin.
                let level = if matches!(stage, Stage::Decolorize) { 0 } else { level + 1 };
                all += &format!("\n{}", line(level, written(stage)));
                stages = others;
            }
        }
        all
    }

    /// Line filters behind each other: those that fit on one line, and the rest.
    fn fitting<'s>(&self, filters: &'s [Stage]) -> (&'s [Stage], &'s [Stage]) {
        let mut length = 0;
        let fits = filters.iter().enumerate().take_while(|(number, filter)| {
            length += written(filter).len() + usize::from(*number > 0);
            *number == 0 || length <= self.width
        });
        filters.split_at(fits.count())
    }
}

/// A stage as Loki's `String` gives it.
fn written(stage: &Stage) -> String {
    format!("{stage:#}")
}

fn is_filter(stage: &Stage) -> bool {
    matches!(stage, Stage::Line(_))
}

#[cfg(test)]
mod tests;
