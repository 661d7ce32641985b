//! The answer to a request: what is the same for all servers.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use jiff::Timestamp;
use reqwest::RequestBuilder;

use super::failure::Failure;
use crate::os::text::{Line, clip};

/// The most of an answer that is read unless more is asked for (bytes). A refusal may have a line for each entry of a batch.
pub(super) const ANSWER_MAX: usize = 1 << 20;
/// The longest pause that a server can ask for. A longer one is cut to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The most of an answer that the log shows (bytes).
const SHOWN_MAX: usize = 500;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) text: String,
    /// The text may be the server's own: see [`Reply::read`].
    pub(crate) from_server: bool,
    /// The text is plain text, and did not break off.
    pub(crate) plain: bool,
    /// It is a web page.
    pub(crate) html: bool,
    /// The body has this encoding, although the request asked for none. It is not read.
    pub(crate) encoding: Option<String>,
    /// The pause that the server asks for.
    pub(crate) retry_after: Option<Duration>,
    /// The URL that it redirects to.
    pub(crate) location: Option<String>,
}

/// There was no answer.
#[derive(Debug)]
pub(crate) struct NoReply {
    /// Why, for the log.
    pub(crate) words: String,
    /// A person must mend it: a certificate, or an address that speaks no TLS.
    pub(crate) mend: bool,
    /// The server was reached, so it may have the request.
    pub(crate) sent: bool,
    /// The answer is longer than what is read of one.
    pub(crate) too_long: bool,
}

/// Sends a request and reads what comes back, at most so many bytes.
pub(super) async fn exchange(request: RequestBuilder, max: usize) -> Result<Reply, NoReply> {
    let mut response = request.send().await.map_err(|error| {
        let sent = !error.is_connect();
        let Failure { words, mend } = Failure::of(error);
        NoReply { words, mend, sent, too_long: false }
    })?;
    let mut reply = Reply::read(response.status().as_u16(), response.headers());
    let mut body = Vec::new();
    let breaks_off = loop {
        match response.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break None,
            Err(error) => break Some(format!("breaks off: {}", Failure::of(error).words)),
        }
        if body.len() >= max {
            break Some(format!("does not end within {max} bytes"));
        }
    };
    // A success whose body breaks off does not count: a proxy may have sent it before the server had the whole request. Of
    // a failure, the status and the words until then count.
    if let Some(how) = breaks_off {
        if matches!(reply.status, 200..=299) {
            let words = format!("HTTP {}, but the answer {how}", reply.status);
            return Err(NoReply { words, mend: false, sent: true, too_long: body.len() >= max });
        }
        reply.plain &= body.len() >= max;
    }
    if reply.encoding.is_none() {
        reply.text = String::from_utf8_lossy(&body).into_owned();
        reply.html |= is_page(&reply.text);
    }
    Ok(reply)
}

/// Whether a body is a web page, whatever its headers say.
fn is_page(body: &str) -> bool {
    let body = body.trim_start_matches('\u{feff}').trim_start();
    ["<!doctype", "<html"]
        .iter()
        .any(|tag| body.get(..tag.len()).is_some_and(|b| b.eq_ignore_ascii_case(tag)))
}

impl Reply {
    /// What the headers of an answer say. Its text comes later.
    ///
    /// Loki says that an error is plain text (Go, `net/http`, `Error`), Alertmanager that it is JSON. Proxies answer in
    /// HTML, and a TLS port that gets plain http answers without a type (Go, `net/http`, `conn.serve`).
    pub(crate) fn read(status: u16, headers: &HeaderMap) -> Reply {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let encoding = text(CONTENT_ENCODING).map(str::trim);
        let encoding = encoding.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        Reply {
            status,
            text: String::new(),
            from_server: ["text/plain", "application/json"].iter().any(|known| kind.starts_with(known)),
            plain: kind.starts_with("text/plain") && encoding.is_none(),
            html: ["text/html", "application/xhtml"].iter().any(|page| kind.starts_with(page)),
            encoding: encoding.map(str::to_owned),
            retry_after: text(RETRY_AFTER).and_then(|v| pause(v, Timestamp::now())),
            location: text(LOCATION).map(|location| super::without_query(location).to_owned()),
        }
    }

    /// The status and the first line of the text, made safe for the log.
    pub(crate) fn words(&self) -> String {
        let line = self.text.trim().lines().next().unwrap_or_default();
        let line = Line(&clip(line, SHOWN_MAX)).to_string();
        let words = match (self.status, &self.location) {
            (300..=399, Some(to)) => {
                let to = clip(to, SHOWN_MAX);
                format!(
                    "it redirects to {}, which is not followed: write the right address in the url",
                    Line(&to)
                )
            }
            (200..=299, _) if self.html => "a page for people: is the url right?".into(),
            _ if self.encoding.is_some() => {
                let encoding = self.encoding.iter().flat_map(|name| name.chars());
                let encoding: String = encoding.filter(char::is_ascii_alphanumeric).take(20).collect();
                format!(
                    "(its words are compressed with {encoding}, which was not asked for, and are not read)"
                )
            }
            (401, _) => format!("{line} (see basic_auth, bearer_token_file; of Loki also tenant)"),
            (404 | 405, _) => format!("{line} (is the url right?)"),
            _ => line,
        };
        format!("HTTP {} {}", self.status, words.trim()).trim_end().to_owned()
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn pause(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now = "2026-11-23T10:00:00Z".parse::<Timestamp>().unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, expected) in [
            ("7", seconds(7)),
            (" 0 ", seconds(0)),
            ("99999", Some(RETRY_AFTER_MAX)),
            ("Mon, 23 Nov 2026 10:00:30 GMT", seconds(30)),
            ("Mon, 23 Nov 2026 09:00:30 GMT", seconds(0)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(pause(value, now), expected, "{value}");
        }
    }

    #[test]
    fn what_an_answer_is_stands_in_its_head_and_its_first_tag() {
        // Plain words of the server's own; a page for people.
        for (kind, encoding, plain, page) in [
            (Some("text/plain; charset=utf-8"), None, true, false),
            (Some("Text/Plain"), Some("identity"), true, false),
            (Some("text/plain"), Some("gzip"), false, false),
            (Some("text/plain"), Some("br"), false, false),
            (Some("application/json"), None, false, false),
            (Some("TEXT/HTML"), None, false, true),
            (Some("application/xhtml+xml"), None, false, true),
            (None, None, false, false),
        ] {
            let pair = |name, value: Option<&'static str>| Some((name, HeaderValue::from_static(value?)));
            let headers =
                pair(CONTENT_TYPE, kind).into_iter().chain(pair(CONTENT_ENCODING, encoding)).collect();
            let reply = Reply::read(400, &headers);
            assert_eq!((reply.plain, reply.html), (plain, page), "{kind:?} {encoding:?}");
            assert_eq!(reply.words().contains("not read"), reply.encoding.is_some(), "{encoding:?}");
        }
        for (body, page) in [
            ("", false),
            ("ok", false),
            ("{\"status\": \"<html>\"}", false),
            ("<!DOCTYPE html><html>", true),
            ("\u{feff}\n <HTML lang=en>", true),
            ("<ü", false),
        ] {
            assert_eq!(is_page(body), page, "{body}");
        }
    }

    #[test]
    fn words_of_an_answer_cannot_disturb_the_log() {
        let words =
            |text: &str| Reply { text: text.to_owned(), ..Reply::read(503, &HeaderMap::new()) }.words();
        assert_eq!(words("\n bad\x1b[31m thing\r\nsecond line"), "HTTP 503 bad\\u{1b}[31m thing");
        assert_eq!(words("\u{202e}a\u{9b}"), "HTTP 503 \\u{202e}a\\u{9b}");
        assert_eq!(words(&"x".repeat(9999)).len(), "HTTP 503 …".len() + SHOWN_MAX);
        assert_eq!(words(""), "HTTP 503");
        let to = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("https://h/login?key=hunter2"))]);
        let words = Reply::read(302, &to).words();
        assert!(
            words.contains("redirects to https://h/login, which") && !words.contains("hunter2"),
            "{words}"
        );
    }
}
