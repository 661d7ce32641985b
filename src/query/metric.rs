//! Metric queries: the engine of alert rules, over the entries of a span, each read once. Where several threads come to exactly the
//! same, `parts` reads a long span with them.

mod parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use indexmap::IndexMap;

use self::parts::{Asked, Shared};
use super::answer::{Answer, Series, by_labels};
use super::journal::{Asking, Journal};
use super::verdicts::Verdicts;
use super::{MEMORY_MAX, POINTS_MAX, Progress, QueryError, Run, Time, narrow};
use crate::alerts::engine::{Engine, Evaluation};
use crate::alerts::watch::levelled;
use crate::pipeline::{Shaper, Sink, values};
use crate::shape::labels::Outcome;
use crate::shape::stages::Item;
use journald_reader::Entry;
use logql::Expr;
use logql::expr::VectorOp;
use logql::label_set::LabelSet;
use logql::vectors::Vector;

/// Series within one range of a query, before they are added up (count): memory bounds them first.
const INNER_SERIES_MAX: usize = 100_000;

/// Values of all series of an answer (count): each takes some forty bytes when it is written.
const TOTAL_MAX: usize = 400_000;
/// What the windows of all parts of a query may take (bytes): their threads take more besides than one.
const PARTS_MEMORY: usize = MEMORY_MAX / 2;
/// So long behind an evaluation an entry may be read that belongs to it (nanoseconds): files are merged by more than time.
const LATE: i64 = 2_000_000_000;
/// As [`LATE`], where stages may set the time, or a clock was set back.
const LATE_AT_MOST: i64 = 3_600_000_000_000;

/// Answers a metric query.
pub(super) fn ask(
    expr: &Expr,
    time: Time,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<(Answer, Progress), QueryError> {
    let (first, last, step) = match time {
        Time::At(time) => (time.max(0), time.max(0), time.max(1)),
        Time::Span { start, end, step } => {
            // No entry is older than 1970. So no multiple of a step is less than a number can be.
            let (start, end, step) = (start.max(0), end.max(0), step.max(1));
            // Loki's front end moves both ends to multiples of the step, outwards (`pkg/querier/queryrange`, `StepAlign`).
            let first = start.div_euclid(step).saturating_mul(step);
            let last = end.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
            if last.saturating_sub(first) / step > POINTS_MAX {
                return Err(QueryError::Points);
            }
            (first, last, step)
        }
    };
    if let (Expr::Number(value), Time::At(time)) = (expr, time) {
        return Ok((Answer::Scalar(time, *value), Progress::default()));
    }
    let times = Times { first, last, step };
    let mut late = if journal.has_stages() { LATE_AT_MOST } else { LATE };
    let (mut values, progress) = loop {
        let (values, progress) = read(expr, times, late, journal, run)?;
        if !values.came_late {
            break (values, progress);
        }
        // A clock was set back: once more, and wait for what may come late.
        late = LATE_AT_MOST;
    };
    values.advance(last);
    if let Time::At(_) = time {
        values.conclude(last);
    }
    if let Some(error) = values.failed {
        return Err(error);
    }
    let answer = match time {
        Time::At(time) => {
            if !is_ordered(expr) {
                by_labels(&mut values.vector);
            }
            Answer::Vector(time, values.vector)
        }
        Time::Span { .. } => {
            let series = values.matrix.into_iter().map(|(labels, points)| Series { labels, points });
            let mut series: Vec<_> = series.collect();
            // As Loki has them (github.com/prometheus/prometheus, `model/labels`, `Compare`), and it takes no memory.
            series.sort_by(|one, other| one.labels.iter().cmp(other.labels.iter()));
            Answer::Matrix(series)
        }
    };
    Ok((answer, progress))
}

/// Reads the entries of evaluations.
fn read<'r>(
    expr: &Expr,
    times: Times,
    late: i64,
    journal: &Journal<'_>,
    run: &mut Run<'r>,
) -> Result<(Values<'r>, Progress), QueryError> {
    let mut values = Values::new(expr, times, late, run);
    let reach = values.engine.reach();
    if reach == 0 {
        // It looks at no entry.
        return Ok((values, Progress::default()));
    }
    let narrowed = narrow::of_expr(expr, &journal.shape());
    // What lies behind the last range counts for none.
    let nearest = values.engine.nearest();
    let span = (micros(times.first.saturating_sub(reach)), micros(times.last.saturating_sub(nearest)));
    let asked = Asked { expr, times, late, journal, narrowed: &narrowed, span };
    let progress = match parts::read(&asked, &mut values, run)? {
        Some(progress) => progress,
        None => journal.read(span, &narrowed, &mut values, run)?,
    };
    Ok((values, progress))
}

/// Whole microseconds of a time (nanoseconds since 1970).
fn micros(nanoseconds: i64) -> u64 {
    u64::try_from(nanoseconds.div_euclid(1000)).unwrap_or(0)
}

/// Whether a query gives its series an order. To a person, what `topk` chooses is shown with the greatest first.
fn is_ordered(expr: &Expr) -> bool {
    let chooses = |op| matches!(op, VectorOp::Topk | VectorOp::Bottomk);
    expr.sorts() || matches!(expr, Expr::Aggregate(aggregation) if chooses(aggregation.op))
}

/// Values by series.
type Matrix = IndexMap<Arc<LabelSet>, Vec<(i64, f64)>, foldhash::quality::RandomState>;

/// The times of evaluations (nanoseconds since 1970): from the first to the last, each `step` after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    first: i64,
    last: i64,
    step: i64,
}

/// The values found so far.
struct Values<'r> {
    engine: Engine,
    verdicts: Verdicts,
    /// No evaluation is made any more once it is set.
    stop: &'r AtomicBool,
    /// Evaluations up to then.
    deadline: Option<Instant>,
    /// So long behind an evaluation entries may still come (nanoseconds).
    late: i64,
    /// So far behind an evaluation entries count for it (nanoseconds).
    ahead: i64,
    /// The evaluation that was made last (nanoseconds since 1970).
    made: i64,
    /// An entry has come too late for an evaluation, and [`LATE_AT_MOST`] may be long enough.
    came_late: bool,
    series_max: usize,
    /// Values of all series (count).
    points: usize,
    /// What the labels of the matrix take (bytes).
    held: usize,
    /// It makes or sees a part of what is asked for; what the parts share.
    part: Option<&'r Shared>,
    /// The last microsecond before the next part is read.
    border: Option<u64>,
    /// The last evaluation that is wanted (nanoseconds since 1970).
    last: i64,
    matrix: Matrix,
    /// Those of the last evaluation, in its order.
    vector: Vector,
    failed: Option<QueryError>,
    chosen: u64,
}

impl<'r> Values<'r> {
    /// No entry was read yet.
    fn new(expr: &Expr, times: Times, late: i64, run: &Run<'r>) -> Values<'r> {
        let mut engine = Engine::new(INNER_SERIES_MAX);
        engine.limit_memory(MEMORY_MAX);
        engine.limit_labels(MEMORY_MAX);
        engine.watch(expr.clone(), times.step);
        let mut values = Values {
            verdicts: Verdicts::new(engine.filters_lines()),
            ahead: engine.ahead(),
            engine,
            late,
            made: i64::MIN,
            came_late: false,
            stop: run.stop,
            deadline: run.deadline,
            series_max: run.limits.series,
            points: 0,
            held: 0,
            part: None,
            border: None,
            last: times.last,
            matrix: IndexMap::default(),
            vector: Vec::new(),
            failed: None,
            chosen: 0,
        };
        values.advance(times.first.saturating_sub(1));
        values
    }

    /// From now on it is one of several parts, which have the memory of one together. One that has to leave something out cannot be
    /// joined, and ends at once.
    fn be_part(&mut self, shared: &'r Shared) {
        self.engine.limit_memory(PARTS_MEMORY / shared.parts);
        self.part = Some(shared);
    }

    /// Whether evaluations wait for entries that come much too late.
    fn waits(&self) -> bool {
        self.late >= LATE_AT_MOST
    }

    /// Makes the evaluations up to a time (nanoseconds since 1970), one after another: there may be thousands, and each may
    /// take long.
    fn advance(&mut self, to: i64) {
        if self.engine.next().is_none() {
            // It learns when the first one is.
            self.engine.advance(to, |_| {});
        }
        let to = to.min(self.last);
        while let Some(time) = self.engine.next().filter(|time| *time <= to)
            && self.goes_on()
        {
            let Values { engine, matrix, vector, failed, .. } = self;
            let known = matrix.len();
            engine.advance(time, |evaluation| *failed = take(evaluation, matrix, vector).err());
            let held = matrix.keys().skip(known).map(|labels| labels.memory()).sum::<usize>();
            self.held += held;
            if let Some(shared) = self.part {
                shared.count(self.vector.len(), held);
            }
            if self.failed.is_none() && self.held > MEMORY_MAX {
                self.failed = Some(QueryError::Memory);
            }
            self.made = time;
            self.points += self.vector.len();
            if self.failed.is_none() && self.matrix.len() > self.series_max {
                self.failed = Some(QueryError::Series(self.series_max));
            }
            if self.failed.is_none() && self.points > TOTAL_MAX {
                self.failed = Some(QueryError::Total(TOTAL_MAX));
            }
        }
    }

    /// An instant query has a single evaluation. Where the query was stopped before it, makes it now, so that what was found is
    /// shown.
    fn conclude(&mut self, at: i64) {
        let Values { engine, stop, matrix, vector, failed, .. } = self;
        if stop.load(Relaxed) && failed.is_none() {
            engine.advance(at, |evaluation| *failed = take(evaluation, matrix, vector).err());
        }
    }

    /// Whether another evaluation is wanted.
    fn goes_on(&mut self) -> bool {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.failed.get_or_insert(QueryError::Deadline);
        }
        self.failed.is_none() && !self.stop.load(Relaxed) && !self.part.is_some_and(Shared::is_given_up)
    }

    fn observe<'m>(
        &mut self,
        time: i64,
        labels: &'m Arc<LabelSet>,
        line: &'m str,
        metadata: impl Iterator<Item = (&'m str, &'m str)> + Clone,
    ) {
        self.came_late |= time.saturating_sub(self.ahead) <= self.made && !self.waits();
        self.advance(time.saturating_sub(self.late).saturating_sub(self.ahead));
        let level = levelled(labels, metadata.clone(), line);
        self.engine.observe(time, labels, line, metadata.chain(level));
        // What would fail in the end fails now: it takes no longer, and no more memory, than it has to. A part has less than all.
        if self.part.is_none() && self.failed.is_none() && self.engine.will_be_crowded(self.last) {
            self.failed = Some(QueryError::Memory);
        }
    }
}

fn take(evaluation: Evaluation, matrix: &mut Matrix, vector: &mut Vector) -> Result<(), QueryError> {
    let found = evaluation.result?;
    if evaluation.crowded.is_some() {
        return Err(QueryError::Memory);
    }
    for sample in &found {
        matrix.entry(sample.labels.clone()).or_default().push((evaluation.time, sample.value));
    }
    *vector = found;
    Ok(())
}

impl Sink for Values<'_> {
    #[inline]
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Shaper { labeler, metadata, liner, .. } = shaper;
        let Outcome::Kept(labels) = labeler.labels(entry) else { return };
        if !self.engine.wants(labels) {
            return;
        }
        self.chosen += 1;
        let engine = &self.engine;
        let Some(line) = self.verdicts.line(liner, entry, |line| engine.may_observe(line)) else { return };
        let time = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
        let metadata: Vec<_> = values(metadata, entry).collect();
        let metadata = metadata.iter().map(|(name, value)| (*name, value.as_ref()));
        self.observe(time, labels, &line, metadata);
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        if self.engine.wants(&item.labels) {
            self.chosen += 1;
            let metadata = item.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            self.observe(item.timestamp_ns, &item.labels, &item.line, metadata);
        }
    }
}

impl Asking for Values<'_> {
    fn is_done(&self) -> bool {
        if let Some(shared) = self.part
            && !self.engine.is_whole()
        {
            shared.give_up();
        }
        self.failed.is_some() || self.came_late || self.part.is_some_and(Shared::is_given_up)
    }

    fn border(&self) -> Option<u64> {
        self.border
    }

    fn chosen(&self) -> u64 {
        self.chosen
    }
}

#[cfg(test)]
mod tests;
