//! Where alerts stood when the agent was last there, on disk: so that a restart neither resolves an alert that goes on
//! nor lets one begin anew. What the windows hold is not kept: the journal has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::{Active, State, States};
use crate::disk;
use crate::labels::LabelSet;

/// Written into the file. A higher number means that a newer program wrote it.
const VERSION: u32 = 1;
/// A file that is longer is not one of ours (bytes).
const SIZE_MAX: u64 = 256 << 20;

/// Where alerts stood.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Saved {
    /// All rules that were evaluated.
    pub rules: Vec<SavedRule>,
}

/// The alerts of a rule, which is known by the names of its group and itself and by its expression. Times in
/// nanoseconds since 1970.
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
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: String,
    /// What is no number is `null` in JSON.
    value: Option<f64>,
    active_at: i64,
    fired_at: Option<i64>,
    resolved_at: Option<i64>,
    kept_since: Option<i64>,
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
    /// Whether there is any alert.
    pub fn has_alerts(&self) -> bool {
        self.rules.iter().any(|rule| !rule.alerts.is_empty())
    }

    /// Whether alerts are as they are there, but for values and the time of the last evaluation.
    pub fn is_same(&self, other: &Saved) -> bool {
        let alerts = |rule: &SavedRule| {
            let key = |alert: &SavedAlert| (alert.labels.clone(), alert.state.clone(), alert.active_at);
            rule.alerts.iter().map(key).collect::<Vec<_>>()
        };
        self.rules.len() == other.rules.len()
            && self.rules.iter().zip(&other.rules).all(|(a, b)| {
                (&a.group, &a.rule, &a.expr) == (&b.group, &b.rule, &b.expr) && alerts(a) == alerts(b)
            })
    }
}

impl SavedRule {
    /// Of a rule's states; `None` when there are none yet.
    pub(super) fn new(group: &str, rule: &str, expr: &str, states: &States) -> Option<SavedRule> {
        let map = |labels: &LabelSet| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let alerts: Vec<_> = states
            .active()
            .map(|alert| SavedAlert {
                labels: map(&alert.labels),
                annotations: (*alert.annotations).clone(),
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

    /// Its alerts. They will be told about anew: Alertmanager may have been away, too.
    pub(super) fn active(&self) -> Vec<Active> {
        let alert = |saved: &SavedAlert| {
            let (_, state) = STATES.iter().find(|(name, _)| *name == saved.state)?;
            let mut labels = LabelSet::default();
            saved.labels.iter().for_each(|(name, value)| labels.insert(name, value.as_bytes()));
            Some(Active {
                labels: Arc::new(labels),
                annotations: Arc::new(saved.annotations.clone()),
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

/// The file that this is kept in.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// As it is on disk, if that is known.
    content: Option<Saved>,
    failing: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    #[serde(flatten)]
    saved: Saved,
}

impl StateFile {
    /// `FOLDER/alerts.state`: no checkpoint has that name.
    pub fn new(folder: &Path) -> StateFile {
        StateFile { path: folder.join("alerts.state"), content: None, failing: false }
    }

    /// Reads it. What cannot be read is told to the log, and nothing: then states begin with what the journal shows.
    pub fn load(&mut self) -> Saved {
        let read = || {
            let Some(text) = disk::read(&self.path, SIZE_MAX).map_err(|error| error.to_string())? else {
                return Ok(Saved::default());
            };
            let written: Written = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            match written.version {
                VERSION => Ok(written.saved),
                other => Err(format!("it has version {other}, and this journal-ship reads {VERSION}")),
            }
        };
        let saved = read();
        self.content = saved.as_ref().ok().cloned();
        saved.unwrap_or_else(|why: String| {
            log::warn!(
                "{} cannot be read: {why}; alerts that fire begin anew, with what the journal shows",
                self.path.display()
            );
            Saved::default()
        })
    }

    /// Replaces it, unless it is the same. A failure is told to the log when it begins.
    pub fn save(&mut self, saved: Saved) -> bool {
        if self.content.as_ref() == Some(&saved) {
            return true;
        }
        let written = Written { version: VERSION, saved };
        let text = serde_json::to_vec(&written).map_err(std::io::Error::from);
        match text.and_then(|text| disk::replace(&self.path, &text)) {
            Ok(()) => {
                self.content = Some(written.saved);
                if std::mem::take(&mut self.failing) {
                    log::info!("{} can be written again", self.path.display());
                }
            }
            Err(error) => {
                self.content = None;
                if !std::mem::replace(&mut self.failing, true) {
                    log::error!(
                        "{} cannot be written: {error}; alerts go on, but after a restart now they would begin anew",
                        self.path.display()
                    );
                }
            }
        }
        !self.failing
    }
}
