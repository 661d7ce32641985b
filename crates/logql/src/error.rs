//! The error of the parsers.

use std::ops::Range;

/// The first mistake in a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}{}", if expected.is_empty() { "" } else { "; expected " }, expected)]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where it is wrong (bytes of the text). At the end of the text the range is empty.
    pub span: Range<usize>,
    /// What may stand there instead, as a phrase; empty when the message says it.
    pub expected: String,
    /// What Loki says of it, if it names no place (grafana/loki, `pkg/logqlmodel/error.go`, `NewParseError` with 0, 0).
    pub placeless: Option<String>,
    /// The stage that it is in, as Loki writes it, if Loki finds the mistake when it runs the stage, and not when it reads the text.
    pub stage: Option<String>,
}

impl ParseError {
    pub(crate) fn new(message: impl Into<String>, span: Range<usize>) -> ParseError {
        ParseError { message: message.into(), span, expected: String::new(), placeless: None, stage: None }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> ParseError {
        self.expected = expected.into();
        self
    }

    pub(crate) fn placeless(mut self, words: impl Into<String>) -> ParseError {
        self.placeless = Some(words.into());
        self
    }
}
