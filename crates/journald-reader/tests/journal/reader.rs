//! The reader against journalctl: the same entries, in the same order, with the same cursors and fields.

use std::path::Path;
use std::time::{Duration, Instant};

use journald_reader::{Cursor, Keys, Scope, Start, Tail, Waker};
use proptest::prelude::*;

use crate::support::fixtures::{
    ExportEntry, ExportedEntry, Format, build_journal, journalctl, journalctl_export, parse_export,
};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::or_skip;
use crate::support::reading::{Read, drain, open, read};

/// Fails at the first difference; the order of fields within an entry means nothing.
fn assert_same(got: &[Read], want: &[ExportedEntry]) {
    for (index, ((got, _), want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.cursor, want.cursor, "cursor of entry {index} of {}", want.cursor.len());
        assert_eq!(got.sorted_fields(), want.sorted_fields(), "fields of entry {index}, {}", want.cursor);
    }
    assert_eq!(got.len(), want.len(), "number of entries");
}

/// Entries of every shape: plain, repeated, empty, binary, not UTF-8, long enough to be compressed, large.
fn shapes(count: u64, boots: u128, step: u64) -> Vec<ExportEntry> {
    let blob: Vec<u8> = (0..=255u8).cycle().take(3000).collect();
    (0..count)
        .map(|n| {
            let boot = 0xb0 + u128::from(n) * boots / u128::from(count);
            let entry = ExportEntry::new(1_700_000_000_000_000 + n * step)
                .boot(boot, 1_000 + n * step)
                .field("_HOSTNAME", "h")
                .field("_SYSTEMD_UNIT", format!("unit{}.service", n % 7))
                .field("PRIORITY", (n % 8).to_string());
            match n % 9 {
                0 => entry.message("plain").field("TAG", "a").field("TAG", "b"),
                1 => entry.message("several\nlines\n"),
                2 => entry.message(b"not \xff\xfe UTF-8"),
                3 => entry.message("").field("EMPTY", ""),
                4 => entry.field("BLOB", &blob),
                5 => entry.message("long ".repeat(300 + n as usize)),
                6 if n == 6 => entry.message(vec![b'x'; 1 << 20]),
                _ => entry.message(format!("message {n}")),
            }
        })
        .collect()
}

#[test]
fn every_format_of_this_systemd_is_read_as_journalctl_reads_it() {
    for format in Format::ALL {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        or_skip!(build_journal(&path, &shapes(500, 3, 1000), format));
        let want = journalctl_export(&[&path]).unwrap();
        assert_eq!(want.len(), 500);
        assert_same(&read(&[path], Start::Oldest), &want);
    }
}

#[test]
fn recorded_files_of_other_systemds_are_read_as_their_journalctl_read_them() {
    for name in crate::support::fixtures::recorded_names() {
        let dir = tempfile::tempdir().unwrap();
        let recorded = crate::support::fixtures::recorded(&name, dir.path());
        let got = read(&[recorded.path], Start::Oldest);
        assert_same(&got, &recorded.expected);
    }
}

#[test]
fn several_files_are_merged_in_journalctls_order() {
    let dir = tempfile::tempdir().unwrap();
    // Interleaved by the microsecond, over three boots, from four writers with counters of their own.
    for (index, format) in Format::ALL.into_iter().enumerate() {
        let entries: Vec<_> = shapes(1000, 3, 1000)
            .into_iter()
            .enumerate()
            .filter(|(n, _)| n % 4 == index)
            .map(|(_, e)| e)
            .collect();
        or_skip!(build_journal(&dir.path().join(format!("{index}.journal")), &entries, format));
    }
    let want = journalctl_export(&[dir.path()]).unwrap();
    assert_eq!(want.len(), 1000);
    assert_same(&read(&[dir.path().into()], Start::Oldest), &want);
}

#[test]
fn an_entry_in_two_files_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let entries = shapes(100, 2, 1);
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    or_skip!(build_journal(&dir.path().join("b.journal"), &entries[30..], Format::ALL[0]));
    let mut tail = open(&[dir.path().into()], Start::Oldest);
    assert_eq!(drain(&mut tail).len(), 100);
    assert_eq!(tail.counts().copies, 70);
}

#[test]
fn entries_of_one_microsecond_get_the_same_ordinals_from_wherever_one_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    let entries: Vec<_> =
        (0..60).map(|n| ExportEntry::new(1_700_000_000_000_000 + n / 20).message("same")).collect();
    or_skip!(build_journal(&path, &entries, Format::default()));
    let paths = [path];
    let all = read(&paths, Start::Oldest);
    let times: Vec<u64> = all.iter().map(|(_, time)| *time).collect();
    let want: Vec<u64> = (0..60).map(|n| (1_700_000_000_000_000 + n / 20) * 1000 + n % 20).collect();
    assert_eq!(times, want);
    for (index, (entry, _)) in all.iter().enumerate() {
        let cursor: Cursor = entry.cursor.parse().unwrap();
        assert_eq!(read(&paths, Start::After(cursor)), all[index + 1..]);
    }
    let mut tail = open(&paths, Start::Oldest);
    for index in 1..=60 {
        assert!(tail.next_entry().is_some());
        assert_eq!(read(&paths, Start::Resume(Box::new(tail.resume()))), all[index..]);
    }
}

#[test]
fn cursors_are_journalctls_in_both_directions() {
    let journald = or_skip!(Journald::start());
    for seed in 0..4 {
        journald.send(&Bulk::new(Transport::Native, 100, seed).unit("a.service"));
        journald.rotate();
    }
    let paths = [journald.dir()];
    let all = read(&paths, Start::Oldest);
    assert_same(&all, &journald.entries());
    for (index, (entry, _)) in all.iter().enumerate().step_by(37) {
        let theirs = journald.journalctl(&["--all", "--output=export", "--after-cursor", &entry.cursor]);
        let theirs = parse_export(&theirs);
        assert_same(&all[index + 1..], &theirs);
        assert_same(&read(&paths, Start::After(entry.cursor.parse().unwrap())), &theirs);
    }
}

#[test]
fn several_boots_and_a_crash_of_journald_are_read_in_order() {
    let mut journald = or_skip!(Journald::start());
    for seed in 0..3 {
        journald.send(&Bulk::new(Transport::Native, 50, seed).unit("a.service"));
        journald.reboot();
        journald.send(&Bulk::new(Transport::Syslog, 50, seed).unit("b.service"));
        // A sync leaves the file marked clean; one more entry marks it as being written.
        journald.send_native(&[("MESSAGE", b"last words")]);
        let file = journald.files_dir().join("system.journal");
        wait_until("the file is online", || {
            std::fs::read(&file).is_ok_and(|bytes| bytes.get(16) == Some(&1))
        });
        journald.kill();
        journald.start_again();
    }
    journald.send(&Bulk::new(Transport::Stream, 50, 9).unit("c.service"));
    let unclean = journald.files().iter().filter(|f| f.to_string_lossy().ends_with('~')).count();
    assert!(unclean > 0, "{:?}", journald.files());
    assert_same(&read(&[journald.dir()], Start::Oldest), &journald.entries());
}

#[test]
fn times_are_found_as_journalctl_finds_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    or_skip!(build_journal(&path, &shapes(300, 1, 1_000_000), Format::default()));
    let all = read(std::slice::from_ref(&path), Start::Oldest);
    for second in [-5i64, 0, 1, 150, 299, 300] {
        let since = 1_700_000_000 + second;
        let want =
            journalctl(&[&path], &["--all", "--output=export", "--since", &format!("@{since}")]).unwrap();
        let got = read(std::slice::from_ref(&path), Start::Realtime(since as u64 * 1_000_000));
        assert_same(&got, &parse_export(&want));
    }
    let mut tail = open(std::slice::from_ref(&path), Start::Oldest);
    for lines in [1, 2, 299, 300] {
        let time = tail.time_of_last(lines, None).unwrap();
        assert_eq!(time, all[all.len() - lines as usize].0.realtime, "{lines}");
    }
    assert_eq!(tail.time_of_last(10, Some(all[50].0.realtime)), Some(all[41].0.realtime));
}

#[test]
fn new_entries_are_followed_through_rotation() {
    let journald = or_skip!(Journald::start());
    journald.send(&Bulk::new(Transport::Native, 20, 0).unit("a.service"));
    let mut tail = open(&[journald.dir()], Start::Oldest);
    let mut got = drain(&mut tail);
    for seed in 1..6 {
        journald.send(&Bulk::new(Transport::Native, 200, seed).unit("a.service"));
        if seed % 2 == 0 {
            journald.rotate();
        }
        let want = journald.entries();
        let deadline = Instant::now() + Duration::from_secs(20);
        while got.len() < want.len() {
            assert!(Instant::now() < deadline, "{} of {} entries", got.len(), want.len());
            tail.wait(Some(deadline)).unwrap();
            got.extend(drain(&mut tail));
        }
        assert_same(&got, &want);
    }
}

/// Sends the native socket what follows, as two ordinary users in turn.
const USERS: &str = r#"
import os, socket, sys
for n in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setuid(1000 + n % 2)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect("/run/systemd/journal/socket")
        s.send(b"MESSAGE=of a user, %d\n" % n)
        os._exit(0)
    os.wait()
"#;

/// journald gives the entries of all its files numbers of one sequence, and each user's file may have a counter of its own.
#[test]
fn what_stands_in_users_files_is_not_missing_and_comes_in_order() {
    let journald = or_skip!(Journald::start());
    journald.send(&Bulk::new(Transport::Native, 3, 0));
    let mut tail = open(&[journald.dir()], Start::Oldest);
    let mut got = drain(&mut tail);
    for count in ["7", "30", "1"] {
        assert!(journald.run(&["python3", "-c", USERS, count]).status.success());
        journald.send(&Bulk::new(Transport::Native, 3, 1));
        let want = journald.entries();
        let deadline = Instant::now() + Duration::from_secs(20);
        while got.len() < want.len() {
            assert!(Instant::now() < deadline, "{} of {} entries", got.len(), want.len());
            tail.wait(Some(deadline)).unwrap();
            got.extend(drain(&mut tail));
        }
        assert_same(&got, &want);
        assert_eq!(tail.counts().missing, 0);
    }
    assert_eq!(journald.files().len(), 3, "{:?}", journald.files());

    // What is deleted before it is read is missing, whosever it was, once.
    let resume = tail.resume();
    drop(tail);
    assert!(journald.run(&["python3", "-c", USERS, "10"]).status.success());
    journald.send(&Bulk::new(Transport::Native, 20, 1));
    journald.rotate();
    let whole = journald.entries().len();
    for file in journald.files() {
        if file.to_string_lossy().contains("system@") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let lost = whole - journald.entries().len();
    journald.send(&Bulk::new(Transport::Native, 3, 1));
    let mut tail = open(&[journald.dir()], Start::Resume(Box::new(resume)));
    let read = drain(&mut tail).len();
    let read_before = got.len() - 7 - 30 - 1;
    assert!(
        read >= 13 && lost - read_before >= 20,
        "{read} read; {lost} deleted, of these {read_before} read"
    );
    assert_eq!(tail.counts().missing, (lost - read_before) as u64);
}

/// journald announces what it writes to a file only after 250 ms; a file that is busy is looked at before.
#[test]
fn entries_of_a_quiet_file_come_before_later_ones_of_a_busy_file() {
    let journald = or_skip!(Journald::start());
    assert!(journald.run(&["python3", "-c", USERS, "2"]).status.success());
    journald.sync();
    let mut tail = open(&[journald.dir()], Start::Oldest);
    let mut got = drain(&mut tail);
    let mut until = |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while got.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} entries", got.len());
            tail.wait(Some(deadline)).unwrap();
            got.extend(drain(&mut tail));
        }
        got.clone()
    };
    for round in 0..5 {
        let known = journald.entries().len();
        journald.send_native(&[("MESSAGE", b"makes it busy")]);
        until(known + 1);
        assert!(journald.run(&["python3", "-c", USERS, "1"]).status.success());
        journald.send_native(&[("MESSAGE", b"later")]);
        let got = until(known + 3);
        let messages: Vec<String> = got[known + 1..].iter().map(|(entry, _)| entry.text("MESSAGE")).collect();
        assert_eq!(messages, ["of a user, 0", "later"], "round {round}");
    }
    assert_eq!(tail.counts().missing, 0);
}

#[test]
fn vacuumed_and_deleted_files_do_not_stop_the_reader() {
    let journald = or_skip!(Journald::start());
    for seed in 0..4 {
        journald.send(&Bulk::new(Transport::Native, 50, seed).unit("a.service"));
        journald.rotate();
    }
    let mut tail = open(&[journald.dir()], Start::Oldest);
    assert!(tail.next_entry().is_some());
    journald.journalctl(&["--vacuum-files=1"]);
    journald.send(&Bulk::new(Transport::Native, 50, 9).unit("a.service"));
    let last = journald.entries().last().unwrap().cursor.clone();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut got = drain(&mut tail);
    while got.last().is_none_or(|(entry, _)| entry.cursor != last) {
        assert!(Instant::now() < deadline, "{last} was not reached");
        tail.wait(Some(deadline)).unwrap();
        got.extend(drain(&mut tail));
    }
}

/// Cuts and flips: whatever the bytes, reading ends, and never with a panic.
#[test]
fn damaged_files_are_read_to_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    or_skip!(build_journal(&path, &shapes(60, 2, 1000), Format::default()));
    let good = std::fs::read(&path).unwrap();
    let used = good.iter().rposition(|b| *b != 0).unwrap() + 1;
    let damaged = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut keys = Keys::default();
        keys.add_all();
        if let Ok(mut tail) =
            Tail::open(&Scope::of([path.clone()]), keys, Start::Oldest, Waker::new().unwrap())
        {
            assert!(drain(&mut tail).len() <= 60);
        }
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    let strategy = (flips, proptest::option::of(any::<prop::sample::Index>()));
    runner
        .run(&strategy, |(flips, cut)| {
            let mut bytes = good.clone();
            for (place, byte) in flips {
                bytes[place.index(used)] ^= byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(used));
            }
            damaged(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_journal_that_is_not_there_says_what_to_do() {
    for (path, part) in [
        (Path::new("/nowhere/at/all"), "/nowhere/at/all: no such file"),
        (Path::new("/etc/passwd"), "not LPKSHHRH"),
    ] {
        let error =
            Tail::open(&Scope::of([path.into()]), Keys::default(), Start::Oldest, Waker::new().unwrap());
        let error = error.err().expect("no journal").to_string();
        assert!(error.contains("no journal can be read") && error.contains(part), "{error}");
    }
}

#[test]
fn what_was_read_to_its_end_is_not_read_again_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = crate::support::fixtures::recorded("archived.journal", folder.path());
    let active = folder.path().join("system.journal");
    std::fs::rename(&recorded.path, &active).unwrap();
    let mut tail = open(&[folder.path().to_owned()], Start::Oldest);
    assert_eq!(drain(&mut tail).len(), recorded.expected.len());
    std::fs::rename(&active, folder.path().join("system@0-1.journal")).unwrap();
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 0);
    // A second name for it changes nothing either.
    std::fs::hard_link(folder.path().join("system@0-1.journal"), &active).unwrap();
    std::os::unix::fs::symlink(&active, folder.path().join("link.journal")).unwrap();
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 0);
}

#[test]
fn a_pipe_named_like_a_journal_does_not_stop_reading() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = crate::support::fixtures::recorded("archived.journal", folder.path());
    let pipe = folder.path().join("pipe.journal");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(read(&[folder.path().to_owned()], Start::Oldest).len(), recorded.expected.len());
    let error =
        Tail::open(&Scope::of([pipe]), Keys::default(), Start::Oldest, Waker::new().unwrap()).err().unwrap();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
