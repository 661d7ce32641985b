//! The reader against journalctl on journals drawn at random: the same entries, fields, order and cursors.
//!
//! `support/journals.rs` draws them; `support/merge.rs` says where journalctl's own order is not determined or
//! loses entries, and what is demanded there.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use journald_reader::{Cursor, Start};
use proptest::prelude::*;

use crate::support::fixtures::{ExportEntry, ExportedEntry, Format, build_journal, journalctl, parse_export};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::journals::{Journals, cursors_of, files_below, for_many, for_many_worlds};
use crate::support::merge::{after_cursor, assert_equal, assert_right, content, cursors, is_252, merge};
use crate::support::or_skip;
use crate::support::reading::{Read, drain, next, open, read};

fn entries(read: Vec<Read>) -> Vec<ExportedEntry> {
    read.into_iter().map(|(entry, _)| entry).collect()
}

/// The files of a world, or the end of a case, well, where they cannot be written.
macro_rules! written {
    ($world:expr) => {
        match $world.write() {
            Ok(journals) => journals,
            Err(_) => return Ok(()),
        }
    };
}

/// The part of each file that begins with the first entry for which this does not hold; it must hold for all
/// before.
fn behind(journals: &Journals, before: impl Fn(&Cursor) -> bool) -> Vec<&[Cursor]> {
    journals.cursors().into_iter().map(|file| &file[file.partition_point(&before)..]).collect()
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

/// Reading in pieces, each by a tail that resumes the last one, is reading at once: nothing lost, nothing doubled.
#[test]
fn a_journal_read_in_pieces_is_read_whole() {
    for_many_worlds(|world| {
        let journals = written!(world);
        let count = read(&journals.folders, Start::Oldest).len();
        let (mut got, mut start) = (Vec::new(), Start::Oldest);
        for place in world.places.iter().cycle() {
            let piece = 1 + place.index(count.max(1));
            let mut tail = open(&journals.folders, start);
            let before = got.len();
            got.extend(std::iter::from_fn(|| next(&mut tail)).take(piece));
            if got.len() == before {
                break;
            }
            prop_assert!(got.len() <= 3 * count, "it does not end");
            start = Start::Resume(Box::new(tail.resume()));
        }
        assert_right(&journals.cursors(), &cursors(&entries(got)))
    });
}

#[test]
fn a_time_is_found_where_journalctl_finds_it() {
    or_skip!(is_252());
    for_many_worlds(|world| {
        let journals = written!(world);
        let all: Vec<Cursor> = journals.cursors().concat();
        if all.is_empty() || !journals.is_sorted_by_realtime() {
            return Ok(());
        }
        for (place, distance) in world.places.iter().zip([0, 1, -1]) {
            let since = place.get(&all).realtime.saturating_add_signed(distance);
            let got = entries(read(&journals.folders, Start::Realtime(since)));
            let when = format!("--since=@{}.{:06}", since / 1_000_000, since % 1_000_000);
            assert_equal(&behind(&journals, |c| c.realtime < since), &got, &journals.journalctl(&[&when]))?;
        }
        Ok(())
    });
}

/// Where it is clear what is behind an entry, that is read, and nothing else.
#[test]
fn a_cursor_is_found_where_journalctl_finds_it() {
    or_skip!(is_252());
    for_many_worlds(|world| {
        let journals = written!(world);
        let whole = merge(&journals.cursors());
        if whole.shown.is_empty() || !whole.determined || !journals.is_sorted_by_realtime() {
            return Ok(());
        }
        // What journalctl loses of a microsecond is here.
        let all = cursors(&entries(read(&journals.folders, Start::Oldest)));
        for place in &world.places {
            let index = place.index(all.len());
            let cursor = all[index];
            let of_its_time = |c: &&Cursor| c.realtime == cursor.realtime;
            if all.iter().filter(of_its_time).count() > 1 {
                // journalctl goes to the instant, not to the entry.
                continue;
            }
            let got = entries(read(&journals.folders, Start::After(cursor)));
            let want = journals.journalctl(&[&format!("--after-cursor={cursor}")]);
            let contents = |cursors: &[Cursor]| cursors.iter().map(content).collect::<Vec<_>>();
            prop_assert_eq!(contents(&cursors(&got)), contents(&all[index + 1..]), "after {}", cursor);
            // What journalctl itself makes of a cursor is known.
            let known = after_cursor(&journals.cursors(), &cursor);
            prop_assert_eq!(cursors(&want), known, "journalctl, {}", cursor);
        }
        Ok(())
    });
}

/// Where an entry's file is gone, journalctl goes to where the entry would be and then takes what is there for
/// the entry itself: it loses one. This reader goes on with it.
#[test]
fn behind_a_cursor_that_is_gone_nothing_is_lost() {
    or_skip!(is_252());
    let dir = tempfile::tempdir().unwrap();
    let entry = |n: u64| ExportEntry::new(1_700_000_000_000_000 + n * 1000).message(format!("message {n}"));
    for (name, from) in [("a", 0), ("b", 10), ("c", 20)] {
        let entries: Vec<_> = (from..from + 10).map(entry).collect();
        or_skip!(build_journal(&dir.path().join(format!("{name}.journal")), &entries, Format::default()));
    }
    let paths = [dir.path().to_path_buf()];
    let all = entries(read(&paths, Start::Oldest));
    std::fs::remove_file(dir.path().join("b.journal")).unwrap();
    for gone in &all[10..20] {
        assert_eq!(entries(read(&paths, Start::After(gone.cursor.parse().unwrap()))), all[20..]);
        let args = ["--all", "--output=export", &format!("--after-cursor={}", gone.cursor)];
        assert_eq!(parse_export(&journalctl(&paths, &args).unwrap()), all[21..], "journalctl");
    }
}

/// The entries offered form a ring: x before e by monotonic time, e before y and y before x by realtime. What was
/// read of a file is known in its copy all the same, however many entries of others come between.
#[test]
fn an_entry_of_a_copied_file_is_read_once_where_clocks_have_jumped() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(format!("{name}.journal"));
    for (name, boot, monotonic, realtime) in [("e", 1, 10, 100), ("x", 1, 5, 300), ("y", 2, 5, 200)] {
        let entry = ExportEntry::new(1_700_000_000_000_000 + realtime).boot(boot, monotonic).message(name);
        or_skip!(build_journal(&at(name), &[entry], Format::default()));
    }
    std::fs::copy(at("e"), at("copy")).unwrap();
    // In whatever order they are found.
    for order in
        [["e", "x", "y", "copy"], ["copy", "x", "y", "e"], ["x", "y", "e", "copy"], ["y", "e", "x", "copy"]]
    {
        let paths: Vec<PathBuf> = order.iter().map(|name| at(name)).collect();
        assert_eq!(read(&paths, Start::Oldest).len(), 3, "{order:?}");
    }
}

/// The clock was set back behind an entry of one file, and another file, with a counter of its own, has a copy of that
/// entry: what comes after it in the first file is older than the copy, and goes first.
#[test]
fn a_copy_under_another_counter_is_passed_over_where_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let entry = |boot: u128, monotonic, realtime| {
        ExportEntry::new(1_700_000_000_000_000 + realtime).boot(boot, monotonic).message("x")
    };
    let (copied, second) = (entry(1, 10, 1000), entry(1, 20, 2000));
    let later: Vec<ExportEntry> = (1..200).map(|n| entry(2, n, n)).collect();
    for (name, entries) in [
        ("a", [vec![copied.clone(), second.clone()], later].concat()),
        ("b", vec![copied.clone(), second]),
        ("c", vec![copied]),
    ] {
        or_skip!(build_journal(&dir.path().join(format!("{name}.journal")), &entries, Format::default()));
    }
    std::fs::copy(dir.path().join("b.journal"), dir.path().join("d.journal")).unwrap();
    let paths = [dir.path().to_path_buf()];
    assert_eq!(read(&paths, Start::Oldest).len(), 201);
    // After a restart, too.
    for first in [1, 2, 3, 100] {
        let mut tail = open(&paths, Start::Oldest);
        assert_eq!(std::iter::from_fn(|| next(&mut tail)).take(first).count(), first);
        assert_eq!(tail.counts().copies, if first == 1 { 3 } else { 5 }, "{first}");
        assert_eq!(read(&paths, Start::Resume(Box::new(tail.resume()))).len(), 201 - first, "{first}");
    }
}

/// In the copy's own file the clock was set back before it, so its turn comes when other entries of its boot were read.
#[test]
fn a_copy_whose_turn_comes_late_is_passed_over() {
    let entry = |boot: u128, monotonic, realtime| {
        ExportEntry::new(1_700_000_000_000_000 + realtime).boot(boot, monotonic).message("x")
    };
    // Its clock was ahead.
    let (ahead, copied) = (entry(2, 50, 3600), entry(3, 10, 2000));
    let later: Vec<_> = (1..4).map(|n| entry(3, 10 + n, 2000 + n)).collect();
    let back = vec![entry(3, 9, 1000), entry(3, 10, 2000), entry(3, 11, 1500), entry(3, 12, 2500)];
    // What two files hold, the second's copies of it, where reading begins, and how many entries come.
    for (what, first, second, since, want) in [
        ("one copy", [vec![copied.clone()], later.clone()].concat(), vec![copied.clone()], 0, 5),
        ("another boot since", vec![copied.clone(), entry(4, 10, 2500)], vec![copied.clone()], 0, 3),
        ("two entries, one copy", vec![copied.clone(); 2], vec![copied.clone()], 0, 3),
        ("one entry, and two of the other counter", vec![copied.clone()], vec![copied.clone(); 2], 0, 3),
        ("from the copied time on", [vec![copied.clone()], later].concat(), vec![copied.clone()], 2000, 5),
        // By bisection reading begins behind the first entry, whose clock was set back.
        ("the entry lies before the beginning", back, vec![copied.clone()], 1800, 3),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let second = [vec![ahead.clone()], second].concat();
        for (name, entries) in [("a", &first), ("b", &second)] {
            or_skip!(build_journal(&dir.path().join(format!("{name}.journal")), entries, Format::default()));
        }
        let paths = [dir.path().to_path_buf()];
        let start = || match since {
            0 => Start::Oldest,
            since => Start::Realtime(1_700_000_000_000_000 + since),
        };
        assert_eq!(read(&paths, start()).len(), want, "{what}");
        // After a restart, too.
        for first in 1..want {
            let mut tail = open(&paths, start());
            assert_eq!(std::iter::from_fn(|| next(&mut tail)).take(first).count(), first);
            let after = read(&paths, Start::Resume(Box::new(tail.resume()))).len();
            assert_eq!(after, want - first, "{what}, behind {first}");
        }
        // The last lines are as many as are asked for.
        let wanted = |count| open(&paths, Start::Oldest).time_of_nth_last(count, None).is_some();
        let all = read(&paths, Start::Oldest).len() as u64;
        assert!(wanted(all) && !wanted(all + 1), "{what}: {all}");
    }
}

/// An instant was read before in one file. Then a clock went back, and copies of its entries come while other entries of the
/// instant are being read. Beside them lies a backup.
#[test]
fn copies_that_come_late_are_each_passed_over_beside_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let entry = |message: &str, boot: u128, monotonic, realtime: u64| {
        ExportEntry::new(1_700_000_000_000_000 + realtime).boot(boot, monotonic).message(message)
    };
    let same = vec![entry("same", 2, 20, 1000); 6];
    let copies = [vec![entry("first", 1, 11, 6000)], same.clone()].concat();
    let mut files = vec![("a", same), ("b", copies)];
    // The last of each comes before the copies or behind them, by its hash.
    for name in ["d", "e", "f", "g", "h", "i", "j", "k"] {
        files
            .push((name, vec![entry(name, 1, 10, 5000), entry(name, 2, 10, 7000), entry(name, 2, 20, 1000)]));
    }
    for (name, entries) in &files {
        or_skip!(build_journal(&dir.path().join(format!("{name}.journal")), entries, Format::default()));
    }
    std::fs::copy(dir.path().join("b.journal"), dir.path().join("c.journal")).unwrap();
    let paths = [dir.path().to_path_buf()];
    let all = 6 + 1 + 8 * 3;
    assert_eq!(read(&paths, Start::Oldest).len(), all);
    for first in 1..all {
        let mut tail = open(&paths, Start::Oldest);
        assert_eq!(std::iter::from_fn(|| next(&mut tail)).take(first).count(), first);
        assert_eq!(read(&paths, Start::Resume(Box::new(tail.resume()))).len(), all - first, "{first}");
    }
}

/// Equal entries of one instant, in a file, in its backup, and in another file with a counter of its own: a backup makes
/// no entry a copy of another one.
#[test]
fn equal_entries_that_also_are_in_a_backup_come_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(format!("{name}.journal"));
    let equal = vec![ExportEntry::new(1_700_000_000_000_000).message("x"); 4];
    for (name, entries) in [("a", &equal[..]), ("b", &equal[..2])] {
        or_skip!(build_journal(&at(name), entries, Format::default()));
    }
    std::fs::copy(at("a"), at("backup")).unwrap();
    for order in [["a", "backup", "b"], ["b", "a", "backup"], ["a", "b", "backup"]] {
        let paths: Vec<PathBuf> = order.iter().map(|name| at(name)).collect();
        assert_eq!(read(&paths, Start::Oldest).len(), 4, "{order:?}");
    }
}

/// An instant is read in two parts, and the entries of the first come again in another file in the second. They differ, or
/// all are equal.
#[test]
fn copies_within_an_instant_are_known_after_a_restart() {
    for different in [8, 1] {
        let dir = tempfile::tempdir().unwrap();
        let entry =
            |n: u64| ExportEntry::new(1_700_000_000_000_000).message(format!("message {}", n % different));
        for name in ["a", "b"] {
            let entries: Vec<_> = (0..8).map(entry).collect();
            or_skip!(build_journal(&dir.path().join(format!("{name}.journal")), &entries, Format::default()));
        }
        let paths = [dir.path().to_path_buf()];
        for first in 0..=8 {
            let mut tail = open(&paths, Start::Oldest);
            let before = std::iter::from_fn(|| next(&mut tail)).take(first).count();
            let after = read(&paths, Start::Resume(Box::new(tail.resume()))).len();
            assert_eq!((before, after), (first, 8 - first), "{different} different ones");
        }
    }
}

/// What happens to a journald of the test's own.
#[derive(Debug, Clone)]
enum Act {
    Send(Transport, u64),
    /// A person's entries go to a file of that person's.
    User(u32),
    Shape(u8),
    Rotate,
    Reboot,
    Crash,
    Vacuum(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let transport = prop::sample::select(vec![Transport::Native, Transport::Stream, Transport::Syslog]);
    let act = prop_oneof![
        6 => (transport, 1..60u64).prop_map(|(transport, count)| Act::Send(transport, count)),
        4 => (1000..1003u32).prop_map(Act::User),
        4 => (0..5u8).prop_map(Act::Shape),
        3 => Just(Act::Rotate),
        2 => Just(Act::Reboot),
        2 => Just(Act::Crash),
        1 => (1..5u8).prop_map(Act::Vacuum),
    ];
    prop::collection::vec(act, 4..14)
}

fn act(journald: &mut Journald, act: &Act, seed: u64) {
    match act {
        Act::Send(transport, count) => {
            journald.send(&Bulk::new(*transport, *count, seed).unit("a.service"));
        }
        Act::User(id) => {
            let (uid, gid) = (format!("--reuid={id}"), format!("--regid={id}"));
            let script = "for n in 1 2 3 4 5; do echo line $n; done | systemd-cat; logger from a shell";
            let output = journald.run(&["setpriv", &uid, &gid, "--clear-groups", "sh", "-c", script]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            journald.sync();
            let file = journald.files_dir().join(format!("user-{id}.journal"));
            assert!(file.exists(), "{:?}", journald.files());
        }
        Act::Shape(0) => journald.send_native(&[("N", b"1")]),
        Act::Shape(1) => {
            journald.send_native(&[("MESSAGE", b""), ("TAG", b"a"), ("TAG", b"b"), ("TAG", b"a")])
        }
        Act::Shape(2) => journald.send_native(&[("MESSAGE", &[b'x'; 700_000]), ("B", b"\0\n\xff")]),
        Act::Shape(3) => (0..20).for_each(|_| journald.send_native(&[("MESSAGE", b"the same")])),
        Act::Shape(_) => journald.send_native(&[("MESSAGE", b"several\nlines")]),
        Act::Rotate => journald.rotate(),
        Act::Reboot => journald.reboot(),
        Act::Crash => {
            journald.kill();
            journald.start_again();
        }
        Act::Vacuum(files) => drop(journald.journalctl(&[&format!("--vacuum-files={files}")])),
    }
    journald.sync();
}

#[test]
fn whatever_happens_to_journald_is_read_as_journalctl_reads_it() {
    or_skip!(is_252());
    drop(or_skip!(Journald::start()));
    for_many(acts(), 4, |acts| {
        let mut journald = Journald::start().unwrap();
        let paths = [journald.dir()];
        let mut tail = open(&paths, Start::Oldest);
        let mut followed: Vec<ExportedEntry> = Vec::new();
        for (seed, happens) in (0..).zip(&acts) {
            act(&mut journald, happens, seed);
            let want = journald.entries();
            let files: Vec<Vec<Cursor>> =
                files_below(&paths[0]).iter().map(|path| cursors_of(&std::fs::read(path).unwrap())).collect();
            let files: Vec<&[Cursor]> = files.iter().map(Vec::as_slice).collect();
            assert_equal(&files, &entries(read(&paths, Start::Oldest)), &want)?;
            // Who follows has all of it too, once.
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                followed.extend(entries(drain(&mut tail)));
                let seen: HashSet<&str> = followed.iter().map(|entry| entry.cursor.as_str()).collect();
                prop_assert_eq!(seen.len(), followed.len(), "doubled after {:?}", happens);
                match want.iter().find(|entry| !seen.contains(entry.cursor.as_str())) {
                    None => break,
                    Some(missing) => {
                        prop_assert!(Instant::now() < deadline, "{} after {happens:?}", missing.cursor)
                    }
                }
                tail.wait(Some(deadline)).unwrap();
            }
        }
        Ok(())
    });
}

/// A journald that writes to /run only (of a namespace, say) beside one that writes to /var: what comes late from
/// there is no copy for being older than what was read in /run.
#[test]
fn an_entry_is_no_copy_for_being_older_than_the_runtime_journals_last() {
    let Ok(run) = tempfile::tempdir_in("/run") else { return };
    let var = tempfile::tempdir().unwrap();
    let (first, second) = (run.path().join("1dea".repeat(8)), var.path().join("feed".repeat(8)));
    let entry = |monotonic| ExportEntry::new(1_700_000_000_000_000 + monotonic).boot(1, monotonic);
    for (folder, entry) in [(&first, entry(100).message("in /run")), (&second, entry(50).message("in /var"))]
    {
        std::fs::create_dir(folder).unwrap();
        or_skip!(build_journal(&folder.join("system.journal"), &[entry], Format::default()));
    }
    let mut tail = open(&[run.path().into(), var.path().into()], Start::Oldest);
    assert_eq!(drain(&mut tail).len(), 2);
    or_skip!(build_journal(&second.join("system.journal"), &[entry(99).message("late")], Format::default()));
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 1);
}
