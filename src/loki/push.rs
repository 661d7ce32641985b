//! Pushing to one destination: one sealed batch after another, each until Loki has answered for good.
//!
//! There is no last attempt. What Loki did not take for its own reasons (overload, a restart, a network that is down,
//! credentials that are not right yet) is sent again, the same bytes, for as long as it takes: the journal keeps
//! everything that comes meanwhile. What Loki refuses as invalid is let go, and only that: a batch in which
//! something is wrong is taken apart until the entry or stream is found, and what can be made to fit is cut and sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};

use super::answer::{Reason, Refusal, Verdict};
use super::behind;
use super::crowd::Crowd;
use super::learned::Learned;
use super::pace::Pace;
use super::split;
use crate::batch::Sealed;
use crate::batch::known::STALE_AFTER;
use crate::client::{AccessError, Client, NoReply, Pauses, exchange};
use crate::config::Destination;
use crate::health::{Health, Kind};
use crate::journal::Resume;
use crate::systemd::Pulse;

/// The header that names a tenant.
const TENANT: &str = "x-scope-orgid";
/// Answers that a person must mend (credentials, address) are tried again at least this slowly.
const HOLD_MIN: Duration = Duration::from_secs(10);
/// Answers 500 with the same words, in a row, after which something in the batch may be to blame (count).
const SUSPECTS_MAX: u32 = 10;
/// The same for a part of such a batch.
const PART_SUSPECTS_MAX: u32 = 3;
/// A batch is halved so often although Loki has taken nothing since it answers 500 (count): then it is Loki that is
/// broken, and small requests do not mend it.
const BLIND_HALVES: u32 = 3;
/// Parts with which Loki fails at a time (count): more of the journal is not read to find out why.
const STUCK_MAX: usize = 16;
/// Answers 429 in a row after which a request may be larger than the limit's bucket (count).
const SLOWER_MAX: u32 = 6;
/// After an outcome that is not clear, what is larger is halved before it is sent again (bytes before compression): what
/// was stored unseen is stored again where Loki does not fold it, and so the least of it is sent until there is an answer.
const UNCLEAR_MIN: usize = 4 << 10;
/// Tenants whose pace is known (count).
const TENANTS_MAX: usize = 1024;

/// All that crosses from reader to pusher.
#[derive(Debug)]
pub struct Parcel {
    /// One for each tenant.
    pub batches: Vec<Sealed>,
    /// Where reading goes on once all of them are with Loki.
    pub resume: Resume,
}

/// Why a destination cannot be pushed to.
#[derive(Debug, thiserror::Error)]
#[error("loki `{name}`: {reason}")]
pub struct PushError {
    name: String,
    reason: String,
}

/// What became of entries and requests, for whoever counts.
pub trait Tally: Send {
    /// Loki has acknowledged so many entries, now or before.
    fn acknowledged(&self, entries: u64);
    /// Loki has refused so many entries for good.
    fn refused(&self, reason: &'static str, entries: u64);
    /// A request was answered, with this status; `None`: not at all.
    fn answered(&self, status: Option<u16>);
    /// Loki has no room for their streams: so many entries are sent to an overflow stream.
    fn folded(&self, entries: u64);
    /// Loki limits the rate, and this is kept to (bytes a second); `None`: it does not.
    fn bounded(&self, rate: Option<f64>);
}

/// Pushes to one destination.
pub struct Pusher {
    client: Client,
    name: String,
    headers: HeaderMap,
    pauses: Pauses,
    paces: HashMap<Option<Arc<str>>, Pace>,
    learned: Arc<Learned>,
    crowd: Crowd,
    health: Health,
    tally: Box<dyn Tally>,
    pulse: Pulse,
    timeout: Duration,
}

/// A batch or a part of one on its way.
struct Part {
    sealed: Sealed,
    /// How often it was halved to come to this part.
    halved: u32,
    /// Answers 500 in a row, and their words.
    suspects: (u32, String),
    /// Answers 429 in a row.
    slower: u32,
    /// Loki took others while this one failed, and it is tried once more.
    condemned: bool,
}

impl Part {
    fn new(sealed: Sealed, halved: u32) -> Part {
        Part { sealed, halved, suspects: (0, String::new()), slower: 0, condemned: false }
    }
}

/// What came of sending once.
struct Attempt {
    verdict: Verdict,
    words: String,
    /// If it is not taken, it may be stored all the same.
    unclear: bool,
}

/// How an attempt ended that needs no further one of the same bytes.
enum End {
    /// It is with Loki, as it was sent, or refused.
    Settled(Option<Part>),
    /// These have to be sent instead, the last one first.
    Instead(Vec<Part>),
    /// Loki fails with it, again and again.
    Stuck(Part),
    /// There is no room for its stream.
    Crowded(Part),
}

impl Pusher {
    /// Prepares connections; opens none, and reads no secret. `retention` is the label of the retention class.
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
        let written = destination.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in written.chain(tenant) {
            let name: HeaderName = name.parse().map_err(|e| fail(format!("header `{name}`: {e}")))?;
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

    /// Shows with it that it gets on.
    pub fn with_pulse(self, pulse: Pulse) -> Pusher {
        Pusher { pulse, ..self }
    }

    /// Pushes what comes until the reader has ended, and tells how far that is. May take for ever: drop the future
    /// to give up.
    pub async fn run(mut self, mut parcels: mpsc::Receiver<Parcel>, acknowledged: watch::Sender<Resume>) {
        while let Some(parcel) = self.pulse.rest_for(None, parcels.recv()).await {
            let resume = self.deliver(parcel, &mut parcels).await;
            acknowledged.send_replace(resume);
        }
    }

    /// Delivers a parcel, and later ones if it takes them to tell whether Loki or an entry is to blame.
    async fn deliver(&mut self, parcel: Parcel, later: &mut mpsc::Receiver<Parcel>) -> Resume {
        let mut resume = parcel.resume;
        // The next one is the last.
        let mut parts: Vec<Part> = self.unpack(parcel.batches);
        // Of streams that Loki has no room for.
        let mut crowded: Vec<Sealed> = Vec::new();
        let mut stuck: Vec<Part> = Vec::new();
        // Loki has taken something since parts are stuck.
        let mut works = false;
        // What it took last: sent once more it is folded, and shows whether Loki works.
        let mut good: Option<Sealed> = None;
        loop {
            let Some(part) = parts.pop() else {
                if !crowded.is_empty() {
                    parts.extend(self.fold(std::mem::take(&mut crowded)));
                    continue;
                }
                if stuck.is_empty() {
                    return resume;
                }
                let deep = |part: &Part| part.halved >= BLIND_HALVES || part.sealed.entries == 1;
                if !works && stuck.iter().all(deep) {
                    if let Some(good) = &good
                        && self.attempt(good).await.verdict == Verdict::Stored
                    {
                        works = true;
                        continue;
                    }
                    let next = if stuck.len() < STUCK_MAX { later.try_recv().ok() } else { None };
                    match next {
                        Some(next) => {
                            resume = next.resume;
                            parts.extend(self.unpack(next.batches));
                        }
                        None => {
                            let pause = self.pauses.next();
                            self.sleep(pause).await;
                            parts.extend(stuck.drain(..).rev());
                        }
                    }
                    continue;
                }
                for part in stuck.drain(..).rev() {
                    // Until Loki took others while this one failed, twice, it may be Loki that is to blame.
                    let guilty = works && part.condemned;
                    if !guilty && (works || deep(&part)) {
                        parts.push(Part { condemned: works || part.condemned, ..part });
                        continue;
                    }
                    match split::halves(&part.sealed) {
                        Some((first, second)) => {
                            parts.push(Part::new(second, part.halved + 1));
                            parts.push(Part::new(first, part.halved + 1));
                        }
                        None => {
                            let words = part.suspects.1;
                            self.refused(&[Refusal::whole(Reason::ServerError, &part.sealed)], 1, &words);
                        }
                    }
                }
                works = false;
                self.pauses.reset();
                continue;
            };
            let part = Part { suspects: (0, String::new()), ..part };
            match self.settle(part).await {
                End::Settled(taken) => {
                    works = true;
                    // Kept only while it can be of use: parts of a batch with something wrong in it.
                    good = taken.filter(|part| part.halved > 0).map(|part| part.sealed).or(good);
                }
                End::Instead(instead) => parts.extend(instead),
                End::Stuck(part) => stuck.push(part),
                End::Crowded(part) => crowded.push(part.sealed),
            }
        }
    }

    /// What has to be sent, the last one first.
    fn unpack(&mut self, batches: Vec<Sealed>) -> Vec<Part> {
        let mut part = |batch| {
            let (batch, folded) = self.crowd.fold(batch, Instant::now());
            self.tally.folded(folded);
            Part::new(batch, 0)
        };
        batches.into_iter().rev().map(&mut part).collect()
    }

    /// Sends parts of streams for which Loki has no room to overflow streams.
    fn fold(&mut self, crowded: Vec<Sealed>) -> Vec<Part> {
        let (folded, new) = self.crowd.refused(crowded, Instant::now());
        if new {
            log::warn!(
                "loki `{}` has no room for further streams: their entries go to streams with overflow=\"true\", their \
                 labels to structured metadata; `journal-ship --dry-run --summary` shows which label takes many values, \
                 and Loki's limit is max_global_streams_per_user",
                self.name
            );
        }
        let part = |(sealed, entries)| {
            self.tally.folded(entries);
            Part::new(sealed, 0)
        };
        folded.into_iter().map(part).collect()
    }

    /// Sends a part until there is an answer that is not "later".
    async fn settle(&mut self, mut part: Part) -> End {
        loop {
            // Loki may have forgotten streams since these were found to go together.
            if part.sealed.laid.is_some_and(|laid| laid.elapsed() >= STALE_AFTER) {
                if let Some(alone) = split::apart(&part.sealed) {
                    let part = |sealed| Part::new(sealed, part.halved);
                    return End::Instead(alone.into_iter().rev().map(part).collect());
                }
                part.sealed.laid = None;
            }
            self.keep_pace(&part.sealed).await;
            let Attempt { verdict, words, unclear } = self.attempt(&part.sealed).await;
            let sealed = &part.sealed;
            let halves = |part: &Part| {
                let (first, second) = split::halves(&part.sealed)?;
                Some(End::Instead(vec![Part::new(second, part.halved), Part::new(first, part.halved)]))
            };
            let refused = |pusher: &mut Pusher, reason: Reason| {
                pusher.recovered();
                pusher.refused(&[Refusal::whole(reason, sealed)], sealed.entries, &words);
                End::Settled(None)
            };
            let unclear = unclear && matches!(verdict, Verdict::Retry(_));
            let (kind, pause) = match verdict {
                Verdict::Stored => {
                    self.taken(sealed);
                    if let Some(receipt) = &sealed.receipt {
                        receipt.stored();
                    }
                    self.tally.acknowledged(sealed.entries);
                    return End::Settled(Some(part));
                }
                Verdict::Refused(refusals) => {
                    self.taken(sealed);
                    // Of several streams, it may speak of another one than the last.
                    if sealed.laid.is_none()
                        && let Some((receipt, acceptable)) =
                            sealed.receipt.as_ref().zip(behind::acceptable(&words))
                    {
                        receipt.too_far_behind(acceptable);
                    }
                    self.learn(&refusals);
                    if let Some(fitted) = split::fit(sealed, &self.learned.limits()) {
                        return End::Instead(vec![Part::new(fitted, part.halved)]);
                    }
                    let entries = self.refused(&refusals, sealed.entries, &words);
                    self.tally.acknowledged(sealed.entries - entries);
                    return End::Settled(None);
                }
                Verdict::Unparsable => {
                    return halves(&part).unwrap_or_else(|| refused(self, Reason::Unparsable));
                }
                // A stream's labels are those of all its entries.
                Verdict::BadLabels | Verdict::Blocked => {
                    let reason = if verdict == Verdict::Blocked { Reason::Blocked } else { Reason::Labels };
                    return match split::labels(sealed).len() {
                        0 | 1 => refused(self, reason),
                        _ => halves(&part).unwrap_or_else(|| refused(self, reason)),
                    };
                }
                Verdict::TooLarge => {
                    self.learned.too_large(sealed.plain_bytes);
                    return halves(&part).unwrap_or_else(|| refused(self, Reason::TooLarge));
                }
                Verdict::Slower(asked, limit) => {
                    part.slower += 1;
                    let pace = self.pace(&sealed.tenant);
                    pace.refused(sealed.payload_bytes, limit, Instant::now());
                    let rate = pace.rate();
                    self.tally.bounded(rate);
                    if part.slower.is_multiple_of(SLOWER_MAX)
                        && let Some(end) = halves(&part)
                    {
                        return end;
                    }
                    // Once is how a limit is found; again, and others use it up.
                    let found = rate.is_some() && part.slower == 1;
                    let pause = if found { Duration::ZERO } else { self.pauses.next() };
                    let asked = asked.map(|asked| asked.max(self.pauses.shortest()));
                    (Kind::Slower, asked.map_or(pause, |asked| asked.max(pause)))
                }
                Verdict::Suspect => {
                    part.suspects.0 = if part.suspects.1 == words { part.suspects.0 + 1 } else { 1 };
                    part.suspects.1.clone_from(&words);
                    let most = match part.halved {
                        _ if part.condemned => 1,
                        0 => SUSPECTS_MAX,
                        _ => PART_SUSPECTS_MAX,
                    };
                    if part.suspects.0 >= most {
                        self.health.trouble(Kind::Retry, &words, Duration::ZERO);
                        return End::Stuck(part);
                    }
                    (Kind::Retry, self.pauses.next())
                }
                Verdict::Crowded(asked) => {
                    if split::labels(sealed).len() > 1
                        && let Some(end) = halves(&part)
                    {
                        return end;
                    }
                    if self.crowd.can_fold(sealed) {
                        return End::Crowded(part);
                    }
                    // Not even for the overflow stream: somebody else's must go first.
                    (Kind::Retry, self.pauses.next().max(asked.unwrap_or_default()))
                }
                // `Retry-After: 0` is no leave to hammer.
                Verdict::Retry(Some(asked)) => (Kind::Retry, asked.max(self.pauses.shortest())),
                Verdict::Retry(None) => (Kind::Retry, self.pauses.next()),
                Verdict::Hold => (Kind::Hold, self.pauses.next().max(HOLD_MIN)),
            };
            if kind != Kind::Slower {
                part.slower = 0;
            }
            if !matches!(verdict, Verdict::Suspect) {
                part.suspects.0 = 0;
            }
            let rest = self.pace(&part.sealed.tenant).wait(Instant::now());
            self.health.trouble(kind, &words, pause.max(rest));
            self.sleep(pause).await;
            if unclear
                && part.sealed.plain_bytes > UNCLEAR_MIN
                && let Some(end) = halves(&part)
            {
                return end;
            }
        }
    }

    async fn sleep(&mut self, pause: Duration) {
        self.pulse.rest_for(Some(pause), tokio::time::sleep(pause)).await;
    }

    /// Waits until Loki is likely to take a batch.
    async fn keep_pace(&mut self, sealed: &Sealed) {
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

    fn pace(&mut self, tenant: &Option<Arc<str>>) -> &mut Pace {
        if self.paces.len() >= TENANTS_MAX {
            self.paces.clear();
        }
        self.paces.entry(tenant.clone()).or_insert_with(|| Pace::new(Instant::now()))
    }

    /// Sends once.
    async fn attempt(&mut self, batch: &Sealed) -> Attempt {
        let request = match self.client.post() {
            Ok(request) => request,
            Err(error) => {
                return Attempt { verdict: Verdict::Hold, words: error.to_string(), unclear: false };
            }
        };
        let mut headers = self.headers.clone();
        if let Some(tenant) = &batch.tenant
            // What a stage took for a tenant was checked there.
            && let Ok(tenant) = HeaderValue::from_str(tenant)
        {
            headers.insert(TENANT, tenant);
        }
        let request = request.headers(headers).body(batch.body.clone());
        match self.pulse.rest_for(Some(self.timeout), exchange(request)).await {
            Ok(reply) => {
                self.tally.answered(Some(reply.status));
                Attempt { verdict: reply.judge(), words: reply.words(), unclear: true }
            }
            Err(NoReply { words, certificate, sent }) => {
                self.tally.answered(None);
                let verdict = if certificate { Verdict::Hold } else { Verdict::Retry(None) };
                Attempt { verdict, words, unclear: sent }
            }
        }
    }

    /// Loki has done with a request what it should.
    fn taken(&mut self, sealed: &Sealed) {
        let pace = self.pace(&sealed.tenant);
        pace.taken(sealed.payload_bytes, Instant::now());
        let rate = pace.rate();
        self.tally.bounded(rate);
        self.recovered();
    }

    fn recovered(&mut self) {
        self.pauses.reset();
        self.health.recovered();
    }

    /// Remembers the limits that refusals name.
    fn learn(&self, refusals: &[Refusal]) {
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

    /// Counts refused entries, at most those of the request, and says how many they are.
    fn refused(&mut self, refusals: &[Refusal], most: u64, words: &str) -> u64 {
        let mut by_reason: BTreeMap<Reason, u64> = BTreeMap::new();
        let mut room = most;
        for refusal in refusals {
            let entries = refusal.entries.min(room);
            room -= entries;
            *by_reason.entry(refusal.reason).or_default() += entries;
        }
        for (reason, entries) in by_reason.into_iter().filter(|(_, entries)| *entries > 0) {
            self.tally.refused(reason.name(), entries);
            self.health.refused(reason.name(), entries, words);
        }
        most - room
    }
}
