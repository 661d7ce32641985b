//! `multiline`: joins the lines of one block, as of a stack trace.
//!
//! A line that `firstline` matches begins a block. The following lines of the same label set belong to it, until the next
//! first line, `max_lines`, the longest line that Loki takes, or a pause of `max_wait_time` between two lines. The pause is
//! measured by the times of journald, so a block has the same borders when it is read again. If no more lines come, the wall
//! clock ends the block. Lines before the first block pass as they are. Lines after a block that was full or timed out form
//! a new block with the time and labels of the old first line, as in Promtail.
//!
//! The entries of a block are in no batch yet. [`Stage::held`] names them, the checkpoint keeps their names, and a restart
//! reads them again. So a crash loses nothing, and nothing is sent twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Context, Flow, Item, Setup, Stage, AboutStage};
use crate::shape::limits::LINE_MAX;
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Section, Value};
use journald_reader::Cursor;
use logql::go::re2::Re2;
use logql::label_set::LabelSet;

/// The most label sets with a block at a time (count). One more label set takes the place of the label set that had no line
/// for the longest time. The block of that one is sent as it is, and its next lines pass until a first line comes.
const BLOCKS_MAX: usize = 1000;
/// The most that all blocks hold (bytes): a few lines of the greatest length, or some hundred stack traces. When they hold
/// more, the largest block is sent early. Counted are text, the metadata of first lines, and [`LINE_COST`].
const HELD_MAX: usize = 4 << 20;
/// What a line costs beside its text (bytes): its cursor, in memory here and as text in the checkpoint.
const LINE_COST: usize = 256;
/// If the last line is so far ahead of the clock (microseconds), the clock was set back after it. Waiting for that time makes
/// no sense.
const AHEAD_MAX: u64 = 3600 * 1_000_000;
/// The most lines of a block if `max_lines` is 0 (count). In Promtail, 0 means no limit.
const LINES_MAX: u64 = 100_000;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].multiline", "section", ""),
    key("stages[].multiline.firstline", "regular expression", "required"),
    key("stages[].multiline.max_wait_time", "duration", "3s"),
    key("stages[].multiline.max_lines", "whole number", "128"),
];

/// `stages[].multiline`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the first line of a block looks like.
    pub firstline: Re2,
    /// The longest pause within a block.
    pub max_wait_time: Duration,
    /// The most lines of a block.
    pub max_lines: u64,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    const WAIT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
    let section = Section::open(checker, value, "stages[].multiline")?;
    let firstline = section.required(checker, value, "firstline", |value| checker.regex(value, Re2::new));
    let (mut max_wait_time, mut max_lines) = (Duration::from_secs(3), 128);
    section.read("max_wait_time", &mut max_wait_time, |value| checker.go_duration(value, &WAIT));
    section.read("max_lines", &mut max_lines, |value| checker.integer(value, &(0..=LINES_MAX)));
    if max_lines == 0 {
        max_lines = LINES_MAX;
    }
    Some(Settings { firstline: firstline?, max_wait_time, max_lines })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Multiline {
            settings: self.clone(),
            wait: u64::try_from(self.max_wait_time.as_micros()).unwrap_or(u64::MAX),
            blocks: HashMap::new(),
            cost: 0,
        })
    }
}

#[derive(Debug)]
struct Multiline {
    settings: Settings,
    /// The longest pause within a block (microseconds).
    wait: u64,
    blocks: HashMap<Arc<LabelSet>, Block>,
    /// What all blocks hold (bytes).
    cost: usize,
}

/// The lines of one label set.
#[derive(Debug)]
struct Block {
    /// The item of the first line. Its line is the text of the block.
    item: Item,
    lines: u64,
    /// The time of the last line, also if that is no longer in the block (microseconds since 1970, by journald).
    last: u64,
    held: Vec<Cursor>,
}

impl Block {
    /// What the block holds (bytes).
    fn cost(&self) -> usize {
        let metadata = self.item.metadata.iter().map(|(name, value)| name.len() + value.len());
        self.item.line.len() + self.held.len() * LINE_COST + metadata.sum::<usize>()
    }

    /// Takes the block so far, as an item. Lines after it begin a block with the same time and labels.
    fn take(&mut self) -> Option<Item> {
        self.lines = 0;
        let parts = std::mem::take(&mut self.held);
        // A block of empty lines only is dropped, as in Promtail.
        if self.item.line.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.item.line);
        Some(Item { line, parts, ..self.item.clone() })
    }

    /// Adds a line. It may be the join of several lines.
    fn add(&mut self, line: &str, cursor: Cursor, parts: &[Cursor]) {
        if !self.item.line.is_empty() {
            self.item.line.push('\n');
        }
        self.item.line.push_str(line);
        self.lines += 1;
        let parts = if parts.is_empty() { std::slice::from_ref(&cursor) } else { parts };
        self.last = parts.iter().map(|part| part.realtime).max().unwrap_or(cursor.realtime);
        self.held.extend_from_slice(parts);
    }

    /// Whether the block would be too long for Loki with one more line.
    fn has_no_room(&self, line: &str) -> bool {
        !self.item.line.is_empty() && self.item.line.len() + 1 + line.len() > LINE_MAX
    }
}

impl Multiline {
    /// Forgets the label set that had no line for the longest time. Returns its block.
    fn forget_oldest(&mut self) -> Option<Item> {
        // Sequence numbers decide between equal times, so that the choice is the same when this is read again.
        let age = |(_, block): &(&Arc<LabelSet>, &Block)| (block.last, block.item.cursor.seqnum);
        let labels = self.blocks.iter().min_by_key(age).map(|(labels, _)| labels.clone())?;
        let mut oldest = self.blocks.remove(&labels)?;
        self.cost -= oldest.cost();
        oldest.take()
    }

    /// Takes the largest block if all blocks together hold too much. Lines after it in its stream have no metadata.
    fn take_largest(&mut self) -> Option<Item> {
        while self.cost > HELD_MAX {
            let size = |block: &&mut Block| (block.cost(), block.item.cursor.seqnum);
            let largest = self.blocks.values_mut().max_by_key(size)?;
            let taken = take(&mut self.cost, largest);
            let before = largest.cost();
            largest.item.metadata.clear();
            self.cost -= before - largest.cost();
            if taken.is_some() || before == 0 {
                return taken;
            }
        }
        None
    }
}

/// Takes the block so far, and subtracts its cost.
fn take(cost: &mut usize, block: &mut Block) -> Option<Item> {
    *cost -= block.cost();
    let taken = block.take();
    *cost += block.cost();
    taken
}

impl Stage for Multiline {
    fn name(&self) -> &'static str {
        "multiline"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        let first = self.settings.firstline.is_match(&item.line);
        let mut done = None;
        if !self.blocks.contains_key(&item.labels) {
            if !first {
                return Flow::Next;
            }
            if self.blocks.len() >= BLOCKS_MAX {
                done = self.forget_oldest();
            }
        }
        let (cursor, line, parts) =
            (item.cursor, std::mem::take(&mut item.line), std::mem::take(&mut item.parts));
        let block = self.blocks.entry(item.labels.clone()).or_insert_with(|| Block {
            item: Item::default(),
            lines: 0,
            last: cursor.realtime,
            held: Vec::new(),
        });
        let paused = cursor.realtime.saturating_sub(block.last) > self.wait;
        // It may be full already: each line passes on one block at most, and when this one filled up, that was another one.
        let full = block.lines >= self.settings.max_lines;
        if first || paused || full || block.has_no_room(&line) {
            // A new block holds nothing yet.
            done = take(&mut self.cost, block).or(done);
        }
        self.cost -= block.cost();
        if first {
            block.item = std::mem::take(item);
        }
        block.add(&line, cursor, &parts);
        self.cost += block.cost();
        if done.is_none() {
            done = match block.lines >= self.settings.max_lines {
                true => take(&mut self.cost, block),
                false => self.take_largest(),
            };
        }
        match done {
            Some(done) => {
                *item = done;
                Flow::Next
            }
            None => {
                *item = Item::default();
                Flow::Held
            }
        }
    }

    fn release(&mut self, context: &mut Context) -> Option<Item> {
        let now = u64::try_from(context.now_ns / 1000).unwrap_or(0);
        let over = |block: &&mut Block| {
            let waited = block.last.saturating_add(self.wait) < now;
            let ahead = block.last > now.saturating_add(AHEAD_MAX);
            block.lines > 0 && (waited || ahead || context.now_ns == i64::MAX)
        };
        // The oldest block first, so that a release at the end has an order. A block of empty lines gives no item.
        while let Some(oldest) =
            self.blocks.values_mut().filter(over).min_by_key(|block| (block.last, block.item.cursor.seqnum))
        {
            if let Some(item) = take(&mut self.cost, oldest) {
                return Some(item);
            }
        }
        None
    }

    fn held(&self, out: &mut Vec<Cursor>) {
        self.blocks.values().for_each(|block| out.extend_from_slice(&block.held));
    }
}

#[cfg(test)]
mod tests {
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
}
