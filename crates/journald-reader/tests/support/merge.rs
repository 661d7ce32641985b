//! What libsystemd's merge makes of journal files, and what any right merge of them may look like.
//!
//! Source of the facts: systemd 252, `src/libsystemd/sd-journal/`: `real_journal_next`, `next_beyond_location` and
//! `compare_with_location` in sd-journal.c, `journal_file_compare_locations` in journal-file.c. Each file offers
//! its next entry. The least one is shown; where the comparison calls two equal, the file opened first goes first.
//! Then each file passes over its entries that are not greater than the one just shown. That is how copies are
//! shown once, and it loses entries in three cases:
//!
//! - The comparison is not transitive: numbers decide within a counter, else monotonic time within a boot, else
//!   realtime. When clocks have jumped and several counters are involved, the entries offered can form a ring, in
//!   which none is the least. Which one is shown then depends on the order of opening, and those that are less
//!   than it are passed over. From there on the order is not [`Merge::determined`].
//! - Two files hold the same entry, and the next entry of the second is of the same instant with a lesser hash.
//! - A counter has several equal entries of one instant, and another counter has one: with that one all of them are passed over,
//!   although no more than one of them is its copy.
//!
//! It also shows an entry twice if its copy comes with another entry of the same instant between, or when its turn comes late, after
//! a clock was set back in its file. A reader must do
//! neither, so it cannot be equal to journalctl there; [`assert_right`] says what it must do instead. systemd 254 and later order
//! different boots of one machine by the newest file of each, so its
//! journalctl is no oracle for journals whose clocks went back: see [`is_252`].

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use journald_reader::Cursor;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::fixtures::ExportedEntry;

/// What libsystemd shows of files.
#[derive(Debug, Default)]
pub struct Merge {
    /// In its order.
    pub shown: Vec<Cursor>,
    /// Entries passed over that are no copies of one shown.
    pub lost: Vec<Cursor>,
    /// Whether there always was an entry less than all others offered, copies aside.
    pub determined: bool,
}

/// Written anew from the source, not taken from the reader: the reader is what is tested.
fn compare(a: &Cursor, b: &Cursor) -> Ordering {
    let by_number = if a.seqnum_id == b.seqnum_id { a.seqnum.cmp(&b.seqnum) } else { Ordering::Equal };
    let by_monotonic = if a.boot_id == b.boot_id { a.monotonic.cmp(&b.monotonic) } else { Ordering::Equal };
    by_number.then(by_monotonic).then(a.realtime.cmp(&b.realtime)).then(a.xor_hash.cmp(&b.xor_hash))
}

/// What an entry and its copies have in common, whatever file and counter they are in.
pub fn content(cursor: &Cursor) -> impl std::hash::Hash + Ord + Copy + std::fmt::Debug + use<> {
    (cursor.realtime, cursor.boot_id, cursor.monotonic, cursor.xor_hash)
}

/// Whether both are one entry: a counter gives each entry one number, so two numbers are two entries.
fn are_copies(a: &Cursor, b: &Cursor) -> bool {
    content(a) == content(b) && (a.seqnum_id != b.seqnum_id || a.seqnum == b.seqnum)
}

/// The entry that goes first among those that the files offer, in whatever order they are looked at: none is less,
/// and only such are equal to it.
fn least(files: &[&[Cursor]]) -> Option<Cursor> {
    let heads = || files.iter().filter_map(|file| file.first());
    let none_is_less = |a: &Cursor| heads().all(|b| compare(a, b) != Ordering::Greater);
    let goes_first = |a: &&Cursor| heads().all(|b| compare(a, b) == Ordering::Less || none_is_less(b));
    heads().filter(|head| none_is_less(head)).find(goes_first).copied()
}

/// libsystemd's merge of these files, in the order in which it opened them.
pub fn merge(files: &[&[Cursor]]) -> Merge {
    let mut merge = Merge { determined: true, ..Merge::default() };
    let mut rest = files.to_vec();
    // Shown, or passed over.
    let mut met: Vec<Cursor> = Vec::new();
    loop {
        if let Some(shown) = merge.shown.last().copied() {
            if !met.contains(&shown) {
                met.push(shown);
            }
            for file in &mut rest {
                while let Some((head, tail)) = file.split_first()
                    && compare(head, &shown) != Ordering::Greater
                {
                    if !is_copy(&met, head) {
                        merge.lost.push(*head);
                    }
                    if !met.contains(head) {
                        met.push(*head);
                    }
                    *file = tail;
                }
            }
        }
        let heads = || rest.iter().filter_map(|file| file.first());
        let Some(first) =
            heads().copied().reduce(|a, b| if compare(&b, &a) == Ordering::Less { b } else { a })
        else {
            return merge;
        };
        merge.determined &= least(&rest).is_some();
        merge.shown.push(first);
    }
}

/// Whether an entry is a copy of one of these, which were met before. Each of several equal entries of a counter has a copy
/// of its own.
fn is_copy(met_before: &[Cursor], head: &Cursor) -> bool {
    let met = |counter| {
        let equal = met_before.iter().filter(|seen| content(seen) == content(head));
        equal.filter(|seen| seen.seqnum_id == counter).count()
    };
    met_before.contains(head) || met_before.iter().any(|seen| met(seen.seqnum_id) > met(head.seqnum_id))
}

/// Passes over what the files offer and is a copy, unless it was read all the same.
fn pass_copies(files: &mut [&[Cursor]], met: &mut Vec<Cursor>, read: &HashSet<&Cursor>) {
    loop {
        let offers_copy = |file: &&mut &[Cursor]| {
            file.first().is_some_and(|h| is_copy(met, h) && (met.contains(h) || !read.contains(h)))
        };
        let Some(copy) = files.iter_mut().find(offers_copy).and_then(|file| file.split_off_first()) else {
            return;
        };
        if !met.contains(copy) {
            met.push(*copy);
        }
    }
}

/// Whether `got` is a right merge: each entry of each file once, those of a file in their order, and, at each step,
/// the entry that is less than all others offered if there is one; else the lowest number of some counter. Copies
/// count once, whenever their turn comes.
pub fn assert_right(files: &[&[Cursor]], got: &[Cursor]) -> TestCaseResult {
    let mut rest = files.to_vec();
    // Read, or passed over as a copy.
    let mut met: Vec<Cursor> = Vec::new();
    let read: HashSet<&Cursor> = got.iter().collect();
    for (index, got) in got.iter().enumerate() {
        loop {
            let least = least(&rest);
            let is_copy = |head: &Cursor| is_copy(&met, head);
            // A copy is passed over when its turn has come, or, where it is nobody's turn, if it ever is.
            let passed = match least {
                Some(least) if is_copy(&least) => rest.iter_mut().find(|f| f.first() == Some(&least)),
                Some(least) => {
                    let fits = compare(got, &least) == Ordering::Equal;
                    prop_assert!(
                        fits,
                        "entry {index} is {got}, and {least} goes before it; offered:\n{}",
                        list(&rest.iter().filter_map(|file| file.first().copied()).collect::<Vec<_>>())
                            + "met:\n"
                            + &list(&met)
                    );
                    None
                }
                None => rest.iter_mut().find(|file| {
                    let passed = |h: &Cursor| met.contains(h) || (is_copy(h) && !read.contains(h));
                    file.first().is_some_and(passed)
                }),
            };
            match passed.and_then(|file| file.split_off_first()) {
                Some(copy) if !met.contains(copy) => met.push(*copy),
                Some(_) => {}
                None => break,
            }
        }
        let heads = || rest.iter().filter_map(|file| file.first());
        let lower = heads().find(|head| head.seqnum_id == got.seqnum_id && head.seqnum < got.seqnum);
        prop_assert_eq!(lower, None, "entry {} is {}, whose counter has a lower number", index, got);
        let file = rest.iter_mut().find(|file| file.first() == Some(got));
        let taken = file.and_then(|file| file.split_off_first());
        prop_assert!(
            taken.is_some(),
            "entry {index} is {got}, which no file offers: doubled, or out of order"
        );
        met.push(*got);
        // Copies that other files offer may be passed over together with it.
        pass_copies(&mut rest, &mut met, &read);
    }
    let missed = rest.iter().copied().flatten().find(|left| !got.iter().any(|got| are_copies(got, left)));
    prop_assert_eq!(missed, None, "an entry that was not read");
    Ok(())
}

/// What journalctl shows of these files with `--after-cursor`.
///
/// It goes to the entry in each file: by number in those of its counter, else by monotonic time in those that have a later one
/// of its boot, else by realtime. Then it leaves out the first entry that comes, whichever that is. Where the clock was set back,
/// one of another file may come before the entry, which then is shown once more. Source of the facts: systemd 252,
/// `find_location_with_matches` in sd-journal.c, `--after-cursor` in journalctl.c.
pub fn after_cursor(files: &[&[Cursor]], cursor: &Cursor) -> Vec<Cursor> {
    let behind = |file: &&'_ [Cursor]| {
        let later = |e: &Cursor| e.boot_id == cursor.boot_id && e.monotonic >= cursor.monotonic;
        match file.first() {
            Some(first) if first.seqnum_id == cursor.seqnum_id => {
                file.iter().position(|e| e.seqnum >= cursor.seqnum)
            }
            _ => file
                .iter()
                .position(later)
                .or_else(|| file.iter().position(|e| e.realtime >= cursor.realtime)),
        }
    };
    let files: Vec<&[Cursor]> =
        files.iter().map(|file| behind(file).map_or(&[][..], |place| &file[place..])).collect();
    merge(&files).shown.split_off(1)
}

/// Without the copies.
pub fn once(shown: &[Cursor]) -> Vec<Cursor> {
    let mut once: Vec<Cursor> = Vec::new();
    for cursor in shown {
        if !once.iter().any(|seen| are_copies(seen, cursor)) {
            once.push(*cursor);
        }
    }
    once
}

/// Compares what the reader gave of some files with what libsystemd showed: entries, order and cursors.
pub fn assert_same_order(files: &[&[Cursor]], read: &[Cursor], shown: &[Cursor]) -> TestCaseResult {
    let merge = merge(files);
    prop_assert_eq!(shown, &merge.shown, "libsystemd does not merge as this test believes");
    assert_right(files, read)?;
    if merge.determined && merge.lost.is_empty() {
        let once = once(shown);
        for (index, (got, want)) in read.iter().zip(&once).enumerate() {
            prop_assert!(
                got == want || are_copies(got, want),
                "entry {index}: read {got}, shown {want}\nread:\n{}shown:\n{}",
                list(read),
                list(&once)
            );
        }
        prop_assert_eq!(read.len(), once.len(), "number of entries: read {:?}, shown {:?}", read, shown);
    } else {
        // The same entries all the same, and those that libsystemd loses.
        let written: HashSet<_> = shown.iter().chain(&merge.lost).map(content).collect();
        let read: HashSet<_> = read.iter().map(content).collect();
        prop_assert_eq!(written.symmetric_difference(&read).next(), None, "in one of the two only");
    }
    Ok(())
}

/// Compares what the reader gave of some files with what journalctl showed: the fields, too.
pub fn assert_equal(files: &[&[Cursor]], got: &[ExportedEntry], want: &[ExportedEntry]) -> TestCaseResult {
    assert_same_order(files, &cursors(got), &cursors(want))?;
    let want: HashMap<&str, &ExportedEntry> =
        want.iter().map(|entry| (entry.cursor.as_str(), entry)).collect();
    for got in got {
        // Of a copy, the other one is shown, and a file has its own order of fields.
        if let Some(want) = want.get(got.cursor.as_str()) {
            prop_assert!(
                got.fields == want.fields,
                "fields of {}:\n{}\n{}",
                got.cursor,
                brief(got),
                brief(want)
            );
        }
    }
    Ok(())
}

/// The cursors of entries.
pub fn cursors(entries: &[ExportedEntry]) -> Vec<Cursor> {
    entries.iter().map(|entry| entry.cursor.parse().expect("a cursor")).collect()
}

/// One a line.
fn list(cursors: &[Cursor]) -> String {
    cursors.iter().map(|cursor| format!("{cursor}\n")).collect()
}

/// Names and lengths: a value may have 16 MiB.
fn brief(entry: &ExportedEntry) -> String {
    entry.fields.iter().map(|(name, value)| format!("{name}[{}] ", value.len())).collect()
}

/// Whether the journalctl here merges as described above: systemd 246 to 253. A newer one orders boots otherwise.
pub fn is_252() -> Result<(), super::Unavailable> {
    let output = std::process::Command::new("journalctl").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = text.split_whitespace().nth(1).and_then(|version| version.parse().ok()).unwrap_or(0);
    if (246..254).contains(&version) {
        return Ok(());
    }
    Err(super::Unavailable(format!("journalctl {version} orders boots by another rule than 252's")))
}
