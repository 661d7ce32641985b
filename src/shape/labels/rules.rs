//! The list `labels.relabel_configs`: Prometheus's relabelling rules, with its defaults and what it demands of
//! each action (prometheus/prometheus, `model/relabel/relabel.go`, `Config.Validate`).
//!
//! Label names are held to what Loki takes. An action's name may be written in capital letters, as there.

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
    /// Labels whose values, joined, are what the action looks at; a missing one is empty.
    pub source_labels: Vec<String>,
    /// Between these values.
    pub separator: String,
    /// What is done.
    pub action: RelabelAction,
}

/// What a rule does. Regular expressions match whole texts; templates refer to their groups.
#[derive(Debug, Clone, PartialEq)]
pub enum RelabelAction {
    /// Where the source matches, sets a label; an empty value removes it.
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
    // By now each key has been read, so that all mistakes are found in one run.
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

/// The text of `target_label`; empty if it is not written.
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

/// What an action demands of the other keys.
struct Needs<'n, 't> {
    checker: &'n Checker<'n>,
    section: &'n Section<'t>,
    item: &'n Value<'t>,
    name: Name,
}

impl Needs<'_, '_> {
    /// A `target_label` that is a name, or a template of one.
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
            None => Finding::at(self.item.place(), format!("`{}` has no `modulus`", self.item.path)),
        };
        self.checker
            .note(finding.label("expected `modulus`: `hashmod` gives a number from 0 to one below it"));
        None
    }

    /// A `replacement` that is a template of a label's name.
    fn map_to(&self, replacement: &str) -> Option<()> {
        if is_name(replacement, true) {
            return Some(());
        }
        // The default is a template.
        let value = self.section.get("replacement")?;
        self.checker.refuse(value.place(), &value.path, not_a_name(replacement));
        None
    }

    /// No other key than these is written, unless it repeats its default.
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
        // Every key is looked at, so that all mistakes are found in one run.
        others.map(|(key, default)| self.without(key, default)).fold(Some(()), Option::and)
    }

    /// No such key, unless its default is written out.
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

/// The name of a label, `__` at the beginning allowed: such labels live from rule to rule.
fn name(text: &str) -> Result<(), Refusal> {
    if is_name(text, false) { Ok(()) } else { Err(not_a_name(text)) }
}

fn not_a_name(text: &str) -> Refusal {
    let what = format!("{} is not a valid label name", quoted(text));
    Refusal::new(what, "expected letters, digits and `_`, no digit first")
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`; in a template, `$name` or `${name}` may stand for any part.
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
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(rule: &str) -> Result<Relabel, String> {
        let source = format!("labels: {{relabel_configs: [{rule}]}}");
        match Config::parse(&source, "f", &|name| (name == "X").then(|| "x".to_owned())) {
            Ok(config) => Ok(config.labels.relabel[0].clone()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn regex(source: &str) -> Re2 {
        Re2::whole(source).unwrap()
    }

    #[test]
    fn rules_are_read_with_prometheus_defaults() {
        use RelabelAction as Action;
        let rule = |sources: &[&str], action| Relabel {
            source_labels: sources.iter().map(|&source| source.to_owned()).collect(),
            separator: ";".into(),
            action,
        };
        let replace = |regex_source: &str, target: &str, replacement: &str| Action::Replace {
            regex: regex(regex_source),
            target: target.into(),
            replacement: replacement.into(),
        };
        for (source, expected) in [
            ("{source_labels: [a, __b], target_label: c}", rule(&["a", "__b"], replace("(.*)", "c", "$1"))),
            ("{target_label: c, replacement: v}", rule(&[], replace("(.*)", "c", "v"))),
            ("{target_label: c, replacement: ''}", rule(&[], replace("(.*)", "c", ""))),
            ("{source_labels: [], target_label: c, regex: ''}", rule(&[], replace("", "c", "$1"))),
            // Neither is an environment variable.
            (
                "{target_label: 'l_${1}_$x', regex: '\\${1}$', replacement: '${X}$$'}",
                rule(&[], replace("\\${1}$", "l_${1}_$x", "${X}$$")),
            ),
            ("{target_label: $1}", rule(&[], replace("(.*)", "$1", "$1"))),
            ("{target_label: c, regex: 3, replacement: 7}", rule(&[], replace("3", "c", "7"))),
            ("{target_label: c, action: REPLACE}", rule(&[], replace("(.*)", "c", "$1"))),
            (
                "{action: keep, source_labels: ['${X}'], regex: a}",
                rule(&["x"], Action::Keep { regex: regex("a") }),
            ),
            ("{action: Drop, regex: a}", rule(&[], Action::Drop { regex: regex("a") })),
            // What an action makes no use of is taken, except where Prometheus refuses it.
            (
                "{action: drop, regex: a, target_label: '?', modulus: 3}",
                rule(&[], Action::Drop { regex: regex("a") }),
            ),
            (
                "{action: keepequal, source_labels: [a], target_label: b, separator: ;, regex: (.*), replacement: $1, modulus: 0}",
                rule(&["a"], Action::KeepEqual { target: "b".into() }),
            ),
            ("{action: dropequal, target_label: __b}", rule(&[], Action::DropEqual { target: "__b".into() })),
            (
                "{action: hashmod, source_labels: [a], target_label: b, modulus: 18446744073709551615}",
                rule(&["a"], Action::HashMod { target: "b".into(), modulus: u64::MAX }),
            ),
            (
                "{action: labelmap, regex: __journal_(.+)}",
                rule(&[], Action::LabelMap { regex: regex("__journal_(.+)"), replacement: "$1".into() }),
            ),
            (
                "{action: labelmap, replacement: 'j_${1}x'}",
                rule(&[], Action::LabelMap { regex: regex("(.*)"), replacement: "j_${1}x".into() }),
            ),
            (
                "{action: labeldrop, regex: a, source_labels: [], target_label: ''}",
                rule(&[], Action::LabelDrop { regex: regex("a") }),
            ),
            ("{action: labelkeep, regex: a}", rule(&[], Action::LabelKeep { regex: regex("a") })),
            ("{action: lowercase, target_label: b}", rule(&[], Action::Lowercase { target: "b".into() })),
            ("{action: uppercase, target_label: b}", rule(&[], Action::Uppercase { target: "b".into() })),
        ] {
            assert_eq!(read(source), Ok(expected), "{source}");
        }
        let separated = read("{target_label: c, separator: '$'}").unwrap();
        assert_eq!(separated.separator, "$");
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        let path = "`labels.relabel_configs[0]";
        for (source, parts) in [
            ("{}", &[&format!("{path}` has no `target_label`"), "that `replace` is about"][..]),
            ("x", &["cannot be a string"]),
            ("{target_label: ''}", &[&format!("{path}.target_label` is empty")]),
            ("{target_label: a-b}", &["`a-b` is not a valid label name"]),
            ("{target_label: 9a}", &["`9a` is not a valid label name"]),
            ("{target_label: 'a${1'}", &["`a${1` is not a valid label name"]),
            ("{target_label: 'a$'}", &["`a$` is not a valid label name"]),
            ("{target_label: a, action: swap}", &["cannot be `swap`", "`keepequal`"]),
            ("{target_label: a, action: replase}", &["did you mean `replace`?"]),
            ("{target_label: a, action: 1}", &["cannot be a number"]),
            ("{target_label: a, regex: 'a('}", &[&format!("{path}.regex`: not a regular expression")]),
            ("{target_label: a, source_labels: b}", &["cannot be a string", "a list of label names"]),
            ("{target_label: a, source_labels: [b.c]}", &["`b.c` is not a valid label name"]),
            ("{target_label: a, source: [b]}", &["unknown key `source`", "did you mean `source_labels`?"]),
            ("{action: hashmod, target_label: a}", &[&format!("{path}` has no `modulus`")]),
            ("{action: hashmod, target_label: a, modulus: 0}", &["is 0", "expected `modulus`"]),
            ("{action: hashmod, target_label: a, modulus: -1}", &["is not a whole number"]),
            ("{action: hashmod, modulus: 1}", &["has no `target_label`"]),
            (
                "{action: hashmod, target_label: $1, modulus: 1}",
                &["is not a valid label name", "knows no groups"],
            ),
            (
                "{action: labelmap, replacement: a-$1}",
                &[&format!("{path}.replacement`: `a-$1` is not a valid label name")],
            ),
            ("{action: labelmap, replacement: ''}", &["is not a valid label name"]),
            ("{action: labeldrop, regex: a, separator: x}", &["`labeldrop` makes no use of `separator`"]),
            ("{action: labelkeep, regex: a, source_labels: [a]}", &["makes no use of `source_labels`"]),
            ("{action: labelkeep, regex: a, target_label: a}", &["makes no use of `target_label`"]),
            ("{action: labelkeep, regex: a, replacement: a}", &["makes no use of `replacement`"]),
            ("{action: labelkeep, regex: a, modulus: 2}", &["makes no use of `modulus`"]),
            ("{action: keepequal, target_label: a, regex: a}", &["makes no use of `regex`"]),
            ("{action: dropequal}", &["has no `target_label`"]),
            ("{action: lowercase, target_label: a, replacement: x}", &["makes no use of `replacement`"]),
            ("{action: uppercase}", &["has no `target_label`"]),
            ("{target_label: }", &["`target_label`"]),
            ("{target_label: a, separator: }", &["has no value"]),
        ] {
            let error = read(source).expect_err(source);
            for part in parts {
                assert!(error.contains(part), "{source}: {part}\n{error}");
            }
            assert!(error.contains("1 error in f"), "{source}\n{error}");
        }
        let several = read("{action: dropequal, regex: a, modulus: 1}").unwrap_err();
        assert!(several.contains("3 errors in f"), "{several}");
        let everywhere = read("{action: x, regex: 'a(', source_labels: [1a, 2a], modulus: x}").unwrap_err();
        assert!(everywhere.contains("5 errors in f"), "{everywhere}");
    }

    #[test]
    fn the_stream_cap_is_a_number_above_zero() {
        let read = |text: &str| Config::parse(&format!("labels: {{max_streams: {text}}}"), "f", &|_| None);
        assert_eq!(read("1").map(|config| config.labels.max_streams), Ok(1));
        assert_eq!(read("1000000").map(|config| config.labels.max_streams), Ok(1_000_000));
        for wrong in ["0", "-1", "1000001", "many", "1.5"] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("expected a whole number, 1 to 1000000"), "{error}");
        }
    }
}
