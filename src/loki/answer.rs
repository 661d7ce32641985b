//! What Loki's answers mean for the entries of a request.
//!
//! Status and words decide together: 400 is said of a body that cannot be read, of which nothing is stored, and of
//! single entries that are refused while the others are stored. Only Loki itself can refuse an entry; what else
//! may answer at the address (a proxy, a login page, a TLS port) knows nothing about entries. Source: grafana/loki,
//! `pkg/distributor/http.go`, `pkg/validation/validate.go`, `pkg/ingester/stream.go`, and what a real Loki answered.

use std::time::Duration;

use crate::batch::Sealed;
use crate::client::Reply;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// All entries are stored.
    Stored,
    /// These are refused for good; all others are stored.
    Refused(Vec<Refusal>),
    /// Nothing is stored, because of something in the body.
    Unparsable,
    /// As before, and each stream as a whole is to blame or not.
    BadLabels,
    /// Entries of some streams are not wanted; the others are stored.
    Blocked,
    /// Nothing is stored: the request is too large.
    TooLarge,
    /// Too much at once: a part may be stored. With the pause that was asked for, and the limit if it is known (bytes a
    /// second).
    Slower(Option<Duration>, Option<u64>),
    /// There is no room for some of the streams; the others are stored. With the pause that was asked for.
    Crowded(Option<Duration>),
    /// To be sent again: after the usual pause, or the pause that was asked for.
    Retry(Option<Duration>),
    /// As before; but when it lasts, something in the body may be to blame.
    Suspect,
    /// To be sent again, slowly: a person must mend something.
    Hold,
}

/// Entries that are refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: Reason,
    pub entries: u64,
    /// What Loki takes at most, if it says so.
    pub limit: Option<u64>,
}

impl Refusal {
    /// All entries of a request.
    pub(super) fn whole(reason: Reason, sealed: &Sealed) -> Refusal {
        Refusal { reason, entries: sealed.entries, limit: None }
    }
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
    /// As metrics have it.
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

/// Words by which a refusal is known, and those before the limit that it names.
const KNOWN: [(&str, Reason, Option<&str>); 14] = [
    ("has timestamp too old", Reason::TooOld, None),
    ("has timestamp too new", Reason::TooNew, None),
    ("max entry size", Reason::LineTooLong, Some("max entry size '")),
    ("has structured metadata too large", Reason::MetadataTooLarge, Some("bytes, limit: '")),
    ("has too many structured metadata labels", Reason::TooMuchMetadata, Some("', limit: '")),
    ("includes structured metadata, but this feature is disallowed", Reason::MetadataDisallowed, None),
    ("label names; limit", Reason::Labels, None),
    ("has label name too long", Reason::Labels, None),
    ("has label value too long", Reason::Labels, None),
    ("has duplicate label name", Reason::Labels, None),
    ("missing required labels", Reason::Labels, None),
    ("at least one label pair is required", Reason::Labels, None),
    ("ingestion blocked", Reason::Blocked, None),
    ("total ignored: ", Reason::TooFarBehind, None),
];

impl Reply {
    /// What is to be done about it.
    pub(super) fn judge(&self) -> Verdict {
        match self.status {
            260 => Verdict::Blocked,
            // Whatever lets everyone in and answers with a login form has stored nothing.
            200..=299 if self.html => Verdict::Hold,
            200..=299 => Verdict::Stored,
            // Not about the entries: a TLS port that was spoken to in plain http, a proxy's idea of a request.
            400 | 422 if !self.from_server => Verdict::Hold,
            400 | 422 => self.refused(),
            413 => Verdict::TooLarge,
            429 => match self.text.contains("maximum active stream limit exceeded") {
                true => Verdict::Crowded(self.retry_after),
                false => Verdict::Slower(self.retry_after, rate_limit(&self.text)),
            },
            500 if self.from_server => Verdict::Suspect,
            408 | 500..=599 => Verdict::Retry(self.retry_after),
            _ => Verdict::Hold,
        }
    }

    /// 400 and 422: by its words.
    fn refused(&self) -> Verdict {
        let labels = ["couldn't parse labels", "error parsing labels", "parse error at line"];
        if labels.iter().any(|words| self.text.contains(words)) {
            return Verdict::BadLabels;
        }
        let mut refusals: Vec<Refusal> = Vec::new();
        let mut add = |reason, entries, limit| match refusals.iter_mut().find(|r| r.reason == reason) {
            Some(refusal) => refusal.entries += entries,
            None => refusals.push(Refusal { reason, entries, limit }),
        };
        for (words, reason, before) in KNOWN {
            for (at, _) in self.text.match_indices(words) {
                let (head, tail) = self.text.split_at(at);
                let entries = match reason {
                    // The ingester's: "total ignored: 3 out of 5 for stream".
                    Reason::TooFarBehind => number(tail.get(words.len()..).unwrap_or_default()).unwrap_or(1),
                    _ => counted(head).unwrap_or(1),
                };
                let limit = before.and_then(|before| tail.split_once(before)).and_then(|(_, n)| number(n));
                add(reason, entries, limit);
            }
        }
        match refusals.is_empty() {
            true => Verdict::Unparsable,
            false => Verdict::Refused(refusals),
        }
    }
}

/// The digits that a text begins with.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The number of "… 7 errors like: " where that stands before an error, however that begins
/// (`pkg/util/errors`, `GroupedErrors`).
fn counted(before: &str) -> Option<u64> {
    const WORDS: &str = " errors like: ";
    let (head, tail) = before.rsplit_once(WORDS)?;
    // Another error in between has a number of its own, unless this is the only one.
    if tail.contains("; ") && tail.contains(" errors like") {
        return None;
    }
    let start = head.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    head.get(start..)?.parse().ok()
}

/// The limit in "(limit: 4194304 bytes/sec)" or "(limit: 3MB/sec)" (bytes a second).
fn rate_limit(text: &str) -> Option<u64> {
    let (_, limit) = text.split_once("(limit: ")?;
    let (limit, _) = limit.split_once("/sec)")?;
    let digits = limit.find(|c: char| !c.is_ascii_digit()).unwrap_or(limit.len());
    let (digits, unit) = limit.split_at(digits);
    // github.com/c2h5oh/datasize: powers of 1024 whatever they are called.
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
    use reqwest::header::{CONTENT_TYPE, HeaderValue};

    fn answer(status: u16, kind: Option<&'static str>, text: &str) -> Reply {
        let headers = kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind)));
        Reply { text: text.to_owned(), ..Reply::read(status, &headers.into_iter().collect()) }
    }

    #[test]
    fn statuses_have_their_meaning() {
        const PLAIN: Option<&str> = Some("text/plain; charset=utf-8");
        for (status, kind, verdict) in [
            (204, None, Verdict::Stored),
            (200, PLAIN, Verdict::Stored),
            (200, Some("text/html"), Verdict::Hold),
            (260, PLAIN, Verdict::Blocked),
            (302, None, Verdict::Hold),
            (400, PLAIN, Verdict::Unparsable),
            (400, Some("application/json"), Verdict::Unparsable),
            (400, Some("text/html"), Verdict::Hold),
            (400, None, Verdict::Hold),
            (401, PLAIN, Verdict::Hold),
            (403, PLAIN, Verdict::Hold),
            (404, PLAIN, Verdict::Hold),
            (405, PLAIN, Verdict::Hold),
            (408, None, Verdict::Retry(None)),
            (413, PLAIN, Verdict::TooLarge),
            (413, Some("text/html"), Verdict::TooLarge),
            (422, None, Verdict::Hold),
            (429, PLAIN, Verdict::Slower(None, None)),
            (500, PLAIN, Verdict::Suspect),
            (500, Some("text/html"), Verdict::Retry(None)),
            (502, None, Verdict::Retry(None)),
            (503, PLAIN, Verdict::Retry(None)),
            (504, PLAIN, Verdict::Retry(None)),
        ] {
            assert_eq!(answer(status, kind, "why").judge(), verdict, "{status} {kind:?}");
        }
    }

    #[test]
    fn refusals_are_told_apart_and_counted() {
        let one = |reason, entries, limit| Verdict::Refused(vec![Refusal { reason, entries, limit }]);
        let recorded =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/push.json")).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
        for (case, verdict) in [
            ("body is not protobuf", Verdict::Unparsable),
            ("body is not snappy", Verdict::Unparsable),
            ("empty request (no stream)", Verdict::Unparsable),
            ("one bad label string among two streams", Verdict::BadLabels),
            ("label value with a raw newline inside", Verdict::BadLabels),
            ("label name with a dot", Verdict::BadLabels),
            ("label value that is not UTF-8", Verdict::BadLabels),
            ("duplicate label name", one(Reason::Labels, 1, None)),
            ("16 labels", one(Reason::Labels, 1, None)),
            ("label name of 1025", one(Reason::Labels, 1, None)),
            ("label value of 2049", one(Reason::Labels, 1, None)),
            ("8 days old, with a fresh one in the same stream", one(Reason::TooOld, 1, None)),
            ("11 minutes in the future, with a fresh one", one(Reason::TooNew, 1, None)),
            ("line of 256 KiB + 1, with a short one", one(Reason::LineTooLong, 1, Some(262_144))),
            ("out of order by 2 hours, with another good entry", one(Reason::TooFarBehind, 1, None)),
            ("timestamp zero", one(Reason::TooOld, 1, None)),
            ("nanos of 1,500,000,000", Verdict::Unparsable),
            ("metadata: 129 names, with another entry", one(Reason::TooMuchMetadata, 1, Some(128))),
            ("metadata: 65 KB", one(Reason::MetadataTooLarge, 1, Some(65_536))),
            ("7 MB at once against the tenant burst of 6 MB", Verdict::Slower(None, Some(4_194_304))),
            ("stream number 362 over max_global_streams_per_user (400)", Verdict::Crowded(None)),
            ("metadata: empty name", Verdict::Suspect),
        ] {
            let row = recorded.as_array().unwrap().iter().find(|row| row["case"] == case).expect(case);
            let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
            // Two of the recorded texts are shortened in the middle.
            let text = match case {
                "label name of 1025" => "stream '{n=\"x\"}' has label name too long: 'n'",
                "label value of 2049" => "stream '{t=\"lv\"}' has label value too long: 'n'",
                _ => row["body"].as_str().unwrap(),
            };
            assert_eq!(answer(status, Some("text/plain"), text).judge(), verdict, "{case}");
        }
        let text = "3 errors like: entry for stream '{a=\"1\"}' has timestamp too old: x, oldest acceptable timestamp is: y; \
                    1 errors like: max entry size '1000' bytes exceeded for stream '{a=\"1\"}' while adding an entry with \
                    length '2000' bytes; 2 errors like: entry for stream '{b=\"1\"}' has timestamp too old: x, oldest";
        let refusal = |reason, entries, limit| Refusal { reason, entries, limit };
        assert_eq!(
            answer(400, Some("text/plain"), text).judge(),
            Verdict::Refused(vec![
                refusal(Reason::TooOld, 5, None),
                refusal(Reason::LineTooLong, 1, Some(1000))
            ])
        );
        let text = "entry with timestamp x ignored, reason: 'entry too far behind, entry timestamp is: x', total ignored: \
                    40 out of 50 for stream: {a=\"1\"}";
        assert_eq!(answer(400, Some("text/plain"), text).judge(), one(Reason::TooFarBehind, 40, None));
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
