//! LogQL evaluated slowly, and tables of queries with what they come to.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod slow;
pub mod table;

pub use slow::{Given, Slow, label_set};
