//! What reading may take: reads to find a place, and descriptors.

use std::collections::HashSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use journald_reader::{Cursor, Keys, Scope, Start, Tail, Waker};

use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::or_skip;

/// Reads that finding a place may take, whatever the journal's size (calls to the system).
const READS_MAX: u64 = 200;
/// Files in which entries take turns (count): more than one tail ever keeps open.
const FILES: u32 = 600;
/// How long an entry may take to come, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(paths: &[PathBuf], start: Start) -> Tail {
    let mut keys = Keys::default();
    keys.add_all();
    Tail::open(&Scope::of(paths), keys, start, Waker::new().unwrap()).unwrap()
}

fn drain(tail: &mut Tail) -> Vec<Cursor> {
    std::iter::from_fn(|| tail.next_entry().map(|entry| *entry.cursor())).collect()
}

/// Any place in the journal is found with few reads, and it is the right one.
fn assert_places_are_found(folder: PathBuf) {
    let paths = [folder];
    let mut whole = open(&paths, Start::Oldest);
    let all = drain(&mut whole);
    let thorough = whole.counts().reads;
    assert!(thorough > 2 * READS_MAX, "{thorough} reads of everything tell nothing of a few");
    for index in (0..all.len()).step_by(all.len() / 7) {
        let first = all[index];
        let index = all.partition_point(|cursor| cursor.realtime < first.realtime);
        let mut tail = open(&paths, Start::Realtime(first.realtime));
        let got = tail.next_entry().map(|entry| *entry.cursor());
        assert_eq!(got, all.get(index).copied());
        assert!(tail.counts().reads <= READS_MAX, "a time: {:?}", tail.counts());

        let mut tail = open(&paths, Start::After(first));
        let index = all.iter().position(|cursor| *cursor == first).unwrap();
        let got = tail.next_entry().map(|entry| *entry.cursor());
        assert_eq!(got, all.get(index + 1).copied());
        assert!(tail.counts().reads <= READS_MAX, "a cursor: {:?}", tail.counts());

        for count in [1, 100] {
            let mut tail = open(&paths, Start::Realtime(u64::MAX));
            let before = tail.counts().reads;
            let last = all.partition_point(|cursor| cursor.realtime <= first.realtime);
            let want = all[last.saturating_sub(count)].realtime;
            assert_eq!(tail.time_of_last(count as u64, Some(first.realtime)), Some(want));
            assert!(tail.counts().reads - before <= READS_MAX, "the last {count}: {:?}", tail.counts());
        }
    }
    // Where a tail stopped.
    let mut half = open(&paths, Start::Oldest);
    for _ in 0..all.len() / 2 {
        half.next_entry().unwrap();
    }
    let mut tail = open(&paths, Start::Resume(Box::new(half.resume())));
    assert_eq!(tail.next_entry().map(|entry| *entry.cursor()), Some(all[all.len() / 2]));
    assert!(tail.counts().reads <= READS_MAX, "a checkpoint: {:?}", tail.counts());
}

#[test]
fn places_in_a_journal_of_many_rotated_files_are_found_with_few_reads() {
    let journald = or_skip!(Journald::builder().drop_in("SystemMaxFiles=1000").start());
    for seed in 0..40 {
        journald.send(&Bulk::new(Transport::Native, 1000, seed).unit("a.service"));
        journald.rotate();
    }
    assert_places_are_found(journald.dir());
}

#[test]
fn places_in_files_with_counters_of_their_own_are_found_with_few_reads() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..24 {
        let entries: Vec<_> = (0..1500)
            .map(|n| ExportEntry::new(1_700_000_000_000_000 + (file * 1500 + n) * 1000))
            .map(|entry| entry.field("_SYSTEMD_UNIT", "a.service").message("some words"))
            .collect();
        or_skip!(build_journal(
            &folder.path().join(format!("system@{file}.journal")),
            &entries,
            Format::default()
        ));
    }
    assert_places_are_found(folder.path().to_owned());
}

/// Makes a copy of a journal as a file of its own: ids, counters and times differ from all others'.
fn copy_as(bytes: &[u8], to: &Path, number: u32) {
    let mut bytes = bytes.to_vec();
    for at in [24, 72] {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    let read = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let later = |bytes: &mut [u8], at: usize| {
        let time = read(bytes, at) + u64::from(number);
        bytes[at..at + 8].copy_from_slice(&time.to_le_bytes());
    };
    for at in [184, 192] {
        later(&mut bytes, at); // of the first entry, and of the last
    }
    let (mut at, tail) = (read(&bytes, 88), read(&bytes, 136));
    while at <= tail {
        let object = at as usize;
        if bytes[object] == 3 {
            later(&mut bytes, object + 24);
            // Of another boot each, so that these times decide.
            bytes[object + 40..object + 44].copy_from_slice(&number.to_le_bytes());
        }
        at += read(&bytes, object + 8).next_multiple_of(8);
    }
    // The rest is zeros that nobody needs on the disk.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut file = fs::File::create(to).unwrap();
    file.write_all(&bytes[..used]).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// The first entries of a short journal.
fn short(count: u64) -> Vec<ExportEntry> {
    let entry = |n: u64| ExportEntry::new(1_700_000_000_000_000 + n * 1000).boot(0xb0, n * 1000);
    (0..count).map(|n| entry(n).message(format!("entry {n}"))).collect()
}

#[test]
fn hundreds_of_files_that_may_all_grow_take_few_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.journal");
    let entries = short(10);
    or_skip!(build_journal(&original, &entries, Format::default()));
    let bytes = fs::read(&original).unwrap();
    fs::remove_file(&original).unwrap();
    for number in 0..FILES {
        copy_as(&bytes, &folder.path().join(format!("user-{number}.journal")), number);
    }

    // All of them by turns: each entry of one microsecond is in another file than the one before.
    let paths = [folder.path().to_owned()];
    let mut tail = open(&paths, Start::Oldest);
    let descriptors = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(folder.path()))).count()
    };
    let mut most = 0;
    let mut got = Vec::new();
    while let Some(entry) = tail.next_entry() {
        got.push(*entry.cursor());
        if got.len() % 97 == 0 {
            most = most.max(descriptors());
        }
    }
    assert_eq!(got.len(), FILES as usize * entries.len());
    assert_eq!(got.iter().collect::<HashSet<_>>().len(), got.len(), "none twice");
    assert!(got.is_sorted_by_key(|cursor| cursor.realtime), "in order");
    // Those of one tail, whatever the process may open.
    let allowed =
        getrlimit(Resource::Nofile).current.map_or(512, |limit| (limit / 16).clamp(16, 512) as usize);
    assert!(most <= allowed && most >= allowed / 2, "{most} descriptors of {allowed}");

    // What is written to a file that has none is read all the same: here, a longer copy is written over it.
    let longer = short(11);
    or_skip!(build_journal(&original, &longer, Format::default()));
    let bytes = fs::read(&original).unwrap();
    fs::remove_file(&original).unwrap();
    let deadline = Instant::now() + PATIENCE;
    for number in [0, FILES / 2, FILES - 1] {
        let place = folder.path().join(format!("user-{number}.journal"));
        let before = folder.path().join("new");
        copy_as(&bytes, &before, number);
        // In place, so that the file is the same.
        let mut bytes = fs::read(&before).unwrap();
        let old = fs::read(&place).unwrap();
        bytes[24..40].copy_from_slice(&old[24..40]);
        let mut file = fs::File::options().write(true).open(&place).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&bytes).unwrap();
        let mut new = Vec::new();
        while new.is_empty() {
            assert!(Instant::now() < deadline, "the entry of file {number} does not come");
            tail.wait(Some(deadline)).unwrap();
            new = drain(&mut tail);
        }
        assert_eq!(new.len(), 1, "{new:?}");
        assert!(descriptors() <= allowed);
    }
}

#[test]
fn a_file_named_by_itself_is_followed() {
    let journald = or_skip!(Journald::start());
    journald.send(&Bulk::new(Transport::Native, 10, 0).unit("a.service"));
    let file = journald.files_dir().join("system.journal");
    let mut tail = open(std::slice::from_ref(&file), Start::Oldest);
    let mut got = drain(&mut tail).len();
    journald.send(&Bulk::new(Transport::Native, 10, 1).unit("a.service"));
    let (all, deadline) = (journald.entries().len(), Instant::now() + PATIENCE);
    while got < all {
        assert!(Instant::now() < deadline, "{got} of {all}");
        tail.wait(Some(deadline)).unwrap();
        got += drain(&mut tail).len();
    }
}

#[test]
fn behind_an_entry_that_is_gone_reading_goes_on_by_its_time_and_counts_the_gap() {
    let journald = or_skip!(Journald::start());
    for seed in 0..4 {
        journald.send(&Bulk::new(Transport::Native, 50, seed).unit("a.service"));
        journald.rotate();
    }
    let paths = [journald.dir()];
    let all = drain(&mut open(&paths, Start::Oldest));
    journald.journalctl(&["--vacuum-files=2"]);
    let left = drain(&mut open(&paths, Start::Oldest));
    assert!(left.len() < all.len() - 20, "something was deleted");
    let gone = all[10];
    let mut tail = open(&paths, Start::After(gone));
    assert_eq!(drain(&mut tail), left);
    assert_eq!(tail.counts().missing, left[0].seqnum - gone.seqnum - 1);
}

/// Of many files by turns most have no descriptor; one of these is deleted.
#[test]
fn a_file_deleted_while_it_has_no_descriptor_is_missed_once() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.journal");
    // So long that no window holds all of it.
    let entry = |n: u64| ExportEntry::new(1_700_000_000_000_000 + n * 1000).boot(0xb0, n * 1000);
    let entries: Vec<_> = (0..60).map(|n| entry(n).message(format!("{n} {}", "x".repeat(300)))).collect();
    or_skip!(build_journal(&original, &entries, Format::default()));
    let bytes = fs::read(&original).unwrap();
    fs::remove_file(&original).unwrap();
    for number in 0..FILES {
        copy_as(&bytes, &folder.path().join(format!("user-{number}.journal")), number);
    }
    let mut tail = open(&[folder.path().to_owned()], Start::Oldest);
    for _ in 0..FILES * 10 {
        assert!(tail.next_entry().is_some());
    }
    fs::remove_file(folder.path().join("user-3.journal")).unwrap();
    let rest = drain(&mut tail);
    let left = (FILES as usize - 1) * (entries.len() - 10);
    assert!((left..left + entries.len() - 10).contains(&rest.len()), "{} of {left}", rest.len());
    // The entry whose turn it was; the others would be missing in the numbers, if a later file of the counter were there.
    assert!(tail.counts().damaged.total() <= 1, "{:?}", tail.counts());
}
