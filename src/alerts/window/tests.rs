use super::*;
use logql::Expr;

const SECOND: i64 = 1_000_000_000;

fn window(text: &str, interval: i64) -> Window {
    let expr = Expr::parse(text).unwrap();
    let mut windows = Vec::new();
    expr.ranges(&mut |range, _| windows.push(Window::new(range, interval * SECOND, 2)));
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
            let within: usize = window.series.values().map(Series::bytes).sum();
            let origins: usize = window.origins.values().sum();
            assert_eq!((window.within, origins), (within, window.series.len()), "{query} {n}");
        }
        let _ = window.value_at(9000 * SECOND);
        assert_eq!((window.within, window.len(), window.origins.len()), (0, 0, 0));
        assert!(window.bytes() < 4096, "{}", window.bytes());
    }
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
fn a_series_of_endless_labels_has_no_room() {
    let mut window = window(r#"count_over_time({a="b"}[1m])"#, 60);
    let mut labels = LabelSet::default();
    for n in 0..20 {
        labels.insert(&format!("n{n}"), &[b'x'; 2000]);
    }
    window.add(&labels, (SECOND, 1.0), Origin::default);
    assert_eq!((window.len(), window.crowded()), (0, Some(Crowded::Memory)));
}
