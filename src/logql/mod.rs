//! LogQL: Loki's language for choosing streams and lines.
//!
//! Selectors and line filters are here, with Loki's meaning to the letter (grafana/loki, `pkg/logql/syntax`,
//! `pkg/logql/log/filter.go`): label matchers cover the whole value, a label that is missing is empty, line
//! filters match anywhere. The stage `match` and the retention rules share them. What else LogQL has is
//! refused where it stands, never half understood.

mod lexer;
mod parser;
mod selector;

use std::ops::Range;

pub use selector::{LineFilter, LineOp, LineValue, MatchOp, Matcher, Selector};

/// Why a text is no LogQL that is understood here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// What would have been right there, if that can be said.
    pub expected: Option<String>,
    /// Where (bytes).
    pub span: Range<usize>,
}

impl ParseError {
    fn new(span: Range<usize>, message: impl Into<String>) -> ParseError {
        ParseError { message: message.into(), expected: None, span }
    }

    fn expected(mut self, what: impl Into<String>) -> ParseError {
        self.expected = Some(what.into());
        self
    }
}
