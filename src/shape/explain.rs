//! What is said of an entry to a person who wants to know what happened to it: a line for each step, and what became of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use logql::label_set::LabelSet;

/// Labels that one step names at most (count): a rule that concerns all fields of an entry would fill a screen.
const CHANGES_MAX: usize = 12;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is in a batch.
    Sent,
    /// It waits for more lines.
    Held,
    /// It ended on the way.
    Dropped,
}

/// What happened to an entry.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What became of it.
    pub fate: Fate,
    /// Its time (nanoseconds since 1970).
    pub timestamp_ns: i64,
    /// Its labels when it came to its end.
    pub labels: Arc<LabelSet>,
    /// Its line then; empty if it was sent, because the batch has it.
    pub line: String,
    /// The steps, each in one line. The last one says what ended it.
    pub steps: Vec<String>,
}

/// A value as it stands in a step: in quotes, unless it is a plain word.
pub(crate) fn value(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "._-:@/%+".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{text:?}")),
    }
}

/// Names and values, by name.
pub(crate) type Names<'t> = BTreeMap<&'t str, &'t str>;

/// How labels differ: each that was changed, added or removed.
pub(crate) fn changes(before: &Names<'_>, after: &Names<'_>) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, new) in after {
        match before.get(name) {
            Some(old) if old == new => {}
            Some(old) => changes.push(format!("{name}: {} -> {}", value(old), value(new))),
            None => changes.push(format!("{name}={} added", value(new))),
        }
    }
    let removed = before.iter().filter(|(name, _)| !after.contains_key(*name));
    changes.extend(removed.map(|(name, old)| format!("{name}={} removed", value(old))));
    if let Some(more) = changes.len().checked_sub(CHANGES_MAX).filter(|more| *more > 0) {
        changes.truncate(CHANGES_MAX);
        changes.push(format!("and {more} more"));
    }
    changes
}

/// The labels of a set, by name.
pub(crate) fn names(set: &LabelSet) -> Names<'_> {
    set.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_what_is_new_other_and_gone() {
        let before = Names::from([("a", "nginx.service"), ("b", "1"), ("c", "x y")]);
        let after = Names::from([("a", "nginx"), ("b", "1"), ("d", "")]);
        assert_eq!(
            changes(&before, &after),
            ["a: nginx.service -> nginx", "d=\"\" added", "c=\"x y\" removed"]
        );
        let many: Vec<String> = (0..20).map(|n| format!("l{n:02}")).collect();
        let many: Names<'_> = many.iter().map(|name| (name.as_str(), "v")).collect();
        let told = changes(&Names::new(), &many);
        assert_eq!((told.len(), told.last().map(String::as_str)), (13, Some("and 8 more")));
    }
}
