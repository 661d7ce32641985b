//! Scope: which of the journals and entries that journald keeps are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cursor::Id128;

/// Longest name of a journal namespace (bytes): what a file name holds beside a machine id and a dot
/// (systemd, `LOG_NAMESPACE_MAX` in `src/basic/syslog-util.c`).
pub const NAMESPACE_MAX: usize = 255 - 32 - 1;

/// Where a reader looks, and what it takes from there. The default is this machine's whole journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Directories or files; none: this machine's persistent and runtime journal.
    pub paths: Vec<PathBuf>,
    /// Journal namespaces in these directories, beside the default one.
    pub namespaces: Namespaces,
    /// An entry is read if any of these matches it. Without matches, all entries are read.
    pub matches: Vec<Match>,
}

/// Matches an entry in which each of these fields has one of its values, as journalctl's `A=1 A=2 B=3` does. A field
/// that stands in an entry several times has each of these values.
pub type Match = BTreeMap<String, Vec<String>>;

impl Scope {
    /// All journals in these directories or files, without namespaces.
    pub fn of(paths: impl Into<Vec<PathBuf>>) -> Scope {
        Scope { paths: paths.into(), ..Scope::default() }
    }
}

/// Journal namespaces (systemd.exec(5), `LogNamespace=`): journals of their own, each in a folder
/// `MACHINE-ID.NAMESPACE` beside the default one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// The namespaces of these names.
    Named(Vec<String>),
    /// All namespaces, also those that appear later.
    All,
}

impl Default for Namespaces {
    fn default() -> Self {
        Namespaces::Named(Vec::new())
    }
}

impl Namespaces {
    fn include(&self, name: &str) -> bool {
        match self {
            Namespaces::Named(names) => name.is_empty() || names.iter().any(|known| known == name),
            Namespaces::All => true,
        }
    }

    /// Whether a folder of this name belongs to a machine, to `machine` if one is given, and to a namespace that is
    /// read.
    pub(crate) fn include_folder(&self, name: &str, machine: Option<Id128>) -> bool {
        split(name).is_some_and(|(id, namespace)| {
            machine.is_none_or(|machine| machine == id) && self.include(namespace)
        })
    }
}

/// Whether journald accepts this as the name of a namespace: it is part of a file name and of a unit's name (systemd,
/// `log_namespace_name_valid`).
pub fn is_namespace(name: &str) -> bool {
    (1..=NAMESPACE_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte))
}

/// Machine id and namespace of a folder's name.
pub(crate) fn split(folder: &str) -> Option<(Id128, &str)> {
    match folder.split_once('.') {
        Some((id, namespace)) => Some((id.parse().ok()?, namespace)).filter(|_| is_namespace(namespace)),
        None => Some((folder.parse().ok()?, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_belong_to_machines_and_namespaces() {
        let named = |names: &[&str]| Namespaces::Named(names.iter().map(|&name| name.into()).collect());
        let id = "0123456789abcdef0123456789abcdef";
        let other = Some(Id128([7; 16]));
        for (folder, machine, namespaces, included) in [
            (id.to_owned(), None, named(&[]), true),
            (id.to_owned(), other, named(&[]), false),
            (format!("{id}.web"), None, named(&[]), false),
            (format!("{id}.web"), None, named(&["db", "web"]), true),
            (format!("{id}.web"), other, named(&["web"]), false),
            (format!("{id}.web"), None, Namespaces::All, true),
            // The first dot ends the machine id.
            (format!("{id}.web.2"), None, named(&["web"]), false),
            (format!("{id}.web.2"), None, named(&["web.2"]), true),
            (format!("{id}."), None, Namespaces::All, false),
            (format!("{id}.a b"), None, Namespaces::All, false),
            ("web".into(), None, Namespaces::All, false),
            ("remote.web".into(), None, Namespaces::All, false),
        ] {
            let got = namespaces.include_folder(&folder, machine);
            assert_eq!(got, included, "{folder} {machine:?} {namespaces:?}");
        }
    }
}
