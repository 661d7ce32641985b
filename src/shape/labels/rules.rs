//! The list `labels.relabel_configs`: the relabelling rules of Prometheus, with its defaults and its requirements for each
//! action (prometheus/prometheus, `model/relabel/relabel.go`, `Config.Validate`).
//!
//! Names of labels must be names that Loki takes. As in Prometheus, the name of an action may have capital letters.

use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Kind, Refusal, Section, Value, quoted};
use logql::go::re2::Re2;

const SCHEMA: &str = "labels.relabel_configs[]";
const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// The keys of `labels.relabel_configs`.
pub(super) const KEYS: &[Key] = &[
    key("labels.relabel_configs", "list of sections", "[]"),
    key("labels.relabel_configs[].source_labels", "list of strings", "[]"),
    key("labels.relabel_configs[].separator", "string", "\";\""),
    key("labels.relabel_configs[].regex", "regular expression", "(.*)"),
    key("labels.relabel_configs[].modulus", "whole number", "null"),
    key("labels.relabel_configs[].target_label", "string", "null"),
    key("labels.relabel_configs[].replacement", "template", "$1"),
    key("labels.relabel_configs[].action", "relabelling action", "replace"),
];

/// One rule of `labels.relabel_configs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Relabel {
    /// The labels whose joined values are the source. A missing label has an empty value.
    pub source_labels: Vec<String>,
    /// The text between these values.
    pub separator: String,
    /// What the rule does.
    pub action: RelabelAction,
}

/// What a rule does. Regular expressions match whole texts. Templates use their groups.
#[derive(Debug, Clone, PartialEq)]
pub enum RelabelAction {
    /// Sets a label if the source matches. An empty value removes the label.
    Replace {
        /// For the source.
        regex: Re2,
        /// Template of the label's name.
        target: String,
        /// Template of its value.
        replacement: String,
    },
    /// Drops the entry where the source does not match.
    Keep {
        /// For the source.
        regex: Re2,
    },
    /// Drops the entry where the source matches.
    Drop {
        /// For the source.
        regex: Re2,
    },
    /// Drops the entry where a label is not equal to the source.
    KeepEqual {
        /// The label.
        target: String,
    },
    /// Drops the entry where a label is equal to the source.
    DropEqual {
        /// The label.
        target: String,
    },
    /// Sets a label to the hash of the source, modulo a number.
    HashMod {
        /// The label.
        target: String,
        /// Not zero.
        modulus: u64,
    },
    /// Copies every label whose name matches to another name.
    LabelMap {
        /// For names.
        regex: Re2,
        /// Template of the other name.
        replacement: String,
    },
    /// Removes every label whose name matches.
    LabelDrop {
        /// For names.
        regex: Re2,
    },
    /// Removes every label whose name does not match.
    LabelKeep {
        /// For names.
        regex: Re2,
    },
    /// Sets a label to the source in small letters.
    Lowercase {
        /// The label.
        target: String,
    },
    /// Sets a label to the source in capital letters.
    Uppercase {
        /// The label.
        target: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

const NAMES: [(&str, Name); 11] = [
    ("replace", Name::Replace),
    ("keep", Name::Keep),
    ("drop", Name::Drop),
    ("keepequal", Name::KeepEqual),
    ("dropequal", Name::DropEqual),
    ("hashmod", Name::HashMod),
    ("labelmap", Name::LabelMap),
    ("labeldrop", Name::LabelDrop),
    ("labelkeep", Name::LabelKeep),
    ("lowercase", Name::Lowercase),
    ("uppercase", Name::Uppercase),
];

impl Name {
    fn written(self) -> &'static str {
        NAMES.iter().find(|(_, name)| *name == self).map_or("", |(written, _)| written)
    }
}

/// Reads the list of rules.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<Relabel>> {
    checker.each(value, "a list of rules, each begun with `- `", |item| rule(checker, item))
}

fn rule(checker: &Checker<'_>, item: &Value<'_>) -> Option<Relabel> {
    let section = Section::open(checker, item, SCHEMA)?;
    let source_labels = match section.get("source_labels") {
        Some(value) if value.node.kind != Kind::Null => {
            checker.each(value, "a list of label names", |item| checker.checked(item, "a label name", name))
        }
        _ => Some(Vec::new()),
    };
    let separator = raw(checker, &section, "separator", DEFAULT_SEPARATOR);
    let replacement = raw(checker, &section, "replacement", DEFAULT_REPLACEMENT);
    let regex = match section.get("regex") {
        Some(value) => checker.regex(value, Re2::whole),
        None => Re2::whole(DEFAULT_REGEX).ok(),
    };
    let modulus = match section.get("modulus") {
        Some(value) if value.node.kind != Kind::Null => checker.integer(value, &(0..=u64::MAX)),
        _ => Some(0),
    };
    let target = target_label(checker, &section);
    let action = match section.get("action") {
        Some(value) => action(checker, value),
        None => Some(Name::Replace),
    };
    // All keys are read before this, so that all mistakes are found in one run.
    let (source_labels, separator, replacement) = (source_labels?, separator?, replacement?);
    let (regex, modulus, target, name) = (regex?, modulus?, target?, action?);

    let needs = Needs { checker, section: &section, item, name };
    let target = |template| needs.target(&target, template);
    let action = match name {
        Name::Replace => RelabelAction::Replace { target: target(true)?, regex, replacement },
        Name::Keep => RelabelAction::Keep { regex },
        Name::Drop => RelabelAction::Drop { regex },
        Name::KeepEqual | Name::DropEqual => {
            let alone = needs.only(&["source_labels", "target_label"]);
            let target = target(false)?;
            alone?;
            match name {
                Name::KeepEqual => RelabelAction::KeepEqual { target },
                _ => RelabelAction::DropEqual { target },
            }
        }
        Name::HashMod => {
            let modulus = needs.modulus(modulus);
            RelabelAction::HashMod { target: target(false)?, modulus: modulus? }
        }
        Name::LabelMap => {
            needs.map_to(&replacement)?;
            RelabelAction::LabelMap { regex, replacement }
        }
        Name::LabelDrop | Name::LabelKeep => {
            needs.only(&["regex"])?;
            match name {
                Name::LabelDrop => RelabelAction::LabelDrop { regex },
                _ => RelabelAction::LabelKeep { regex },
            }
        }
        Name::Lowercase | Name::Uppercase => {
            let unused = needs.without("replacement", DEFAULT_REPLACEMENT);
            let target = target(false)?;
            unused?;
            match name {
                Name::Lowercase => RelabelAction::Lowercase { target },
                _ => RelabelAction::Uppercase { target },
            }
        }
    };
    Some(Relabel { source_labels, separator, action })
}

fn raw(checker: &Checker<'_>, section: &Section<'_>, key: &str, default: &str) -> Option<String> {
    match section.get(key) {
        Some(value) => checker.raw(value, "a string"),
        None => Some(default.to_owned()),
    }
}

/// The text of `target_label`. It is empty if the key is not written.
fn target_label(checker: &Checker<'_>, section: &Section<'_>) -> Option<String> {
    match section.get("target_label") {
        Some(value) if value.node.kind != Kind::Null => checker.raw(value, "a label name"),
        _ => Some(String::new()),
    }
}

fn action(checker: &Checker<'_>, value: &Value<'_>) -> Option<Name> {
    let written = match &value.node.kind {
        Kind::Str(text) => NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)),
        _ => None,
    };
    match written {
        Some((_, name)) => Some(*name),
        None => checker.choice(value, &NAMES),
    }
}

/// What an action requires of the other keys.
struct Needs<'n, 't> {
    checker: &'n Checker<'n>,
    section: &'n Section<'t>,
    item: &'n Value<'t>,
    name: Name,
}

impl Needs<'_, '_> {
    /// Requires a `target_label` that is a name, or a template of a name.
    fn target(&self, target: &str, template: bool) -> Option<String> {
        let refusal = match self.section.get("target_label") {
            Some(value) if !target.is_empty() => match is_name(target, template) {
                true => return Some(target.to_owned()),
                false => {
                    let refusal = not_a_name(target);
                    let groups = target.contains('$') && !template;
                    let help = format!("`{}` knows no groups here, only `replace` does", self.name.written());
                    self.checker.refuse(
                        value.place(),
                        &value.path,
                        if groups { refusal.help(help) } else { refusal },
                    );
                    return None;
                }
            },
            Some(value) => Finding::at(value.place(), format!("`{}` is empty", value.path)),
            None if self.section.is_meant("target_label") => return None,
            None => Finding::at(self.item.place(), format!("`{}` has no `target_label`", self.item.path)),
        };
        let demand = format!("expected `target_label`: the label that `{}` is about", self.name.written());
        self.checker.note(refusal.label(demand));
        None
    }

    fn modulus(&self, modulus: u64) -> Option<u64> {
        if modulus > 0 {
            return Some(modulus);
        }
        let finding = match self.section.get("modulus") {
            Some(value) => Finding::at(value.place(), format!("`{}` is 0", value.path)),
            None if self.section.is_meant("modulus") => return None,
            None => Finding::at(self.item.place(), format!("`{}` has no `modulus`", self.item.path)),
        };
        self.checker
            .note(finding.label("expected `modulus`: `hashmod` gives a number from 0 to one below it"));
        None
    }

    /// Requires a `replacement` that is a template of the name of a label.
    fn map_to(&self, replacement: &str) -> Option<()> {
        if is_name(replacement, true) {
            return Some(());
        }
        // The default is such a template.
        let value = self.section.get("replacement")?;
        self.checker.refuse(value.place(), &value.path, not_a_name(replacement));
        None
    }

    /// Refuses keys other than these, unless they repeat their default.
    fn only(&self, keys: &[&str]) -> Option<()> {
        let defaults = [
            ("source_labels", ""),
            ("separator", DEFAULT_SEPARATOR),
            ("regex", DEFAULT_REGEX),
            ("modulus", "0"),
            ("target_label", ""),
            ("replacement", DEFAULT_REPLACEMENT),
        ];
        let others = defaults.iter().filter(|(key, _)| !keys.contains(key));
        // All keys are checked, so that all mistakes are found in one run.
        others.map(|(key, default)| self.without(key, default)).fold(Some(()), Option::and)
    }

    /// Refuses a key, unless it repeats its default.
    fn without(&self, key: &str, default: &str) -> Option<()> {
        let Some(value) = self.section.get(key) else { return Some(()) };
        let unused = match &value.node.kind {
            Kind::Null => true,
            Kind::Seq(items) => items.is_empty(),
            Kind::Str(text) | Kind::Int(text) | Kind::Float(text) => text == default,
            _ => false,
        };
        if unused {
            return Some(());
        }
        let finding =
            Finding::at(value.key.clone(), format!("`{}` makes no use of `{key}`", self.name.written()));
        self.checker.note(finding.label("expected no such key").note("Prometheus refuses the rule too"));
        None
    }
}

/// Checks the name of a label. It may begin with `__`: such labels exist between rules.
fn name(text: &str) -> Result<(), Refusal> {
    if is_name(text, false) { Ok(()) } else { Err(not_a_name(text)) }
}

fn not_a_name(text: &str) -> Refusal {
    let what = format!("{} is not a valid label name", quoted(text));
    Refusal::new(what, "expected letters, digits and `_`, no digit first")
}

/// Checks for `[a-zA-Z_][a-zA-Z0-9_]*`. In a template, `$name` or `${name}` may stand for any part.
fn is_name(text: &str, template: bool) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '$' && template {
            let inner = rest.strip_prefix('{');
            let name = inner.unwrap_or(rest);
            let end = name.find(|c| !word(c)).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            let after = if inner.is_some() { after.strip_prefix('}') } else { Some(after) };
            match after {
                Some(after) if !name.is_empty() => rest = after,
                _ => return false,
            }
        } else if !word(c) || first && c.is_ascii_digit() {
            return false;
        }
        first = false;
    }
    !first
}

#[cfg(test)]
mod tests;
