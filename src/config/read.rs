//! From a file to a [`Config`]: reading it, and the sections at the top.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::check::{Checker, Section, Value};
use super::diagnostic::{Diagnostics, Finding, quoted};
use super::expand::{Environment, Unset};
use super::foreign::Document;
use super::keys::names_in;
use super::{Alerts, Config, Journal, Labels, Line};
use super::{FieldRule, names::Refusal, node::Kind};
use super::{alerts, field_lint, journal, labels, loki, node, retention, secrets};
use crate::alerts::{KnownLabels, Origins};

/// Where the configuration is unless `--config` names another file.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/journal-ship/config.yaml";

/// Largest configuration file, in bytes: a hundred times a large one; what is larger is another file.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Where checkpoints are kept when systemd does not say so.
const DEFAULT_STATE_DIRECTORY: &str = "/var/lib/journal-ship";

/// Where `/metrics` is served unless `http.listen` says otherwise: not from outside.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9194);

const LOG_LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const LINES: [(&str, Line); 2] = [("message", Line::Message), ("json", Line::Json)];

impl Config {
    /// Reads and checks a configuration file. `env` gives environment variables.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is larger than [`MAX_FILE_BYTES`], is not UTF-8, or says something that
    /// does not hold: all of it, each at its place.
    pub fn load(path: &Path, env: &Environment<'_>) -> Result<Self, Diagnostics> {
        Self::examine(path, env, Unset::Mistake).map(|(config, _)| config)
    }

    /// As [`Config::load`], with what is no mistake but may not be as one thinks; where a variable is unknown, without
    /// what it stands in.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn examine(
        path: &Path,
        env: &Environment<'_>,
        unset: Unset,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let origin = path.display().to_string();
        let unreadable = |finding: Finding| Diagnostics::new(&origin, "", Vec::new(), vec![finding]);
        let bytes = read_file(path).map_err(|error| unreadable(read_finding(path, &error)))?;
        if bytes.len() > MAX_FILE_BYTES {
            let size = super::units::format_size(MAX_FILE_BYTES as u64);
            let finding = Finding::nowhere(format!("the configuration is larger than {size}"));
            return Err(unreadable(finding.help("is this the right file?")));
        }
        match String::from_utf8(bytes) {
            Ok(source) => Self::examine_source(&source, &origin, env, unset),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let source = String::from_utf8_lossy(error.as_bytes());
                let finding = Finding::at(good..good + 1, "the configuration is not UTF-8")
                    .label("this byte is part of no character")
                    .help("save the file as UTF-8");
                Err(Diagnostics::new(&origin, &source, secrets::in_text(&source), vec![finding]))
            }
        }
    }

    /// Checks a configuration given as text; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], reading excepted.
    pub fn parse(source: &str, origin: &str, env: &Environment<'_>) -> Result<Self, Diagnostics> {
        Self::examine_text(source, origin, env).map(|(config, _)| config)
    }

    /// As [`Config::parse`], with what is no mistake but may not be as one thinks.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`].
    pub fn examine_text(
        source: &str,
        origin: &str,
        env: &Environment<'_>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::examine_source(source, origin, env, Unset::Mistake)
    }

    fn examine_source(
        source: &str,
        origin: &str,
        env: &Environment<'_>,
        unset: Unset,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        match node::document(source) {
            Ok(root) => {
                let checker = Checker::new(source, secrets::in_document(&root), env).unset(unset);
                let value = Value { path: String::new(), key: root.span.clone(), node: &root };
                let of_ours = |key: &str| names_in("").any(|name| name == key);
                let foreign = Document::of(&root).filter(|document| *document != Document::Ours);
                let config = match foreign.filter(|_| !root.keys().any(of_ours)) {
                    Some(document) => {
                        checker.note_foreign(document);
                        Config::builtin(env)
                    }
                    None => config(&checker, &value, env),
                };
                checker.finish(origin, config)
            }
            Err(finding) => Err(Diagnostics::new(origin, source, secrets::in_text(source), vec![*finding])),
        }
    }

    /// The built-in defaults: this machine's journal, and no destination. Enough for a dry run.
    pub fn builtin(env: &Environment<'_>) -> Self {
        Self {
            journal: Journal::default(),
            labels: Labels::default(),
            structured_metadata: default_metadata(),
            line: Line::Message,
            stages: Vec::new(),
            retention: None,
            loki: Vec::new(),
            alerts: Alerts::default(),
            listen: Some(DEFAULT_LISTEN),
            hosts: Vec::new(),
            log_level: LevelFilter::Info,
            state_directory: default_state_directory(env),
        }
    }

    /// That there is somewhere to ship to, which running the agent needs and a dry run does not; `origin`
    /// names the file in the message.
    ///
    /// # Errors
    ///
    /// There is no destination: what to write.
    pub fn require_destinations(&self, origin: &str) -> Result<(), Diagnostics> {
        // One that only evaluates rules has something to do, too.
        if !self.loki.is_empty() || (self.alerts.rules() > 0 && !self.alerts.alertmanagers.is_empty()) {
            return Ok(());
        }
        let finding = Finding::nowhere("there is no destination to ship to")
            .help("write where Loki is:\nloki:\n  - url: http://loki:3100")
            .help("to see what would be shipped, without a Loki: journal-ship --dry-run");
        Err(Diagnostics::new(origin, "", Vec::new(), vec![finding]))
    }
}

/// The tree of a YAML document of any program; `origin` names it in messages.
///
/// # Errors
///
/// It is no YAML, or larger than any configuration.
pub(crate) fn document(source: &str, origin: &str) -> Result<node::Node, Diagnostics> {
    node::document(source)
        .map_err(|finding| Diagnostics::new(origin, source, secrets::in_text(source), vec![*finding]))
}

fn default_metadata() -> Vec<FieldRule> {
    vec![FieldRule::new("identifier", &["SYSLOG_IDENTIFIER"]), FieldRule::new("pid", &["_PID"])]
}

/// The first of the directories that systemd made for the unit (systemd.exec(5), `StateDirectory=`: a list
/// joined by colons), else the usual one. systemd's are absolute; anything else did not come from it.
fn default_state_directory(env: &Environment<'_>) -> PathBuf {
    let given = env("STATE_DIRECTORY").unwrap_or_default();
    match given.split(':').next() {
        Some(first) if first.starts_with('/') => PathBuf::from(first),
        _ => PathBuf::from(DEFAULT_STATE_DIRECTORY),
    }
}

/// One byte more than is taken at most, so that a larger file is known as such whatever its size claims.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_finding(path: &Path, error: &io::Error) -> Finding {
    let finding = Finding::nowhere(format!("the configuration cannot be read: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => finding
            .help(format!("write it, or name another one with --config (default {DEFAULT_CONFIG_FILE})"))
            .help("journal-ship --dry-run shows what the built-in defaults would ship"),
        io::ErrorKind::PermissionDenied => finding.help(format!(
            "the user that runs journal-ship needs read permission for it: see `namei -l {}`",
            path.display()
        )),
        io::ErrorKind::IsADirectory => finding.help("name the file in it: --config DIR/config.yaml"),
        _ => finding,
    }
}

/// The whole file. What cannot be read keeps its default; the checker knows that it is not to be used.
fn config(checker: &Checker<'_>, root: &Value<'_>, env: &Environment<'_>) -> Config {
    let mut config = Config::builtin(env);
    let Some(section) = Section::open(checker, root, "") else { return config };
    let mut destinations = Vec::new();
    section.read("journal", &mut config.journal, |value| journal::journal(checker, value));
    section.read("labels", &mut config.labels, |value| labels::labels(checker, value));
    section.read("structured_metadata", &mut config.structured_metadata, |value| {
        labels::metadata(checker, value)
    });
    section.read("line", &mut config.line, |value| checker.choice(value, &LINES));
    section.read("stages", &mut config.stages, |value| crate::shape::stages::read(checker, value));
    let origins = Origins::new(&config.labels, &config.structured_metadata, &config.stages);
    section.read("retention", &mut config.retention, |value| {
        retention::retention(checker, value, &origins).map(Some)
    });
    section.read("loki", &mut destinations, |value| loki::destinations(checker, value));
    if let Some(alerts) = section.get("alerts").and_then(|value| alerts::alerts(checker, value, &config)) {
        config.alerts = alerts;
    }
    if let Some(value) = section.get("http") {
        http(checker, value, &mut config);
    }
    section.read("log_level", &mut config.log_level, |value| checker.choice(value, &LOG_LEVELS));
    section.read("state_directory", &mut config.state_directory, |value| {
        checker.checked(value, PATH, absolute).map(PathBuf::from)
    });

    let labels_place = section.get("labels").map(|value| value.key.clone());
    labels::label_sets(checker, &config.labels, labels_place, &destinations);
    config.loki = destinations.into_iter().map(|(destination, _)| destination).collect();
    if checker.is_clean() {
        lint(checker, &section, &config);
    }
    config
}

/// Warns of what is written without a mistake and can do nothing.
fn lint(checker: &Checker<'_>, section: &Section<'_>, config: &Config) {
    let of_destinations = || config.loki.iter().flat_map(|d| &d.labels).map(|(name, _)| name.as_str());
    let known = KnownLabels::new(&config.labels, &config.structured_metadata, &config.stages);
    let known = known.with(of_destinations());
    if let Some(value) = section.get("journal") {
        field_lint::journal(checker, value);
    }
    if let Some(value) = section.get("labels") {
        let destinations: Vec<&str> = of_destinations().collect();
        field_lint::labels(checker, value, &config.labels, &destinations);
    }
    if let Some(value) = section.get("structured_metadata") {
        field_lint::sources(checker, value);
    }
    if let Some(value) = section.get("stages") {
        crate::shape::stages::lint::lint(checker, value, &known);
    }
    if let (Some(value), Some(read)) = (section.get("retention"), &config.retention) {
        retention::lint(checker, value, read, &known);
    }
}

/// Reads `http`.
fn http(checker: &Checker<'_>, value: &Value<'_>, config: &mut Config) {
    let Some(section) = Section::open(checker, value, "http") else { return };
    section.read("listen", &mut config.listen, |value| listen(checker, value));
    section.read("hosts", &mut config.hosts, |value| {
        checker.each(value, "a list of host names", |item| checker.checked(item, "a host name", host_name))
    });
}

/// Reads `http.listen`: an address with a port, or nothing at all.
fn listen(checker: &Checker<'_>, listen: &Value<'_>) -> Option<Option<SocketAddr>> {
    const ADDRESS: &str = "an address with a port, or `null`";
    if listen.node.kind == Kind::Null {
        return Some(None);
    }
    let rule = |text: &str| match text.parse::<SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => {
            let refusal = Refusal::new(
                format!("{} is not an address with a port", quoted(text)),
                "expected for instance `127.0.0.1:9194`, `[::1]:9194`, or `null` for none",
            );
            Err(match text.strip_prefix(':') {
                Some(port) => refusal.help(format!("all addresses are `[::]:{port}`")),
                None => refusal,
            })
        }
    };
    checker.checked(listen, ADDRESS, rule)?.parse().ok().map(Some)
}

/// A name as `Host` has it, without a port.
fn host_name(name: &str) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    Err(Refusal::new(
        format!("{} is not a host name", quoted(name)),
        "expected a name without a port, such as `metrics.example.org`",
    ))
}

pub(super) const PATH: &str = "an absolute path";

/// Paths are absolute: a service starts in `/`, a person who checks the file elsewhere.
pub(super) fn absolute(path: &str) -> Result<(), Refusal> {
    if path.contains('\0') {
        return Err(Refusal::new("a path holds no NUL", "expected an absolute path"));
    }
    if path.starts_with('/') {
        return Ok(());
    }
    let refusal =
        Refusal::new(format!("{} is not absolute", quoted(path)), "expected a path that begins with `/`");
    Err(if path.starts_with('~') {
        refusal.help("`~` is the shell's; write the path in full, or `${HOME}/…`")
    } else {
        refusal
            .help("a relative path would mean another place for the service than for whoever checks the file")
    })
}
