//! Warnings about rules that are valid, but do not do on a host what a person may expect. `check` shows them; nothing else
//! depends on them.

pub(crate) mod series;
pub(crate) mod templates;
mod threshold;

use crate::shape::known::KnownLabels;
use crate::yaml::{Lint, units};
use logql::expr::{Expr, Grouping, RangeAggregation, VectorOp};

/// The longest window without a warning (nanoseconds). With its defaults, journald keeps some weeks on a quiet host and some
/// days on a busy one.
const REACH_MAX: i64 = 7 * 24 * 3600 * 1_000_000_000;

/// Warns about the expression of a rule. `recorded`: its series become metrics.
pub(crate) fn of_expression(known: &KnownLabels, expr: &Expr, recorded: bool) -> Vec<Lint> {
    let mut lints = Vec::new();
    let (mut reach, mut ahead) = (0, false);
    expr.ranges(&mut |range, _| {
        lints.extend(known.of_nobody(&range.query.matchers));
        ahead |= range.offset < 0;
        reach = reach.max(range.range.saturating_add(range.offset));
    });
    if reach > REACH_MAX {
        let length = |nanoseconds: i64| {
            units::format_duration(std::time::Duration::from_nanos(nanoseconds.unsigned_abs()))
        };
        lints.push(Lint {
            title: format!("this looks {} back", length(reach)),
            label: "longer than the journal usually holds".to_owned(),
            help: format!(
                "after a start, entries that journald has deleted are missing in it: look at most {} back, or evaluate \
                 it in Loki's ruler",
                length(REACH_MAX)
            ),
            part: None,
        });
    }
    if ahead {
        lints.push(Lint {
            title: "a negative offset looks ahead".to_owned(),
            label: "when a rule is evaluated, nothing that comes later is there".to_owned(),
            help: "leave `offset` out, or write the later time with a positive one".to_owned(),
            part: None,
        });
    }
    if let Some(host) = known.host().filter(|host| !keeps(expr, host)) {
        lints.push(Lint {
            title: format!("the label `{host}` is aggregated away"),
            label: "each host sees its own entries only: this is not a sum over the fleet".to_owned(),
            help: format!("add `by ({host})` to say so, or put the rule into Loki's ruler"),
            part: None,
        });
    }
    series::lint(expr, known, &mut lints);
    threshold::lint(expr, known, recorded, &mut lints);
    lints
}

/// Whether the series of an expression have a label, provided that the series of its ranges have it.
fn keeps(expr: &Expr, label: &str) -> bool {
    let kept = |grouping: &Grouping| grouping.labels.iter().any(|name| name == label) != grouping.without;
    match expr {
        Expr::Number(_) | Expr::Vector(_) => true,
        Expr::Range(RangeAggregation { grouping, .. }) => grouping.as_ref().is_none_or(kept),
        Expr::Aggregate(aggregation) => {
            use VectorOp::{Bottomk, Sort, SortDesc, Topk};
            let chooses = matches!(aggregation.op, Bottomk | Topk | Sort | SortDesc);
            (chooses || kept(&aggregation.grouping)) && keeps(&aggregation.inner, label)
        }
        Expr::Binary(binary) => keeps(&binary.left, label) && keeps(&binary.right, label),
        Expr::LabelReplace(replace) => replace.to == label || keeps(&replace.inner, label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn lints(config: &str, expr: &str, recorded: bool) -> Vec<String> {
        let config = Config::parse(config, "c", &|_| None).unwrap();
        let known = KnownLabels::new(&config);
        let lints = of_expression(&known, &Expr::parse(expr).unwrap(), recorded);
        lints.into_iter().map(|lint| format!("{}: {}: {}", lint.title, lint.label, lint.help)).collect()
    }

    #[track_caller]
    fn told(rows: &[(&str, &str, &[&str])]) {
        for (config, expr, told) in rows {
            let lints = lints(config, expr, false);
            assert_eq!(lints.len(), told.len(), "{expr}: {lints:#?}");
            for (lint, told) in lints.iter().zip(*told) {
                assert!(lint.contains(told), "{expr}: {lint}");
            }
        }
    }

    #[test]
    fn what_is_told() {
        let relabelled = "labels: {relabel_configs: [{source_labels: [unit], target_label: team}]}";
        let mapped = "labels: {relabel_configs: [{regex: __journal_(.*), action: labelmap}]}";
        let staged = "stages: [{match: {selector: '{unit=\"a\"}', stages: [{static_labels: {team: x}}]}}, {labels: {zone: }}]";
        let fixed = "labels: {static: {job: web}}";
        told(&[
            ("", r#"sum by (host) (count_over_time({unit="a.service"}[5m])) > 1"#, &[][..]),
            ("", r#"count_over_time({unit="a.service"}[5m])"#, &[]),
            ("", r#"count_over_time({unit="a.service"}[5m] offset 5m)"#, &[]),
            ("", r#"count_over_time({unit="a.service"}[5m] offset -5m)"#, &["a negative offset looks ahead"]),
            ("", r#"topk(3, count_over_time({unit="a.service"}[5m]))"#, &[]),
            ("", r#"sum without (unit) (count_over_time({unit="a.service"}[5m]))"#, &[]),
            ("", r#"absent_over_time({unit="a.service"}[5m])"#, &[]),
            (
                "",
                r#"max by (host) (rate({unit="a.service"} | drop pid, identifier [5m])) / 5 > vector(1)"#,
                &[],
            ),
            ("", r#"sum(count_over_time({unit="a.service"}[5m]))"#, &["`host` is aggregated away"]),
            ("", r#"sum by (unit) (count_over_time({unit="a.service"}[5m]))"#, &["by (host)"]),
            ("", r#"sum without (host) (count_over_time({unit="a.service"}[5m]))"#, &["aggregated away"]),
            (
                "",
                r#"avg_over_time({unit="a.service"} | logfmt | unwrap x [5m]) by (unit)"#,
                &["aggregated away"],
            ),
            ("labels: {fields: {unit: _SYSTEMD_UNIT}}", r#"sum(rate({unit="a.service"}[5m]))"#, &[]),
            (
                "",
                r#"rate({unti="a"}[5m])"#,
                &[r#"no entry has unti="a": this selects nothing: did you mean `unit`?"#],
            ),
            (
                "",
                r#"rate({app="a"}[5m])"#,
                &["there are `host`, `job`, `level`, `service_name`, `unit`, `user_unit`"],
            ),
            ("", r#"rate({unit="a.service", app!="a"}[5m])"#, &[]),
            ("", r#"rate({level="err"}[5m])"#, &["did you mean `error`?"]),
            ("", r#"rate({level=~"err|error"}[5m])"#, &[]),
            ("", r#"rate({job="x"}[5m])"#, &["`job` is one of `systemd-journal`"]),
            (fixed, r#"rate({job="web"}[5m])"#, &[]),
            ("", r#"rate({team="x"}[5m])"#, &["no entry has team="]),
            (relabelled, r#"rate({team="x"}[5m])"#, &[]),
            (mapped, r#"rate({anything="x"}[5m])"#, &[]),
            (staged, r#"rate({team="y", zone="z"}[5m])"#, &[]),
            (
                "",
                r#"rate({unit="a.service"}[8d])"#,
                &["this looks 8d back: longer than the journal usually holds"],
            ),
            ("", r#"rate({unit="a.service"}[1h] offset 1w)"#, &["7d1h back"]),
        ]);
    }

    #[test]
    fn selectors_of_values_that_no_label_has() {
        let numbers = "labels: {fields: {uid: _UID, way: _TRANSPORT, unit: _SYSTEMD_UNIT}}";
        told(&[
            (
                "",
                r#"absent_over_time({unit="nginx"}[5m])"#,
                &["no entry has unit=\"nginx\": this selects nothing: did you mean `nginx.service`?"],
            ),
            ("", r#"absent_over_time({unit=~"nginx|php-fpm"}[5m])"#, &["`(nginx|php-fpm)\\.service`"]),
            ("", r#"absent_over_time({unit=~"nginx.*"}[5m])"#, &[]),
            ("", r#"absent_over_time({unit!="nginx", host="h"}[5m])"#, &[]),
            ("", r#"absent_over_time({unit="", host="h"}[5m])"#, &[]),
            ("", r#"absent_over_time({pid="1"}[5m])"#, &["write `| pid=\"1\"` behind the selector"]),
            (numbers, r#"absent_over_time({uid="root"}[5m])"#, &["values of `uid` are whole numbers"]),
            (numbers, r#"absent_over_time({way="kmsg"}[5m])"#, &["`way` is one of"]),
            (numbers, r#"absent_over_time({way="kernel", uid="0"}[5m])"#, &[]),
            (
                "",
                r#"count_over_time({unit="a.service"} | detected_level="warning" [5m])"#,
                &["Loki calls it `warn`"],
            ),
            ("", r#"count_over_time({unit="a.service"} | detected_level="warn" [5m])"#, &[]),
            (
                "",
                r#"count_over_time({unit="a.service"} | code="500" [5m])"#,
                &["no entry has the label `code` here"],
            ),
            (
                "",
                r#"count_over_time({unit="a.service"} | code>=500 | json [5m])"#,
                &["no entry has the label `code` here"],
            ),
            ("", r#"count_over_time({unit="a.service"} | json | code="500" [5m])"#, &[]),
            ("", r#"count_over_time({unit="a.service"} | pid="1" [5m])"#, &[]),
            (
                "",
                r#"count_over_time({unit="a.service"} | __journal_exe="/x" [5m])"#,
                &["a rule may name a field that journald itself writes"],
            ),
            ("", r#"count_over_time({unit="a.service"} | __journal__exe="/x" [5m])"#, &[]),
            ("", r#"count_over_time({unit="a.service"} | code!="500" [5m])"#, &[]),
        ]);
    }

    #[test]
    fn groupings_by_what_no_series_has() {
        told(&[
            (
                "",
                r#"sum by (host, source_ip) (count_over_time({unit="a.service"}[5m]))"#,
                &["no series has the label `source_ip`"],
            ),
            (
                "",
                r#"sum by (host, unti) (count_over_time({unit="a.service"}[5m]))"#,
                &["did you mean `unit`?"],
            ),
            (
                "",
                r#"sum by (host, ip) (count_over_time({unit="a.service"} | regexp "from (?P<ip>\\S+)" [5m]))"#,
                &[],
            ),
            ("", r#"sum by (host, ip) (count_over_time({unit="a.service"} | pattern "<ip> <_>" [5m]))"#, &[]),
            ("", r#"sum by (host, ip) (count_over_time({unit="a.service"} | json [5m]))"#, &[]),
            (
                "",
                r#"sum by (host, ip) (count_over_time({unit="a.service"} | json x="y" [5m]))"#,
                &["no series has the label `ip`"],
            ),
            ("", r#"sum by (host, pid) (count_over_time({unit="a.service"}[5m]))"#, &[]),
            (
                "structured_metadata: {}",
                r#"sum by (host, pid) (count_over_time({unit="a.service"}[5m]))"#,
                &["`pid`"],
            ),
            ("", r#"sum by (host, detected_level) (count_over_time({unit="a.service"}[5m]))"#, &[]),
            (
                "",
                r#"sum by (host, unit) (sum by (host) (count_over_time({unit="a.service"}[5m])))"#,
                &["no series has the label `unit`"],
            ),
            (
                "",
                r#"sum by (host, x) (label_replace(count_over_time({unit="a.service"}[5m]), "x", "$1", "unit", "(.*)"))"#,
                &[],
            ),
            ("", r#"max_over_time({unit="a.service"} | logfmt | unwrap took [5m]) by (host, route)"#, &[]),
            (
                "",
                r#"max_over_time({unit="a.service"} | unwrap took [5m]) by (host)"#,
                &["there is nothing to unwrap"],
            ),
            (
                "",
                r#"label_replace(rate({unit="a.service"}[5m]), "x", "$1", "unit", ".*[.]service")"#,
                &["`$1` is not a group of the expression"],
            ),
            ("", r#"label_replace(rate({unit="a.service"}[5m]), "x", "fixed", "unit", ".*")"#, &[]),
            (
                "labels: {relabel_configs: [{regex: '__journal_(.*)', action: labelmap}]}",
                r#"sum by (host, x) (rate({unit="a.service"}[5m]))"#,
                &[],
            ),
        ]);
    }

    #[test]
    fn thresholds_that_no_series_passes() {
        let split = "each value of `identifier` and `pid` is a series of its own";
        told(&[
            ("", r#"count_over_time({unit="a.service"} |= "closed" [15m]) > 25"#, &[split]),
            (
                "",
                r#"25 < count_over_time({unit="a.service"}[15m])"#,
                &["one of them alone will hardly pass 25"],
            ),
            (
                "",
                r#"count_over_time({unit="a.service"}[15m]) >= 2"#,
                &["`sum by (host) (count_over_time({unit=\"a.service\"}[15m]))`"],
            ),
            ("", r#"rate({unit="a.service"}[1m]) > 0.5"#, &[split]),
            ("", r#"rate({unit="a.service"}[1m]) * 60 > 10"#, &[split]),
            ("", r#"max by (host) (count_over_time({unit="a.service"}[15m])) > 25"#, &[split]),
            ("", r#"topk(3, count_over_time({unit="a.service"}[15m])) > 25"#, &[split]),
            (
                "",
                r#"count_over_time({unit="a.service"}[15m]) > 25 and count_over_time({unit="b.service"}[15m]) > 0"#,
                &[split],
            ),
            (
                "structured_metadata: {pid: _PID}",
                r#"count_over_time({unit="a.service"}[15m]) > 25"#,
                &["each value of `pid` is"],
            ),
            // One entry is enough, or they are put together, or told apart on purpose.
            ("", r#"count_over_time({unit="a.service"}[15m]) > 0"#, &[]),
            ("", r#"count_over_time({unit="a.service"}[15m]) >= 1"#, &[]),
            ("", r#"rate({unit="a.service"}[1m]) > 0"#, &[]),
            ("", r#"sum by (host) (count_over_time({unit="a.service"}[15m])) > 25"#, &[]),
            ("", r#"sum by (host, pid) (count_over_time({unit="a.service"}[15m])) > 25"#, &[]),
            ("", r#"count by (host) (count_over_time({unit="a.service"}[15m])) > 25"#, &[]),
            ("", r#"max_over_time({unit="a.service"} | logfmt | unwrap took [15m]) > 25"#, &[]),
            ("", r#"count_over_time({unit="a.service"} | keep host, unit [15m]) > 25"#, &[]),
            ("", r#"count_over_time({unit="a.service"} | drop pid, identifier [15m]) > 25"#, &[]),
            ("structured_metadata: {}", r#"count_over_time({unit="a.service"}[15m]) > 25"#, &[]),
        ]);
        let recorded = |expr: &str| lints("", expr, true);
        assert!(recorded(r#"rate({unit="a.service"}[5m])"#)[0].contains("the metric gets a new series"));
        assert_eq!(recorded(r#"sum by (host) (rate({unit="a.service"}[5m]))"#), [""; 0]);
    }

    #[test]
    fn silence_that_no_comparison_notices() {
        told(&[
            (
                "",
                r#"sum by (host) (count_over_time({unit="a.service"}[1h])) == 0"#,
                &["this is never true: to notice silence: `absent_over_time({unit=\"a.service\"}[1h])`"],
            ),
            ("", r#"sum by (host) (rate({unit="a.service"}[1h])) <= 0"#, &["`<= 0`"]),
            (
                "",
                r#"sum by (host) (count_over_time({unit="a.service"}[1h])) < 5"#,
                &["this fires when there are few entries, and not when there are none"],
            ),
            ("", r#"0 == sum by (host) (count_over_time({unit="a.service"}[1h]))"#, &["never true"]),
            (
                "",
                r#"sum by (host) (count_over_time({unit="a.service"}[1h])) < 5 or absent_over_time({unit="a.service"}[1h])"#,
                &[],
            ),
            (
                "labels: {fields: {unit: _SYSTEMD_UNIT}}",
                r#"(sum(count_over_time({unit="a.service"}[1h])) or vector(0)) < 5"#,
                &[],
            ),
            ("", r#"max by (host) (max_over_time({unit="a.service"} | logfmt | unwrap free [1h])) < 5"#, &[]),
            (
                "",
                r#"sum by (host) (count_over_time({unit="a.service"}[1h])) > bool 5"#,
                &["fires whatever the value is"],
            ),
        ]);
    }
}
