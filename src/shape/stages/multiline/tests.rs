use super::super::Chain;
use super::super::testing::{item, one_stage, parse, refusal};
use super::*;
use proptest::prelude::*;

/// Runs lines `(unit, milliseconds, text)` and returns what comes out, with its time, then what is held at the
/// end.
fn run(stage: &mut dyn Stage, lines: &[(&str, i64, &str)]) -> (Vec<(i64, String)>, usize) {
    let mut out = Vec::new();
    for (number, (unit, ms, text)) in lines.iter().enumerate() {
        let mut item = item(text, &[("unit", unit)]);
        item.timestamp_ns = ms * 1_000_000;
        item.cursor.seqnum = number as u64 + 1;
        item.cursor.realtime = u64::try_from(*ms).unwrap() * 1000;
        if stage.run(&mut item, &mut Context::default()) == Flow::Next {
            out.push((item.timestamp_ns / 1_000_000, item.line));
        }
    }
    let mut held = Vec::new();
    stage.held(&mut held);
    (out, held.len())
}

fn expect(out: &[(i64, &str)]) -> Vec<(i64, String)> {
    out.iter().map(|(ms, line)| (*ms, (*line).to_owned())).collect()
}

const STAGE: &str = "multiline: {firstline: '^E', max_wait_time: 1s, max_lines: 3}";

#[test]
fn blocks_end_where_promtails_do() {
    for (lines, out, held) in [
        (&[("u", 0, "x"), ("u", 1, "y")][..], &[(0, "x"), (1, "y")][..], 0),
        (&[("u", 0, "E1"), ("u", 1, "a"), ("u", 2, "E2")], &[(0, "E1\na")], 1),
        (
            &[("u", 0, "E1"), ("u", 1, "a"), ("u", 2, "b"), ("u", 3, "c"), ("u", 4, "E2")],
            &[(0, "E1\na\nb"), (0, "c")],
            1,
        ),
        (&[("u", 0, "E1"), ("u", 5000, "a"), ("u", 5001, "E2")], &[(0, "E1"), (0, "a")], 1),
        (&[("u", 0, "E1"), ("v", 1, "a"), ("u", 2, "b"), ("u", 3, "E2")], &[(1, "a"), (0, "E1\nb")], 1),
        (&[("u", 0, "E1"), ("u", 900, "a"), ("u", 1800, "b")], &[(0, "E1\na\nb")], 0),
    ] {
        let mut stage = one_stage(STAGE);
        assert_eq!(run(&mut *stage, lines), (expect(out), held), "{lines:?}");
    }
}

#[test]
fn what_is_held_is_released_by_the_clock() {
    let mut stage = one_stage(STAGE);
    assert_eq!(run(&mut *stage, &[("u", 0, "E1"), ("u", 10, "a"), ("v", 5, "E2")]).1, 3);
    let at = |ms: i64| Context { now_ns: ms * 1_000_000, ..Context::default() };
    assert!(stage.release(&mut at(900)).is_none());
    assert_eq!(stage.release(&mut at(1008)).unwrap().line, "E2");
    assert!(stage.release(&mut at(1008)).is_none());
    let released = stage.release(&mut at(1011)).unwrap();
    assert_eq!((released.line.as_str(), released.cursor.seqnum), ("E1\na", 1));
    let mut held = Vec::new();
    stage.held(&mut held);
    assert!(held.is_empty());
}

/// Each line that is held stands in the checkpoint with its cursor, and each first line brings its metadata.
#[test]
fn what_is_held_is_bounded_in_lines_and_metadata() {
    for (line, metadata) in [("", 0), ("x", 0), ("x", 200_000)] {
        let mut stage = one_stage("multiline: {firstline: '^E', max_lines: 0}");
        let (mut held, mut metadata_held) = (Vec::new(), 0);
        for n in 0..60_000_u64 {
            let unit = format!("unit{}", n % 100);
            let mut item = item(if n < 100 { "E" } else { line }, &[("unit", &unit)]);
            (item.cursor.seqnum, item.cursor.realtime) = (n + 1, n);
            if n < 100 {
                item.metadata.push(("identifier".to_owned(), "i".repeat(metadata)));
                metadata_held += metadata;
            }
            if stage.run(&mut item, &mut Context::default()) == Flow::Next {
                metadata_held = metadata_held.saturating_sub(metadata);
            }
            held.clear();
            if n % 1000 == 999 {
                stage.held(&mut held);
            }
            assert!(held.len() * LINE_COST <= HELD_MAX, "{} lines of {line:?}", held.len());
        }
        assert!(metadata_held <= HELD_MAX, "{metadata_held}");
    }
}

#[test]
fn a_block_is_what_promtail_made_of_it() {
    // Times, texts and blocks as Promtail 3.6.9 had them, which read all of it within its `max_wait_time`; by the
    // entries' own times that takes one of more than an hour.
    let lines = [
        ("notice", 11_239, "ERROR upper"),
        ("crit", 14_931, "Error mixed"),
        ("crit", 29_435, "ERROR upper"),
        ("debug", 67_274, "naïve café – ☕"),
        ("notice", 68_004, "Error mixed"),
        ("notice", 150_586, "ERROR upper"),
        ("debug", 153_703, "ERROR upper"),
        ("crit", 164_557, "naïve café – ☕"),
        ("crit", 202_634, "ERROR upper"),
        ("notice", 232_031, "Error mixed"),
        ("notice", 248_854, "Error mixed"),
        ("notice", 282_439, "multi word  double space"),
        ("notice", 291_507, "Error mixed"),
    ];
    let whole = [
        (14_931, "Error mixed"),
        (11_239, "ERROR upper\nError mixed"),
        (67_274, "naïve café – ☕"),
        (29_435, "ERROR upper"),
        (164_557, "naïve café – ☕"),
        (150_586, "ERROR upper\nError mixed\nError mixed\nmulti word  double space"),
    ];
    let stage = |wait| {
        let stage =
            format!("multiline: {{firstline: '^(ERROR|naïve)', max_wait_time: {wait}, max_lines: 4}}");
        one_stage(&stage)
    };
    // Held: a block of `crit`, one of `debug`, and what follows the full one of `notice`.
    assert_eq!(run(&mut *stage("1h"), &lines), (expect(&whole), 3));
    let split = [
        (14_931, "Error mixed"),
        (11_239, "ERROR upper"),
        (11_239, "Error mixed"),
        (67_274, "naïve café – ☕"),
        (29_435, "ERROR upper"),
        (164_557, "naïve café – ☕"),
        (150_586, "ERROR upper"),
        (150_586, "Error mixed"),
        (150_586, "Error mixed"),
        (150_586, "multi word  double space"),
    ];
    assert_eq!(run(&mut *stage("3s"), &lines), (expect(&split), 3));
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_for_ever() {
    const HOUR: i64 = 3_600_000;
    let mut stage = one_stage(STAGE);
    run(&mut *stage, &[("u", 10 * HOUR, "E1"), ("v", 2 * HOUR, "E2")]);
    let mut context = Context { now_ns: 2 * HOUR * 1_000_000, ..Context::default() };
    assert_eq!(stage.release(&mut context).unwrap().line, "E1");
    assert!(stage.release(&mut context).is_none());
}

#[test]
fn a_block_of_empty_lines_does_not_keep_others_from_their_release() {
    let mut stage = one_stage("multiline: {firstline: '^(E|$)'}");
    assert_eq!(run(&mut *stage, &[("u", 0, ""), ("u", 0, ""), ("v", 1, "E1")]).1, 2);
    let mut context = Context { now_ns: i64::MAX, ..Context::default() };
    assert_eq!(stage.release(&mut context).unwrap().line, "E1");
    assert!(stage.release(&mut context).is_none());
}

#[test]
fn no_block_is_longer_than_a_line_may_be() {
    let mut stage = one_stage("multiline: {firstline: '^E', max_lines: 0}");
    let (half, whole) = ("y".repeat(LINE_MAX / 2), "z".repeat(LINE_MAX));
    let lines =
        [("u", 0, "E"), ("u", 1, &half), ("u", 2, &half), ("u", 3, "a"), ("u", 4, &whole), ("u", 5, "b")];
    let (out, held) = run(&mut *stage, &lines);
    let expected = [format!("E\n{half}"), format!("{half}\na"), whole.clone()];
    assert_eq!(held, 1);
    assert!(out.iter().map(|(_, line)| line).eq(&expected), "nothing is cut, nothing is missing");
}

#[test]
fn a_block_of_one_line_goes_on_at_once() {
    let mut stage = one_stage("multiline: {firstline: '^E', max_lines: 1}");
    assert_eq!(run(&mut *stage, &[("u", 0, "E1"), ("u", 1, "E2")]).0, expect(&[(0, "E1"), (1, "E2")]));
}

#[test]
fn label_sets_are_bounded_and_the_quietest_makes_room() {
    let mut stage = one_stage("multiline: {firstline: '^E', max_wait_time: 1h}");
    let units: Vec<String> = (0..BLOCKS_MAX + 10).map(|n| format!("u{n}")).collect();
    let mut lines: Vec<(&str, i64, &str)> = Vec::new();
    for (n, unit) in units.iter().enumerate() {
        lines.push((unit, n as i64, "E"));
    }
    let (out, held) = run(&mut *stage, &lines);
    assert_eq!(held, BLOCKS_MAX);
    // None is lost: the first ten went on to make room for the last ten.
    assert!(out.iter().map(|(ms, _)| *ms).eq(0..10), "{out:?}");
    // Label sets that were forgotten begin again with a first line.
    assert_eq!(run(&mut *stage, &[("u0", 2000, "a")]).0, expect(&[(2000, "a")]));
}

#[test]
fn all_text_together_is_bounded() {
    let mut stage = one_stage("multiline: {firstline: '^E', max_wait_time: 1h}");
    let long = format!("E{}", "x".repeat(LINE_MAX - 1));
    let units: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let lines: Vec<_> = units.iter().map(|unit| (unit.as_str(), 0, long.as_str())).collect();
    let (out, held) = run(&mut *stage, &lines);
    assert_eq!((out.len() + held, held), (40, HELD_MAX / (LINE_MAX + LINE_COST)));
    // What went on is no longer counted.
    let mut context = Context { now_ns: i64::MAX, ..Context::default() };
    assert_eq!(std::iter::from_fn(|| stage.release(&mut context)).count(), held);
    assert_eq!(run(&mut *stage, &lines).1, HELD_MAX / (LINE_MAX + LINE_COST));
}

proptest! {
    /// Whatever comes in goes out once: passed on, joined, or released at the end; and what is said to be held
    /// is what has not gone out. So with several of them, one behind the other.
    #[test]
    fn no_line_is_lost_or_doubled(
        lines in proptest::collection::vec((0..4u8, 0..3000i64, "[Eab][a-z]{0,3}"), 0..60),
        stages in proptest::collection::vec(("[Eab]", 0..5u64), 1..4),
    ) {
        let stages: Vec<String> = stages
            .iter()
            .map(|(first, max)| {
                format!("{{multiline: {{firstline: '^{first}', max_wait_time: 1s, max_lines: {max}}}}}")
            })
            .collect();
        let stages = parse(&format!("[{}]", stages.join(", "))).unwrap();
        let mut chain = Chain::new(&stages, &Setup::default());
        let held_now = |chain: &Chain| {
            let mut held = Vec::new();
            chain.held(&mut held);
            held.sort_by_key(|cursor| cursor.seqnum);
            held.iter().map(|cursor| cursor.seqnum).collect::<Vec<_>>()
        };
        let number = |text: &str| text.split_once('-').unwrap().1.parse::<u64>().unwrap();
        let (mut ms, mut waiting) = (0, std::collections::BTreeSet::new());
        for (index, (unit, pause, text)) in lines.iter().enumerate() {
            ms += pause;
            // Each line is told from all others by its number.
            let (text, now) = (format!("{text}-{}", index + 1), ms * 1_000_000);
            let mut item = item(&text, &[("unit", &unit.to_string())]);
            item.cursor.realtime = u64::try_from(ms).unwrap() * 1000;
            item.cursor.seqnum = index as u64 + 1;
            waiting.insert(item.cursor.seqnum);
            let mut context = Context { now_ns: now, ..Context::default() };
            if chain.run(&mut item, &mut context) == Flow::Next {
                prop_assert!(item.line.split('\n').all(|line| waiting.remove(&number(line))));
            }
            // Now and then what is over by the time of the entries is let go.
            while index % 7 == 0 && let Some(item) = chain.release(&mut context) {
                prop_assert!(item.line.split('\n').all(|line| waiting.remove(&number(line))));
            }
            prop_assert_eq!(held_now(&chain), waiting.iter().copied().collect::<Vec<_>>());
        }
        let mut end = Context { now_ns: i64::MAX, ..Context::default() };
        while let Some(item) = chain.release(&mut end) {
            prop_assert!(item.line.split('\n').all(|line| waiting.remove(&number(line))));
        }
        prop_assert!(waiting.is_empty() && held_now(&chain).is_empty());
    }
}

#[test]
fn what_is_no_block_is_refused() {
    for (written, part) in [
        ("{}", "has no `firstline`"),
        ("{firstline: '('}", "not a regular expression"),
        ("{firstline: a, max_wait_time: 0s}", "too small"),
        ("{firstline: a, max_lines: 100001}", "is not a whole number that fits"),
    ] {
        let text = refusal(&format!("multiline: {written}"));
        assert!(text.contains(part), "{written}: {text}");
    }
}
