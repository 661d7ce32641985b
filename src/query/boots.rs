//! What the journal has before anything is asked of it: its boots, and the values of fields.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::QueryError;
use journald_reader::{Id128, Keys, Scope, Start, Tail, Waker};

/// A boot of a machine, by its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Its id.
    pub id: Id128,
    /// When its first entry was written (microseconds since 1970).
    pub first: u64,
    /// When its last entry was written (microseconds since 1970).
    pub last: u64,
}

/// The boots whose entries are there, in the order in which journald numbered their first entries, as journalctl has them. The
/// order of times is another one where a machine without a clock begins each boot at the same time.
///
/// # Errors
/// When nothing can be read.
pub fn boots(scope: &Scope) -> Result<Vec<Boot>, QueryError> {
    let mut boots: IndexMap<Id128, Boot, foldhash::fast::RandomState> = IndexMap::default();
    let mut tail = open(scope, Keys::default())?;
    while let Some(entry) = tail.next_entry() {
        let cursor = entry.cursor();
        let (id, time) = (cursor.boot_id, cursor.realtime);
        match boots.get_mut(&id) {
            Some(boot) => (boot.first, boot.last) = (boot.first.min(time), boot.last.max(time)),
            None => drop(boots.insert(id, Boot { id, first: time, last: time })),
        }
    }
    Ok(boots.into_values().collect())
}

/// The word that stands for all boots.
pub const ALL: &str = "all";

/// Whether a word can name a boot: an id, an offset, both joined, or [`ALL`].
pub fn is_name(text: &str) -> bool {
    let offset = id(text).map_or(text, |(_, offset)| offset);
    text == ALL || offset.is_empty() || offset.parse::<i64>().is_ok()
}

/// The id that a word begins with, in either of its forms (RFC 9562, section 4, has the one with hyphens), and what stands behind it.
fn id(text: &str) -> Option<(Id128, &str)> {
    const PLAIN: usize = 32;
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    if let Some((id, behind)) = text.split_at_checked(PLAIN)
        && let Ok(id) = id.parse()
    {
        return Some((id, behind));
    }
    let (id, behind) = text.split_at_checked(PLAIN + HYPHENS.len())?;
    let fits = id.char_indices().all(|(at, c)| (c == '-') == HYPHENS.contains(&at));
    Some((id.replace('-', "").parse().ok().filter(|_| fits)?, behind))
}

/// A boot as journalctl's `-b` names it: an id, an offset from the last one (0, -1) or a number from the first one (1, 2), or
/// both joined (`ID-1`).
///
/// # Errors
/// What names no boot that is there.
pub fn boot(boots: &[Boot], text: &str) -> Result<Id128, String> {
    let (id, offset) = id(text).map_or((None, text), |(id, offset)| (Some(id), offset));
    let offset: i64 = match offset {
        "" => 0,
        offset => offset.parse().map_err(|_| {
            format!("{text:?} names no boot: use an id, or an offset such as -1 (see --list-boots)")
        })?,
    };
    let last = boots.len() as i64 - 1;
    let at = match id {
        Some(id) => boots.iter().position(|b| b.id == id).and_then(|at| (at as i64).checked_add(offset)),
        None if offset > 0 => Some(offset - 1),
        None => last.checked_add(offset),
    };
    let found = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| boots.get(at));
    found.map(|boot| boot.id).ok_or_else(|| match boots.len() {
        0 => "there is no boot in this journal: it has no entry".to_owned(),
        1 => format!("{text:?} names no boot in this journal, which has 1 (see --list-boots)"),
        n => format!("{text:?} names no boot in this journal, which has {n} (see --list-boots)"),
    })
}

/// All values that any of these fields has.
///
/// # Errors
/// When nothing can be read.
pub fn values(scope: &Scope, fields: &[&str]) -> Result<BTreeSet<String>, QueryError> {
    let mut keys = Keys::default();
    let fields: Vec<_> = fields.iter().map(|field| keys.add(field)).collect();
    let mut tail = open(scope, keys)?;
    let mut values = BTreeSet::new();
    while let Some(entry) = tail.next_entry() {
        for value in fields.iter().filter_map(|field| entry.value(*field)) {
            if let Ok(value) = std::str::from_utf8(value)
                && !values.contains(value)
            {
                values.insert(value.to_owned());
            }
        }
    }
    Ok(values)
}

fn open(scope: &Scope, keys: Keys) -> Result<Tail, QueryError> {
    Ok(Tail::open(scope, keys, Start::Oldest, Waker::none())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_are_named_as_journalctl_names_them() {
        let id = |n: u8| Id128([n; 16]);
        let boots: Vec<_> =
            (1..=3).map(|n| Boot { id: id(n), first: u64::from(n), last: u64::from(n) }).collect();
        let second = id(2).to_string();
        for (text, expected) in [
            ("", Some(id(3))),
            ("0", Some(id(3))),
            ("-0", Some(id(3))),
            ("-1", Some(id(2))),
            ("-2", Some(id(1))),
            ("-3", None),
            ("1", Some(id(1))),
            ("+1", Some(id(1))),
            ("3", Some(id(3))),
            ("4", None),
            (&second, Some(id(2))),
            (&format!("{second}-1"), Some(id(1))),
            (&format!("{second}+1"), Some(id(3))),
            (&format!("{second}-2"), None),
            (&id(9).to_string(), None),
            ("02020202-0202-0202-0202-020202020202", Some(id(2))),
            ("02020202-0202-0202-0202-020202020202-1", Some(id(1))),
            ("-9223372036854775808", None),
            ("9223372036854775807", None),
            (&format!("{second}+9223372036854775807"), None),
            ("x", None),
        ] {
            assert_eq!(boot(&boots, text).ok(), expected, "{text}");
            assert_eq!(is_name(text), text != "x", "{text}");
        }
        assert!(boot(&[], "").is_err());
        assert!(is_name(ALL));
        for text in [
            "02020202-02020202-0202-0202-020202020202",
            "0202020-20202-0202-0202-020202020202",
            "\u{e9}".repeat(20).as_str(),
        ] {
            assert!(!is_name(text), "{text}");
        }
    }
}
