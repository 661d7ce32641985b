//! Spliced journals: entries and array items of one place written over those of another. No entry comes twice, and those
//! that were not written over come.
//!
//! Splices are drawn from numbers: `JOURNAL_SHIP_DAMAGES` says how many for each journal, `JOURNAL_SHIP_DAMAGES_FROM` which is
//! the first.

use std::collections::{HashMap, HashSet};

use journald_reader::Start;

use crate::support::fixtures::{ExportEntry, Format, build_journal, recorded, recorded_names};
use crate::support::layout::{Layout, number, put};
use crate::support::or_skip;
use crate::support::random::{Random, setting};
use crate::support::sound::{Fields, Read, drain, open};

/// Splices tried on each journal (count).
const SPLICES: u64 = 8;
/// Splices that have shown faults: a block that holds several entries, an array that leads past entries, an entry of another
/// boot, a copy where the lists of its fields are damaged, too.
const FOUND: [u64; 10] = [31, 49, 64, 93, 107, 125, 132, 134, 138, 750];
/// In the header: the numbers of the last and of the first entry.
const TAIL_SEQNUM: usize = 160;
const HEAD_SEQNUM: usize = 168;
/// In an ENTRY: its number, and what stands behind that.
const SEQNUM: usize = 16;
const REALTIME: usize = 24;
/// Where an ENTRY's items begin.
const ITEMS: usize = 64;
/// Where an ENTRY_ARRAY's items begin.
const ARRAY_ITEMS: usize = 24;

/// What an entry is, whatever its number.
type Content = (u64, u64, Fields);

fn content((cursor, fields): &Read) -> Content {
    (cursor.realtime, cursor.monotonic, fields.clone())
}

/// As in the file of a user, whose numbers are counted together with the system's.
fn leave_gaps(bytes: &mut [u8], layout: &Layout) {
    let places = layout.entries.iter().map(|entry| entry + SEQNUM).chain([TAIL_SEQNUM, HEAD_SEQNUM]);
    for place in places {
        let seqnum = number(bytes, place);
        put(bytes, place, seqnum * 3);
    }
}

/// The places of all items of all arrays, in order.
fn items(bytes: &[u8], layout: &Layout) -> (Vec<usize>, usize) {
    let size = if layout.compact { 4 } else { 8 };
    let of = |array: &usize| {
        let end = array + number(bytes, array + 8) as usize;
        (array + ARRAY_ITEMS..end).step_by(size)
    };
    (layout.arrays.iter().flat_map(of).take(layout.entries.len()).collect(), size)
}

/// Copies something in a file to another place; what it was, and the entries that were written over.
fn splice(bytes: &mut [u8], layout: &Layout, random: &mut Random) -> (String, HashSet<usize>) {
    let (from, to) = (random.below(layout.entries.len()), random.below(layout.entries.len()));
    let (source, target) = (layout.entries[from], layout.entries[to]);
    let size = number(bytes, source + 8) as usize;
    let content = |entry: usize| bytes.get(entry + REALTIME..entry + size);
    let twins = layout.entries.iter().filter(|entry| content(**entry) == content(source)).count();
    let mut copy = |from: usize, to: usize, len: usize| {
        let end = (from + len).min(bytes.len());
        let piece = bytes[from..end].to_vec();
        let end = (to + piece.len()).min(bytes.len());
        bytes[to..end].copy_from_slice(&piece[..end - to]);
        (to, end)
    };
    let (what, written) = match random.below(6) {
        0 | 1 => (format!("entry {from} over {to}"), copy(source, target, size)),
        2 => {
            let len = size + random.below(1024);
            (format!("entry {from} and what is behind it, {len} bytes, over {to}"), copy(source, target, len))
        }
        // Of two equal entries of one instant nobody can tell which was first.
        3 if to > from + 1 && twins == 1 => {
            let what = format!("entry {from} over {to}, but for the number");
            (what, copy(source + REALTIME, target + REALTIME, size - REALTIME))
        }
        3 | 4 => (format!("the head of entry {from} over that of {to}"), copy(source, target, ITEMS)),
        _ => {
            let (items, size) = items(bytes, layout);
            let count = (1 + random.below(8)).min(items.len().saturating_sub(from.max(to)));
            for n in 0..count {
                let piece = bytes[items[from + n]..][..size].to_vec();
                bytes[items[to + n]..][..size].copy_from_slice(&piece);
            }
            (format!("{count} array items from {from} over {to}"), (0, 0))
        }
    };
    let over = |entry: &usize| {
        let touched = |object: usize| {
            let end = object.saturating_add(number(bytes, object + 8) as usize);
            object < written.1 && written.0 < end
        };
        touched(*entry) || layout.data_of(bytes, *entry).into_iter().any(touched)
    };
    // An entry that was copied over itself is whole.
    let lost = layout.entries.iter().filter(|_| from != to).copied().filter(|entry| over(entry)).collect();
    (what, lost)
}

fn hunt(name: &str, pristine: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::of(pristine);
    let first = setting("JOURNAL_SHIP_DAMAGES_FROM", 0);
    let mut faults = Vec::new();
    for gaps in [false, true] {
        let mut sound = pristine.to_vec();
        if gaps {
            leave_gaps(&mut sound, &layout);
        }
        for end in ["journal", "journal~"] {
            let path = folder.path().join(format!("a@1.{end}"));
            std::fs::write(&path, &sound).unwrap();
            let whole = drain(&mut open(&path, Start::Oldest));
            assert_eq!(whole.len(), layout.entries.len(), "{name}");
            let mut written: HashMap<Content, usize> = HashMap::new();
            let mut fields_of = HashMap::new();
            for read in &whole {
                *written.entry(content(read)).or_default() += 1;
                fields_of.insert(read.0, &read.1);
            }
            let drawn = first..first + setting("JOURNAL_SHIP_DAMAGES", SPLICES);
            for seed in drawn.chain(FOUND) {
                let mut bytes = sound.clone();
                let (what, lost) = splice(&mut bytes, &layout, &mut Random(seed));
                let what = format!("{name}, {seed}, gaps: {gaps}, {end}: {what}");
                std::fs::write(&path, &bytes).unwrap();
                let got = drain(&mut open(&path, Start::Oldest));
                let mut came: HashMap<Content, usize> = HashMap::new();
                let mut cursors = HashSet::new();
                for read in &got {
                    // An entry that has lost a field may be equal to its neighbour.
                    if fields_of.get(&read.0).is_none_or(|fields| **fields == read.1) {
                        *came.entry(content(read)).or_default() += 1;
                    }
                    if !cursors.insert(read.0) {
                        faults.push(format!("{what}: {} twice", read.0));
                    }
                }
                for (content, times) in &came {
                    if *times > written.get(content).copied().unwrap_or(1) {
                        faults.push(format!("{what}: an entry of {} {times} times", content.0));
                    }
                }
                for (entry, read) in layout.entries.iter().zip(&whole) {
                    if !lost.contains(entry) && !came.contains_key(&content(read)) {
                        faults.push(format!("{what}: entry {} did not come", read.0));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(12)]);
}

#[test]
fn no_entry_of_a_recorded_journal_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for name in recorded_names() {
            let bytes = std::fs::read(recorded(&name, folder.path()).path).unwrap();
            scope.spawn(move || hunt(&name, &bytes));
        }
    });
}

/// Entries that share all their fields with others: nothing but their numbers and times tells them apart.
#[test]
fn no_entry_of_equal_lines_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |n: u64| {
        ExportEntry::new(1_700_000_000_000_000 + n * 1000)
            .message(format!("line {}", n % 5))
            .field("UNIT", format!("{}.service", n % 2))
    };
    for format in Format::ALL {
        let path = folder.path().join("x.journal");
        or_skip!(build_journal(&path, &(0..120).map(entry).collect::<Vec<_>>(), format));
        hunt(&format!("{format:?}"), &std::fs::read(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
    }
}
