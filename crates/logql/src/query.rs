//! A query of either kind: for lines, or for values.

use std::fmt;

use crate::expr::{Expr, LogQuery};

/// What a text of LogQL asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Lines: `{unit="sshd.service"} |= "Invalid"`
    Logs(LogQuery),
    /// Values: `sum by (unit) (rate({unit=~".+"}[5m]))`
    Metric(Expr),
}

impl Query {
    /// The query as Loki's formatter writes it: as `{:#}` does, but in several lines where it is long. Sizes are rounded, and
    /// numbers of `vector`; else it reads back as the same query.
    pub fn pretty(&self) -> String {
        match self {
            Query::Logs(query) => query.pretty(),
            Query::Metric(expr) => expr.pretty(),
        }
    }
}

/// It reads back as the same; with `{:#}` it is the form that Loki gives on one line.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Logs(query) => query.fmt(f),
            Query::Metric(expr) => expr.fmt(f),
        }
    }
}
