//! The dry run with `--reader sd-journal`, which reads through libsystemd beside the own reader (feature of that name).
#![cfg(feature = "sd-journal")]

use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::or_skip;

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
