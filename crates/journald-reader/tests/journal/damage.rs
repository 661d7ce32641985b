//! Damaged journals: whatever happens to the bytes of a file, reading ends, does not panic, and hands on
//! next to nothing that journald did not write; nothing at all where the file is known to be unclean.
//!
//! Files are also damaged, mended and damaged again in place while they are read: reading must end all the same.
//!
//! Damage is drawn from numbers, so each can be had again: `JOURNAL_SHIP_DAMAGES` says how many, and
//! `JOURNAL_SHIP_DAMAGES_FROM` which is the first. The recorded journals are what it is done to.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use journald_reader::{Keys, Scope, Start, Tail, Waker};

use crate::support::layout::{Layout, number};
use crate::support::random::{Random, damage, setting};

/// Damages that a long run found a fault with: a field given twice, behind a lost header; a damaged field beside an item that
/// names another field, in a compact file; wrong numbers of two entries that follow each other.
const FOUND: [u64; 8] = [1_003_091, 5_462, 11_028, 12_787, 15_532, 4_576, 9_370, 11_156];
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
        assert!(begun.elapsed() < HANG, "reading {} does not end: {count} entries", path.display());
    }
    (entries, count)
}

/// Bytes of the header that say what a file is.
const HEADER: usize = 208;
/// Most damages done to one copy (count): what follows the first is read with other eyes.
const TOGETHER_MAX: u64 = 3;

/// Files that are changed while they are read, of each recorded one (count); `JOURNAL_SHIP_CHANGED` asks for more.
const CHANGED: u64 = 30;
/// A file that is changed is read more than once.
const HANG_CHANGED: Duration = Duration::from_secs(120);
/// Changes to a file before it is left alone (count).
const CHANGES: u64 = 24;

fn for_each_recorded(ask: fn(&Path)) {
    let recorded = crate::support::root().join("tests/data/journals");
    let mut files: Vec<PathBuf> = std::fs::read_dir(recorded).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| {
        path.to_str().unwrap().ends_with(".gz") && !path.to_str().unwrap().contains(".export")
    });
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    std::thread::scope(|scope| {
        for path in &files {
            scope.spawn(move || ask(path));
        }
    });
}

#[test]
fn damage_is_survived_and_passed_by() {
    for_each_recorded(hunt);
}

#[test]
fn a_file_that_changes_while_it_is_read_has_an_end() {
    for_each_recorded(change_while_read);
}

/// The key of the payloads' hashes is in the header. Without it only an entry's own hash proves its fields, and that needs all of
/// them: where one cannot be read, another one may be altered.
#[test]
fn without_a_header_no_field_comes_that_nothing_proves() {
    let recorded = crate::support::root().join("tests/data/journals/boots.journal.gz");
    let pristine = unpacked(&recorded);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boots.journal");
    std::fs::write(&path, &pristine).unwrap();
    let (whole, _) = read(&path);
    let layout = Layout::of(&pristine);
    let mut tried = 0;
    for entry in layout.entries.iter().copied() {
        let own = layout.own_data(&pristine, entry);
        let data = layout.data_of(&pristine, entry);
        let Some(lost) = own.first().copied() else { continue };
        let Some(altered) = data.into_iter().find(|data| *data != lost) else { continue };
        let mut bytes = pristine.clone();
        bytes[..HEADER].fill(0);
        bytes[lost] = 0;
        bytes[altered + number(&pristine, altered + 8) as usize - 1] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (entries, _) = read(&path);
        let is_part = |fields: &Fields| whole.values().any(|all| fields.iter().all(|f| all.contains(f)));
        assert!(entries.values().all(is_part), "the entry at {entry}: a field that was never written");
        tried += 1;
    }
    assert!(tried > 10, "{tried} entries have a field of their own");
}

fn unpacked(recorded: &Path) -> Vec<u8> {
    let mut pristine = Vec::new();
    let file = std::fs::File::open(recorded).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut pristine).unwrap();
    pristine
}

/// A file that is changed in place, as by a disk that fails or another writer.
struct Changing {
    file: std::fs::File,
    pristine: Vec<u8>,
    now: Vec<u8>,
}

impl Changing {
    /// Damages the file anew; every fourth change makes it whole again.
    fn change(&mut self, seed: u64) {
        const PIECE: usize = 512;
        let mut next = self.pristine.clone();
        for n in 0..seed % 4 {
            if !next.is_empty() {
                damage(&mut next, seed + (n << 32));
            }
        }
        self.file.set_len(next.len() as u64).unwrap();
        for (n, piece) in next.chunks(PIECE).enumerate() {
            let end = (n * PIECE + piece.len()).min(self.now.len());
            if self.now.get(n * PIECE..end) != Some(piece) {
                self.file.write_all_at(piece, (n * PIECE) as u64).unwrap();
            }
        }
        self.now = next;
    }
}

fn change_while_read(recorded: &Path) {
    let mut pristine = unpacked(recorded);
    // What journald has reserved behind the last object says nothing, and takes long to copy.
    let used = pristine.iter().rposition(|b| *b != 0).unwrap_or(0);
    pristine.truncate(used + 4096);
    let name = recorded.file_stem().unwrap().to_str().unwrap();
    let first = setting("JOURNAL_SHIP_DAMAGES_FROM", 0);
    let files = setting("JOURNAL_SHIP_CHANGED", CHANGED);
    let (mut entries, mut fields, mut lost) = (0, 0, 0);
    for seed in first..first + files {
        let folder = tempfile::tempdir().unwrap();
        // Finished, unclean, and one that may grow.
        let path = folder.path().join(["a@1.journal", "a@1.journal~", "a.journal"][(seed % 3) as usize]);
        std::fs::write(&path, &pristine).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let mut changing = Changing { file, pristine: pristine.clone(), now: pristine.clone() };
        // Half of them between two entries, so that each can be had again; the others at any moment.
        let between = seed.is_multiple_of(2);
        let (send, ended) = mpsc::channel();
        let done = Arc::new(AtomicBool::new(false));
        let reading = done.clone();
        let reader = std::thread::spawn(move || {
            let mut random = Random(seed);
            let mut keys = Keys::default();
            keys.add_all();
            let opened = Tail::open(&Scope::of([path]), keys, Start::Oldest, Waker::new().unwrap());
            // It may be cut off just then.
            let Ok(mut tail) = opened else {
                reading.store(true, Ordering::Relaxed);
                send.send((0, 0, 0)).unwrap();
                return;
            };
            let (mut count, mut changes) = (0u64, 0);
            loop {
                let some = tail.next_entry().map(|entry| entry.fields().count()).is_some();
                count += u64::from(some);
                if between && changes < CHANGES && (!some || random.below(8) == 0) {
                    changing.change((seed << 8) + changes);
                    changes += 1;
                }
                if !some {
                    tail.poll().unwrap();
                    if changes >= CHANGES || !between {
                        break;
                    }
                }
            }
            let counts = tail.counts();
            reading.store(true, Ordering::Relaxed);
            send.send((count, counts.fields_damaged, counts.damaged.total())).unwrap();
        });
        if !between {
            let file = std::fs::File::options()
                .write(true)
                .open(folder.path().join(["a@1.journal", "a@1.journal~", "a.journal"][(seed % 3) as usize]));
            let mut changing =
                Changing { file: file.unwrap(), pristine: pristine.clone(), now: pristine.clone() };
            for n in 0..CHANGES {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                changing.change((seed << 8) + n);
            }
        }
        let (count, left_out, damaged) = ended
            .recv_timeout(HANG_CHANGED)
            .unwrap_or_else(|_| panic!("{name}: {seed}: reading does not end"));
        reader.join().unwrap();
        (entries, fields, lost) = (entries + count, fields + left_out, lost + damaged);
    }
    println!(
        "{name}: {files} files changed while they were read: {entries} entries, {lost} lost, {fields} fields left out"
    );
}

fn hunt(recorded: &Path) {
    let pristine = unpacked(recorded);
    let folder = tempfile::tempdir().unwrap();
    let name = recorded.file_stem().unwrap().to_str().unwrap();
    let path = folder.path().join(name);
    // As journald names what it finds unclean: every entry is checked.
    let unclean = folder.path().join("unclean@1.journal~");
    std::fs::write(&path, &pristine).unwrap();
    let (whole, total) = read(&path);
    let written: HashSet<&Fields> = whole.values().collect();
    let (mut kept, mut foreign, mut checked, mut most) = (0, 0, 0, (0, String::new()));
    let mut slowest = (Duration::ZERO, 0);
    let (layout, mut untouched, mut faults) = (Layout::of(&pristine), 0, Vec::new());
    let first = setting("JOURNAL_SHIP_DAMAGES_FROM", 0);
    let damages = setting("JOURNAL_SHIP_DAMAGES", DAMAGES);
    for seed in (first..first + damages).chain(FOUND) {
        let mut bytes = pristine.clone();
        let what: Vec<String> = (0..=seed % TOGETHER_MAX)
            .map(|n| if bytes.is_empty() { String::new() } else { damage(&mut bytes, seed + (n << 32)) })
            .collect();
        let what = format!("{seed}: {}", what.join(", "));
        std::fs::write(&path, &bytes).unwrap();
        let begun = Instant::now();
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
        // A damaged field is left out; nothing else may differ.
        let cut = |fields: &Fields| whole.values().any(|all| fields.iter().all(|field| all.contains(field)));
        let honest = |fields: &Fields| written.contains(fields) || (!fields.is_empty() && cut(fields));
        slowest = slowest.max((begun.elapsed(), seed));
        // One failure must not keep the rest of the file from being tried.
        let forged = entries.iter().filter(|(_, fields)| !honest(fields));
        faults
            .extend(forged.map(|(cursor, _)| format!("{what}: {cursor} has a field that was never written")));
        checked += count;
        // The header says what kind of file it is; without it nothing can be expected.
        if bytes.get(..HEADER) != Some(&pristine[..HEADER]) {
            continue;
        }
        for entry in layout.entries.iter().filter(|entry| layout.has_whole(&pristine, &bytes, **entry)) {
            untouched += 1;
            let number = format!(";i={:x};", number(&pristine, entry + 16));
            for (entries, kind) in [(&entries, "unclean"), (&clean, "clean")] {
                if !entries.keys().any(|cursor| cursor.contains(&number)) {
                    faults.push(format!(
                        "{what}: the entry {number} at {entry} is whole and was not read, {kind}"
                    ));
                }
            }
        }
    }
    let percent = |n: usize| n as f64 * 100.0 / (total as u64 * (damages + FOUND.len() as u64)) as f64;
    println!(
        "{name}: {damages} damages to {total} entries: {:.1} % of entries kept, {:.2} % altered; {:.1} % kept and none \
         altered in an unclean file; all {untouched} read that were not touched; most lost: {} ({})",
        percent(kept),
        percent(foreign),
        percent(checked),
        most.0,
        most.1
    );
    println!("{name}: damage {} took longest to read, {:.2} s", slowest.1, slowest.0.as_secs_f64());
    assert!(faults.is_empty(), "{name}: {} faults in {damages} files: {faults:#?}", faults.len());
}
