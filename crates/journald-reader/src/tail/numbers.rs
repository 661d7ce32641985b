//! Which numbers no entry has shown: what of the journal nobody can read any more.
//!
//! journald numbers the entries of all files that it writes in one sequence, the system's and each user's. Since systemd
//! 254 these files share a counter, too; before, each had a counter of its own, and the numbers that one file leaves out
//! stand in the others. So a number is missing only if no file of the same journal has shown it. A folder may also hold
//! journals of several machines: their numbers have nothing to do with each other, and there the counter decides.

use std::collections::VecDeque;

/// Gaps that are remembered, so that entries which become visible late fill them (count): a gap that is not filled within
/// moments stays.
const GAPS_MAX: usize = 64;

/// The numbers of one tail.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    journals: Vec<Journal>,
    gaps: VecDeque<Gap>,
    /// Numbers that no entry has shown so far.
    pub missing: u64,
}

/// Files that one journald writes, or wrote.
#[derive(Debug)]
struct Journal {
    runtime: bool,
    folder: String,
    /// The number that was met last in any of its counters.
    last: u64,
}

/// Numbers that were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    journal: usize,
    first: u64,
    last: u64,
}

impl Numbers {
    /// The place of a journal, known by the name of its folder.
    pub(super) fn journal(&mut self, runtime: bool, folder: &str) -> usize {
        let known = self.journals.iter().position(|known| known.runtime == runtime && known.folder == folder);
        known.unwrap_or_else(|| {
            self.journals.push(Journal { runtime, folder: folder.to_owned(), last: 0 });
            self.journals.len() - 1
        })
    }

    /// An earlier tail has met this number.
    pub(super) fn begin(&mut self, journal: usize, number: u64) {
        if let Some(journal) = self.journals.get_mut(journal) {
            journal.last = journal.last.max(number);
        }
    }

    /// The number from which on numbers are left out before this one; `before` is the highest one of its own counter,
    /// zero if there is none. The number itself less one: none are.
    #[inline]
    pub(super) fn shown(&self, journal: usize, before: u64, number: u64) -> u64 {
        let last = self.journals.get(journal).map_or(0, |journal| journal.last);
        // A higher one says nothing of the numbers before it: it may be another machine's.
        if last < number { before.max(last) } else { before }
    }

    /// An entry has this number. What it leaves out counts as missing, unless `whole` is false or its counter begins.
    #[inline]
    pub(super) fn meet(&mut self, journal: usize, before: u64, number: u64, whole: bool) {
        if !self.gaps.is_empty() && self.fill(journal, number) {
            return;
        }
        if number <= before {
            return;
        }
        let shown = self.shown(journal, before, number);
        if whole && before > 0 && number - shown > 1 {
            self.leave_out(Gap { journal, first: shown + 1, last: number - 1 });
        }
        if let Some(journal) = self.journals.get_mut(journal) {
            journal.last = number;
        }
    }

    #[cold]
    fn leave_out(&mut self, gap: Gap) {
        self.missing = self.missing.saturating_add(gap.last - gap.first).saturating_add(1);
        self.remember(gap);
    }

    fn remember(&mut self, gap: Gap) {
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// Whether a number is one of those that were passed over, which it is no more then.
    fn fill(&mut self, journal: usize, number: u64) -> bool {
        let holds = |gap: &Gap| gap.journal == journal && (gap.first..=gap.last).contains(&number);
        let Some(index) = self.gaps.iter().position(holds) else { return false };
        let Some(gap) = self.gaps.remove(index) else { return false };
        self.missing = self.missing.saturating_sub(1);
        if gap.first < number {
            self.remember(Gap { last: number - 1, ..gap });
        }
        if number < gap.last {
            self.remember(Gap { first: number + 1, ..gap });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing after entries of counters of one folder: counter and number.
    fn missing(entries: &[(usize, u64)]) -> u64 {
        let mut numbers = Numbers::default();
        let journal = numbers.journal(false, "m");
        let mut highest = [0; 4];
        for (counter, number) in entries {
            numbers.meet(journal, highest[*counter], *number, true);
            highest[*counter] = highest[*counter].max(*number);
        }
        numbers.missing
    }

    #[test]
    fn a_number_is_missing_if_no_file_of_the_journal_shows_it() {
        for (entries, expected) in [
            // One counter for all.
            (&[(0, 1), (0, 2), (0, 5)][..], 2),
            (&[(0, 1), (0, 5), (0, 3)], 2),
            (&[(0, 1), (0, 5), (0, 3), (0, 2), (0, 4)], 0),
            // The system's and two users'.
            (&[(0, 1), (1, 2), (2, 3), (1, 4), (0, 5), (2, 6)], 0),
            (&[(0, 1), (1, 2), (0, 5), (1, 6)], 2),
            // A user's file is seen late.
            (&[(0, 1), (0, 5), (1, 2), (1, 3), (1, 4), (0, 6)], 0),
            (&[(0, 1), (0, 5), (1, 3), (2, 2), (0, 6)], 1),
            // After a restart journald goes on behind the higher of its own number and the file's.
            (&[(1, 90), (0, 91), (0, 95), (1, 91), (0, 96), (1, 97)], 3),
            // Another machine.
            (&[(0, 1), (1, 1000), (0, 2), (1, 1001), (0, 5), (1, 1003)], 3),
        ] {
            assert_eq!(missing(entries), expected, "{entries:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut numbers = Numbers::default();
        let journal = numbers.journal(false, "m");
        (1..1000).for_each(|n| numbers.meet(journal, 2 * n - 1, 2 * n + 1, true));
        assert_eq!((numbers.missing, numbers.gaps.len()), (999, GAPS_MAX));
        numbers.meet(journal, u64::MAX - 3, u64::MAX, true);
        numbers.meet(journal, u64::MAX, 1, true);
        assert_eq!(numbers.missing, 1001);
        assert_eq!(numbers.journal(true, "m"), 1);
    }
}
