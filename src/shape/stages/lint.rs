//! Finds stages that can never do their work: they look at a value that no stage before them extracts, or at entries that
//! cannot come. Every warning is certain. After a stage that takes names from entries, the search ends.

use super::{May, StageSettings, may};
use crate::shape::known::KnownLabels;
use crate::yaml::{Checker, Kind, Value};

/// Warns of stages that can never do their work, in the list of stages `value`, which has been read without mistakes.
pub(crate) fn lint(checker: &Checker<'_>, value: &Value<'_>, known: &KnownLabels) {
    of_list(value, &mut May::new(checker, known));
}

/// The same for a list within a stage.
pub(super) fn of_list(value: &Value<'_>, may: &mut May<'_>) {
    let Kind::Seq(items) = &value.node.kind else { return };
    for (index, node) in items.iter().enumerate() {
        let item = Value { path: format!("{}[{index}]", value.path), node, key: node.used.clone() };
        for (name, written) in may::map(&item) {
            StageSettings::lint(name, &written, may);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn warnings(stages: &str) -> Vec<String> {
        let source = format!("stages:\n{stages}\n");
        let (_, found) =
            Config::examine_text(&source, "f", &|_| None).unwrap_or_else(|error| panic!("{stages}\n{error}"));
        let text = found.render(false);
        text.lines().filter_map(|line| line.strip_prefix("warning: ")).map(str::to_owned).collect()
    }

    #[test]
    fn what_nobody_extracts_is_told() {
        for (stages, told) in [
            ("- timestamp: {source: ts, format: RFC3339}", &["no stage before this one extracts `ts`"][..]),
            ("- output: {source: msg}", &["`msg`"]),
            ("- json: {expressions: {msg: }}\n- output: {source: mgs}", &["`mgs`"]),
            ("- json: {expressions: {msg: }}\n- output: {source: msg}", &[]),
            ("- output: {source: msg}\n- json: {expressions: {msg: }}", &["`msg`"]),
            ("- regex: {expression: '(?P<a>x)'}\n- labels: {a: , b: a, c: }", &["`c`"]),
            (
                "- logfmt: {mapping: {a: }}\n- json: {source: b, expressions: {c: }}\n- tenant: {source: a}",
                &["`b`"],
            ),
            ("- tenant: {source: unit}", &[]),
            ("- tenant: {label: team}", &["no entry has the label `team`"]),
            ("- static_labels: {team: x}\n- tenant: {label: team}", &[]),
            ("- static_labels: {team: x}\n- tenant: {source: team}", &["`team`"]),
            (
                "- static_labels: {team: x}\n- match: {selector: '{team=\"x\"}', stages: [{tenant: {source: team}}]}",
                &[],
            ),
            (
                "- match: {selector: '{unit=\"a.service\"}', stages: [{json: {expressions: {x: }}}]}\n- output: {source: x}",
                &[],
            ),
            ("- template: {source: x, template: '{{ .Value }}{{ .Entry }}'}\n- output: {source: x}", &[]),
            ("- template: {source: x, template: '{{ .unit }} {{ .usr }}'}", &["`usr`"]),
            ("- replace: {expression: '(a)', replace: '{{ .Value }}{{ .Entry }}'}", &["`Entry`"]),
            ("- drop: {source: [unit, level2]}", &["`level2`"]),
            ("- limit: {rate: 1, burst: 1, drop: true, by_label_name: uint}", &["`uint`"]),
            ("- metrics: {m: {type: Counter, config: {action: inc}}}", &["`m`"]),
            ("- metrics: {m: {type: Counter, config: {match_all: true, action: inc}}}", &[]),
            ("- metrics: {m: {type: Counter, source: unit, config: {action: inc}}}", &[]),
            ("- structured_metadata: {unit: , x: y}", &["`y`"]),
            ("- pack: {labels: [unit, z]}", &["`z`"]),
            ("- match: {selector: '{unit=\"nginx\"}', action: drop}", &["no entry has unit=\"nginx\""]),
            ("- match: {selector: '{level=\"err\"}', action: drop}", &["no entry has level=\"err\""]),
            ("- match: {selector: '{untt=\"a.service\"}', action: drop}", &["no entry has untt="]),
            ("- match: {selector: '{unit=~\"nginx.*\"}', action: drop}", &[]),
            ("- match: {selector: '{}', action: drop}", &[]),
        ] {
            let found = warnings(stages);
            assert_eq!(found.len(), told.len(), "{stages}: {found:?}");
            for (found, told) in found.iter().zip(told) {
                assert!(found.contains(told), "{stages}: {found}");
            }
        }
    }
}
