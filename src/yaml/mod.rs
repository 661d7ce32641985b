//! YAML with places: a document becomes a tree whose parts know where they stand, a `Checker` reads values out of it, and
//! every mistake is shown with carets below its place.
//!
//! Nothing here knows a key of a section: whoever opens a document gives the table of its keys ([`Key`]) to the checker.
//! Unknown-key errors and their suggestions come from that table.

mod check;
mod diagnostic;
mod expand;
mod file;
mod foreign;
pub(crate) mod key;
mod node;
mod refusal;
mod scalars;
pub(crate) mod secrets;
mod section;
pub mod units;
mod unmet;
pub(crate) mod write;

pub(crate) use check::{Checker, Value};
pub use diagnostic::{Diagnostics, Lint};
pub(crate) use diagnostic::{Finding, Span, quoted};
pub use expand::{Environment, Unset};
pub(crate) use expand::{Expanded, escaped, expanded};
pub use file::FILE_MAX;
pub(crate) use file::{document, read, text};
pub(crate) use foreign::Document;
#[cfg(test)]
pub(crate) use foreign::OURS;
pub use key::Key;
pub(crate) use node::{Kind, Node};
pub(crate) use refusal::Refusal;
#[cfg(test)]
pub(crate) use refusal::check_rule;
pub(crate) use scalars::absolute;
pub(crate) use section::Section;
pub use unmet::{Unmet, point};
