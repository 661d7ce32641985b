//! Comparing one part of the span: counts first, and where they differ, shorter and shorter steps, and at last the lines.

use std::collections::{HashMap, HashSet};

use super::ask::{Asking, Line, Told};
use super::choose::{Group, groups};
use super::expected::{Expected, Streams};
use super::interval::{SECOND, STEPS};
use super::{Interval, VerifyError};

/// Lines are compared, and not counts of shorter steps, where a step has at most so many (count).
const LINES_FEW: u64 = 2000;

/// How many entries Loki counts of each stream, by the end of each step (nanoseconds since 1970).
type Counts = HashMap<(u32, i64), u64>;

/// What differs between the journal and Loki, in an interval of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The number of the stream.
    pub(super) stream: u32,
    /// When.
    pub within: Interval,
    /// Entries of the journal (count).
    pub journal: u64,
    /// Entries that a metric query counts in Loki (count).
    pub counted: u64,
    /// Entries of the journal that Loki does not have (count).
    pub missing: u64,
    /// How many entries more a metric query counts than Loki has (count).
    pub twice: u64,
    /// Entries of which Loki has another text of the same time, as where a line was cut (count).
    pub altered: u64,
    /// Entries that only Loki has (count).
    pub more: u64,
    /// Why entries are missing, if that is known.
    pub known: Option<Known>,
    /// Which entries are missing.
    pub(super) lost: Lost,
}

/// Why entries are not in Loki, or not where they were looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// They were older than Loki takes when the agent first started.
    TooOld,
    /// They are in an overflow stream, because Loki had no room for theirs.
    Overflow,
}

impl Known {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Known::TooOld => "too_old",
            Known::Overflow => "overflow_stream",
        }
    }
}

/// The entries of an interval that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// All of them.
    All,
    /// These: times (nanoseconds since 1970) and hashes of lines.
    These(HashSet<(i64, u64)>),
}

/// Compares what the journal has within an interval with what Loki has.
pub(super) struct Comparing<'c, 'a> {
    pub(super) asking: &'c mut Asking<'a>,
    pub(super) streams: &'c Streams,
    pub(super) expected: &'c Expected,
    /// The streams that have entries.
    wanted: Vec<u32>,
    found: Vec<Difference>,
}

impl<'c, 'a> Comparing<'c, 'a> {
    /// Compares these entries.
    pub(super) fn new(
        asking: &'c mut Asking<'a>,
        streams: &'c Streams,
        expected: &'c Expected,
    ) -> Comparing<'c, 'a> {
        Comparing { asking, streams, expected, wanted: expected.streams(), found: Vec::new() }
    }

    /// Compares the entries of a part of the span, by steps of this length (nanoseconds); returns what differs.
    ///
    /// # Errors
    /// Loki cannot be asked.
    pub(super) fn part(&mut self, within: Interval, step: i64) -> Result<Vec<Difference>, VerifyError> {
        let streams = self.streams;
        let there = |stream: &u32| self.expected.count(*stream, within) > 0;
        let wanted: Vec<u32> = self.wanted.iter().copied().filter(there).collect();
        let mut left: Vec<_> =
            groups(streams, &wanted).into_iter().rev().map(|group| (group, within)).collect();
        while let Some((group, within)) = left.pop() {
            match self.counts(&group, within, step)? {
                Told::Answer(counts) => {
                    for (_, stream) in &group.streams {
                        self.steps(*stream, within, step, &counts)?;
                    }
                }
                // Fewer streams, and of one stream fewer steps.
                Told::TooMuch => match (group.clone().halves(), within.halves(step)) {
                    (Some([first, second]), _) => left.extend([(second, within), (first, within)]),
                    (None, Some([first, second])) => {
                        left.extend([(group.clone(), second), (group, first)]);
                    }
                    (None, None) => return Err(VerifyError::TooMuch),
                },
            }
        }
        Ok(std::mem::take(&mut self.found))
    }

    /// How many entries Loki counts of each stream of a group, by the end of each step.
    fn counts(
        &mut self,
        group: &Group<'_>,
        within: Interval,
        step: i64,
    ) -> Result<Told<Counts>, VerifyError> {
        self.asking.go_on()?;
        let query = group.counts(step / SECOND);
        let told = self.asking.values(group.tenant, &query, within, step)?;
        let Told::Answer(series) = told else { return Ok(Told::TooMuch) };
        let mut counts = Counts::new();
        for (labels, values) in series {
            // Streams that are not ours are nothing to us.
            let Some(stream) = group.stream(&labels) else { continue };
            for (time, count) in values {
                *counts.entry((stream, time)).or_default() += count;
            }
        }
        Ok(Told::Answer(counts))
    }

    /// Looks closer at the steps of a stream whose counts differ.
    fn steps(
        &mut self,
        stream: u32,
        within: Interval,
        step: i64,
        counts: &Counts,
    ) -> Result<(), VerifyError> {
        for at in within.steps(step) {
            let rows = self.expected.count(stream, at);
            let counted = counts.get(&(stream, at.until)).copied().unwrap_or(0);
            if rows == counted {
                continue;
            }
            if counted == 0 {
                self.note(Difference::all(stream, at, rows));
            } else if rows > 0 {
                self.closer(stream, at, step, rows.max(counted), counted)?;
            }
        }
        Ok(())
    }

    /// Looks closer at one step.
    fn closer(
        &mut self,
        stream: u32,
        at: Interval,
        step: i64,
        most: u64,
        counted: u64,
    ) -> Result<(), VerifyError> {
        let shorter = STEPS.into_iter().find(|shorter| *shorter < step);
        let (Some(shorter), true) = (shorter, most > LINES_FEW) else {
            return self.lines(stream, at, counted);
        };
        let Some(group) = Group::of(self.streams, stream) else { return Ok(()) };
        match self.counts(&group, at, shorter)? {
            Told::Answer(counts) => self.steps(stream, at, shorter, &counts),
            Told::TooMuch => Err(VerifyError::TooMuch),
        }
    }

    /// Compares entry by entry.
    fn lines(&mut self, stream: u32, at: Interval, counted: u64) -> Result<(), VerifyError> {
        let Some(group) = Group::of(self.streams, stream) else { return Ok(()) };
        let mut there: HashSet<(i64, u64)> = HashSet::new();
        let streams = self.streams;
        let mut take = |line: Line| _ = there.insert((line.time, streams.hash(&line.text)));
        self.asking.lines(group.tenant, &group.selector(), at, &mut take)?;
        let difference = self.difference(stream, at, counted, there);
        self.note(difference);
        Ok(())
    }

    /// What differs, given what is in Loki: times and hashes of lines.
    fn difference(
        &self,
        stream: u32,
        at: Interval,
        counted: u64,
        mut there: HashSet<(i64, u64)>,
    ) -> Difference {
        let rows = self.expected.rows(stream, at);
        let distinct = there.len() as u64;
        let mut lost: Vec<(i64, u64)> = Vec::new();
        for row in rows {
            if !there.remove(&(row.time, row.hash)) {
                lost.push((row.time, row.hash));
            }
        }
        // What is left is of other texts. The digits below the microsecond are the entry's own.
        let mut others: HashMap<i64, u64> = HashMap::new();
        there.iter().for_each(|(time, _)| *others.entry(*time).or_default() += 1);
        let before = lost.len();
        lost.retain(|(time, _)| match others.get_mut(time).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                false
            }
            None => true,
        });
        let altered = (before - lost.len()) as u64;
        Difference {
            stream,
            within: at,
            journal: rows.len() as u64,
            counted,
            missing: lost.len() as u64,
            twice: counted.saturating_sub(distinct),
            altered,
            known: None,
            more: (there.len() as u64).saturating_sub(altered),
            lost: Lost::These(lost.into_iter().collect()),
        }
    }

    /// Notes a difference. If everything is missing, it becomes one with the last of which everything is missing, unless the
    /// stream has entries between them.
    fn note(&mut self, difference: Difference) {
        let expected = self.expected;
        let goes_on = |last: &Difference| {
            let between = Interval { after: last.within.until, until: difference.within.after };
            last.stream == difference.stream
                && between.after <= between.until
                && (&last.lost, &difference.lost) == (&Lost::All, &Lost::All)
                && expected.count(last.stream, between) == 0
        };
        match self.found.last_mut().filter(|last| goes_on(last)) {
            Some(last) => {
                last.within.until = difference.within.until;
                last.journal += difference.journal;
                last.missing += difference.missing;
            }
            None => self.found.push(difference),
        }
    }
}

impl Difference {
    /// Loki has nothing.
    fn all(stream: u32, within: Interval, rows: u64) -> Difference {
        Difference {
            stream,
            within,
            journal: rows,
            counted: 0,
            missing: rows,
            twice: 0,
            altered: 0,
            more: 0,
            known: None,
            lost: Lost::All,
        }
    }

    /// Whether an entry of this time and hash is among those that are missing.
    pub(super) fn lacks(&self, time: i64, hash: u64) -> bool {
        self.within.contains(time)
            && match &self.lost {
                Lost::All => true,
                Lost::These(these) => these.contains(&(time, hash)),
            }
    }
}
