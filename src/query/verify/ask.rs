//! Asking Loki's read API: one request at a time, with a pause where Loki asks for one, and never without an end.
//!
//! Source: grafana/loki, `docs/sources/reference/loki-http-api.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::header::CACHE_CONTROL;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::interval::SECOND;
use super::{Interval, VerifyError};
use crate::client::{Auth, Client, Pauses, Reply, without_query};
use crate::loki::Destination;
use crate::loki::push::TENANT;

/// Loki's endpoint for queries over a span.
const QUERY_RANGE: &str = "/loki/api/v1/query_range";
/// The header, and its value, with which Loki keeps the labels of a stream apart from structured metadata.
const ENCODING: (&str, &str) = ("x-loki-response-encoding-flags", "categorize-labels");
/// The most of an answer that is read (bytes). A longer one is asked for in parts.
const ANSWER_MAX: usize = 16 << 20;
/// The most lines in an answer (count): Loki's default limit (`max_entries_limit_per_query`).
const LINES_MAX: usize = 5000;
/// The least time for an answer: Loki's own limit of a query is a minute (`query_timeout`).
const TIMEOUT_MIN: Duration = Duration::from_secs(60);
/// A request is repeated so often at most while Loki fails or is not there (count).
const FAILURES_MAX: u32 = 5;
/// A request is repeated so often at most while Loki answers 429 (count).
const SLOWER_MAX: u32 = 30;
/// The longest pause between attempts; Loki may ask for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Ctrl-C is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The largest count that is believed: sums of such counts do not overflow.
const COUNT_MAX: f64 = 1e12;
/// Nanoseconds of a millisecond.
const MILLISECOND: i64 = 1_000_000;

/// A line of an answer.
#[derive(Debug)]
pub(super) struct Line {
    /// Nanoseconds since 1970.
    pub(super) time: i64,
    pub(super) text: String,
}

/// A series of an answer: its labels, and the value at each time (nanoseconds since 1970).
pub(super) type Series = (BTreeMap<String, String>, Vec<(i64, u64)>);

/// What Loki made of a question.
#[derive(Debug)]
pub(super) enum Told<T> {
    /// The answer.
    Answer(T),
    /// It asks for too much at once.
    TooMuch,
}

/// Asks one Loki.
pub(super) struct Asking<'a> {
    client: Client,
    destination: &'a Destination,
    runtime: tokio::runtime::Runtime,
    pauses: Pauses,
    deadline: Instant,
    stop: &'a AtomicBool,
    /// Requests so far (count).
    pub(super) requests: u64,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(rename = "result", bound(deserialize = "Option<Vec<T>>: Deserialize<'de>"))]
    result: Option<Vec<T>>,
}

/// What a result consists of.
trait Element: DeserializeOwned {
    /// The `resultType` of such a result.
    const KIND: &str;
}

impl Element for OfMatrix {
    const KIND: &str = "matrix";
}

impl Element for OfStream {
    const KIND: &str = "streams";
}

#[derive(Deserialize)]
struct OfMatrix {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct OfStream {
    values: Vec<Value>,
}

/// Time, line, and perhaps structured metadata.
#[derive(Deserialize)]
struct Value {
    time: String,
    line: String,
    #[serde(default)]
    _metadata: IgnoredAny,
}

impl<'a> Asking<'a> {
    /// Asks the Loki of a destination, until a deadline, or until `stop` is set.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(super) fn new(
        destination: &'a Destination,
        deadline: Instant,
        stop: &'a AtomicBool,
    ) -> Result<Asking<'a>, VerifyError> {
        let broken = |reason: String| VerifyError::Asked { url: shown(destination), reason };
        let access = destination.query_access.as_ref().unwrap_or(&destination.access);
        // Loki may think longer about a question than about a batch.
        let timeout = destination.timeout.max(TIMEOUT_MIN);
        let client =
            Client::new(&destination.query_url(), access, timeout).map_err(|e| broken(e.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broken(format!("no event loop: {error}")))?;
        let mut backoff = destination.backoff;
        backoff.max = backoff.max.min(PAUSE_MAX).max(backoff.min);
        Ok(Asking { client, destination, runtime, pauses: Pauses::new(backoff), deadline, stop, requests: 0 })
    }

    /// The values of a metric query at the end of each step of an interval.
    ///
    /// # Errors
    /// Loki does not answer, or refuses.
    pub(super) fn values(
        &mut self,
        tenant: Option<&Arc<str>>,
        query: &str,
        within: Interval,
        step: i64,
    ) -> Result<Told<Vec<Series>>, VerifyError> {
        // A value is that of the window that ends at its time.
        let (start, end) = ((within.after + step).to_string(), within.until.to_string());
        let step = format!("{}s", step / SECOND);
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        let told = self.ask::<OfMatrix>(tenant, &parameters)?;
        let Told::Answer(series) = told else { return Ok(Told::TooMuch) };
        let point = |(seconds, value): (f64, String)| {
            let time = (seconds.round() as i64).saturating_mul(SECOND);
            (time, value.parse::<f64>().unwrap_or(0.0).clamp(0.0, COUNT_MAX) as u64)
        };
        let series = series.into_iter().map(|s| (s.metric, s.values.into_iter().map(point).collect()));
        Ok(Told::Answer(series.collect()))
    }

    /// All lines of an interval that a log query finds, in parts.
    ///
    /// # Errors
    /// Loki does not answer, or refuses.
    pub(super) fn lines(
        &mut self,
        tenant: Option<&Arc<str>>,
        query: &str,
        within: Interval,
        take: &mut dyn FnMut(Line),
    ) -> Result<(), VerifyError> {
        let (mut rest, mut limit) = (within, LINES_MAX);
        while !rest.is_empty() {
            self.go_on()?;
            let lines = match self.first_lines(tenant, query, rest, limit)? {
                Told::Answer(lines) => lines,
                Told::TooMuch if limit > 1 => {
                    limit /= 2;
                    continue;
                }
                Told::TooMuch => return Err(VerifyError::TooMuch),
            };
            let full = lines.len() >= limit;
            let lines: Vec<Line> = lines.into_iter().filter(|line| rest.contains(line.time)).collect();
            let (first, last) = (lines.first().map(|line| line.time), lines.last().map(|line| line.time));
            lines.into_iter().for_each(&mut *take);
            let (Some(first), Some(last), true) = (first, last, full) else { break };
            // There may be more lines of the last time. If all are of one time, no question tells the rest apart.
            rest.after = if first < last { last - 1 } else { last };
        }
        Ok(())
    }

    /// The first lines of an interval that a log query finds, at most `limit`.
    fn first_lines(
        &mut self,
        tenant: Option<&Arc<str>>,
        query: &str,
        within: Interval,
        limit: usize,
    ) -> Result<Told<Vec<Line>>, VerifyError> {
        // Of log queries, the start is inclusive and the end exclusive. Parts of Loki count milliseconds.
        let (start, end) = ((within.after + 1).to_string(), (within.until + MILLISECOND).to_string());
        let limit = limit.to_string();
        let parameters =
            [("query", query), ("start", &start), ("end", &end), ("limit", &limit), ("direction", "forward")];
        let told = self.ask::<OfStream>(tenant, &parameters)?;
        let Told::Answer(streams) = told else { return Ok(Told::TooMuch) };
        let line = |value: Value| Some(Line { time: value.time.parse().ok()?, text: value.line });
        let mut lines: Vec<Line> = streams.into_iter().flat_map(|s| s.values).filter_map(line).collect();
        lines.sort_unstable_by_key(|line| line.time);
        Ok(Told::Answer(lines))
    }

    /// Asks until there is an answer that decides.
    fn ask<T: Element>(
        &mut self,
        tenant: Option<&Arc<str>>,
        parameters: &[(&str, &str)],
    ) -> Result<Told<Vec<T>>, VerifyError> {
        let (mut failures, mut slower) = (0, 0);
        loop {
            let reply = match self.request(tenant, parameters)? {
                Ok(Told::Answer(reply)) => reply,
                Ok(Told::TooMuch) => return Ok(Told::TooMuch),
                Err(words) => {
                    failures += 1;
                    if failures >= FAILURES_MAX {
                        return Err(self.broken(words));
                    }
                    let pause = self.pauses.next();
                    self.sleep(pause).map_err(|error| self.instead(error, words))?;
                    continue;
                }
            };
            let asked = reply.retry_after;
            match reply.status {
                200..=299 => {
                    self.pauses.reset();
                    let wrong = |what: String| {
                        let words =
                            if reply.html { reply.words() } else { format!("not an answer of Loki: {what}") };
                        self.broken(format!("{words} (is query_url right?)"))
                    };
                    let answer: Answer<T> =
                        serde_json::from_str(&reply.text).map_err(|error| wrong(error.to_string()))?;
                    if answer.data.kind != T::KIND {
                        return Err(wrong(format!("its resultType is not `{}`", T::KIND)));
                    }
                    return Ok(Told::Answer(answer.data.result.unwrap_or_default()));
                }
                400 if is_too_much(&reply.text) => return Ok(Told::TooMuch),
                429 => slower += 1,
                408 | 500..=599 => failures += 1,
                _ => return Err(self.refused(&reply)),
            }
            if failures >= FAILURES_MAX || slower >= SLOWER_MAX {
                return Err(self.broken(reply.words()));
            }
            let pause = match asked {
                Some(asked) => asked.max(self.pauses.shortest()),
                None => self.pauses.next(),
            };
            self.sleep(pause).map_err(|error| self.instead(error, reply.words()))?;
        }
    }

    /// What went wrong last, where the time was over before it was tried again.
    fn instead(&self, error: VerifyError, words: String) -> VerifyError {
        if matches!(error, VerifyError::Deadline) { self.broken(words) } else { error }
    }

    /// Sends one request. Why there is no answer is told in words.
    ///
    /// # Errors
    /// The time is over while Loki thinks.
    fn request(
        &mut self,
        tenant: Option<&Arc<str>>,
        parameters: &[(&str, &str)],
    ) -> Result<Result<Told<Reply>, String>, VerifyError> {
        self.requests += 1;
        let request = match self.client.get(QUERY_RANGE, parameters) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut request = request.header(ENCODING.0, ENCODING.1).header(CACHE_CONTROL, "no-cache");
        if let Some(tenant) = tenant.map(|tenant| &**tenant).or(self.destination.tenant.as_deref()) {
            request = request.header(TENANT, tenant);
        }
        let answered: Result<_, VerifyError> = self.runtime.block_on(async {
            let mut exchange = std::pin::pin!(self.client.exchange_within(request, ANSWER_MAX));
            loop {
                tokio::select! {
                    answered = &mut exchange => return Ok(answered),
                    () = tokio::time::sleep(LOOK_EVERY) => self.go_on()?,
                }
            }
        });
        Ok(match answered? {
            Ok(reply) => Ok(Told::Answer(reply)),
            Err(no) if no.too_long => Ok(Told::TooMuch),
            Err(no) => Err(no.words),
        })
    }

    /// Waits, but not beyond the deadline, and not after Ctrl-C.
    ///
    /// # Errors
    /// The time is over.
    fn sleep(&self, pause: Duration) -> Result<(), VerifyError> {
        let until = Instant::now() + pause;
        if until > self.deadline {
            return Err(VerifyError::Deadline);
        }
        while Instant::now() < until {
            if self.stop.load(Relaxed) {
                return Err(VerifyError::Stopped);
            }
            std::thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// Whether there is time for more.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn go_on(&self) -> Result<(), VerifyError> {
        match (self.stop.load(Relaxed), Instant::now() > self.deadline) {
            (true, _) => Err(VerifyError::Stopped),
            (false, true) => Err(VerifyError::Deadline),
            (false, false) => Ok(()),
        }
    }

    fn broken(&self, reason: String) -> VerifyError {
        VerifyError::Asked { url: shown(self.destination), reason }
    }

    /// What a refusal is about, and what to do.
    fn refused(&self, reply: &Reply) -> VerifyError {
        let access = self.destination.query_access.as_ref().unwrap_or(&self.destination.access);
        let file = |path: &Path| format!("check {}", path.display());
        let help = match (reply.status, &access.auth) {
            (401 | 403, Some(Auth::Basic { username, password_file })) => {
                format!("; {}, the password of `{username}`, and whether it may read", file(password_file))
            }
            (401 | 403, Some(Auth::Bearer { token_file })) => {
                format!("; {}, and whether its owner may read", file(token_file))
            }
            (401 | 403, None) => "; no credentials are configured: see query_access and tenant".to_owned(),
            (404 | 405, _) => {
                "; query_url must be the address before /loki/api/v1, and its server must offer the read API"
                    .to_owned()
            }
            _ => String::new(),
        };
        self.broken(format!("{}{help}", reply.words()))
    }
}

/// The address for messages: a key may stand behind it.
fn shown(destination: &Destination) -> String {
    without_query(&destination.query_url()).to_owned()
}

/// Whether Loki says that a question asks for too much (`pkg/util/validation`, `pkg/querier/queryrange/limits.go`,
/// `pkg/logql/engine.go`).
fn is_too_much(text: &str) -> bool {
    const WORDS: [&str; 5] = [
        "maximum of series",
        "maximum number of series",
        "max entries limit per query exceeded",
        "would read too many bytes",
        "query too large",
    ];
    WORDS.iter().any(|words| text.contains(words))
}
