//! Keys: what a section of a document may hold, as a table that whoever opens the document gives to the [`Checker`].
//!
//! [`Checker`]: super::Checker

use std::borrow::Cow;

/// One key of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Sections joined by `.`; `[]` after a list whose items are sections, `*` for a name that the user chooses.
    pub path: &'static str,
    /// The type of its value, as the reference calls it.
    pub kind: &'static str,
    /// The default as YAML, or `required`, or nothing for a section.
    pub default: &'static str,
}

/// A key by its parts, for tables.
pub(crate) const fn key(path: &'static str, kind: &'static str, default: &'static str) -> Key {
    Key { path, kind, default }
}

impl Key {
    /// The section that it stands in ("" is the whole document), and its name there.
    fn parts(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }
}

/// How many keys tables have together, for [`joined`].
pub(crate) const fn count(tables: &[&[Key]]) -> usize {
    let (mut table, mut count) = (0, 0);
    while table < tables.len() {
        count += tables[table].len();
        table += 1;
    }
    count
}

/// The tables, one after the other. `N` is their [`count`].
pub(crate) const fn joined<const N: usize>(tables: &[&[Key]]) -> [Key; N] {
    let mut all = [key("", "", ""); N];
    let (mut table, mut at) = (0, 0);
    while table < tables.len() {
        let mut index = 0;
        while index < tables[table].len() {
            all[at] = tables[table][index];
            at += 1;
            index += 1;
        }
        table += 1;
    }
    all
}

/// The names that a section may hold; the section of the whole document is "".
pub(super) fn names_in<'s>(
    keys: &'static [Key],
    section: &'s str,
) -> impl Iterator<Item = &'static str> + use<'s> {
    keys.iter().map(Key::parts).filter_map(move |(parent, name)| (parent == section).then_some(name))
}

/// The sections that hold a key of exactly this name.
pub(super) fn sections_with<'n>(
    keys: &'static [Key],
    name: &'n str,
) -> impl Iterator<Item = &'static str> + use<'n> {
    keys.iter().map(Key::parts).filter_map(move |(parent, last)| (last == name).then_some(parent))
}

/// Whether a value that was left out has a default; `path` is written as in messages: `loki[0].timeout`.
pub(super) fn has_default(keys: &[Key], path: &str) -> bool {
    let schema: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
    keys.iter().any(|key| key.path == schema && key.default != "required")
}

/// Whether a key of a section has the default `null`.
pub(super) fn null_is_default(keys: &[Key], section: &str, name: &str) -> bool {
    keys.iter().any(|key| key.parts() == (section, name) && key.default == "null")
}

/// "`a`, `b`, `c`"
pub(super) fn enumerate<'k>(names: impl IntoIterator<Item = &'k str>) -> Cow<'static, str> {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { Cow::Borrowed("none") } else { Cow::Owned(names.join(", ")) }
}
