//! Regular expressions as Go's `regexp` takes them (RE2 syntax), run by the crate `regex`.

use std::fmt;
use std::ops::{Deref, Range};

/// A compiled regular expression and its source.
#[derive(Clone)]
pub struct Re2 {
    source: String,
    regex: regex::Regex,
}

/// Why a regular expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Re2Error {
    /// What is wrong with it.
    pub message: String,
    /// Where in the source (bytes), if a place can be named.
    pub at: Option<Range<usize>>,
}

impl Re2 {
    /// Compiles an expression that matches anywhere in a text.
    ///
    /// # Errors
    /// What is not valid in RE2 syntax, or too large when compiled.
    pub fn new(source: &str) -> Result<Re2, Re2Error> {
        let regex = regex::Regex::new(source).map_err(|e| Re2Error { message: e.to_string(), at: None })?;
        Ok(Re2 { source: source.to_owned(), regex })
    }

    /// Compiles an expression that must match a text whole, `.` matching line breaks too, as Prometheus's
    /// matchers and relabelling do.
    ///
    /// # Errors
    /// As [`Re2::new`].
    pub fn whole(source: &str) -> Result<Re2, Re2Error> {
        let regex = regex::Regex::new(&format!("^(?s:{source})$"))
            .map_err(|e| Re2Error { message: e.to_string(), at: None })?;
        Ok(Re2 { source: source.to_owned(), regex })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl Deref for Re2 {
    type Target = regex::Regex;

    fn deref(&self) -> &regex::Regex {
        &self.regex
    }
}

impl PartialEq for Re2 {
    fn eq(&self, other: &Re2) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl fmt::Debug for Re2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Re2({:?})", self.source)
    }
}
