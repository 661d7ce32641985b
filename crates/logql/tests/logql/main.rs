//! LogQL against tables of what its queries come to: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

#[path = "../support/mod.rs"]
mod support;

mod table;
