//! A cursor names one entry forever, in whatever file it stands: journalctl's own text form.
//!
//! `s=<seqnum id>;i=<seqnum>;b=<boot id>;m=<monotonic>;t=<realtime>;x=<xor hash>`, numbers in
//! hexadecimal. Source: systemd, `sd_journal_get_cursor` in `src/libsystemd/sd-journal/sd-journal.c`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A 128-bit id as systemd writes it: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Id128(pub [u8; 16]);

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id128 {
    type Err = CursorError;

    /// Takes 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Id128, CursorError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(CursorError(format!("`{}` is not an id of 32 hexadecimal digits", shown(text))));
        }
        u128::from_str_radix(text, 16)
            .map(|n| Id128(n.to_be_bytes()))
            .map_err(|e| CursorError(format!("`{}`: {e}", shown(text))))
    }
}

/// The name of one entry, and what decides its place in the order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cursor {
    /// The counter that `seqnum` belongs to.
    pub seqnum_id: Id128,
    /// Number of the entry; later entries of one counter have higher numbers.
    pub seqnum: u64,
    /// The boot during which the entry was written.
    pub boot_id: Id128,
    /// Microseconds since that boot.
    pub monotonic: u64,
    /// Microseconds since 1970, by journald's clock.
    pub realtime: u64,
    /// Hash over the entry's fields.
    pub xor_hash: u64,
}

impl Cursor {
    /// The order in which journalctl shows entries: by number where one counter gave both, else by
    /// monotonic time within a boot, else by wall clock. It is not transitive over several counters when
    /// clocks jump, so do not sort with it: merging compares only the next entries of files.
    /// Source: systemd, `journal_file_compare_locations`.
    pub fn order(&self, other: &Cursor) -> Ordering {
        if self.seqnum_id == other.seqnum_id && self.seqnum != other.seqnum {
            return self.seqnum.cmp(&other.seqnum);
        }
        if self.boot_id == other.boot_id && self.monotonic != other.monotonic {
            return self.monotonic.cmp(&other.monotonic);
        }
        self.realtime.cmp(&other.realtime).then(self.xor_hash.cmp(&other.xor_hash))
    }

    /// Whether both name one entry: journald copies entries from the runtime to the persistent journal
    /// and numbers the copies anew.
    pub fn same_entry(&self, other: &Cursor) -> bool {
        self.same_content(other) && (self.seqnum_id != other.seqnum_id || self.seqnum == other.seqnum)
    }

    /// Whether the entries that both name were written at one time and are equal.
    #[inline]
    pub(crate) fn same_content(&self, other: &Cursor) -> bool {
        self.monotonic == other.monotonic
            && self.realtime == other.realtime
            && self.xor_hash == other.xor_hash
            && self.boot_id == other.boot_id
    }

    /// Whether an entry is a copy of an entry that was met, in another file or in the same file. `met`: all entries of its
    /// instant so far, copies included. Several equal entries of one counter are several entries, and each has a copy of its
    /// own: the second one in this counter is not a copy while other counters have shown only one.
    pub(crate) fn is_copy(&self, met: &[Cursor]) -> bool {
        let equal = || met.iter().filter(|other| other.same_content(self));
        let count = |counter: Id128| equal().filter(|other| other.seqnum_id == counter).count();
        let copied = |other: &Cursor| match other.seqnum_id == self.seqnum_id {
            true => other.seqnum == self.seqnum,
            false => count(other.seqnum_id) > count(self.seqnum_id),
        };
        equal().any(copied)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash } = self;
        write!(f, "s={seqnum_id};i={seqnum:x};b={boot_id};m={monotonic:x};t={realtime:x};x={xor_hash:x}")
    }
}

/// Why a text is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a journal cursor: {0}")]
pub struct CursorError(String);

/// Characters of a wrong cursor that an error repeats (count): a right cursor has about 160.
const SHOWN_MAX: usize = 60;

/// The beginning of a wrong text, for an error.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    /// Takes all six parts, in any order, as systemd does.
    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let mut cursor = Cursor::default();
        let mut seen = [false; 6];
        for part in text.split(';') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| CursorError(format!("`{}` is not KEY=VALUE", shown(part))))?;
            let number = || {
                u64::from_str_radix(value, 16).map_err(|_| {
                    CursorError(format!("`{}` is not a hexadecimal number of 64 bits", shown(part)))
                })
            };
            let index = match key {
                "s" => {
                    cursor.seqnum_id = value.parse()?;
                    0
                }
                "i" => {
                    cursor.seqnum = number()?;
                    1
                }
                "b" => {
                    cursor.boot_id = value.parse()?;
                    2
                }
                "m" => {
                    cursor.monotonic = number()?;
                    3
                }
                "t" => {
                    cursor.realtime = number()?;
                    4
                }
                "x" => {
                    cursor.xor_hash = number()?;
                    5
                }
                // Later versions may add parts; systemd skips what it does not know.
                _ => continue,
            };
            seen[index] = true;
        }
        match seen.iter().zip("sibmtx".chars()).find(|(seen, _)| !**seen) {
            None => Ok(cursor),
            Some((_, key)) => Err(CursorError(format!("`{}` has no `{key}=`", shown(text)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "s=5bb7fb0fd8d9015b0725460b8ce504db;i=1;b=b1cb18167d85957cdf322a1422d00e17;\
                        m=3b1499;t=660c31266ac99;x=b38eb51c2e432cd4";

    #[test]
    fn reads_and_writes_what_journalctl_writes() {
        let cursor: Cursor = TEXT.parse().unwrap();
        assert_eq!(cursor.realtime, 1_795_240_803_871_897);
        assert_eq!(cursor.to_string(), TEXT);
    }

    #[test]
    fn refuses_what_is_no_cursor() {
        for (text, part) in [
            ("", "`` is not KEY=VALUE"),
            ("s=12", "not an id"),
            ("i=xyz", "hexadecimal"),
            ("i=1", "no `s=`"),
            (&TEXT[..TEXT.len() - 20], "no `x=`"),
        ] {
            let error = text.parse::<Cursor>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn each_of_several_equal_entries_has_a_copy_of_its_own() {
        let entry = |counter, seqnum| Cursor { seqnum_id: Id128([counter; 16]), seqnum, ..Cursor::default() };
        for (met, next, copy) in [
            (&[][..], (1, 1), false),
            (&[(1, 1)], (1, 1), true),
            (&[(1, 1)], (1, 2), false),
            (&[(1, 1)], (2, 7), true),
            (&[(1, 1), (2, 7)], (2, 8), false),
            (&[(1, 1), (1, 2), (2, 7)], (2, 8), true),
            (&[(1, 1), (1, 2), (2, 7)], (3, 1), true),
            (&[(1, 1), (2, 7), (2, 8)], (1, 2), true),
        ] {
            let met: Vec<Cursor> = met.iter().map(|(counter, seqnum)| entry(*counter, *seqnum)).collect();
            assert_eq!(entry(next.0, next.1).is_copy(&met), copy, "{next:?} after {met:?}");
            let other = Cursor { xor_hash: 1, ..entry(next.0, next.1) };
            assert!(!other.is_copy(&met));
        }
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        // Small ranges, so that equal parts are common.
        (0..3u8, 0..5u64, 0..3u8, 0..5u64, 0..5u64, 0..3u64).prop_map(|(s, i, b, m, t, x)| Cursor {
            seqnum_id: Id128([s; 16]),
            seqnum: i,
            boot_id: Id128([b; 16]),
            monotonic: m,
            realtime: t,
            xor_hash: x,
        })
    }

    proptest! {
        #[test]
        fn text_round_trips(cursor in cursors()) {
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn order_is_antisymmetric_and_equal_for_one_entry(a in cursors(), b in cursors()) {
            prop_assert_eq!(a.order(&b), b.order(&a).reverse());
            if a.same_entry(&b) {
                prop_assert_eq!(a.order(&b), Ordering::Equal);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,80}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
