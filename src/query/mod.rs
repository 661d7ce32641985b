//! Queries: LogQL asked of the journal itself, with no Loki.
//!
//! An entry goes the way that it goes to Loki: labels, metadata, stages, retention. Then a query looks at it, where a batch
//! would take it. So the answer is what Loki would give after the same journal was shipped.
//!
//! ```text
//! Question ─▶ narrow: what of it the reader's index knows ─▶ journal: entries of a span ─▶ pipeline ─▶ logs   ─▶ Answer
//!                                                                                                  └▶ metric ─▶
//! ```
//!
//! - [`narrow`]: which fields of the journal a query asks for
//! - [`journal`]: the entries of a span, from the journal's files
//! - `logs`, `metric`, [`streams`], [`live`]: what is made of them; `slices`: a long span, read by several threads
//! - `verdicts`: what line filters said of messages that recur
//! - [`answer`]: what comes out; [`response`] writes it as Loki does, [`print`](mod@print) for a person
//! - [`api`]: Loki's read API
//! - [`serve`], `socket`: the API's connections, how much may be asked, and live tail; `gate`, `certificates`: who may ask;
//!   `reader`: a client that has to read; `page`: the explorer; [`section`]: the section `query:`; [`source`]: which journal
//! - `limits`: what may be asked for, and what an answer may have
//! - [`verify`]: the journal compared with what is in Loki, and what is missing sent again
//! - [`habits`], [`boots`]: journalctl's options as matches of the journal

pub mod answer;
pub mod api;
mod asked;
pub mod boots;
mod certificates;
mod closing;
mod connections;
mod gate;
pub mod habits;
mod handshake;
pub mod journal;
mod legacy;
mod limits;
pub mod live;
mod logs;
mod metric;
pub mod narrow;
mod page;
mod places;
pub mod print;
mod reader;
pub mod response;
pub mod section;
pub mod serve;
mod slices;
mod socket;
pub mod source;
pub mod streams;
mod verdicts;
pub mod verify;
mod worded;

use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use logql::Query;
use logql::vectors::EvalError;

pub use self::answer::Answer;
use self::journal::Journal;
pub use self::limits::{
    Binary, Decimal, ENTRIES_MAX, GoDuration, LINES_MAX, Limits, PrometheusDuration, SERIES_MAX,
};
pub use self::slices::{Edges, Threads};
use crate::journal::follow::WatchError;
use crate::journal::unreadable;
use journald_reader::OpenError;

/// Most points of a series in an answer (count), as Loki's own bound (`pkg/querier/queryrange/limits.go`).
pub const POINTS_MAX: i64 = 11_000;
/// What the windows of a metric query may take (bytes).
pub const MEMORY_MAX: usize = 16 << 20;

/// Which end of the span comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest entry first.
    Forward,
    /// The newest entry first.
    Backward,
}

/// When a query is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Of metric queries: the value at this time (nanoseconds since 1970).
    At(i64),
    /// Of all queries: from `start`, inclusive, to `end`, which log queries exclude and metric queries include (nanoseconds
    /// since 1970).
    Span {
        /// The beginning.
        start: i64,
        /// The end.
        end: i64,
        /// Between two values of a metric query (nanoseconds).
        step: i64,
    },
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub query: Query,
    /// When.
    pub time: Time,
    /// Of log queries: the most lines (count), from the end that comes first.
    pub limit: usize,
    /// Of log queries: which end comes first.
    pub direction: Direction,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The journal cannot be read.
    #[error("{}", unreadable::told(.0))]
    Journal(#[from] OpenError),
    /// The journal cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A metric query has no value.
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    /// A longer span than a query may have.
    #[error("the query time range exceeds the limit (query length: {0}, limit: {1})")]
    Span(GoDuration, PrometheusDuration),
    /// More bytes than a query may read.
    #[error(
        "the query would read too many bytes (query: {0}, limit: {1}); consider adding more specific stream selectors or \
         reduce the time range of the query"
    )]
    Read(Binary, Binary),
    /// More series than a query may have.
    #[error(
        "maximum number of series ({0}) reached for a single query; consider reducing query cardinality by adding more \
         specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() or \
         topk()"
    )]
    Series(usize),
    /// More values than an answer may have.
    #[error("the answer has more than {0} values: use a larger step, a shorter span, or fewer series")]
    Total(usize),
    /// More lines than an answer may have.
    #[error("the lines of the answer take more than {} MiB: ask for fewer, or for a shorter span", .0 >> 20)]
    Bytes(usize),
    /// More memory than windows may take.
    #[error(
        "the query needs more than {} MiB for its windows: shorten its ranges, or sum by fewer labels",
        MEMORY_MAX >> 20
    )]
    Memory,
    /// Too many points.
    #[error(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter"
    )]
    Points,
    /// A log query was asked for its value at one time.
    #[error(
        "log queries are not supported as an instant query type, please change your query to a range query type"
    )]
    Instant,
    /// What comes cannot be shown.
    #[error("{0}")]
    Output(io::Error),
    /// It takes longer than it may.
    #[error("the query timed out: shorten its span")]
    Deadline,
}

/// What bounds the work on a question, and who wants to know how far it is.
pub struct Run<'r> {
    /// Set to stop early: the answer has what was found so far.
    pub stop: &'r AtomicBool,
    /// Reading ends then with [`QueryError::Deadline`].
    pub deadline: Option<Instant>,
    /// What may be asked for.
    pub limits: Limits,
    /// What was read from journal files so far (bytes).
    pub bytes_read: u64,
    /// Called now and then.
    pub progress: &'r mut dyn FnMut(&Progress),
}

/// How far the work on a question is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries that were read (count).
    pub entries: u64,
    /// Entries of streams that the query chooses (count).
    pub chosen: u64,
    /// When the entry was written that was read last (microseconds since 1970).
    pub at: u64,
    /// The time that is read (microseconds since 1970).
    pub span: (u64, u64),
    /// What was read near both ends of it.
    pub edges: Edges,
}

/// Answers a question from a journal.
///
/// # Errors
/// The journal cannot be read, the question asks too much, or its value cannot be computed.
pub fn ask(
    question: &Question,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<(Answer, Progress), QueryError> {
    match (&question.query, question.time) {
        (Query::Logs(_), Time::At(_)) => Err(QueryError::Instant),
        (Query::Logs(query), Time::Span { start, end, .. }) => {
            run.limits.span((start, end))?;
            logs::ask(query, (start, end), question, journal, run)
        }
        (Query::Metric(expr), time) => {
            if let Time::Span { start, end, .. } = time {
                run.limits.span((start, end))?;
            }
            let mut longest = 0;
            expr.ranges(&mut |range, _| longest = longest.max(range.range));
            run.limits.length(longest)?;
            metric::ask(expr, time, journal, run)
        }
    }
}
