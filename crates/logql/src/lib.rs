//! LogQL, the language of Loki's queries (grafana/loki, `pkg/logql`): one parser and one meaning for all rules
//! of a configuration that choose entries.
//!
//! ```text
//!     {unit="sshd.service", level!~"debug|info"} |= "Invalid" != "test"
//!     `------------- label matchers ----------´  `-- line filters --´
//! ```
//!
//! A [`Selector`] chooses entries by their labels and lines. An [`Expr`] is a metric query: [`pipeline`] makes samples of
//! entries, [`aggregate`] makes series of the samples of a range, [`vectors`] computes with series. What is neither
//! is refused as such, at its place.

// The order of the modules: each imports only modules that stand before it.
pub mod ansi;
mod error;
pub mod label_set;
pub mod nearest;

pub mod go;
pub mod jmespath;

mod ip;
mod pattern;

mod filter;

mod ast;

mod written;

pub mod stage;

pub mod expr;

pub mod aggregate;
pub mod vectors;

mod lexer;
mod parser;

pub mod pipeline;

pub use ast::{MatchOp, Matcher, Selector};
pub use error::ParseError;
pub use expr::Expr;
pub use filter::{FilterOp, LineFilter, Operand};
