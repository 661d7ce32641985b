//! From a file to a [`Config`]: reading it, and the sections at the top.

use std::io;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::{Config, Environment, KEYS, Sections, Unset, label_sets, listeners};
use crate::shape::known::KnownLabels;
use crate::shape::trust::Origins;
use crate::shape::{labels, line, retention, stages};
use crate::yaml::{
    self, Checker, Diagnostics, Document, FILE_MAX, Finding, Section, Value, document, secrets, units,
};
use crate::{alerts, journal, loki, observe, query};

/// Where the configuration is unless `--config` names another file.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/journal-ship/config.yaml";

/// Where checkpoints are kept when systemd does not say so.
const DEFAULT_STATE_DIRECTORY: &str = "/var/lib/journal-ship";

const LOG_LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

impl Config {
    /// Reads and checks a configuration file. `env` gives environment variables.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is larger than [`FILE_MAX`], is not UTF-8, or has mistakes. All mistakes are reported, each
    /// at its place.
    pub fn load(path: &Path, env: &Environment<'_>) -> Result<Self, Diagnostics> {
        Self::examine(path, env, Unset::Mistake).map(|(config, _)| config)
    }

    /// As [`Config::load`], with warnings. Values with unknown variables are left out.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn examine(
        path: &Path,
        env: &Environment<'_>,
        unset: Unset,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::examine_source(&source(path)?, &path.display().to_string(), env, unset)
    }

    /// Checks a configuration given as text; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], reading excepted.
    pub fn parse(source: &str, origin: &str, env: &Environment<'_>) -> Result<Self, Diagnostics> {
        Self::examine_text(source, origin, env).map(|(config, _)| config)
    }

    /// As [`Config::parse`], with the warnings.
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

    /// As [`Config::examine_text`]. `unset` says what a variable without a value means.
    pub(crate) fn examine_source(
        source: &str,
        origin: &str,
        env: &Environment<'_>,
        unset: Unset,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let root = document(source, origin)?;
        let checker = Checker::new(KEYS, source, secrets::in_document(&root), env).unset(unset);
        let value = Value { path: String::new(), key: root.span.clone(), node: &root };
        let of_ours = |name: &str| KEYS.iter().any(|key| key.path == name);
        let foreign = Document::of(&root).filter(|document| *document != Document::Ours);
        let config = match foreign.filter(|_| !root.keys().any(of_ours)) {
            Some(document) => {
                checker.note_foreign(document, origin);
                Config::builtin(env)
            }
            None => config(&checker, &value, env),
        };
        checker.finish(origin, config)
    }

    /// The built-in defaults: this machine's journal, and no destination. Enough for a dry run.
    pub fn builtin(env: &Environment<'_>) -> Self {
        Self {
            journal: journal::Journal::default(),
            labels: labels::Labels::default(),
            structured_metadata: labels::section::default_metadata(),
            line: line::Line::default(),
            stages: Vec::new(),
            retention: None,
            loki: Vec::new(),
            alerts: alerts::Alerts::default(),
            query: query::section::Queries::builtin(env),
            http: observe::Http::default(),
            log_level: LevelFilter::Info,
            state_directory: default_state_directory(env),
        }
    }

    /// Checks that there is a destination. The agent needs one, a dry run does not. `origin` names the file in the message.
    ///
    /// # Errors
    ///
    /// There is no destination; the message says what to write.
    pub fn require_destinations(&self, origin: &str) -> Result<(), Diagnostics> {
        // An agent that only evaluates rules, or answers queries where that is meant, needs no destination.
        let evaluates = self.alerts.rules() > 0 && !self.alerts.alertmanagers.is_empty();
        if !self.loki.is_empty() || evaluates || self.query.meant {
            return Ok(());
        }
        let finding = Finding::nowhere("there is no destination to ship to")
            .help("write where Loki is:\nloki:\n  - url: http://loki:3100")
            .help("to see what would be shipped, without a Loki: journal-ship --dry-run")
            .help("to answer queries of the journal and ship nothing, write where: `query.socket` or `query.listen`");
        Err(Diagnostics::new(origin, "", Vec::new(), vec![finding]))
    }
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

/// The text of a configuration file.
///
/// # Errors
///
/// The file cannot be read, is larger than [`FILE_MAX`], or is not UTF-8.
pub(super) fn source(path: &Path) -> Result<String, Diagnostics> {
    let origin = path.display().to_string();
    let unreadable = |finding: Finding| Diagnostics::new(&origin, "", Vec::new(), vec![finding]);
    let bytes = yaml::read(path).map_err(|error| unreadable(read_finding(path, &error)))?;
    if bytes.len() > FILE_MAX {
        let size = units::format_size(FILE_MAX as u64);
        let finding = Finding::nowhere(format!("the configuration is larger than {size}"));
        return Err(unreadable(finding.help("is this the right file?")));
    }
    yaml::text(bytes, &origin, "the configuration")
}

/// Reads the whole file. A value that cannot be read keeps its default; the checker then refuses the result.
fn config(checker: &Checker<'_>, root: &Value<'_>, env: &Environment<'_>) -> Config {
    let mut config = Config::builtin(env);
    let Some(section) = Section::open(checker, root, "") else { return config };
    let mut destinations = Vec::new();
    section.read("journal", &mut config.journal, |value| journal::section::read(checker, value));
    section.read("labels", &mut config.labels, |value| labels::section::read(checker, value));
    section.read("structured_metadata", &mut config.structured_metadata, |value| {
        labels::section::metadata(checker, value)
    });
    section.read("line", &mut config.line, |value| line::read(checker, value));
    section.read("stages", &mut config.stages, |value| stages::read(checker, value));
    let origins = Origins::new(&config);
    section.read("retention", &mut config.retention, |value| {
        retention::section::read(checker, value, &origins).map(Some)
    });
    section.read("loki", &mut destinations, |value| loki::section::read(checker, value));
    let read = section.get("alerts");
    if let Some(read) = read.and_then(|value| alerts::section::read(checker, value, Sections::from(&config)))
    {
        config.alerts = read;
    }
    section.read("query", &mut config.query, |value| query::section::read(checker, value, env));
    section.read("http", &mut config.http, |value| observe::section::read(checker, value));
    section.read("log_level", &mut config.log_level, |value| checker.choice(value, &LOG_LEVELS));
    section.read("state_directory", &mut config.state_directory, |value| checker.path(value));

    listeners::check(checker, &section, &config);
    let labels_place = section.get("labels").map(|value| value.key.clone());
    label_sets::check(checker, &config.labels, labels_place, &destinations);
    config.loki = destinations.into_iter().map(|(destination, _)| destination).collect();
    if checker.is_clean() {
        lint(checker, &section, &config);
    }
    config
}

/// Warns of what is valid, but can have no effect.
fn lint(checker: &Checker<'_>, section: &Section<'_>, config: &Config) {
    let of_destinations = || config.loki.iter().flat_map(|d| &d.labels).map(|(name, _)| name.as_str());
    let known = KnownLabels::new(config);
    let known = known.with(of_destinations());
    if let Some(value) = section.get("journal") {
        journal::lint::journal(checker, value);
    }
    if let Some(value) = section.get("labels") {
        let destinations: Vec<&str> = of_destinations().collect();
        labels::lint::lint(checker, value, &config.labels, &destinations);
    }
    if let Some(value) = section.get("structured_metadata") {
        journal::lint::sources(checker, value);
    }
    if let Some(value) = section.get("stages") {
        stages::lint::lint(checker, value, &known);
    }
    if let (Some(value), Some(read)) = (section.get("retention"), &config.retention) {
        retention::section::lint(checker, value, read, &known);
    }
}
