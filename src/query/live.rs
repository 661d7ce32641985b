//! Live tail: the last lines of a log query, and then lines as they come.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io;

use super::answer::{Answer, Line};
use super::journal::{Journal, Pause};
use super::logs::{Chosen, memory, see_item, see_plain};
use super::{Direction, QueryError, Question, Run, Time, ask, narrow};
use crate::pipeline::{Shaper, Sink};
use crate::shape::stages::Item;
use journald_reader::Entry;
use logql::{LogQuery, Query};

/// Entries may become visible so much later than others (nanoseconds): journald writes several files.
const LATE: i64 = 5_000_000_000;
/// Lines are handed on once they take so much in memory (bytes), however few they are.
const FOUND_MAX: usize = 1 << 20;

/// Shows the last `limit` lines since `start`, the newest last, and then lines as they come, until `run.stop` is set. Times in
/// nanoseconds since 1970; `now` is the time now.
///
/// # Errors
/// The journal cannot be read, or `show` fails.
pub fn tail(
    query: &LogQuery,
    (start, now): (i64, i64),
    limit: usize,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
    show: &mut dyn FnMut(Vec<Line>) -> io::Result<()>,
) -> Result<(), QueryError> {
    let question = Question {
        query: Query::Logs(query.clone()),
        time: Time::Span { start, end: now.saturating_add(1), step: 1 },
        limit,
        direction: Direction::Backward,
    };
    let since = now.saturating_sub(LATE).max(start);
    // Before the last lines are asked for: what is written meanwhile is in both, or comes later.
    let narrowed = [narrow::of_query(query, &journal.shape())];
    let open = journal.open(u64::try_from(since.div_euclid(1000)).unwrap_or(0), &narrowed)?;
    let (answer, _) = ask(&question, journal, run)?;
    let Answer::Lines(mut lines) = answer else { return Ok(()) };
    lines.reverse();
    // Of what is there, only what was not there yet: neither what is shown here, nor what `limit` left out.
    let first = lines.first().map(|line| line.time).filter(|_| lines.len() >= limit);
    let first = if limit == 0 { Some(now) } else { first };
    let hasher = std::hash::RandomState::new();
    let known = |line: &Line| (line.time, hasher.hash_one(&line.text));
    let mut shown: HashSet<(i64, u64)> = lines.iter().map(known).collect();
    show(lines).map_err(QueryError::Output)?;
    let live = Live { chosen: Chosen::new(query), found: Vec::new(), bytes: 0 };
    let mut caught_up = false;
    open.follow(
        live,
        |live| live.bytes >= FOUND_MAX,
        run.stop,
        |live, pause| {
            let mut found = std::mem::take(&mut live.found);
            live.bytes = 0;
            if !caught_up {
                found.retain(|line| {
                    let known = !shown.is_empty() && shown.remove(&known(line));
                    let left_out = line.time < now && first.is_some_and(|first| line.time < first);
                    !known && !left_out
                });
            }
            if pause == Pause::AtEnd && !caught_up {
                // From now on whatever comes is new, although another host may have written it long ago.
                (caught_up, shown) = (true, HashSet::new());
            }
            if found.is_empty() { Ok(()) } else { show(found).map_err(QueryError::Output) }
        },
    )
}

/// Lines that have come.
struct Live<'q> {
    chosen: Chosen<'q>,
    found: Vec<Line>,
    /// What they take in memory (bytes).
    bytes: usize,
}

impl Live<'_> {
    fn add(&mut self, line: Option<Line>) {
        if let Some(line) = line {
            self.bytes += memory(&line);
            self.found.push(line);
        }
    }
}

impl Sink for Live<'_> {
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let mut found = None;
        see_plain(&mut self.chosen, shaper, entry, |_| true, |line| found = Some(line));
        self.add(found);
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let mut found = None;
        see_item(&mut self.chosen, item, |_| true, |line| found = Some(line));
        self.add(found);
    }
}
