//! A sound journal to be damaged, and what must come out of it then.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journald_reader::{Cursor, Keys, Losses, Reason, Scope, Start, Tail, Waker};

use super::Unavailable;
use super::fixtures::{ExportEntry, Format, build_journal};
use super::layout::{Layout, number, put};

/// Entries of the journals that are damaged (count): enough for several arrays.
pub const ENTRIES: u64 = 200;
/// Reading one of these files takes milliseconds; this is a hang.
pub const HANG: Duration = Duration::from_secs(60);

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;
pub type Read = (Cursor, Fields);

pub fn open(path: &Path, start: Start) -> Tail {
    let mut keys = Keys::default();
    keys.add_all();
    Tail::open(&Scope::of(&[path.to_owned()]), keys, start, Waker::new().unwrap()).unwrap()
}

pub fn next(tail: &mut Tail) -> Option<Read> {
    let entry = tail.next_entry()?;
    let mut fields: Fields = entry.fields().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    fields.sort();
    Some((*entry.cursor(), fields))
}

pub fn drain(tail: &mut Tail) -> Vec<Read> {
    let begun = Instant::now();
    std::iter::from_fn(|| {
        assert!(begun.elapsed() < HANG, "reading does not end");
        next(tail)
    })
    .collect()
}

/// All that can be read of a file, and what was lost by damage; nothing of it is counted twice.
pub fn read(path: &Path) -> (Vec<Read>, Losses) {
    let mut tail = open(path, Start::Oldest);
    let entries = drain(&mut tail);
    let counts = tail.counts();
    assert_eq!(counts.missing, 0, "{counts:?}");
    (entries, counts.damaged)
}

pub fn plain(range: impl IntoIterator<Item = u64>) -> Vec<ExportEntry> {
    let entry = |n: u64| {
        ExportEntry::new(1_700_000_000_000_000 + n * 1000)
            .message(format!("message {n}, with a text of its own"))
            .field("UNIT", format!("{}.service", n % 7))
            .field("NUMBER", n.to_string())
    };
    range.into_iter().map(entry).collect()
}

/// A journal of every format, named as archived, and what it holds.
pub struct Sound {
    pub folder: tempfile::TempDir,
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub layout: Layout,
    pub entries: Vec<Read>,
}

impl Sound {
    pub fn build(format: Format) -> Result<Sound, Unavailable> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.journal");
        build_journal(&path, &plain(0..ENTRIES), format)?;
        let archived = folder.path().join("a@1.journal");
        fs::rename(path, &archived).unwrap();
        Ok(Sound::take(folder, archived))
    }

    pub fn all() -> Result<Vec<Sound>, Unavailable> {
        Format::ALL.into_iter().map(Sound::build).collect()
    }

    pub fn take(folder: tempfile::TempDir, path: PathBuf) -> Sound {
        // Left online by its writer, which is dead.
        let mut bytes = fs::read(&path).unwrap();
        bytes[16] = 2;
        fs::write(&path, &bytes).unwrap();
        let (entries, losses) = read(&path);
        assert_eq!(losses.total(), 0);
        let layout = Layout::of(&bytes);
        assert_eq!(entries.len(), layout.entries.len());
        Sound { folder, path, bytes, layout, entries }
    }

    /// Damages the file and reads it: every entry but these must come out, each of which is counted for this reason.
    pub fn damaged(&self, what: &str, lost: &[usize], reason: Reason, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes.clone();
        damage(&mut bytes);
        // A name of its own: what the last case wrote may be mapped or cached nowhere.
        fs::write(&self.path, &bytes).unwrap();
        let (entries, losses) = read(&self.path);
        let expected: Vec<&Read> =
            self.entries.iter().enumerate().filter(|(n, _)| !lost.contains(n)).map(|(_, e)| e).collect();
        let format = self.path.display();
        assert_eq!(entries.len(), expected.len(), "{format}: {what}: {losses:?}");
        assert!(entries.iter().eq(expected), "{format}: {what}");
        assert_eq!(losses.of(reason), lost.len() as u64, "{format}: {what}: {losses:?}");
        assert_eq!(losses.total(), lost.len() as u64, "{format}: {what}: {losses:?}");
    }

    /// Damages the DATA object at `data` and reads the file: every entry must come out, as it was written but for that
    /// field, and each field that is missing is counted.
    pub fn without(&self, what: &str, path: &Path, data: usize, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes.clone();
        damage(&mut bytes);
        fs::write(path, &bytes).unwrap();
        let mut tail = open(path, Start::Oldest);
        let entries = drain(&mut tail);
        let counts = tail.counts();
        let what = format!("{}: {what}: {counts:?}", path.display());
        assert_eq!(counts.damaged.total(), 0, "{what}");
        assert_eq!(entries.len(), self.entries.len(), "{what}");
        let mut missing = 0;
        for (index, (entry, whole)) in entries.iter().zip(&self.entries).enumerate() {
            assert_eq!(entry.0, whole.0, "{what}: entry {index}");
            let has = self.layout.data_of(&self.bytes, self.layout.entries[index]).contains(&data);
            assert_eq!(entry.1.len(), whole.1.len() - usize::from(has), "{what}: entry {index}");
            assert!(entry.1.iter().all(|field| whole.1.contains(field)), "{what}: entry {index}");
            missing += u64::from(has);
        }
        assert_eq!(counts.fields_damaged, missing, "{what}");
    }

    /// The DATA objects that more than one entry has.
    pub fn shared_data(&self) -> Vec<usize> {
        let mut all: Vec<usize> =
            self.layout.entries.iter().flat_map(|entry| self.layout.data_of(&self.bytes, *entry)).collect();
        all.sort_unstable();
        let mut shared: Vec<usize> =
            all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        shared.dedup();
        shared
    }

    /// The states that a file goes through while journald appends entry `n`: nothing of it, its payloads and half
    /// of it, all of it but not in the arrays, and finished.
    pub fn growing(&self, n: usize, state: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let header = |bytes: &mut Vec<u8>, n: usize, tail: usize| {
            put(bytes, 152, n as u64);
            put(bytes, 160, tail as u64);
            let last = self.layout.entries[n - 1];
            put(bytes, 192, number(&self.bytes, last + 24));
            put(bytes, 200, number(&self.bytes, last + 32));
        };
        let entry = self.layout.entries[n];
        let size = number(&bytes, entry + 8) as usize;
        bytes[16] = 1;
        let (written, tail) = match state {
            0 => {
                header(&mut bytes, n, n);
                let last = self.layout.entries[n - 1];
                (last + number(&self.bytes, last + 8) as usize, last)
            }
            1 => {
                header(&mut bytes, n, n + 1);
                (entry + 40, entry)
            }
            2 => {
                header(&mut bytes, n, n + 1);
                (entry + size, entry)
            }
            _ => {
                header(&mut bytes, n + 1, n + 1);
                (entry + size, entry)
            }
        };
        put(&mut bytes, 136, tail as u64);
        // Arrays are where they will be: they are made before there are entries for them.
        for (at, kind, size) in &self.layout.objects {
            if *at >= written && *kind != 6 {
                bytes[*at..at + size].fill(0);
            }
        }
        if state == 1 {
            bytes[entry + 40..entry + size].fill(0);
        }
        bytes
    }
}
