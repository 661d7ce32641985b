//! Damaged journals, read from an instant on, beside journalctl. What was written is known, so it is known of each entry who is
//! right. If journalctl shows an entry as it was written, this reader does, too. An undamaged entry is always shown.
//!
//! The damage is drawn from numbers: `JOURNAL_SHIP_INSTANTS` says how many files are damaged, `JOURNAL_SHIP_DAMAGES_FROM` which is
//! the first. With `--nocapture` a table tells, by what was damaged, what each of the two shows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use journald_reader::{Keys, Scope, Start, Tail, Waker};

use crate::support::fixtures::{ExportedEntry, parse_export, recorded, recorded_names};
use crate::support::layout::{Layout, number};
use crate::support::merge::is_252;
use crate::support::or_skip;
use crate::support::random::{Random, damage, setting};
use crate::support::reading::drain;

/// Files damaged (count); `JOURNAL_SHIP_INSTANTS` asks for more.
const FILES: u64 = 24;
/// A damage that cost an entry which journalctl shows as it was written: the item of its `_BOOT_ID` leads nowhere.
const FOUND: u64 = 445;
/// Instants asked for in each (count): the beginning and three others.
const INSTANTS: usize = 4;

/// Bytes of the header.
const HEADER: usize = 272;
/// In the header: where the hash tables stand, and how long they are.
const HASH_TABLES: [usize; 2] = [104, 120];

/// What is damaged of an entry, or of what leads to it. Where several things are, the first of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Damaged {
    /// The file ends before the entry does.
    Cut,
    /// The ENTRY.
    Entry,
    /// Type, size, hash or payload of a DATA object that it has.
    Data,
    Header,
    /// The array that names it, or one before that.
    Array,
    /// Links and counts of a DATA object that it has.
    Links,
    HashTable,
    /// Objects of other entries.
    Others,
}

/// How an entry is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    NotAtAll,
    /// With a field that it never had.
    Altered,
    /// As it was written, but some of its fields are missing.
    InPart,
    AsWritten,
}

/// Of the entries with one kind of damage: how often each was shown so by this reader, and so by journalctl.
type Row = BTreeMap<(Shown, Shown), u64>;

/// What the two readers showed.
#[derive(Debug, Default)]
struct Tally {
    instants: u64,
    rows: BTreeMap<Damaged, Row>,
    /// Entries with a cursor that was never written: shown by this reader, and by journalctl.
    foreign: (u64, u64),
    /// Entries from before the instant.
    early: (u64, u64),
    /// Instants at which this reader showed more entries as they were written, and at which journalctl did.
    better: (u64, u64),
}

impl Tally {
    fn print(&self) {
        let Tally { instants, foreign, early, better, .. } = self;
        println!(
            "{instants} instants; better: ours {}, journalctl {}; never written: {} and {}; before the instant: {} and {}",
            better.0, better.1, foreign.0, foreign.1, early.0, early.1
        );
        println!(
            "{:<10} {:>8} {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}",
            "damaged",
            "entries",
            "alike",
            "ours",
            "theirs",
            "in part",
            "altered",
            "missing",
            "in part",
            "altered",
            "missing"
        );
        for (damaged, row) in &self.rows {
            let count = |holds: &dyn Fn(Shown, Shown) -> bool| -> u64 {
                row.iter().filter(|((ours, theirs), _)| holds(*ours, *theirs)).map(|(_, count)| count).sum()
            };
            let of = [Shown::InPart, Shown::Altered, Shown::NotAtAll];
            let ours = of.map(|shown| count(&|ours, _| ours == shown));
            let theirs = of.map(|shown| count(&|_, theirs| theirs == shown));
            println!(
                "{:<10} {:>8} {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}",
                format!("{damaged:?}"),
                count(&|_, _| true),
                count(&|ours, theirs| ours == theirs),
                count(&|ours, theirs| ours > theirs),
                count(&|ours, theirs| ours < theirs),
                ours[0],
                ours[1],
                ours[2],
                theirs[0],
                theirs[1],
                theirs[2]
            );
        }
    }
}

/// A sound file, and what was written into it.
struct Sound {
    bytes: Vec<u8>,
    layout: Layout,
    entries: Vec<ExportedEntry>,
}

impl Sound {
    /// What is read of it from this time on.
    fn since(&self, since: u64) -> Vec<ExportedEntry> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sound.journal");
        std::fs::write(&path, &self.bytes).unwrap();
        ours(&path, since)
    }

    /// What the damage has touched, for each entry.
    fn damaged(&self, damaged: &[u8]) -> Vec<Damaged> {
        let (sound, layout) = (&self.bytes, &self.layout);
        let same = |from: usize, to: usize| damaged.get(from..to) == Some(&sound[from..to]);
        let end = |object: usize| object + number(sound, object + 8) as usize;
        let tables_are_same = HASH_TABLES.iter().all(|at| {
            let (table, size) = (number(sound, *at) as usize, number(sound, at + 8) as usize);
            same(table, table + size)
        });
        // How many entries are named before the first damaged array.
        let item_size = if layout.compact { 4 } else { 8 };
        let sound_arrays = layout.arrays.iter().take_while(|array| same(**array, end(**array)));
        let named: usize = sound_arrays.map(|array| (end(*array) - array - 24) / item_size).sum();
        let kind = |(index, entry): (usize, &usize)| {
            let data = layout.data_of(sound, *entry);
            let core = |data: &usize| same(*data, data + 24) && same(data + layout.payload(), end(*data));
            match () {
                () if end(*entry) > damaged.len() => Damaged::Cut,
                () if !same(*entry, end(*entry)) => Damaged::Entry,
                () if !data.iter().all(core) => Damaged::Data,
                () if !same(0, HEADER) => Damaged::Header,
                () if index >= named => Damaged::Array,
                () if !data.iter().all(|data| same(*data, end(*data))) => Damaged::Links,
                () if !tables_are_same => Damaged::HashTable,
                () => Damaged::Others,
            }
        };
        layout.entries.iter().enumerate().map(kind).collect()
    }
}

/// What is read from this time on; nothing where the file cannot be opened.
fn ours(path: &Path, since: u64) -> Vec<ExportedEntry> {
    let mut keys = Keys::default();
    keys.add_all();
    let start = if since == 0 { Start::Oldest } else { Start::Realtime(since) };
    let tail = Tail::open(&Scope::of([path.to_owned()]), keys, start, Waker::new().unwrap());
    tail.map_or(Vec::new(), |mut tail| drain(&mut tail).into_iter().map(|(entry, _)| entry).collect())
}

fn theirs(path: &Path, since: u64) -> Vec<ExportedEntry> {
    let when = format!("--since=@{}.{:06}", since / 1_000_000, since % 1_000_000);
    let mut args = vec!["--all", "--output=export", "--no-pager", "--quiet"];
    if since > 0 {
        args.push(&when);
    }
    let output = Command::new("journalctl").arg("--file").arg(path).args(&args).output().unwrap();
    // It may stop in the midst of an entry.
    let end = output.stdout.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
    parse_export(&output.stdout[..end])
}

fn by_name(all: &[ExportedEntry]) -> HashMap<&str, &ExportedEntry> {
    all.iter().map(|entry| (name(entry), entry)).collect()
}

/// The name of an entry in its file: its cursor without the id of the counter, which stands in the header alone.
fn name(entry: &ExportedEntry) -> &str {
    entry.cursor.split_once(';').map_or("", |(_, name)| name)
}

/// How an entry is shown among these.
fn shown(entry: &ExportedEntry, among: &HashMap<&str, &ExportedEntry>) -> Shown {
    match among.get(name(entry)) {
        None => Shown::NotAtAll,
        Some(shown) if shown.fields == entry.fields => Shown::AsWritten,
        Some(shown) if shown.fields.iter().all(|field| entry.fields.contains(field)) => Shown::InPart,
        Some(_) => Shown::Altered,
    }
}

/// Reads a damaged file from an instant on with both readers, and adds what they show; what is wrong with it.
fn compare(sound: &Sound, damaged: &[Damaged], path: &Path, since: u64, tally: &mut Tally) -> Vec<String> {
    let asked = sound.since(since);
    let (got, want) = (ours(path, since), theirs(path, since));
    let (got, want) = (by_name(&got), by_name(&want));
    let (asked, written) = (by_name(&asked), by_name(&sound.entries));
    let (mut faults, mut right) = (Vec::new(), (0, 0));
    for (entry, damaged) in
        sound.entries.iter().zip(damaged).filter(|(entry, _)| asked.contains_key(name(entry)))
    {
        let (ours, theirs) = (shown(entry, &got), shown(entry, &want));
        *tally.rows.entry(*damaged).or_default().entry((ours, theirs)).or_default() += 1;
        right =
            (right.0 + u64::from(ours == Shown::AsWritten), right.1 + u64::from(theirs == Shown::AsWritten));
        let is_wrong = match damaged {
            // Without its header, a file may be none of journald's.
            Damaged::Header => ours < theirs,
            Damaged::Cut | Damaged::Entry | Damaged::Data => theirs == Shown::AsWritten && ours < theirs,
            _ => ours < Shown::AsWritten,
        };
        // The id of the counter, too, is what journalctl shows.
        let has_cursor = |all: &HashMap<&str, &ExportedEntry>| {
            all.get(name(entry)).is_some_and(|shown| shown.cursor == entry.cursor)
        };
        if is_wrong || (theirs == Shown::AsWritten && has_cursor(&want) && !has_cursor(&got)) {
            faults.push(format!(
                "since {since}: {}, {damaged:?}: {ours:?}, journalctl {theirs:?}",
                entry.cursor
            ));
        }
    }
    let foreign = |all: &HashMap<&str, &ExportedEntry>| -> u64 {
        all.keys().filter(|cursor| !written.contains_key(*cursor)).count() as u64
    };
    let early = |all: &HashMap<&str, &ExportedEntry>| -> u64 {
        all.keys().filter(|c| written.contains_key(*c) && !asked.contains_key(*c)).count() as u64
    };
    tally.instants += 1;
    tally.better.0 += u64::from(right.0 > right.1);
    tally.better.1 += u64::from(right.0 < right.1);
    tally.foreign = (tally.foreign.0 + foreign(&got), tally.foreign.1 + foreign(&want));
    tally.early = (tally.early.0 + early(&got), tally.early.1 + early(&want));
    // Where the clock was set back within a file, what comes from an instant on depends on how the instant is looked for.
    if early(&got) > 0 && sound.entries.is_sorted_by_key(|entry| entry.realtime) {
        faults.push(format!("since {since}: {} entries from before", early(&got)));
    }
    faults
}

#[test]
fn what_is_not_damaged_and_what_journalctl_shows_of_a_damaged_journal_is_shown() {
    or_skip!(is_252());
    let folder = tempfile::tempdir().unwrap();
    let (mut tally, mut faults) = (Tally::default(), Vec::new());
    let first = setting("JOURNAL_SHIP_DAMAGES_FROM", 0);
    let names = recorded_names();
    for seed in (first..first + setting("JOURNAL_SHIP_INSTANTS", FILES)).chain([FOUND]) {
        let name = &names[(seed % names.len() as u64) as usize];
        let path = recorded(name, folder.path()).path;
        let bytes = std::fs::read(&path).unwrap();
        let sound = Sound { layout: Layout::of(&bytes), entries: ours(&path, 0), bytes };
        let mut bytes = sound.bytes.clone();
        let what = format!("{name}, {seed}: {}", damage(&mut bytes, seed));
        std::fs::write(&path, &bytes).unwrap();
        let (damaged, mut random) = (sound.damaged(&bytes), Random(!seed));
        for instant in 0..INSTANTS {
            let since =
                if instant == 0 { 0 } else { sound.entries[random.below(sound.entries.len())].realtime };
            let found = compare(&sound, &damaged, &path, since, &mut tally);
            faults.extend(found.into_iter().map(|fault| format!("{what}: {fault}")));
        }
    }
    tally.print();
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), faults);
}

/// An array that claims more entries than it has names the others under wrong numbers, and the last ones not at all.
#[test]
fn the_last_entry_is_found_where_an_array_claims_too_many() {
    let folder = tempfile::tempdir().unwrap();
    for name in recorded_names() {
        let path = recorded(&name, folder.path()).path;
        let mut bytes = std::fs::read(&path).unwrap();
        let layout = Layout::of(&bytes);
        let all = ours(&path, 0);
        let (Some(last), [_, array, _, ..]) = (all.last(), layout.arrays.as_slice()) else { continue };
        if !all.is_sorted_by_key(|entry| entry.realtime) {
            continue;
        }
        let size = array + 8;
        let claimed = number(&bytes, size) + 2 * if layout.compact { 4 } else { 8 };
        bytes[size..size + 8].copy_from_slice(&claimed.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let found = ours(&path, last.realtime);
        assert_eq!(found.last().map(|entry| &entry.cursor), Some(&last.cursor), "{name}");
    }
}
