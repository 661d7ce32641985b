//! The section `loki:`: the destinations.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::client::Backoff;
use crate::client::access::{self, Access, access_keys, header_keys, server_url};
use crate::shape::labels::section::fixed;
use crate::shape::limits::LINE_MAX;
use crate::shape::names;
use crate::yaml::key::{count, joined, key};
use crate::yaml::{Checker, Finding, Key, Kind, Refusal, Section, Span, Value, quoted, units};

/// The default name of the first destination.
const DEFAULT_NAME: &str = "main";

/// Loki's push path.
const PUSH_PATH: &str = "/loki/api/v1/push";
/// The push path of Loki before version 1. Gateways may still use it.
const OLD_PUSH_PATH: &str = "/api/prom/push";

/// The limits of `batch.max_bytes`. Below, a request costs more than its batch; above, the three batches that a destination
/// has in memory (one being filled, two sealed) are no longer small.
const BATCH_BYTES: RangeInclusive<u64> = 4 << 10..=16 << 20;
/// The limits of `batch.max_wait`. Below, batches hold single entries; above, logs are no longer live.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// The limits of `max_line_bytes`. Below, ordinary lines are cut; above, a line is larger than a batch may be.
const LINE_BYTES: RangeInclusive<u64> = 1 << 10..=16 << 20;
/// The limits of `timeout`. Below, a busy Loki never answers in time; above, nobody notices a lost connection.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// The limits of `backoff`. Below, a Loki that is down gets too many requests; above, a Loki that is back waits too long.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// The longest name of a destination (bytes). It becomes the name of a file, with a suffix.
const NAME_MAX: usize = 64;

const PARTS: &[&[Key]] = &[
    &[
        key("loki", "list of sections", "[]"),
        key("loki[].name", "name", "main"),
        key("loki[].url", "URL", "required"),
        key("loki[].tenant", "string", "null"),
    ],
    access_keys!("loki[]"),
    header_keys!("loki[]"),
    &[key("loki[].query_url", "URL", "null"), key("loki[].query_access", "section", "null")],
    access_keys!("loki[].query_access"),
    header_keys!("loki[].query_access"),
    &[
        key("loki[].labels", "map of strings", "{}"),
        key("loki[].batch", "section", ""),
        key("loki[].batch.max_bytes", "size", "1MiB"),
        key("loki[].batch.max_wait", "duration", "1s"),
        key("loki[].max_line_bytes", "size", "256KiB"),
        key("loki[].timeout", "duration", "10s"),
        key("loki[].backoff", "section", ""),
        key("loki[].backoff.min", "duration", "500ms"),
        key("loki[].backoff.max", "duration", "1m"),
    ],
];
/// The keys of `loki`.
pub(crate) const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);

/// One item of `loki:`
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// Its name. It is unique among the destinations, and names the checkpoint file.
    pub name: String,
    /// The full push URL.
    pub url: String,
    /// `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// How the server is reached.
    pub access: Access,
    /// Where Loki is asked, without `/loki/api/v1`, if that is not the server of `url`: see [`Destination::query_url`].
    pub query_url: Option<String>,
    /// How that server is reached, if not in the same way.
    pub query_access: Option<Access>,
    /// Labels for this destination only, sorted by name. They replace labels of the same name.
    pub labels: Vec<(String, String)>,
    /// When a batch is sealed.
    pub batch: Batch,
    /// The longest time for a request, with connecting.
    pub timeout: Duration,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// The longest line (bytes). A longer line is cut, with a mark.
    pub max_line_bytes: usize,
}

impl Destination {
    /// A destination with this name, this full push URL, and defaults for the rest. They are not checked.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            tenant: None,
            access: Access::default(),
            query_url: None,
            query_access: None,
            labels: Vec::new(),
            batch: Batch::default(),
            timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
            max_line_bytes: LINE_MAX,
        }
    }

    /// The address before `/loki/api/v1`, where Loki is asked.
    pub fn query_url(&self) -> String {
        self.query_url.clone().unwrap_or_else(|| asked_url(&self.url).unwrap_or_default())
    }
}

/// `loki[].batch`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The size of a batch (bytes before compression).
    pub max_bytes: usize,
    /// The longest time that an entry waits for others.
    pub max_wait: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_wait: Duration::from_secs(1) }
    }
}

/// Reads the list of destinations, each with the place that stands for it in messages.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<(Destination, Span)>> {
    const EXPECTED: &str = "a list of destinations, each begun with `- `";
    if value.node.kind == Kind::Null {
        return None;
    }
    let items = checker.list(value, EXPECTED)?;
    let mut destinations = Vec::with_capacity(items.len());
    let mut names: HashMap<String, Span> = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Some(section) = Section::open(checker, item, "loki[]") else { continue };
        let mut destination = destination(checker, item, &section);
        if let Some((name, place)) = name(checker, item, &section, index) {
            match names.get(&name) {
                Some(first) => checker.note(same_name(&name, place, first)),
                None => drop(names.insert(name.clone(), place)),
            }
            destination.name = name;
        }
        let place = section.get("labels").map_or(item.place(), |labels| labels.key.clone());
        destinations.push((destination, place));
    }
    Some(destinations)
}

/// The name of the destination, and the place that it comes from.
fn name(
    checker: &Checker<'_>,
    item: &Value<'_>,
    section: &Section<'_>,
    index: usize,
) -> Option<(String, Span)> {
    match section.get("name") {
        Some(value) => {
            let name = checker.checked(value, "a name", destination_name)?;
            Some((name, value.node.used.clone()))
        }
        None if index == 0 => Some((DEFAULT_NAME.to_owned(), item.key.clone())),
        None => {
            checker.note(
                Finding::at(item.place(), format!("`{}` has no name", item.path))
                    .label("expected `name`")
                    .note(
                        "its place in the journal is kept under its name: the name must stay the same when the \
                         list or the URL changes",
                    )
                    .help("add for instance `name: archive`"),
            );
            None
        }
    }
}

fn same_name(name: &str, place: Span, first: &Span) -> Finding {
    Finding::at(place, format!("two destinations have the name `{name}`"))
        .label("expected another name")
        .related(first.clone(), "the first one")
        .note("each destination keeps its place in the journal in a file of that name")
}

/// Reads the destination without its name. A mistake in the URL does not hide mistakes in the rest.
fn destination(checker: &Checker<'_>, item: &Value<'_>, section: &Section<'_>) -> Destination {
    let mut destination = Destination::new("", "");
    match section.get("url") {
        Some(value) => {
            destination.url =
                access::url(checker, value, "a URL such as `http://loki:3100`", push_url).unwrap_or_default()
        }
        None if section.is_meant("url") => {}
        None => checker.note(
            Finding::at(item.place(), format!("`{}` has no `url`", item.path))
                .label("expected `url`")
                .help("add the address of Loki: `url: http://loki:3100`"),
        ),
    }
    section.read("tenant", &mut destination.tenant, |value| tenant(checker, value));
    destination.access = access::read(checker, section, "loki[]", &destination.url);
    section.read("query_url", &mut destination.query_url, |value| match value.node.kind {
        Kind::Null => Some(None),
        _ => access::url(checker, value, "a URL such as `http://loki:3100`", asked_url).map(Some),
    });
    let asked = destination.query_url();
    section.read("query_access", &mut destination.query_access, |value| match value.node.kind {
        Kind::Null => Some(None),
        _ => {
            const SCHEMA: &str = "loki[].query_access";
            let section = Section::open(checker, value, SCHEMA)?;
            Some(Some(access::read(checker, &section, SCHEMA, &asked)))
        }
    });
    section.read("labels", &mut destination.labels, |value| fixed(checker, value));
    section.read("batch", &mut destination.batch, |value| batch(checker, value));
    section.read("max_line_bytes", &mut destination.max_line_bytes, |value| {
        checker.size(value, &LINE_BYTES).and_then(|bytes| usize::try_from(bytes).ok())
    });
    section.read("timeout", &mut destination.timeout, |value| checker.duration(value, &TIMEOUT));
    section.read("backoff", &mut destination.backoff, |value| backoff(checker, value));
    destination
}

fn tenant(checker: &Checker<'_>, value: &Value<'_>) -> Option<Option<String>> {
    match value.node.kind {
        Kind::Null => Some(None),
        _ => checker.checked(value, "a string, the tenant", names::tenant).map(Some),
    }
}

fn batch(checker: &Checker<'_>, value: &Value<'_>) -> Option<Batch> {
    let section = Section::open(checker, value, "loki[].batch")?;
    let mut batch = Batch::default();
    section.read("max_bytes", &mut batch.max_bytes, |value| {
        checker.size(value, &BATCH_BYTES).and_then(|bytes| usize::try_from(bytes).ok())
    });
    section.read("max_wait", &mut batch.max_wait, |value| checker.duration(value, &WAIT));
    Some(batch)
}

fn backoff(checker: &Checker<'_>, value: &Value<'_>) -> Option<Backoff> {
    let section = Section::open(checker, value, "loki[].backoff")?;
    let mut backoff = Backoff::default();
    section.read("min", &mut backoff.min, |value| checker.duration(value, &PAUSE));
    section.read("max", &mut backoff.max, |value| checker.duration(value, &PAUSE));
    if backoff.min > backoff.max {
        let text = units::format_duration;
        let title = format!(
            "the shortest pause {} is longer than the longest, {}",
            text(backoff.min),
            text(backoff.max)
        );
        let expected = "expected `min` to be at most `max`";
        match (section.get("min"), section.get("max")) {
            (Some(min), Some(max)) => checker.note(
                Finding::at(min.place(), title).label(expected).related(max.place(), "the longest pause"),
            ),
            (Some(one), None) | (None, Some(one)) => checker
                .note(Finding::at(one.place(), title).label(expected).note("the other one is the default")),
            (None, None) => {}
        }
    }
    Some(backoff)
}

/// The push URL. The push path is added unless the written URL ends in one. No refusal repeats the text, which may hold a
/// password.
fn push_url(text: &str) -> Result<String, Refusal> {
    const EXPECTED: &str = "expected a URL such as `http://loki:3100`";
    let mut url = server_url(text, EXPECTED)?;
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with(PUSH_PATH) && !path.ends_with(OLD_PUSH_PATH) {
        if path.ends_with("/loki/api/v1") || path.ends_with("/loki/api") || path.ends_with("/api/prom") {
            return Err(Refusal::new("the URL ends within Loki's push path", EXPECTED)
                .help(format!("write the address before it, or all of it, up to `{PUSH_PATH}`")));
        }
        url.set_path(&format!("{path}{PUSH_PATH}"));
    }
    Ok(url.to_string())
}

/// The address before Loki's read API, from a URL of Loki with or without a path of its API. No refusal repeats the text, which may
/// hold a password.
fn asked_url(text: &str) -> Result<String, Refusal> {
    const READ_PATH: &str = "/loki/api/v1";
    let mut url = server_url(text, "expected a URL such as `http://loki:3100`")?;
    let path = url.path().trim_end_matches('/');
    let before = [PUSH_PATH, OLD_PUSH_PATH, READ_PATH].iter().find_map(|end| path.strip_suffix(end));
    let before = before.unwrap_or(path).to_owned();
    url.set_path(&before);
    Ok(url.to_string())
}

/// Checks the name of a destination: `[A-Za-z0-9_.-]{1,64}`, not beginning with a dot, because it names a file.
fn destination_name(name: &str) -> Result<(), Refusal> {
    let valid = (1..=NAME_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if valid {
        return Ok(());
    }
    Err(Refusal::new(
        format!("{} is not a valid name of a destination", quoted(name)),
        format!("expected 1 to {NAME_MAX} of letters, digits, `_`, `-` and `.`, no `.` first"),
    )
    .help("the name is also the name of the checkpoint's file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::check_rule;

    #[test]
    fn a_base_url_gets_the_push_path_and_a_full_one_is_kept() {
        for (text, expected) in [
            ("http://loki:3100", "http://loki:3100/loki/api/v1/push"),
            ("http://loki:3100/", "http://loki:3100/loki/api/v1/push"),
            ("https://logs.example.org", "https://logs.example.org/loki/api/v1/push"),
            ("HTTPS://Logs.Example.org:443/a/b//", "https://logs.example.org/a/b/loki/api/v1/push"),
            ("http://gateway/prefix", "http://gateway/prefix/loki/api/v1/push"),
            ("http://gateway/loki", "http://gateway/loki/loki/api/v1/push"),
            ("http://loki:3100/loki/api/v1/push", "http://loki:3100/loki/api/v1/push"),
            ("http://loki:3100/p/loki/api/v1/push?x=1", "http://loki:3100/p/loki/api/v1/push?x=1"),
            ("http://loki:3100/api/prom/push", "http://loki:3100/api/prom/push"),
            ("http://[::1]:3100", "http://[::1]:3100/loki/api/v1/push"),
            ("http://[fe80::1]/x/", "http://[fe80::1]/x/loki/api/v1/push"),
            ("http://127.0.0.1:1?a=b", "http://127.0.0.1:1/loki/api/v1/push?a=b"),
        ] {
            assert_eq!(push_url(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn loki_is_asked_at_the_address_before_its_api() {
        for (text, expected) in [
            ("http://loki:3100", "http://loki:3100/"),
            ("http://loki:3100/loki/api/v1/push", "http://loki:3100/"),
            ("http://gateway/a/loki/api/v1/push?x=1", "http://gateway/a?x=1"),
            ("http://gateway/a/api/prom/push", "http://gateway/a"),
            ("http://gateway/a/loki/api/v1/", "http://gateway/a"),
        ] {
            assert_eq!(asked_url(text).as_deref(), Ok(expected), "{text}");
        }
        let destination = Destination::new("main", "http://loki:3100/loki/api/v1/push");
        assert_eq!(destination.query_url(), "http://loki:3100/");
    }

    #[test]
    fn other_urls_are_refused_without_being_repeated() {
        for (text, part) in [
            ("", "neither"),
            ("loki:3100", "did you mean `http://loki:3100`"),
            ("localhost", "did you mean `http://localhost`"),
            ("ftp://loki", "neither"),
            ("user:hunter2@loki", "neither"),
            ("ftp://user:hunter2@loki", "neither"),
            ("http://", "not a URL"),
            ("http://lo ki", "no spaces"),
            (" http://loki", "no spaces"),
            ("http://loki:99999", "not a URL"),
            ("http://[::1", "not a URL"),
            ("http://user:hunter2@loki", "user name or a password"),
            ("http://hunter2@loki", "user name or a password"),
            ("http://:hunter2@loki", "user name or a password"),
            ("http://loki#x", "fragment"),
            ("http://loki/loki/api/v1/", "within Loki's push path"),
            ("http://loki/api/prom", "within Loki's push path"),
        ] {
            let text_of = format!("{:?}", push_url(text).expect_err(text));
            assert!(text_of.contains(part), "{text}: {text_of}");
            assert!(!text_of.contains("hunter2"), "{text_of}");
        }
    }

    #[test]
    fn destination_names() {
        let long = "a".repeat(65);
        check_rule(
            destination_name,
            &["main", "a.b-c_D9", "-", &long[..64]],
            &[
                ("", "checkpoint"),
                (".", "checkpoint"),
                ("..", "checkpoint"),
                ("a/b", "checkpoint"),
                (&long, "64"),
            ],
        );
    }
}
