//! LogQL, the language of Loki's queries (grafana/loki, `pkg/logql`): one parser and one meaning for all rules
//! of a configuration that choose entries.
//!
//! ```text
//!     {unit="sshd.service", level!~"debug|info"} |= "Invalid" != "test"
//!     `------------- label matchers ----------´  `-- line filters --´
//! ```
//!
//! [`lexer`] knows the words of the whole language; the parser knows [`Selector`]s, which choose entries by
//! their labels and lines. What is LogQL but no selector is refused as such, at its place.

mod ast;
mod error;
mod filter;
mod ip;
pub mod lexer;
mod parser;
mod pattern;
mod quote;
mod units;

pub use ast::{MatchOp, Matcher, Selector};
pub use error::ParseError;
pub use filter::{FilterOp, LineFilter, Operand};
