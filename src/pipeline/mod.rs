//! What becomes of an entry between the journal and a batch: its labels, line and metadata, the stages, and
//! what retention says.
//!
//! Most configurations have no stages; then nothing is copied on the way, and what depends on labels alone is
//! remembered for each label set.

mod partial;
mod shaper;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use self::shaper::{Shaper, Sink, Until, values};
use crate::loki::Destination;
use crate::loki::batch::Batches;
use crate::loki::encode::Metadata;
use crate::loki::learned::Limits;
use crate::shape::Sections;
use crate::shape::labels::{Changes, Outcome, Resolved};
use crate::shape::limits::{LINE_MAX, METADATA_MAX, METADATA_NAMES_MAX};
use crate::shape::line;
use crate::shape::retention::{self, Judge, Verdict};
use crate::shape::stages::{Context, Item, Setup, Tally};
use journald_reader::Entry;
use journald_reader::{Cursor, Keys};
use logql::label_set::{LabelSet, cut};

/// Label sets whose retention rules are remembered (count).
const CLASSES_MAX: usize = 4 << 10;

/// Shapes entries for one destination.
pub struct Pipeline {
    shaper: Shaper,
    end: End,
}

/// The end of the way, behind shaping: what retention says of an entry, and what Loki takes of it.
struct End {
    limits: Limits,
    retention: Option<Judge>,
    classes: HashMap<usize, Classes>,
    encoded: Metadata,
}

/// What retention makes of a label set.
struct Classes {
    /// The label set; as long as it is held, its address is its own.
    set: Arc<LabelSet>,
    /// Rules that can decide on it.
    candidates: Box<[usize]>,
    /// With the label of each class that was met: the rule's number and the label set.
    labelled: Vec<(usize, Arc<LabelSet>)>,
}

/// What was read and not sent, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By each rule of `labels.relabel_configs` that drops.
    pub relabelled: Vec<u64>,
    /// By stages, under the reason that they have.
    pub stages: BTreeMap<Arc<str>, u64>,
    /// By retention rules, in their order; the last is the default.
    pub retention: Vec<retention::Counts>,
    /// Entries that a stage could not work on, by the stage's name. They were sent.
    pub failed: BTreeMap<&'static str, u64>,
    /// What was done to labels so that Loki takes them.
    pub labels: Changes,
}

impl Counts {
    /// All entries that were not sent.
    pub fn dropped(&self) -> u64 {
        let retention = self.retention.iter().map(|c| c.dropped + c.sampled + c.expired);
        self.relabelled.iter().chain(self.stages.values()).copied().chain(retention).sum()
    }
}

impl Pipeline {
    /// Prepares for a destination; the fields of the journal that it needs are added to `keys`.
    pub fn new<'c>(
        sections: impl Into<Sections<'c>>,
        destination: Option<&Destination>,
        setup: &Setup,
        keys: &mut Keys,
    ) -> Pipeline {
        let sections = sections.into();
        let max_line = destination.map_or(LINE_MAX, |d| d.max_line_bytes);
        Pipeline {
            shaper: Shaper::new(sections, destination, setup, keys),
            end: End {
                limits: Limits { line: max_line, metadata: METADATA_MAX, metadata_names: METADATA_NAMES_MAX },
                retention: sections.retention.map(Judge::new),
                classes: HashMap::new(),
                encoded: Metadata::default(),
            },
        }
    }

    /// From now on remembers what each stage and each rule for relabelling does.
    pub fn watch(&mut self) {
        self.shaper.context.trial = Some(BTreeMap::new());
        self.shaper.labeler.watch_rules();
    }

    /// What each stage did since then, by its path in the configuration.
    pub fn stages_tried(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.shaper.context.trial.iter().flatten().map(|(path, tally)| (&**path, tally))
    }

    /// For each rule for relabelling, whether it has met anything since then.
    pub fn rules_met(&self) -> Vec<bool> {
        self.shaper.labeler.rules_met()
    }

    /// From now on says what happens to each entry, a line for each step.
    pub fn explain(&mut self) {
        self.shaper.context.explain = Some(Vec::new());
    }

    /// What happened since the last question.
    pub fn explained(&mut self) -> Vec<String> {
        self.shaper.context.explain.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Looks at the wall clock: to be called now and then, as for each batch.
    pub fn tick(&mut self) {
        self.shaper.tick();
    }

    /// From now on keeps to these limits, too.
    pub fn fit(&mut self, limits: Limits) {
        let Limits { line, metadata, metadata_names } = limits;
        let limits = &mut self.end.limits;
        limits.line = limits.line.min(line);
        limits.metadata = limits.metadata.min(metadata);
        limits.metadata_names = limits.metadata_names.min(metadata_names);
        self.shaper.fit(limits.line);
    }

    /// When reading may go on, if a stage asks for a pause.
    pub fn pause(&mut self) -> Option<Instant> {
        self.shaper.context.wait_until.take()
    }

    /// Takes an entry through everything and adds it to its batch, unless it is dropped or held.
    #[inline]
    pub fn append(&mut self, entry: &Entry<'_>, batches: &mut Batches) {
        self.shaper.feed(entry, &mut Shipping { end: &mut self.end, batches });
    }

    /// Adds what stages have held long enough by the time of the entries. To be called now and then while there is a
    /// backlog, for there the clock says nothing.
    pub fn release_passed(&mut self, batches: &mut Batches) {
        self.release_until(Until::Newest, batches);
    }

    /// Adds what stages have held long enough. To be called when the journal is quiet.
    pub fn release(&mut self, batches: &mut Batches) {
        self.release_until(Until::Now, batches);
    }

    /// As [`Pipeline::release`], whatever time it is: nothing more will come.
    pub fn release_all(&mut self, batches: &mut Batches) {
        self.release_until(Until::End, batches);
    }

    /// Takes an entry through everything, retention too, to a sink in place of a batch.
    #[inline]
    pub(crate) fn show(&mut self, entry: &Entry<'_>, sink: &mut impl Sink) {
        self.shaper.feed(entry, &mut Kept { end: &mut self.end, sink });
    }

    /// As [`Pipeline::show`], for what was held long enough.
    pub(crate) fn show_held(&mut self, sink: &mut impl Sink) {
        self.shaper.release(Until::Now, &mut Kept { end: &mut self.end, sink });
    }

    /// As [`Pipeline::show`], for all that is held; nothing more will come.
    pub(crate) fn show_rest(&mut self, sink: &mut impl Sink) {
        self.shaper.release(Until::End, &mut Kept { end: &mut self.end, sink });
    }

    fn release_until(&mut self, until: Until, batches: &mut Batches) {
        self.shaper.release(until, &mut Shipping { end: &mut self.end, batches });
    }

    /// How many streams each retention rule has decided on, in their order; the last is the default.
    pub fn streams_by_rule(&self) -> Vec<usize> {
        let mut streams = vec![0; self.end.retention.as_ref().map_or(0, |r| r.counts().len())];
        for (rule, _) in self.end.classes.values().flat_map(|classes| &classes.labelled) {
            if let Some(count) = streams.get_mut(*rule) {
                *count += 1;
            }
        }
        streams
    }

    /// The entries that are held, by stages or as pieces of a line: they are not in any batch yet.
    pub fn held(&self) -> Vec<Cursor> {
        self.shaper.held()
    }

    /// Whether any are held.
    pub fn holds(&self) -> bool {
        self.shaper.holds()
    }

    /// What was not sent so far, and why.
    pub fn counts(&self) -> Counts {
        let Shaper { labeler, context, .. } = &self.shaper;
        Counts {
            relabelled: labeler.dropped().to_vec(),
            stages: context.dropped.clone(),
            retention: self.end.retention.as_ref().map(|r| r.counts().to_vec()).unwrap_or_default(),
            failed: context.failed.clone(),
            labels: *labeler.streams.totals(),
        }
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.shaper.labeler.streams.active()
    }

    /// The retention rules.
    pub fn retention(&self) -> Option<&Judge> {
        self.end.retention.as_ref()
    }
}

/// Where the pipeline's entries go: into the batch of their tenant, if retention keeps them.
struct Shipping<'p> {
    end: &'p mut End,
    batches: &'p mut Batches,
}

impl Sink for Shipping<'_> {
    fn takes_plain(&self) -> bool {
        self.end.retention.is_none()
    }

    #[inline]
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Shaper { labeler, metadata, liner, context, .. } = shaper;
        let resolved = match labeler.stream(entry) {
            Outcome::Kept(resolved) => resolved,
            Outcome::Dropped(rule) => return shaper::relabelled(context, rule),
        };
        let End { limits, encoded, .. } = &mut *self.end;
        encoded.clear();
        put_metadata(encoded, limits, values(metadata, entry), resolved.moved);
        explain_labels(context, &resolved);
        self.batches.push(None, resolved.stream, entry.timestamp_ns(), &liner.line(entry), encoded);
    }

    fn item(&mut self, shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let Shaper { labeler, context, .. } = shaper;
        if !self.end.keeps(item, context) {
            return;
        }
        let End { limits, encoded, .. } = &mut *self.end;
        let resolved = labeler.streams.resolve_for(&item.labels, item.timestamp_ns, item.owner);
        encoded.clear();
        let metadata = item.metadata.iter().map(|(name, value)| (name.as_str(), Cow::from(value)));
        put_metadata(encoded, limits, metadata, resolved.moved);
        explain_labels(context, &resolved);
        line::fit(&mut item.line, limits.line);
        let time = u64::try_from(item.timestamp_ns).unwrap_or(0);
        self.batches.push(item.tenant.as_deref(), resolved.stream, time, &item.line, encoded);
    }
}

/// Another sink, behind retention.
struct Kept<'p, S> {
    end: &'p mut End,
    sink: &'p mut S,
}

impl<S: Sink> Sink for Kept<'_, S> {
    fn takes_plain(&self) -> bool {
        self.end.retention.is_none() && self.sink.takes_plain()
    }

    #[inline]
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        self.sink.plain(shaper, entry);
    }

    fn item(&mut self, shaper: &mut Shaper, item: &mut Item, entry: Option<&Entry<'_>>) {
        if self.end.keeps(item, &mut shaper.context) {
            line::fit(&mut item.line, self.end.limits.line);
            self.sink.item(shaper, item, entry);
        }
    }
}

impl End {
    /// Whether retention keeps an item; then the item gets the label of its class.
    fn keeps(&mut self, item: &mut Item, context: &mut Context) -> bool {
        let Some(retention) = &mut self.retention else { return true };
        let key = Arc::as_ptr(&item.labels) as usize;
        if self.classes.len() >= CLASSES_MAX {
            self.classes.clear();
        }
        let classes = self.classes.entry(key).or_insert_with(|| Classes {
            set: item.labels.clone(),
            candidates: retention.candidates(&item.labels),
            labelled: Vec::new(),
        });
        let rule = retention.rule(&classes.candidates, &item.line);
        let verdict = retention.judge(rule, &item.cursor, item.timestamp_ns, context.now_ns);
        if let Some(steps) = &mut context.explain {
            let what = match verdict {
                Verdict::Keep => format!("keep {}", retention.class(rule)),
                Verdict::Dropped => "dropped".into(),
                Verdict::Sampled => "not in the sample".into(),
                Verdict::Expired => format!("older than {}, not sent", retention.class(rule)),
            };
            steps.push(format!("{}: {what}", retention.name(rule)));
        }
        if verdict != Verdict::Keep {
            return false;
        }
        retention.count_bytes(rule, &item.line);
        item.labels = match classes.labelled.iter().find(|(number, _)| *number == rule) {
            Some((_, set)) => set.clone(),
            None => {
                let mut set = (*classes.set).clone();
                if let Some(label) = retention.label() {
                    set.insert(label, retention.class(rule).as_bytes());
                }
                let set = Arc::new(set);
                classes.labelled.push((rule, set.clone()));
                set
            }
        };
        true
    }
}

/// Encodes metadata, and labels that a stream does not carry, within Loki's limits.
#[inline]
fn put_metadata<'a>(
    encoded: &mut Metadata,
    limits: &Limits,
    metadata: impl Iterator<Item = (&'a str, Cow<'a, str>)> + Clone,
    moved: &[(String, String)],
) {
    let mut room = limits.metadata;
    let most = limits.metadata_names;
    let mut put = |name: &str, value: Cow<'_, str>| {
        room = room.saturating_sub(name.len());
        let value = cut(value, room);
        room -= value.len();
        encoded.add(name, &value);
    };
    if moved.is_empty() {
        return metadata.take(most).for_each(|(name, value)| put(name, value));
    }
    let moved = moved.iter().filter(|(name, _)| metadata.clone().all(|(other, _)| other != name));
    let moved: Vec<_> = moved.take(most).collect();
    for (name, value) in metadata.take(most - moved.len()) {
        put(name, value);
    }
    moved.into_iter().for_each(|(name, value)| put(name, value.into()));
}

fn explain_labels(context: &mut Context, resolved: &Resolved<'_>) {
    if let Some(steps) = &mut context.explain {
        for (kind, count) in resolved.changes.kinds() {
            if count > 0 {
                steps.push(format!("labels: {kind}: {count}"));
            }
        }
        for (name, value) in resolved.moved {
            steps.push(format!("labels: {name}={value:?} becomes structured metadata"));
        }
    }
}
