//! Damaged journals, read from an instant on, beside journalctl: what journalctl shows and is what was written, this reader shows, too.
//!
//! The damage is drawn from numbers: `JOURNAL_SHIP_INSTANTS` says how many files are damaged, `JOURNAL_SHIP_DAMAGES_FROM` which is
//! the first. With `--nocapture` it is told what each of the two shows that the other does not.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use journald_reader::{Cursor, Keys, Scope, Start, Tail, Waker};

use crate::support::fixtures::{ExportedEntry, parse_export, recorded, recorded_names};
use crate::support::layout::{Layout, number};
use crate::support::merge::is_252;
use crate::support::or_skip;
use crate::support::random::{Random, damage, setting};
use crate::support::reading::drain;

/// Files damaged (count); `JOURNAL_SHIP_INSTANTS` asks for more.
const FILES: u64 = 24;
/// Instants asked for in each (count): the beginning and three others.
const INSTANTS: usize = 4;

/// Bytes of the header.
const HEADER: usize = 272;

/// What the two readers showed.
#[derive(Debug, Default)]
struct Tally {
    instants: u64,
    /// Entries as written that only one of them showed; at so many instants.
    only_ours: (u64, u64),
    only_theirs: (u64, u64),
    /// Entries that were never written.
    altered_ours: u64,
    altered_theirs: u64,
}

/// What is read from this time on; nothing where the file cannot be opened.
fn ours(path: &std::path::Path, since: u64) -> Vec<ExportedEntry> {
    let mut keys = Keys::default();
    keys.add_all();
    let start = if since == 0 { Start::Oldest } else { Start::Realtime(since) };
    let tail = Tail::open(&Scope::of([path.to_owned()]), keys, start, Waker::new().unwrap());
    tail.map_or(Vec::new(), |mut tail| drain(&mut tail).into_iter().map(|(entry, _)| entry).collect())
}

fn theirs(path: &std::path::Path, since: u64) -> Vec<ExportedEntry> {
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

/// Where an entry and its fields are not what they were: bytes of the header, of the ENTRY and of its DATA objects.
fn touched(layout: &Layout, sound: &[u8], damaged: &[u8], cursor: &str) -> String {
    let cursor: Cursor = cursor.parse().unwrap();
    let differs = |from: usize, len: usize| -> Vec<usize> {
        (0..len).filter(|n| sound.get(from + n) != damaged.get(from + n)).collect()
    };
    let mut touched = vec![format!("header {:?}", differs(0, HEADER))];
    for entry in layout.entries.iter().filter(|entry| number(sound, *entry + 16) == cursor.seqnum) {
        let size = |object: usize| number(sound, object + 8) as usize;
        touched.push(format!("entry {:?}", differs(*entry, size(*entry))));
        let data = layout.data_of(sound, *entry).into_iter().map(|data| differs(data, size(data)));
        touched.extend(data.filter(|data| !data.is_empty()).map(|data| format!("data {data:?}")));
    }
    touched.join(", ")
}

#[test]
fn what_journalctl_shows_of_a_damaged_journal_is_shown() {
    or_skip!(is_252());
    let folder = tempfile::tempdir().unwrap();
    let (mut tally, mut faults) = (Tally::default(), Vec::new());
    let first = setting("JOURNAL_SHIP_DAMAGES_FROM", 0);
    let names = recorded_names();
    for seed in first..first + setting("JOURNAL_SHIP_INSTANTS", FILES) {
        let name = &names[(seed % names.len() as u64) as usize];
        let path = recorded(name, folder.path()).path;
        let whole = ours(&path, 0);
        let written: HashMap<&str, &ExportedEntry> = whole.iter().map(|e| (e.cursor.as_str(), e)).collect();
        let sound = std::fs::read(&path).unwrap();
        let (layout, mut bytes) = (Layout::of(&sound), sound.clone());
        let what = format!("{name}, {seed}: {}", damage(&mut bytes, seed));
        std::fs::write(&path, &bytes).unwrap();
        let mut random = Random(!seed);
        for instant in 0..INSTANTS {
            let since = if instant == 0 { 0 } else { whole[random.below(whole.len())].realtime };
            let (got, want) = (ours(&path, since), theirs(&path, since));
            let is_written = |e: &&ExportedEntry| written.get(e.cursor.as_str()) == Some(e);
            let set = |all: &[ExportedEntry]| -> HashSet<String> {
                all.iter().filter(is_written).map(|e| e.cursor.clone()).collect()
            };
            let (got_right, want_right) = (set(&got), set(&want));
            tally.instants += 1;
            tally.altered_ours += (got.len() - got.iter().filter(is_written).count()) as u64;
            tally.altered_theirs += (want.len() - want.iter().filter(is_written).count()) as u64;
            // journalctl goes to where the instant would be; entries before it are none that were asked for.
            let missed: Vec<&String> = want_right
                .iter()
                .filter(|c| !got_right.contains(*c) && written[c.as_str()].realtime >= since)
                .collect();
            faults.extend(
                missed
                    .iter()
                    .map(|c| format!("{what}: since {since}: {c}: {}", touched(&layout, &sound, &bytes, c))),
            );
            let missed = missed.len() as u64;
            let more = got_right.difference(&want_right).count() as u64;
            tally.only_theirs = (tally.only_theirs.0 + missed, tally.only_theirs.1 + u64::from(missed > 0));
            tally.only_ours = (tally.only_ours.0 + more, tally.only_ours.1 + u64::from(more > 0));
        }
    }
    println!("{tally:#?}");
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), faults);
}
