//! Log queries: the lines that pass, from one end of a span.
//!
//! The newest lines are found from the end: the index says where the last few thousand entries begin that can pass. If too
//! few of them do, reading begins again, further back by a factor, until there are enough.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::answer::{Answer, Line};
use super::journal::{Asking, Journal};
use super::verdicts::Verdicts;
use super::{Direction, Progress, QueryError, Question, Run, narrow, slices};
use crate::alerts::watch::levelled;
use crate::pipeline::{Shaper, Sink, values};
use crate::shape::labels::Outcome;
use crate::shape::stages::Item;
use journald_reader::{Entry, Match};
use logql::LogQuery;
use logql::label_set::LabelSet;

/// Label sets that are remembered with whether the query chooses them (count).
const STREAMS_MAX: usize = 8 << 10;
/// The newest entries that are looked at first (count), at least, where some of them may not pass.
const FIRST: u64 = 2_000;
/// Finding out where more than these begin (count) takes longer than to read from the beginning of the span.
const LOOKED_BACK_MAX: u64 = 20_000;
/// If too few of them pass, so many times as many are looked at.
const FURTHER: u64 = 8;

/// Answers a log query of a span (nanoseconds since 1970, the end exclusive).
pub(super) fn ask(
    query: &LogQuery,
    (start, end): (i64, i64),
    question: &Question,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<(Answer, Progress), QueryError> {
    let narrowed = [narrow::of_query(query, &journal.shape())];
    let micros = |nanoseconds: i64| u64::try_from(nanoseconds.div_euclid(1000)).unwrap_or(0);
    let (from, to) = (micros(start), micros(end.saturating_sub(1)));
    let mut lines = Lines::of(query, (start, end), (question.limit, question.direction), run.limits.bytes);
    let limit = question.limit as u64;
    let mut count = match narrow::chooses_all(query, &journal.shape()) {
        true => limit,
        false => limit.saturating_mul(2).max(FIRST),
    };
    loop {
        // Stages may join lines and move them in time: then there is no end to begin at.
        let backward = question.direction == Direction::Backward && !journal.has_stages();
        let looks_back = backward && count <= LOOKED_BACK_MAX;
        let begin = match looks_back {
            true => {
                let time = journal.time_of_last(count, to, &narrowed, &mut run.bytes_read)?;
                // Where a clock was set back, some of the last entries may be of a time behind the end.
                time.filter(|time| *time <= to || count == 0).unwrap_or(from).max(from)
            }
            false => from,
        };
        lines.clear();
        // Where it is known where the last few begin, or that there are only few, several threads would have nothing to do.
        let slices = match backward && !looks_back {
            true => slices::cut(journal, (from, to), &narrowed, run.limits.threads)?,
            false => Vec::new(),
        };
        let mut sliced = None;
        if !slices.is_empty() {
            sliced = lines.read_slices(&slices, journal, &narrowed, run)?;
        }
        let progress = match sliced {
            Some(progress) => progress,
            None if begin > to => Progress { span: (from, to), ..Progress::default() },
            None => journal.read((begin, to), &narrowed, &mut lines, run)?,
        };
        if lines.bytes > lines.bytes_max {
            return Err(QueryError::Bytes(lines.bytes_max));
        }
        let stopped = run.stop.load(Relaxed);
        if begin <= from || begin > to || stopped || lines.has_enough_since(begin) {
            return Ok((Answer::Lines(lines.finish()), progress));
        }
        count = count.saturating_mul(FURTHER).max(FIRST);
    }
}

/// Which streams a query chooses, remembered for each label set.
pub(super) struct Chosen<'q> {
    query: &'q LogQuery,
    /// By the address of the set, which is held.
    streams: HashMap<usize, (Arc<LabelSet>, bool), foldhash::fast::RandomState>,
    verdicts: Verdicts,
    /// Entries of chosen streams (count).
    entries: u64,
}

impl<'q> Chosen<'q> {
    pub(super) fn new(query: &'q LogQuery) -> Chosen<'q> {
        let verdicts = Verdicts::new(query.filters_lines());
        Chosen { query, streams: HashMap::default(), verdicts, entries: 0 }
    }

    /// Whether an entry with these labels is of a chosen stream.
    #[inline]
    fn has(&mut self, labels: &Arc<LabelSet>) -> bool {
        let key = Arc::as_ptr(labels) as usize;
        let chosen = match self.streams.get(&key) {
            Some((_, chosen)) => *chosen,
            None => {
                if self.streams.len() >= STREAMS_MAX {
                    self.streams.clear();
                }
                let chosen = self.query.matches(labels);
                self.streams.insert(key, (labels.clone(), chosen));
                chosen
            }
        };
        self.entries += u64::from(chosen);
        chosen
    }
}

/// Sees an entry that is still in the journal: its line is given to `show` if it passes.
#[inline]
pub(super) fn see_plain(
    chosen: &mut Chosen<'_>,
    shaper: &mut Shaper,
    entry: &Entry<'_>,
    counts: impl FnOnce(i64) -> bool,
    show: impl FnOnce(Line),
) {
    let Shaper { labeler, metadata, liner, .. } = shaper;
    let Outcome::Kept(labels) = labeler.labels(entry) else { return };
    if !chosen.has(labels) {
        return;
    }
    let time = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
    if !counts(time) {
        return;
    }
    let query = chosen.query;
    let Some(line) = chosen.verdicts.line(liner, entry, |line| query.may_show(line)) else { return };
    let metadata: Vec<_> = values(metadata, entry).collect();
    let metadata = metadata.iter().map(|(name, value)| (*name, value.as_ref()));
    let level = levelled(labels, metadata.clone(), &line);
    if let Some(shown) = chosen.query.show(labels, (time, &line), metadata.chain(level)) {
        show(Line { time, text: shown.line.into_owned(), labels: shown.labels });
    }
}

/// As [`see_plain`], for what stages have made.
pub(super) fn see_item(
    chosen: &mut Chosen<'_>,
    item: &Item,
    counts: impl FnOnce(i64) -> bool,
    show: impl FnOnce(Line),
) {
    if !chosen.has(&item.labels) || !counts(item.timestamp_ns) {
        return;
    }
    let metadata = item.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let level = levelled(&item.labels, metadata.clone(), &item.line);
    if let Some(shown) =
        chosen.query.show(&item.labels, (item.timestamp_ns, &item.line), metadata.chain(level))
    {
        show(Line { time: item.timestamp_ns, text: shown.line.into_owned(), labels: shown.labels });
    }
}

/// The lines found so far.
struct Lines<'q> {
    chosen: Chosen<'q>,
    span: (i64, i64),
    limit: usize,
    direction: Direction,
    /// What the lines take, with their labels (bytes), and what they may.
    bytes: usize,
    bytes_max: usize,
    /// With their number in the order of reading. More than `limit` at times.
    found: Vec<(u64, Line)>,
    /// The worst time that counts, once there are `limit` lines (nanoseconds since 1970).
    worst: Option<i64>,
    number: u64,
}

impl<'q> Lines<'q> {
    fn of(
        query: &'q LogQuery,
        span: (i64, i64),
        (limit, direction): (usize, Direction),
        bytes_max: usize,
    ) -> Lines<'q> {
        Lines {
            chosen: Chosen::new(query),
            span,
            limit,
            direction,
            bytes: 0,
            bytes_max,
            found: Vec::new(),
            worst: None,
            number: 0,
        }
    }

    fn clear(&mut self) {
        self.chosen = Chosen::new(self.chosen.query);
        self.found.clear();
        (self.worst, self.number, self.bytes) = (None, 0, 0);
    }

    /// Reads slices of the span, the newest first, side by side; `None` where it has to be read in one piece.
    fn read_slices(
        &mut self,
        slices: &[(u64, u64)],
        journal: &Journal<'_>,
        narrowed: &[Match],
        run: &mut Run<'_>,
    ) -> Result<Option<Progress>, QueryError> {
        let (query, span, bytes_max) = (self.chosen.query, self.span, self.bytes_max);
        let (limit, direction) = (self.limit, self.direction);
        let read = |slice, run: &mut Run<'_>| {
            let mut lines = Lines::of(query, span, (limit, direction), bytes_max);
            let progress = journal.read(slice, narrowed, &mut lines, run)?;
            lines.keep();
            Ok((lines, progress))
        };
        let threads = run.limits.threads;
        let found = |lines: &Lines<'_>| lines.found.len();
        let Some((parts, progress)) = slices::read(slices, threads, limit, run, read, found)? else {
            return Ok(None);
        };
        // From the oldest to the newest, as if one had read them.
        for part in parts.into_iter().rev() {
            let before = self.number;
            self.number += part.number;
            self.found.extend(part.found.into_iter().map(|(number, line)| (before + number, line)));
            self.keep();
        }
        Ok(Some(progress))
    }

    fn add(&mut self, line: Line) {
        self.number += 1;
        self.bytes += memory(&line);
        self.found.push((self.number, line));
        if self.found.len() >= self.limit.saturating_mul(2).max(64) || self.bytes > self.bytes_max {
            self.keep();
        }
    }

    /// Keeps the lines that can be in the answer, in its order.
    fn keep(&mut self) {
        let direction = self.direction;
        self.found.sort_by(|(number, line), (other, than)| {
            let order = (line.time, number).cmp(&(than.time, other));
            if direction == Direction::Forward { order } else { order.reverse() }
        });
        self.found.truncate(self.limit);
        self.bytes = self.found.iter().map(|(_, line)| memory(line)).sum();
        if self.found.len() == self.limit {
            self.worst = self.found.last().map(|(_, line)| line.time);
        }
    }

    /// Whether there are lines enough that were written since a time (microseconds since 1970).
    fn has_enough_since(&self, begin: u64) -> bool {
        let begin = i64::try_from(begin).unwrap_or(i64::MAX).saturating_mul(1000);
        self.found.iter().filter(|(_, line)| line.time >= begin).count() >= self.limit
    }

    fn finish(mut self) -> Vec<Line> {
        self.keep();
        self.found.into_iter().map(|(_, line)| line).collect()
    }
}

/// What a line takes in memory (bytes).
pub(super) fn memory(line: &Line) -> usize {
    let labels = [&line.labels.stream, &line.labels.metadata, &line.labels.parsed];
    size_of::<(u64, Line)>() + line.text.capacity() + labels.map(LabelSet::memory).iter().sum::<usize>()
}

/// Whether a line of a time can be in an answer; `worst` is the worst time that counts, if there are lines enough.
fn counts((start, end): (i64, i64), worst: Option<i64>, direction: Direction) -> impl FnOnce(i64) -> bool {
    move |time| {
        let better = |worst| match direction {
            Direction::Forward => time < worst,
            Direction::Backward => time >= worst,
        };
        (start..end).contains(&time) && worst.is_none_or(better)
    }
}

impl Sink for Lines<'_> {
    #[inline]
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let counts = counts(self.span, self.worst, self.direction);
        let mut found = None;
        see_plain(&mut self.chosen, shaper, entry, counts, |line| found = Some(line));
        if let Some(line) = found {
            self.add(line);
        }
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let counts = counts(self.span, self.worst, self.direction);
        let mut found = None;
        see_item(&mut self.chosen, item, counts, |line| found = Some(line));
        if let Some(line) = found {
            self.add(line);
        }
    }
}

impl Asking for Lines<'_> {
    fn is_done(&self) -> bool {
        self.bytes > self.bytes_max
    }

    fn end(&self) -> u64 {
        let worst = self.worst.filter(|_| self.direction == Direction::Forward);
        worst.map_or(u64::MAX, |worst| u64::try_from(worst / 1000).unwrap_or(0))
    }

    fn chosen(&self) -> u64 {
        self.chosen.entries
    }
}

#[cfg(test)]
mod tests;
