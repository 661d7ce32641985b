//! Live tail: the last lines of a log query, and then lines as they come.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::AtomicBool;

use super::answer::{Answer, Line};
use super::journal::Journal;
use super::logs::{Chosen, see_item, see_plain};
use super::{Direction, QueryError, Question, Run, Time, ask, narrow};
use crate::pipeline::{Shaper, Sink};
use crate::shape::stages::Item;
use journald_reader::Entry;
use logql::{LogQuery, Query};

/// Entries may become visible so much later than others (nanoseconds): journald writes several files.
const LATE: i64 = 5_000_000_000;

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
    let (answer, _) = ask(&question, journal, run)?;
    let Answer::Lines(mut lines) = answer else { return Ok(()) };
    lines.reverse();
    let since = now.saturating_sub(LATE).max(start);
    // Of the last seconds, only what was not there yet: neither what is shown here, nor what `limit` left out.
    let first = lines.first().map(|line| line.time).filter(|_| lines.len() >= limit);
    let first = if limit == 0 { Some(now) } else { first };
    let mut shown: HashSet<(i64, String)> =
        lines.iter().filter(|line| line.time >= since).map(|line| (line.time, line.text.clone())).collect();
    show(lines).map_err(QueryError::Output)?;
    follow(query, since, journal, run.stop, &mut |mut lines| {
        lines.retain(|line| {
            let known = !shown.is_empty() && shown.remove(&(line.time, line.text.clone()));
            let left_out = line.time < now && first.is_some_and(|first| line.time < first);
            !known && !left_out
        });
        if lines.is_empty() { Ok(()) } else { show(lines) }
    })
}

/// Shows the lines that pass as they come, from a time on (nanoseconds since 1970), until it is told to stop.
fn follow(
    query: &LogQuery,
    start: i64,
    journal: &Journal<'_>,
    stop: &AtomicBool,
    show: &mut dyn FnMut(Vec<Line>) -> io::Result<()>,
) -> Result<(), QueryError> {
    let narrowed = [narrow::of_query(query, &journal.shape())];
    let from = u64::try_from(start.div_euclid(1000)).unwrap_or(0);
    let live = Live { chosen: Chosen::new(query), start, found: Vec::new() };
    journal.follow(from, &narrowed, live, stop, |live| {
        let found = std::mem::take(&mut live.found);
        if found.is_empty() { Ok(()) } else { show(found).map_err(QueryError::Output) }
    })
}

/// Lines that have come.
struct Live<'q> {
    chosen: Chosen<'q>,
    start: i64,
    found: Vec<Line>,
}

impl Sink for Live<'_> {
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Live { chosen, start, found } = self;
        see_plain(chosen, shaper, entry, |time| time >= *start, |line| found.push(line));
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let Live { chosen, start, found } = self;
        see_item(chosen, item, |time| time >= *start, |line| found.push(line));
    }
}
