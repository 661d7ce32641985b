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

use super::{AboutStage, Context, Flow, Item, Setup, Stage};
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
mod tests;
