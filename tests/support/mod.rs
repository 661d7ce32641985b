//! What the integration tests share; no test uses all of it, and a test may stop at the first surprise.
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]
pub mod loki;
