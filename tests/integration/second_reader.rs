//! libsystemd as the oracle for order, cursors and times, through the crate sd-journal (feature of that name).
#![cfg(feature = "sd-journal")]

use journald_reader::{Cursor, Scope, SecondReader, Start};
use proptest::prelude::*;
use sd_journal::{CursorMovement, Journal};

use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::journals::for_many_worlds;
use crate::support::merge::{assert_same_order, cursors, is_252};
use crate::support::or_skip;
use crate::support::reading::read;

#[test]
fn both_readers_agree_on_a_rotated_journal() {
    let journald = or_skip!(Journald::start());
    for seed in 0..3 {
        journald.send(&Bulk::new(Transport::Native, 200, seed).unit("a.service"));
        journald.send(&Bulk::new(Transport::Syslog, 100, seed).unit("b.service"));
        journald.rotate();
    }
    let dir = journald.dir();
    let entries = journald.entries().len();
    for more in [&[][..], &["--since", "-1h"], &["-n", "50"]] {
        let mut args =
            vec!["--dry-run", "--reader", "sd-journal", "-o", "json", "--path", dir.to_str().unwrap()];
        args.extend(more);
        let out = output(&args);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{stderr}");
        let shown = out.stdout.iter().filter(|b| **b == b'\n').count();
        assert_eq!(shown, if more.contains(&"50") { 50 } else { entries });
    }
}

#[test]
fn a_difference_ends_the_run_and_names_both() {
    // An entry in two files is shown twice by libsystemd when their counters differ by chance of its order;
    // what differs for certain is a journal of two folders, which it cannot open.
    let dir = tempfile::tempdir().unwrap();
    let folders = ["a", "b"].map(|name| dir.path().join(name));
    for folder in &folders {
        std::fs::create_dir(folder).unwrap();
        let entries = [ExportEntry::new(1_700_000_000_000_000).message("x")];
        or_skip!(build_journal(&folder.join("x.journal"), &entries, Format::default()));
    }
    let [a, b] = folders.map(|f| f.display().to_string());
    let out = output(&["--dry-run", "--reader", "sd-journal", "--path", &a, &b]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("one folder, or files"));
}

#[test]
fn both_readers_agree_on_journals_drawn_at_random() {
    or_skip!(is_252());
    for_many_worlds(|world| {
        let Ok(journals) = world.write() else { return Ok(()) };
        let files: Vec<_> = journals.files.iter().map(|(path, _)| path.clone()).collect();
        // It opens one folder, or files.
        let paths = if journals.folders.len() == 1 { &journals.folders } else { &files };
        let second = SecondReader::open(&Scope::of(paths.as_slice())).unwrap();
        let shown: Vec<Cursor> = std::iter::from_fn(|| second.next_cursor().unwrap()).collect();
        let read: Vec<_> = read(paths, Start::Oldest).into_iter().map(|(entry, _)| entry).collect();
        assert_same_order(&journals.cursors(), &cursors(&read), &shown)?;
        // It says what the cursors say: the times, too.
        let library = Journal::open_files(files.as_slice()).unwrap();
        library.seek_head().unwrap();
        for cursor in &shown {
            prop_assert!(!matches!(library.next().unwrap(), CursorMovement::EoF));
            let realtime = library.get_realtime().unwrap().and_utc().timestamp_micros();
            let (monotonic, boot) = library.get_monotonic().unwrap();
            prop_assert_eq!(realtime as u64, cursor.realtime);
            prop_assert_eq!(monotonic.num_microseconds(), Some(cursor.monotonic.cast_signed()));
            prop_assert_eq!(boot.to_string().replace('-', ""), cursor.boot_id.to_string());
        }
        Ok(())
    });
}
