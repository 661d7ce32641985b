//! The section `journal:`: which journal is read, which entries of it, and from where on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::names::field_name;
use crate::yaml::key::key;
use crate::yaml::units::format_duration;
use crate::yaml::{Checker, Finding, Key, Kind, Refusal, Section, Value, quoted};
use journald_reader::{Match, NAMESPACE_MAX, Namespaces, Scope, is_namespace};

/// The longest backfill. No journal is older, and dates can be computed with it.
const BACKFILL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The most values in `journal.match` (count). Each is looked up in every file. For a longer list, use `stages`.
const MATCH_VALUES_MAX: usize = 1000;

/// Stands for all namespaces, as in `journalctl --namespace=*`.
const ALL_NAMESPACES: &str = "*";

/// The keys of `journal`.
pub(crate) const KEYS: &[Key] = &[
    key("journal", "section", ""),
    key("journal.paths", "list of paths", "[]"),
    key("journal.namespaces", "name or list of names", "[]"),
    key("journal.match", "list of maps of journal fields", "[]"),
    key("journal.backfill", "duration", "7d"),
    key("journal.start_cursor", "cursor", "null"),
];

/// `journal:`
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// Which part of it is read.
    pub scope: Scope,
    /// How far back reading begins at the first start. Zero: at the end.
    pub backfill: Duration,
    /// The entry after which reading begins at the first start, instead of `backfill`.
    pub start_cursor: Option<journald_reader::Cursor>,
}

impl Default for Journal {
    fn default() -> Self {
        // By default, Loki refuses entries that are older than a week (`reject_old_samples_max_age`).
        Self { scope: Scope::default(), backfill: Duration::from_secs(7 * 24 * 3600), start_cursor: None }
    }
}

impl Journal {
    /// What is read when a person names these paths on the command line; without paths, what the section says.
    pub fn scope_at(&self, paths: &[PathBuf]) -> Scope {
        let mut scope = self.scope.clone();
        if !paths.is_empty() {
            scope.paths = paths.to_vec();
        }
        scope
    }

    /// `journal.backfill (7d)`
    pub fn backfill_shown(&self) -> String {
        format!("journal.backfill ({})", format_duration(self.backfill))
    }
}

/// Reads `journal`.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Journal> {
    let section = Section::open(checker, value, "journal")?;
    let mut journal = Journal::default();
    section.read("paths", &mut journal.scope.paths, |value| {
        checker.each(value, "a list of absolute paths", |path| checker.path(path))
    });
    section.read("namespaces", &mut journal.scope.namespaces, |value| namespaces(checker, value));
    section.read("match", &mut journal.scope.matches, |value| matches(checker, value));
    section.read("backfill", &mut journal.backfill, |value| {
        checker.duration(value, &(Duration::ZERO..=BACKFILL_MAX))
    });
    section.read("start_cursor", &mut journal.start_cursor, |value| {
        let rule = |text: &str| match text.parse::<journald_reader::Cursor>() {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Refusal::new(error.to_string(), "expected a cursor as `journalctl --show-cursor` has it"))
            }
        };
        checker.checked(value, "a cursor", rule)?.parse().ok().map(Some)
    });
    Some(journal)
}

/// Reads `journal.namespaces`: one name, or a list of them.
fn namespaces(checker: &Checker<'_>, value: &Value<'_>) -> Option<Namespaces> {
    const EXPECTED: &str = "the name of a journal namespace, or a list of them";
    let read = |value: &Value<'_>| checker.checked(value, "the name of a journal namespace", namespace);
    let names = match value.node.kind {
        Kind::Seq(_) | Kind::Null => checker.each(value, EXPECTED, read)?,
        _ => vec![checker.checked(value, EXPECTED, namespace)?],
    };
    Some(match names.iter().any(|name| name == ALL_NAMESPACES) {
        true => Namespaces::All,
        false => Namespaces::Named(names),
    })
}

fn namespace(name: &str) -> Result<(), Refusal> {
    if name == ALL_NAMESPACES || is_namespace(name) {
        return Ok(());
    }
    let refusal = Refusal::new(
        format!("{} is not a valid name of a journal namespace", quoted(name)),
        format!(
            "expected 1 to {NAMESPACE_MAX} of letters, digits, `:`, `-`, `_`, `.` and `@`, or `*` for all"
        ),
    );
    Err(match name.strip_prefix('+') {
        Some(name) if is_namespace(name) => {
            refusal.help(format!("the default namespace is always read: write {}", quoted(name)))
        }
        _ => refusal,
    })
}

/// Reads `journal.match`: a list of maps from fields to a value or a list of values.
fn matches(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<Match>> {
    let matches =
        checker.each(value, "a list of maps: journal field to value", |item| fields(checker, item))?;
    let count: usize = matches.iter().flat_map(BTreeMap::values).map(Vec::len).sum();
    if count > MATCH_VALUES_MAX {
        checker.note(
            Finding::at(value.key.clone(), format!("`{}` has {count} values", value.path))
                .label(format!("expected at most {MATCH_VALUES_MAX}"))
                .help("a stage `match` with `action: drop` can tell more of them apart"),
        );
        return None;
    }
    Some(matches)
}

fn fields(checker: &Checker<'_>, value: &Value<'_>) -> Option<Match> {
    let entries = checker.entries(value, "a map: journal field to value")?;
    if entries.is_empty() {
        checker.note(
            Finding::at(value.place(), format!("`{}` matches every entry", value.path))
                .label("expected at least one field")
                .help("without `journal.match` every entry is read"),
        );
        return None;
    }
    let mut fields = Some(Match::new());
    for entry in entries {
        let name = field_name(entry.name);
        if let Err(refusal) = &name {
            checker.refuse(entry.value.key.clone(), "", refusal.clone());
        }
        match (name, values(checker, &entry.value), &mut fields) {
            (Ok(()), Some(values), Some(fields)) => {
                fields.insert(entry.name.to_owned(), values);
            }
            _ => fields = None,
        }
    }
    fields
}

/// Reads a value or a list of values, any of which matches. A number counts as its text.
fn values(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    const EXPECTED: &str = "the value of a journal field, or a list of them";
    let read = |value: &Value<'_>, expected| match &value.node.kind {
        Kind::Int(text) | Kind::Float(text) => Some(text.clone()),
        _ => checker.checked(value, expected, |_| Ok(())),
    };
    if !matches!(value.node.kind, Kind::Seq(_)) {
        return read(value, EXPECTED).map(|text| vec![text]);
    }
    let values = checker.each(value, EXPECTED, |item| read(item, "the value of a journal field"))?;
    if values.is_empty() {
        checker.note(
            Finding::at(value.place(), format!("`{}` is an empty list", value.path))
                .label("expected at least one value")
                .help("remove the field: as it is, no entry can match"),
        );
        return None;
    }
    Some(values)
}
