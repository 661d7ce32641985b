//! The real parts that the tests of the reader and of the agent run against, and how a test says that a part cannot run here.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod fixtures;
pub mod journald;
pub mod journals;
pub mod layout;
pub mod merge;
pub mod random;
pub mod reading;
pub mod sound;
pub mod unavailable;

pub(crate) use unavailable::or_skip;
pub use unavailable::{Unavailable, root, skipped};
