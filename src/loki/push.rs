//! The push client: one sealed batch after another, each until Loki has answered for good.
//!
//! There is no last attempt. What Loki did not take for its own reasons (overload, a restart, a network
//! that is down, credentials that are not right yet) is sent again, the same bytes, for as long as it
//! takes: the journal keeps everything that comes meanwhile. Only what Loki refuses as invalid is let go,
//! and only on Loki's word: what else may answer at the address knows nothing about the entries.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;

use crate::batch::Sealed;
use crate::config::{Backoff, Destination};

/// The header that names a tenant.
const TENANT: &str = "x-scope-orgid";
/// The log mentions failures at most this often.
const REMIND: Duration = Duration::from_secs(60);
/// Answers that a person must mend (credentials, address) are tried again at least this slowly.
const HOLD_MIN: Duration = Duration::from_secs(10);
/// A gateway's wish for a pause is granted up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 4 << 10;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Loki has it.
    Acknowledged,
    /// Loki refuses entries of it for good; it has stored the others. Its words.
    Refused(String),
}

/// What an answer means for the batch.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done(Outcome),
    /// Send again after the usual pause, or the pause that was asked for.
    Retry(Option<Duration>),
    /// Send again, slowly: a person must mend something.
    Hold,
}

/// Why a client cannot be made of a destination.
#[derive(Debug, thiserror::Error)]
#[error("loki `{name}`: {reason}")]
pub struct ClientError {
    name: String,
    reason: String,
}

/// Pushes to one destination.
pub struct Client {
    http: reqwest::Client,
    name: String,
    url: String,
    headers: HeaderMap,
    pauses: Pauses,
    trouble: Option<Trouble>,
    /// When a failure was mentioned last, this one or one before it.
    told: Option<Instant>,
}

/// A failure that lasts.
struct Trouble {
    since: Instant,
    told: bool,
    attempts: u64,
}

impl Client {
    /// Prepares connections; opens none.
    ///
    /// # Errors
    /// When the destination cannot be expressed in HTTP.
    pub fn new(destination: &Destination) -> Result<Client, ClientError> {
        let fail = |reason: String| ClientError { name: destination.name.clone(), reason };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let tenant = destination.tenant.iter().map(|tenant| (TENANT, tenant.as_str()));
        let written = destination.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in written.chain(tenant) {
            let name: HeaderName = name.parse().map_err(|e| fail(format!("header `{name}`: {e}")))?;
            let value = value.parse().map_err(|e| fail(format!("header `{name}`: {e}")))?;
            headers.insert(name, value);
        }
        // Another provider may be there already when this is used as a library: that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("journal-ship/", env!("CARGO_PKG_VERSION")))
            .timeout(destination.timeout)
            // A redirect could carry the logs, and later credentials, to a host nobody named.
            .redirect(Policy::none())
            // A variable meant for a shell must not send the logs of a service another way.
            .no_proxy();
        let secure = destination.url.starts_with("https:");
        if !secure {
            // Without this a machine that has no CA certificates could not even speak http.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|e| match secure {
            true => fail(format!(
                "https cannot be prepared: {}; the CA certificates of this machine come with its package \
                 ca-certificates, or from the file that SSL_CERT_FILE names",
                chain(&e)
            )),
            false => fail(chain(&e)),
        })?;
        Ok(Client {
            http,
            name: destination.name.clone(),
            url: destination.url.clone(),
            headers,
            pauses: Pauses::new(destination.backoff),
            trouble: None,
            told: None,
        })
    }

    /// Sends a batch until Loki has answered for good. May take for ever: drop the future to give up.
    pub async fn deliver(&mut self, batch: &Sealed) -> Outcome {
        loop {
            let (verdict, words) = self.attempt(batch).await;
            let pause = match verdict {
                Verdict::Done(outcome) => {
                    self.recovered();
                    return outcome;
                }
                // `Retry-After: 0` is no leave to hammer.
                Verdict::Retry(Some(asked)) => asked.max(self.pauses.limits.min),
                Verdict::Retry(None) => self.pauses.next(),
                Verdict::Hold => self.pauses.next().max(HOLD_MIN),
            };
            self.tell(&words, pause);
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, batch: &Sealed) -> (Verdict, String) {
        let mut headers = self.headers.clone();
        if let Some(tenant) = &batch.tenant
            // What a stage took for a tenant was checked there.
            && let Ok(tenant) = HeaderValue::from_str(tenant)
        {
            headers.insert(TENANT, tenant);
        }
        let request = self.http.post(&self.url).headers(headers).body(batch.body.clone());
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return (Verdict::Retry(None), chain(&error.without_url())),
        };
        let status = answer.status().as_u16();
        let from_loki = is_from_loki(answer.headers());
        let asked = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        // The status decides; a body that breaks off only shortens what is told.
        let mut body = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() >= ANSWER_MAX {
                break;
            }
        }
        let words = one_line(&body);
        let verdict = judge(status, from_loki, asked.map(Duration::from_secs), &words);
        (verdict, format!("HTTP {status} {words}").trim_end().to_owned())
    }

    /// Mentions a failure when it begins, and then once a minute; one that begins within a minute of such
    /// a mention waits for that minute to end. Else a Loki that fails every second time would have two
    /// lines about each batch, and shipping those would make the next batch.
    fn tell(&mut self, words: &str, pause: Duration) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, told: false, attempts: 0 });
        trouble.attempts += 1;
        if self.told.is_none_or(|told| now.duration_since(told) >= REMIND) {
            self.told = Some(now);
            trouble.told = true;
            log::warn!(
                "loki `{}` ({}) does not take entries: {words}; attempt {}, next in {:.1} s; nothing is lost while \
                 the journal keeps its files",
                self.name,
                without_query(&self.url),
                trouble.attempts,
                pause.as_secs_f64(),
            );
        }
    }

    fn recovered(&mut self) {
        self.pauses.reset();
        if let Some(trouble) = self.trouble.take().filter(|trouble| trouble.told) {
            let lasted = trouble.since.elapsed().as_secs_f64();
            log::info!("loki `{}` takes entries again after {lasted:.1} s", self.name);
        }
    }
}

/// The class of an answer. Source: grafana/loki, `pkg/distributor/http.go`, and what a real Loki did.
fn judge(status: u16, from_loki: bool, retry_after: Option<Duration>, words: &str) -> Verdict {
    match status {
        200..=259 | 261..=299 => Verdict::Done(Outcome::Acknowledged),
        // Not about the entries: a TLS port that was spoken to in plain http, a proxy's idea of a request.
        400 if !from_loki => Verdict::Hold,
        // 260: a policy blocks a part of the batch; the others are stored.
        260 | 400 | 413 | 422 => Verdict::Done(Outcome::Refused(format!("HTTP {status} {words}"))),
        429 | 500..=599 | 408 => Verdict::Retry(retry_after.map(|d| d.min(RETRY_AFTER_MAX))),
        _ => Verdict::Hold,
    }
}

/// Whether an error text may be Loki's: it says that it is plain text (Go, `net/http`, `Error`) or JSON. Proxies
/// answer in HTML, and a TLS port that gets plain http answers without a type (Go, `net/http`, `conn.serve`).
fn is_from_loki(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    ["text/plain", "application/json"].iter().any(|known| kind.starts_with(known))
}

/// Pauses between attempts: doubling, and jittered so that a fleet does not knock in step.
struct Pauses {
    limits: Backoff,
    next: Duration,
}

impl Pauses {
    fn new(limits: Backoff) -> Pauses {
        Pauses { limits, next: limits.min }
    }

    fn reset(&mut self) {
        self.next = self.limits.min;
    }

    /// Between half of the pause and the whole of it.
    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.limits.max);
        // Each state is seeded anew by the system: chance enough for this.
        let chance = RandomState::new().build_hasher().finish() as u32;
        pause / 2 + pause.mul_f64(0.5 * f64::from(chance) / f64::from(u32::MAX))
    }
}

/// A URL for the log: what stands behind `?` may be a key.
pub fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(url, _)| url)
}

/// The first line of an answer, without anything that could disturb a log.
fn one_line(body: &[u8]) -> String {
    const SHOWN_MAX: usize = 500;
    let text = String::from_utf8_lossy(body);
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_meaning() {
        let refused = |status| Verdict::Done(Outcome::Refused(format!("HTTP {status} why")));
        let second = Duration::from_secs(1);
        for (status, from_loki, asked, verdict) in [
            (200, true, None, Verdict::Done(Outcome::Acknowledged)),
            (204, false, None, Verdict::Done(Outcome::Acknowledged)),
            (260, true, None, refused(260)),
            (400, true, None, refused(400)),
            (400, false, None, Verdict::Hold),
            (413, true, None, refused(413)),
            (413, false, None, refused(413)),
            (422, true, None, refused(422)),
            (401, true, None, Verdict::Hold),
            (403, true, None, Verdict::Hold),
            (404, true, None, Verdict::Hold),
            (302, false, None, Verdict::Hold),
            (429, true, None, Verdict::Retry(None)),
            (429, true, Some(second), Verdict::Retry(Some(second))),
            (503, false, Some(second * 9999), Verdict::Retry(Some(RETRY_AFTER_MAX))),
            (500, true, None, Verdict::Retry(None)),
        ] {
            assert_eq!(judge(status, from_loki, asked, "why"), verdict, "{status}");
        }
    }

    #[test]
    fn an_error_is_lokis_when_its_type_is() {
        for (kind, from_loki) in [
            (Some("text/plain; charset=utf-8"), true),
            (Some("application/json"), true),
            (Some("text/html"), false),
            (None, false),
        ] {
            let headers = kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind)));
            assert_eq!(is_from_loki(&headers.into_iter().collect()), from_loki, "{kind:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_limit_with_jitter() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(Backoff { min: second, max: second * 5 });
        for whole in [1, 2, 4, 5, 5] {
            let pause = pauses.next();
            assert!(pause >= second * whole / 2 && pause <= second * whole, "{pause:?} of {whole} s");
        }
        pauses.reset();
        assert!(pauses.next() <= second);
    }

    #[test]
    fn words_of_an_answer_cannot_disturb_the_log() {
        assert_eq!(one_line(b"\n bad\x1b[31m thing\r\nsecond line"), "bad[31m thing");
        assert_eq!(one_line(&[b'x'; 9999]).len(), 500);
    }
}
