//! Prometheus' own judgement of templates and of the times of `for` and `keep_firing_for`: what the rules here make of
//! lines is what `promtool test rules` has to find in series of the same numbers.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use journal_ship::alerts::file;
use journal_ship::alerts::run::Rules;
use journal_ship::alerts::state::Outside;
use logql::label_set::LabelSet;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::{Unavailable, or_skip};

const PROMTOOL: &str = "/usr/bin/promtool";
const MINUTE: i64 = 60_000_000_000;
/// Minutes of each case.
const MINUTES: usize = 40;

/// Annotations, of functions that Debian's promtool has; the rule is about `$value` and the labels `unit` and `address`.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("value", "{{ $value }} {{ .Value }}"),
    ("labels", "{{ $labels.unit }} {{ .Labels.address }} {{ $labels.missing }}|"),
    ("external", "{{ $externalLabels.zone }} {{ $externalURL }}"),
    ("title", "{{ $labels.unit | title }} {{ toUpper $labels.unit }} {{ \"ABC\" | toLower }}"),
    ("humanize", "{{ humanize $value }} {{ humanize 1234567.0 }} {{ humanize 0.00012 }} {{ humanize 0.0 }}"),
    ("humanize1024", "{{ humanize1024 1234567.0 }} {{ humanize1024 12.0 }} {{ humanize1024 \"2048\" }}"),
    (
        "duration",
        "{{ humanizeDuration $value }} {{ humanizeDuration 93784.0 }} {{ humanizeDuration 0.0125 }} {{ humanizeDuration -61.5 }}",
    ),
    ("percentage", "{{ humanizePercentage 0.12345 }} {{ humanizePercentage $value }}"),
    ("timestamp", "{{ humanizeTimestamp 1435065584.128 }}"),
    ("match", "{{ match \"w.b\" $labels.unit }} {{ if match \"^x\" $labels.unit }}x{{ else }}no{{ end }}"),
    ("replace", "{{ reReplaceAll \"(w)(.)\" \"$2$1\" $labels.unit }}"),
    ("strip", "{{ stripPort $labels.address }} {{ stripDomain $labels.address }}"),
    ("format", "{{ printf \"%.2f|%5.1f|%s|%q|%v\" $value $value $labels.unit $labels.unit true }}"),
    ("if", "{{ if gt $value 2.0 }}many{{ else if eq $value 2.0 }}two{{ else }}one{{ end }}"),
    (
        "with",
        "{{ with $labels.unit }}{{ . }}!{{ end }}{{ with $labels.missing }}never{{ else }}nothing{{ end }}",
    ),
    ("variables", "{{ $x := $labels.unit }}{{ $x }}{{ $x }} {{- /* a remark */ -}} ."),
    ("range", "{{ range $n, $v := $labels }}{{ $n }}={{ $v }};{{ end }}"),
    ("logic", "{{ and true (or false \"x\") }} {{ not true }} {{ len $labels.unit }} {{ eq \"a\" \"b\" }}"),
    ("parse", "{{ parseDuration \"1h30m\" }}"),
    (
        "escape",
        "{{ \"a b&c\" | urlquery }} {{ html \"<b>\" }} {{ print 1 \"x\" 2.5 }} {{ safeHtml \"<i>\" }}",
    ),
    ("args", "{{ with args $labels.unit 3 }}{{ .arg0 }}-{{ .arg1 }}{{ end }}"),
    ("links", "{{ graphLink \"up{a='b'}\" }} {{ tableLink \"x y\" }}"),
    (
        "numbers",
        "{{ 1.5e9 }} {{ 123456789.0 }} {{ 1e20 }} {{ 1e21 }} {{ 0.0001 }} {{ 0.00001 }} {{ printf \"%v %g\" 1.5e9 1.5e9 }}",
    ),
    ("times", "{{ toTime 1435065584.128 }}"),
];

/// One case: how many lines, or which value, in each minute.
#[derive(Debug, Clone)]
struct Case {
    hold: i64,
    keep: i64,
    values: Vec<u8>,
}

fn case() -> impl Strategy<Value = Case> {
    // Long enough alike for states to change and to stay.
    let stretch = (0_u8..4, 1_usize..9).prop_map(|(value, length)| vec![value; length]);
    let values = prop::collection::vec(stretch, 12).prop_map(|stretches| {
        let mut values = stretches.concat();
        values.resize(MINUTES, 0);
        values
    });
    (0_i64..5, 0_i64..4, values).prop_map(|(hold, keep, values)| Case { hold, keep, values })
}

fn rule_file(case: &Case, expr: &str) -> String {
    let mut text = format!(
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: '{expr}'\n        for: {}m\n",
        case.hold
    );
    if case.keep > 0 {
        writeln!(text, "        keep_firing_for: {}m", case.keep).unwrap();
    }
    text.push_str(
        "        labels: {severity: '{{ if gt $value 2.0 }}page{{ else }}mail{{ end }}', fixed: x}\n",
    );
    text.push_str("        annotations:\n");
    for (name, template) in ANNOTATIONS {
        // Double quotes as YAML has them.
        writeln!(text, "          {name}: {}", serde_json::to_string(template).unwrap()).unwrap();
    }
    text
}

/// What the rules here say for each minute: an expectation in the form of promtool's tests.
fn expectations(case: &Case) -> String {
    let text = rule_file(case, r#"count_over_time({unit="web"}[1m]) > 0"#);
    let (groups, _) = file::parse(&text, "rules", None).unwrap_or_else(|error| panic!("{error}"));
    let set = |pairs: &[(&str, &str)]| {
        let mut labels = LabelSet::default();
        pairs.iter().for_each(|(name, value)| labels.insert(name, value.as_bytes()));
        labels
    };
    let outside = Outside { labels: set(&[("zone", "z1")]), url: "http://g/x".into(), ..Outside::default() };
    let mut rules = Rules::new(&groups, outside, MINUTE, 100);
    rules.advance(-1);
    let labels = Arc::new(set(&[("unit", "web"), ("address", "host.example.org:9100")]));
    let mut out = String::new();
    for (minute, value) in case.values.iter().enumerate() {
        let end = minute as i64 * MINUTE;
        for n in 0..i64::from(*value) {
            rules.observe(end - 30_000_000_000 + n, &labels, "line", std::iter::empty());
        }
        rules.advance(end);
        writeln!(out, "      - {{eval_time: {minute}m, alertname: A, exp_alerts: [").unwrap();
        for (_, alert) in rules.firing() {
            let mut labels = (*alert.labels).clone();
            // Prometheus adds external labels when it sends.
            labels.remove("zone");
            labels.remove("alertname");
            let labels: std::collections::BTreeMap<_, _> = labels.iter().collect();
            let (labels, annotations) = (
                serde_json::to_string(&labels).unwrap(),
                serde_json::to_string(&*alert.annotations).unwrap(),
            );
            writeln!(out, "          {{exp_labels: {labels}, exp_annotations: {annotations}}},").unwrap();
        }
        out.push_str("        ]}\n");
    }
    out
}

#[test]
fn prometheus_agrees_on_states_and_templates() {
    if !std::path::Path::new(PROMTOOL).exists() {
        or_skip!(Err(Unavailable(format!("{PROMTOOL} is missing (Debian package prometheus)"))));
    }
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let home = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut firing = 0;
    for number in 0..24 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let rules = format!("rules-{number}.yaml");
        fs::write(home.path().join(&rules), rule_file(&case, "x + 0 > 0")).unwrap();
        let values: Vec<_> = case.values.iter().map(ToString::to_string).collect();
        let expected = expectations(&case);
        firing += expected.matches("exp_labels").count();
        let test = format!(
            "rule_files: [{rules}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    external_labels: {{zone: z1}}\n    \
             external_url: http://g/x\n    input_series:\n      - {{series: 'x{{unit=\"web\",address=\"host.example.org:9100\"}}', \
             values: '{}'}}\n    alert_rule_test:\n{expected}",
            values.join(" ")
        );
        let path = home.path().join(format!("test-{number}.yaml"));
        fs::write(&path, test).unwrap();
        files.push((case, path));
    }
    assert!(firing > 50, "only {firing} alerts fired in all cases");
    let out = Command::new(PROMTOOL)
        .args(["test", "rules"])
        .args(files.iter().map(|(_, path)| path))
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        let failed: String = text.chars().take(6000).collect();
        let cases: Vec<_> =
            files.iter().map(|(case, path)| format!("{}: {case:?}", path.display())).collect();
        panic!("{}\n{failed}", cases.join("\n"));
    }
    assert_eq!(text.matches("SUCCESS").count(), files.len(), "{text}");
}
