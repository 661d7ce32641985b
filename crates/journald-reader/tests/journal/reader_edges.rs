//! The reader at the edges: copies of files, counters that files share, damage in awkward places, folders
//! that go and come.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journald_reader::{Cursor, Keys, Match, Scope, Start, Tail, Waker};

use crate::support::fixtures::{ExportEntry, Format, build_journal, recorded};
use crate::support::journals::entries_of;
use crate::support::or_skip;

/// An entry's cursor and its fields, sorted.
type Read = (Cursor, Vec<(Vec<u8>, Vec<u8>)>);

fn open(paths: &[PathBuf], start: Start) -> Tail {
    let mut keys = Keys::default();
    keys.add_all();
    Tail::open(&Scope::of(paths), keys, start, Waker::new().unwrap()).unwrap()
}

fn next(tail: &mut Tail) -> Option<Read> {
    let entry = tail.next_entry()?;
    let mut fields: Vec<_> = entry.fields().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    fields.sort();
    Some((*entry.cursor(), fields))
}

fn drain(tail: &mut Tail) -> Vec<Read> {
    std::iter::from_fn(|| next(tail)).collect()
}

/// Follows until so many entries have come, or too much time has gone.
fn wait_for(tail: &mut Tail, count: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut got = 0;
    while got < count && Instant::now() < deadline {
        tail.wait(Some(deadline)).unwrap();
        got += drain(tail).len();
    }
    got
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Gives a file another counter and its entries these numbers.
fn renumber(path: &Path, counter: u8, numbers: impl IntoIterator<Item = u64>) {
    change(path, |bytes| {
        let entries = entries_of(bytes);
        bytes[72..88].fill(counter);
        let mut put = |at: usize, number: u64| bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let numbers: Vec<u64> = numbers.into_iter().take(entries.len()).collect();
        // The header has the last and the first.
        put(160, *numbers.last().unwrap());
        put(168, numbers[0]);
        for (entry, number) in entries.into_iter().zip(numbers) {
            put(entry + 16, number);
        }
    });
}

fn plain(range: impl IntoIterator<Item = u64>) -> Vec<ExportEntry> {
    let entry = |n: u64| ExportEntry::new(1_700_000_000_000_000 + n * 1000).message(format!("message {n}"));
    range.into_iter().map(entry).collect()
}

#[test]
fn a_file_damaged_while_it_waits_for_its_turn_gives_no_mixed_entries() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a@1.journal"), dir.path().join("b@1.journal"));
    or_skip!(build_journal(&a, &plain(0..10), Format::default()));
    or_skip!(build_journal(&b, &plain(10..20), Format::default()));
    let whole = drain(&mut open(&[dir.path().into()], Start::Oldest));
    let mut tail = open(&[dir.path().into()], Start::Oldest);
    assert_eq!(next(&mut tail).as_ref(), whole.first());
    change(&b, |bytes| {
        let first = entries_of(bytes)[0];
        bytes[first] = 1;
    });
    let rest = drain(&mut tail);
    // The first entry of the other file may have been read before the damage; it is whole, or not there.
    let damaged = tail.counts().damaged.total() as usize;
    assert_eq!(rest[..9], whole[1..10]);
    assert_eq!(rest[9..], whole[10 + damaged..]);
}

#[test]
fn damage_in_the_middle_of_a_file_sends_nothing_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.journal");
    or_skip!(build_journal(&path, &plain(0..64), Format::default()));
    let whole = drain(&mut open(std::slice::from_ref(&path), Start::Oldest));
    let mut tail = open(std::slice::from_ref(&path), Start::Oldest);
    for _ in 0..50 {
        next(&mut tail).unwrap();
    }
    let resume = tail.resume();
    // Where a bisection of 64 entries looks.
    change(&path, |bytes| {
        let entries = entries_of(bytes);
        for index in [32, 33, 34, 48] {
            bytes[entries[index]] = 1;
        }
    });
    assert_eq!(drain(&mut open(std::slice::from_ref(&path), Start::Resume(Box::new(resume)))), whole[50..]);
    let after = Start::After(whole[49].0);
    assert_eq!(drain(&mut open(std::slice::from_ref(&path), after)), whole[50..]);
    let since = Start::Realtime(whole[50].0.realtime);
    assert_eq!(drain(&mut open(&[path], since)), whole[50..]);
}

#[test]
fn an_older_copy_of_a_file_beside_it_sends_nothing_again_after_a_restart() {
    for name in ["0-old.journal", "z-old.journal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.journal");
        or_skip!(build_journal(&path, &plain(0..10), Format::default()));
        fs::copy(&path, dir.path().join(name)).unwrap();
        or_skip!(build_journal(&path, &plain(10..20), Format::default()));
        let ids: Vec<_> =
            ["m.journal", name].map(|n| fs::read(dir.path().join(n)).unwrap()[24..40].to_vec()).into();
        if ids[0] != ids[1] {
            change(&dir.path().join(name), |bytes| bytes[24..40].copy_from_slice(&ids[0]));
        }
        let mut tail = open(&[dir.path().into()], Start::Oldest);
        assert_eq!(drain(&mut tail).len(), 20);
        let again = drain(&mut open(&[dir.path().into()], Start::Resume(Box::new(tail.resume()))));
        assert_eq!(again, [], "{name}");
    }
}

#[test]
fn an_entry_that_becomes_visible_late_sends_nothing_again_after_a_restart() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (system, user) = (dir.path().join("system@1.journal"), elsewhere.path().join("user.journal"));
    or_skip!(build_journal(&system, &plain([1, 3]), Format::default()));
    or_skip!(build_journal(&user, &plain([2]), Format::default()));
    renumber(&system, 7, [1, 3]);
    renumber(&user, 7, [2]);
    let mut tail = open(&[dir.path().into()], Start::Oldest);
    assert_eq!(drain(&mut tail).len(), 2);
    fs::copy(&user, dir.path().join("user.journal")).unwrap();
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 1);
    assert_eq!(drain(&mut open(&[dir.path().into()], Start::Resume(Box::new(tail.resume())))), []);
}

#[test]
fn a_file_replaced_by_a_longer_copy_of_itself_goes_on_where_it_was() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, grown) = (dir.path().join("system.journal"), elsewhere.path().join("grown.journal"));
    or_skip!(build_journal(&grown, &plain(0..10), Format::default()));
    fs::copy(&grown, &path).unwrap();
    let mut tail = open(&[dir.path().into()], Start::Oldest);
    assert_eq!(drain(&mut tail).len(), 10);
    or_skip!(build_journal(&grown, &plain(10..12), Format::default()));
    let id = fs::read(&path).unwrap()[24..40].to_vec();
    change(&grown, |bytes| bytes[24..40].copy_from_slice(&id));
    // As rsync does.
    fs::copy(&grown, dir.path().join(".system.journal.tmp")).unwrap();
    fs::rename(dir.path().join(".system.journal.tmp"), &path).unwrap();
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 2);
}

#[test]
fn impossible_counts_in_headers_are_counted_without_overflow() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a@1.journal", "b@1.journal"] {
        let recorded = recorded("archived.journal", dir.path());
        let path = dir.path().join(name);
        fs::rename(recorded.path, &path).unwrap();
        change(&path, |bytes| {
            bytes[152..160].fill(0xff);
            if name.starts_with('b') {
                bytes[24] ^= 1;
                bytes[72] ^= 1;
            }
        });
    }
    let mut tail = open(&[dir.path().into()], Start::Oldest);
    drain(&mut tail);
    assert!(tail.counts().damaged.total() < 1 << 40, "{:?}", tail.counts());
}

#[test]
fn a_folder_that_goes_and_comes_again_is_followed() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("journal");
    fs::create_dir(&dir).unwrap();
    or_skip!(build_journal(&dir.join("a.journal"), &plain(0..3), Format::default()));
    let mut tail = open(std::slice::from_ref(&dir), Start::Oldest);
    assert_eq!(drain(&mut tail).len(), 3);
    fs::remove_dir_all(&dir).unwrap();
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 0);
    fs::create_dir(&dir).unwrap();
    or_skip!(build_journal(&dir.join("b.journal"), &plain(3..5), Format::default()));
    assert_eq!(wait_for(&mut tail, 2), 2);
    // Moved away and replaced at once.
    fs::rename(&dir, parent.path().join("old")).unwrap();
    fs::create_dir(&dir).unwrap();
    or_skip!(build_journal(&dir.join("c.journal"), &plain(5..7), Format::default()));
    assert_eq!(wait_for(&mut tail, 2), 2);
}

#[test]
fn the_last_lines_of_a_journal_with_copies_are_as_many() {
    let dir = tempfile::tempdir().unwrap();
    or_skip!(build_journal(&dir.path().join("a.journal"), &plain(0..20), Format::default()));
    or_skip!(build_journal(&dir.path().join("b.journal"), &plain(0..20), Format::default()));
    let paths = [dir.path().to_path_buf()];
    let time = open(&paths, Start::Oldest).time_of_last(5, None).unwrap();
    assert_eq!(drain(&mut open(&paths, Start::Realtime(time))).len(), 5);
    let time = open(&paths, Start::Oldest).time_of_last(0, None).unwrap();
    assert_eq!(drain(&mut open(&paths, Start::Realtime(time))), []);
}

#[test]
fn copies_in_files_of_their_own_are_not_read_after_a_restart() {
    for name in ["b.journal", "b@1.journal"] {
        let dir = tempfile::tempdir().unwrap();
        or_skip!(build_journal(&dir.path().join("a.journal"), &plain(0..20), Format::default()));
        or_skip!(build_journal(&dir.path().join(name), &plain(0..20), Format::default()));
        let mut tail = open(&[dir.path().into()], Start::Oldest);
        for _ in 0..15 {
            next(&mut tail).unwrap();
        }
        let rest = drain(&mut open(&[dir.path().into()], Start::Resume(Box::new(tail.resume()))));
        assert_eq!(rest.len(), 5, "{name}");
        assert_eq!(drain(&mut tail).len(), 5);
        assert_eq!(
            drain(&mut open(&[dir.path().into()], Start::Resume(Box::new(tail.resume())))),
            [],
            "{name}"
        );
    }
}

#[test]
fn what_one_file_passes_over_skips_no_lower_number_of_another() {
    for suffix in [".journal", "@1.journal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(format!("{name}{suffix}"));
        or_skip!(build_journal(&path("system"), &plain([1, 3, 5, 6, 7, 9]), Format::default()));
        or_skip!(build_journal(&path("user-1000"), &plain([2, 4, 8]), Format::default()));
        renumber(&path("system"), 7, [1, 3, 5, 6, 7, 9]);
        renumber(&path("user-1000"), 7, [2, 4, 8]);
        let messages = [2, 4, 6].map(|n| format!("message {n}")).to_vec();
        let matches = vec![Match::from([("MESSAGE".into(), messages)])];
        let scope = Scope { matches, ..Scope::of([dir.path().into()]) };
        let open = |start| Tail::open(&scope, Keys::default(), start, Waker::new().unwrap()).unwrap();
        let numbers = |tail: &mut Tail| -> Vec<u64> {
            std::iter::from_fn(|| tail.next_entry().map(|entry| entry.cursor().seqnum)).collect()
        };
        let mut tail = open(Start::Oldest);
        for read in 0..=3 {
            let rest = numbers(&mut open(Start::Resume(Box::new(tail.resume()))));
            assert_eq!(rest, [2, 4, 6][read..], "{suffix}");
            assert_eq!(tail.next_entry().is_some(), read < 3);
        }
        let mut again = open(Start::Resume(Box::new(tail.resume())));
        assert_eq!(numbers(&mut again), [0; 0]);
        assert_eq!(again.counts().unwanted, 0, "{suffix}");
    }
}
