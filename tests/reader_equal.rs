//! The reader against journalctl on journals drawn at random: the same entries, fields, order and cursors.
//!
//! `support/journals.rs` draws them; `support/merge.rs` says where journalctl's own order is not determined or
//! loses entries, and what is demanded there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

mod support;

use journal_ship::journal::{Cursor, Start};
use proptest::prelude::*;

use support::fixtures::ExportedEntry;
use support::journals::for_many_worlds;
use support::merge::{assert_equal, is_252};
use support::or_skip;
use support::reading::{drain, next, open, read};

fn entries(read: Vec<(ExportedEntry, u64)>) -> Vec<ExportedEntry> {
    read.into_iter().map(|(entry, _)| entry).collect()
}

/// Writes a world, or ends its case well where that cannot be.
macro_rules! written {
    ($world:expr) => {
        match $world.write() {
            Ok(journals) => journals,
            Err(_) => return Ok(()),
        }
    };
}

#[test]
fn whatever_journal_is_drawn_is_read_as_journalctl_reads_it() {
    or_skip!(is_252());
    for_many_worlds(|world| {
        let journals = written!(world);
        let got = entries(read(&journals.folders, Start::Oldest));
        assert_equal(&journals.cursors(), &got, &journals.journalctl(&[]))
    });
}
