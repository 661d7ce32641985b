//! Damaged journals: whatever happens to the bytes of a file, reading ends, does not panic, and hands on
//! next to nothing that journald did not write; nothing at all where the file is known to be unclean.
//!
//! Damage is drawn from numbers, so each can be had again: `JOURNAL_SHIP_DAMAGES` says how many, and
//! `JOURNAL_SHIP_DAMAGES_FROM` which is the first. The recorded journals are what it is done to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a test stops at the first surprise, and shows figures

mod support;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journal_ship::journal::{Keys, Scope, Start, Tail, Waker};

use support::layout::{Layout, number};

/// Damages tried on each file (count); `JOURNAL_SHIP_DAMAGES` asks for more.
const DAMAGES: u64 = 100;
/// Reading one of these small files takes milliseconds; this is a hang.
const HANG: Duration = Duration::from_secs(20);

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// All that can be read of a file, by cursor, and how many entries came.
fn read(path: &Path) -> (HashMap<String, Fields>, usize) {
    let mut keys = Keys::default();
    keys.add_all();
    let Ok(mut tail) = Tail::open(&Scope::of([path.to_owned()]), keys, Start::Oldest, Waker::new().unwrap())
    else {
        return (HashMap::new(), 0);
    };
    let (mut entries, mut count, begun) = (HashMap::new(), 0, Instant::now());
    while let Some(entry) = tail.next_entry() {
        let mut fields: Fields = entry.fields().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        fields.sort();
        entries.insert(entry.cursor().to_string(), fields);
        count += 1;
        assert!(begun.elapsed() < HANG, "reading {} does not end", path.display());
    }
    (entries, count)
}

/// A small generator of numbers (splitmix64): the damage of a number is always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Damages a file in one of several ways and says how.
fn damage(bytes: &mut Vec<u8>, seed: u64) -> String {
    const PAGE: usize = 4096;
    let mut random = Random(seed);
    let used = bytes.iter().rposition(|b| *b != 0).unwrap_or(0) + 1;
    match random.below(7) {
        0 => {
            let at = random.below(used);
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        1 => {
            let len = random.below(used);
            bytes.truncate(len);
            format!("cut to {len} bytes")
        }
        2 => {
            let start = random.below(used) / PAGE * PAGE;
            let end = (start + PAGE).min(bytes.len());
            bytes[start..end].fill(0);
            format!("page at {start} zeroed")
        }
        3 => {
            let (from, to, len) = (random.below(used), random.below(used), 1 + random.below(512));
            let piece: Vec<u8> = bytes[from..(from + len).min(bytes.len())].to_vec();
            let end = (to + piece.len()).min(bytes.len());
            bytes[to..end].copy_from_slice(&piece[..end - to]);
            format!("{len} bytes of {from} over {to}")
        }
        4 => {
            // A number of an object or of the header, where offsets, sizes and counts stand.
            let at = random.below(used) / 8 * 8;
            let value = [0, 1, 7, 8, 16, u64::MAX, u64::MAX - 7, 1 << 32, at as u64][random.below(9)];
            if let Some(place) = bytes.get_mut(at..at + 8) {
                place.copy_from_slice(&value.to_le_bytes());
            }
            format!("number at {at} is {value}")
        }
        5 => {
            let at = random.below(272.min(used));
            bytes[at] = random.below(256) as u8;
            format!("header byte {at} is {}", bytes[at])
        }
        _ => {
            let count = 1 + random.below(32);
            for _ in 0..count {
                let at = random.below(used);
                bytes[at] = random.below(256) as u8;
            }
            format!("{count} bytes anywhere")
        }
    }
}

/// Bytes of the header that say what a file is.
const HEADER: usize = 208;
/// Most damages done to one copy (count): what follows the first is read with other eyes.
const TOGETHER_MAX: u64 = 3;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

#[test]
fn damage_is_survived_and_passed_by() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journals");
    let mut files: Vec<PathBuf> = std::fs::read_dir(recorded).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| {
        path.to_str().unwrap().ends_with(".gz") && !path.to_str().unwrap().contains(".export")
    });
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    std::thread::scope(|scope| {
        for path in &files {
            scope.spawn(move || hunt(path));
        }
    });
}

fn hunt(recorded: &Path) {
    let mut pristine = Vec::new();
    let file = std::fs::File::open(recorded).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut pristine).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = recorded.file_stem().unwrap().to_str().unwrap();
    let path = folder.path().join(name);
    // As journald names what it finds unclean: every entry is checked.
    let unclean = folder.path().join("unclean@1.journal~");
    std::fs::write(&path, &pristine).unwrap();
    let (whole, total) = read(&path);
    let written: HashSet<&Fields> = whole.values().collect();
    let (mut kept, mut foreign, mut checked, mut most) = (0, 0, 0, (0, String::new()));
    let (layout, mut untouched) = (Layout::of(&pristine), 0);
    let first = setting("JOURNAL_SHIP_DAMAGES_FROM", 0);
    let damages = setting("JOURNAL_SHIP_DAMAGES", DAMAGES);
    for seed in first..first + damages {
        let mut bytes = pristine.clone();
        let what: Vec<String> = (0..=seed % TOGETHER_MAX)
            .map(|n| if bytes.is_empty() { String::new() } else { damage(&mut bytes, seed + (n << 32)) })
            .collect();
        let what = format!("{seed}: {}", what.join(", "));
        std::fs::write(&path, &bytes).unwrap();
        let (clean, count) = read(&path);
        assert!(count <= total, "{name}: {what}: {count} of {total} entries");
        // A byte flipped inside a payload makes another payload; that is seen by its hash only.
        let other = clean.iter().filter(|(cursor, fields)| whole.get(*cursor) != Some(fields)).count();
        kept += clean.len() - other;
        foreign += other;
        if total - count > most.0 {
            most = (total - count, what.clone());
        }
        std::fs::write(&unclean, &bytes).unwrap();
        let (entries, count) = read(&unclean);
        assert!(
            count <= total && entries.len() == count,
            "{name}: {what}: {count} of {total} entries, unclean"
        );
        assert!(entries.values().all(|fields| written.contains(fields)), "{name}: {what}: a forged entry");
        checked += count;
        // The header says what kind of file it is; without it nothing can be expected.
        if bytes.get(..HEADER) != Some(&pristine[..HEADER]) {
            continue;
        }
        for entry in layout.entries.iter().filter(|entry| layout.has_whole(&pristine, &bytes, **entry)) {
            untouched += 1;
            let number = format!(";i={:x};", number(&pristine, entry + 16));
            for (entries, kind) in [(&entries, "unclean"), (&clean, "clean")] {
                let found = entries.keys().any(|cursor| cursor.contains(&number));
                assert!(
                    found,
                    "{name}: {what}: the entry {number} at {entry} is whole and was not read, {kind}"
                );
            }
        }
    }
    let percent = |n: usize| n as f64 * 100.0 / (total as u64 * damages) as f64;
    println!(
        "{name}: {damages} damages to {total} entries: {:.1} % of entries kept, {:.2} % altered; {:.1} % kept and none \
         altered in an unclean file; all {untouched} read that were not touched; most lost: {} ({})",
        percent(kept),
        percent(foreign),
        percent(checked),
        most.0,
        most.1
    );
}
