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
