//! Live tail: the last lines of a log query, and then lines as they come.

use std::collections::HashSet;
use std::io;

use super::answer::{Answer, Line};
use super::journal::{Journal, Pause};
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
    let mut shown: HashSet<(i64, String)> = lines.iter().map(|line| (line.time, line.text.clone())).collect();
    show(lines).map_err(QueryError::Output)?;
    let live = Live { chosen: Chosen::new(query), found: Vec::new() };
    let mut caught_up = false;
    open.follow(live, run.stop, |live, pause| {
        let mut found = std::mem::take(&mut live.found);
        if !caught_up {
            found.retain(|line| {
                let known = !shown.is_empty() && shown.remove(&(line.time, line.text.clone()));
                let left_out = line.time < now && first.is_some_and(|first| line.time < first);
                !known && !left_out
            });
        }
        if pause == Pause::AtEnd && !caught_up {
            // From now on whatever comes is new, although another host may have written it long ago.
            (caught_up, shown) = (true, HashSet::new());
        }
        if found.is_empty() { Ok(()) } else { show(found).map_err(QueryError::Output) }
    })
}

/// Lines that have come.
struct Live<'q> {
    chosen: Chosen<'q>,
    found: Vec<Line>,
}

impl Sink for Live<'_> {
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Live { chosen, found } = self;
        see_plain(chosen, shaper, entry, |_| true, |line| found.push(line));
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let Live { chosen, found } = self;
        see_item(chosen, item, |_| true, |line| found.push(line));
    }
}
