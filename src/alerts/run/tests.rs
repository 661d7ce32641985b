use super::*;
use crate::alerts::file;

#[test]
fn series_of_a_recording_rule_have_its_labels_and_are_apart_and_few() {
    const SECOND: i64 = 1_000_000_000;
    for (limit, labels, units, outcome) in [
        (0, "{from: rules}", &["a", "b"][..], Ok(2)),
        (2, "{}", &["a", "b"], Ok(2)),
        (2, "{}", &["a", "b", "c"], Err("3 alerts or series, and the group's limit is 2")),
        (0, "{unit: all}", &["a", "b"], Err("two series come to the same labels {unit=\"all\"}")),
    ] {
        let rule = format!(
            "{{record: x, expr: 'sum by (unit) (count_over_time({{j=\"j\"}}[1m]))', labels: {labels}}}"
        );
        let text = format!("groups: [{{name: g, limit: {limit}, rules: [{rule}]}}]");
        let (groups, _) = file::parse(&text, "f", None).unwrap_or_else(|error| panic!("{error}"));
        let mut rules = Rules::new(&groups, Outside::default(), 60 * SECOND, 100);
        rules.advance(-1);
        for unit in units {
            let mut set = LabelSet::default();
            [("j", "j"), ("unit", unit)].iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
            rules.observe(30 * SECOND, &Arc::new(set), "line", std::iter::empty());
        }
        rules.advance(60 * SECOND);
        let rule = &rules.rules()[0];
        let Outcome::Metric(_, _, series) = &rule.outcome else { panic!("{rule:?}") };
        match outcome {
            Ok(count) => assert_eq!((series.len(), &rule.error), (count, &None), "{text}"),
            Err(why) => {
                let error = rule.error.as_ref().expect(why).to_string();
                assert!(error.starts_with(why) && series.is_empty(), "{error}");
            }
        }
    }
}

/// A rule over the limit of its group, then not any more.
#[test]
fn what_failed_is_remembered_and_the_built_in_alert_knows_the_host() {
    const MINUTE: i64 = 60_000_000_000;
    let rule = "{alert: A, expr: 'sum by (unit) (count_over_time({j=\"j\"}[1m])) > 0'}";
    let text = format!("groups: [{{name: g, limit: 1, rules: [{rule}]}}]");
    let (groups, _) = file::parse(&text, "f", None).unwrap_or_else(|error| panic!("{error}"));
    let mut rules = Rules::new(&groups, Outside::default(), MINUTE, 100);
    let mut labels = LabelSet::default();
    labels.insert("host", b"oak");
    rules.set_outside(&Outside { labels, ..Outside::default() });
    rules.advance(-1);
    for unit in ["a", "b", "c"] {
        let mut set = LabelSet::default();
        [("j", "j"), ("unit", unit)].iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
        rules.observe(MINUTE / 2, &Arc::new(set), "line", std::iter::empty());
    }
    rules.advance(MINUTE);
    let told: Vec<_> = rules.own.alerts().map(|alert| (alert.labels.to_string(), alert.value)).collect();
    let labels = format!(
        r#"{{alertname="{}", group="g", host="oak", reason="its group", rule="A", severity="warning"}}"#,
        over::ALERT
    );
    assert_eq!(told, [(labels, 3.0)]);
    rules.advance(3 * MINUTE);
    let rule = &rules.rules()[0];
    let why = rule.last_error.as_deref().unwrap_or_default();
    assert!(rule.error.is_none() && why.contains("3 alerts or series"), "{rule:?}");
}

/// Two files may each have a group of one name.
#[test]
fn groups_of_one_name_stay_apart() {
    const MINUTE: i64 = 60_000_000_000;
    let read = |interval: &str| {
        let rule = "{alert: A, expr: 'count_over_time({j=\"j\"}[1m]) > 0'}";
        let text = format!("groups: [{{name: g, interval: {interval}, rules: [{rule}, {rule}]}}]");
        file::parse(&text, "f", None).unwrap_or_else(|error| panic!("{error}")).0
    };
    let groups = [read("1m"), read("5m")].concat();
    let rules = Rules::new(&groups, Outside::default(), MINUTE, 100);
    let shown = shown::groups(rules.rules());
    let shown: Vec<_> =
        shown.iter().map(|group| (group.name.as_str(), group.interval, group.rules.len())).collect();
    assert_eq!(shown, [("g", 60.0, 2), ("g", 300.0, 2)]);
}
