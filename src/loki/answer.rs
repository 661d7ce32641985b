//! What an answer means for the entries of a request. This is the only place that decides it.
//!
//! Only Loki can refuse an entry, and only with its own words ([`words`]) about an entry or a stream of the request. Anything
//! else that answers at the address (a proxy, a login page, a TLS port) knows nothing about entries, whatever its status:
//! after such an answer, the same is sent again. If something in the body is the cause nevertheless (the filter of a gateway,
//! a fault of Loki), a trial finds it (`deliver`). Source: grafana/loki, `pkg/distributor/http.go`,
//! `pkg/ingester/instance.go`, and answers of a real Loki.

use std::time::Duration;

use super::words::{self, Labels, Refusal, Which};
use crate::client::Reply;
use crate::observe::health::Kind;

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// All entries are stored.
    Stored,
    /// Loki names entries that it refuses for good. It has stored the others, unless one refusal hides another.
    Refused(Vec<Refusal>),
    /// Loki cannot read the labels of a stream. Nothing is stored.
    BadLabels,
    /// Entries of some streams are blocked. The others are stored.
    Blocked,
    /// Nothing is stored, because the request is too large.
    TooLarge {
        /// Whether Loki itself says so.
        own: bool,
    },
    /// It is too much at once. A part may be stored. With the pause that the answer asks for, and the limit if it is known
    /// (bytes a second).
    Slower(Option<Duration>, Option<u64>),
    /// There is no room for some of the streams, among them this one. Others may be stored. With the pause that the answer
    /// asks for.
    Crowded(Option<Labels>, Option<Duration>),
    /// Send it again, after the usual pause or the pause that the answer asks for.
    Retry(Option<Duration>),
    /// Send it again. If it goes on failing, something in the body may be the cause. With the kind of failure to show.
    Suspect(Kind),
    /// Send it again, slowly: a person must mend something.
    Hold,
}

/// Why entries are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    TooOld,
    TooNew,
    TooFarBehind,
    LineTooLong,
    MetadataTooLarge,
    TooMuchMetadata,
    MetadataDisallowed,
    Labels,
    Blocked,
    TooLarge,
    Unparsable,
    ServerError,
}

impl Reason {
    /// All of them.
    const ALL: [Reason; 12] = [
        Reason::TooOld,
        Reason::TooNew,
        Reason::TooFarBehind,
        Reason::LineTooLong,
        Reason::MetadataTooLarge,
        Reason::TooMuchMetadata,
        Reason::MetadataDisallowed,
        Reason::Labels,
        Reason::Blocked,
        Reason::TooLarge,
        Reason::Unparsable,
        Reason::ServerError,
    ];

    /// The name of the reason in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Reason::TooOld => "too_old",
            Reason::TooNew => "too_new",
            Reason::TooFarBehind => "too_far_behind",
            Reason::LineTooLong => "line_too_long",
            Reason::MetadataTooLarge => "metadata_too_large",
            Reason::TooMuchMetadata => "too_much_metadata",
            Reason::MetadataDisallowed => "metadata_disallowed",
            Reason::Labels => "labels",
            Reason::Blocked => "blocked",
            Reason::TooLarge => "too_large",
            Reason::Unparsable => "unparsable",
            Reason::ServerError => "server_error",
        }
    }
}

/// The names of all reasons why entries are refused.
pub(crate) fn refusals() -> impl Iterator<Item = &'static str> {
    Reason::ALL.into_iter().map(Reason::name)
}

impl Reason {
    /// The reason for an entry that is let go because every request with it fails with this status.
    pub(super) fn of_failure(status: Option<u16>) -> Reason {
        match status {
            Some(413) => Reason::TooLarge,
            Some(500..) => Reason::ServerError,
            _ => Reason::Unparsable,
        }
    }
}

/// The beginnings of texts about labels that Loki cannot read (`pkg/loghttp/push/push.go`; Loki before 3.0).
const BAD_LABELS: [&str; 3] = ["couldn't parse labels: ", "error parsing labels", "parse error at line"];
/// The beginning of the text that blocks a tenant, or the streams of a policy (`BlockedIngestionErrorMsg`).
const BLOCKED: &str = "ingestion blocked for user ";
/// The beginning of texts about a body that is too large for Loki (`pkg/loghttp/push/push.go`).
const TOO_LARGE: &str = "request body too large: ";
/// A part of texts about a stream without room (`StreamLimitErrorMsg`). Before Loki 3.0 it begins with a capital.
const CROWDED: &str = "aximum active stream limit exceeded";

/// Whether a status alone says that this address takes nothing, or not with these credentials.
pub(crate) fn is_barred(status: u16) -> bool {
    matches!(status, 300..=399 | 401 | 404 | 405 | 407)
}

impl Reply {
    /// What to do about it.
    pub(super) fn judge(&self) -> Verdict {
        let own = if self.plain { self.text.trim_start() } else { "" };
        match self.status {
            // A login form is not an answer of Loki. Nothing is stored.
            200..=299 if self.html => Verdict::Hold,
            260 => Verdict::Blocked,
            200..=299 => Verdict::Stored,
            400..=499 if own.starts_with(BLOCKED) => Verdict::Blocked,
            400 | 422 => refused(own),
            413 => Verdict::TooLarge { own: own.starts_with(TOO_LARGE) },
            429 if own.contains(CROWDED) => Verdict::Crowded(words::stream_refused(own), self.retry_after),
            429 => Verdict::Slower(self.retry_after, rate_limit(own)),
            500 if self.from_server => Verdict::Suspect(Kind::Retry),
            408 | 425 | 500..=599 => Verdict::Retry(self.retry_after),
            status if is_barred(status) => Verdict::Hold,
            400..=499 => Verdict::Suspect(Kind::Hold),
            _ => Verdict::Hold,
        }
    }
}

/// Judges 400 and 422 by Loki's own words, if the text has such words.
fn refused(own: &str) -> Verdict {
    if BAD_LABELS.iter().any(|words| own.starts_with(words)) {
        return Verdict::BadLabels;
    }
    let refusals = words::refusals(own);
    match refusals.as_slice() {
        [] => Verdict::Suspect(Kind::Hold),
        [Refusal { reason: Reason::Labels, stream: None, .. }] => Verdict::BadLabels,
        several if several.iter().any(|refusal| refusal.which == Which::Limited) => {
            Verdict::Slower(None, rate_limit(own))
        }
        _ => Verdict::Refused(refusals),
    }
}

/// The limit in "(limit: 4194304 bytes/sec)" or "(limit: 3MB/sec)" (bytes a second).
fn rate_limit(text: &str) -> Option<u64> {
    let (_, limit) = text.split_once("(limit: ")?;
    let (limit, _) = limit.split_once("/sec)")?;
    let digits = limit.find(|c: char| !c.is_ascii_digit()).unwrap_or(limit.len());
    let (digits, unit) = limit.split_at(digits);
    // Units are powers of 1024, also those that look decimal (github.com/c2h5oh/datasize).
    let shift = match unit.trim() {
        "bytes" | "B" => 0,
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_shl(shift).filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

    fn answer(status: u16, kind: Option<&'static str>, text: &str) -> Reply {
        let headers = kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind)));
        Reply { text: text.to_owned(), ..Reply::read(status, &headers.into_iter().collect()) }
    }

    const PLAIN: Option<&str> = Some("text/plain; charset=utf-8");
    const JSON: Option<&str> = Some("application/json");
    const HTML: Option<&str> = Some("text/html");
    const NGINX: &str = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>";
    const ENVOY: &str =
        "upstream connect error or disconnect/reset before headers. reset reason: connection failure";
    const NAMED: &str = "entry for stream '{a=\"1\"}' has timestamp too new: 2026-11-28T10:00:00Z";

    #[test]
    fn statuses_have_their_meaning() {
        const HELD: Verdict = Verdict::Suspect(Kind::Hold);
        for (status, kind, text, verdict) in [
            (204, None, "", Verdict::Stored),
            (200, PLAIN, "why", Verdict::Stored),
            (200, HTML, "why", Verdict::Hold),
            (202, None, "", Verdict::Stored),
            (260, PLAIN, "why", Verdict::Blocked),
            (260, HTML, "why", Verdict::Hold),
            (302, None, "", Verdict::Hold),
            (400, PLAIN, "why", HELD),
            (400, PLAIN, ENVOY, HELD),
            (400, JSON, r#"{"message":"no"}"#, HELD),
            (400, HTML, NGINX, HELD),
            (400, None, "Client sent an HTTP request to an HTTPS server.", HELD),
            // Loki's words about the body say nothing about an entry, and a body can be spoilt on its way.
            (400, PLAIN, "snappy: corrupt input", HELD),
            (400, PLAIN, "unexpected EOF", HELD),
            (400, PLAIN, "couldn't parse labels: 1:4: parse error", Verdict::BadLabels),
            (400, JSON, "couldn't parse labels: 1:4: parse error", HELD),
            (400, PLAIN, "the proxy says: couldn't parse labels", HELD),
            (400, JSON, NAMED, HELD),
            (400, HTML, NAMED, HELD),
            (400, None, NAMED, HELD),
            (400, PLAIN, "ingestion blocked for user x until 'y' with status code '400'", Verdict::Blocked),
            (401, PLAIN, "why", Verdict::Hold),
            (403, PLAIN, "ingestion blocked for user x (policy: p) until 'y'", Verdict::Blocked),
            (403, HTML, "Request blocked", HELD),
            (404, PLAIN, "404 page not found", Verdict::Hold),
            (405, PLAIN, "", Verdict::Hold),
            (408, None, "", Verdict::Retry(None)),
            (411, HTML, "", HELD),
            (413, PLAIN, "why", Verdict::TooLarge { own: false }),
            (413, HTML, NGINX, Verdict::TooLarge { own: false }),
            (413, PLAIN, "request body too large: message size too large", Verdict::TooLarge { own: true }),
            (415, None, "", HELD),
            (422, JSON, r#"{"errors":[]}"#, HELD),
            (422, PLAIN, "error at least one valid stream is required for ingestion", HELD),
            (429, PLAIN, "why", Verdict::Slower(None, None)),
            (429, HTML, "maximum active stream limit exceeded", Verdict::Slower(None, None)),
            (500, PLAIN, "why", Verdict::Suspect(Kind::Retry)),
            (500, HTML, "why", Verdict::Retry(None)),
            (502, None, "", Verdict::Retry(None)),
            (503, PLAIN, "why", Verdict::Retry(None)),
            (504, PLAIN, "why", Verdict::Retry(None)),
        ] {
            assert_eq!(answer(status, kind, text).judge(), verdict, "{status} {kind:?} {text}");
        }
    }

    #[test]
    fn words_that_are_compressed_or_break_off_are_not_read() {
        assert!(matches!(answer(400, PLAIN, NAMED).judge(), Verdict::Refused(_)));
        let headers = [(CONTENT_TYPE, "text/plain"), (CONTENT_ENCODING, "gzip")];
        let headers: HeaderMap =
            headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
        let encoded = Reply { text: NAMED.to_owned(), ..Reply::read(400, &headers) };
        assert_eq!(encoded.judge(), Verdict::Suspect(Kind::Hold));
        let broken = Reply { plain: false, ..answer(400, PLAIN, NAMED) };
        assert_eq!(broken.judge(), Verdict::Suspect(Kind::Hold));
    }

    #[test]
    fn what_a_real_loki_answered_is_told_apart() {
        let named = |reason, limit| {
            Verdict::Refused(vec![Refusal { reason, entries: 1, limit, stream: None, which: Which::Unsaid }])
        };
        let recorded =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/push.json")).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
        for (case, verdict) in [
            ("body is not protobuf", Verdict::Suspect(Kind::Hold)),
            ("body is not snappy", Verdict::Suspect(Kind::Hold)),
            ("empty request (no stream)", Verdict::Suspect(Kind::Hold)),
            ("one bad label string among two streams", Verdict::BadLabels),
            ("label value with a raw newline inside", Verdict::BadLabels),
            ("label name with a dot", Verdict::BadLabels),
            ("label value that is not UTF-8", Verdict::BadLabels),
            ("duplicate label name", named(Reason::Labels, None)),
            ("16 labels", named(Reason::Labels, None)),
            ("label name of 1025", named(Reason::Labels, None)),
            ("label value of 2049", named(Reason::Labels, None)),
            ("8 days old, with a fresh one in the same stream", named(Reason::TooOld, None)),
            ("11 minutes in the future, with a fresh one", named(Reason::TooNew, None)),
            ("line of 256 KiB + 1, with a short one", named(Reason::LineTooLong, Some(262_144))),
            ("out of order by 2 hours, with another good entry", named(Reason::TooFarBehind, None)),
            ("two streams: first fine, last too far behind", named(Reason::TooFarBehind, None)),
            ("timestamp zero", named(Reason::TooOld, None)),
            ("nanos of 1,500,000,000", Verdict::Suspect(Kind::Hold)),
            ("metadata: 129 names, with another entry", named(Reason::TooMuchMetadata, Some(128))),
            ("metadata: 65 KB", named(Reason::MetadataTooLarge, Some(65_536))),
            ("7 MB at once against the tenant burst of 6 MB", Verdict::Slower(None, Some(4_194_304))),
            ("stream number 362 over max_global_streams_per_user (400)", Verdict::Crowded(None, None)),
            ("metadata: empty name", Verdict::Suspect(Kind::Retry)),
        ] {
            let row = recorded.as_array().unwrap().iter().find(|row| row["case"] == case).expect(case);
            let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
            // Two of the recorded texts are shortened in the middle.
            let text = match case {
                "label name of 1025" => "stream '{n=\"x\"}' has label name too long: 'n'",
                "label value of 2049" => "stream '{t=\"lv\"}' has label value too long: 'n'",
                _ => row["body"].as_str().unwrap(),
            };
            let judged = match answer(status, PLAIN, text).judge() {
                Verdict::Refused(refusals) => {
                    assert!(refusals.iter().all(|refusal| refusal.stream.is_some()), "{case}");
                    let plain = |refusal| Refusal { stream: None, which: Which::Unsaid, ..refusal };
                    Verdict::Refused(refusals.into_iter().map(plain).collect())
                }
                Verdict::Crowded(named, asked) => {
                    assert_eq!(named.unwrap()["i"], "362");
                    Verdict::Crowded(None, asked)
                }
                other => other,
            };
            assert_eq!(judged, verdict, "{case}");
        }
    }

    #[test]
    fn limits_of_rates_are_read() {
        for (text, limit) in [
            ("Per stream rate limit exceeded (limit: 3MB/sec) while", Some(3 << 20)),
            ("ingestion rate limit exceeded for user x (limit: 4194304 bytes/sec) while", Some(4 << 20)),
            ("(limit: 512KB/sec)", Some(512 << 10)),
            ("(limit: 0 bytes/sec)", None),
            ("(limit: 99999999999999999999 bytes/sec)", None),
            ("(limit: many/sec)", None),
            ("slow down", None),
        ] {
            assert_eq!(rate_limit(text), limit, "{text}");
        }
    }
}
