//! The section `retention:`: rules that say how long logs live, and warnings about what Loki cannot do.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::needs_label;
use crate::shape::known::KnownLabels;
use crate::shape::limits::RETENTION_MIN;
use crate::shape::names;
use crate::shape::trust::{Origins, Use};
use crate::yaml::key::key;
use crate::yaml::units::format_duration;
use crate::yaml::{Checker, Finding, Key, Kind, Section, Value, quoted};

/// The limits of times. Below, an entry is gone before anyone looks; above, dates cannot be computed.
const KEEP: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(100 * 365 * 24 * 3600);
/// The most rules (count). All are looked at for each new stream.
const RULES_MAX: usize = 1000;

/// The keys of `retention`.
pub(crate) const KEYS: &[Key] = &[
    key("retention", "section", ""),
    key("retention.label", "label name", "retention"),
    key("retention.default", "duration", "31d"),
    key("retention.rules", "list of sections", "[]"),
    key("retention.rules[].selector", "LogQL selector", "required"),
    key("retention.rules[].keep", "duration", "null"),
    key("retention.rules[].sample", "number", "null"),
    key("retention.rules[].drop", "`true` or `false`", "false"),
];

/// `retention:`
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// The label that carries the class of a stream.
    pub label: Option<String>,
    /// How long entries are kept that no rule matches.
    pub default: Duration,
    /// The rules. The first one that matches decides.
    pub rules: Vec<RetentionRule>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            label: Some("retention".to_owned()),
            default: Duration::from_secs(31 * 24 * 3600),
            rules: Vec::new(),
        }
    }
}

/// One item of `retention.rules`
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionRule {
    /// Which entries the rule is for.
    pub selector: logql::Selector,
    /// For how long they are kept. `None`: for the default time.
    pub keep: Option<Duration>,
    /// The share of them that is kept, from 0 to 1.
    pub sample: Option<f64>,
    /// Whether they are dropped.
    pub drop: bool,
}

/// Reads it. `origins` tells who decides the labels that rules select by.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>, origins: &Origins) -> Option<Retention> {
    if value.node.kind == Kind::Null {
        return None;
    }
    let section = Section::open(checker, value, "retention")?;
    let mut retention = Retention::default();
    section.read("label", &mut retention.label, |value| match value.node.kind {
        Kind::Null => Some(None),
        _ => checker.checked(value, "the name of a label, or `null`", names::label_name).map(Some),
    });
    section.read("default", &mut retention.default, |value| keep(checker, value));
    section.read("rules", &mut retention.rules, |value| {
        checker.each(value, "a list of rules", |item| rule(checker, item, retention.label.is_some(), origins))
    });
    if let (None, Some(label)) = (&retention.label, section.get("label"))
        && retention.rules.iter().any(|rule| rule.keep.is_some())
    {
        checker.warn(
            Finding::at(label.place(), "without a label Loki must know each rule by its selector")
                .label("Loki's configuration has to follow every change of the rules")
                .help("`journal-ship retention` prints it; with a label it changes only when a new time is used"),
        );
    }
    if retention.rules.len() > RULES_MAX {
        let title = format!("{} retention rules", retention.rules.len());
        checker.note(Finding::at(value.key.clone(), title).label(format!("expected at most {RULES_MAX}")));
    }
    Some(retention)
}

/// Warns of rules that decide on no entry, because no entry has what they select, or an earlier rule decides.
pub(crate) fn lint(checker: &Checker<'_>, value: &Value<'_>, read: &Retention, known: &KnownLabels) {
    let section = Section::open(checker, value, "retention");
    let Some(Kind::Seq(items)) = section.as_ref().and_then(|s| s.get("rules")).map(|rules| &rules.node.kind)
    else {
        return;
    };
    for (index, (node, rule)) in items.iter().zip(&read.rules).enumerate() {
        let item = Value { path: format!("retention.rules[{index}]"), node, key: node.used.clone() };
        let Some(section) = Section::open(checker, &item, "retention.rules[]") else { continue };
        let Some(written) = section.get("selector") else { continue };
        known.check_selector(checker, written);
        let wider = |earlier: &&RetentionRule| {
            let (wide, narrow) = (earlier.selector.matchers(), rule.selector.matchers());
            !earlier.selector.has_filters() && wide.iter().all(|matcher| narrow.contains(matcher))
        };
        if let Some(earlier) = read.rules.iter().take(index).position(|earlier| wider(&earlier)) {
            let title = format!("`retention.rules[{earlier}]` decides on all that this rule selects");
            let finding = Finding::at(written.place(), title).label("this rule is never asked");
            checker.warn(finding.help("the first rule that matches decides: put the narrower one first"));
        }
    }
}

fn keep(checker: &Checker<'_>, value: &Value<'_>) -> Option<Duration> {
    let keep = checker.duration(value, &KEEP)?;
    if keep < RETENTION_MIN {
        checker.warn(
            Finding::at(
                value.place(),
                format!("Loki keeps nothing for less than {}", format_duration(RETENTION_MIN)),
            )
            .label(format!("Loki will delete it after {}", format_duration(RETENTION_MIN)))
            .note("entries that are already older than this when they are read are not sent"),
        );
    }
    Some(keep)
}

fn rule(checker: &Checker<'_>, item: &Value<'_>, labelled: bool, origins: &Origins) -> Option<RetentionRule> {
    let section = Section::open(checker, item, "retention.rules[]")?;
    let selector = section.required(checker, item, "selector", |value| checker.selector(value));
    let (mut kept, mut sample, mut drop) = (None, None, false);
    section.read("keep", &mut kept, |value| keep(checker, value).map(Some));
    section.read("sample", &mut sample, |value| checker.number(value, &(0.0..=1.0)).map(Some));
    section.read("drop", &mut drop, |value| checker.flag(value));
    let asked = ["keep", "sample"].into_iter().find_map(|name| section.get(name));
    match (drop, asked) {
        (true, Some(other)) => {
            checker.note(
                Finding::at(other.key.clone(), format!("`{}` drops what it selects", item.path))
                    .label("this has no effect on entries that are dropped")
                    .help("remove it, or `drop: true`"),
            );
        }
        (false, None) => {
            checker.note(
                Finding::at(item.place(), format!("`{}` decides nothing", item.path))
                    .label("expected `keep: 90d`, `sample: 0.1` or `drop: true`"),
            );
        }
        _ => {}
    }
    let rule = RetentionRule { selector: selector?, keep: kept, sample, drop };
    warn(checker, &section, &rule, labelled);
    let used = if rule.drop { Use::Drop } else { Use::Keep };
    if let (Some(selector), Some(lint)) = (section.get("selector"), origins.of_selector(&rule.selector, used))
    {
        checker.warn(lint.at(selector.place()));
    }
    Some(rule)
}

/// Warns of what Loki cannot do, and says what will happen instead.
fn warn(checker: &Checker<'_>, section: &Section<'_>, rule: &RetentionRule, labelled: bool) {
    let (Some(selector), Some(keep)) = (section.get("selector"), section.get("keep")) else { return };
    if !needs_label(rule) {
        return;
    }
    let title =
        format!("{} looks at lines, and Loki keeps whole streams", quoted(&rule.selector.to_string()));
    let finding = Finding::at(selector.place(), title).related(keep.place(), "for this long");
    checker.warn(if labelled {
        finding.label("lines that match will form streams of their own").note(
            "the label says how long a stream is kept, so each stream that this selector reaches is split in two",
        )
    } else {
        finding
            .label("this rule will have no effect in Loki")
            .note("without `retention.label` Loki cannot be told how long to keep a line")
            .help("give the label a name, or select by labels only")
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// All that is said about `retention`, and whether it is a mistake.
    fn read(retention: &str) -> (bool, String) {
        let text = format!("loki: [{{url: http://localhost}}]\nretention: {retention}\n");
        match Config::examine_text(&text, "test", &|_| None) {
            Ok((_, warnings)) => (false, warnings.to_string()),
            Err(mistakes) => (true, mistakes.to_string()),
        }
    }

    #[test]
    fn the_number_of_rules_is_limited() {
        let rules = |count: usize| {
            let rule = |n: usize| format!("{{selector: '{{unit=\"u{n}.service\"}}', keep: 2d}}");
            format!("{{rules: [{}]}}", (0..count).map(rule).collect::<Vec<_>>().join(", "))
        };
        assert_eq!(read(&rules(RULES_MAX)), (false, String::new()));
        for count in [RULES_MAX + 1, RULES_MAX + 2] {
            let (mistake, said) = read(&rules(count));
            assert!(mistake && said.contains(&format!("{count} retention rules")), "{said}");
        }
    }

    #[test]
    fn a_rule_that_is_never_asked_is_told_of() {
        let rule = |selector: &str| format!("{{selector: '{selector}', keep: 2d}}");
        for (first, second, told) in [
            (r#"{unit="a"}"#, r#"{unit="a", host="h"}"#, true),
            (r#"{unit="a"}"#, r#"{unit="a"}"#, true),
            (r#"{unit="a"}"#, r#"{unit="a"} |= "x""#, true),
            (r#"{unit="a", host="h"}"#, r#"{unit="a"}"#, false),
            (r#"{unit="a"} |= "x""#, r#"{unit="a"}"#, false),
            (r#"{unit="a"}"#, r#"{unit="b"}"#, false),
        ] {
            let (_, said) = read(&format!("{{rules: [{}, {}]}}", rule(first), rule(second)));
            let says = said.contains("`retention.rules[0]` decides on all that this rule selects");
            assert_eq!(says, told, "{first} {second}: {said}");
        }
    }

    #[test]
    fn what_loki_cannot_do_is_told() {
        const SHORT: &str = "Loki keeps nothing for less than";
        const LINES: &str = "looks at lines, and Loki keeps whole streams";
        const NO_LABEL: &str = "without a label Loki must know each rule by its selector";
        let [all, some] = [r#"{selector: '{unit="a"}', "#, r#"{selector: '{unit="a"} |= "x"', "#];
        for (retention, told) in [
            ("{default: 23h}".to_owned(), &[SHORT][..]),
            ("{default: 24h}".to_owned(), &[]),
            ("{default: 25h}".to_owned(), &[]),
            (format!("{{rules: [{all} keep: 2d}}]}}"), &[]),
            (format!("{{rules: [{some} keep: 2d}}]}}"), &[LINES]),
            (format!("{{rules: [{some} sample: 0.5}}]}}"), &[]),
            (format!("{{label: null, rules: [{all} keep: 2d}}]}}"), &[NO_LABEL]),
            (format!("{{label: null, rules: [{all} drop: true}}]}}"), &[]),
            (format!("{{label: null, rules: [{some} keep: 2d}}]}}"), &[NO_LABEL, LINES]),
        ] {
            let (mistake, said) = read(&retention);
            assert!(!mistake, "{retention}: {said}");
            for part in [SHORT, LINES, NO_LABEL] {
                assert_eq!(said.contains(part), told.contains(&part), "{retention}: {said}");
            }
        }
    }

    #[test]
    fn a_rule_decides_one_thing() {
        for (rule, told) in [
            ("keep: 2d", ""),
            ("sample: 0.5", ""),
            ("keep: 2d, sample: 0.5", ""),
            ("drop: true", ""),
            ("drop: false", "decides nothing"),
            ("drop: true, keep: 2d", "drops what it selects"),
            ("drop: true, sample: 0.5", "drops what it selects"),
            ("keep: 1h", ""),
            ("keep: 100y", ""),
            ("keep: 59m", "expected 1h to 100y"),
            ("keep: 101y", "expected 1h to 100y"),
            ("sample: 1.5", "expected"),
        ] {
            let (mistake, said) = read(&format!("{{rules: [{{selector: '{{unit=\"a\"}}', {rule}}}]}}"));
            assert_eq!(mistake, !told.is_empty(), "{rule}: {said}");
            assert!(said.contains(told), "{rule}: {said}");
        }
    }

    #[test]
    fn a_section_that_is_empty_or_null_has_its_defaults_or_is_not_there() {
        for (text, expected) in [
            ("null", None),
            ("{}", Some(Retention::default())),
            ("{label: null}", Some(Retention { label: None, ..Retention::default() })),
            (
                "{default: 2d}",
                Some(Retention { default: Duration::from_secs(48 * 3600), ..Retention::default() }),
            ),
        ] {
            let text = format!("loki: [{{url: http://localhost}}]\nretention: {text}\n");
            let config = Config::parse(&text, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(config.retention, expected, "{text}");
        }
    }
}
