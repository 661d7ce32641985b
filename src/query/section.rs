//! The section `query:`: where the API is, and who may ask.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::Auth;
use crate::client::access::{basic_auth, existing_file};
use crate::observe::section::{host_name, listen};
use crate::query::Limits;
use crate::yaml::key::key;
use crate::yaml::{Checker, Environment, Finding, Key, Kind, Section, Value};

/// The keys of `query`.
pub(crate) const KEYS: &[Key] = &[
    key("query", "section", ""),
    key("query.socket", "path, or `null`", ""),
    key("query.listen", "address and port, or `null`", "null"),
    key("query.token_file", "path", "null"),
    key("query.basic_auth", "section", "null"),
    key("query.basic_auth.username", "string", "required"),
    key("query.basic_auth.password_file", "path", "required"),
    key("query.tls", "section", "null"),
    key("query.tls.cert_file", "path", "required"),
    key("query.tls.key_file", "path", "required"),
    key("query.tls.client_ca_file", "path", "null"),
    key("query.unauthenticated", "boolean", "false"),
    key("query.hosts", "list of host names", "[]"),
    key("query.timeout", "duration", "1m"),
    key("query.concurrent", "number", "2"),
    key("query.limits", "section", ""),
    key("query.limits.span", "duration", "null"),
    key("query.limits.entries", "number", "5000"),
    key("query.limits.series", "number", "500"),
    key("query.limits.bytes_read", "size", "null"),
];

/// The socket's name in the runtime directory.
const SOCKET: &str = "query.sock";
/// How long a query may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// How many queries may run at a time (count). Each takes up to 50 MB; others wait.
const CONCURRENT: RangeInclusive<u64> = 1..=64;

/// How long a query's span may be at most: the shortest is of use in tests, the longest is a century.
const SPAN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(100 * 365 * 86_400);
/// How many lines may be asked for (count). A request that does not say how many asks for 100; all lines of an answer are held,
/// up to [`crate::query::LINES_MAX`].
const ENTRIES: RangeInclusive<u64> = 100..=100_000;
/// How many series an answer may have (count): the command has the highest number.
const SERIES: RangeInclusive<u64> = 1..=10_000;
/// How much a query may read from journal files (bytes). Less would not do for the headers of a few files.
const BYTES_READ: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// `query:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queries {
    /// A Unix socket for whoever is in the group of the process; `None`: none.
    pub socket: Option<PathBuf>,
    /// A TCP address; `None`: none.
    pub listen: Option<SocketAddr>,
    /// What requests to `listen` must bring: a token, or a name and a password. `None`: nothing.
    pub login: Option<Auth>,
    /// The certificates of `listen`; `None`: it speaks HTTP without TLS.
    pub tls: Option<Certificates>,
    /// Whoever can connect to `listen` may ask.
    pub unauthenticated: bool,
    /// Further names that requests to `listen` may use for this host.
    pub hosts: Vec<String>,
    /// How long a query may take.
    pub timeout: Duration,
    /// How many queries may run at a time.
    pub concurrent: usize,
    /// What a query may ask for.
    pub limits: Limits,
    /// A socket or an address is written in the file: queries are meant to be answered.
    pub meant: bool,
}

/// `query.tls`. The files are read when the agent starts, and again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Our certificate, followed by the intermediate certificates (PEM).
    pub cert_file: PathBuf,
    /// The key of our certificate (PEM).
    pub key_file: PathBuf,
    /// The authorities of clients (PEM): who has no certificate of theirs cannot ask. `None`: clients need none.
    pub client_ca_file: Option<PathBuf>,
}

impl Queries {
    /// The defaults: a socket where systemd has made a folder for it (systemd.exec(5), `RuntimeDirectory=`).
    pub fn builtin(env: &Environment<'_>) -> Self {
        let folder = env("RUNTIME_DIRECTORY").unwrap_or_default();
        let folder = folder.split(':').next().filter(|folder| folder.starts_with('/'));
        Self {
            socket: folder.map(|folder| PathBuf::from(folder).join(SOCKET)),
            listen: None,
            login: None,
            tls: None,
            unauthenticated: false,
            hosts: Vec::new(),
            timeout: Duration::from_secs(60),
            concurrent: 2,
            limits: Limits::default(),
            meant: false,
        }
    }
}

/// Reads `query`.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>, env: &Environment<'_>) -> Option<Queries> {
    let section = Section::open(checker, value, "query")?;
    let mut queries = Queries::builtin(env);
    section.read("socket", &mut queries.socket, |value| match value.node.kind {
        Kind::Null => Some(None),
        _ => checker.path(value).map(Some),
    });
    section.read("listen", &mut queries.listen, |value| listen(checker, value));
    queries.login = login(checker, &section);
    section.read("tls", &mut queries.tls, |value| certificates(checker, value).map(Some));
    section.read("unauthenticated", &mut queries.unauthenticated, |value| checker.flag(value));
    section.read("hosts", &mut queries.hosts, |value| {
        checker.each(value, "a list of host names", |item| checker.checked(item, "a host name", host_name))
    });
    section.read("timeout", &mut queries.timeout, |value| checker.duration(value, &TIMEOUT));
    section.read("concurrent", &mut queries.concurrent, |value| {
        checker.integer(value, &CONCURRENT).and_then(|number| usize::try_from(number).ok())
    });
    section.read("limits", &mut queries.limits, |value| limits(checker, value));
    let is_written = |name| section.get(name).is_some_and(|value| value.node.kind != Kind::Null);
    queries.meant = is_written("socket") || is_written("listen");
    lint(checker, &section, &queries);
    Some(queries)
}

/// `query.limits`
fn limits(checker: &Checker<'_>, value: &Value<'_>) -> Option<Limits> {
    let section = Section::open(checker, value, "query.limits")?;
    let mut limits = Limits::default();
    let count = |value: &Value<'_>, range: &RangeInclusive<u64>| {
        checker.integer(value, range).and_then(|number| usize::try_from(number).ok())
    };
    section.read("span", &mut limits.span, |value| checker.duration(value, &SPAN).map(Some));
    section.read("entries", &mut limits.entries, |value| count(value, &ENTRIES));
    section.read("series", &mut limits.series, |value| count(value, &SERIES));
    section.read("bytes_read", &mut limits.bytes_read, |value| checker.size(value, &BYTES_READ).map(Some));
    Some(limits)
}

/// What requests must bring.
fn login(checker: &Checker<'_>, section: &Section<'_>) -> Option<Auth> {
    let (mut token, mut basic) = (None, None);
    section.read("token_file", &mut token, |value| file(checker, value).map(Some));
    section.read("basic_auth", &mut basic, |value| {
        basic_auth(checker, value, "query.basic_auth", |value| file(checker, value)).map(Some)
    });
    if let (Some(first), Some(second)) = (section.get("token_file"), section.get("basic_auth"))
        && token.is_some()
        && basic.is_some()
    {
        checker.note(
            Finding::at(second.key.clone(), "two ways to log in: `token_file` and `basic_auth`")
                .label("remove one of them")
                .related(first.key.clone(), "the other one")
                .help("a token is also taken as the password of basic authentication, with any user name"),
        );
    }
    basic.or(token.map(|token_file| Auth::Bearer { token_file }))
}

/// Reads the path of a file, and warns if it is missing.
fn file(checker: &Checker<'_>, value: &Value<'_>) -> Option<PathBuf> {
    existing_file(checker, value, "the agent does not start without it", "create it, or correct the path")
}

fn certificates(checker: &Checker<'_>, value: &Value<'_>) -> Option<Certificates> {
    let section = Section::open(checker, value, "query.tls")?;
    let of = |name| section.required(checker, value, name, |value| file(checker, value));
    let (cert_file, key_file) = (of("cert_file"), of("key_file"));
    let mut client_ca_file = None;
    section.read("client_ca_file", &mut client_ca_file, |value| file(checker, value).map(Some));
    Some(Certificates { cert_file: cert_file?, key_file: key_file?, client_ca_file })
}

/// Refuses an address that anybody may ask, unless it is said to be meant, and warns of what has no effect.
fn lint(checker: &Checker<'_>, section: &Section<'_>, queries: &Queries) {
    let clients = queries.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    let asked_for = match &queries.login {
        Some(Auth::Bearer { .. }) => Some("token_file"),
        Some(Auth::Basic { .. }) => Some("basic_auth"),
        None => clients.then_some("tls.client_ca_file"),
    };
    let is_written = |name| section.get(name).is_some_and(|value| value.node.kind != Kind::Null);
    // What is written and could not be read is told of already.
    let told = (queries.login.is_none() && (is_written("token_file") || is_written("basic_auth")))
        || (queries.tls.is_none() && is_written("tls"));
    let open = asked_for.is_none() && !queries.unauthenticated && !told;
    if let Some(value) = section.get("listen").filter(|_| queries.listen.is_some() && open) {
        checker.note(
            Finding::at(value.place(), "anybody who can connect could read the journal")
                .label("no credentials are asked for")
                .help("name a file with a token: `token_file: /run/credentials/…`")
                .help("or ask for a name and a password (`basic_auth`), or for certificates (`tls.client_ca_file`)")
                .help("or say that it is meant: `unauthenticated: true`"),
        );
    }
    if let Some(value) = section.get("unauthenticated").filter(|_| queries.unauthenticated) {
        let title = match (queries.listen, asked_for) {
            (_, Some(key)) => format!("`unauthenticated: true` has no effect beside `{key}`"),
            (None, None) => "`unauthenticated: true` has no effect without `listen`".to_owned(),
            (Some(_), None) => {
                "anybody who can connect can read the journal, secrets in it among them".to_owned()
            }
        };
        checker.warn(Finding::at(value.place(), title));
    }
    if let Some(value) = section.get("tls").filter(|_| queries.tls.is_some() && queries.listen.is_none()) {
        checker.warn(
            Finding::at(value.key.clone(), "`tls` has no effect without `listen`")
                .help("the socket needs no TLS: nobody is between its two ends"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// Whether queries are meant to be answered, and all that is said about `query`.
    fn read(query: &str) -> (Option<bool>, String) {
        let text = format!("loki: [{{url: http://localhost}}]\nquery: {query}\n");
        match Config::examine_text(&text, "test", &|_| None) {
            Ok((config, warnings)) => (Some(config.query.meant), warnings.to_string()),
            Err(mistakes) => (None, mistakes.to_string()),
        }
    }

    #[test]
    fn queries_are_meant_where_a_place_is_written() {
        for (query, meant) in [
            ("{}", false),
            ("{timeout: 5s}", false),
            ("{socket: null}", false),
            ("{socket: null, listen: null}", false),
            ("{socket: /run/q.sock}", true),
            ("{listen: '127.0.0.1:9195', unauthenticated: true}", true),
            ("{socket: null, listen: '127.0.0.1:9195', unauthenticated: true}", true),
            ("{socket: /run/q.sock, listen: null}", true),
        ] {
            assert_eq!(read(query).0, Some(meant), "{query}");
        }
    }

    #[test]
    fn an_address_that_anybody_may_ask_is_refused_unless_it_is_meant() {
        const OPEN: &str = "anybody who can connect could read the journal";
        for (more, open) in [
            ("", true),
            ("tls: {cert_file: /dev/null, key_file: /dev/null}", true),
            ("tls: {cert_file: /dev/null, key_file: /dev/null, client_ca_file: /dev/null}", false),
            ("token_file: /dev/null", false),
            ("basic_auth: {username: ada, password_file: /dev/null}", false),
            ("unauthenticated: true", false),
            // What is written and could not be read is told of already, and nothing else.
            ("token_file: []", false),
            ("basic_auth: {username: ada}", false),
            ("tls: {cert_file: /dev/null}", false),
            ("token_file: null, basic_auth: null, tls: null", true),
        ] {
            let (_, said) = read(&format!("{{listen: '127.0.0.1:9195', {more}}}"));
            assert_eq!(said.contains(OPEN), open, "{more}: {said}");
        }
        let (_, said) = read("{socket: /run/q.sock}");
        assert!(!said.contains(OPEN), "{said}");
    }

    #[test]
    fn what_has_no_effect_is_said() {
        const TLS: &str = "tls: {cert_file: /dev/null, key_file: /dev/null}";
        for (query, told) in [
            ("{socket: /run/q.sock, unauthenticated: true}".to_owned(), "no effect without `listen`"),
            ("{listen: '127.0.0.1:1', unauthenticated: true, token_file: /dev/null}".to_owned(), "no effect beside `token_file`"),
            (format!("{{socket: /run/q.sock, {TLS}}}"), "`tls` has no effect without `listen`"),
            (
                "{listen: '127.0.0.1:1', token_file: /dev/null, basic_auth: {username: a, password_file: /dev/null}}".to_owned(),
                "two ways to log in",
            ),
        ] {
            let (_, said) = read(&query);
            assert!(said.contains(told), "{query}: {said}");
        }
        for query in [
            "{listen: '127.0.0.1:1', token_file: /dev/null}".to_owned(),
            format!("{{listen: '127.0.0.1:1', token_file: /dev/null, {TLS}}}"),
            "{socket: /run/q.sock}".to_owned(),
            // Only one of the two could be read.
            "{listen: '127.0.0.1:1', token_file: /dev/null, basic_auth: {username: a}}".to_owned(),
        ] {
            let (_, said) = read(&query);
            assert!(!said.contains("no effect") && !said.contains("two ways"), "{query}: {said}");
        }
    }
}
