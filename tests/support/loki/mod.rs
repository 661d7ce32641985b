//! A strict double of Grafana Loki's push API, and of `query_range`, for tests: real HTTP on a loopback port, Loki's checks in
//! Loki's order with Loki's answers, and misbehaviour on request.
//!
//! What it must answer is recorded from a real Loki in `tests/data/push.json`; `tests/integration/loki_double.rs` holds it
//! to every row. It serves from a thread of its own, so tests with and without a runtime can use it, and stops
//! when dropped.
//!
//! ```ignore
//! let loki = Loki::start();
//! loki.answer_next(1, Answer::CloseBeforeAnswer);
//! // … something pushes to loki.push_url() …
//! loki.wait_for(|state| state.stored().len() == 3, Duration::from_secs(10)).unwrap();
//! ```

pub mod by_hand;
mod labels;
mod limits;
mod push;
mod read;
mod server;
mod store;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;

pub use limits::{BLOCK_SIZE, MAX_STREAMS, Rate};
pub use store::Stored;

/// The push API's path and its older one.
const PUSH_PATHS: [&str; 2] = ["/loki/api/v1/push", "/api/prom/push"];

/// What to answer instead of what is due.
#[derive(Debug, Clone)]
#[allow(clippy::enum_variant_names)]
pub enum Answer {
    /// This status and text; nothing is stored.
    Status(u16, String),
    /// This status with a `Retry-After` header of this value; nothing is stored.
    RetryAfter(u16, String),
    /// Stores what is due, then answers this status and text, as a gateway does that gave up waiting.
    StoreThenStatus(u16, String),
    /// Stores what is due, then closes the connection without an answer.
    CloseBeforeAnswer,
    /// Resets the connection after the request was read; nothing is stored.
    Reset,
    /// Waits, then does what is due.
    Stall(Duration),
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    pub headers: HeaderMap,
    /// The body as sent, still compressed.
    pub body: Bytes,
    /// The status answered; none yet, or none ever.
    pub status: Option<u16>,
    /// The text answered.
    pub text: String,
}

impl Received {
    /// A header's value, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

struct Options {
    streams_limit: usize,
    tenant_rate: Rate,
    stream_rate: Rate,
    sharding: bool,
    ignore_age: bool,
    require_tenant: bool,
    series_limit: usize,
    lines_limit: usize,
    swallow: Option<Swallow>,
}

/// Whether an entry of these labels, this time (nanoseconds since 1970) and line is dropped while the answer is 204.
type Swallow = Box<dyn Fn(&BTreeMap<String, String>, i64, &str) -> bool + Send>;

/// Everything the double knows, as a condition of [`Loki::wait_for`] sees it.
pub struct State {
    options: Options,
    answers: VecDeque<Answer>,
    read_answers: VecDeque<Answer>,
    requests: Vec<Received>,
    received_entries: u64,
    tenants: HashMap<String, store::Tenant>,
    log: store::Log,
}

impl State {
    /// What a log query finds, over all tenants, in order of arrival.
    pub fn stored(&self) -> &[Stored] {
        &self.log.stored
    }

    /// All requests in order, those to other paths too.
    pub fn requests(&self) -> &[Received] {
        &self.requests
    }

    /// Entries in the well-formed pushes that were processed, whether stored, refused or folded.
    pub fn received_entries(&self) -> u64 {
        self.received_entries
    }

    /// Entries that equalled their stream's last one or one of its head block: they are not stored again.
    pub fn folded(&self) -> u64 {
        self.log.folded
    }

    /// What `count_over_time` counts: the copies of all that is stored.
    pub fn counted(&self) -> u64 {
        self.log.stored.iter().map(|entry| entry.copies).sum()
    }

    /// What the ingester discarded, by the reason of `loki_discarded_samples_total`, whatever was answered.
    pub fn discarded(&self) -> &BTreeMap<&'static str, u64> {
        &self.log.discarded
    }

    /// Answers of [`Loki::answer_next`] not given yet.
    pub fn pending_answers(&self) -> usize {
        self.answers.len()
    }

    /// Answers of [`Loki::answer_next_read`] not given yet.
    pub fn pending_read_answers(&self) -> usize {
        self.read_answers.len()
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

/// How a double behaves from the start.
pub struct Builder(Options);

impl Builder {
    /// Active streams a tenant may have; [`MAX_STREAMS`] by default.
    pub fn streams_limit(mut self, limit: usize) -> Self {
        self.0.streams_limit = limit;
        self
    }

    /// What a tenant may send; 4 MB/s with a burst of 6 MB by default.
    pub fn tenant_rate(mut self, rate: Rate) -> Self {
        self.0.tenant_rate = rate;
        self
    }

    /// What a stream may take; 3 MB/s with a burst of 15 MB by default.
    pub fn stream_rate(mut self, rate: Rate) -> Self {
        self.0.stream_rate = rate;
        self
    }

    /// Whether `shard_streams` is on, as it is by default: a stream over its rate is then refused as a whole, else
    /// entry by entry.
    pub fn sharding(mut self, sharding: bool) -> Self {
        self.0.sharding = sharding;
        self
    }

    /// Switches off what depends on the clock: too old, too new, and the rates of tenants and streams. All else
    /// stays strict, entries too far behind their stream's newest included.
    pub fn ignore_age(mut self, ignore: bool) -> Self {
        self.0.ignore_age = ignore;
        self
    }

    /// As Loki with `auth_enabled: true`: a request without `X-Scope-OrgID` gets 401.
    pub fn require_tenant(mut self, require: bool) -> Self {
        self.0.require_tenant = require;
        self
    }

    /// How many series and lines an answer to a question may have; 500 and 5000 by default.
    pub fn answer_limits(mut self, series: usize, lines: usize) -> Self {
        (self.0.series_limit, self.0.lines_limit) = (series, lines);
        self
    }

    pub fn start(self) -> Loki {
        let state = State {
            options: self.0,
            answers: VecDeque::new(),
            read_answers: VecDeque::new(),
            requests: Vec::new(),
            received_entries: 0,
            tenants: HashMap::new(),
            log: store::Log::default(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let server = server::Server::start(shared.clone()).expect("a server on a loopback port");
        Loki { server, shared }
    }
}

/// A running double.
pub struct Loki {
    server: server::Server,
    shared: Arc<Shared>,
}

impl Loki {
    /// A double with Loki's default limits, for anyone who comes.
    pub fn start() -> Loki {
        Loki::builder().start()
    }

    pub fn builder() -> Builder {
        Builder(Options {
            streams_limit: MAX_STREAMS,
            tenant_rate: limits::TENANT_RATE,
            stream_rate: limits::STREAM_RATE,
            sharding: true,
            ignore_age: false,
            require_tenant: false,
            series_limit: read::SERIES_MAX,
            lines_limit: read::LINES_MAX,
            swallow: None,
        })
    }

    /// Base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub fn push_url(&self) -> String {
        self.url() + PUSH_PATHS[0]
    }

    /// Gives `answer` to the next `times` pushes, after the answers already waiting.
    pub fn answer_next(&self, times: usize, answer: Answer) {
        self.shared.change(|state| state.answers.extend(std::iter::repeat_n(answer, times)));
    }

    /// Gives `answer` to the next `times` questions of the read API, after the answers already waiting.
    pub fn answer_next_read(&self, times: usize, answer: Answer) {
        self.shared.change(|state| state.read_answers.extend(std::iter::repeat_n(answer, times)));
    }

    /// From now on drops entries of these labels, this time (nanoseconds since 1970) and line while it acknowledges them: what
    /// the real one does where a later stream of a request hides it.
    pub fn swallow(&self, which: impl Fn(&BTreeMap<String, String>, i64, &str) -> bool + Send + 'static) {
        self.shared.change(|state| state.options.swallow = Some(Box::new(which)));
    }

    /// Closes the listener and all connections, or listens on the same port again; it is so on return.
    pub fn refuse_connections(&self, refuse: bool) {
        self.server.listen(!refuse);
    }

    pub fn stored(&self) -> Vec<Stored> {
        self.shared.lock().stored().to_vec()
    }

    pub fn received_requests(&self) -> Vec<Received> {
        self.shared.lock().requests().to_vec()
    }

    pub fn received_entries(&self) -> u64 {
        self.shared.lock().received_entries()
    }

    pub fn folded(&self) -> u64 {
        self.shared.lock().folded()
    }

    /// See [`State::counted`].
    pub fn counted(&self) -> u64 {
        self.shared.lock().counted()
    }

    /// See [`State::discarded`].
    pub fn discarded(&self) -> BTreeMap<&'static str, u64> {
        self.shared.lock().discarded().clone()
    }

    /// Waits until `condition` holds; past `within` the error tells what there was.
    pub fn wait_for(&self, condition: impl Fn(&State) -> bool, within: Duration) -> Result<(), String> {
        let unmet = |state: &mut State| !condition(state);
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), within, unmet);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if !timeout.timed_out() {
            return Ok(());
        }
        let answers: Vec<_> =
            state.requests.iter().rev().take(3).map(|r| (r.status, r.text.as_str())).collect();
        Err(format!(
            "condition unmet after {within:?}: {} requests, {} entries received, {} stored, {} folded; newest \
             answers: {answers:?}",
            state.requests.len(),
            state.received_entries,
            state.log.stored.len(),
            state.log.folded
        ))
    }
}
