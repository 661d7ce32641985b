//! Matches against journalctl's: the same entries, in the same order, whether they are looked up or read through; the
//! same times from wherever one starts; and little read where little matches.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journald_reader::{Cursor, Keys, Match, Scope, Start, Tail, Waker};
use proptest::prelude::*;

use crate::support::fixtures::{
    BASE, ExportEntry, ExportedEntry, Format, build_journal, journalctl, journalctl_export, mixed,
    parse_export,
};
use crate::support::journald::Journald;
use crate::support::or_skip;

/// A match as journalctl has it: `A=1 A=2 B=3 + C=4`.
fn matches(text: &str) -> Vec<Match> {
    let one = |terms: &str| {
        let mut one = Match::new();
        for term in terms.split_whitespace() {
            let (field, value) = term.split_once('=').unwrap();
            one.entry(field.into()).or_default().push(value.into());
        }
        one
    };
    text.split('+').map(one).collect()
}

fn open(path: &Path, text: &str, start: Start) -> Tail {
    let scope = Scope { matches: matches(text), ..Scope::of([path.to_owned()]) };
    Tail::open(&scope, Keys::default(), start, Waker::new().unwrap()).unwrap()
}

/// Cursor and time (ns) of all that can be read now.
fn drain(tail: &mut Tail) -> Vec<(Cursor, u64)> {
    std::iter::from_fn(|| tail.next_entry().map(|entry| (*entry.cursor(), entry.timestamp_ns()))).collect()
}

fn cursors(read: &[(Cursor, u64)]) -> Vec<String> {
    read.iter().map(|(cursor, _)| cursor.to_string()).collect()
}

fn theirs(paths: &[&Path], text: &str) -> Vec<String> {
    let args: Vec<&str> = ["--all", "--output=export"].into_iter().chain(text.split_whitespace()).collect();
    cursors_of(&parse_export(&journalctl(paths, &args).unwrap()))
}

fn cursors_of(entries: &[ExportedEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.cursor.clone()).collect()
}

/// Whether an entry matches, by its fields: what the reader does not do.
fn wanted(entry: &ExportedEntry, matches: &[Match]) -> bool {
    matches.iter().any(|one| {
        one.iter()
            .all(|(field, values)| values.iter().any(|v| entry.all(field).any(|its| its == v.as_bytes())))
    })
}

/// Any values of any fields of any matches; some values are nowhere.
fn texts() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => (0..3u32).prop_map(|n| format!("A={n}")),
        4 => (0..8u32).prop_map(|n| format!("B={n}")),
        4 => (0..50u32).prop_map(|n| format!("C={n}")),
        2 => (0..9u32).prop_map(|n| format!("D={n}")),
        4 => (0..4u32).prop_map(|n| format!("RARE={n}")),
        1 => Just("C=second".to_owned()),
        1 => Just("EMPTY=".to_owned()),
        1 => Just("NONE=1".to_owned()),
        1 => (0..4000u32).prop_map(|n| format!("MESSAGE=message {n}").replace(' ', "_")),
    ];
    let one = proptest::collection::vec(value, 1..4).prop_map(|terms| terms.join(" "));
    proptest::collection::vec(one, 1..4).prop_map(|all| all.join(" + "))
}

fn cases(cases: u32) -> proptest::test_runner::TestRunner {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
}

#[test]
fn any_match_gives_what_journalctl_gives() {
    let dir = tempfile::tempdir().unwrap();
    for (index, format) in Format::ALL.into_iter().enumerate() {
        let part: Vec<_> = mixed(3000)
            .into_iter()
            .enumerate()
            .filter(|(n, _)| n / 100 % 4 == index)
            .map(|(_, e)| e)
            .collect();
        or_skip!(build_journal(&dir.path().join(format!("{index}.journal")), &part, format));
    }
    let single = dir.path().join("2.journal");
    let compare = |text: &str| {
        for path in [dir.path(), &single] {
            let ours = cursors(&drain(&mut open(path, text, Start::Oldest)));
            assert_eq!(ours, theirs(&[path], text), "{text} in {}", path.display());
        }
    };
    compare(&format!("LONG={}", "long_".repeat(200)));
    compare("RARE=1");
    compare("RARE=1 RARE=2 A=0 + C=7 + EMPTY=");
    cases(40)
        .run(&texts(), |text| {
            compare(&text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_compressed_value_is_found() {
    for format in Format::ALL {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        or_skip!(build_journal(&path, &mixed(400), format));
        let mut scope = Scope::of([path]);
        for (value, count) in [("long ".repeat(200), 5), ("long ".repeat(201), 0), ("long ".repeat(199), 0)] {
            scope.matches = vec![Match::from([("LONG".into(), vec![value])])];
            let mut tail = Tail::open(&scope, Keys::default(), Start::Oldest, Waker::new().unwrap()).unwrap();
            assert_eq!(drain(&mut tail).len(), count, "{format:?}");
        }
    }
}

#[test]
fn times_are_the_same_from_wherever_one_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    or_skip!(build_journal(&path, &mixed(1500), Format::default()));
    let all = or_skip!(journalctl_export(&[&path]));
    // By the definition: the entry's place among the matching ones that stand with it in its microsecond.
    let expected = |text: &str| -> Vec<u64> {
        let matches = matches(text);
        let (mut run, mut times) = ((0, 0), Vec::new());
        for entry in &all {
            if run.0 != entry.realtime {
                run = (entry.realtime, 0);
            }
            if wanted(entry, &matches) {
                times.push(entry.realtime * 1000 + run.1);
                run.1 += 1;
            }
        }
        times
    };
    let check = |text: &str| {
        let times = expected(text);
        let mut tail = open(&path, text, Start::Oldest);
        let read = drain(&mut tail);
        assert_eq!(read.iter().map(|(_, time)| *time).collect::<Vec<_>>(), times, "{text}");
        let mut tail = open(&path, text, Start::Oldest);
        for (index, (cursor, _)) in read.iter().enumerate() {
            assert!(tail.next_entry().is_some());
            if index % 5 == 0 || read.len() < 60 {
                let rest = &read[index + 1..];
                assert_eq!(
                    drain(&mut open(&path, text, Start::After(*cursor))),
                    rest,
                    "{text} after {cursor}"
                );
                let resume = Start::Resume(Box::new(tail.resume()));
                assert_eq!(drain(&mut open(&path, text, resume)), rest, "{text} resumed at {cursor}");
            }
        }
        // Starting at entries that do not match.
        for entry in all.iter().step_by(37) {
            let after: Cursor = entry.cursor.parse().unwrap();
            let rest: Vec<_> = read.iter().filter(|(c, _)| c.seqnum > after.seqnum).copied().collect();
            assert_eq!(drain(&mut open(&path, text, Start::After(after))), rest, "{text} after {after}");
        }
    };
    // Looked up; read through.
    ["RARE=1", "RARE=1 + RARE=2", "A=0", "A=0 A=1 B=3", "C=4 + RARE=1"].into_iter().for_each(check);
    cases(8)
        .run(&texts(), |text| {
            check(&text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_last_lines_that_match_are_journalctls() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    let steady = (0..2000).map(|n| {
        let entry = ExportEntry::new(BASE + n * 1000).message(format!("{n}")).field("A", (n % 3).to_string());
        if n % 50 == 7 { entry.field("RARE", "1") } else { entry }
    });
    or_skip!(build_journal(&path, &steady.collect::<Vec<_>>(), Format::default()));
    for text in ["A=1", "RARE=1", "RARE=1 A=0", "NONE=1"] {
        let all = theirs(&[&path], text);
        for lines in [1, 3, 39, 500] {
            let count = format!("--lines={lines}");
            let args = ["--all", "--output=export", &count, text.split(' ').next().unwrap()];
            let args: Vec<&str> = args.into_iter().chain(text.split(' ').skip(1)).collect();
            let wanted = cursors_of(&parse_export(&journalctl(&[&path], &args).unwrap()));
            let start = match open(&path, text, Start::Oldest).time_of_last(lines, None) {
                Some(time) => Start::Realtime(time),
                None => Start::Realtime(u64::MAX),
            };
            assert_eq!(
                cursors(&drain(&mut open(&path, text, start))),
                wanted,
                "{text} {lines} of {}",
                all.len()
            );
        }
    }
}

/// Reads of this thread, and bytes.
fn reads() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    (number("syscr:"), number("rchar:"))
}

#[test]
fn a_rare_value_costs_reads_for_its_entries_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    let entry = |n: u64| {
        let unit = if n % 2000 == 1999 { "rare.service".into() } else { format!("unit{}.service", n % 5) };
        let pid = 1000 + n % 400;
        ExportEntry::new(BASE + n * 1000)
            .message(format!("message {n} of a service that has much to say, {}", n * 7919))
            .field("_SYSTEMD_UNIT", unit)
            .field("_PID", pid.to_string())
            .field("PRIORITY", (n % 8).to_string())
    };
    or_skip!(build_journal(&path, &(0..40_000).map(entry).collect::<Vec<_>>(), Format::default()));
    let cost = |text: &str, start: Start| {
        let before = reads();
        let mut tail = open(&path, text, start);
        let count = drain(&mut tail).len();
        let after = reads();
        assert_eq!(drain(&mut tail), []);
        (count, after.0 - before.0, after.1 - before.1)
    };
    let (count, _, through) = cost("PRIORITY=1 PRIORITY=2 PRIORITY=3", Start::Oldest);
    assert_eq!(count, 15_000);
    let (count, reads, bytes) = cost("_SYSTEMD_UNIT=rare.service", Start::Oldest);
    assert!(count == 20 && reads < 200 && bytes * 20 < through, "{count} {reads} {bytes} of {through}");
    // Of two fields, the rarer one leads.
    let (count, reads, bytes) = cost("_SYSTEMD_UNIT=rare.service PRIORITY=7", Start::Oldest);
    assert!(count == 20 && reads < 200 && bytes * 20 < through, "{count} {reads} {bytes} of {through}");
    let (count, reads, bytes) = cost("_SYSTEMD_UNIT=rare.service", Start::Realtime(BASE + 30_000_000));
    assert!(count == 5 && reads < 150 && bytes * 20 < through, "{count} {reads} {bytes} of {through}");
    let (count, reads, bytes) = cost("_SYSTEMD_UNIT=none.service", Start::Oldest);
    assert!(count == 0 && reads < 80 && bytes * 50 < through, "{count} {reads} {bytes} of {through}");
    // The last ones.
    let before = self::reads();
    open(&path, "_SYSTEMD_UNIT=rare.service", Start::Oldest).time_of_last(3, None).unwrap();
    let after = self::reads();
    assert!(after.0 - before.0 < 100, "{} reads", after.0 - before.0);
}

#[test]
fn entries_that_are_looked_up_near_each_other_share_a_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    // One in ten, now near each other, now far apart; half of them have a second value of the field.
    let entry = |n: u64| {
        let unit = match n % 20 {
            0 => "a.service",
            10 => "b.service",
            _ => "c.service",
        };
        let long = if n % 1000 < 500 { 10 } else { 4000 };
        ExportEntry::new(BASE + n * 1000)
            .message(format!("message {n} {}", "x".repeat(long)))
            .field("_SYSTEMD_UNIT", unit)
    };
    or_skip!(build_journal(&path, &(0..4000).map(entry).collect::<Vec<_>>(), Format::default()));
    let both = "_SYSTEMD_UNIT=a.service _SYSTEMD_UNIT=b.service";
    for (text, most) in [("_SYSTEMD_UNIT=a.service", 0.8), (both, 0.7)] {
        let before = reads();
        let found = cursors(&drain(&mut open(&path, text, Start::Oldest)));
        let reads = reads().0 - before.0;
        assert_eq!(found, theirs(&[&path], text), "{text}");
        assert!(
            (reads as f64) < found.len() as f64 * most,
            "{reads} reads of {} entries: {text}",
            found.len()
        );
    }
}

/// Files in turn, each with a hundred entries of a value, and one with none of them.
#[test]
fn where_the_last_entries_begin_is_found_without_reading_them() {
    const EACH: u64 = 2000;
    let dir = tempfile::tempdir().unwrap();
    for file in 0..4 {
        let entry = |n: u64| {
            let entry =
                ExportEntry::new(BASE + n * 1000).message(format!("{n}")).field("A", (n % 3).to_string());
            if n % 20 == 7 && file != 2 { entry.field("RARE", "1") } else { entry }
        };
        let entries: Vec<_> = (file * EACH..(file + 1) * EACH).map(entry).collect();
        or_skip!(build_journal(&dir.path().join(format!("{file}.journal")), &entries, Format::default()));
    }
    let path = dir.path().to_path_buf();
    let open = |text: &str| {
        let matches = if text.is_empty() { Vec::new() } else { matches(text) };
        let scope = Scope { matches, ..Scope::of([path.clone()]) };
        Tail::open(&scope, Keys::default(), Start::Oldest, Waker::none()).unwrap()
    };
    for (text, all) in [("", 4 * EACH), ("RARE=1", 300), ("A=1", 2667), ("RARE=1 A=0", 100), ("NONE=1", 0)] {
        let read = drain(&mut open(text));
        let read: Vec<u64> = read.iter().map(|(cursor, _)| cursor.realtime).collect();
        assert_eq!(read.len() as u64, all, "{text}");
        for until in [None, Some(BASE + EACH * 1000 * 5 / 2), Some(BASE - 1)] {
            let times: Vec<u64> =
                read.iter().copied().filter(|time| until.is_none_or(|until| *time <= until)).collect();
            for count in [1, 2, 99, 100, 101, 250, 300, 301, 2000, 2001, 7999, 8000, 8001] {
                let nth = times.len().checked_sub(count as usize).map(|at| times[at]);
                let what = format!("{text} {count} until {until:?} of {}", times.len());
                assert_eq!(open(text).time_of_nth_last(count, until), nth, "{what}");
                // Of a value, the newest entry of each file may be one of them or not.
                let about = open(text).time_of_about_last(count, until);
                let since = |time| times.iter().filter(|other| **other >= time).count() as u64;
                let fits = about.map_or(nth.is_none() || count + 4 > times.len() as u64, |about| {
                    (count..=count + 4).contains(&since(about))
                });
                assert!(fits, "{what}: {about:?}");
            }
        }
    }
    let cost = |text: &str, count| {
        let mut tail = open(text);
        let before = reads();
        tail.time_of_about_last(count, None);
        reads().0 - before.0
    };
    let cost = [cost("", 7000), cost("RARE=1", 290), cost("RARE=1", 2000), cost("NONE=1", 9)];
    assert!(cost.iter().all(|reads| *reads < 200), "{cost:?} reads");
    // Each entry has to be looked at for two fields: once.
    let mut tail = open("RARE=1 A=0");
    let before = reads();
    tail.time_of_about_last(90, None);
    let reads = reads().0 - before.0;
    assert!(reads < 500, "{reads} reads");
}

#[test]
fn values_that_appear_later_match_from_their_first_entry_on() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"before"), ("STEP", b"1")]);
    journald.sync();
    let dir = journald.dir();
    let text = "STEP=2 + STEP=3 KIND=x";
    let mut tail = open(&dir, text, Start::Oldest);
    assert_eq!(drain(&mut tail), []);
    let mut got = Vec::new();
    for round in 0..6u32 {
        for step in ["1", "2", "3", "2"] {
            let kind = if round % 2 == 0 { "x" } else { "y" };
            let fields: [(&str, &[u8]); 3] =
                [("MESSAGE", b"m"), ("STEP", step.as_bytes()), ("KIND", kind.as_bytes())];
            // A value of its own in each round, too.
            let own = round.to_string();
            let fields = [&fields[..], &[("ROUND", own.as_bytes())]].concat();
            journald.send_native(&fields);
        }
        journald.sync();
        if round == 3 {
            journald.rotate();
        }
        let mut args = vec!["--all", "--output=export"];
        args.extend(text.split_whitespace());
        let want = cursors_of(&parse_export(&journald.journalctl(&args)));
        let deadline = Instant::now() + Duration::from_secs(20);
        while got.len() < want.len() {
            assert!(Instant::now() < deadline, "{} of {} entries", got.len(), want.len());
            tail.wait(Some(deadline)).unwrap();
            got.extend(cursors(&drain(&mut tail)));
        }
        assert_eq!(got, want);
    }
    assert_eq!(tail.counts().missing, 0);
}

#[test]
fn what_is_passed_over_is_not_read_again_and_not_missing() {
    let journald = or_skip!(Journald::start());
    for round in 0..4 {
        for n in 0..30 {
            let kind: &[u8] = if round < 2 && n % 10 == 3 { b"x" } else { b"y" };
            journald.send_native(&[("MESSAGE", b"m"), ("KIND", kind)]);
        }
        journald.rotate();
    }
    journald.sync();
    let dir = journald.dir();
    for (text, count) in [("KIND=x", 6), ("KIND=x KIND=z", 6), ("KIND=none", 0), ("KIND=y", 114)] {
        let mut tail = open(&dir, text, Start::Oldest);
        assert_eq!(drain(&mut tail).len(), count, "{text}");
        let all = journald.entries().len() as u64;
        let counts = tail.counts();
        assert_eq!((counts.unwanted, counts.missing), (all - count as u64, 0), "{text}");
        let mut again = open(&dir, text, Start::Resume(Box::new(tail.resume())));
        assert_eq!(drain(&mut again), []);
        let counts = again.counts();
        assert_eq!((counts.unwanted, counts.missing), (0, 0), "{text}");
    }
    // Whatever was deleted in the meantime may have been wanted.
    let mut tail = open(&dir, "KIND=none", Start::Oldest);
    assert_eq!(drain(&mut tail), []);
    let mut early = tail.resume();
    early.files.clear();
    for cursor in early.counters.values_mut() {
        cursor.seqnum = 1;
    }
    journald.journalctl(&["--vacuum-files=1"]);
    assert!(open(&dir, "KIND=none", Start::Resume(Box::new(early))).counts().missing >= 60);
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Where the DATA objects of a sound file are.
fn data_of(bytes: &[u8]) -> Vec<usize> {
    let (mut at, tail, mut found) = (number(bytes, 88), number(bytes, 136), Vec::new());
    while at <= tail {
        if bytes[at as usize] == 1 {
            found.push(at as usize);
        }
        at += number(bytes, at as usize + 8).next_multiple_of(8);
    }
    found
}

/// Fills every bucket of the hash table that is in use.
fn fill_hash_table(bytes: &mut [u8], value: impl Fn(u64) -> u64) {
    let (table, size) = (number(bytes, 104) as usize, number(bytes, 112) as usize);
    for at in (table..table + size).step_by(16) {
        if number(bytes, at) != 0 {
            let filled = value(number(bytes, at));
            put(bytes, at, filled);
        }
    }
}

#[test]
fn a_damaged_index_costs_time_and_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    for format in Format::ALL {
        let _ = std::fs::remove_file(&path);
        or_skip!(build_journal(&path, &mixed(1500), format));
        let good = std::fs::read(&path).unwrap();
        let payload = if format.compact { 72 } else { 64 };
        let data = data_of(&good);
        let rare = *data.iter().find(|at| good[**at + payload..].starts_with(b"RARE=1")).unwrap();
        let other = *data.iter().find(|at| good[**at + payload..].starts_with(b"A=")).unwrap();
        type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
        let damages: [(&str, Damage); 9] = [
            ("buckets of another value", &|b| fill_hash_table(b, |_| other as u64)),
            ("buckets outside", &|b| fill_hash_table(b, |_| 1 << 40)),
            ("buckets askew", &|b| fill_hash_table(b, |at| at + 4)),
            ("no buckets", &|b| put(b, 112, 0)),
            ("a chain that leads back", &|b| {
                // In regular files an entry would no longer agree with its value's hash.
                if !format.compact {
                    return;
                }
                put(b, rare + 16, number(&good, rare + 16) + number(&good, 112) / 16);
                put(b, rare + 24, rare as u64);
            }),
            ("a table outside", &|b| put(b, 104, u64::MAX - 7)),
            ("arrays outside", &|b| put(b, rare + 48, 1 << 40)),
            ("no arrays", &|b| put(b, rare + 48, 0)),
            ("arrays that are none", &|b| put(b, rare + 48, other as u64)),
        ];
        for text in ["RARE=1", "RARE=1 B=0 B=1 B=2 B=3", "RARE=1 + RARE=2"] {
            std::fs::write(&path, &good).unwrap();
            let all = drain(&mut open(&path, text, Start::Oldest));
            assert!(all.len() > 10);
            for (what, damage) in &damages {
                let mut bytes = good.clone();
                damage(&mut bytes);
                std::fs::write(&path, &bytes).unwrap();
                let read = drain(&mut open(&path, text, Start::Oldest));
                assert_eq!(read, all, "{text}: {what}, {format:?}");
            }
        }
    }
}

#[test]
fn whatever_the_bytes_reading_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    or_skip!(build_journal(&path, &mixed(200), Format::default()));
    let good = std::fs::read(&path).unwrap();
    let used = good.iter().rposition(|b| *b != 0).unwrap() + 1;
    let data = data_of(&good);
    let flip = prop_oneof![
        (any::<prop::sample::Index>(), 1..=255u8).prop_map(move |(at, by)| (at.index(used), by)),
        // What says where entries are.
        (any::<prop::sample::Index>(), 16..64usize, 1..=255u8)
            .prop_map(move |(at, field, by)| (data[at.index(data.len())] + field, by)),
    ];
    let strategy = (proptest::collection::vec(flip, 1..12), texts());
    cases(120)
        .run(&strategy, |(flips, text)| {
            let mut bytes = good.clone();
            for (at, by) in flips {
                bytes[at] ^= by;
            }
            std::fs::write(&path, &bytes).unwrap();
            let scope = Scope { matches: matches(&text), ..Scope::of([path.clone()]) };
            if let Ok(mut tail) = Tail::open(&scope, Keys::default(), Start::Oldest, Waker::new().unwrap()) {
                assert!(drain(&mut tail).len() <= 200);
                tail.time_of_last(5, None);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn recorded_files_of_other_systemds_match_by_every_value_they_hold() {
    for name in crate::support::fixtures::recorded_names() {
        let dir = tempfile::tempdir().unwrap();
        let recorded = crate::support::fixtures::recorded(&name, dir.path());
        let mut seen = std::collections::BTreeSet::new();
        for (field, value) in recorded.expected.iter().flat_map(|entry| &entry.fields) {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            if !seen.insert((field.clone(), value.to_owned())) || seen.len() > 150 {
                continue;
            }
            let one = Match::from([(field.clone(), vec![value.to_owned()])]);
            let scope = Scope { matches: vec![one.clone()], ..Scope::of([PathBuf::from(&recorded.path)]) };
            let mut tail = Tail::open(&scope, Keys::default(), Start::Oldest, Waker::new().unwrap()).unwrap();
            let want: Vec<_> =
                recorded.expected.iter().filter(|e| wanted(e, std::slice::from_ref(&one))).cloned().collect();
            assert_eq!(cursors(&drain(&mut tail)), cursors_of(&want), "{name}: {field}={value:.60}");
        }
    }
}
