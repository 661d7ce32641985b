//! The configuration: YAML as a person wrote it becomes a [`Config`] that is checked whole.
//!
//! A `Config` that exists is valid: every name, size and duration in it has been looked at, and every
//! mistake of the file has been reported at its place, all of them in one run. Nothing here touches the
//! network, reads a secret or writes state, so `journal-ship check` works in a build sandbox.

mod label_sets;
mod listeners;
mod load;
mod schema;
mod show;

use std::path::PathBuf;

pub use crate::alerts::{Alertmanager, Alerts, RuleFile};
pub use crate::client::{Access, Auth, Backoff, HeaderSource, Tls};
pub use crate::journal::Journal;
pub use crate::loki::{Batch, Destination};
pub use crate::observe::Http;
pub use crate::query::section::Queries;
pub use crate::shape::labels::{FieldRule, Labels, Relabel, RelabelAction};
pub use crate::shape::line::Line;
pub use crate::shape::retention::{Retention, RetentionRule};
pub use crate::yaml::{Diagnostics, Environment, FILE_MAX, Key, Unmet, Unset};
pub use load::DEFAULT_CONFIG_FILE;
pub use schema::schema;
pub use show::show;

use crate::shape::stages::StageSettings;
use crate::shape::{Sections, labels, line, retention, stages};
use crate::yaml::key::{count, joined, key};
use crate::{alerts, journal, loki, observe, query};

/// The keys of each section, in the order of the reference.
const PARTS: &[&[Key]] = &[
    journal::section::KEYS,
    labels::section::KEYS,
    labels::section::METADATA_KEYS,
    line::KEYS,
    stages::KEYS,
    retention::section::KEYS,
    loki::section::KEYS,
    alerts::section::KEYS,
    query::section::KEYS,
    observe::section::KEYS,
    &[
        key("log_level", "`off`, `error`, `warn`, `info`, `debug` or `trace`", "info"),
        key("state_directory", "path", "${STATE_DIRECTORY:-/var/lib/journal-ship}"),
    ],
];
/// Every key of the configuration, sections before what they hold, in the order of the reference.
pub const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);

/// Types whose text is taken as it is written, because `$` has a meaning of its own in it.
const LITERAL_TYPES: [&str; 4] =
    ["regular expression", "template", "LogQL selector", "map of JMESPath expressions"];
/// Other keys whose text is taken as it is written.
const LITERAL_KEYS: [&str; 3] = [
    "labels.relabel_configs[].separator",
    "labels.relabel_configs[].target_label",
    "stages[].metrics.*.config.value",
];

/// Whether environment variables in the value of a key are replaced.
pub(crate) fn expands(key: &Key) -> bool {
    !LITERAL_TYPES.contains(&key.kind) && !LITERAL_KEYS.contains(&key.path)
}

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
    pub stages: Vec<StageSettings>,
    /// How long logs live; without it nothing is dropped and no label says so.
    pub retention: Option<Retention>,
    /// Where entries go.
    pub loki: Vec<Destination>,
    /// Which rules are evaluated, and who is told.
    pub alerts: Alerts,
    /// Where the journal can be asked, and by whom.
    pub query: Queries,
    /// Where `/metrics` is served, and by which names.
    pub http: Http,
    /// The agent's own log: most verbose level written.
    pub log_level: log::LevelFilter,
    /// Where checkpoints are kept.
    pub state_directory: PathBuf,
}

impl<'c> From<&'c Config> for Sections<'c> {
    fn from(config: &'c Config) -> Self {
        Self {
            labels: &config.labels,
            metadata: &config.structured_metadata,
            line: config.line,
            stages: &config.stages,
            retention: config.retention.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::nearest::nearest;

    #[test]
    fn every_key_is_listed_once_after_its_section() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(!KEYS[..index].iter().any(|other| other.path == key.path), "{} twice", key.path);
            if let Some((parent, _)) = key.path.rsplit_once('.') {
                let parent = parent.trim_end_matches("[]");
                let above = KEYS[..index].iter().any(|other| other.path == parent);
                assert!(above, "{} before its section", key.path);
            }
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = || KEYS.iter().map(|key| key.path).filter(|path| !path.contains('.'));
        for (written, expected) in [
            ("label", Some("labels")),
            ("lables", Some("labels")),
            ("LOKI", Some("loki")),
            ("structured-metadata", Some("structured_metadata")),
            ("state_dir", Some("state_directory")),
            ("st", None),
            ("loglevel", Some("log_level")),
            ("x", None),
            ("", None),
            ("scrape_configs", None),
        ] {
            assert_eq!(nearest(written, names()), expected, "{written}");
        }
    }

    #[test]
    fn keys_whose_text_is_taken_as_written_are_keys() {
        for path in LITERAL_KEYS {
            assert!(KEYS.iter().any(|key| key.path == path), "{path}");
        }
        for kind in LITERAL_TYPES {
            assert!(KEYS.iter().any(|key| key.kind == kind), "{kind}");
        }
    }

    #[test]
    fn a_configuration_is_told_by_keys_that_it_has() {
        for name in crate::yaml::OURS {
            assert!(KEYS.iter().any(|key| key.path == name), "{name}");
        }
    }
}
