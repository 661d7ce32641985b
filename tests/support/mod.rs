//! The real parts that the tests run against, and how a test says that a part cannot run here.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod agent;
pub mod alertmanager;
pub mod fixtures;
pub mod gate;
pub mod host;
pub mod journald;
pub mod journals;
pub mod layout;
pub mod logql;
pub mod loki;
pub mod merge;
pub mod proxy;
pub mod pushing;
pub mod random;
pub mod reading;
pub mod sound;
pub mod unavailable;

pub(crate) use unavailable::or_skip;
pub use unavailable::{Unavailable, root, skipped};
