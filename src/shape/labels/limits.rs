//! What Loki takes as the labels of a stream, and how a label set is made to fit.
//!
//! Loki refuses a stream whose labels break one of its limits (grafana/loki, `pkg/validation/limits.go` and
//! `pkg/distributor/validator.go`), with all entries in it. So names that Loki cannot parse are replaced. Labels over the
//! limit become structured metadata; labels that the configuration names are the last to go. An entry without a label gets
//! the label that Loki would add. All of this is counted.

use std::borrow::Cow;
use std::ops::AddAssign;

use super::Labels;
use crate::shape::limits::{LABEL_NAME_MAX, LABEL_NAMES_MAX, SERVICE_NAME};
use logql::label_set::{LabelSet, cut, identifier};

/// The value of `service_name` if Loki finds no label for it (grafana/loki, `pkg/loghttp/push/push.go`, `ServiceUnknown`).
const UNKNOWN_SERVICE: &str = "unknown_service";

/// How often labels were changed, by kind, so that Loki takes them or so that there are not too many streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names in which `_` replaces what Loki does not take (labels).
    pub sanitized: u64,
    /// Values cut at [`logql::label_set::LABEL_VALUE_MAX`] bytes (labels).
    pub cut: u64,
    /// Labels over [`LABEL_NAMES_MAX`] that became structured metadata (labels).
    pub over_limit: u64,
    /// Entries without any label, which got `service_name="unknown_service"`.
    pub without_label: u64,
    /// Entries in an overflow stream, because `labels.max_streams` streams were active.
    pub folded: u64,
}

impl Changes {
    /// Each kind by its name, for metrics and explanations.
    pub fn kinds(&self) -> [(&'static str, u64); 5] {
        [
            ("sanitized_name", self.sanitized),
            ("cut_value", self.cut),
            ("over_limit", self.over_limit),
            ("without_label", self.without_label),
            ("folded", self.folded),
        ]
    }
}

impl AddAssign for Changes {
    fn add_assign(&mut self, more: Changes) {
        self.sanitized += more.sanitized;
        self.cut += more.cut;
        self.over_limit += more.over_limit;
        self.without_label += more.without_label;
        self.folded += more.folded;
    }
}

/// Names and values that were labels, and go to the structured metadata of the entry.
pub type Moved = Vec<(String, String)>;

/// A label set as Loki takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitted<'s> {
    pub(super) set: Cow<'s, LabelSet>,
    pub(super) moved: Moved,
    pub(super) changes: Changes,
}

/// Which labels stay when there are too many.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// The labels that stay first, the most important one first. Labels of one class, and all others, go by name.
    classes: [Vec<String>; 2],
}

impl Limits {
    /// Kept first are labels that the configuration fixes, those of the destination (`added`) and the label of the retention
    /// class; then labels from journal fields; then all others.
    pub(super) fn new(labels: &Labels, added: &[(String, String)], retention: Option<&str>) -> Limits {
        let fixed = labels.fixed.iter().chain(added).map(|(name, _)| name.as_str()).chain(retention);
        let fields = labels.fields.iter().map(|rule| rule.name.clone());
        Limits { classes: [fixed.map(str::to_owned).collect(), fields.collect()] }
    }

    fn class(&self, name: &str) -> usize {
        let has = |names: &Vec<String>| names.iter().any(|other| other == name);
        self.classes.iter().position(has).unwrap_or(self.classes.len())
    }

    /// Makes a label set fit. A set that fits is only borrowed.
    pub(super) fn fit<'s>(&self, set: &'s LabelSet) -> Fitted<'s> {
        let mut changes = Changes { cut: set.cut().into(), ..Changes::default() };
        let mut moved = Moved::new();
        let mut set = Cow::Borrowed(set);
        if set.iter().any(|(name, _)| !is_name(name)) {
            let (mut valid, mut anew) = (set.as_ref().clone(), Moved::new());
            valid.retain(|name, value| {
                let keep = is_name(name);
                if !keep {
                    anew.push((sanitize(name), value.to_owned()));
                }
                keep
            });
            for (name, value) in anew {
                changes.sanitized += 1;
                match valid.get(&name) {
                    Some(_) => moved.push((metadata_name(&name), value)),
                    None => valid.insert(&name, value.as_bytes()),
                }
            }
            set = Cow::Owned(valid);
        }
        let counted = |set: &LabelSet| set.iter().filter(|(name, _)| *name != SERVICE_NAME).count();
        if counted(&set) > LABEL_NAMES_MAX {
            let mut names: Vec<_> =
                set.iter().map(|(name, _)| name.to_owned()).filter(|name| name != SERVICE_NAME).collect();
            // They are sorted by name, and the sort is stable.
            names.sort_by_key(|name| self.class(name));
            let set = set.to_mut();
            for name in names.split_off(LABEL_NAMES_MAX) {
                if let Some(value) = set.remove(&name) {
                    changes.over_limit += 1;
                    moved.push((metadata_name(&name), value));
                }
            }
        }
        if set.is_empty() {
            changes.without_label = 1;
            set.to_mut().insert(SERVICE_NAME, UNKNOWN_SERVICE.as_bytes());
        }
        Fitted { set, moved, changes }
    }
}

/// Whether Loki takes a name as it is.
fn is_name(name: &str) -> bool {
    name.len() <= LABEL_NAME_MAX && matches!(identifier(name), Cow::Borrowed(_))
}

/// The nearest name that Loki takes.
fn sanitize(name: &str) -> String {
    cut(identifier(name), LABEL_NAME_MAX).into_owned()
}

/// The name of a label as structured metadata. Loki answers 500 to a push if such a name has only underscores.
pub(super) fn metadata_name(label: &str) -> String {
    if label.bytes().all(|c| c == b'_') { format!("label{label}") } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[(&str, &str)]) -> LabelSet {
        let mut set = LabelSet::default();
        for (name, value) in labels {
            set.insert(name, value.as_bytes());
        }
        set
    }

    fn limits(retention: Option<&str>) -> Limits {
        Limits::new(&Labels::default(), &[("zone".into(), "z".into())], retention)
    }

    fn pairs(labels: &[(&str, &str)]) -> Moved {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_set_that_fits_is_not_touched() {
        let set = set(&[("a", "1"), ("_B9", "2"), ("service_name", "s")]);
        let fitted = limits(None).fit(&set);
        assert!(matches!(fitted.set, Cow::Borrowed(_)));
        assert_eq!((fitted.moved, fitted.changes), (Moved::new(), Changes::default()));
    }

    #[test]
    fn names_are_made_valid() {
        let long = "n".repeat(LABEL_NAME_MAX + 1);
        for (name, valid) in [
            ("foo-bar", "foo_bar"),
            ("9lives", "_9lives"),
            ("ü.x", "__x"),
            ("", "_"),
            (long.as_str(), &long[1..]),
        ] {
            let given = set(&[(name, "v"), ("z", "z")]);
            let fitted = limits(None).fit(&given);
            assert_eq!(*fitted.set, set(&[(valid, "v"), ("z", "z")]), "{name}");
            assert_eq!(fitted.changes, Changes { sanitized: 1, ..Changes::default() }, "{name}");
        }
        // A label that had the name already keeps it.
        let given = set(&[("a-b", "1"), ("a.b", "2"), ("a_b", "3"), ("-", "4"), ("+", "5")]);
        let fitted = limits(None).fit(&given);
        assert_eq!(*fitted.set, set(&[("a_b", "3"), ("_", "5")]));
        assert_eq!(fitted.moved, pairs(&[("label_", "4"), ("a_b", "1"), ("a_b", "2")]));
        assert_eq!(fitted.changes.sanitized, 4);
    }

    #[test]
    fn what_is_over_the_limit_goes_in_the_order_of_importance() {
        let names: Vec<String> = (0..12).map(|n| format!("l{n:02}")).collect();
        let mut given = set(&[("job", "j"), ("zone", "z"), ("unit", "u"), ("service_name", "s")]);
        for name in &names {
            given.insert(name, b"x");
        }
        let kept =
            |fitted: &Fitted<'_>| fitted.set.iter().map(|(name, _)| name.to_owned()).collect::<String>();
        let all: String = names.concat();

        let fitted = limits(None).fit(&given);
        assert_eq!(fitted.set.len(), LABEL_NAMES_MAX + 1);
        assert_eq!(kept(&fitted), format!("job{all}service_nameunitzone"));
        assert_eq!(fitted.changes, Changes::default());

        given.insert("retention", b"90d");
        given.insert("level", b"info");
        let fitted = limits(Some("retention")).fit(&given);
        let all = all.replace("l10l11", "");
        assert_eq!(
            kept(&fitted),
            format!("job{all}levelretentionservice_nameunitzone").replace("joblevel", "job")
        );
        assert_eq!(fitted.moved, pairs(&[("l10", "x"), ("l11", "x")]));
        assert_eq!(fitted.changes, Changes { over_limit: 2, ..Changes::default() });

        // Unless it is said to be the retention label, it is one of the others.
        let fitted = limits(None).fit(&given);
        assert_eq!(fitted.moved, pairs(&[("l11", "x"), ("retention", "90d")]));
    }

    #[test]
    fn an_entry_without_labels_gets_lokis_own() {
        let fitted_set = set(&[("service_name", "unknown_service")]);
        let none = LabelSet::default();
        let fitted = limits(None).fit(&none);
        assert_eq!(*fitted.set, fitted_set);
        assert_eq!(fitted.changes, Changes { without_label: 1, ..Changes::default() });
    }

    #[test]
    fn values_that_were_cut_are_counted() {
        let mut given = set(&[("a", "1")]);
        given.insert("b", &[b'x'; 3000]);
        given.insert("c", &[b'x'; 3000]);
        assert_eq!(limits(None).fit(&given).changes, Changes { cut: 2, ..Changes::default() });
    }
}
