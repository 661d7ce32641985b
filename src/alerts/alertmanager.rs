//! Telling Alertmanager: its API of version 2 (github.com/prometheus/alertmanager, `api/v2/openapi.yaml`).
//!
//! Each server has its own [`Outbox`] and a task that empties it, so that a server that is away delays no other. An outbox
//! holds the latest notice for each alert. So a server that was away is told the present state, not what it missed. The
//! rules repeat the notice of each alert, so what does not arrive is sent again in any case.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use indexmap::IndexMap;
use serde::Serialize;
use tokio::sync::Notify;

use super::section::Alertmanager;
use crate::alerts::state::Notice;
use crate::alerts::watch::clock;
use crate::client::Backoff;
use crate::client::{AccessError, Client, NoReply, Pauses, Reply, without_query};
use crate::observe::health::{ALERTMANAGER, Health, Kind, Readiness};
use crate::observe::metrics::{Family, Registry};
use logql::label_set::LabelSet;

/// The most alerts in one request (count), as in Prometheus (`notifier/notifier.go`).
const BATCH: usize = 256;
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Notices of alerts that were resolved longer ago than this are dropped (nanoseconds): Alertmanager has forgotten them.
const RESOLVED_MAX: i64 = 15 * 60 * 1_000_000_000;

/// What waits for a server.
#[derive(Debug)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    /// The most that may wait (bytes). Further notices are dropped; the rules send them again after `resend_delay`.
    max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order of their arrival: in any other order, a notice could wait for ever behind newer ones.
    notices: IndexMap<Arc<LabelSet>, Notice, foldhash::quality::RandomState>,
    /// What the notices take (bytes).
    bytes: usize,
    /// Notices that found no room (count).
    refused: u64,
    /// Whether no more notices will come.
    closed: bool,
}

impl Waiting {
    /// Adds a notice. It replaces an older one of the same alert.
    fn insert(&mut self, notice: Notice) {
        self.bytes += notice.bytes();
        let older = self.notices.insert(notice.labels.clone(), notice);
        self.bytes -= older.map_or(0, |older| older.bytes());
    }
}

impl Outbox {
    /// An empty outbox, in which at most so many bytes may wait.
    pub fn new(max: usize) -> Outbox {
        Outbox { waiting: Mutex::default(), news: Notify::new(), max }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere cannot leave half of a notice here.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds notices. Each replaces an older one of the same alert.
    pub fn put(&self, notices: &[Notice]) {
        let mut waiting = self.lock();
        for notice in notices {
            let older = waiting.notices.get(&notice.labels).map_or(0, Notice::bytes);
            if waiting.bytes - older + notice.bytes() > self.max {
                waiting.refused += 1;
                continue;
            }
            waiting.insert(notice.clone());
        }
        drop(waiting);
        if !notices.is_empty() {
            self.news.notify_one();
        }
    }

    /// Closes the outbox. What waits is sent once more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// Takes some of the notices, at most `count`. Those that are too old are dropped.
    fn take(&self, now: i64, count: usize) -> Vec<Notice> {
        let mut waiting = self.lock();
        waiting.notices.retain(|_, notice| match notice.resolved {
            true => now - notice.ends_at <= RESOLVED_MAX,
            // The server would take it for resolved now.
            false => notice.ends_at > now,
        });
        let count = count.min(waiting.notices.len());
        let taken = waiting.notices.drain(..count).map(|(_, notice)| notice).collect();
        waiting.bytes = waiting.notices.values().map(Notice::bytes).sum();
        taken
    }

    /// Puts notices back that did not arrive, unless there are newer ones: behind the others, in case they are what the
    /// server fails at.
    fn give_back(&self, notices: Vec<Notice>) {
        let mut waiting = self.lock();
        for notice in notices {
            if !waiting.notices.contains_key(&notice.labels) {
                waiting.insert(notice);
            }
        }
    }
}

/// An alert in the form of the API. Times are in the form of RFC 3339.
#[derive(Serialize)]
struct Written<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: &'a BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

fn body(notices: &[Notice]) -> Bytes {
    let written: Vec<_> = notices
        .iter()
        .map(|notice| Written {
            labels: notice.labels.iter().collect(),
            annotations: &notice.annotations,
            starts_at: rfc3339(notice.starts_at),
            ends_at: rfc3339(notice.ends_at),
            link: notice.link.as_deref(),
        })
        .collect();
    // Texts and maps of texts can always be written as JSON.
    serde_json::to_vec(&written).unwrap_or_default().into()
}

fn rfc3339(nanoseconds: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    format!("{time:.3}")
}

/// The metrics, with the server as a label.
#[derive(Debug, Clone)]
pub struct Told {
    sent: Arc<Family>,
    failed: Arc<Family>,
    dropped: Arc<Family>,
    waiting: Arc<Family>,
}

impl Told {
    /// Counts in a registry.
    pub fn new(registry: &Registry) -> Told {
        Told {
            sent: registry
                .counter("journalship_notifications_sent_total", "Notices of alerts that Alertmanager took."),
            failed: registry.counter(
                "journalship_notification_failures_total",
                "Requests to Alertmanager that failed, by the status of the answer; none: there was no answer.",
            ),
            dropped: registry.counter(
                "journalship_notifications_dropped_total",
                "Notices that Alertmanager refused as invalid or that found no room in the queue, by reason.",
            ),
            waiting: registry.gauge(
                "journalship_notifications_waiting",
                "Notices of alerts that wait for Alertmanager.",
            ),
        }
    }
}

/// Tells one server.
#[derive(Debug)]
pub struct Teller {
    url: String,
    client: Client,
    outbox: Arc<Outbox>,
    pauses: Pauses,
    health: Health,
    told: Told,
    /// The most alerts in a request (count). It is reduced when the server finds a request too large.
    batch: usize,
}

/// The outcome of a request.
enum Sent {
    Taken,
    /// It must be sent again.
    Later,
    /// Some of it is not valid.
    Refused,
    /// It is larger than the server, or a proxy before it, allows.
    TooLarge,
}

impl Teller {
    /// Prepares to send to a server what comes into `outbox`. The pause after a failure is at most `resend`.
    ///
    /// # Errors
    /// The URL is not valid.
    pub fn new(
        server: &Alertmanager,
        outbox: Arc<Outbox>,
        resend: Duration,
        readiness: Arc<Readiness>,
        told: Told,
    ) -> Result<Teller, AccessError> {
        let url = without_query(&server.url).to_owned();
        Ok(Teller {
            client: Client::new(&server.url, &server.access, server.timeout)?,
            health: Health::new(&ALERTMANAGER, &url, &server.url, readiness),
            pauses: Pauses::new(Backoff { min: PAUSE_MIN.min(resend), max: resend }),
            url,
            outbox,
            told,
            batch: BATCH,
        })
    }

    /// Sends until the outbox is closed and empty, or is closed and cannot be emptied.
    pub async fn run(mut self) {
        // From the start, so that Prometheus sees the first one as an increase.
        self.count(&self.told.sent, None, 0);
        for reason in ["refused", "too_large", "queue_full"] {
            self.count(&self.told.dropped, Some(("reason", reason)), 0);
        }
        // It begins with an empty list, to see at once whether the server is an Alertmanager that accepts requests from us.
        let mut probe = true;
        loop {
            let notices = self.outbox.take(clock(), self.batch);
            let closed = self.outbox.lock().closed;
            if notices.is_empty() && !probe {
                self.publish();
                if closed {
                    return;
                }
                self.outbox.news.notified().await;
                continue;
            }
            match self.send(&notices).await {
                Sent::Taken => {
                    probe = false;
                    self.pauses.reset();
                    self.health.recovered();
                    self.count(&self.told.sent, None, notices.len());
                }
                Sent::Refused => {
                    probe = false;
                    self.pauses.reset();
                    self.count(&self.told.dropped, Some(("reason", "refused")), notices.len());
                }
                Sent::TooLarge if notices.len() > 1 => {
                    self.batch = (notices.len() / 2).max(1);
                    self.outbox.give_back(notices);
                }
                Sent::TooLarge => {
                    probe = false;
                    self.count(&self.told.dropped, Some(("reason", "too_large")), notices.len());
                }
                Sent::Later => {
                    // The server must answer before anything else is sent.
                    self.outbox.give_back(notices);
                    self.publish();
                    if closed {
                        return;
                    }
                    self.pause().await;
                }
            }
        }
    }

    /// Waits for the next attempt. After an order to stop, the next attempt is made at once, and is the last.
    async fn pause(&mut self) {
        let until = tokio::time::Instant::now() + self.pauses.next();
        while !self.outbox.lock().closed
            && tokio::time::timeout_at(until, self.outbox.news.notified()).await.is_ok()
        {}
    }

    async fn send(&mut self, notices: &[Notice]) -> Sent {
        let request = match self.client.post() {
            Ok(request) => request,
            Err(error) => return self.later(Kind::Hold, &error.to_string()),
        };
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let reply = match self.client.exchange(request.body(body(notices))).await {
            Ok(reply) => reply,
            Err(NoReply { words, mend, .. }) => {
                self.count(&self.told.failed, Some(("status", "none")), 1);
                return self.later(if mend { Kind::Hold } else { Kind::Retry }, &words);
            }
        };
        if matches!(reply.status, 200..=299) && !reply.html {
            return Sent::Taken;
        }
        self.count(&self.told.failed, Some(("status", &reply.status.to_string())), 1);
        let words = reply.words();
        match reply {
            // It has taken the valid alerts, and says in JSON what is wrong with one of the others. Plain text comes from a
            // proxy.
            Reply { status: 400, from_server: true, plain: false, .. } if !notices.is_empty() => {
                self.health.refused("invalid", notices.len() as u64, &words);
                Sent::Refused
            }
            Reply { status: 413, .. } if !notices.is_empty() => {
                if notices.len() == 1 {
                    self.health.refused("too_large", 1, &words);
                }
                Sent::TooLarge
            }
            Reply { status: 408 | 429 | 500.., .. } => self.later(Kind::Retry, &words),
            Reply { status: 404 | 405, .. } => {
                let help =
                    "; does Alertmanager have a path prefix (--web.route-prefix)? It belongs in the url";
                self.later(Kind::Hold, &format!("{words}{help}"))
            }
            _ => self.later(Kind::Hold, &words),
        }
    }

    fn later(&mut self, kind: Kind, words: &str) -> Sent {
        self.health.trouble(kind, words, self.pauses.coming());
        Sent::Later
    }

    fn count(&self, family: &Family, more: Option<(&str, &str)>, count: usize) {
        let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = [("alertmanager".to_owned(), self.url.clone())].into_iter().chain(more);
        family.add(labels.collect(), count as f64);
    }

    fn publish(&self) {
        let (waiting, refused) = {
            let mut waiting = self.outbox.lock();
            (waiting.notices.len(), std::mem::take(&mut waiting.refused))
        };
        self.told.waiting.set(vec![("alertmanager".to_owned(), self.url.clone())], waiting as f64);
        if refused > 0 {
            let refused = usize::try_from(refused).unwrap_or(usize::MAX);
            self.count(&self.told.dropped, Some(("reason", "queue_full")), refused);
        }
    }
}

/// The outboxes of all servers. A notice goes into each of them.
#[derive(Debug, Clone, Default)]
pub struct Outboxes(Vec<Arc<Outbox>>);

impl Outboxes {
    /// Adds an outbox, in which so many bytes may wait.
    pub fn add(&mut self, max: usize) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new(max));
        self.0.push(outbox.clone());
        outbox
    }

    /// Puts notices into all outboxes.
    pub fn put(&self, notices: &[Notice]) {
        self.0.iter().for_each(|outbox| outbox.put(notices));
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.0.iter().for_each(|outbox| outbox.close());
    }
}

#[cfg(test)]
mod tests;
