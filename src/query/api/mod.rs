//! Loki's read API, answered from the journal (grafana/loki, `docs/sources/reference/loki-http-api.md`,
//! `pkg/querier/http.go`, `pkg/loghttp`): what a request asks for becomes a [`Question`], and the answer has Loki's shape and,
//! where there is none, Loki's words.

mod drilldown;
mod fields;
mod params;
mod path;
pub mod rules;
pub mod tail;
mod volume;

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, by_labels};
use super::journal::Journal;
use super::legacy;
use super::response::{self, Data, Stats};
use super::streams::{Streams, is_any};
use super::{Direction, Progress, QueryError, Question, Run, Time, ask};
use logql::label_set::cut;
use logql::vectors::EvalError;
use logql::{LogQuery, ParseError, Query};

pub use self::params::Params;
use self::params::{Bounds, Range, Refused};
use self::path::Path;

/// Loki's own words for a path that it does not have.
const NOT_FOUND: &str = "404 page not found\n";
const JSON: &str = "application/json; charset=UTF-8";
/// Loki writes its content type in three ways.
const JSON_LOWER: &str = "application/json; charset=utf-8";
const JSON_BARE: &str = "application/json";
const YAML: &str = "application/yaml";
/// The type of what Loki says in words.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Longest text of an error (bytes): it may quote a part of the query, which may be long.
const ERROR_MAX: usize = 2 << 10;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its path, as it was sent.
    pub path: String,
    /// Its parameters, of the address and of a form in its body.
    pub params: Params,
    /// How lines are to be encoded (`X-Loki-Response-Encoding-Flags`), such as with labels beside them ([`response::CATEGORIZE`]).
    pub flags: Vec<String>,
    /// The time now (nanoseconds since 1970).
    pub now: i64,
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// The longest body of a reply (bytes): with what it is made of, a query takes at most three times as much.
const BODY_MAX: usize = 16 << 20;

/// Takes a body until it is too long.
struct Body(Vec<u8>);

impl io::Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > BODY_MAX {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reply {
    fn json(value: &impl Serialize) -> Result<Reply, Refused> {
        let mut body = Body(Vec::new());
        let written = serde_json::to_writer(&mut body, value).map_err(io::Error::from);
        written.and_then(|()| io::Write::write_all(&mut body, b"\n")).map_err(|_| {
            Refused::new(format!(
                "the answer is longer than {} MiB: ask for less, or for a shorter span",
                BODY_MAX >> 20
            ))
        })?;
        // What serde_json writes is UTF-8.
        let body = String::from_utf8(body.0).unwrap_or_default();
        Ok(Reply { status: 200, content_type: JSON, body })
    }

    /// A reply of one sentence.
    pub fn text(status: u16, text: impl Into<String>) -> Reply {
        Reply { status, content_type: TEXT, body: text.into() }
    }
}

impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Refused {
        let status = match error {
            QueryError::Journal(_) | QueryError::Watch(_) | QueryError::Output(_) => 500,
            // Loki counts it among its own failures (`pkg/util/server/error.go`).
            QueryError::Evaluation(EvalError::Matching(_)) => 500,
            QueryError::Deadline => 504,
            _ => 400,
        };
        Refused { status, text: error.to_string() }
    }
}

/// A query as Loki's API takes it.
fn parse(text: &str) -> Result<Query, Refused> {
    read(text, Query::parse)
}

/// Reads a query, unless it has bytes that are no UTF-8. Loki tells the place of the word in which they are (Go,
/// `text/scanner`).
fn read(text: &str, read: impl Fn(&str) -> Result<Query, ParseError>) -> Result<Query, Refused> {
    if let Some(at) = text.find(params::NO_UTF8) {
        let string = text.get(..at).unwrap_or_default().rfind(['"', '`']).unwrap_or(at);
        return Err(Refused::new(format!("parse error at {}: invalid UTF-8 encoding", place(text, string))));
    }
    read(text).map_err(|error| Refused::new(in_lokis_words(text, &error)))
}

/// A place in a text, in lines and columns from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, col {column}")
}

/// A selector, with stages or not.
fn parse_logs(text: &str) -> Result<LogQuery, Refused> {
    match parse(text)? {
        Query::Logs(query) => Ok(query),
        Query::Metric(_) => Err(Refused::new("only log selector is supported")),
    }
}

/// A selector without stages (grafana/loki, `pkg/logql/syntax/parser.go`, `ParseMatchers`).
fn matchers(text: &str) -> Result<LogQuery, Refused> {
    match parse(text)? {
        Query::Logs(query) if query.stages.is_empty() => Ok(query),
        _ => Err(Refused::new("only label matchers are supported")),
    }
}

/// A mistake as Loki tells it: with its place if it names one, or with the stage, where it is found by running that.
fn in_lokis_words(text: &str, error: &ParseError) -> String {
    if let Some(words) = &error.placeless {
        return format!("parse error : {words}");
    }
    if text.trim().is_empty() {
        return "parse error : syntax error: unexpected $end".to_owned();
    }
    if let Some(stage) = &error.stage {
        return format!("parse error : stage '{stage}' : {error}");
    }
    format!("parse error at {}: syntax error: {error}", place(text, error.span.start))
}

/// Whether the API is there: it is, and no journal is asked for that. `None`: the path is another one.
pub fn ready(path: &str) -> Option<Reply> {
    (path == "/ready").then(|| Reply::text(200, "ready\n"))
}

/// Answers a request.
pub fn answer(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Reply {
    let reply = match endpoint(request, journal, run) {
        Ok(Some(reply)) => reply,
        Ok(None) => Reply::text(404, NOT_FOUND),
        Err(Refused { status, text }) => Reply::text(status, cut(text.into(), ERROR_MAX)),
    };
    log::debug!("{}: {}", request.path, reply.status);
    reply
}

/// Whether a path is one of the API. Those of rules have a room of their own.
pub fn has(path: &str) -> bool {
    tail::is_path(path) || ready(path).is_some() || matches!(Path::read(path), Ok(Some(_)))
}

fn endpoint(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Option<Reply>, Refused> {
    if let Some(reply) = ready(&request.path) {
        return Ok(Some(reply));
    }
    let Some(path) = Path::read(&request.path)? else { return Ok(None) };
    let reply = match path {
        Path::Query => instant(request, journal, run)?,
        Path::QueryRange => range(request, Shape::V1, journal, run)?,
        Path::OldQuery => range(request, Shape::Old, journal, run)?,
        Path::Labels => list(None, request, Shape::V1, journal, run)?,
        Path::OldLabels => list(None, request, Shape::Old, journal, run)?,
        Path::Values(name) => list(Some(&name), request, Shape::V1, journal, run)?,
        Path::OldValues(name) => list(Some(&name), request, Shape::Old, journal, run)?,
        Path::Series => series(request, journal, run)?,
        Path::Stats => volume::stats(request, journal, run)?,
        Path::Volume => volume::volume(request, journal, run)?,
        Path::VolumeRange => volume::volume_range(request, journal, run)?,
        Path::DetectedLabels => fields::labels(request, journal, run)?,
        Path::DetectedFields => fields::fields(request, journal, run)?,
        Path::FieldValues(name) => fields::values(&name, request, journal, run)?,
        Path::Patterns => {
            let Bounds { start, end } = params::bounds(&request.params, request.now)?;
            params::step(&request.params, start, end)?;
            parse_logs(request.params.get("query"))?;
            Reply::json(&response::success([(); 0]))?
        }
        Path::Format => formatted(request.params.get("query"))?,
        Path::BuildInfo => bare(&buildinfo())?,
        Path::DrilldownLimits => bare(&drilldown::limits(&run.limits))?,
    };
    Ok(Some(reply))
}

/// A reply without the name of its character set, as some are in Loki.
fn bare(value: &impl Serialize) -> Result<Reply, Refused> {
    Ok(Reply { content_type: JSON_BARE, ..Reply::json(value)? })
}

fn instant(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Reply, Refused> {
    let params::Instant { limit, time, direction } = params::instant(&request.params, request.now)?;
    let query = parse(request.params.get("query"))?;
    let begun = Begun::now(run);
    let question = Question { query, time: Time::At(time), limit, direction };
    let (mut answer, read) = ask(&question, journal, run)?;
    // In Loki only `sort` gives series an order (`pkg/logql/engine.go`).
    if let (Query::Metric(expr), Answer::Vector(_, vector)) = (&question.query, &mut answer)
        && !expr.sorts()
    {
        by_labels(vector);
    }
    let stats = Some(begun.end(run, &read, answer.len()));
    Reply::json(&response::success(Data { answer: &answer, flags: &request.flags, stats }))
}

/// The shape of an answer: that of version 1, or the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    V1,
    Old,
}

/// The query of a path of before, which may have a filter beside it (grafana/loki, `pkg/loghttp/params.go`, `parseRegexQuery`), and
/// gives lines alone (`pkg/loghttp/query.go`, `ParseRangeQuery`).
fn old_query(params: &Params) -> Result<Query, Refused> {
    let (text, regexp) = (params.get("query"), params.get("regexp"));
    let query = match regexp {
        "" => parse(text)?,
        // A text of JSON is one of LogQL. It stands on a line of its own: the query may end with a comment.
        regexp => {
            let selector = parse_logs(text).map(|_| text)?;
            parse(&format!("{selector}\n|~ {}", serde_json::Value::from(regexp)))?
        }
    };
    match query {
        Query::Logs(_) => Ok(query),
        Query::Metric(_) => Err(Refused::new(
            "rpc error: code = Code(400) desc = legacy endpoints only support streams result type",
        )),
    }
}

fn range(
    request: &Request,
    shape: Shape,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Reply, Refused> {
    let Range { start, end, limit, direction, step, interval } = params::range(&request.params, request.now)?;
    let query = match shape {
        Shape::V1 => parse(request.params.get("query"))?,
        Shape::Old => old_query(&request.params)?,
    };
    if let Query::Logs(_) = query {
        params::entries(limit, run.limits.entries)?;
    }
    let mut question = Question { query, time: Time::Span { start, end, step }, limit, direction };
    if interval > 0 {
        question.limit = THINNED_MAX;
    }
    let begun = Begun::now(run);
    let (mut answer, read) = ask(&question, journal, run)?;
    if let Answer::Lines(lines) = &mut answer
        && interval > 0
    {
        if lines.len() >= THINNED_MAX {
            let text =
                format!("more than {THINNED_MAX} lines to choose from with `interval`: shorten the span");
            return Err(Refused::new(text));
        }
        let mut last: Option<i64> = None;
        lines.retain(|line| {
            let far = last.is_none_or(|last| match direction {
                Direction::Forward => line.time >= last.saturating_add(interval),
                Direction::Backward => line.time <= last.saturating_sub(interval),
            });
            if far {
                last = Some(line.time);
            }
            far
        });
        lines.truncate(limit);
    }
    let stats = begun.end(run, &read, answer.len());
    match (&answer, shape) {
        (Answer::Lines(lines), Shape::Old) => Reply::json(&legacy::Lines::new(lines, stats)),
        _ => {
            let data = Data { answer: &answer, flags: &request.flags, stats: Some(stats) };
            Reply::json(&response::success(data))
        }
    }
}

/// When the work on a question began.
struct Begun {
    at: Instant,
    /// What was read from journal files before (bytes).
    bytes: u64,
}

impl Begun {
    fn now(run: &Run<'_>) -> Begun {
        Begun { at: Instant::now(), bytes: run.bytes_read }
    }

    /// What it took.
    fn end(&self, run: &Run<'_>, read: &Progress, returned: usize) -> Stats {
        let bytes = run.bytes_read.saturating_sub(self.bytes);
        Stats { bytes, lines: read.chosen, returned, took: self.at.elapsed() }
    }
}

/// Lines of which `interval` chooses (count): they are all held.
const THINNED_MAX: usize = 50_000;

/// The streams of a span that any of the selectors chooses; without selectors, all.
fn chosen(
    selectors: &[LogQuery],
    Bounds { start, end }: Bounds,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Streams, Refused> {
    let (streams, _) = Streams::find(selectors, (start, end), journal, run)?;
    Ok(streams)
}

/// The selector of a request that may have none.
fn optional(request: &Request) -> Result<Vec<LogQuery>, Refused> {
    match request.params.get("query") {
        "" => Ok(Vec::new()),
        text => Ok(vec![matchers(text)?]),
    }
}

/// `labels`, or `label/NAME/values`. A list that is empty Loki leaves out.
fn list(
    name: Option<&str>,
    request: &Request,
    shape: Shape,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Reply, Refused> {
    let bounds = params::in_reach(params::bounds(&request.params, request.now)?)?;
    let streams = chosen(&optional(request)?, bounds, journal, run)?;
    let values: Vec<_> = match name {
        Some(name) => streams.values(name).into_iter().collect(),
        None => streams.names().into_iter().collect(),
    };
    match shape {
        Shape::Old => Reply::json(&legacy::Values { values }),
        Shape::V1 if values.is_empty() => Reply::json(&json!({"status": "success"})),
        Shape::V1 => Reply::json(&response::success(values)),
    }
}

fn series(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Reply, Refused> {
    let bounds = params::bounds(&request.params, request.now)?;
    let given: BTreeSet<&str> = request.params.all("match[]").chain(request.params.all("match")).collect();
    let lone = given.len() == 1 && given.iter().all(|text| is_any(text));
    let given = given.into_iter().filter(|_| !lone);
    let selectors = given.map(matchers).collect::<Result<Vec<_>, _>>()?;
    let streams = chosen(&selectors, params::in_reach(bounds)?, journal, run)?;
    let mut all: Vec<_> = streams.iter().map(|(labels, _)| labels).collect();
    all.sort_by_cached_key(|labels| labels.to_string());
    Reply::json(&response::success(all.into_iter().map(response::labels).collect::<Vec<_>>()))
}

/// `format_query`. A mistake is told in JSON (grafana/loki, `pkg/loki/format_query_handler.go`).
fn formatted(text: &str) -> Result<Reply, Refused> {
    match read(text, Query::parse_form) {
        Ok(query) => {
            Ok(Reply { content_type: JSON_LOWER, ..Reply::json(&response::success(query.pretty()))? })
        }
        Err(Refused { status, text }) => {
            let mistake =
                Mistake { status: "invalid-query", error: cut(text.into(), ERROR_MAX).into_owned() };
            Ok(Reply { status, content_type: JSON_LOWER, ..Reply::json(&mistake)? })
        }
    }
}

/// What is wrong with a query that should be formatted.
#[derive(Serialize)]
struct Mistake {
    status: &'static str,
    error: String,
}

/// What program this is, and which version of it.
#[derive(Serialize)]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    #[serde(rename = "buildUser")]
    build_user: &'static str,
    #[serde(rename = "buildDate")]
    build_date: &'static str,
    #[serde(rename = "goVersion")]
    go_version: &'static str,
}

fn buildinfo() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        revision: "",
        branch: "",
        build_user: "",
        build_date: "",
        go_version: "",
    }
}
