//! Steps: reading a file only ever goes forward.
//!
//! A file may change while it is read, so a number in it may differ when it is read again: a size that was checked may be
//! zero, and a link may lead back. So a loop over a file never adds such a number to a place itself. It moves a
//! [`Position`], which goes forward by a word at least, or takes a link through [`onward`], which refuses a link that does
//! not lead forward. Either way a loop ends at the end of the file at the latest.

use super::fault::Fault;

/// Objects begin at multiples of this (bytes).
const WORD: u64 = 8;

/// A place where an object can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

impl Position {
    /// The first place at or behind an offset.
    pub(crate) fn from(offset: u64) -> Position {
        Position(offset.checked_next_multiple_of(WORD).unwrap_or(u64::MAX - WORD + 1))
    }

    /// Its offset in the file (bytes).
    pub(crate) fn offset(self) -> u64 {
        self.0
    }

    /// The first place behind an object that stands here and has this size (bytes). The size may be wrong: the place is a
    /// word further at least.
    #[must_use]
    pub(crate) fn over(self, len: u64) -> Position {
        Position::from(self.0.saturating_add(len.max(WORD)))
    }
}

/// Where a link leads, if that is behind the object (or the place) that it was read from: objects are appended, so a chain
/// never leads back.
///
/// # Errors
/// When it leads back; `what` says so.
pub(crate) fn onward(from: u64, link: u64, what: &'static str) -> Result<u64, Fault> {
    if link > from { Ok(link) } else { Err(Fault::Damaged { what, offset: link }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_goes_forward_until_the_end_of_all_numbers() {
        let last = Position::from(u64::MAX);
        for at in [0, 1, 8, 264, 1 << 48, u64::MAX - 100, u64::MAX - 8, u64::MAX] {
            for len in [0, 1, 7, 8, 9, 1 << 40, u64::MAX - 7, u64::MAX] {
                let from = Position::from(at);
                let to = from.over(len);
                assert!(to > from || from == last, "{at} {len}");
                assert_eq!(to.offset() % WORD, 0);
                assert!(len > 1 << 40 || to == last || to.offset() - from.offset() < len.max(1) + WORD);
            }
        }
    }

    #[test]
    fn no_link_leads_back() {
        assert_eq!(onward(8, 16, "back").unwrap(), 16);
        for (from, link) in [(8, 8), (16, 8), (8, 0), (u64::MAX, u64::MAX)] {
            assert!(onward(from, link, "back").is_err(), "{from} {link}");
        }
    }
}
