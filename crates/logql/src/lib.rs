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

pub mod aggregate;
pub mod ansi;
mod ast;
mod error;
pub mod expr;
mod filter;
pub mod go;
mod ip;
pub mod jmespath;
pub mod label_set;
pub mod lexer;
pub mod nearest;
mod parser;
mod pattern;
pub mod pipeline;
pub mod stage;
pub mod units;
pub mod vectors;

pub use ast::{MatchOp, Matcher, Selector};
pub use error::ParseError;
pub use expr::Expr;
pub use filter::{FilterOp, LineFilter, Operand};
