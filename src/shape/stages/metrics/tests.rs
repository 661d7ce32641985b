use super::super::testing::{item, parse, refusal, refused};
use super::*;

/// What the metrics written say after these values of `v`.
fn text(metrics: &str, values: &[Option<Value>]) -> String {
    let config = crate::config::Config::parse(&format!("stages:\n  - metrics: {metrics}\n"), "t", &|_| None);
    let setup = Setup::default();
    let mut stage = config.unwrap_or_else(|e| panic!("{e}")).stages[0].settings().build(&setup);
    for value in values {
        let mut item = item("12345", &[("unit", "a")]);
        if let Some(value) = value {
            item.extracted.set("v", value.clone());
        }
        assert_eq!(stage.run(&mut item, &mut Context::default()), Flow::Next);
    }
    let text = setup.metrics.text(0);
    text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ")
}

#[test]
fn entries_are_counted_and_measured() {
    let some = |value: &str| Some(Value::from(value));
    for (config, values, expected) in [
        (
            "type: Counter, source: v, config: {action: inc}",
            vec![some("x"), None, some("y")],
            r#"promtail_custom_m{unit="a"} 2"#,
        ),
        (
            "type: Counter, config: {action: INC, match_all: true}",
            vec![None, None],
            r#"promtail_custom_m{unit="a"} 2"#,
        ),
        (
            "type: Counter, config: {action: add, match_all: true, count_entry_bytes: true}",
            vec![None, None],
            r#"promtail_custom_m{unit="a"} 10"#,
        ),
        (
            "type: Counter, source: v, config: {action: inc, value: x}",
            vec![some("x"), some("y")],
            r#"promtail_custom_m{unit="a"} 1"#,
        ),
        (
            "type: Counter, source: v, prefix: my_, config: {action: add}",
            vec![some("1.5"), some("500ms"), some("-1"), some("-1s"), some("NaN"), some("z")],
            r#"my_m{unit="a"} 2"#,
        ),
        (
            "type: Gauge, source: v, config: {action: set}",
            vec![some("3"), Some(Value::Number(7.0))],
            r#"promtail_custom_m{unit="a"} 7"#,
        ),
        (
            "type: Gauge, source: v, config: {action: sub}",
            vec![some("3"), Some(Value::Bool(true))],
            r#"promtail_custom_m{unit="a"} -4"#,
        ),
        (
            "type: Gauge, source: v, prefix: '', config: {action: add}",
            vec![some("-1.5s"), some("+1m"), some("1e1"), some("1 m")],
            r#"promtail_custom_m{unit="a"} 68.5"#,
        ),
        (
            "type: gauge, source: v, config: {action: dec}",
            vec![some("3"), Some(Value::Null)],
            r#"promtail_custom_m{unit="a"} -2"#,
        ),
        (
            "type: Histogram, source: v, config: {buckets: [1, 0.5]}",
            vec![some("0.7")],
            r#"promtail_custom_m_bucket{unit="a",le="0.5"} 0 promtail_custom_m_bucket{unit="a",le="1"} 1 promtail_custom_m_bucket{unit="a",le="+Inf"} 1 promtail_custom_m_sum{unit="a"} 0.7 promtail_custom_m_count{unit="a"} 1"#,
        ),
    ] {
        assert_eq!(text(&format!("{{m: {{{config}}}}}"), &values), expected, "{config}");
    }
}

#[test]
fn a_histogram_without_buckets_has_those_of_prometheus() {
    for config in ["type: Histogram, source: v", "type: Histogram, source: v, config: {buckets: []}"] {
        let text = text(&format!("{{m: {{{config}}}}}"), &[Some("0.3".into())]);
        assert_eq!(text.matches("_bucket").count(), BUCKETS.len() + 1, "{config}: {text}");
        assert!(text.contains(r#"le="0.25"} 0 "#) && text.contains(r#"le="0.5"} 1 "#), "{config}: {text}");
    }
}

#[test]
fn series_have_the_labels_of_the_entry() {
    for (pairs, histogram, expected) in [
        (&[("a", "1"), ("__b", "2")][..], false, "a=1 "),
        (&[("a.b", "1"), ("7", "2"), ("é", "3")], false, "_7=2 a_b=1 _=3 "),
        (&[("a.b", "1"), ("a_b", "2")], false, "a_b=1 "),
        (&[("._x", "1")], false, ""),
        (&[("le", "1")], false, "le=1 "),
        (&[("le", "1")], true, "exported_le=1 "),
    ] {
        let series = series_labels(&item("", pairs).labels, histogram);
        let text: String = series.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        assert_eq!(text, expected, "{pairs:?}");
    }
}

#[test]
fn a_name_is_one_metric_wherever_it_stands() {
    const COUNTER: &str = "metrics: {m: {type: Counter, config: {action: inc, match_all: true}}}";
    let stages =
        |second: &str| format!("[{{{COUNTER}}}, {{match: {{selector: '{{a=\"b\"}}', stages: [{second}]}}}}]");
    // Two stages of one kind share it.
    let setup = Setup::default();
    for stage in parse(&stages(&format!("{{{COUNTER}}}"))).unwrap() {
        stage.settings().build(&setup).run(&mut item("", &[("a", "b")]), &mut Context::default());
    }
    assert!(setup.metrics.text(0).contains("promtail_custom_m{a=\"b\"} 2\n"), "{}", setup.metrics.text(0));
    for (second, parts) in [
        (
            "{m: {type: Gauge, config: {action: inc}}}",
            ["has two meanings", "here it is a gauge", "here it is a counter"],
        ),
        (
            "{h: {type: Histogram, config: {buckets: [1]}}, h_sum: {type: Gauge, config: {action: inc}}}",
            ["`promtail_custom_h_sum` has two meanings", "here it is a gauge", "a part of the histogram"],
        ),
        (
            "{h: {type: Histogram, prefix: promtail_, config: {buckets: [1]}}, \
                 promtail_h: {type: Histogram, prefix: _, config: {buckets: [1]}}, \
                 _h: {type: Histogram, prefix: promtail, config: {buckets: [2]}}}",
            ["`promtail_h` has two meanings", "the buckets [1.0]", "the buckets [2.0]"],
        ),
    ] {
        refused(&[(&stages(&format!("{{metrics: {second}}}")), &parts)]);
    }
}

#[test]
fn what_is_no_metric_is_refused() {
    for (written, part) in [
        ("{m: {}}", "has no `type`"),
        ("{m: {type: Number}}", "cannot be `Number`"),
        ("{m: {type: Counter}}", "has no `action`"),
        ("{m: {type: Counter, config: {action: set}}}", "cannot be `set`"),
        ("{m: {type: Counter, config: {action: inc, count_entry_bytes: true}}}", "match_all: true"),
        ("{m: {type: Counter, config: {action: inc, match_all: true, value: x}}}", "not all entries match"),
        ("{up: {type: Gauge, prefix: journalship_, config: {action: inc}}}", "journal-ship's own"),
        ("{open_fds: {type: Gauge, prefix: process_, config: {action: inc}}}", "journal-ship's own"),
        ("{m-n: {type: Gauge, config: {action: inc}}}", "is not a valid name of a metric"),
        ("{m: {type: Gauge, max_idle_duration: 1ms, config: {action: inc}}}", "too small"),
        ("{m: {type: Histogram, config: {buckets: [x]}}}", "is not a number that fits"),
        ("{m: {type: Counter, config: {action: inc, buckets: [1]}}}", "only a histogram"),
        ("{m: {type: Gauge, config: {action: inc, match_all: true}}}", "only a counter"),
    ] {
        let text = refusal(&format!("metrics: {written}"));
        assert!(text.contains(part), "{written}: {text}");
    }
}
