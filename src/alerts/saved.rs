//! The states of alerts on disk. So a restart neither resolves an alert that goes on, nor begins it again. The windows are
//! not saved, because the journal has their entries.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::state::{Active, State, States};
use crate::os::disk;
use logql::label_set::LabelSet;

/// The version of the file. A higher number means that a newer program wrote it.
const VERSION: u32 = 1;

/// The states of alerts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Saved {
    /// All rules that were evaluated.
    pub rules: Vec<SavedRule>,
}

/// The alerts of a rule. The rule is recognised by its name, its group and its expression. Times in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRule {
    pub(super) group: String,
    pub(super) rule: String,
    pub(super) expr: String,
    pub(super) evaluated_at: i64,
    alerts: Vec<SavedAlert>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedAlert {
    #[serde(serialize_with = "pairs", deserialize_with = "label_set")]
    labels: Arc<LabelSet>,
    #[serde(serialize_with = "pairs_of_map", deserialize_with = "map")]
    annotations: Arc<BTreeMap<String, String>>,
    state: String,
    /// `null` in JSON if it is not a number.
    value: Option<f64>,
    active_at: i64,
    fired_at: Option<i64>,
    resolved_at: Option<i64>,
    kept_since: Option<i64>,
}

fn pairs<S: Serializer>(labels: &LabelSet, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(labels.iter())
}

fn label_set<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<LabelSet>, D::Error> {
    let mut labels = LabelSet::default();
    let pairs = BTreeMap::<String, String>::deserialize(from)?;
    pairs.iter().for_each(|(name, value)| labels.insert_whole(name, value));
    labels.shrink();
    Ok(Arc::new(labels))
}

fn pairs_of_map<S: Serializer>(map: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map)
}

fn map<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<BTreeMap<String, String>>, D::Error> {
    BTreeMap::deserialize(from).map(Arc::new)
}

const STATES: [(&str, State); 3] =
    [("inactive", State::Inactive), ("pending", State::Pending), ("firing", State::Firing)];

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        STATES.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }
}

impl Saved {
    /// Whether there are alerts.
    pub fn has_alerts(&self) -> bool {
        self.rules.iter().any(|rule| !rule.alerts.is_empty())
    }

    /// A number that changes when alerts change. Values, and the time of the last evaluation, do not count.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for rule in &self.rules {
            (&rule.group, &rule.rule, &rule.expr, rule.alerts.len()).hash(&mut hasher);
            for alert in &rule.alerts {
                (&alert.labels, &alert.state, alert.active_at).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Leaves out the last half of the alerts of each rule. They will begin again.
    fn halve(&mut self) {
        for rule in &mut self.rules {
            rule.alerts.truncate(rule.alerts.len() / 2);
        }
    }
}

impl SavedRule {
    /// The states of a rule. `None`: it was not evaluated yet.
    pub(super) fn new(group: &str, rule: &str, expr: &str, states: &States) -> Option<SavedRule> {
        let alerts: Vec<_> = states
            .active()
            .map(|alert| SavedAlert {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                state: alert.state.name().to_owned(),
                value: Some(alert.value),
                active_at: alert.active_at,
                fired_at: alert.fired_at,
                resolved_at: alert.resolved_at,
                kept_since: alert.kept_since,
            })
            .collect();
        let evaluated_at = states.evaluated_at()?;
        let owned = str::to_owned;
        Some(SavedRule { group: owned(group), rule: owned(rule), expr: owned(expr), evaluated_at, alerts })
    }

    /// Its alerts. Alertmanager will be told of them again, because it may have been away, too.
    pub(super) fn active(&self) -> Vec<Active> {
        let alert = |saved: &SavedAlert| {
            let (_, state) = STATES.iter().find(|(name, _)| *name == saved.state)?;
            Some(Active {
                labels: saved.labels.clone(),
                annotations: saved.annotations.clone(),
                state: *state,
                value: saved.value.unwrap_or(f64::NAN),
                active_at: saved.active_at,
                fired_at: saved.fired_at,
                resolved_at: saved.resolved_at,
                kept_since: saved.kept_since,
                sent_at: None,
            })
        };
        self.alerts.iter().filter_map(alert).collect()
    }
}

/// The file of saved states.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The longest file (bytes). A longer file is not one of ours.
    size_max: usize,
    /// The digest of the text that is on disk, if that is known.
    content: Option<u64>,
    failing: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    #[serde(flatten)]
    saved: Saved,
}

/// A text that refuses to grow too long.
struct Bounded {
    text: Vec<u8>,
    max: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.text.len() + bytes.len() > self.max {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => self.text.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StateFile {
    /// `FOLDER/alerts.state`: no checkpoint has that name. At most `size_max` bytes.
    pub fn new(folder: &Path, size_max: usize) -> StateFile {
        StateFile { path: folder.join("alerts.state"), size_max, content: None, failing: false }
    }

    /// Reads the file. If it cannot be read, the log says so, and states begin with what the journal shows.
    pub fn load(&mut self) -> Saved {
        let read = || {
            let Some(text) =
                disk::read(&self.path, self.size_max as u64).map_err(|error| error.to_string())?
            else {
                return Ok((Saved::default(), None));
            };
            let written: Written = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            match written.version {
                VERSION => Ok((written.saved, Some(digest(&text)))),
                other => Err(format!("it has version {other}, and this journal-ship reads {VERSION}")),
            }
        };
        let (saved, content) = read().unwrap_or_else(|why: String| {
            log::warn!(
                "{} cannot be read: {why}; alerts that fire begin again, with what the journal shows",
                self.path.display()
            );
            (Saved::default(), None)
        });
        self.content = content;
        saved
    }

    /// Replaces the file, unless it is the same. The log mentions a failure when it begins.
    pub fn save(&mut self, saved: Saved) -> bool {
        let text = match self.text(saved) {
            Ok(text) if self.content == Some(digest(&text)) => return true,
            text => text,
        };
        let replaced = text.and_then(|text| disk::replace(&self.path, &text).map(|()| digest(&text)));
        match replaced {
            Ok(content) => {
                self.content = Some(content);
                if std::mem::take(&mut self.failing) {
                    log::info!("{} can be written again", self.path.display());
                }
            }
            Err(error) => {
                self.content = None;
                if !std::mem::replace(&mut self.failing, true) {
                    log::error!(
                        "{} cannot be written: {error}; alerts go on, but after a restart now they would begin again",
                        self.path.display()
                    );
                }
            }
        }
        !self.failing
    }

    /// The text of the file. If there are too many alerts for it, some are left out.
    fn text(&self, saved: Saved) -> io::Result<Vec<u8>> {
        let mut written = Written { version: VERSION, saved };
        loop {
            let mut text = Bounded { text: Vec::new(), max: self.size_max };
            match serde_json::to_writer(&mut text, &written).map_err(io::Error::from) {
                Ok(()) => return Ok(text.text),
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge && written.saved.has_alerts() => {
                    written.saved.halve();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn digest(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(alerts: usize) -> Saved {
        let alert = |n: usize| {
            let mut labels = LabelSet::default();
            labels.insert("n", format!("{n}\u{1}").as_bytes());
            SavedAlert {
                labels: Arc::new(labels),
                annotations: Arc::new(BTreeMap::from([("a".to_owned(), "x".repeat(100))])),
                state: "firing".to_owned(),
                value: Some(1.0),
                active_at: 1,
                fired_at: Some(2),
                resolved_at: None,
                kept_since: None,
            }
        };
        let alerts = (0..alerts).map(alert).collect();
        let rule =
            SavedRule { group: "g".into(), rule: "r".into(), expr: "e".into(), evaluated_at: 3, alerts };
        Saved { rules: vec![rule] }
    }

    #[test]
    fn what_is_written_is_read_and_never_longer_than_it_may_be() {
        let home = tempfile::tempdir().unwrap();
        let mut file = StateFile::new(home.path(), 64 << 10);
        for (alerts, kept) in [(0, 0), (10, 10), (10_000, 156)] {
            assert!(file.save(saved(alerts)));
            let length = std::fs::metadata(home.path().join("alerts.state")).unwrap().len();
            assert!(length <= 64 << 10, "{length}");
            assert_eq!(file.load(), saved(kept));
        }
        // A file of an older program, or of other settings.
        let mut file = StateFile::new(home.path(), 1 << 10);
        assert_eq!(file.load(), Saved::default());
    }
}
