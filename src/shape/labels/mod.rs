//! Labels: which stream an entry belongs to.
//!
//! A label set is the name of a stream. The fields that labels are made of have few different values, and within a journal
//! file equal DATA offsets mean equal values. So the label set of an entry is looked up by a few numbers, and strings are
//! handled only when a combination is new.
//!
//! [`Labeler`] makes the label set of an entry (static labels, journal fields, relabelling) and remembers it. [`Streams`]
//! makes it fit for Loki and finds the stream.

mod cap;
mod explain;
mod limits;
pub(crate) mod lint;
mod overflow;
mod per_set;
mod relabel;
mod rules;
pub(crate) mod section;
mod share;

use std::collections::HashMap;
use std::sync::Arc;

use journald_reader::Entry;
use journald_reader::{Key, Keys};
use logql::label_set::{self, LabelSet};

pub use cap::{Resolved, Stream, Streams};
pub(crate) use explain::Origins;
pub use limits::{Changes, Moved};
pub(crate) use overflow::{OVERFLOW, OVERFLOW_KEEPS, fold, fold_into};
pub(crate) use per_set::PerSet;
pub use rules::{Relabel, RelabelAction};
pub use section::{FieldRule, Labels};
pub use share::Owner;

use limits::Limits;
use relabel::Relabeler;
use share::Owners;

/// How many combinations of values are remembered (count). There are more only if a label comes from a field that changes with
/// every entry, or if a rule drops such entries.
const COMBINATIONS_MAX: usize = 8 << 10;

/// A journal field that a label or metadata value may come from.
#[derive(Debug, Clone)]
pub struct Source {
    key: Key,
    /// The name of the field.
    field: String,
    keyword: bool,
}

/// A name in Loki, and the look-up of its value in the journal fields.
#[derive(Debug, Clone)]
pub struct FieldLookup {
    /// The name in Loki.
    pub name: String,
    sources: Vec<Source>,
}

impl FieldLookup {
    /// Adds the fields of a rule to `keys`.
    pub fn new(rule: &FieldRule, keys: &mut Keys) -> FieldLookup {
        let source = |field: &String| Source {
            key: keys.add(field),
            field: field.clone(),
            keyword: field == "PRIORITY",
        };
        FieldLookup { name: rule.name.clone(), sources: rule.sources.iter().map(source).collect() }
    }

    /// The first value that is not empty. For `PRIORITY`, the first value that is a severity.
    #[inline]
    pub fn value<'a>(&self, entry: &Entry<'a>) -> Option<&'a [u8]> {
        self.sources.iter().find_map(|source| source.value(entry))
    }

    /// The fields that decide on the value.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + use<'_> {
        self.sources.iter().map(|source| source.key)
    }

    /// The field that the value comes from.
    fn source(&self, entry: &Entry<'_>) -> Option<&Source> {
        self.sources.iter().find(|source| source.value(entry).is_some())
    }
}

impl Source {
    #[inline]
    fn value<'a>(&self, entry: &Entry<'a>) -> Option<&'a [u8]> {
        let value = entry.value(self.key).filter(|value| !value.is_empty())?;
        if self.keyword { priority_keyword(value).map(str::as_bytes) } else { Some(value) }
    }
}

/// The severities of syslog by their number, with the names that Grafana knows.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

/// The name of a `PRIORITY`. A sender may write anything into it. What is not a severity is ignored, so that the label has at
/// most eight values.
fn priority_keyword(value: &[u8]) -> Option<&'static str> {
    match value {
        [digit @ b'0'..=b'7'] => SEVERITIES.get(usize::from(digit - b'0')).copied(),
        _ => None,
    }
}

/// The `PRIORITY` that has a name.
pub(crate) fn keyword_priority(word: &str) -> Option<String> {
    SEVERITIES.iter().position(|severity| *severity == word).map(|number| number.to_string())
}

/// The result of labelling an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The entry goes on with these labels, or to this stream.
    Kept(T),
    /// The rule with this index in `labels.relabel_configs` drops it.
    Dropped(usize),
}

/// What is remembered for a combination of values: the number of its label set, or the rule that drops it.
#[derive(Debug, Clone, Copy)]
enum Memo {
    Set(u32),
    Dropped(u32),
}

/// Finds the labels of an entry, and its stream.
pub struct Labeler {
    fixed: Vec<(String, String)>,
    /// So many of `fixed` are those of all destinations; the others are this one's.
    of_all: usize,
    lookups: Vec<FieldLookup>,
    relabeler: Option<Relabeler>,
    /// The fields that labels depend on, without those that only rules for names look at (`maps`).
    keys: Vec<Key>,
    maps: bool,
    /// What is remembered, by the identities of these fields. Identities are offsets, which no sender can choose, so the hash
    /// needs no key.
    by_identity: HashMap<Box<[u64]>, Memo, foldhash::fast::RandomState>,
    generation: u32,
    epoch: u32,
    scratch: Vec<u64>,
    dropped: Vec<u64>,
    owners: Owners,
    /// The streams of this destination.
    pub streams: Streams,
}

impl Labeler {
    /// From now on, remembers which rules for relabelling meet anything.
    pub(crate) fn watch_rules(&mut self) {
        if let Some(relabeler) = &mut self.relabeler {
            relabeler.watch();
        }
    }

    /// For each rule for relabelling, whether it has met anything since then.
    pub(crate) fn rules_met(&self) -> Vec<bool> {
        self.relabeler.as_ref().map(Relabeler::met).unwrap_or_default()
    }

    /// Prepares labels. Those of a destination are added, and replace others of the same name. `retention` is the label of the
    /// retention class, which is kept if there are too many labels.
    pub fn new(
        labels: &Labels,
        added: &[(String, String)],
        retention: Option<&str>,
        keys: &mut Keys,
    ) -> Labeler {
        let overridden = |name: &str| added.iter().any(|(n, _)| n == name);
        let mut fixed: Vec<_> = labels.fixed.iter().filter(|(n, _)| !overridden(n)).cloned().collect();
        let of_all = fixed.len();
        fixed.extend_from_slice(added);
        let lookups: Vec<_> = labels
            .fields
            .iter()
            .filter(|rule| !overridden(&rule.name))
            .map(|rule| FieldLookup::new(rule, keys))
            .collect();
        let relabeler = (!labels.relabel.is_empty()).then(|| Relabeler::new(&labels.relabel, keys));
        let sources = lookups.iter().flat_map(|lookup| &lookup.sources).map(|source| source.key);
        let mut label_keys = Vec::new();
        for key in sources.chain(relabeler.iter().flat_map(Relabeler::keys)) {
            if !label_keys.contains(&key) {
                label_keys.push(key);
            }
        }
        let limits = Limits::new(labels, added, retention);
        Labeler {
            fixed,
            of_all,
            lookups,
            keys: label_keys,
            maps: relabeler.as_ref().is_some_and(Relabeler::maps),
            relabeler,
            by_identity: HashMap::default(),
            generation: 0,
            epoch: 0,
            scratch: Vec::new(),
            dropped: vec![0; labels.relabel.len()],
            owners: Owners::new(keys),
            streams: Streams::new(limits, labels.max_streams, retention),
        }
    }

    /// The stream of an entry, if nothing changes its labels any more.
    #[inline]
    pub fn stream(&mut self, entry: &Entry<'_>) -> Outcome<Resolved<'_>> {
        match self.number(entry) {
            Outcome::Kept(number) => Outcome::Kept(self.stream_of(number, entry)),
            Outcome::Dropped(rule) => Outcome::Dropped(rule),
        }
    }

    /// The number of an entry's label set among [`Labeler::streams`], for [`Labeler::stream_of`].
    #[inline(always)] // on the way of every entry
    pub fn number(&mut self, entry: &Entry<'_>) -> Outcome<u32> {
        match self.memo(entry) {
            Memo::Set(index) => Outcome::Kept(index),
            Memo::Dropped(rule) => self.drop(rule),
        }
    }

    /// As [`Labeler::number`], and nothing is counted; `None` for an entry that a rule drops.
    #[inline]
    pub fn known(&mut self, entry: &Entry<'_>) -> Option<u32> {
        match self.memo(entry) {
            Memo::Set(index) => Some(index),
            Memo::Dropped(_) => None,
        }
    }

    /// The stream of an entry whose label set has this number.
    #[inline(always)] // on the way of every entry
    pub fn stream_of(&mut self, number: u32, entry: &Entry<'_>) -> Resolved<'_> {
        let time = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
        self.streams.at(number, time, || self.owners.of(entry))
    }

    /// The labels of an entry, for stages that may change them. After the stages, [`Streams::resolve`] finds the stream.
    #[inline]
    pub fn labels(&mut self, entry: &Entry<'_>) -> Outcome<&Arc<LabelSet>> {
        match self.number(entry) {
            Outcome::Kept(number) => Outcome::Kept(self.streams.set(number)),
            Outcome::Dropped(rule) => Outcome::Dropped(rule),
        }
    }

    /// From whose share of the streams an entry takes, for [`Streams::resolve`].
    #[inline]
    pub fn owner(&self, entry: &Entry<'_>) -> Owner {
        self.owners.of(entry)
    }

    /// How many entries each rule of `labels.relabel_configs` has dropped.
    pub fn dropped(&self) -> &[u64] {
        &self.dropped
    }

    fn drop<T>(&mut self, rule: u32) -> Outcome<T> {
        let rule = rule as usize;
        if let Some(dropped) = self.dropped.get_mut(rule) {
            *dropped += 1;
        }
        Outcome::Dropped(rule)
    }

    #[inline(always)] // on the way of every entry
    fn memo(&mut self, entry: &Entry<'_>) -> Memo {
        if (entry.generation(), self.streams.epoch()) != (self.generation, self.epoch) {
            (self.generation, self.epoch) = (entry.generation(), self.streams.epoch());
            self.by_identity.clear();
        }
        self.scratch.clear();
        self.scratch.extend(self.keys.iter().map(|key| entry.identity(*key)));
        if self.maps {
            self.scratch.extend(entry.matching_identities());
        }
        if let Some(memo) = self.by_identity.get(self.scratch.as_slice()) {
            return *memo;
        }
        self.make(entry)
    }

    /// Builds the label set from the values, and remembers it.
    fn make(&mut self, entry: &Entry<'_>) -> Memo {
        let mut set = LabelSet::default();
        for (name, value) in &self.fixed {
            set.insert(name, value.as_bytes());
        }
        for lookup in &self.lookups {
            if let Some(value) = lookup.value(entry) {
                set.insert(&lookup.name, value);
            }
        }
        let relabelled = match &self.relabeler {
            Some(relabeler) => relabeler.run(entry, &set),
            None => Ok(set),
        };
        let memo = match relabelled {
            Ok(mut set) => {
                set.shrink();
                Memo::Set(self.streams.intern(&Arc::new(set)))
            }
            Err(rule) => Memo::Dropped(rule as u32),
        };
        // When label sets are forgotten, everything that refers to them must be forgotten, too.
        if self.by_identity.len() >= COMBINATIONS_MAX || self.epoch != self.streams.epoch() {
            self.epoch = self.streams.epoch();
            self.by_identity.clear();
        }
        self.by_identity.insert(self.scratch.as_slice().into(), memo);
        memo
    }
}

/// Reads a label set from the text that was pushed, to show it.
pub fn parse_pushed(text: &str) -> std::collections::BTreeMap<String, String> {
    label_set::parse(text)
}
