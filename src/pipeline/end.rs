//! The end of the way, behind shaping: what retention says of an entry, and what Loki takes of it.
//!
//! Which rules can decide on an entry depends on its labels alone, and so does the label set that it gets from a rule. Both are
//! remembered for each label set, so that a section `retention` costs an entry little more than the line filters that may
//! concern it.

use std::sync::Arc;

use super::metadata::Encoder;
use crate::loki::learned::Limits;
use crate::shape::labels::{FieldLookup, PerSet, Streams};
use crate::shape::retention::{Judge, Verdict};
use crate::shape::stages::{Context, Item};
use journald_reader::Cursor;

/// The end of the way of one destination's entries.
pub(super) struct End {
    pub(super) limits: Limits,
    pub(super) retention: Option<Judge>,
    classes: PerSet<Classes>,
    pub(super) encoder: Encoder,
}

/// What retention makes of a label set.
struct Classes {
    /// Rules that can decide on it.
    candidates: Box<[usize]>,
    /// For each rule that kept an entry: its number, and that of the label set with the label of its class.
    labelled: Vec<(usize, u32)>,
}

/// What retention looks at, besides labels.
pub(super) struct Judged<'a> {
    pub(super) cursor: &'a Cursor,
    /// The time (nanoseconds since 1970).
    pub(super) timestamp_ns: i64,
    pub(super) line: &'a str,
}

impl End {
    pub(super) fn new(limits: Limits, retention: Option<Judge>, metadata: &[FieldLookup]) -> End {
        End { limits, retention, classes: PerSet::default(), encoder: Encoder::new(metadata) }
    }

    /// Decides on an entry whose label set has this number, and returns the number of the label set that it goes on with:
    /// that one with the label of its class. `None`: it goes no further.
    #[inline(always)] // without retention it must cost nothing
    pub(super) fn keeps(
        &mut self,
        streams: &mut Streams,
        number: u32,
        entry: &Judged<'_>,
        context: &mut Context,
    ) -> Option<u32> {
        match self.retention {
            Some(_) => self.judged(streams, number, entry, context),
            None => Some(number),
        }
    }

    /// As [`End::keeps`], where there are rules.
    fn judged(
        &mut self,
        streams: &mut Streams,
        number: u32,
        entry: &Judged<'_>,
        context: &mut Context,
    ) -> Option<u32> {
        let retention = self.retention.as_mut()?;
        let classes = self.classes.get(streams, number, |set| Classes {
            candidates: retention.candidates(set),
            labelled: Vec::new(),
        });
        let rule = retention.rule(&classes.candidates, entry.line);
        let verdict = retention.judge(rule, entry.cursor, entry.timestamp_ns, context.now_ns);
        if let Some(steps) = &mut context.explain {
            steps.push(explain(retention, rule, verdict));
        }
        if verdict != Verdict::Keep {
            return None;
        }
        retention.count_bytes(rule, entry.line);
        if let Some((_, labelled)) = classes.labelled.iter().find(|(number, _)| *number == rule) {
            return Some(*labelled);
        }
        let labelled = label(retention, rule, streams, number);
        // If numbers have begun anew, what is remembered here is forgotten with the next entry.
        classes.labelled.push((rule, labelled));
        Some(labelled)
    }

    /// As [`End::keeps`], for an item.
    pub(super) fn keeps_item(
        &mut self,
        streams: &mut Streams,
        item: &Item,
        context: &mut Context,
    ) -> Option<u32> {
        let number = streams.intern(&item.labels);
        let judged = Judged { cursor: &item.cursor, timestamp_ns: item.timestamp_ns, line: &item.line };
        self.keeps(streams, number, &judged, context)
    }

    /// How many streams each retention rule has decided on, in their order; the last is the default.
    pub(super) fn streams_by_rule(&self) -> Vec<usize> {
        let mut streams = vec![0; self.retention.as_ref().map_or(0, |r| r.counts().len())];
        for (rule, _) in self.classes.iter().flat_map(|classes| &classes.labelled) {
            if let Some(count) = streams.get_mut(*rule) {
                *count += 1;
            }
        }
        streams
    }
}

/// The number of the label set that another one becomes by a rule.
#[cold]
fn label(retention: &Judge, rule: usize, streams: &mut Streams, number: u32) -> u32 {
    let mut set = (**streams.set(number)).clone();
    if let Some(label) = retention.label() {
        set.insert(label, retention.class(rule).as_bytes());
    }
    set.shrink();
    streams.intern(&Arc::new(set))
}

/// What a rule made of an entry, for a person.
fn explain(retention: &Judge, rule: usize, verdict: Verdict) -> String {
    let what = match verdict {
        Verdict::Keep => format!("keep {}", retention.class(rule)),
        Verdict::Dropped => "dropped".into(),
        Verdict::Sampled => "not in the sample".into(),
        Verdict::Expired => format!("older than {}, not sent", retention.class(rule)),
    };
    format!("{}: {what}", retention.name(rule))
}
