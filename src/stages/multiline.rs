//! `multiline`: joins the lines of one block, as of a stack trace.
//!
//! A line that `firstline` matches begins a block; the following lines of the same label set belong to it, until
//! the next first line, `max_lines`, or a pause of `max_wait_time` between two lines. The pause is one of event
//! time, so a block has the same borders when it is read again; when no more lines come, the wall clock ends it.
//! Lines before the first block pass as they are, and lines after a block that was full or timed out form a new
//! one with the time and labels of the old first line, as in Promtail.
//!
//! What a block holds is in no batch yet. [`Stage::held`] names these entries, the checkpoint writes them down, and
//! a restart reads them again: a crash loses nothing and sends nothing twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Context, Flow, Item, Setup, Stage};
use crate::config::{Checker, Section, Value};
use crate::journal::Cursor;
use crate::labels::LabelSet;
use crate::line::LINE_MAX;
use crate::re2::Re2;

/// Label sets that have a block at a time (count): each holds up to a line of the longest length.
const BLOCKS_MAX: usize = 1000;

/// `stages[].multiline`
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the first line of a block looks like.
    pub firstline: Re2,
    /// The longest pause within a block.
    pub max_wait_time: Duration,
    /// The most lines of a block.
    pub max_lines: u64,
}

/// Reads it.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Config> {
    const WAIT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
    let section = Section::open(checker, value, "stages[].multiline")?;
    let firstline = section.required(checker, value, "firstline", |value| checker.regex(value, Re2::new));
    let (mut max_wait_time, mut max_lines) = (Duration::from_secs(3), 128);
    section.read("max_wait_time", &mut max_wait_time, |value| checker.go_duration(value, &WAIT));
    section.read("max_lines", &mut max_lines, |value| checker.integer(value, &(1..=100_000)));
    Some(Config { firstline: firstline?, max_wait_time, max_lines })
}

impl Config {
    /// The stage, ready to run.
    pub(super) fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Multiline {
            config: self.clone(),
            wait: i64::try_from(self.max_wait_time.as_nanos()).unwrap_or(i64::MAX),
            blocks: HashMap::new(),
        })
    }
}

#[derive(Debug)]
struct Multiline {
    config: Config,
    wait: i64,
    blocks: HashMap<Arc<LabelSet>, Block>,
}

/// The lines of one label set.
#[derive(Debug)]
struct Block {
    /// The first line's item; its line is the block's text.
    item: Item,
    lines: u64,
    /// Time of the last line (nanoseconds).
    last: i64,
    held: Vec<Cursor>,
}

impl Block {
    /// The block so far, as an item; what follows begins with the same time and labels.
    fn take(&mut self) -> Option<Item> {
        self.lines = 0;
        self.held.clear();
        // A block of nothing but empty lines is nothing, as in Promtail.
        if self.item.line.is_empty() {
            return None;
        }
        let next = Item { line: String::new(), ..self.item.clone() };
        Some(std::mem::replace(&mut self.item, next))
    }

    fn add(&mut self, item: &Item) {
        if self.lines > 0 && !self.item.line.is_empty() {
            self.item.line.push('\n');
        }
        self.item.line.push_str(&item.line);
        self.lines += 1;
        self.last = item.timestamp_ns;
        self.held.push(item.cursor);
    }

    fn is_full(&self, max_lines: u64) -> bool {
        self.lines >= max_lines || self.item.line.len() >= LINE_MAX
    }
}

impl Stage for Multiline {
    fn name(&self) -> &'static str {
        "multiline"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let first = self.config.firstline.is_match(&item.line);
        let Some(block) = self.blocks.get_mut(&item.labels) else {
            if !first {
                return Flow::Next;
            }
            if self.blocks.len() >= BLOCKS_MAX {
                context.fail("multiline", || format!("{BLOCKS_MAX} label sets have open blocks"));
                return Flow::Next;
            }
            let (last, held) = (item.timestamp_ns, vec![item.cursor]);
            let mut block = Block { item: std::mem::take(item), lines: 1, last, held };
            let full = block.is_full(self.config.max_lines).then(|| block.take()).flatten();
            self.blocks.insert(block.item.labels.clone(), block);
            return match full {
                Some(full) => {
                    *item = full;
                    Flow::Next
                }
                None => Flow::Held,
            };
        };
        let paused = item.timestamp_ns.saturating_sub(block.last) > self.wait;
        let mut done = if first || paused { block.take() } else { None };
        if first {
            block.item = Item { line: String::new(), ..item.clone() };
        }
        block.add(item);
        // Two blocks can end with one line only when a block has one line; then the lines pass one late.
        if done.is_none() && block.is_full(self.config.max_lines) {
            done = block.take();
        }
        match done {
            Some(done) => {
                *item = done;
                Flow::Next
            }
            None => Flow::Held,
        }
    }

    fn release(&mut self, context: &mut Context) -> Option<Item> {
        let due = context.now_ns.saturating_sub(self.wait);
        let over = |block: &Block| block.lines > 0 && (block.last < due || context.now_ns == i64::MAX);
        // The oldest first, so that a release at the end has an order.
        let oldest = self.blocks.values_mut().filter(|block| over(block)).min_by_key(|block| block.last);
        oldest.and_then(Block::take)
    }

    fn held(&self, out: &mut Vec<Cursor>) {
        self.blocks.values().for_each(|block| out.extend_from_slice(&block.held));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, one_stage, refusal};
    use super::*;

    /// Runs lines `(unit, milliseconds, text)` and returns what comes out, with its time, then what is held at the
    /// end.
    fn run(stage: &mut dyn Stage, lines: &[(&str, i64, &str)]) -> (Vec<(i64, String)>, usize) {
        let mut out = Vec::new();
        for (number, (unit, ms, text)) in lines.iter().enumerate() {
            let mut item = item(text, &[("unit", unit)]);
            item.timestamp_ns = ms * 1_000_000;
            item.cursor.seqnum = number as u64 + 1;
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

    #[test]
    fn a_block_is_bounded() {
        let mut stage = one_stage("multiline: {firstline: '^E', max_lines: 100000}");
        let long = "y".repeat(LINE_MAX / 2);
        let (out, held) = run(&mut *stage, &[("u", 0, "E"), ("u", 0, &long), ("u", 0, &long), ("u", 0, "z")]);
        assert_eq!((out.len(), held), (1, 1));
        let mut stage = one_stage("multiline: {firstline: '^E', max_lines: 1}");
        assert_eq!(run(&mut *stage, &[("u", 0, "E1"), ("u", 1, "E2")]).0, expect(&[(0, "E1"), (1, "E2")]));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for (written, part) in [
            ("{}", "has no `firstline`"),
            ("{firstline: '('}", "not a regular expression"),
            ("{firstline: a, max_wait_time: 0s}", "too small"),
            ("{firstline: a, max_lines: 0}", "no whole number that fits"),
        ] {
            let text = refusal(&format!("multiline: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
