//! The rule engine: what it keeps of entries comes to the same as looking at all of them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::logql::{Given, Slow, label_set};
use journal_ship::alerts::engine::Engine;
use journal_ship::alerts::file;
use journal_ship::alerts::run::Rules;
use journal_ship::alerts::state::{Active, Outside};
use logql::Expr;
use logql::label_set::LabelSet;
use logql::vectors::{EvalError, Vector};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;
/// A multiple of all intervals here.
const START: i64 = 1_764_000_000 * SECOND;

/// Series by their labels; sorted, for they have no order.
fn series(result: Result<Vector, EvalError>) -> Result<BTreeMap<String, f64>, String> {
    match result {
        Ok(vector) => Ok(vector.into_iter().map(|s| (s.labels.to_string(), s.value)).collect()),
        Err(EvalError::Pipeline { kind, .. }) => Err(kind),
        Err(other) => Err(other.to_string()),
    }
}

fn query() -> impl Strategy<Value = String> {
    let pipeline = prop::sample::select(vec![
        "",
        "|= \"a\"",
        "!= \"a\" |~ \"[bc]\"",
        "| logfmt | __error__=\"\"",
        "| logfmt | n > 2",
        "| json",
        "| pattern \"<w> <_>\"",
        "| label_format x=`{{.unit}}-{{.pid}}`",
        "|= \"a\" or \"b\"",
        "| logfmt | n = 3 or t = \"a\" | __error__=\"\"",
        "| drop pid, level=\"debug\"",
        "| keep unit",
    ]);
    let range = prop::sample::select(vec![
        "[1m]",
        "[2m]",
        "[90s]",
        "[5m]",
        "[20s]",
        "[7m] offset 1m",
        "[1m] offset 45s",
        "[150s] offset 10s",
    ]);
    let lines = prop::sample::select(vec![
        "count_over_time",
        "rate",
        "bytes_over_time",
        "bytes_rate",
        "absent_over_time",
    ]);
    let values = prop::sample::select(vec![
        ("sum_over_time(", ""),
        ("avg_over_time(", ""),
        ("min_over_time(", " by (unit)"),
        ("max_over_time(", ""),
        ("stddev_over_time(", " by ()"),
        ("stdvar_over_time(", " without (pid)"),
        ("first_over_time(", " by (unit)"),
        ("last_over_time(", ""),
        ("quantile_over_time(0.9, ", " by (unit)"),
        ("rate(", ""),
        ("rate_counter(", ""),
    ]);
    let selector =
        prop::sample::select(vec!["{job=\"j\"}", "{unit=\"u1\"}", "{unit=~\"u[12]\",level!=\"debug\"}"]);
    let of_lines = (lines, selector.clone(), pipeline.clone(), range.clone())
        .prop_map(|(op, selector, pipeline, range)| format!("{op}({selector} {pipeline} {range})"));
    let of_values = (values, selector, range).prop_map(|((op, end), selector, range)| {
        format!("{op}{selector} | logfmt | unwrap n | __error__=\"\" {range}){end}")
    });
    let inner = prop_oneof![of_lines.clone(), of_values];
    let around = prop::sample::select(vec![
        "",
        "sum",
        "sum by (unit)",
        "avg by (level)",
        "count without (pid)",
        "topk",
    ]);
    // What is divided by has no rounding that could make all of it.
    (inner, around, of_lines, 0..4u8).prop_map(|(left, around, right, both)| {
        let left = match around {
            "" => left,
            "topk" => format!("max({left})"),
            around => format!("{around} ({left})"),
        };
        match both {
            0 => format!("sum({left}) / sum({right}) > 0.500123"),
            1 => format!("{left} or {right}"),
            _ => left,
        }
    })
}

fn entries() -> impl Strategy<Value = Vec<Given>> {
    let sets: Vec<Arc<LabelSet>> = (0..3)
        .flat_map(|unit| ["info", "debug"].map(|level| (unit, level)))
        .map(|(unit, level)| {
            Arc::new(label_set([("job", "j"), ("unit", &format!("u{unit}")), ("level", level)]))
        })
        .collect();
    let line = prop_oneof![
        "[abc]{1,4}( [abc]{1,3})?",
        (0..9i32, "[abc]").prop_map(|(n, text)| format!("n={n} t={text}")),
        (-50..50i32).prop_map(|n| format!("n={}", f64::from(n) / 8.0)),
        Just("n=\"broken".to_owned()),
        (0..9u32).prop_map(|n| format!("{{\"n\": {n}}}")),
    ];
    // Times at cuts and beside them.
    let step = prop_oneof![0..40 * SECOND, (0..3i64).prop_map(|n| n * 10 * SECOND), 0..3i64];
    prop::collection::vec((step, 0..sets.len(), line, 0..3u8), 0..120).prop_map(move |given| {
        let mut time = START - 600 * SECOND;
        let entry = |(step, set, line, pid): (i64, usize, String, u8)| {
            time += step;
            Given {
                time,
                labels: sets[set].clone(),
                metadata: vec![("pid".to_owned(), pid.to_string())],
                line,
            }
        };
        given.into_iter().map(entry).collect()
    })
}

fn same(
    ours: &Result<BTreeMap<String, f64>, String>,
    theirs: &Result<BTreeMap<String, f64>, String>,
    exact: bool,
) -> bool {
    let near = |a: f64, b: f64| {
        a == b
            || (a.is_nan() && b.is_nan())
            || (!exact && (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3))
    };
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.0 == b.0 && near(*a.1, *b.1))
        }
        (ours, theirs) => ours == theirs,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_come_to_the_same_as_all_entries(
        queries in prop::collection::vec((query(), prop::sample::select(vec![10, 30, 60, 120])), 1..5),
        entries in entries(),
    ) {
        let exprs: Vec<Expr> = queries.iter().map(|(query, _)| Expr::parse(query).unwrap()).collect();
        let slow: Vec<Slow<'_>> = exprs.iter().map(|expr| Slow::new(expr, &entries)).collect();
        let mut engine = Engine::new(1000);
        for (expr, (_, interval)) in exprs.iter().zip(&queries) {
            engine.watch(expr.clone(), interval * SECOND);
        }
        let mut evaluations = Vec::new();
        engine.advance(START - 900 * SECOND, |evaluation| evaluations.push(evaluation));
        for Given { time, labels, metadata, line } in &entries {
            engine.advance(time - 1, |evaluation| evaluations.push(evaluation));
            let metadata = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            engine.observe(*time, labels, line, metadata);
        }
        engine.advance(START + 3600 * SECOND, |evaluation| evaluations.push(evaluation));
        let expected = queries.iter().map(|(_, interval)| 3600 / interval - (-900_i64).div_euclid(*interval));
        prop_assert_eq!(evaluations.len() as i64, expected.sum::<i64>());
        for evaluation in evaluations {
            let (query, _) = &queries[evaluation.number];
            let theirs = series(slow[evaluation.number].value_at(evaluation.time));
            let ours = series(evaluation.result);
            // What only counts, adds eighths or chooses has no rounding.
            let exact = !["rate", "avg", "std", "quantile", " / "].iter().any(|part| query.contains(part));
            prop_assert!(
                same(&ours, &theirs, exact),
                "{} at {}\nours   {:?}\nslowly {:?}", query, (evaluation.time - START) / SECOND, ours, theirs
            );
        }
        prop_assert_eq!(engine.series(), 0, "nothing is kept of what no evaluation needs");
    }
}

/// Where all alerts stand: labels, state and times.
fn standing(rules: &Rules) -> Vec<String> {
    let of_rule = |(number, rule): (usize, &journal_ship::alerts::run::RunningRule)| {
        let shown = |alert: &Active| {
            let times = (alert.active_at, alert.fired_at, alert.resolved_at);
            format!("{number} {} {:?} {times:?}", alert.labels, alert.state)
        };
        rule.alerts().map(shown).collect::<Vec<_>>()
    };
    rules.rules().iter().enumerate().flat_map(of_rule).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// After a restart, whenever and for however long, states are as if there had been none.
    #[test]
    fn a_restart_changes_nothing(
        queries in prop::collection::vec((query(), 0..300i64, 0..200i64), 1..4),
        interval in prop::sample::select(vec![10, 30, 60]),
        entries in entries(),
        stop in -900..900i64,
        away in 0..900i64,
    ) {
        let rule = |(number, (query, hold, keep)): (usize, &(String, i64, i64))| {
            format!("      - {{alert: A{number}, expr: '{query}', for: {hold}s, keep_firing_for: {keep}s}}\n")
        };
        let text: String = queries.iter().enumerate().map(rule).collect();
        let text = format!("groups:\n  - name: g\n    rules:\n{text}");
        let (groups, _) = file::parse(&text, "rules", None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let new = || Rules::new(&groups, Outside::default(), interval * SECOND, 1000);
        let show = |rules: &mut Rules, from: i64, to: i64| {
            for Given { time, labels, metadata, line } in &entries {
                if (from..=to).contains(time) {
                    rules.advance(time - 1);
                    let metadata = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    rules.observe(*time, labels, line, metadata);
                }
            }
            rules.advance(to);
        };
        let (first, stop) = (START - 900 * SECOND, START + stop * SECOND);
        let (back, last) = (stop + away * SECOND, START + 1800 * SECOND);
        let mut always = new();
        always.advance(first);
        show(&mut always, first, stop);
        let saved = always.saved();
        show(&mut always, stop + 1, last);

        let mut again = new();
        let begin = again.begin(back, &saved);
        again.advance(begin);
        let reach = again.reach();
        show(&mut again, begin - reach, back);
        show(&mut again, back + 1, last);
        // A rule that was never evaluated before the stop begins anew.
        if !saved.rules.is_empty() {
            prop_assert_eq!(standing(&again), standing(&always), "{}", text);
        }
    }
}

#[test]
fn ranges_longer_than_there_is_time_are_only_long() {
    let mut engine = Engine::new(10);
    for text in [
        "count_over_time({a=\"b\"}[290y])",
        "count_over_time({a=\"b\"}[290y] offset 290y)",
        "rate_counter({a=\"b\"} | unwrap c [290y] offset -2000000h)",
        "count_over_time({a=\"b\"}[1ms] offset 290y)",
    ] {
        engine.watch(Expr::parse(text).unwrap(), 60 * SECOND);
    }
    let labels = Arc::new(label_set([("a", "b"), ("c", "1")]));
    let mut seen = Vec::new();
    for time in [i64::MIN / 2, 0, START, i64::MAX] {
        engine.observe(time, &labels, "x", std::iter::empty());
    }
    engine.advance(START, |_| {});
    engine.advance(START + 60 * SECOND, |evaluation| {
        seen.push((evaluation.number, evaluation.result.unwrap().len()))
    });
    assert_eq!(seen.len(), 4);
    assert_eq!(seen.first(), Some(&(0, 1)));
}

/// The built program on files of tests: what it prints, what it complains of, and its status.
fn rules_test(files: &[&str]) -> (String, String, Option<i32>) {
    let output = crate::support::agent::output(&[&["rules", "test"], files].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// What users can write fires none of them.
#[test]
fn the_shipped_rules_believe_no_lies() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules/host.lies.test.yaml");
    let (out, complaints, status) = rules_test(&[path]);
    assert_eq!((complaints.as_str(), status), ("", Some(0)), "{out}");
    let rules = std::fs::read_to_string(path.replace(".lies.test", "")).unwrap();
    let lies = std::fs::read_to_string(path).unwrap();
    for name in rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")) {
        assert!(lies.contains(&format!("alertname: {name}, exp_alerts: []")), "{name} is not tried");
    }
}

#[test]
fn the_shipped_rules_pass_their_tests() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules/host.test.yaml");
    let (out, complaints, status) = rules_test(&[path]);
    assert_eq!((complaints.as_str(), status), ("", Some(0)), "{out}");
    assert!(out.ends_with(": 36 passed, 0 failed\n"), "{out}");
    // Every alert is expected to fire somewhere.
    let rules = std::fs::read_to_string(path.replace(".test", "")).unwrap();
    let tests = std::fs::read_to_string(path).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test in which it fires");
    }
}

#[test]
fn a_test_that_fails_shows_what_was_expected_and_what_came() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    write(
        "rules.yaml",
        "groups: [{name: g, rules: [{alert: A, expr: 'count_over_time({u=~\".+\"}[5m]) > 1', labels: {s: w}}]}]",
    );
    let test = write(
        "test.yaml",
        r#"
rule_files: [rules.yaml]
tests:
  - input:
      - {labels: '{u="a"}', lines: [{line: x, repeat: 3}]}
      - {labels: '{u="b"}', metadata: {pid: 7}, lines: [{line: x, at: 10s, repeat: 3}]}
    alert_rule_test:
      - {eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {u: a, s: w}}, {exp_labels: {u: c, s: w}}]}
      - {eval_time: 30s, alertname: A}
    logql_expr_test:
      - {expr: 'sum(count_over_time({u=~".+"}[1m]))', eval_time: 1m, exp_samples: [{value: 6}]}
      - {expr: 'sum by (pid) (count_over_time({u=~".+"} | pid="7" [1m]))', eval_time: 1m, exp_samples: [{labels: '{pid="7"}', value: 3}]}
"#,
    );
    let (out, complaints, status) = rules_test(&[&test]);
    assert_eq!((complaints.as_str(), status), ("", Some(1)));
    let expected = format!(
        r#"FAILED {test}: test 1: alert A at 1m
  as expected   {{s="w", u="a"}}
  missing       {{s="w", u="c"}}
  not expected  {{pid="7", s="w", u="b"}}
FAILED {test}: test 1: sum(count_over_time({{u=~".+"}}[1m])) at 1m
  missing       {{}} 6
  not expected  {{}} 5
{test}: 2 passed, 2 failed
"#
    );
    assert_eq!(out, expected);

    let missing = home.path().join("nosuch.yaml").display().to_string();
    let (out, complaints, status) = rules_test(&[&missing, &test]);
    assert!(complaints.contains("nosuch.yaml cannot be read: No such file"), "{complaints}");
    assert!(out.contains("2 passed, 2 failed"), "the others run all the same: {out}");
    assert_eq!(status, Some(1));

    write("rules.yaml", "groups: [{name: g, rules: [{alert: A, expr: 'rate({u=\"a\"})'}]}]");
    let (out, complaints, status) = rules_test(&[&test]);
    assert_eq!((out.as_str(), status), ("", Some(78)));
    for expected in ["rules.yaml:1:58", "unexpected `)`", "expected a range, as `[5m]`"] {
        assert!(complaints.contains(expected), "{expected}: {complaints}");
    }
    let bad = write(
        "bad.yaml",
        "tests: [{input: [{labels: '{u=~\"x\"}', lines: [{lin: x}]}, {labels: '{u=\"x\"}', lines: [{line: x, repeat: 600000}, \
         {line: y, repeat: 600000}]}], alert_rule_tests: []}]",
    );
    let (_, complaints, status) = rules_test(&[&bad]);
    assert_eq!(status, Some(78));
    for expected in [
        "is not a label set",
        "unknown key `lin`",
        "more than 1000000 lines in one test",
        "unknown key `alert_rule_tests`",
        "did you mean `alert_rule_test`?",
    ] {
        assert!(complaints.contains(expected), "{expected}: {complaints}");
    }
}

#[test]
fn the_examples_of_the_document_work() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md")).unwrap();
    let examples: Vec<&str> =
        document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [config, rules, tests] = examples.as_slice() else { panic!("{} examples", examples.len()) };
    journal_ship::config::Config::parse(config, "rules.md", &|_| None).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("rules.yaml"), rules).unwrap();
    std::fs::write(home.path().join("test.yaml"), tests).unwrap();
    let (out, complaints, status) = rules_test(&[&home.path().join("test.yaml").display().to_string()]);
    assert_eq!((complaints.as_str(), status), ("", Some(0)), "{out}");
}
