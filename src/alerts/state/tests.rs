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
        ]),
        limit: 3,
    }
}

fn states(hold: i64, keep_firing: i64) -> States {
    let mut labels = LabelSet::default();
    labels.insert("host", b"h1");
    States::new(alert(hold, keep_firing), Arc::new(Outside { labels, ..Outside::default() }))
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
    assert!(alert.annotations["bad"].starts_with("<error expanding template: "), "{:?}", alert.annotations);
    assert_eq!(states.failed_templates(), 1);
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
