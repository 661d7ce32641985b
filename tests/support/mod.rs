//! What the integration tests share; no test uses all of it.
#![allow(dead_code, unreachable_pub)]
pub mod loki;
