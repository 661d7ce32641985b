//! What `/status` says, and the page shows. Anybody may connect: it has numbers, names from the configuration and what servers
//! say of themselves, and nothing that log lines have decided but counts.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::health::{Event, Standing};

/// How a configuration was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// It is in force from now on.
    Taken,
    /// It is the one that is in force already.
    Same,
    /// It is invalid, or cannot be used: the old one goes on.
    Refused,
}

/// The configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Configuration {
    /// Since when it is in force.
    pub taken: SystemTime,
    /// When a newer one was refused, if no other was read since.
    pub refused: Option<SystemTime>,
}

impl Configuration {
    /// Notes that one was read.
    pub(super) fn read(&mut self, read: Read) {
        let now = SystemTime::now();
        match read {
            Read::Taken => *self = Configuration { taken: now, refused: None },
            Read::Same => self.refused = None,
            Read::Refused => self.refused = Some(now),
        }
    }
}

/// A number with three digits behind the point: more are noise.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn rounded<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((number * 1000.0).round() / 1000.0)
}

/// The last answer of a destination.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// HTTP's status; `None`: there was no answer.
    pub status: Option<u16>,
    /// How long ago it came.
    #[serde(serialize_with = "rounded")]
    pub seconds_ago: f64,
    /// How long it took.
    #[serde(serialize_with = "rounded")]
    pub took_seconds: f64,
}

/// How a destination is. Counts are since the configuration is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Destination {
    /// Its name in the configuration.
    pub name: String,
    /// How old the newest stored entry is while there is something to store; else 0.
    #[serde(serialize_with = "rounded")]
    pub lag_seconds: f64,
    /// When the newest entry was written that this destination has taken or refused.
    pub up_to: Option<String>,
    /// Entries acknowledged in a second, over the last minute.
    #[serde(serialize_with = "rounded")]
    pub entries_per_second: f64,
    /// Entries acknowledged (count).
    pub entries_acknowledged: u64,
    /// Bytes of requests, compressed.
    pub bytes_sent: u64,
    /// Streams that have a place (count).
    pub streams: u64,
    /// Bytes a second that it keeps to; 0: no bound.
    pub rate_bound_bytes: u64,
    /// Requests, by the status of the answer (count).
    pub requests: BTreeMap<String, u64>,
    /// The last answer.
    pub last_answer: Option<Answer>,
    /// Entries that the configuration keeps from being sent, by rule (count).
    pub dropped: BTreeMap<String, u64>,
    /// Entries refused for good, by reason (count).
    pub refused: BTreeMap<String, u64>,
    /// Entries that could not be read, by reason (count).
    pub damaged: BTreeMap<String, u64>,
    /// Entries that went to another stream because theirs had no place (count).
    pub folded: u64,
    /// Entries that were deleted before they were read (count).
    pub lost: u64,
    /// Journal files that may still grow (count).
    pub files_growing: usize,
    /// Journal files that nobody writes to any more (count).
    pub files_finished: usize,
}

/// A server that things are sent to.
#[derive(Serialize)]
struct Server {
    name: String,
    state: &'static str,
    words: String,
    what_to_do: &'static str,
}

#[derive(Serialize)]
struct Happened {
    at: String,
    server: String,
    what: String,
}

#[derive(Serialize)]
struct Process {
    #[serde(serialize_with = "rounded")]
    uptime_seconds: f64,
    memory_bytes: f64,
}

#[derive(Serialize)]
struct Configured {
    taken_at: String,
    #[serde(serialize_with = "rounded")]
    age_seconds: f64,
    refused_at: Option<String>,
}

#[derive(Serialize)]
struct Alerts {
    pending: u64,
    firing: u64,
}

/// The state of everything. The first four keys are older than the rest; who reads them finds them as they were.
#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    ready: bool,
    servers: BTreeMap<String, String>,
    rules: Value,
    now: String,
    process: Option<Process>,
    configuration: Configured,
    server_states: Vec<Server>,
    destinations: Vec<Destination>,
    alerts: Alerts,
    events: Vec<Happened>,
}

/// What a status is made of.
pub(super) struct Parts {
    /// Whether nothing waits for a person.
    pub ready: bool,
    pub servers: Vec<Standing>,
    pub rules: Option<Value>,
    pub configuration: Configuration,
    pub destinations: Vec<Destination>,
    pub events: Vec<Event>,
}

fn shown(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = i64::try_from(since.as_millis()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().to_string()
}

impl Status {
    /// The state now.
    pub(super) fn of(parts: Parts) -> Status {
        let Parts { ready, servers, rules, configuration, destinations, events } = parts;
        let rules = rules.unwrap_or_else(|| Value::Array(Vec::new()));
        let sum = |state: &str| {
            let all = rules.as_array().into_iter().flatten();
            all.filter_map(|rule| rule.get(state)?.as_u64()).sum()
        };
        let alerts = Alerts { pending: sum("pending"), firing: sum("firing") };
        let server = |server: &Standing| Server {
            name: server.name.clone(),
            state: server.state(),
            words: server.words(),
            what_to_do: server.what_to_do(),
        };
        let happened =
            |event: Event| Happened { at: shown(event.at), server: event.server, what: event.what };
        Status {
            version: env!("CARGO_PKG_VERSION"),
            ready,
            servers: servers.iter().map(|server| (server.name.clone(), server.words())).collect(),
            rules,
            now: shown(SystemTime::now()),
            process: super::process::figures()
                .map(|(uptime_seconds, memory_bytes)| Process { uptime_seconds, memory_bytes }),
            configuration: Configured {
                taken_at: shown(configuration.taken),
                age_seconds: configuration.taken.elapsed().unwrap_or_default().as_secs_f64(),
                refused_at: configuration.refused.map(shown),
            },
            server_states: servers.iter().map(server).collect(),
            destinations,
            alerts,
            events: events.into_iter().map(happened).collect(),
        }
    }
}
