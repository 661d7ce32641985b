//! What must not run beside the other tests: those that measure the memory of a process run one by one, those that boot a host
//! run together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test stops at the first surprise

#[path = "../support/mod.rs"]
mod support;

mod fleet;
mod host;
mod memory;
mod rule_memory;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Who may run now: one test that measures, or all that boot a host.
static TURN: RwLock<()> = RwLock::new(());

/// As long as this lives, no other test of this program runs.
fn alone() -> RwLockWriteGuard<'static, ()> {
    // A test that failed leaves nothing behind that the next one minds.
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

/// As long as this lives, no test of this program runs that must be alone.
fn together() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}
