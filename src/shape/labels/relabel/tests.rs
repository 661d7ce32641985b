use super::*;
use crate::config::Config;

fn rules(yaml: &str) -> Vec<Relabel> {
    let source = format!("labels: {{relabel_configs: [{yaml}]}}");
    Config::parse(&source, "f", &|_| None).unwrap_or_else(|error| panic!("{error}")).labels.relabel
}

/// The labels of `{unit="u.service", job="j"}` and some journal fields after rules, as text.
fn relabel(yaml: &str, fields: &[(&str, &str)]) -> Result<String, usize> {
    let rules = rules(yaml);
    let mut labels = Labels::default();
    labels.begin("unit", "u.service".into());
    labels.begin("job", "j".into());
    for (name, value) in fields {
        labels.begin_field(name, value.as_bytes());
    }
    labels.apply(&rules)?;
    Ok(labels.into_set().to_string())
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table of rules and what they make of one label set")]
fn each_action_does_what_it_does_in_prometheus() {
    let fields = [("PRIORITY", "3"), ("_HOSTNAME", "Web"), ("_PID", "42"), ("EMPTY", "")];
    let ok = |labels: &str| Ok(format!("{{{labels}}}"));
    for (yaml, expected) in [
        ("", ok(r#"job="j", unit="u.service""#)),
        // replace
        (
            "{source_labels: [unit], regex: '(.+)\\.service', target_label: u}",
            ok(r#"job="j", u="u", unit="u.service""#),
        ),
        (
            "{source_labels: [unit], regex: 'u', target_label: unit, replacement: x}",
            ok(r#"job="j", unit="u.service""#),
        ),
        ("{source_labels: [none], target_label: unit}", ok(r#"job="j""#)),
        ("{source_labels: [none], regex: (.+), target_label: unit}", ok(r#"job="j", unit="u.service""#)),
        ("{target_label: new, replacement: v}", ok(r#"job="j", new="v", unit="u.service""#)),
        ("{source_labels: [job], target_label: job, replacement: ''}", ok(r#"unit="u.service""#)),
        (
            "{source_labels: [job, none, unit], separator: '-', target_label: job}",
            ok(r#"job="j--u.service", unit="u.service""#),
        ),
        (
            "{source_labels: [unit], regex: '(?P<a>.)(.*)', target_label: job, replacement: '$a|${2}|$3|$2x|$$|$'}",
            ok(r#"job="u|.service|||$|$", unit="u.service""#),
        ),
        (
            "{source_labels: [__journal__hostname], target_label: 'x_$1', replacement: y}",
            ok(r#"job="j", unit="u.service", x_Web="y""#),
        ),
        ("{source_labels: [none], target_label: '$1', replacement: y}", ok(r#"job="j", unit="u.service""#)),
        // keep, drop, the equal ones
        (
            "{source_labels: [job], regex: j, action: keep}, {target_label: unit, replacement: ''}",
            ok(r#"job="j""#),
        ),
        ("{target_label: a}, {source_labels: [job], regex: '', action: keep}", Err(1)),
        ("{source_labels: [job], regex: '', action: drop}", ok(r#"job="j", unit="u.service""#)),
        ("{source_labels: [job], regex: '[a-z]', action: drop}", Err(0)),
        ("{source_labels: [__journal_priority], regex: '3', action: drop}", Err(0)),
        ("{source_labels: [job], target_label: job, action: keepequal}", ok(r#"job="j", unit="u.service""#)),
        ("{source_labels: [job], target_label: unit, action: keepequal}", Err(0)),
        ("{source_labels: [none], target_label: __journal_none, action: dropequal}", Err(0)),
        ("{source_labels: [job], target_label: unit, action: dropequal}", ok(r#"job="j", unit="u.service""#)),
        // md5("j") ends in 4a0446b6bab05515, md5("") in e9800998ecf8427e.
        (
            "{source_labels: [job], target_label: job, modulus: 1000, action: hashmod}",
            ok(r#"job="373", unit="u.service""#),
        ),
        (
            "{target_label: job, modulus: 18446744073709551615, action: hashmod}",
            ok(r#"job="16825458760271544958", unit="u.service""#),
        ),
        // letters
        (
            "{source_labels: [unit, job], target_label: job, action: uppercase}",
            ok(r#"job="U.SERVICE;J", unit="u.service""#),
        ),
        (
            "{target_label: job, replacement: 'STRAßE'}, {source_labels: [job], target_label: unit, action: lowercase}, {source_labels: [job], target_label: job, action: uppercase}",
            ok(r#"job="STRAßE", unit="straße""#),
        ),
        // names
        (
            "{regex: __journal__(.+), action: labelmap}",
            ok(r#"hostname="Web", job="j", pid="42", unit="u.service""#),
        ),
        (
            "{regex: __journal_(priority.*), action: labelmap}",
            ok(r#"job="j", priority="3", priority_keyword="error", unit="u.service""#),
        ),
        (
            "{regex: (job), replacement: my_$1, action: labelmap}",
            ok(r#"job="j", my_job="j", unit="u.service""#),
        ),
        ("{regex: j.*, action: labeldrop}", ok(r#"unit="u.service""#)),
        ("{regex: j, action: labeldrop}", ok(r#"job="j", unit="u.service""#)),
        ("{regex: j.*, action: labelkeep}", ok(r#"job="j""#)),
        ("{regex: none, action: labelkeep}", ok("")),
        // Two names to one: by name what was there from the beginning, then in the order of being set.
        (
            "{regex: job|unit, replacement: x, action: labelmap}",
            ok(r#"job="j", unit="u.service", x="u.service""#),
        ),
        (
            "{target_label: job, replacement: last}, {regex: job|unit, replacement: x, action: labelmap}",
            ok(r#"job="last", unit="u.service", x="last""#),
        ),
        (
            "{target_label: z, replacement: '1'}, {target_label: a, replacement: '2'}, {target_label: z, replacement: '3'}, {regex: a|z, replacement: x, action: labelmap}",
            ok(r#"a="2", job="j", unit="u.service", x="2", z="3""#),
        ),
        // Labels for the rules only.
        (
            "{source_labels: [job], target_label: __tmp}, {source_labels: [__tmp], target_label: unit}",
            ok(r#"job="j", unit="j""#),
        ),
        (
            "{source_labels: [__journal_empty], regex: (.+), target_label: unit}",
            ok(r#"job="j", unit="u.service""#),
        ),
    ] {
        assert_eq!(relabel(yaml, &fields), expected, "{yaml}");
    }
}

#[test]
fn values_that_rules_blow_up_end_somewhere() {
    let doubles = "{source_labels: [unit], target_label: unit, replacement: '$1$1$1$1$1$1$1$1'},".repeat(40);
    let labels = relabel(&doubles, &[]).unwrap();
    assert!(labels.len() <= logql::label_set::LABEL_VALUE_MAX + 100);
}

#[test]
fn only_fields_that_can_make_a_difference_are_wanted() {
    for (yaml, wanted, unwanted) in [
            ("{action: labelmap, regex: '__journal__(.+)'}", &["_PID", "__X"][..], &["PID", "PRIORITY"][..]),
            ("{action: labelmap, regex: '(job)'}", &[], &["JOB", "_PID"]),
            ("{action: labelmap, regex: '__journal_priority_(.+)'}", &["PRIORITY", "PRIORITY_X"], &["_PID"]),
            // What is taken away again was not needed.
            (
                "{action: labelmap, regex: '__journal_(.+)'}, {action: labelkeep, regex: '_pid|uid'}",
                &["_PID", "UID"],
                &["MESSAGE", "_UID"],
            ),
            (
                "{action: labelmap, regex: '__journal_(.+)'}, {action: labeldrop, regex: 'message|.*source.*'}",
                &["_PID"],
                &["MESSAGE", "_SOURCE_REALTIME_TIMESTAMP"],
            ),
            // Unless a rule looks at it first, under whatever name.
            (
                "{action: labelmap, regex: '__journal_(m.+)'}, {action: labelmap, regex: '(m.*)', replacement: 'x_$1'},
                 {source_labels: [x_message], regex: 'a.*', action: drop}, {action: labeldrop, regex: '.*message'}",
                &["MESSAGE", "MX"],
                &["_PID"],
            ),
            (
                "{action: labelmap, regex: '__journal_(.+)', replacement: '__$1'},
                 {source_labels: [a], target_label: __b, action: keepequal}",
                &["B"],
                &["A", "C"],
            ),
            ("{action: labeldrop, regex: '__journal_a'}, {action: labelmap, regex: '__journal_(.)'}", &["B"], &["A"]),
        ] {
            let rules = rules(yaml);
            for field in wanted {
                assert!(matters(&rules, field), "{field}: {yaml}");
            }
            for field in unwanted {
                assert!(!matters(&rules, field), "{field}: {yaml}");
            }
        }
}

#[test]
fn labels_name_journal_fields() {
    for (label, field) in [
        ("__journal__systemd_unit", Some("_SYSTEMD_UNIT")),
        ("__journal_message", Some("MESSAGE")),
        ("__journal_priority", Some("PRIORITY")),
        ("__journal_priority_keyword", Some("PRIORITY")),
        ("__journal_MESSAGE", None),
        ("__journal_", None),
        ("unit", None),
    ] {
        assert_eq!(field_of(label).as_deref(), field, "{label}");
    }
}
