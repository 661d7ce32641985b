//! Pushing to one destination: sends requests, counts and logs them. `deliver` decides what happens to a batch.
//!
//! There is no last attempt. If Loki does not take entries for other reasons than the entries (overload, a restart, a network
//! that is down, credentials that are not right yet), they are sent again for as long as it takes. Meanwhile the journal keeps
//! everything that comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::{mpsc, watch};

use super::Destination;
use super::answer::{Reason, Verdict};
use super::crowd::Crowd;
use super::deliver::Delivery;
use super::learned::Learned;
use super::pace::Pace;
use super::words::Refusal;
use crate::client::{AccessError, Client, NoReply, Pauses};
use crate::loki::batch::Sealed;
use crate::observe::health::{Health, Kind};
use crate::os::systemd::Pulse;
use journald_reader::Resume;

/// The header that names a tenant.
pub(crate) const TENANT: &str = "x-scope-orgid";
/// The most tenants whose pace is remembered (count).
const TENANTS_MAX: usize = 1024;

/// What the reader hands to the pusher.
#[derive(Debug)]
pub struct Parcel {
    /// The batches, one for each tenant.
    pub batches: Vec<Sealed>,
    /// Where reading goes on when Loki has all of them.
    pub resume: Resume,
}

/// Why no request can be sent to a destination.
#[derive(Debug, thiserror::Error)]
#[error("loki `{name}`: {reason}")]
pub struct PushError {
    name: String,
    reason: String,
}

/// Counts what happens to entries and requests, for metrics.
pub trait Tally: Send {
    /// Loki has acknowledged so many more entries.
    fn acknowledged(&self, entries: u64);
    /// Loki has refused so many entries for good.
    fn refused(&self, reason: &'static str, entries: u64);
    /// This request got an answer with this status after so long. `None`: there was no answer.
    fn answered(&self, request: &Sealed, status: Option<u16>, took: Duration);
    /// So many entries are sent to an overflow stream, because Loki has no room for their streams.
    fn folded(&self, entries: u64);
    /// Loki limits the rate, and requests keep to this rate (bytes a second). `None`: there is no limit.
    fn bounded(&self, rate: Option<f64>);
}

/// Pushes to one destination.
pub struct Pusher {
    client: Client,
    name: String,
    headers: HeaderMap,
    pub(super) pauses: Pauses,
    paces: HashMap<Option<Arc<str>>, Pace>,
    pub(super) learned: Arc<Learned>,
    pub(super) crowd: Crowd,
    pub(super) health: Health,
    pub(super) tally: Box<dyn Tally>,
    pulse: Pulse,
    timeout: Duration,
}

/// The outcome of sending a request once.
pub(super) struct Answer {
    /// What the answer means.
    pub(super) verdict: Verdict,
    /// The words of the answer, for the log.
    pub(super) words: String,
    /// The status. `None`: there was no answer.
    pub(super) status: Option<u16>,
    /// Whether Loki may have stored entries of the request although no answer says so.
    pub(super) unclear: bool,
}

impl Pusher {
    /// Prepares a client. It opens no connection and reads no secret yet. `retention` is the label of the retention class.
    ///
    /// # Errors
    /// When the destination cannot be expressed in HTTP.
    pub fn new(
        destination: &Destination,
        retention: Option<&str>,
        learned: Arc<Learned>,
        health: Health,
        tally: Box<dyn Tally>,
    ) -> Result<Pusher, PushError> {
        let fail = |reason: String| PushError { name: destination.name.clone(), reason };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let tenant = destination.tenant.iter().map(|tenant| (TENANT, tenant.as_str()));
        for (name, value) in tenant {
            let value = value.parse().map_err(|e| fail(format!("header `{name}`: {e}")))?;
            headers.insert(name, value);
        }
        let client = Client::new(&destination.url, &destination.access, destination.timeout)
            .map_err(|e: AccessError| fail(e.to_string()))?;
        Ok(Pusher {
            client,
            name: destination.name.clone(),
            headers,
            pauses: Pauses::new(destination.backoff),
            paces: HashMap::new(),
            learned,
            crowd: Crowd::new(retention),
            health,
            tally,
            pulse: Pulse::default(),
            timeout: destination.timeout,
        })
    }

    /// Shows its progress with this pulse.
    pub fn with_pulse(self, pulse: Pulse) -> Pusher {
        Pusher { pulse, ..self }
    }

    /// Pushes what comes until the reader has ended, and reports how far that is. This may never end: drop the future to give
    /// up.
    pub async fn run(mut self, mut parcels: mpsc::Receiver<Parcel>, acknowledged: watch::Sender<Resume>) {
        while let Some(parcel) = self.pulse.rest_for(None, parcels.recv()).await {
            let resume = Delivery::new(&mut self, parcel).run(&mut parcels).await;
            acknowledged.send_replace(resume);
        }
    }

    /// Waits for a pause.
    pub(super) async fn sleep(&mut self, pause: Duration) {
        self.pulse.rest_for(Some(pause), tokio::time::sleep(pause)).await;
    }

    /// Waits until Loki is likely to take a batch.
    pub(super) async fn keep_pace(&mut self, sealed: &Sealed) {
        loop {
            let now = Instant::now();
            let pace = self.pace(&sealed.tenant);
            let wait = pace.wait(now);
            if wait.is_zero() {
                return pace.sent(sealed.payload_bytes, now);
            }
            self.sleep(wait).await;
        }
    }

    /// The pace of a tenant.
    pub(super) fn pace(&mut self, tenant: &Option<Arc<str>>) -> &mut Pace {
        if self.paces.len() >= TENANTS_MAX {
            self.paces.clear();
        }
        self.paces.entry(tenant.clone()).or_insert_with(|| Pace::new(Instant::now()))
    }

    /// Sends a batch once.
    pub(super) async fn attempt(&mut self, batch: &Sealed) -> Answer {
        let request = match self.client.post() {
            Ok(request) => request,
            Err(error) => {
                let words = error.to_string();
                return Answer { verdict: Verdict::Hold, words, status: None, unclear: false };
            }
        };
        let mut headers = self.headers.clone();
        if let Some(tenant) = &batch.tenant
            // The stage that set the tenant has checked it.
            && let Ok(tenant) = HeaderValue::from_str(tenant)
        {
            headers.insert(TENANT, tenant);
        }
        let request = request.headers(headers).body(batch.body.clone());
        let sent_at = Instant::now();
        match self.pulse.rest_for(Some(self.timeout), self.client.exchange(request)).await {
            Ok(reply) => {
                self.tally.answered(batch, Some(reply.status), sent_at.elapsed());
                let (verdict, mut words) = (reply.judge(), reply.words());
                if verdict == Verdict::Suspect(Kind::Hold) {
                    words.push_str(" (not Loki's words about an entry: does something stand before it?)");
                }
                Answer { verdict, words, status: Some(reply.status), unclear: true }
            }
            Err(NoReply { words, mend, sent, .. }) => {
                self.tally.answered(batch, None, sent_at.elapsed());
                let verdict = if mend { Verdict::Hold } else { Verdict::Retry(None) };
                Answer { verdict, words, status: None, unclear: sent }
            }
        }
    }

    /// Notes that Loki has taken a request.
    pub(super) fn taken(&mut self, sealed: &Sealed) {
        let pace = self.pace(&sealed.tenant);
        pace.taken(sealed.payload_bytes, Instant::now());
        let rate = pace.rate();
        self.tally.bounded(rate);
        self.recovered();
    }

    /// Notes that Loki works again.
    pub(super) fn recovered(&mut self) {
        self.pauses.reset();
        self.health.recovered();
    }

    /// Remembers the limits that refusals name.
    pub(super) fn learn(&self, refusals: &[Refusal]) {
        for Refusal { reason, limit, .. } in refusals {
            let (new, what) = match (reason, limit) {
                (Reason::LineTooLong, Some(bytes)) => (
                    self.learned.line(*bytes),
                    format!("lines of at most {bytes} bytes: longer ones are cut"),
                ),
                (Reason::MetadataTooLarge, Some(bytes)) => {
                    let what = format!("structured metadata of at most {bytes} bytes: more is left out");
                    (self.learned.metadata(*bytes), what)
                }
                (Reason::TooMuchMetadata, Some(count)) => {
                    let what = format!("at most {count} names of structured metadata: more are left out");
                    (self.learned.metadata_names(*count), what)
                }
                (Reason::MetadataDisallowed, _) => {
                    (self.learned.metadata_names(0), "no structured metadata: it is left out".into())
                }
                _ => continue,
            };
            if new {
                log::warn!("loki `{}` takes {what}", self.name);
            }
        }
    }

    /// Counts refused entries.
    pub(super) fn refused(&mut self, refused: &BTreeMap<Reason, u64>, words: &str) {
        for (reason, entries) in refused {
            self.tally.refused(reason.name(), *entries);
            self.health.refused(reason.name(), *entries, words);
        }
    }

    /// Counts entries that went to other streams, and says so for as long as the tenant is full.
    pub(super) fn folded(&mut self, entries: u64) {
        self.tally.folded(entries);
        if !self.crowd.is_full(Instant::now()) {
            self.health.all_as_it_should_be();
        } else if entries > 0 {
            self.health.note(entries, FULL, FULL_HELP);
        }
    }
}

/// The message while a tenant is full.
const FULL: &str = "has no room for further streams: entries of new streams are sent, but to streams with overflow=\"true\" \
                    or to other streams of their host, with their labels as structured metadata";
/// The advice for a full tenant.
const FULL_HELP: &str = "raise max_global_streams_per_user in Loki, or use fewer labels: `journal-ship --dry-run --summary` \
                         shows which label takes many values";
