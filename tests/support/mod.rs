//! The real parts that the agent's tests run against, beside those that the reader's tests have, too.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod agent;
pub mod alertmanager;
pub mod browser;
pub mod gate;
pub mod host;
/// LogQL evaluated slowly, and tables of queries.
#[path = "../../crates/logql/tests/support/mod.rs"]
pub mod logql;
pub mod loki;
pub mod network;
pub mod package;
pub mod proxy;
pub mod pushing;
/// Journals, a journald, journalctl.
#[path = "../../crates/journald-reader/tests/support/mod.rs"]
mod reader;

pub(crate) use reader::or_skip;
pub use reader::*;
