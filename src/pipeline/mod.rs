//! What becomes of an entry between the journal and a batch: its labels, line and metadata, the stages, and
//! what retention says.
//!
//! An entry that no stage concerns is copied nowhere on the way, whatever retention rules there are: what depends on labels
//! alone is remembered for each label set. The others become items.

mod end;
mod metadata;
mod partial;
mod shaper;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use self::end::{End, Judged};
pub(crate) use self::shaper::{Shaper, Sink, Until, values};
use crate::loki::Destination;
use crate::loki::batch::Batches;
use crate::loki::encode::Metadata;
use crate::loki::learned::Limits;
use crate::shape::Sections;
use crate::shape::explain::{Explained, Fate, value};
use crate::shape::labels::{Changes, Outcome, Resolved, Stream};
use crate::shape::limits::{LINE_MAX, METADATA_MAX, METADATA_NAMES_MAX};
use crate::shape::line;
use crate::shape::retention::{self, Judge};
use crate::shape::stages::{Item, Setup, Tally};
use journald_reader::Entry;
use journald_reader::{Cursor, Keys};

/// Shapes entries for one destination.
pub struct Pipeline {
    shaper: Shaper,
    end: End,
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
        let shaper = Shaper::new(sections, destination, setup, keys);
        let end = End::new(
            Limits { line: max_line, metadata: METADATA_MAX, metadata_names: METADATA_NAMES_MAX },
            sections.retention.map(Judge::new),
            &shaper.metadata,
        );
        Pipeline { shaper, end }
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

    /// From now on says what happens to each entry.
    pub fn explain(&mut self) {
        self.shaper.context.start_explaining();
    }

    /// The entries that came to their end since the last question, those that were sent in the order of the batches.
    pub fn explained(&mut self) -> Vec<Explained> {
        std::mem::take(&mut self.shaper.context.explained)
    }

    /// Says of an entry that does not go the way at all why that is so.
    pub fn leave_out(&mut self, entry: &Entry<'_>, why: String) {
        let mut item = self.shaper.explained(entry);
        item.steps.push(why);
        self.shaper.context.end(Fate::Dropped, item);
    }

    /// Looks at the wall clock: to be called now and then, as for each batch.
    pub fn tick(&mut self) {
        self.shaper.tick();
    }

    /// From now on it is this time (nanoseconds since 1970) for whatever asks how old an entry is, until the next tick.
    pub(crate) fn set_time(&mut self, now_ns: i64) {
        self.shaper.set_time(now_ns);
    }

    /// From now on keeps to these limits, too.
    pub fn fit(&mut self, limits: Limits) {
        let Limits { line, metadata, metadata_names } = limits;
        let limits = &mut self.end.limits;
        limits.line = limits.line.min(line);
        limits.metadata = limits.metadata.min(metadata);
        limits.metadata_names = limits.metadata_names.min(metadata_names);
        self.end.encoder.forget();
        self.shaper.fit(limits.line);
    }

    /// When reading may go on, if a stage asks for a pause.
    pub fn pause(&mut self) -> Option<Instant> {
        self.shaper.context.wait_until.take()
    }

    /// Takes an entry through everything and adds it to its batch, unless it is dropped or held.
    #[inline]
    pub fn append(&mut self, entry: &Entry<'_>, batches: &mut impl Take) {
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
    pub fn release_all(&mut self, batches: &mut impl Take) {
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

    fn release_until(&mut self, until: Until, batches: &mut impl Take) {
        self.shaper.release(until, &mut Shipping { end: &mut self.end, batches });
    }

    /// How many streams each retention rule has decided on, in their order; the last is the default.
    pub fn streams_by_rule(&self) -> Vec<usize> {
        self.end.streams_by_rule()
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

/// Who takes entries at the end of the way: batches, or who wants to know what would be in them.
pub trait Take {
    /// Takes an entry of a stream. `tenant`: the one that a stage has set; the time is in nanoseconds since 1970.
    fn push(
        &mut self,
        tenant: Option<&str>,
        stream: &Stream,
        timestamp_ns: u64,
        line: &str,
        metadata: &Metadata,
    );
}

impl Take for Batches {
    #[inline]
    fn push(&mut self, tenant: Option<&str>, stream: &Stream, time: u64, line: &str, metadata: &Metadata) {
        Batches::push(self, tenant, stream, time, line, metadata);
    }
}

/// Where the pipeline's entries go: into the batch of their tenant, if retention keeps them.
struct Shipping<'p, T> {
    end: &'p mut End,
    batches: &'p mut T,
}

impl<T: Take> Sink for Shipping<'_, T> {
    #[inline]
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Shaper { labeler, metadata, liner, context, .. } = shaper;
        let number = match labeler.number(entry) {
            Outcome::Kept(number) => number,
            Outcome::Dropped(_) => return,
        };
        let (line, time) = (liner.line(entry), entry.timestamp_ns());
        let judged = Judged { cursor: entry.cursor(), timestamp_ns: signed(time), line: &line };
        let Some(number) = self.end.keeps(&mut labeler.streams, number, &judged, context) else { return };
        let resolved = labeler.stream_of(number, entry);
        let End { limits, encoder, .. } = &mut *self.end;
        let encoded = encoder.of_entry(metadata, entry, limits, resolved.moved);
        self.batches.push(None, resolved.stream, time, &line, encoded);
    }

    fn item(&mut self, shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let Shaper { labeler, context, .. } = shaper;
        let Some(number) = self.end.keeps_item(&mut labeler.streams, item, context) else {
            if context.explains() {
                context.end(Fate::Dropped, std::mem::take(item));
            }
            return;
        };
        let resolved = labeler.streams.at(number, item.timestamp_ns, || item.owner);
        let End { limits, encoder, .. } = &mut *self.end;
        let metadata = item.metadata.iter().map(|(name, value)| (name.as_str(), Cow::from(value)));
        let encoded = encoder.encode(limits, metadata, resolved.moved);
        let whole = item.line.len();
        line::fit(&mut item.line, limits.line);
        if context.explains() {
            context.settle(item);
            explain_end(item, &resolved, whole, encoded.payload());
            let (steps, labels) = (std::mem::take(&mut item.steps), item.labels.clone());
            context
                .end(Fate::Sent, Item { steps, labels, timestamp_ns: item.timestamp_ns, ..Item::default() });
        }
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
        let streams = &mut shaper.labeler.streams;
        let Some(number) = self.end.keeps_item(streams, item, &mut shaper.context) else { return };
        item.labels = streams.set(number).clone();
        line::fit(&mut item.line, self.end.limits.line);
        self.sink.item(shaper, item, entry);
    }
}

/// A time of the journal as one of an item (nanoseconds since 1970).
fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// Says where an item goes, and what was done to it so that Loki takes it. `whole`: what its line had before it was cut;
/// `metadata`: what its structured metadata has (bytes).
fn explain_end(item: &mut Item, resolved: &Resolved<'_>, whole: usize, metadata: usize) {
    for (kind, count) in resolved.changes.kinds() {
        if count > 0 {
            item.steps.push(format!("labels: {kind}: {count}"));
        }
    }
    for (name, text) in resolved.moved {
        item.steps.push(format!("labels: {name}={} becomes structured metadata", value(text)));
    }
    if item.line.len() < whole {
        item.steps.push(format!("line: cut, it has {whole} bytes"));
    }
    let tenant =
        item.tenant.as_deref().map(|tenant| format!(" of tenant {}", value(tenant))).unwrap_or_default();
    let (stream, bytes) = (&resolved.stream.labels, item.line.len());
    let unit = if bytes == 1 { "byte" } else { "bytes" };
    item.steps.push(format!("stream {stream}{tenant}: {bytes} {unit}, and {metadata} of metadata"));
}
