//! The reader against journald, journalctl, libsystemd, and files that are damaged: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test stops at the first surprise

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod instants;
mod matching;
mod namespaces;
mod reader;
mod reader_edges;
mod reader_equal;
mod reader_headers;
mod reader_limits;
mod second_reader;
mod splice;
mod testbed;
mod unbreakable;
