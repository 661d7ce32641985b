use super::*;
use logql::Expr;

const SECOND: i64 = 1_000_000_000;

fn window(text: &str, interval: i64) -> Window {
    let expr = Expr::parse(text).unwrap();
    let mut windows = Vec::new();
    expr.ranges(&mut |range, _| windows.push(Window::new(range, interval * SECOND, (2, 16 << 10))));
    windows.remove(0)
}

fn set(pairs: &[(&str, &str)]) -> LabelSet {
    let mut labels = LabelSet::default();
    pairs.iter().for_each(|(name, value)| labels.insert(name, value.as_bytes()));
    labels
}

#[test]
fn failures_out_of_order_are_kept_once_a_bucket_and_end_with_their_window() {
    let mut window = window(r#"count_over_time({a="b"}[2m])"#, 60);
    for n in 0..1000 {
        let point = ((90 - n % 2 * 60) * SECOND, 1.0);
        window.add(&set(&[(ERROR, "JSONParserErr")]), point, Origin::default);
    }
    assert_eq!(window.failed.len(), 2);
    assert!(window.value_at(120 * SECOND).is_err());
    assert!(window.value_at(180 * SECOND).is_err(), "that of 90 s is in (60 s, 180 s]");
    assert_eq!(window.value_at(240 * SECOND), Ok(Vec::new()));
    assert!(window.failed.is_empty());
}

#[test]
fn buckets_end_where_windows_begin_and_end() {
    let number = |query: &str, times: [i64; 6]| times.map(|time| window(query, 60).bucket(time));
    for (query, cuts, expected) in [
        (r#"rate({a="b"}[90s])"#, [0, 30, 60], [-1, 0, 0, 1, 1, 2]),
        (r#"rate({a="b"}[90s] offset 10s)"#, [20, 50, 80], [-1, 0, 0, 1, 1, 2]),
        // One cut is enough: what is even, and between them.
        (r#"rate({a="b"}[2m])"#, [0, 60, 120], [-2, 0, 0, 2, 2, 4]),
        (r#"rate({a="b"}[2m] offset -15s)"#, [15, 75, 135], [-2, 0, 0, 2, 2, 4]),
    ] {
        // The end of a bucket belongs to it, and what comes right after it to the next one.
        let [first, second, third] = cuts.map(|cut| cut * SECOND);
        let times = [first, first + 1, second, second + 1, third, third + 1];
        assert_eq!(number(query, times), expected, "{query}");
    }
}

/// Samples in two parts, the older ones first; a window is joined from both, or has them all.
#[test]
fn parts_that_can_be_joined_come_to_what_all_come_to() {
    let samples = |drawn: &[(u8, i64, f64)]| {
        let one = |(name, time, value): &(u8, i64, f64)| {
            (set(&[("n", &name.to_string())]), (time * SECOND, *value))
        };
        drawn.iter().map(one).collect::<Vec<_>>()
    };
    let drawn = [
        (1, 70, 0.5),
        (2, 75, -1.0),
        (1, 80, f64::NAN),
        (1, 110, 3.0),
        (2, 110, f64::NAN),
        (1, 119, -7.25),
        // Too old for the value, in a bucket of its own.
        (2, 10, 9.0),
    ];
    let all = samples(&drawn);
    for query in [
        r#"count_over_time({a="b"}[1m])"#,
        r#"rate({a="b"}[1m])"#,
        r#"bytes_rate({a="b"}[1m])"#,
        r#"bytes_over_time({a="b"}[1m])"#,
        r#"absent_over_time({a="b"}[1m])"#,
        r#"min_over_time({a="b"} | unwrap c [1m])"#,
        r#"max_over_time({a="b"} | unwrap c [1m])"#,
    ] {
        let of = |samples: &[(LabelSet, Point)]| {
            let mut window = window(query, 120);
            samples.iter().for_each(|(labels, point)| window.add(labels, *point, Origin::default));
            window
        };
        for at in 0..=all.len() {
            let (mut joined, mut whole) = (of(&all[..at]), of(&all));
            assert!(joined.joins() && joined.join(of(&all[at..])), "{query}");
            assert_eq!(
                (joined.len(), joined.origins.len()),
                (whole.len(), whole.origins.len()),
                "{query} {at}"
            );
            let [joined, whole] =
                [&mut joined, &mut whole].map(|window| format!("{:?}", window.value_at(120 * SECOND)));
            assert_eq!(joined, whole, "{query}, the first {at}");
        }
    }
}

#[test]
fn what_is_not_exact_in_parts_is_not_joined() {
    for query in [
        r#"rate({a="b"} | unwrap c [1m])"#,
        r#"sum_over_time({a="b"} | unwrap c [1m])"#,
        r#"avg_over_time({a="b"} | unwrap c [1m])"#,
        r#"stddev_over_time({a="b"} | unwrap c [1m])"#,
        r#"first_over_time({a="b"} | unwrap c [1m])"#,
        r#"last_over_time({a="b"} | unwrap c [1m])"#,
        r#"quantile_over_time(0.5, {a="b"} | unwrap c [1m])"#,
    ] {
        assert!(!window(query, 60).joins(), "{query}");
    }
    // A part that has left something out, or has more series together than there may be: as the window of this test has it, two.
    let of = |names: &[&str]| {
        let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
        names.iter().for_each(|name| window.add(&set(&[("n", name)]), (SECOND, 1.0), Origin::default));
        window
    };
    let failed = || {
        let mut window = of(&[]);
        window.add(&set(&[(ERROR, "JSONParserErr")]), (SECOND, 1.0), Origin::default);
        window
    };
    assert!(of(&["1"]).join(of(&["1", "2"])));
    assert!(!of(&["1"]).join(of(&["2", "3"])));
    assert!(!of(&["1"]).join(of(&["1", "2", "3"])), "one was refused");
    assert!(!of(&["1"]).join(failed()) && !failed().join(of(&["1"])));
}

#[test]
fn a_window_reaches_back_to_its_oldest_entry() {
    for (query, seconds) in [
        (r#"rate({a="b"}[90s])"#, 90),
        (r#"rate({a="b"}[90s] offset 10s)"#, 100),
        (r#"rate({a="b"}[90s] offset -10s)"#, 90),
    ] {
        assert_eq!(window(query, 60).reach(), seconds * SECOND, "{query}");
    }
}

#[test]
fn what_is_absent_has_the_labels_that_were_asked_for() {
    for (selector, labels) in [
        (r#"{a="b", c="d"}"#, &[("a", "b"), ("c", "d")][..]),
        (r#"{a="b", c=~"d", e!="f", g!~"h"}"#, &[("a", "b")]),
        (r#"{a="b", c="d", c="e"}"#, &[("a", "b")]),
        (r#"{a="b", c="d", c!="e"}"#, &[("a", "b")]),
    ] {
        let mut window = window(&format!("absent_over_time({selector}[1m])"), 60);
        let absent = Sample { labels: Arc::new(set(labels)), value: 1.0 };
        assert_eq!(window.value_at(60 * SECOND), Ok(vec![absent]), "{selector}");
        add(&mut window, "there", 90 * SECOND, "u");
        assert_eq!(window.value_at(120 * SECOND), Ok(Vec::new()), "{selector}");
    }
}

fn add(window: &mut Window, n: &str, time: i64, origin: &str) {
    window.add(&set(&[("n", n)]), (time, 1.0), || Origin::of_stream(&set(&[("unit", origin)])));
}

/// The values of the label that tells series apart.
fn names(window: &mut Window, time: i64) -> Vec<String> {
    let vector = window.value_at(time).unwrap();
    vector.iter().map(|sample| sample.labels.get("n").unwrap_or_default().to_owned()).collect()
}

#[test]
fn too_many_series_of_one_origin_are_those_that_came_first() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    for n in 0..5 {
        add(&mut window, &n.to_string(), 30 * SECOND, "u");
    }
    assert_eq!((window.len(), window.refused()), (2, 3));
    assert_eq!(names(&mut window, 60 * SECOND), ["0", "1"]);
    assert_eq!(window.crowded(), Some(Crowded::Series(2)));
    add(&mut window, "9", 90 * SECOND, "u");
    assert_eq!(names(&mut window, 120 * SECOND), ["9"]);
    assert_eq!(window.crowded(), None, "what had no room is over");
}

#[test]
fn an_origin_that_fills_a_window_gives_way_to_others() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    window.series_max = 4;
    for n in 0..100 {
        add(&mut window, &format!("flood{n}"), 30 * SECOND, "user@1000.service");
    }
    add(&mut window, "true", 31 * SECOND, "init.scope");
    add(&mut window, "too", 31 * SECOND, "init.scope");
    for n in 100..200 {
        add(&mut window, &format!("flood{n}"), 32 * SECOND, "user@1000.service");
    }
    add(&mut window, "three", 33 * SECOND, "init.scope");
    assert_eq!(names(&mut window, 60 * SECOND), ["flood0", "flood1", "true", "too"], "half for each");
    assert_eq!(window.refused(), 96 + 2 + 100 + 1);
}

#[test]
fn an_origin_gets_no_place_that_makes_it_the_largest() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    window.series_max = 3;
    for (n, origin) in [("1", "x"), ("2", "x"), ("3", "x"), ("4", "y"), ("5", "y")] {
        add(&mut window, n, 30 * SECOND, origin);
    }
    assert_eq!(names(&mut window, 60 * SECOND), ["1", "2", "4"]);
}

#[test]
fn what_had_no_room_is_told_until_the_last_of_it_is_over() {
    for times in [[30, 90], [90, 30]] {
        let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
        window.series_max = 1;
        for time in times {
            add(&mut window, "there", time * SECOND, "u");
            add(&mut window, "not", time * SECOND, "u");
        }
        for (time, crowded) in [(60, true), (120, true), (180, false)] {
            assert_eq!(names(&mut window, time * SECOND).len(), usize::from(time < 180));
            assert_eq!(window.crowded().is_some(), crowded, "{times:?} at {time}");
        }
    }
}

#[test]
fn what_is_held_is_what_is_counted_and_nothing_when_it_is_over() {
    for query in ["count_over_time({a=\"b\"}[5m])", "quantile_over_time(0.5, {a=\"b\"} | unwrap c [5m])"] {
        let mut window = window(query, 60);
        window.series_max = 1000;
        for n in 0..5000_i64 {
            add(&mut window, &(n % 700).to_string(), n * SECOND, if n % 3 == 0 { "x" } else { "y" });
            if n % 60 == 59 {
                let _ = window.value_at(n * SECOND);
            }
            if n % 97 == 96 {
                window.give_way(n * SECOND);
            }
            // A series that is always there, and grows.
            add(&mut window, "always", n * SECOND, "z");
            let within: usize = window.series.values().map(Series::bytes).sum();
            let origins: usize = window.origins.values().sum();
            assert_eq!((window.within, origins), (within, window.series.len()), "{query} {n}");
            let told = window.bytes();
            window.count();
            assert_eq!(window.bytes(), told, "{query} {n}");
            let texts: usize = window.series.keys().map(|labels| labels.allocated().0).sum();
            let pairs = window.series.capacity() * size_of::<(usize, Arc<LabelSet>, Series)>();
            let place = size_of::<usize>() + 1;
            let pairs = pairs + window.series.capacity() * place;
            let origins = window.origins.capacity() * (size_of::<(Origin, usize)>() + 1);
            let least = within.max(texts) + pairs + origins;
            assert!((least..2 * least + 1024).contains(&told), "{told} of at least {least}");
        }
        let _ = window.value_at(9000 * SECOND);
        assert_eq!((window.within, window.len(), window.origins.len()), (0, 0, 0));
        assert!(window.bytes() < 4096, "{}", window.bytes());
    }
}

#[test]
fn tables_that_were_large_are_given_back() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    window.series_max = 1000;
    for n in 0..1000 {
        add(&mut window, &n.to_string(), 30 * SECOND, &format!("{n}.service"));
    }
    assert!(window.bytes() > 100_000, "{}", window.bytes());
    assert_eq!(names(&mut window, 60 * SECOND).len(), 1000);
    add(&mut window, "last", 90 * SECOND, "u");
    assert_eq!(window.origin(&set(&[("n", "last")])), Some(Origin::of_stream(&set(&[("unit", "u")]))));
    assert_eq!(window.origin(&set(&[("n", "0")])), None, "it is over");
    assert_eq!(names(&mut window, 120 * SECOND), ["last"]);
    assert!(window.bytes() < 4096, "{}", window.bytes());
}

#[test]
fn a_window_that_cannot_hold_one_series_is_an_error_until_it_is_over() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    add(&mut window, "1", 30 * SECOND, "u");
    assert!(window.give_way(30 * SECOND));
    assert!(!window.give_way(30 * SECOND), "there is nothing left");
    add(&mut window, "1", 31 * SECOND, "u");
    assert_eq!(window.value_at(60 * SECOND), Err(EvalError::NoRoom));
    assert_eq!(window.value_at(120 * SECOND), Ok(Vec::new()));
}

#[test]
fn a_window_that_loses_one_of_two_series_still_has_a_value() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    add(&mut window, "1", 30 * SECOND, "u");
    add(&mut window, "2", 30 * SECOND, "u");
    assert!(window.give_way(30 * SECOND));
    assert_eq!(names(&mut window, 60 * SECOND), ["1"]);
    assert_eq!(window.crowded(), Some(Crowded::Memory));
}

#[test]
fn a_series_of_endless_labels_has_no_room() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    let mut labels = LabelSet::default();
    for n in 0..20 {
        labels.insert(&format!("n{n}"), &[b'x'; 2000]);
    }
    window.add(&labels, (SECOND, 1.0), Origin::default);
    assert_eq!((window.len(), window.crowded()), (0, Some(Crowded::Memory)));
}
