use super::*;
use logql::vectors::Sample;

const MINUTE: i64 = 60_000_000_000;

fn alert(hold: i64, keep_firing: i64) -> Alert {
    let of = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), template(text).unwrap())).collect()
    };
    Alert {
        name: "A".to_owned(),
        hold: hold * MINUTE,
        keep_firing: keep_firing * MINUTE,
        labels: of(&[("severity", "warning"), ("of", "{{ $labels.unit }}")]),
        annotations: of(&[
            ("summary", "{{ $value }} on {{ .ExternalLabels.host }}"),
            ("bad", "{{ humanize .Labels.unit }}"),
            ("dot", "{{ .Labels.unit }} {{ .Value }} {{ .ExternalURL }}"),
        ]),
        limit: 3,
    }
}

fn states(hold: i64, keep_firing: i64) -> States {
    let mut labels = LabelSet::default();
    labels.insert("host", b"h1");
    let outside = Outside { labels, url: "http://grafana".into(), ..Outside::default() };
    States::new(alert(hold, keep_firing), Arc::new(outside))
}

fn vector(units: &[&str]) -> Result<Vector, EvalError> {
    let sample = |unit: &&str| {
        let mut labels = LabelSet::default();
        labels.insert("unit", unit.as_bytes());
        Sample { labels: Arc::new(labels), value: 7.0 }
    };
    Ok(units.iter().map(sample).collect())
}

/// The states after evaluations a minute apart: a letter for each alert.
fn timeline(states: &mut States, there: &str) -> String {
    let mut shown = String::new();
    for (minute, there) in there.chars().enumerate() {
        let units: &[&str] = if there == '#' { &["u"] } else { &[] };
        states.update(minute as i64 * MINUTE, vector(units), usize::MAX).unwrap();
        shown.push(match states.active().next().map(|alert| alert.state) {
            None => '.',
            Some(State::Inactive) => 'r',
            Some(State::Pending) => 'p',
            Some(State::Firing) => 'F',
        });
    }
    shown
}

#[test]
fn states_follow_the_series() {
    for (hold, keep, there, expected) in [
        (0, 0, "..##..", "..FFrr"),
        (2, 0, "#.####..", "p.ppFFrr"),
        (2, 0, "##.##.", "pp.pp."),
        (1, 2, "##.#...", "pFFFFFr"),
        (1, 2, "##....#", "pFFFrrp"),
        // Only what fires goes on firing.
        (2, 2, "#..", "p.."),
        (0, 0, "#.#", "FrF"),
        (0, 0, "#................", "Frrrrrrrrrrrrrrrr"),
        (0, 0, "#.................", "Frrrrrrrrrrrrrrrr."),
    ] {
        assert_eq!(timeline(&mut states(hold, keep), there), expected, "for {hold}m, keep {keep}m: {there}");
    }
}

#[test]
fn an_alert_has_its_labels_and_annotations() {
    let mut states = states(0, 0);
    states.update(0, vector(&["u"]), usize::MAX).unwrap();
    let alert = states.active().next().unwrap();
    assert_eq!(
        alert.labels.to_string(),
        r#"{alertname="A", host="h1", of="u", severity="warning", unit="u"}"#
    );
    assert_eq!(alert.annotations["summary"], "7 on h1");
    assert_eq!(alert.annotations["dot"], "u 7 http://grafana");
    assert!(alert.annotations["bad"].starts_with("<error expanding template: "), "{:?}", alert.annotations);
    assert_eq!((states.failed_templates(), states.evaluated_at()), (1, Some(0)));
    states.update(MINUTE, vector(&["u", "v"]), usize::MAX).unwrap();
    assert_eq!((states.failed_templates(), states.evaluated_at()), (3, Some(MINUTE)));
    let error = states.template_error().unwrap();
    assert!(error.starts_with("`bad`: "), "{error}");
}

#[test]
fn errors_leave_states_alone_and_a_limit_clears_them() {
    let mut states = states(0, 0);
    states.update(0, vector(&["a", "b", "c"]), usize::MAX).unwrap();
    assert_eq!(
        states.update(MINUTE, vector(&["a", "a"]), usize::MAX).unwrap_err().to_string().split(' ').next(),
        Some("two")
    );
    let error = states.update(2 * MINUTE, Err(EvalError::NoRoom), usize::MAX).unwrap_err();
    assert_eq!(error, RuleError::NoRoom);
    assert!(error.to_string().contains("`alerts.max_memory`"), "{error}");
    assert_eq!(states.active().count(), 3);
    assert_eq!(
        states.update(3 * MINUTE, vector(&["a", "b", "c", "d"]), usize::MAX),
        Err(RuleError::Limit(4, 3))
    );
    assert_eq!(states.active().count(), 0);
}

#[test]
fn what_is_told_and_when() {
    let mut states = states(1, 0);
    let mut told = Vec::new();
    for minute in 0..=24 {
        let time = minute * MINUTE;
        states.update(time, vector(if minute < 6 { &["u"] } else { &[] }), usize::MAX).unwrap();
        for notice in states.notices(time, MINUTE, 2 * MINUTE) {
            told.push((minute, notice.resolved, notice.starts_at / MINUTE, notice.ends_at / MINUTE));
        }
    }
    let resolved = [6, 8, 10, 12, 14, 16, 18, 20].map(|minute| (minute, true, 1, 6));
    let firing = [(1, false, 1, 9), (3, false, 1, 11), (5, false, 1, 13)];
    assert_eq!(told, [firing.as_slice(), resolved.as_slice()].concat());
}

#[test]
fn a_limit_counts_what_has_no_room_and_zero_is_none() {
    for (limit, room, expected) in [
        (3, usize::MAX, Err(RuleError::Limit(4, 3))),
        (3, 0, Err(RuleError::Limit(4, 3))),
        (4, usize::MAX, Ok(0)),
        (0, usize::MAX, Ok(0)),
        (0, 0, Ok(4)),
    ] {
        let mut states = States::new(Alert { limit, ..alert(0, 0) }, Arc::default());
        assert_eq!(states.update(0, vector(&["a", "b", "c", "d"]), room), expected, "{limit} {room}");
    }
}

/// The values of the label that tells series apart.
fn units(states: &States) -> Vec<&str> {
    states.active().map(|alert| alert.labels.get("unit").unwrap_or_default()).collect()
}

#[test]
fn the_last_series_are_left_out_if_there_is_no_room() {
    let long = "x".repeat(2_000);
    for all in [&["a", "b", "c"][..], &["a"], &["a", &long]] {
        let mut free = states(0, 0);
        free.update(0, vector(all), usize::MAX).unwrap();
        let needed = free.bytes();
        let text = |alert: &Active| {
            let annotations = alert.annotations.iter().map(|(name, text)| name.len() + text.len());
            2 * alert.labels.to_string().len() + annotations.sum::<usize>()
        };
        let least: usize = free.active().map(text).sum();
        assert!((least..10 * least + 4096).contains(&needed), "{needed} for {least} bytes of text");
        for (room, there) in [(needed, all), (needed - 1, &all[..all.len() - 1]), (0, &[])] {
            let mut states = states(0, 0);
            let refused = all.len() - there.len();
            assert_eq!(states.update(0, vector(all), room), Ok(refused), "{room} of {needed}");
            assert_eq!(units(&states), there);
            assert!(states.bytes() <= room);
        }
    }
}

#[test]
fn what_was_resolved_first_gives_way() {
    let history = |room| {
        let mut states = states(0, 0);
        for (minute, unit) in (0..).zip(["b", "a", "c"]) {
            states.update(minute * MINUTE, vector(&[unit]), usize::MAX).unwrap();
        }
        let before = states.bytes();
        states.update(3 * MINUTE, vector(&["c"]), room).unwrap();
        (before, states)
    };
    let (all, _) = history(usize::MAX);
    let mut alone = states(0, 0);
    alone.update(0, vector(&["c"]), usize::MAX).unwrap();
    for (room, there) in [(all, &["a", "b", "c"][..]), (all - 1, &["a", "c"]), (alone.bytes(), &["c"])] {
        let (_, kept) = history(room);
        assert_eq!(units(&kept), there, "{room} of {all}");
        assert!(kept.bytes() <= room, "{} of {room}", kept.bytes());
        // What is left is counted as if nothing else had been there.
        let mut again = states(0, 0);
        again.restore(kept.active().cloned().collect(), 3 * MINUTE, usize::MAX);
        assert_eq!((units(&again), again.bytes()), (units(&kept), kept.bytes()));
        assert_eq!(again.update(3 * MINUTE, vector(&["new"]), usize::MAX), Ok(0));
        assert_eq!(units(&again), there, "evaluations up to then were made");
    }
}

#[test]
fn a_notice_takes_what_its_texts_take() {
    let mut states = states(0, 0);
    states.update(0, vector(&["u"]), usize::MAX).unwrap();
    let mut notice = states.notices(0, MINUTE, MINUTE).remove(0);
    let short = notice.bytes();
    // A list that grows may have twice the places that it needs.
    let places = 2 * size_of::<(Arc<LabelSet>, Notice)>();
    assert!((places..4096).contains(&short), "{short}");
    notice.annotations = Arc::new(BTreeMap::from([("long".to_owned(), "x".repeat(10_000))]));
    assert!((10_000..10_000 + short).contains(&notice.bytes()), "{}", notice.bytes());
}

#[test]
fn what_is_known_from_outside_may_change() {
    let mut states = states(2, 0);
    assert_eq!(states.hold(), 2 * MINUTE);
    let mut labels = LabelSet::default();
    labels.insert("host", b"h2");
    states.set_outside(Arc::new(Outside { labels, ..Outside::default() }));
    states.update(0, vector(&["u"]), usize::MAX).unwrap();
    assert_eq!(states.active().next().and_then(|alert| alert.labels.get("host")), Some("h2"));
}
