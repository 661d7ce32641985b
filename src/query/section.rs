//! The section `query:`: where the API is, and who may ask.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::observe::section::{host_name, listen};
use crate::yaml::key::key;
use crate::yaml::{Checker, Environment, Finding, Key, Kind, Section, Value};

/// The keys of `query`.
pub(crate) const KEYS: &[Key] = &[
    key("query", "section", ""),
    key("query.socket", "path, or `null`", ""),
    key("query.listen", "address and port, or `null`", "null"),
    key("query.token_file", "path", ""),
    key("query.unauthenticated", "boolean", "false"),
    key("query.hosts", "list of host names", "[]"),
    key("query.timeout", "duration", "1m"),
    key("query.concurrent", "number", "2"),
];

/// The socket's name in the runtime directory.
const SOCKET: &str = "query.sock";
/// How long a query may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// How many queries may run at a time (count). Each takes up to 50 MB; others wait.
const CONCURRENT: RangeInclusive<u64> = 1..=64;

/// `query:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queries {
    /// A Unix socket for whoever is in the group of the process; `None`: none.
    pub socket: Option<PathBuf>,
    /// A TCP address; `None`: none.
    pub listen: Option<SocketAddr>,
    /// A file with the token that requests to `listen` must have.
    pub token_file: Option<PathBuf>,
    /// Whoever can connect to `listen` may ask.
    pub unauthenticated: bool,
    /// Further names that requests to `listen` may use for this host.
    pub hosts: Vec<String>,
    /// How long a query may take.
    pub timeout: Duration,
    /// How many queries may run at a time.
    pub concurrent: usize,
    /// A socket or an address is written in the file: queries are meant to be answered.
    pub meant: bool,
}

impl Queries {
    /// The defaults: a socket where systemd has made a folder for it (systemd.exec(5), `RuntimeDirectory=`).
    pub fn builtin(env: &Environment<'_>) -> Self {
        let folder = env("RUNTIME_DIRECTORY").unwrap_or_default();
        let folder = folder.split(':').next().filter(|folder| folder.starts_with('/'));
        Self {
            socket: folder.map(|folder| PathBuf::from(folder).join(SOCKET)),
            listen: None,
            token_file: None,
            unauthenticated: false,
            hosts: Vec::new(),
            timeout: Duration::from_secs(60),
            concurrent: 2,
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
    section.read("token_file", &mut queries.token_file, |value| checker.path(value).map(Some));
    section.read("unauthenticated", &mut queries.unauthenticated, |value| checker.flag(value));
    section.read("hosts", &mut queries.hosts, |value| {
        checker.each(value, "a list of host names", |item| checker.checked(item, "a host name", host_name))
    });
    section.read("timeout", &mut queries.timeout, |value| checker.duration(value, &TIMEOUT));
    section.read("concurrent", &mut queries.concurrent, |value| {
        checker.integer(value, &CONCURRENT).and_then(|number| usize::try_from(number).ok())
    });
    let is_written = |name| section.get(name).is_some_and(|value| value.node.kind != Kind::Null);
    queries.meant = is_written("socket") || is_written("listen");
    let open = queries.token_file.is_none() && !queries.unauthenticated;
    if let Some(value) = section.get("listen").filter(|_| queries.listen.is_some() && open) {
        checker.note(
            Finding::at(value.place(), "anybody who can connect could read the journal")
                .label("no credentials are asked for")
                .help("name a file with a token: `token_file: /run/credentials/…`")
                .help("or say that it is meant: `unauthenticated: true`"),
        );
    }
    if let Some(value) = section.get("unauthenticated").filter(|_| queries.unauthenticated) {
        let title = match (queries.listen, &queries.token_file) {
            (_, Some(_)) => "`unauthenticated: true` has no effect beside `token_file`",
            (None, None) => "`unauthenticated: true` has no effect without `listen`",
            (Some(_), None) => "anybody who can connect can read the journal, secrets in it among them",
        };
        checker.warn(Finding::at(value.place(), title));
    }
    Some(queries)
}
