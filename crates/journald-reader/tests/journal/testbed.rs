//! The test bed tested: a journald in a box does what a machine's does, and fixtures come back as written.
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::fixtures::{
    BOOT, ExportEntry, Format, build_journal, journalctl, journalctl_export, parse_export, recorded,
    recorded_names, write_export,
};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::or_skip;
use proptest::prelude::*;

fn messages(entries: &[crate::support::fixtures::ExportedEntry], field: &str, value: &str) -> Vec<String> {
    entries.iter().filter(|e| e.text(field) == value).map(|e| e.text("MESSAGE")).collect()
}

#[test]
fn four_run_side_by_side_and_do_not_see_each_other() {
    let all: Vec<_> = std::thread::scope(|scope| {
        let start = |i: usize| scope.spawn(move || Journald::builder().hostname(&format!("host{i}")).start());
        let threads: Vec<_> = (0..4).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut journals = Vec::new();
    for journald in all {
        journals.push(or_skip!(journald));
    }
    for (i, journald) in journals.iter().enumerate() {
        assert!(journald.run(&["logger", "-t", "who", &format!("I am {i}")]).status.success());
    }
    for (i, journald) in journals.iter().enumerate() {
        journald.sync();
        let entries = journald.entries();
        assert_eq!(messages(&entries, "SYSLOG_IDENTIFIER", "who"), [format!("I am {i}")]);
        assert!(entries.iter().all(|e| e.text("_HOSTNAME") == format!("host{i}")));
        assert!(entries.iter().all(|e| e.text("_MACHINE_ID") == journald.machine_id()));
    }
}

#[test]
fn nothing_is_left_behind() {
    let journald = or_skip!(Journald::start());
    let child = journald.spawn(&["sleep", "1000"]);
    assert!(journald.run(&["sh", "-c", "echo hello | systemd-cat -t x"]).status.success());
    let home = journald.dir().parent().unwrap().to_owned();
    let marker = home.file_name().unwrap().to_str().unwrap().to_owned();
    let in_box = || {
        let environ = |pid: &Path| std::fs::read(pid.join("environ")).unwrap_or_default();
        let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        processes.filter(|pid| String::from_utf8_lossy(&environ(pid)).contains(&marker)).count()
    };
    assert!(in_box() > 0, "the box's own processes carry its folder in their environment");
    drop(journald);
    drop(child);
    assert_eq!(in_box(), 0);
    assert!(!home.exists());
}

#[test]
fn a_unit_is_the_cgroup_of_the_sender() {
    let journald = or_skip!(Journald::start());
    // A process that has ended cannot be looked up any more, so the sender stays until its line is in.
    let script = "echo one; exec journalctl --sync";
    for unit in ["web.service", "db.service"] {
        let argv = ["systemd-cat", "-t", "unit-test", "sh", "-c", script];
        assert!(journald.as_unit(unit, &argv).status.success());
    }
    let mut units = BTreeMap::new();
    for entry in journald.entries().iter().filter(|e| e.text("SYSLOG_IDENTIFIER") == "unit-test") {
        *units.entry((entry.text("_SYSTEMD_UNIT"), entry.text("_TRANSPORT"))).or_insert(0) += 1;
    }
    for unit in ["web.service", "db.service"] {
        assert_eq!(units.get(&(unit.to_owned(), "stdout".to_owned())), Some(&1), "{units:?}");
    }
    let daemon = journald.entries().iter().filter(|e| e.text("_TRANSPORT") == "driver").count();
    assert_eq!(messages(&journald.entries(), "_SYSTEMD_UNIT", "systemd-journald.service").len(), daemon);
}

#[test]
fn any_fields_arrive_whole() {
    let journald = or_skip!(Journald::start());
    let large = b"0123456789abcdef".repeat(65_536);
    let binary: Vec<u8> = (0..=255).collect();
    let rows: [&[(&str, &[u8])]; 6] = [
        &[("MESSAGE", b"plain"), ("PRIORITY", b"6")],
        &[("MESSAGE", b"several\nlines\n\nwith a gap"), ("TAG", b"a"), ("TAG", b"b")],
        &[("MESSAGE", b"\xff\xfe not UTF-8"), ("EMPTY", b"")],
        &[("BLOB", &binary)],
        &[("MESSAGE", b""), ("TAG", b"")],
        &[("MESSAGE", &large)],
    ];
    for (i, row) in rows.iter().enumerate() {
        let mut fields = row.to_vec();
        let i = i.to_string();
        fields.push(("ROW", i.as_bytes()));
        journald.send_native(&fields);
    }
    journald.sync();
    let entries = journald.entries();
    for (i, row) in rows.iter().enumerate() {
        let entry = entries.iter().find(|e| e.text("ROW") == i.to_string()).unwrap();
        let mut got: Vec<_> = entry.sorted_fields();
        got.retain(|(name, _)| !name.starts_with('_') && name != "ROW");
        let mut sent: Vec<_> = row.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        sent.sort();
        assert!(got == sent, "row {i}");
        assert_eq!(entry.text("_COMM"), "python3");
    }
}

#[test]
fn bulk_arrives_complete_and_the_same_from_the_same_seed() {
    let journald = or_skip!(Journald::start());
    const ENTRIES: u64 = 1_000;
    let rows = [(Transport::Native, "journal"), (Transport::Stream, "stdout"), (Transport::Syslog, "syslog")];
    for (transport, _) in rows {
        for unit in ["a.service", "b.service"] {
            journald.send(&Bulk::new(transport, ENTRIES, 7).unit(unit));
        }
    }
    let entries = journald.entries();
    for (_, name) in rows {
        let of = |unit: &str| {
            let ours =
                entries.iter().filter(|e| e.text("_TRANSPORT") == name && e.text("_SYSTEMD_UNIT") == unit);
            ours.map(|e| e.get("MESSAGE").unwrap_or_default().to_vec()).collect::<Vec<_>>()
        };
        let (a, b) = (of("a.service"), of("b.service"));
        assert_eq!(a.len() as u64, ENTRIES, "{name}");
        assert!(a == b, "{name}: the seed decides");
        assert!(a.iter().any(|m| std::str::from_utf8(m).is_err()), "{name}: some are not UTF-8");
        assert!(a.windows(2).any(|pair| pair[0] == pair[1]), "{name}: some are identical bursts");
        assert!(name == "stdout" || a.iter().any(|m| m.contains(&b'\n')), "{name}: some have several lines");
    }
}

#[test]
fn rotation_crash_and_reboot_leave_files_that_are_read_as_one() {
    let mut journald = or_skip!(Journald::builder().drop_in("SystemMaxFileSize=512K").start());
    let say = |journald: &Journald, n: usize| {
        journald.send_native(&[("MESSAGE", format!("step {n}").as_bytes()), ("STEP", b"1")]);
        journald.sync();
    };
    say(&journald, 0);
    journald.rotate();
    // Not synced: a file is offline between a sync and the next entry, and a crash leaves no mark on it.
    journald.send_native(&[("MESSAGE", b"step 1"), ("STEP", b"1")]);
    wait_until("step 1 is written", || messages(&journald.entries(), "STEP", "1").len() == 2);
    journald.kill();
    journald.start_again();
    say(&journald, 2);
    journald.reboot();
    say(&journald, 3);
    let entries = journald.entries();
    assert_eq!(messages(&entries, "STEP", "1"), ["step 0", "step 1", "step 2", "step 3"]);
    assert_eq!(entries.iter().map(|e| e.boot_id).collect::<HashSet<_>>().len(), 2);
    let names: Vec<_> = journald.files().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
    let ends = |end: &str| names.iter().filter(|name| name.to_string_lossy().ends_with(end)).count();
    assert!(ends(".journal~") == 1 && ends(".journal") >= 2, "{names:?}");
    let outside = journalctl_export(&[journald.dir()]).unwrap();
    assert!(outside == entries, "the folder outside is the journal inside");
}

#[test]
fn volatile_entries_move_to_disk_when_flushed() {
    let journald = or_skip!(Journald::builder().volatile().start());
    journald.send_native(&[("MESSAGE", b"early"), ("STEP", b"1")]);
    journald.sync();
    let run_files =
        || std::fs::read_dir(journald.run_dir().join(journald.machine_id())).map_or(0, |d| d.count());
    assert_eq!((run_files(), journald.files().len()), (1, 0));
    journald.flush();
    assert_eq!((run_files(), journald.files().len()), (0, 1));
    assert_eq!(messages(&journald.entries(), "STEP", "1"), ["early"]);
}

#[test]
fn a_namespace_has_a_journal_of_its_own() {
    let journald = or_skip!(Journald::start());
    let _namespace = journald.start_namespace("shop");
    let argv = ["logger", "--socket", "/run/systemd/journal.shop/dev-log", "-t", "till", "sold"];
    assert!(journald.run(&argv).status.success());
    journald.journalctl(&["--namespace=shop", "--sync"]);
    let shop = parse_export(&journald.journalctl(&["--namespace=shop", "--output=export"]));
    assert_eq!(messages(&shop, "SYSLOG_IDENTIFIER", "till"), ["sold"]);
    assert_eq!(messages(&journald.entries(), "SYSLOG_IDENTIFIER", "till"), [""; 0]);
}

#[test]
fn a_hanging_journald_goes_on_where_it_was() {
    let journald = or_skip!(Journald::start());
    journald.signal(rustix::process::Signal::STOP);
    journald.send_native(&[("MESSAGE", b"while it hangs"), ("STEP", b"1")]);
    assert!(journald.entries().iter().all(|e| e.text("STEP").is_empty()));
    journald.signal(rustix::process::Signal::CONT);
    journald.sync();
    assert_eq!(messages(&journald.entries(), "STEP", "1"), ["while it hangs"]);
}

#[test]
fn commands_end_with_their_status_and_are_fast() {
    let journald = or_skip!(Journald::start());
    assert_eq!(journald.run(&["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(journald.run(&["no-such-program"]).status.code(), Some(127));
    let mut sleeper = journald.spawn(&["sleep", "1000"]);
    assert!(!sleeper.ended());
    sleeper.signal(rustix::process::Signal::TERM);
    assert!(!sleeper.wait().success());
    let runs: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            journald.run(&["true"]);
            start.elapsed()
        })
        .collect();
    let best = runs.iter().min().unwrap();
    assert!(*best < Duration::from_millis(100), "a command takes {best:?} at best");
    wait_until("a condition that holds", || true);
}

#[test]
fn fixtures_come_back_as_written_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let other = 0xa5a5;
    let written = [
        ExportEntry::new(1_795_000_000_000_000).message("first").field("TAG", "a").field("TAG", "b"),
        ExportEntry::new(1_795_000_000_000_001).message("tab\tand\nnewline").field("EMPTY", ""),
        ExportEntry::new(1_795_000_000_000_001).message(b"\xff\x00\xfe").field("BLOB", [0u8, 10, 13, 255]),
        ExportEntry::new(1_795_000_000_000_002).message("x".repeat(1 << 20)),
        ExportEntry::new(1_795_000_005_000_000).boot(other, 12).message("next boot"),
    ];
    for format in Format::ALL {
        let path = folder.path().join(format!("{}-{}.journal", format.keyed, format.compact));
        or_skip!(build_journal(&path, &written, format));
        let read = or_skip!(journalctl_export(&[&path]));
        assert_eq!(read.len(), written.len());
        for (read, written) in read.iter().zip(&written) {
            let mut fields = written.fields.clone();
            fields.sort();
            assert!(read.sorted_fields() == fields, "{format:?} {}", read.cursor);
            assert_eq!(
                (read.realtime, read.monotonic, read.boot_id),
                (written.realtime, written.monotonic, written.boot_id)
            );
        }
        let header = or_skip!(journalctl(&[&path], &["--header"]));
        let header = String::from_utf8_lossy(&header);
        assert_eq!(header.contains("KEYED-HASH"), format.keyed, "{header}");
        assert_eq!(header.contains("COMPACT"), format.compact, "{header}");
    }
}

#[test]
fn recorded_journals_read_as_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let names = recorded_names();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let recorded = recorded(&name, folder.path());
        assert!(!recorded.expected.is_empty(), "{name}");
        // This machine's libsystemd may have been built without a compression of the recorded one's.
        let read = or_skip!(journalctl_export(&[&recorded.path]));
        assert_eq!(read.len(), recorded.expected.len(), "{name}");
        for (read, expected) in read.iter().zip(&recorded.expected) {
            assert_eq!(read.cursor, expected.cursor, "{name}");
            assert!(read.sorted_fields() == expected.sorted_fields(), "{name} {}", read.cursor);
        }
    }
}

fn export_entry() -> impl Strategy<Value = ExportEntry> {
    let field = ("[A-Z][A-Z0-9_]{0,20}", prop::collection::vec(any::<u8>(), 0..64));
    (1u64..1 << 60, any::<u64>(), any::<u128>(), prop::collection::vec(field, 1..6)).prop_map(
        |(realtime, monotonic, boot_id, fields)| ExportEntry { realtime, monotonic, boot_id, fields },
    )
}

proptest! {
    #[test]
    fn the_export_format_reads_back(entries in prop::collection::vec(export_entry(), 0..8)) {
        let mut bytes = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            bytes.extend(format!("__CURSOR=c{i}\n").bytes());
            write_export(&mut bytes, std::slice::from_ref(entry)).unwrap();
        }
        let read = parse_export(&bytes);
        prop_assert_eq!(read.len(), entries.len());
        for (i, (read, entry)) in read.iter().zip(&entries).enumerate() {
            prop_assert_eq!(&read.cursor, &format!("c{i}"));
            prop_assert_eq!((read.realtime, read.monotonic, read.boot_id), (entry.realtime, entry.monotonic, entry.boot_id));
            prop_assert_eq!(&read.fields, &entry.fields);
        }
    }
}

#[test]
fn an_entry_without_a_boot_is_of_the_default_one() {
    assert_eq!(ExportEntry::new(5).boot_id, BOOT);
}
