use super::*;

#[test]
fn a_file_of_lokis_ruler() {
    let (groups, _) = parse(
        r#"
groups:
  - name: ssh
    interval: 30s
    limit: 5
    query_offset: 10s
    labels: {team: ops, severity: none}
    rules:
      - alert: BruteForce
        expr: |
          sum by (host) (count_over_time({unit="sshd.service"} |= "Failed password" [5m])) > 10
        for: 2m
        keep_firing_for: 5m
        labels: {severity: '{{ if gt $value 100.0 }}critical{{ else }}warning{{ end }}'}
        annotations: {summary: "{{ $value }} failures on {{ $labels.host }}"}
      - record: job:failures:rate5m
        expr: rate({unit="sshd.service"} |= "Failed" [5m])
  - name: empty
"#,
        "f",
        None,
    )
    .unwrap_or_else(|error| panic!("{}", error.render(false)));
    let [ssh, empty] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((ssh.interval, ssh.limit, ssh.query_offset), (Some(30_000_000_000), 5, 10_000_000_000));
    let RuleKind::Alert(alert) = &ssh.rules[0].kind else { panic!("{ssh:?}") };
    assert_eq!((alert.hold, alert.keep_firing, alert.limit), (120_000_000_000, 300_000_000_000, 5));
    let labels: Vec<_> = alert.labels.iter().map(|(name, text)| (name.as_str(), text.source())).collect();
    assert_eq!(labels[0], ("team", "ops"));
    assert_eq!(labels[1].0, "severity");
    let team = vec![("team".to_owned(), "ops".to_owned()), ("severity".to_owned(), "none".to_owned())];
    assert_eq!(ssh.rules[1].kind, RuleKind::Record("job:failures:rate5m".to_owned(), team));
    assert_eq!((empty.rules.len(), empty.interval), (0, None));
}

#[test]
fn mistakes() {
    for (text, expected) in [
        ("", "has no `groups`"),
        ("", "the rule file has no `groups`"),
        ("[{name: a}]", "the rule file cannot be a list"),
        ("rule_files: [a]\ntests: []", "a file of tests for rules, where a rule file is expected"),
        (
            "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}",
            "take what is under `spec`",
        ),
        ("apiVersion: v1\nkind: ConfigMap\ndata: {}", "a manifest of Kubernetes, where"),
        ("alerts: {rule_files: [a]}", "journal-ship check --config"),
        ("clients: []\nscrape_configs: []", "journal-ship convert promtail"),
        ("route: {}\nreceivers: []", "alerts.alertmanagers"),
        ("groups: x", "expected a list of groups"),
        ("group: []", "unknown key `group`"),
        (
            "groups: [{name: a, rules: [{record: process_open_fds, expr: 'vector(1)'}]}]",
            "journal-ship's own metrics",
        ),
        ("groups: [{rules: []}]", "has no `name`"),
        ("groups: [{name: ''}]", "it is empty"),
        ("groups: [{name: a}, {name: a}]", "there are two groups `a`"),
        ("groups: [{name: a, interval: 0s}]", "too small"),
        ("groups: [{name: a, intervall: 1m}]", "did you mean `interval`?"),
        ("groups: [{name: a, limit: -1}]", "is not a whole number that fits"),
        ("groups: [{name: a, source_tenants: [x]}]", "unknown key `source_tenants`"),
        ("groups: [{name: a, rules: [{expr: vector(1)}]}]", "expected `alert: …` or `record: …`"),
        ("groups: [{name: a, rules: [{alert: A, record: b, expr: vector(1)}]}]", "not both"),
        ("groups: [{name: a, rules: [{alert: A}]}]", "has no `expr`"),
        ("groups: [{name: a, rules: [{alert: A, expr: 'rate({a=\"b\"})'}]}]", "expected a range, as `[5m]`"),
        ("groups: [{name: a, rules: [{alert: A, expr: '{a=\"b\"}'}]}]", "a log query"),
        ("groups: [{name: a, rules: [{alert: A, expr: vector(1), for: 5}]}]", "not a duration"),
        ("groups: [{name: a, rules: [{alert: A, expr: vector(1), labels: {a-b: x}}]}]", "a-b"),
        (
            "groups: [{name: a, rules: [{alert: A, expr: vector(1), labels: {alertname: x}}]}]",
            "is the name of the alert",
        ),
        (
            "groups: [{name: a, rules: [{alert: A, expr: vector(1), annotations: {a: '{{ $lables.x }}'}}]}]",
            "the variable $lables is not declared",
        ),
        (
            "groups: [{name: a, rules: [{alert: A, expr: vector(1), annotations: {a: '{{ humanise 1 }}'}}]}]",
            "there is no function `humanise`",
        ),
        ("groups: [{name: a, rules: [{alert: A, expr: vector(1), annotations: {a: '{{ if }}'}}]}]", "here"),
        (
            "groups: [{name: a, rules: [{record: b, expr: vector(1), for: 5m}]}]",
            "a recording rule has no `for`",
        ),
        ("groups: [{name: a, rules: [{record: b-c, expr: vector(1)}]}]", "is not a valid name of a metric"),
    ] {
        let error = parse(text, "f", None).map(|_| ()).expect_err(text).render(false);
        assert!(error.contains(expected), "{text}:\n{error}");
    }
}

/// Also in blocks of lines, as most expressions are written.
#[test]
fn mistakes_have_their_places() {
    let text = r#"groups:
  - name: a
    rules:
      - alert: A
        expr: |
          sum by (host) (
            # a remark
            rate({unit="a"} | jsn [5m])
          ) > 0
        annotations:
          text: |-
            first {{ $value }}
              second {{ $valeu }}
          folded: >
            one
            {{ $valeu }}
      - alert: B
        expr: rate({unit="a"})
"#;
    let error = parse(text, "f", None).map(|_| ()).expect_err(text).render(false);
    for place in ["f:8:35", "f:13:25", "f:15:13", "f:18:30"] {
        assert!(error.contains(&format!(" {place}\n")), "{place}\n{error}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

    /// A file with a part of it gone or doubled is read or refused.
    #[test]
    fn a_mutilated_file_ends(from in 0..900usize, length in 0..40usize, twice in proptest::bool::ANY) {
        let text = include_str!("../../../config/rules/host.yaml");
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (start, end) = (boundary(from), boundary(from + length));
        let mutilated = if twice { [&text[..end], &text[start..]] } else { [&text[..start], &text[end..]] };
        if let Err(why) = parse(&mutilated.concat(), "f", None) {
            why.render(false);
        }
    }
}
