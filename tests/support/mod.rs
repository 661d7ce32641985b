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

use std::io::Write;

/// Why a real part cannot run on this machine: no root, no namespaces, a program missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says, past the harness's capture, that a test did not run: `SKIPPED <test>: <reason>`, on one line.
/// `./test` counts these lines, so a machine that cannot run a test never looks like one that passed it.
pub fn skipped(test: &str, why: &Unavailable) {
    // On one core the harness leaves "test NAME ... " open, hence the newline before it.
    let line = format!("\nSKIPPED {test}: {}\n", why.0.trim().replace('\n', " "));
    // One write: lines of parallel tests do not mix. print! and eprint! would be captured.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The value, or the end of the test with a `SKIPPED` line: `let j = or_skip!(Journald::start());`
macro_rules! or_skip {
    ($what:expr) => {
        match $what {
            Ok(value) => value,
            Err(why) => {
                let thread = std::thread::current();
                $crate::support::skipped(thread.name().unwrap_or(module_path!()), &why);
                return;
            }
        }
    };
}
pub(crate) use or_skip;
