use super::*;
use crate::expr::tests::expr;
use crate::query::Query;
use proptest::prelude::*;

/// Breaks a query at another width.
fn at(width: usize, text: &str) -> String {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let writer = Pretty { width };
    let pretty = match &query {
        Query::Logs(query) => writer.pipeline(query, 0),
        Query::Metric(expr) => writer.expr(expr, 0),
    };
    // Loki writes numbers that LogQL cannot read.
    if !["NaN", "Inf"].iter().any(|word| pretty.contains(word)) {
        let again = Query::parse(&pretty).unwrap_or_else(|error| panic!("{pretty}: {error}"));
        assert_eq!(without_sizes(&again), without_sizes(&query), "{pretty}");
    }
    pretty
}

/// A query as text, without the sizes, which Loki rounds.
fn without_sizes(query: &Query) -> String {
    let sizes = regex::Regex::new("[0-9]+B").unwrap();
    sizes.replace_all(&query.to_string(), "B").into_owned()
}

/// Queries, and what Loki makes of them where its lines have 20 characters.
const BROKEN: &[(&str, &str)] = &[
    (r#"{unit="ssh.service", host="oak"}"#, r#"{unit="ssh.service", host="oak"}"#),
    (
        r#"{unit="ssh.service", host="oak"} | logfmt | user="eve""#,
        r#"{unit="ssh.service", host="oak"}
  | logfmt
  | user="eve""#,
    ),
    (
        r#"{unit="ssh.service", host="oak"} |= "Failed" != "root" |= ip("203.0.113.0/24") | json a="b[0]", c="d" | line_format "{{.a}}""#,
        r#"{unit="ssh.service", host="oak"}
  |= "Failed"
  != "root"
  |= ip("203.0.113.0/24")
  | json a="b[0]",c="d"
  | line_format "{{.a}}""#,
    ),
    (
        r#"count_over_time({unit="ssh.service"} |= "Failed" [5m] offset 20m)"#,
        r#"count_over_time(
  {unit="ssh.service"}
    |= "Failed" [5m] offset 20m
)"#,
    ),
    (
        r#"quantile_over_time(0.99, {unit="shop.service"} | json | unwrap duration(took) | __error__="" | took > 5s [1m]) by (host)"#,
        r#"quantile_over_time(
  0.99,
  {unit="shop.service"}
    | json
    | unwrap duration(took)
    | __error__=""
    | took>5s [1m]
) by (host)"#,
    ),
    (
        r#"sum(rate({unit="ssh.service"}[5m])) by (host, level)"#,
        r#"sum by (host, level)(
  rate(
    {unit="ssh.service"} [5m]
  )
)"#,
    ),
    (
        r#"topk(3, count_over_time({unit="ssh.service"}[5m]))"#,
        r#"topk(
  3,
  count_over_time(
    {unit="ssh.service"} [5m]
  )
)"#,
    ),
    (
        r#"label_replace(label_replace(rate({unit="ssh.service"}[5m]), "a", "$1", "unit", "(.*)"), "b", "$1", "a", "(.*)")"#,
        r#"label_replace(
  label_replace(
    rate(
      {unit="ssh.service"} [5m]
    ),
    "a",
    "$1",
    "unit",
    "(.*)"
  ),
  "b",
  "$1",
  "a",
  "(.*)"
)"#,
    ),
    (
        r#"sum(rate({unit="a"} |= "err" [5m])) / sum(rate({unit="a"}[5m])) > bool 0.5"#,
        r#"    sum(
      rate(
        {unit="a"} |= "err" [5m]
      )
    )
  /
    sum(
      rate({unit="a"}[5m])
    )
> bool
  0.5"#,
    ),
    (
        r#"sum(rate({unit="a"}[5m])) - sum(rate({unit="b"}[5m])) * on (host, level) group_left (job) sum(rate({unit="c"}[5m]))"#,
        r#"  sum(
    rate({unit="a"}[5m])
  )
-
    sum(
      rate({unit="b"}[5m])
    )
  * on (host, level) group_left (job)
    sum(
      rate({unit="c"}[5m])
    )"#,
    ),
];

#[test]
fn queries_are_broken_as_loki_breaks_them() {
    for (text, expected) in BROKEN {
        assert_eq!(at(20, text), *expected, "{text}");
    }
}

#[test]
fn a_line_has_a_hundred_characters() {
    let written = |filler: usize| {
        let text = format!(r#"sum(rate({{a="{}"}}[5m]))"#, "x".repeat(filler));
        Query::parse(&text).unwrap().pretty()
    };
    assert_eq!((written(79).len(), written(79).lines().count()), (100, 1));
    assert_eq!(written(80).lines().count(), 3);
}

/// Loki would lose these.
#[test]
fn what_gives_a_query_its_meaning_stays() {
    for (text, expected) in [
        (
            r#"(vector(1) + vector(2)) * vector(3)"#,
            "  (\n      vector(1.000000)\n    +\n      vector(2.000000)\n  )\n*\n  vector(3.000000)",
        ),
        (
            r#"vector(1) - (vector(2) - vector(3))"#,
            "  vector(1.000000)\n-\n  (\n      vector(2.000000)\n    -\n      vector(3.000000)\n  )",
        ),
        (r#"{a="b"} |= "one" or "two" or "three""#, "{a=\"b\"}\n  |= \"one\" or \"two\" or \"three\""),
        (
            r#"avg_over_time({a="b"} | unwrap x [5m]) by ()"#,
            "avg_over_time(\n  {a=\"b\"}\n    | unwrap x [5m]\n) by ()",
        ),
    ] {
        assert_eq!(at(15, text), expected, "{text}");
    }
}

#[test]
fn filters_share_a_line_as_long_as_they_fit() {
    assert_eq!(
        at(20, r#"{a="b"} |= "x" |= "y" |= "z" |= "zz" | decolorize |= "1""#),
        "{a=\"b\"}\n  |= \"x\" |= \"y\" |= \"z\"\n  |= \"zz\"\n| decolorize\n  |= \"1\""
    );
}

proptest! {
    /// What is broken reads back as the same, wherever it is broken.
    #[test]
    fn broken_queries_read_back(text in expr(), width in 0_usize..80) {
        if Query::parse(&text).is_ok() {
            at(width, &text);
        }
    }
}
