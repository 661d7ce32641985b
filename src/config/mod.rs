//! The configuration: YAML as a person wrote it becomes a [`Config`] that is checked whole.
//!
//! A `Config` that exists is valid: every name, size and duration in it has been looked at, and every
//! mistake of the file has been reported at its place, all of them in one run. Nothing here touches the
//! network, reads a secret or writes state, so `journal-ship check` works in a build sandbox.

mod access;
mod alerts;
mod check;
mod diagnostic;
mod expand;
mod field_lint;
mod foreign;
mod journal;
mod keys;
mod labels;
mod loki;
pub(crate) mod names;
mod node;
mod read;
mod relabel;
mod retention;
mod scalars;
pub(crate) mod secrets;
pub mod units;
mod unmet;

use std::path::PathBuf;
use std::time::Duration;

pub use alerts::{Alertmanager, Alerts, RuleFile};
pub(crate) use check::{Checker, Section, Value};
pub use diagnostic::Diagnostics;
pub(crate) use diagnostic::{Finding, quoted};
pub use expand::{Environment, Unset};
pub(crate) use foreign::Document;
pub use keys::{KEYS, Key};
pub(crate) use names::Refusal;
pub(crate) use node::{Kind, Node};
pub(crate) use read::document;
pub use read::{DEFAULT_CONFIG_FILE, MAX_FILE_BYTES};
pub use relabel::{Relabel, RelabelAction};
pub(crate) use scalars::go_duration;
pub use unmet::{Unmet, point};

use journald_reader::Scope;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which journal is read, and from where on.
    pub journal: Journal,
    /// How an entry becomes a stream.
    pub labels: Labels,
    /// Structured metadata of each entry: name and the journal fields it comes from.
    pub structured_metadata: Vec<FieldRule>,
    /// What becomes the log line.
    pub line: Line,
    /// What happens to an entry between its labels and its batch.
    pub stages: Vec<crate::shape::stages::StageConfig>,
    /// How long logs live; without it nothing is dropped and no label says so.
    pub retention: Option<Retention>,
    /// Where entries go; empty only for a dry run.
    pub loki: Vec<Destination>,
    /// Which rules are evaluated, and who is told.
    pub alerts: Alerts,
    /// Where `/metrics` is served; `None`: nowhere.
    pub listen: Option<std::net::SocketAddr>,
    /// `http.hosts`: further names by which this host may be asked.
    pub hosts: Vec<String>,
    /// The agent's own log: most verbose level written.
    pub log_level: log::LevelFilter,
    /// Where checkpoints are kept.
    pub state_directory: PathBuf,
}

/// `journal:`
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// What of it is read.
    pub scope: Scope,
    /// On the first start: how far back from now reading begins; zero begins at the end.
    pub backfill: Duration,
    /// On the first start: the entry behind which reading begins, instead of `backfill`.
    pub start_cursor: Option<journald_reader::Cursor>,
}

impl Default for Journal {
    fn default() -> Self {
        // Loki refuses what is older than a week unless told otherwise (`reject_old_samples_max_age`).
        Self { scope: Scope::default(), backfill: Duration::from_secs(7 * 24 * 3600), start_cursor: None }
    }
}

/// `labels:`
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// Labels with a fixed value, sorted by name.
    pub fixed: Vec<(String, String)>,
    /// Labels taken from journal fields, sorted by name.
    pub fields: Vec<FieldRule>,
    /// Rules that change these labels, in the order in which they are applied.
    pub relabel: Vec<Relabel>,
    /// Active streams at most; the entries of further ones go to an overflow stream.
    pub max_streams: usize,
}

impl Default for Labels {
    fn default() -> Self {
        // Fields that no sender decides (`journal_fields`): selectors are made of `unit` and `service_name`. Names of a
        // user's own units have a label of their own, so that they are never taken for the system's.
        Self {
            fixed: vec![("job".to_owned(), "systemd-journal".to_owned())],
            fields: vec![
                FieldRule::new("host", &["_HOSTNAME"]),
                FieldRule::new("level", &["PRIORITY"]),
                FieldRule::new("service_name", &["_SYSTEMD_UNIT", "_TRANSPORT"]),
                FieldRule::new("unit", &["_SYSTEMD_UNIT"]),
                FieldRule::new("user_unit", &["_SYSTEMD_USER_UNIT"]),
            ],
            relabel: Vec::new(),
            // As many as Loki takes of a tenant (`max_global_streams_per_user`).
            max_streams: 5000,
        }
    }
}

/// One label or metadata name and the journal fields it may come from.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldRule {
    /// Name in Loki.
    pub name: String,
    /// Journal fields, the first one present in the entry with a value that is not empty wins.
    /// `PRIORITY` gives the keyword (`err` is spelled `error`), not the digit, and counts as absent unless it is one of
    /// the eight digits.
    pub sources: Vec<String>,
}

impl FieldRule {
    /// A rule by its parts; they are not checked.
    pub fn new(name: &str, sources: &[&str]) -> Self {
        Self { name: name.to_owned(), sources: sources.iter().map(|&source| source.to_owned()).collect() }
    }
}

/// `line:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The field `MESSAGE`.
    Message,
    /// All fields of the entry as one JSON object.
    Json,
}

/// `retention:`
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// The label that carries the class of a stream.
    pub label: Option<String>,
    /// How long what no rule matches is kept.
    pub default: Duration,
    /// The first one that matches decides.
    pub rules: Vec<RetentionRule>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            label: Some("retention".to_owned()),
            default: Duration::from_secs(31 * 24 * 3600),
            rules: Vec::new(),
        }
    }
}

/// One item of `retention.rules`
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionRule {
    /// Whom it is about.
    pub selector: logql::Selector,
    /// For how long they are kept; `None`: the default.
    pub keep: Option<Duration>,
    /// The share of them that is kept at all, 0 to 1.
    pub sample: Option<f64>,
    /// They are not sent.
    pub drop: bool,
}

/// One item of `loki:`
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// Unique among the destinations; names the checkpoint file.
    pub name: String,
    /// The full push URL.
    pub url: String,
    /// `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// How the server is reached.
    pub access: Access,
    /// Labels added for this destination only, sorted by name; they win over `labels`.
    pub labels: Vec<(String, String)>,
    /// When a batch is sealed.
    pub batch: Batch,
    /// Longest time one request may take, connecting included.
    pub timeout: Duration,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// Longest line (bytes); a longer one is cut, with a mark.
    pub max_line_bytes: usize,
}

/// How a server is reached: who we are, who it must be, and by which way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// Credentials; `None`: none.
    pub auth: Option<Auth>,
    /// What certificates have to be, with `https`.
    pub tls: Tls,
    /// A proxy's URL; `None`: the server is connected to directly.
    pub proxy: Option<String>,
    /// Further request headers, in the order written.
    pub headers: Vec<(String, HeaderSource)>,
}

/// Where the value of a request header comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderSource {
    /// The configuration.
    Text(String),
    /// A file, which is read when it is needed: the value is a secret.
    File(PathBuf),
}

/// Credentials. Secrets stand in files, which are read when they are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth` (RFC 7617)
    Basic {
        /// The user's name.
        username: String,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// `bearer_token_file` (RFC 6750)
    Bearer {
        /// The file with the token.
        token_file: PathBuf,
    },
}

/// `tls`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Authorities that the server's certificate must come from (PEM), instead of this machine's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, with those between it and its authority (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, instead of the one in the URL.
    pub server_name: Option<String>,
}

impl Destination {
    /// A destination with defaults for all but its name and its full push URL; they are not checked.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            tenant: None,
            access: Access::default(),
            labels: Vec::new(),
            batch: Batch::default(),
            timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
            max_line_bytes: crate::shape::line::LINE_MAX,
        }
    }
}

/// `loki[].batch`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Bytes of a batch before compression.
    pub max_bytes: usize,
    /// Longest time an entry waits for company.
    pub max_wait: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_wait: Duration::from_secs(1) }
    }
}

/// `loki[].backoff`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// First pause; it doubles.
    pub min: Duration,
    /// Longest pause.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(60) }
    }
}
