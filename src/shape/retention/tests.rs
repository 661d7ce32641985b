use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const NOON: i64 = 1_764_000_000_000_000_000;

fn rule(selector: &str) -> RetentionRule {
    RetentionRule { selector: selector.parse().unwrap(), keep: None, sample: None, drop: false }
}

/// One rule of each kind: 0 drops, 1 keeps for a day, and none of its sample, 2 keeps for two days.
fn section() -> Retention {
    let rules = vec![
        RetentionRule { drop: true, ..rule(r#"{unit="a"} |= "noise""#) },
        RetentionRule { keep: Some(DAY), sample: Some(0.0), ..rule(r#"{unit="a"}"#) },
        RetentionRule { keep: Some(2 * DAY), ..rule(r#"{unit=~"a|b"} |= "x""#) },
    ];
    Retention { label: Some("class".to_owned()), default: 7 * DAY, rules }
}

fn labels(unit: &str) -> LabelSet {
    let mut labels = LabelSet::default();
    labels.insert("unit", unit.as_bytes());
    labels
}

/// The cursor of some entry, and its number for samples.
fn cursor() -> (Cursor, f64) {
    let cursor = Cursor { realtime: 1, ..Cursor::default() };
    (cursor, sample::share(&cursor))
}

#[test]
fn the_first_rule_that_matches_decides() {
    let judge = Judge::new(&section());
    for (unit, line, candidates, decides) in [
        ("a", "noise", &[0, 1][..], 0),
        // Rule 1 looks at no line, so rule 2 is never asked.
        ("a", "x", &[0, 1], 1),
        ("b", "x", &[2, 3], 2),
        ("b", "noise", &[2, 3], 3),
        ("c", "noise x", &[3], 3),
    ] {
        let found = judge.candidates(&labels(unit));
        assert_eq!((&*found, judge.rule(&found, line)), (candidates, decides), "{unit}: {line}");
    }
}

#[test]
fn a_rule_has_a_class_and_a_name() {
    let judge = Judge::new(&section());
    assert_eq!(judge.label(), Some("class"));
    for (rule, class, drops, name) in [
        (0, "7d", true, r#"retention rule 1 {unit="a"} |= "noise""#),
        (1, "1d", false, r#"retention rule 2 {unit="a"}"#),
        (3, "7d", false, "retention default"),
    ] {
        assert_eq!((judge.class(rule), judge.drops(rule), judge.name(rule)), (class, drops, name.to_owned()));
    }
    assert_eq!(Judge::new(&Retention { label: None, ..section() }).label(), None);
}

#[test]
fn an_entry_expires_once_it_is_older_than_its_rule_allows() {
    let (mut judge, (cursor, _)) = (Judge::new(&section()), cursor());
    for (rule, kept) in [(2, 2 * DAY), (3, 7 * DAY)] {
        let oldest = NOON - kept.as_nanos() as i64;
        for (time, verdict) in [
            (NOON + 1, Verdict::Keep),
            (oldest + 1, Verdict::Keep),
            (oldest, Verdict::Keep),
            (oldest - 1, Verdict::Expired),
            (i64::MIN, Verdict::Expired),
        ] {
            assert_eq!(judge.judge(rule, &cursor, time, NOON), verdict, "rule {rule}, {}", time - oldest);
        }
    }
}

#[test]
fn an_entry_is_in_the_sample_if_its_number_is_below_the_share() {
    let (cursor, number) = cursor();
    for (share, verdict) in [
        (0.0, Verdict::Sampled),
        (number, Verdict::Sampled),
        (number.next_up(), Verdict::Keep),
        (1.0, Verdict::Keep),
    ] {
        let rules = vec![RetentionRule { sample: Some(share), ..rule(r#"{unit="a"}"#) }];
        let mut judge = Judge::new(&Retention { rules, ..section() });
        assert_eq!(judge.judge(0, &cursor, NOON, NOON), verdict, "{number} of {share}");
    }
}

#[test]
fn what_became_of_entries_is_counted_by_rule() {
    let (mut judge, (cursor, _)) = (Judge::new(&section()), cursor());
    for _ in 0..2 {
        // A rule that drops does so whatever the age.
        for (rule, time) in [(0, NOON), (0, 0), (1, NOON), (2, NOON), (2, 0), (3, NOON), (4, NOON)] {
            if judge.judge(rule, &cursor, time, NOON) == Verdict::Keep {
                judge.count_bytes(rule, "line");
            }
        }
    }
    let none = Counts::default();
    let kept = Counts { kept: 2, bytes: 8, ..none };
    assert_eq!(
        judge.counts(),
        [Counts { dropped: 4, ..none }, Counts { sampled: 2, ..none }, Counts { expired: 2, ..kept }, kept],
        "there is no rule 4"
    );
}

#[test]
fn loki_is_told_of_each_class_or_of_each_rule() {
    let stream = |selector: &str, priority, days| (selector.to_owned(), priority, days * DAY);
    let kept = |days, selector| RetentionRule { keep: Some(days * DAY), ..rule(selector) };
    let rules = vec![
        kept(3, r#"{a="b"}"#),
        kept(9, r#"{a="c"} |= "x""#),
        RetentionRule { drop: true, ..kept(5, r#"{a="d"}"#) },
        RetentionRule { sample: Some(0.1), ..rule(r#"{a="e"}"#) },
        kept(3, r#"{a="f"}"#),
    ];
    for (label, expected) in [
        (
            Some("class"),
            vec![
                stream(r#"{class="3d"}"#, 1, 3),
                stream(r#"{class="7d"}"#, 1, 7),
                stream(r#"{class="9d"}"#, 1, 9),
            ],
        ),
        // Loki cannot look at lines, and dropped entries never come to it. The first rule is the most important one.
        (None, vec![stream(r#"{a="b"}"#, 3, 3), stream(r#"{a="e"}"#, 2, 7), stream(r#"{a="f"}"#, 1, 3)]),
    ] {
        let section = Retention { label: label.map(str::to_owned), rules: rules.clone(), ..section() };
        assert_eq!(streams(&section), expected, "{label:?}");
    }
}

#[test]
fn the_yaml_for_loki_says_what_the_json_says() {
    for (label, rules, streams) in [
        (Some("class"), section().rules, 3),
        (None, vec![RetentionRule { keep: Some(DAY / 2), ..rule(r#"{a="it's"}"#) }], 1),
        (None, Vec::new(), 0),
    ] {
        let config = LokiConfig::new(&Retention { label: label.map(str::to_owned), rules, ..section() });
        let json: serde_json::Value = serde_json::from_str(&config.json()).unwrap();
        let mut yaml: serde_json::Value = serde_saphyr::from_str(&config.yaml()).unwrap();
        if streams == 0 {
            // JSON is for merging: its list is there even if it is empty.
            assert!(!config.yaml().contains("retention_stream"), "{}", config.yaml());
            yaml["limits_config"]["retention_stream"] = serde_json::json!([]);
        }
        assert_eq!(yaml, json);
        let limits = &json["limits_config"];
        assert_eq!(limits["retention_period"], "7d");
        assert_eq!(limits["retention_stream"].as_array().map(Vec::len), Some(streams));
        if let Some(shortest) = limits["retention_stream"].get(0) {
            assert_eq!(shortest["period"], "1d", "Loki keeps nothing for less than a day");
        }
    }
}

#[test]
fn a_rule_needs_the_label_if_it_keeps_some_lines_of_a_stream() {
    let [whole, some] = [r#"{a="b"}"#, r#"{a="b"} |= "x""#].map(rule);
    let kept = |rule: &RetentionRule| RetentionRule { keep: Some(DAY), ..rule.clone() };
    for (rule, needs) in [(&kept(&some), true), (&kept(&whole), false), (&some, false), (&whole, false)] {
        assert_eq!(needs_label(rule), needs, "{rule:?}");
    }
}
