//! JMESPath: expressions that take values out of JSON (<https://jmespath.org/specification.html>).
//!
//! The whole language of Promtail's library (github.com/jmespath/go-jmespath), functions included. Two things differ: an
//! unknown function or a wrong number of arguments is an error when the expression is read, not with every line; and `keys`,
//! `values` and `*` answer in the order of the sorted keys.

mod eval;
mod functions;
mod lexer;
mod parser;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use crate::go::json::Json;
pub(crate) use eval::EvalError;

/// An expression, compiled.
#[derive(Clone)]
pub struct Expression {
    source: Box<str>,
    root: Arc<parser::Node>,
}

/// Why a text is not a valid expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SyntaxError {
    /// What is wrong, or what was expected.
    pub what: String,
    /// Where (bytes of the text).
    pub at: Range<usize>,
    /// What to write instead, where that can be said.
    pub help: Option<&'static str>,
}

impl SyntaxError {
    fn new(what: impl Into<String>, at: Range<usize>) -> SyntaxError {
        SyntaxError { what: what.into(), at, help: None }
    }

    fn help(mut self, help: &'static str) -> SyntaxError {
        self.help = Some(help);
        self
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The text is not valid JMESPath, it calls an unknown function or passes the wrong number of arguments, or it is too
    /// long.
    pub fn new(source: &str) -> Result<Expression, SyntaxError> {
        Ok(Expression { source: source.into(), root: Arc::new(parser::parse(source)?) })
    }

    /// The value that the expression takes out of another one; `null` if it finds none.
    ///
    /// # Errors
    /// A function was given a value of another type than it takes.
    pub fn search<'t>(&self, value: &Json<'t>) -> Result<Json<'t>, EvalError> {
        eval::eval(&self.root, value)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

#[cfg(test)]
mod tests;
