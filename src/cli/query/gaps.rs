//! What a metric query over time leaves out: where its values lie further apart than they look back, nobody counts what is between.

use std::time::Duration;

use crate::query::{Question, Time};
use crate::yaml::units::format_days;
use logql::Query;

/// Says that entries between the ranges of a metric query are not counted, and what counts them. `None` where there are none.
pub(super) fn gaps(question: &Question) -> Option<String> {
    let (Query::Metric(expr), Time::Span { start, end, step }) = (&question.query, question.time) else {
        return None;
    };
    let mut shortest = i64::MAX;
    expr.ranges(&mut |range, _| shortest = shortest.min(range.range));
    let apart = shortest < step && end.saturating_sub(start) > shortest;
    apart.then(|| {
        let words = |nanoseconds: i64| format_days(Duration::from_nanos(nanoseconds.unsigned_abs()));
        let (shortest, step) = (words(shortest), words(step));
        format!(
            "there is a value every {step}, of the {shortest} before it: entries between do not count. \
             --step {shortest} or a range of [{step}] takes them in"
        )
    })
}
