//! A metric query read by several threads: for one time, what each thread has kept of its entries is joined; for times after one
//! another, each thread makes the evaluations of a part of the span, from entries of which it reads those that they look back to.
//!
//! Both ways come to exactly what one thread comes to, or are given up: each evaluation sees the same entries, and no more than
//! counts, lengths and extremes is made of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::{INNER_SERIES_MAX, Matrix, TOTAL_MAX, Times, Values, micros};
use crate::alerts::engine::Engine;
use crate::query::journal::Journal;
use crate::query::{MEMORY_MAX, Progress, QueryError, Run, Threads, slices};
use journald_reader::Match;
use logql::Expr;

/// A part of the span is at least so many times as long as the evaluations look back: what several threads read is read several times.
const LOOK_BACK_PART: u64 = 2;

/// What the parts of a query share.
#[derive(Debug)]
pub(super) struct Shared {
    /// How many there are, which have the memory of one together.
    pub(super) parts: usize,
    /// One of them has left something out, so that the span has to be read in one piece: all end at once.
    given_up: AtomicBool,
    /// Values that all have (count), and what their labels take (bytes).
    points: AtomicUsize,
    held: AtomicUsize,
}

impl Shared {
    pub(super) fn of(parts: usize) -> Shared {
        let parts = parts.max(1);
        Shared {
            parts,
            given_up: AtomicBool::new(false),
            points: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
        }
    }

    /// Series that a range may have in one of them (count).
    fn series(&self) -> usize {
        INNER_SERIES_MAX / self.parts
    }

    /// One of them cannot be joined.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// Counts new values of one of them, and what their labels take (bytes).
    pub(super) fn count(&self, points: usize, held: usize) {
        let all = self.points.fetch_add(points, Relaxed) + points;
        if all > TOTAL_MAX || self.held.fetch_add(held, Relaxed) + held > MEMORY_MAX {
            self.give_up();
        }
    }
}

/// Evaluations of which one thread makes those of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    times: Times,
    /// What is read for them (microseconds since 1970, both ends inclusive).
    span: (u64, u64),
    /// The last microsecond before the next part is read.
    border: u64,
}

/// What a query asks of a journal.
pub(super) struct Asked<'a> {
    pub(super) expr: &'a Expr,
    pub(super) times: Times,
    pub(super) late: i64,
    pub(super) journal: &'a Journal<'a>,
    pub(super) narrowed: &'a [Match],
    /// What is read for it (microseconds since 1970, both ends inclusive).
    pub(super) span: (u64, u64),
}

/// Reads a query by several threads into `values`; `None` where one has to do it alone.
///
/// # Errors
/// Nothing can be read, or the time is over.
pub(super) fn read(
    asked: &Asked<'_>,
    values: &mut Values<'_>,
    run: &mut Run<'_>,
) -> Result<Option<Progress>, QueryError> {
    if asked.journal.has_stages() || !values.engine.joins() {
        return Ok(None);
    }
    let Times { first, last, .. } = asked.times;
    if first == last {
        return joined(asked, values, run);
    }
    match asked.expr.is_unordered() && !values.waits() {
        true => beside(asked, values, run),
        false => Ok(None),
    }
}

/// One evaluation: slices of the span, side by side, and what they have together.
fn joined(
    asked: &Asked<'_>,
    values: &mut Values<'_>,
    run: &mut Run<'_>,
) -> Result<Option<Progress>, QueryError> {
    let slices = slices::cut(asked.journal, asked.span, asked.narrowed, run.limits.threads)?;
    if slices.is_empty() {
        return Ok(None);
    }
    let (shared, threads) = (Shared::of(slices.len()), run.limits.threads);
    let read = |slice, run: &mut Run<'_>| {
        let mut values = Values::new(asked.expr, asked.times, asked.late, run);
        values.be_part(&shared);
        let progress = asked.journal.read(slice, asked.narrowed, &mut values, run)?;
        values.failed.map_or(Ok((values.engine, progress)), Err)
    };
    // All of them are needed.
    let read = slices::read(&slices, threads, usize::MAX, run, read, |_: &Engine| 0)?;
    let Some((parts, progress)) = read else { return alone(asked, values, run) };
    // From the oldest to the newest, as if one had read them.
    let mut parts = parts.into_iter().rev();
    let Some(mut engine) = parts.next() else { return alone(asked, values, run) };
    engine.limit_memory(MEMORY_MAX);
    let whole = parts.all(|later| engine.join(later));
    if !whole || shared.is_given_up() {
        drop((engine, parts));
        return alone(asked, values, run);
    }
    values.engine = engine;
    Ok(Some(progress))
}

/// Evaluations one after another: each thread makes those of a part of the span.
fn beside(
    asked: &Asked<'_>,
    values: &mut Values<'_>,
    run: &mut Run<'_>,
) -> Result<Option<Progress>, QueryError> {
    let reach = values.engine.reach();
    let Threads { most, slice } = run.limits.threads;
    let threads = Threads { most, slice: slice.max(micros(reach).saturating_mul(LOOK_BACK_PART)) };
    let slices = slices::cut(asked.journal, asked.span, asked.narrowed, threads)?;
    let parts = cut(&slices, (asked.times, asked.span), (reach, values.ahead));
    if parts.len() < 2 {
        return Ok(None);
    }
    let shared = Shared::of(parts.len());
    let read = |span, run: &mut Run<'_>| {
        let part = parts.iter().find(|part| part.span == span);
        let times = part.map_or(asked.times, |part| part.times);
        let mut values = Values::new(asked.expr, times, asked.late, run);
        values.be_part(&shared);
        values.engine.limit_series(shared.series());
        values.border = part.map(|part| part.border);
        let progress = asked.journal.read(span, asked.narrowed, &mut values, run)?;
        values.advance(times.last);
        match values.failed {
            Some(QueryError::Deadline) => return Err(QueryError::Deadline),
            // One thread tells what is wrong: it may be something else before that.
            Some(_) => shared.give_up(),
            None if values.came_late => shared.give_up(),
            None => {}
        }
        Ok((values.matrix, progress))
    };
    let spans: Vec<_> = parts.iter().map(|part| part.span).collect();
    let read = slices::read(&spans, threads, usize::MAX, run, read, |_: &Matrix| 0)?;
    let Some((matrices, progress)) = read.filter(|_| !shared.is_given_up()) else {
        return alone(asked, values, run);
    };
    let mut all = Matrix::default();
    for (labels, points) in matrices.into_iter().rev().flatten() {
        all.entry(labels).or_default().extend(points);
    }
    if all.len() > values.series_max {
        drop(all);
        return alone(asked, values, run);
    }
    values.engine.skip(asked.times.last);
    values.matrix = all;
    Ok(Some(progress))
}

/// Reads the span in one piece where parts were given up. It has a thread of its own, because that takes over memory which the
/// threads of the parts have left behind, and the thread of the caller does not.
fn alone(
    asked: &Asked<'_>,
    values: &mut Values<'_>,
    run: &mut Run<'_>,
) -> Result<Option<Progress>, QueryError> {
    let values = Mutex::new(values);
    let read = |span, run: &mut Run<'_>| {
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(((), asked.journal.read(span, asked.narrowed, &mut **values, run)?))
    };
    let read = slices::read(&[asked.span], Threads::ONE, usize::MAX, run, read, |()| 0)?;
    Ok(read.map(|(_, progress)| progress))
}

/// The evaluations of slices, the newest first: each part makes those of its time, and reads what they look back to.
fn cut(slices: &[(u64, u64)], asked: (Times, (u64, u64)), (reach, ahead): (i64, i64)) -> Vec<Part> {
    let (Times { first, last, step }, span) = asked;
    let begins_at = |time: i64| if time == first { span.0 } else { micros(time.saturating_sub(reach)) };
    // The first evaluation of each part, the oldest first.
    let mut begins = vec![first];
    for (begin, _) in slices.iter().rev() {
        let begin = i64::try_from(*begin).unwrap_or(i64::MAX).saturating_mul(1000);
        let number = begin.saturating_sub(first).saturating_add(step - 1).div_euclid(step).max(0);
        let time = first.saturating_add(number.saturating_mul(step));
        if begins.last().is_some_and(|before| *before < time && begins_at(*before) < begins_at(time)) {
            begins.push(time);
        }
    }
    begins.retain(|time| *time <= last);
    let next = begins.iter().skip(1).map(|next| (*next - step, begins_at(*next) - 1)).chain([(last, span.1)]);
    let part = |(from, (to, border)): (&i64, (i64, u64))| Part {
        times: Times { first: *from, last: to, step },
        span: (begins_at(*from), micros(to.saturating_add(ahead)).max(border).min(span.1)),
        border,
    };
    let mut parts: Vec<Part> = begins.iter().zip(next).map(part).collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::config::Config;
    use crate::query::Limits;
    use crate::shape::Sections;
    use journald_reader::Scope;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_evaluation_is_of_one_part_which_reads_what_it_looks_back_to(
            numbers in (0..50i64, 0..200i64), step in 1..5000i64, reach in 1..20_000i64, ahead in 0..3000i64,
            places in prop::collection::vec(0..1000u64, 0..6),
        ) {
            let (first, last) = (numbers.0 * step, (numbers.0 + numbers.1) * step);
            let times = Times { first, last, step };
            let span = (micros(first - reach), micros(last + ahead));
            let mut places = places;
            places.sort_unstable();
            places.dedup();
            let begins: Vec<u64> = [span.0].into_iter().chain(places.into_iter().filter(|place| *place > span.0)).collect();
            let slices: Vec<_> = begins.iter().rev().map(|begin| (*begin, *begin)).collect();
            let parts = cut(&slices, (times, span), (reach, ahead));
            prop_assert!(!parts.is_empty() && parts.len() <= slices.len().max(1));
            let mut made = Vec::new();
            for part in parts.iter().rev() {
                let Times { first, last, .. } = part.times;
                prop_assert!(first <= last);
                made.extend((first..=last).step_by(step as usize));
                prop_assert!(part.span.0 <= micros(first - reach) && part.span.1 >= micros(last + ahead), "{:?}", part);
                prop_assert!(part.border <= part.span.1, "{:?}", part);
            }
            let all: Vec<_> = (first..=last).step_by(step as usize).collect();
            prop_assert_eq!(made, all);
            prop_assert_eq!((parts.last().unwrap().span.0, parts[0].span.1), span);
            prop_assert!(parts.windows(2).all(|pair| pair[1].border + 1 == pair[0].span.0), "{:?}", parts);
            prop_assert!(parts.windows(2).all(|pair| pair[1].span.0 < pair[0].span.0), "{:?}", parts);
        }
    }

    /// How many series there are, or why there are none; `None` where one thread has to read the demonstration's journal. `bounds`: of
    /// series and threads.
    fn read_beside(query: &str, bounds: (usize, usize)) -> Option<Result<usize, QueryError>> {
        const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/journal");
        const MINUTE: i64 = 60_000_000_000;
        let config = Config::parse("loki: []", "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let journal = Journal::new(Scope::of([DEMO.into()]), Sections::from(&config), None);
        let (stop, expr) = (AtomicBool::new(false), Expr::parse(query).unwrap());
        let (from, to) = journal.extent((0, u64::MAX / 2), &[]).unwrap().unwrap();
        let [first, last] = [from, to].map(|time| time as i64 * 1000 / MINUTE * MINUTE);
        let times = Times { first, last: last + MINUTE, step: MINUTE };
        let limits =
            Limits { series: bounds.0, threads: Threads { most: bounds.1, slice: 1 }, ..Limits::default() };
        let mut run = Run { stop: &stop, deadline: None, limits, bytes_read: 0, progress: &mut |_| {} };
        let late = super::super::LATE;
        let mut values = Values::new(&expr, times, late, &run);
        let span = (micros(times.first - values.engine.reach()), micros(times.last));
        let asked = Asked { expr: &expr, times, late, journal: &journal, narrowed: &[], span };
        let read = read(&asked, &mut values, &mut run).unwrap();
        values.advance(times.last);
        read.map(|_| values.failed.map_or(Ok(values.matrix.len()), Err))
    }

    #[test]
    fn several_threads_read_where_they_come_to_the_same() {
        const ENTRIES: &str = r#"count_over_time({job=~".+"}[5m])"#;
        let read = |query: &str| read_beside(query, (500, 2)).is_some();
        assert!(matches!(read_beside(ENTRIES, (500, 2)), Some(Ok(4..))));
        for query in [
            format!("sum by (unit) ({ENTRIES})"),
            format!("max(sum by (unit) ({ENTRIES})) - 1 > 0"),
            r#"sum by (unit) (rate({job=~".+"}[5m])) / on (unit) count by (unit) (rate({job=~".+"}[10m]))"#
                .into(),
        ] {
            assert!(read(&query), "{query}");
        }
        for query in [
            format!("avg({ENTRIES})"),
            format!("topk(2, {ENTRIES})"),
            format!("sum({ENTRIES} / 3)"),
            r#"sum(sum by (unit) (rate({job=~".+"}[5m])))"#.into(),
            r#"avg_over_time({job=~".+"} | logfmt | unwrap n [5m])"#.into(),
        ] {
            assert!(!read(&query), "{query}");
        }
        assert!(read_beside(ENTRIES, (500, 1)).is_none());
        // There are more series than there may be: one thread tells of it.
        assert!(matches!(read_beside(ENTRIES, (2, 2)), Some(Err(QueryError::Series(2)))));
    }
}
