//! Which streams there are: their labels, how many entries each has, and of how many bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::journal::{Asking, Journal};
use super::{Progress, QueryError, Run, narrow};
use crate::pipeline::{Shaper, Sink, values};
use crate::shape::labels::Outcome;
use crate::shape::stages::Item;
use journald_reader::{Entry, Match};
use logql::LogQuery;
use logql::label_set::LabelSet;

/// Streams that are told apart (count): memory stays bounded, whatever labels say.
const STREAMS_MAX: usize = 100_000;

/// Whether a selector has no matcher at all. Alone, it stands for all streams (grafana/loki, `pkg/loghttp/series.go`).
pub fn is_any(selector: &str) -> bool {
    selector.replace(' ', "") == "{}"
}

/// What a stream has within a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries (count).
    pub entries: u64,
    /// Their lines and structured metadata (bytes).
    pub bytes: u64,
}

/// The streams of a span.
#[derive(Debug, Default)]
pub struct Streams {
    /// With their sizes in steps, by the number of the step.
    found: IndexMap<Arc<LabelSet>, Vec<(i64, Size)>, foldhash::quality::RandomState>,
}

impl Streams {
    /// The streams of a span (nanoseconds since 1970, the end exclusive) that any of the selectors chooses; without selectors,
    /// all.
    ///
    /// # Errors
    /// The journal cannot be read, or the time is over.
    pub fn find(
        selectors: &[LogQuery],
        span: (i64, i64),
        journal: &Journal<'_>,
        run: &mut Run<'_>,
    ) -> Result<(Streams, Progress), QueryError> {
        Streams::find_by(i64::MAX, selectors, span, journal, run)
    }

    /// As [`Streams::find`], and sizes are told apart by steps (nanoseconds), which begin at multiples of their length.
    ///
    /// # Errors
    /// As [`Streams::find`].
    pub fn find_by(
        step: i64,
        selectors: &[LogQuery],
        (start, end): (i64, i64),
        journal: &Journal<'_>,
        run: &mut Run<'_>,
    ) -> Result<(Streams, Progress), QueryError> {
        run.limits.span((start, end))?;
        let narrowed: Vec<Match> =
            selectors.iter().map(|query| narrow::of_query(query, &journal.shape())).collect();
        let micros = |nanoseconds: i64| u64::try_from(nanoseconds.div_euclid(1000)).unwrap_or(0);
        let mut counting = Counting {
            selectors,
            step: step.max(1),
            span: (start, end),
            streams: Streams::default(),
            crowded: false,
            chosen: 0,
        };
        let span = (micros(start), micros(end.saturating_sub(1)));
        let progress = journal.read(span, &narrowed, &mut counting, run)?;
        match counting.crowded {
            true => Err(QueryError::Series(STREAMS_MAX)),
            false => Ok((counting.streams, progress)),
        }
    }

    /// The streams, in the order in which they were met.
    pub fn iter(&self) -> impl Iterator<Item = (&LabelSet, Size)> {
        self.found.iter().map(|(labels, sizes)| {
            let all = sizes.iter().fold(Size::default(), |all, (_, size)| Size {
                entries: all.entries + size.entries,
                bytes: all.bytes + size.bytes,
            });
            (&**labels, all)
        })
    }

    /// The streams with their sizes in each step that has entries, by the number of the step.
    pub fn steps(&self) -> impl Iterator<Item = (&LabelSet, &[(i64, Size)])> {
        self.found.iter().map(|(labels, sizes)| (&**labels, sizes.as_slice()))
    }

    /// The names of all labels, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        self.found.keys().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect()
    }

    /// The values of a label, sorted.
    pub fn values(&self, name: &str) -> BTreeSet<&str> {
        self.found.keys().filter_map(|labels| labels.get(name)).collect()
    }

    /// All labels with all their values.
    pub fn labels(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in self.found.keys().flat_map(|labels| labels.iter()) {
            all.entry(name).or_default().insert(value);
        }
        all
    }
}

struct Counting<'q> {
    selectors: &'q [LogQuery],
    /// The length of a step (nanoseconds).
    step: i64,
    span: (i64, i64),
    streams: Streams,
    /// There are more streams than can be told apart.
    crowded: bool,
    chosen: u64,
}

impl Counting<'_> {
    fn count(&mut self, time: i64, labels: &Arc<LabelSet>, bytes: impl FnOnce() -> usize) {
        let (start, end) = self.span;
        if !(start..end).contains(&time) {
            return;
        }
        let found = &mut self.streams.found;
        if !found.contains_key(labels) {
            let chosen =
                self.selectors.is_empty() || self.selectors.iter().any(|query| query.matches(labels));
            if !chosen {
                return;
            }
            if found.len() >= STREAMS_MAX {
                self.crowded = true;
                return;
            }
            found.insert(labels.clone(), Vec::new());
        }
        let Some(sizes) = found.get_mut(labels) else { return };
        self.chosen += 1;
        let number = time.div_euclid(self.step);
        // Entries come nearly in the order of time.
        let at = sizes.iter().rposition(|(known, _)| *known == number).unwrap_or_else(|| {
            sizes.push((number, Size::default()));
            sizes.len() - 1
        });
        if let Some((_, size)) = sizes.get_mut(at) {
            size.entries += 1;
            size.bytes += bytes() as u64;
        }
    }
}

impl Sink for Counting<'_> {
    #[inline]
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Shaper { labeler, metadata, liner, .. } = shaper;
        let Outcome::Kept(labels) = labeler.labels(entry) else { return };
        let time = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
        let metadata =
            || values(metadata, entry).map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.count(time, labels, || liner.line(entry).len() + metadata());
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, _entry: Option<&Entry<'_>>) {
        let metadata = || item.metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.count(item.timestamp_ns, &item.labels, || item.line.len() + metadata());
    }
}

impl Asking for Counting<'_> {
    fn is_done(&self) -> bool {
        self.crowded
    }

    fn chosen(&self) -> u64 {
        self.chosen
    }
}
