//! Shaping: the part of the way that entries go for every purpose: labels, line, metadata, pieces joined to lines, and
//! stages. What comes out goes to a [`Sink`]: shipping goes on to retention and batches there, and alert rules look at it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::partial::Partials;
use crate::loki::Destination;
use crate::shape::Sections;
use crate::shape::explain::Fate;
use crate::shape::labels::{FieldLookup, Labeler, Origins, Outcome, PerSet};
use crate::shape::limits::LINE_MAX;
use crate::shape::line::Liner;
use crate::shape::stages::{Chain, Context, Flow, Item, Setup};
use journald_reader::Entry;
use journald_reader::{Cursor, Keys};
use logql::label_set::lossy;

/// Where shaped entries go.
pub(crate) trait Sink {
    /// Whether it takes entries that are still in the journal; otherwise each becomes an item.
    fn takes_plain(&self) -> bool {
        true
    }

    /// Takes an entry of which nothing but labels, metadata and line matters. Nothing of it is copied yet, and its labels are
    /// still to be asked for: a sink copies what it needs.
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>);

    /// Takes an item. `entry` is the one that it was made of, if it is still at hand. Its label set is the one remembered of
    /// all equal ones, so it is known by its address.
    fn item(&mut self, shaper: &mut Shaper, item: &mut Item, entry: Option<&Entry<'_>>);
}

/// Up to when what is held has been held long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// When the newest entry was written: there is a backlog, for which the clock says nothing.
    Newest,
    /// This time (nanoseconds since 1970).
    Time(i64),
    /// Now: the journal is quiet.
    Now,
    /// The end: nothing more will come.
    End,
}

/// Gives entries their labels and takes them through the stages.
pub(crate) struct Shaper {
    pub(crate) labeler: Labeler,
    pub(crate) metadata: Vec<FieldLookup>,
    pub(crate) liner: Liner,
    pub(super) context: Context,
    partials: Partials,
    chain: Chain,
    /// Of each label set, whether all stages pass it by.
    passing: PerSet<bool>,
    /// One item for all entries, so that its memory is used again.
    item: Item,
    /// When the entry was written that came last (microseconds since 1970).
    newest: u64,
}

impl Shaper {
    /// Prepares, with the labels and limits of a destination if there is one; the fields of the journal that it needs
    /// are added to `keys`.
    pub(crate) fn new(
        sections: Sections<'_>,
        destination: Option<&Destination>,
        setup: &Setup,
        keys: &mut Keys,
    ) -> Shaper {
        let added = destination.map(|d| d.labels.as_slice()).unwrap_or_default();
        let label = sections.retention.and_then(|retention| retention.label.as_deref());
        let max_line = destination.map_or(LINE_MAX, |d| d.max_line_bytes);
        let mut shaper = Shaper {
            labeler: Labeler::new(sections.labels, added, label, keys),
            metadata: sections.metadata.iter().map(|rule| FieldLookup::new(rule, keys)).collect(),
            liner: Liner::new(sections.line, max_line, keys),
            partials: Partials::new(sections.line, max_line, keys),
            context: Context { dry: setup.dry, ..Context::default() },
            chain: Chain::new(sections.stages, setup),
            passing: PerSet::default(),
            item: Item::default(),
            newest: 0,
        };
        shaper.tick();
        shaper
    }

    /// Takes an entry to a sink, and with it the lines that it lets go on.
    #[inline]
    pub(crate) fn feed(&mut self, entry: &Entry<'_>, sink: &mut impl Sink) {
        if sink.takes_plain() && !self.partials.concern(entry) && self.passes(entry) {
            return sink.plain(self, entry);
        }
        let mut shaped = self.shape(entry);
        while let Some(mut item) = shaped {
            // A line that was held until now is made of another entry, or of several.
            let own = item.parts.is_empty() && item.cursor == *entry.cursor();
            sink.item(self, &mut item, own.then_some(entry));
            self.item = item;
            shaped = self.more();
        }
    }

    /// Whether no stage does anything with an entry, whatever its line says. It is asked once for each label set. Not when
    /// somebody wants to know what stages did.
    #[inline]
    fn passes(&mut self, entry: &Entry<'_>) -> bool {
        let Shaper { labeler, chain, passing, context, .. } = self;
        if context.explains() {
            return false;
        }
        if chain.is_empty() {
            return true;
        }
        if context.trial.is_some() {
            return false;
        }
        let Some(number) = labeler.known(entry) else { return false };
        let passes = *passing.get(&labeler.streams, number, |set| chain.passes(set));
        if passes {
            self.newest = entry.cursor().realtime;
        }
        passes
    }

    /// Takes to a sink what has been held long enough. To be called now and then: while there is a backlog, when the journal
    /// is quiet, and at its end.
    pub(crate) fn release(&mut self, until: Until, sink: &mut impl Sink) {
        let time_ns = match until {
            Until::Newest => i64::try_from(self.newest).unwrap_or(i64::MAX).saturating_mul(1000),
            Until::Time(time_ns) => time_ns,
            Until::Now => {
                self.tick();
                self.context.now_ns
            }
            Until::End => i64::MAX,
        };
        for mut item in self.release_at(time_ns) {
            sink.item(self, &mut item, None);
        }
    }

    /// From now on lines are no longer than this (bytes).
    pub(crate) fn fit(&mut self, max: usize) {
        self.liner.fit(max);
        self.partials.fit(max);
    }

    /// Looks at the wall clock: to be called now and then, as for each batch.
    pub(crate) fn tick(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.context.now_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    }

    /// Sets the time, for entries that are looked at as they were when they came (nanoseconds since 1970).
    pub(super) fn set_time(&mut self, now_ns: i64) {
        self.context.now_ns = now_ns;
    }

    /// Takes an entry through labels and stages; `None` when it is dropped or held.
    fn shape(&mut self, entry: &Entry<'_>) -> Option<Item> {
        let labels = match self.labeler.labels(entry) {
            Outcome::Kept(labels) => labels.clone(),
            Outcome::Dropped(_) => {
                if self.context.explains() {
                    let item = self.explained(entry);
                    self.context.end(Fate::Dropped, item);
                }
                return None;
            }
        };
        let mut item = std::mem::take(&mut self.item);
        item.cursor = *entry.cursor();
        item.owner = self.labeler.owner(entry);
        item.parts.clear();
        self.newest = item.cursor.realtime;
        item.timestamp_ns = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
        item.line.clear();
        item.line.push_str(&self.liner.line(entry));
        item.tenant = None;
        item.metadata.clear();
        for lookup in &self.metadata {
            if let Some(value) = lookup.value(entry) {
                item.metadata.push((lookup.name.clone(), lossy(value).into_owned()));
            }
        }
        item.extracted.restart(&labels);
        item.labels = labels.clone();
        item.steps.clear();
        if self.context.explains() {
            item.steps = self.explained(entry).steps;
        }
        if self.partials.concern(entry) {
            let piece = self.context.explains().then(|| item.clone());
            let held = self.partials.take(entry, item);
            if let (Some(mut piece), true) = (piece, held) {
                piece.steps.push("line: a piece, held until the last one comes".to_owned());
                self.context.end(Fate::Held, piece);
            }
            return self.more();
        }
        if self.chain.run(&mut item, &mut self.context) == Flow::Next {
            if !Arc::ptr_eq(&item.labels, &labels) {
                item.labels = self.labeler.streams.canonical(&item.labels);
            }
            return Some(item);
        }
        self.item = item;
        None
    }

    /// An entry as it comes out of labelling, with all that is said of it so far. Nothing is counted.
    pub(super) fn explained(&mut self, entry: &Entry<'_>) -> Item {
        let Origins { mut steps, set, dropped } = self.labeler.explain(entry);
        if !dropped {
            let metadata = self.metadata.iter().filter_map(|lookup| lookup.explain(entry));
            steps.extend(metadata.map(|step| format!("metadata {step}")));
        }
        Item {
            timestamp_ns: i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX),
            line: self.liner.line(entry).into_owned(),
            labels: Arc::new(set),
            steps,
            ..Item::default()
        }
    }

    /// A further item that an entry has made go on: a line that was held. To be called until there is none.
    fn more(&mut self) -> Option<Item> {
        while let Some(mut item) = self.partials.next_done() {
            if item.parts.len() > 1 && self.context.explains() {
                item.steps.push(format!("line: {} pieces joined", item.parts.len()));
            }
            if self.chain.run(&mut item, &mut self.context) == Flow::Next {
                item.labels = self.labeler.streams.canonical(&item.labels);
                return Some(item);
            }
        }
        None
    }

    /// What stages have held long enough if it is this time (nanoseconds since 1970).
    fn release_at(&mut self, time_ns: i64) -> Vec<Item> {
        if self.chain.is_empty() && self.partials.is_empty() {
            return Vec::new();
        }
        let now = std::mem::replace(&mut self.context.now_ns, time_ns);
        let micros = if time_ns == i64::MAX { u64::MAX } else { u64::try_from(time_ns / 1000).unwrap_or(0) };
        self.partials.release(micros);
        let mut released: Vec<_> = std::iter::from_fn(|| self.more()).collect();
        let of_stages = released.len();
        released.extend(std::iter::from_fn(|| self.chain.release(&mut self.context)));
        // Ages count from now.
        self.context.now_ns = now;
        for item in released.iter_mut().skip(of_stages) {
            item.labels = self.labeler.streams.canonical(&item.labels);
        }
        released
    }

    /// The entries that are held: by stages, or as pieces of a line.
    pub(crate) fn held(&self) -> Vec<Cursor> {
        let mut held = Vec::new();
        self.partials.held(&mut held);
        self.chain.held(&mut held);
        held
    }

    /// Whether anything is held.
    pub(crate) fn holds(&self) -> bool {
        !self.partials.is_empty() || (!self.chain.is_empty() && !self.held().is_empty())
    }
}

/// An entry's metadata: names and values.
#[inline]
pub(crate) fn values<'a>(
    metadata: &'a [FieldLookup],
    entry: &'a Entry<'a>,
) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + Clone {
    metadata.iter().filter_map(|lookup| Some((lookup.name.as_str(), lossy(lookup.value(entry)?))))
}
