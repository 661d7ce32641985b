//! LogQL, the language of Grafana Loki's queries (grafana/loki, `pkg/logql`): a parser, and what queries mean.
//!
//! ```text
//!     {unit="sshd.service", level!~"debug|info"} |= "Invalid" != "test"
//!     `------------- label matchers ----------´  `-- line filters --´
//! ```
//!
//! A [`Selector`] chooses entries by their labels and lines. An [`Expr`] is a metric query: [`pipeline`] makes samples of
//! entries, [`aggregate`] makes one value of the samples of a series within a range, and [`vectors`] computes with series.
//! A text that is neither is refused, and the error names the place of the mistake ([`ParseError`]).
//!
//! ```
//! use logql::label_set::LabelSet;
//! use logql::pipeline::Extractor;
//! use logql::vectors::{Sample, evaluate};
//! use logql::{Expr, Selector};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut stream = LabelSet::default();
//! stream.insert("unit", b"sshd.service");
//! let lines = ["user=root took=3s", "user=eve took=12s", "user=root took=20s"];
//!
//! // A selector chooses streams and lines.
//! let selector = Selector::parse(r#"{unit=~"ssh.*"} |= "root""#)?;
//! assert!(selector.matches_labels(&stream));
//! assert_eq!(lines.iter().filter(|line| selector.matches_line(line)).count(), 2);
//!
//! // A metric query. The caller has the entries, and answers for each range aggregation in the query.
//! let query = Expr::parse(r#"count_over_time({unit="sshd.service"} | logfmt | took > 10s [5m]) > 1"#)?;
//! let result = evaluate(&query, &mut |range| {
//!     let extractor = Extractor::new(range, None);
//!     assert!(extractor.matches(&stream));
//!     let samples = lines.iter().filter_map(|line| extractor.extract(&stream, (0, line), std::iter::empty()));
//!     let points: Vec<_> = samples.map(|(_, value)| (0, value)).collect();
//!     let value = logql::aggregate::aggregate(range, &points, 0);
//!     Ok(vec![Sample { labels: Default::default(), value }])
//! })?;
//! assert_eq!(result[0].value, 2.0);
//!
//! // The error of a text that is not valid has the place of the mistake.
//! let error = Selector::parse("{unit=sshd}").unwrap_err();
//! assert_eq!((error.to_string().as_str(), error.span), ("unexpected `sshd`; expected a string: `\"sshd\"`", 6..10));
//! # Ok(())
//! # }
//! ```
//!
//! # The modules
//!
//! They stand in this order; each imports only modules that stand before it.
//!
//! | module | contents |
//! | --- | --- |
//! | [`ansi`], `error`, [`label_set`], [`nearest`] | colour sequences, [`ParseError`], label sets, guesses at misspelt names |
//! | [`go`] | what is Go's: regular expressions, templates, time layouts, units, quoting, JSON, logfmt |
//! | [`jmespath`] | expressions that take values out of JSON |
//! | `ip`, `pattern`, `filter` | addresses, patterns and filters of lines |
//! | `ast`, `written`, [`stage`], [`expr`], `query` | the tree of a selector, of a stage, of a query, and how it is written |
//! | [`aggregate`], [`vectors`] | the values of range aggregations, and of the whole query |
//! | `lexer`, `parser` | from text to the trees |
//! | [`pipeline`] | the stages run on an entry; `detected_level` |

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

mod query;

mod lexer;
mod parser;

pub mod pipeline;

pub use ast::{MatchOp, Matcher, Selector};
pub use error::ParseError;
pub use expr::{Expr, LogQuery};
pub use filter::LineFilter;
pub use ip::IpRange;
pub use pattern::Captures;
pub use query::Query;
