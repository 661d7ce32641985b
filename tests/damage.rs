//! Damaged journals: whatever happens to the bytes of a file, reading ends, does not panic, and hands on
//! next to nothing that journald did not write.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a test stops at the first surprise, and shows figures

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journal_ship::journal::{Keys, Start, Tail, Waker};

/// Damages tried on each file (count); `JOURNAL_SHIP_DAMAGES` asks for more.
const DAMAGES: u64 = 150;
/// Reading one of these small files takes milliseconds; this is a hang.
const HANG: Duration = Duration::from_secs(20);

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// All that can be read of a file, by cursor, and how many entries came.
fn read(path: &Path) -> (HashMap<String, Fields>, usize) {
    let mut keys = Keys::default();
    keys.add_all();
    let Ok(mut tail) = Tail::open(&[path.to_owned()], keys, Start::Oldest, Waker::new().unwrap()) else {
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

#[test]
fn damage_is_survived_and_passed_by() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journals");
    let damages = std::env::var("JOURNAL_SHIP_DAMAGES").map_or(DAMAGES, |n| n.parse().unwrap());
    let mut files: Vec<PathBuf> = std::fs::read_dir(recorded).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| {
        path.to_str().unwrap().ends_with(".gz") && !path.to_str().unwrap().contains(".export")
    });
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    std::thread::scope(|scope| {
        for path in &files {
            scope.spawn(move || hunt(path, damages));
        }
    });
}

fn hunt(recorded: &Path, damages: u64) {
    let mut pristine = Vec::new();
    let file = std::fs::File::open(recorded).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut pristine).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(recorded.file_stem().unwrap());
    std::fs::write(&path, &pristine).unwrap();
    let (whole, total) = read(&path);
    let (mut kept, mut foreign, mut most) = (0, 0, (0, String::new()));
    for seed in 0..damages {
        let mut bytes = pristine.clone();
        let what = damage(&mut bytes, seed);
        std::fs::write(&path, &bytes).unwrap();
        let (entries, count) = read(&path);
        assert!(count <= total + 1, "{}: {what}: {count} of {total} entries", path.display());
        // A byte flipped inside a payload makes another payload; that is seen by its hash only.
        let other = entries.iter().filter(|(cursor, fields)| whole.get(*cursor) != Some(fields)).count();
        kept += entries.len() - other;
        foreign += other;
        if total - count.min(total) > most.0 {
            most = (total - count.min(total), what);
        }
    }
    println!(
        "{}: {damages} damages to {total} entries: {:.1} % of entries kept, {:.2} % altered, most lost: {} ({})",
        path.file_name().unwrap().display(),
        kept as f64 * 100.0 / (total as u64 * damages) as f64,
        foreign as f64 * 100.0 / (total as u64 * damages) as f64,
        most.0,
        most.1
    );
}
