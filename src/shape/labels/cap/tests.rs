use super::*;
use crate::shape::labels::Labels;

const HOUR: i64 = IDLE as i64;
const MINUTE: i64 = SWEEP_EVERY as i64;

fn streams(max: usize) -> Streams {
    Streams::new(Limits::new(&Labels::default(), &[], Some("retention")), max, Some("retention"))
}

/// By a sender of its own for each label set.
fn resolve<'s>(streams: &'s mut Streams, set: &Arc<LabelSet>, time: i64) -> Resolved<'s> {
    streams.resolve_for(set, time, owner(&set.to_string()))
}

fn owner(name: &str) -> Owner {
    Owner::of_test(name)
}

fn set(labels: &[(&str, &str)]) -> Arc<LabelSet> {
    let mut set = LabelSet::default();
    for (name, value) in labels {
        set.insert(name, value.as_bytes());
    }
    Arc::new(set)
}

fn unit(n: usize) -> Arc<LabelSet> {
    set(&[("host", "h"), ("job", "j"), ("level", "info"), ("retention", "7d"), ("unit", &format!("u{n}"))])
}

const OVERFLOWING: &str = r#"{host="h", job="j", overflow="true", retention="7d", service_name="overflow"}"#;

/// The text of the stream, and its number.
fn text(resolved: &Resolved<'_>) -> (String, u32) {
    (resolved.stream.labels.to_string(), resolved.stream.id)
}

#[test]
fn equal_labels_are_one_stream_and_keep_their_number() {
    let mut streams = streams(10);
    let (first, one) = text(&resolve(&mut streams, &unit(1), 0));
    assert_eq!(first, unit(1).to_string());
    let (_, two) = text(&resolve(&mut streams, &unit(2), 0));
    assert_ne!(one, two);
    assert_eq!(text(&resolve(&mut streams, &unit(1), 5 * HOUR)), (first, one));
    assert_eq!((streams.active(), *streams.totals()), (2, Changes::default()));
}

#[test]
fn past_the_cap_entries_fold_with_their_labels_moved() {
    let mut streams = streams(3);
    for n in 0..3 {
        resolve(&mut streams, &unit(n), 0);
    }
    for n in [3, 4, 3] {
        let resolved = resolve(&mut streams, &unit(n), MINUTE);
        assert_eq!(&*resolved.stream.labels, OVERFLOWING);
        let moved: Vec<_> = resolved.moved.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(moved, [("level", "info"), ("unit", &format!("u{n}"))]);
        assert_eq!(*resolved.changes, Changes { folded: 1, ..Changes::default() });
    }
    let ids: Vec<u32> = (0..5).map(|n| resolve(&mut streams, &unit(n), MINUTE).stream.id).collect();
    assert_eq!(ids, [0, 1, 2, 3, 3]);
    assert_eq!((streams.active(), streams.totals().folded), (3, 5));
}

#[test]
fn idle_streams_give_their_place_away() {
    let mut streams = streams(2);
    resolve(&mut streams, &unit(0), 0);
    let (_, kept) = text(&resolve(&mut streams, &unit(1), MINUTE));
    // The first is idle an hour after its last entry, and not before.
    assert_eq!(text(&resolve(&mut streams, &unit(2), HOUR)).0, OVERFLOWING);
    assert_eq!(text(&resolve(&mut streams, &unit(2), HOUR + MINUTE)).0, unit(2).to_string());
    assert_eq!(text(&resolve(&mut streams, &unit(1), HOUR + MINUTE)), (unit(1).to_string(), kept));
    assert_eq!(streams.active(), 2);
    // A stream that comes back counts as new, and waits for a place like any other.
    assert_eq!(text(&resolve(&mut streams, &unit(0), HOUR + MINUTE)).0, OVERFLOWING);
    let (labels, id) = text(&resolve(&mut streams, &unit(0), 3 * HOUR));
    assert_eq!(labels, unit(0).to_string());
    assert!(id > kept + 1);
}

#[test]
fn a_clock_that_was_wrong_does_not_take_places_for_ever() {
    for jump in [-1000 * HOUR, 1000 * HOUR] {
        let mut streams = streams(2);
        for n in 0..2 {
            resolve(&mut streams, &unit(n), jump);
        }
        for n in 2..4 {
            assert_eq!(text(&resolve(&mut streams, &unit(n), 0)).0, unit(n).to_string(), "{jump}");
        }
        assert_eq!(streams.active(), 2);
    }
    let mut streams = streams(1);
    for time in [i64::MIN, i64::MAX, 0, i64::MAX, i64::MIN] {
        assert_eq!(
            text(&resolve(&mut streams, &unit(time as usize % 7), time)).0,
            unit(time as usize % 7).to_string()
        );
    }
}

#[test]
fn overflow_streams_are_few_and_always_valid() {
    let mut streams = streams(1);
    resolve(&mut streams, &unit(0), 0);
    let of_host = |n: usize| set(&[("host", &format!("h{n}")), ("overflow", "mine"), ("retention", "7d")]);
    let mut seen = std::collections::HashSet::new();
    for n in 0..10 * OVERFLOW_MAX {
        let resolved = resolve(&mut streams, &of_host(n), 0);
        let in_metadata = resolved.moved.contains(&("host".to_owned(), format!("h{n}")));
        assert_eq!(in_metadata, n >= OVERFLOW_MAX);
        assert!(resolved.moved.contains(&("overflow".to_owned(), "mine".to_owned())));
        seen.insert(resolved.stream.labels.clone());
    }
    assert_eq!(seen.len(), OVERFLOW_MAX + 1);
    assert!(seen.contains(r#"{overflow="true", retention="7d", service_name="overflow"}"#));
    assert_eq!(
        &*resolve(&mut streams, &set(&[("_", "x")]), 0).stream.labels,
        r#"{overflow="true", service_name="overflow"}"#
    );
    assert_eq!(resolve(&mut streams, &set(&[("_", "x")]), 0).moved, [("label_".to_owned(), "x".to_owned())]);
}

#[test]
fn labels_are_made_to_fit_and_every_entry_counts() {
    let mut streams = streams(10);
    for _ in 0..3 {
        let resolved = resolve(&mut streams, &set(&[]), 0);
        assert_eq!(&*resolved.stream.labels, r#"{service_name="unknown_service"}"#);
        let resolved = resolve(&mut streams, &set(&[("a-b", "1"), ("a_b", "2")]), 0);
        assert_eq!(&*resolved.stream.labels, r#"{a_b="2"}"#);
        assert_eq!(resolved.moved, [("a_b".to_owned(), "1".to_owned())]);
    }
    // Another label set that becomes the same stream.
    assert_eq!(resolve(&mut streams, &set(&[("a_b", "2")]), 0).stream.id, 1);
    let expected = Changes { sanitized: 3, without_label: 3, ..Changes::default() };
    assert_eq!((streams.active(), *streams.totals()), (2, expected));
}

#[test]
fn any_number_of_label_sets_takes_bounded_memory_and_active_streams_stay() {
    let mut streams = streams(5);
    for n in 0..5 {
        resolve(&mut streams, &unit(n), 0);
    }
    let before = streams.epoch();
    for n in 5..REMEMBERED_BYTES_MIN / 200 {
        assert_eq!(&*resolve(&mut streams, &unit(n), 0).stream.labels, OVERFLOWING);
        assert!(streams.known_bytes <= REMEMBERED_BYTES_MIN + 2000);
    }
    assert_ne!(streams.epoch(), before);
    let ids: Vec<u32> = (0..5).map(|n| resolve(&mut streams, &unit(n), 0).stream.id).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);

    let long = "x".repeat(2000);
    for n in 0..2000 {
        resolve(&mut streams, &set(&[("host", "h"), ("job", &format!("{n}{long}"))]), 0);
        assert!(streams.known_bytes <= REMEMBERED_BYTES_MIN + 10_000);
    }
}

#[test]
fn a_sender_fills_its_own_share_and_no_other() {
    let max = 5000;
    let mut streams = streams(max);
    let (flooder, places) = (owner("eve"), streams.places());
    let by_flooder = |streams: &mut Streams, from: usize| {
        let folded = |n| streams.resolve_for(&unit(n), 0, flooder).changes.folded;
        (from..from + 2 * max).map(folded).sum::<u64>()
    };
    // Half of them, also on the second try and when label sets were forgotten.
    assert_eq!(by_flooder(&mut streams, 0), (2 * max - places / 2) as u64);
    assert_eq!(by_flooder(&mut streams, 2 * max), 2 * max as u64);
    let honest: Vec<_> =
        (0..1000).map(|n| set(&[("host", "h"), ("unit", &format!("s{n}.service"))])).collect();
    for set in &honest {
        assert_eq!(&*resolve(&mut streams, set, 0).stream.labels, set.to_string());
    }
    // What it had is given back when it is idle.
    for set in &honest {
        resolve(&mut streams, set, 2 * HOUR);
    }
    assert_eq!(streams.resolve_for(&unit(9 * max), 2 * HOUR, flooder).changes.folded, 0);
    assert_eq!((streams.active(), streams.shares.held(flooder)), (1001, 1));
}
