//! Labels: which stream an entry belongs to.
//!
//! A stream is named by its label set. The fields that labels are made of hold few distinct values, and
//! within a journal file equal DATA offsets are equal values, so the label set of an entry is looked up
//! by a handful of numbers; strings are handled only when a combination is met for the first time.

mod set;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{FieldRule, Labels};
use crate::entry::Entry;
use crate::journal::{Key, Keys};

pub use set::{LABEL_VALUE_MAX, LabelSet, cut, lossy};

/// Combinations of values that are remembered (count). More are met only when a field that changes with
/// every entry is made a label; then the memory starts anew.
const REMEMBERED_MAX: usize = 16 << 10;

/// A journal field that a label or metadata value may come from.
#[derive(Debug, Clone)]
pub struct Source {
    key: Key,
    keyword: bool,
}

/// A name in Loki and the journal fields its value may come from, ready to be asked.
#[derive(Debug, Clone)]
pub struct FieldLookup {
    /// Name in Loki.
    pub name: String,
    sources: Vec<Source>,
}

impl FieldLookup {
    /// Registers the fields of a rule with the reader.
    pub fn new(rule: &FieldRule, keys: &mut Keys) -> FieldLookup {
        let source = |field: &String| Source { key: keys.add(field), keyword: field == "PRIORITY" };
        FieldLookup { name: rule.name.clone(), sources: rule.sources.iter().map(source).collect() }
    }

    /// The first value that is present and not empty.
    #[inline]
    pub fn value<'a>(&self, entry: &Entry<'a>) -> Option<&'a [u8]> {
        self.sources.iter().find_map(|source| {
            let value = entry.value(source.key).filter(|value| !value.is_empty())?;
            Some(if source.keyword { priority_keyword(value) } else { value })
        })
    }
}

/// Syslog's severities as Grafana knows them; what is not a severity stays as it is.
fn priority_keyword(value: &[u8]) -> &[u8] {
    match value {
        b"0" => b"emerg",
        b"1" => b"alert",
        b"2" => b"crit",
        b"3" => b"error",
        b"4" => b"warning",
        b"5" => b"notice",
        b"6" => b"info",
        b"7" => b"debug",
        other => other,
    }
}

/// A stream: its number for this process, and its label set as Loki takes it.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Unique as long as the process runs; never given to another label set.
    pub id: u32,
    /// `{a="b", c="d"}`
    pub labels: Arc<str>,
}

/// Finds the stream of an entry.
pub struct Labeler {
    fixed: Vec<(String, String)>,
    lookups: Vec<FieldLookup>,
    keys: Vec<Key>,
    /// Identities of the label fields -> index into `streams`. Only offsets go in, which no sender can
    /// choose, so the hash need not be keyed.
    by_identity: HashMap<Box<[u64]>, usize, foldhash::fast::RandomState>,
    /// Label set as text -> index into `streams`. Senders choose the text, so this hash is keyed.
    by_labels: HashMap<Arc<str>, usize>,
    streams: Vec<Stream>,
    generation: u32,
    next_id: u32,
    scratch: Vec<u64>,
}

impl Labeler {
    /// Prepares labels, with those of one destination added: they win over others of the same name.
    pub fn new(labels: &Labels, added: &[(String, String)], keys: &mut Keys) -> Labeler {
        let overridden = |name: &str| added.iter().any(|(n, _)| n == name);
        let mut fixed: Vec<_> = labels.fixed.iter().filter(|(n, _)| !overridden(n)).cloned().collect();
        fixed.extend_from_slice(added);
        let lookups: Vec<_> = labels
            .fields
            .iter()
            .filter(|rule| !overridden(&rule.name))
            .map(|rule| FieldLookup::new(rule, keys))
            .collect();
        let mut label_keys = Vec::new();
        for source in lookups.iter().flat_map(|lookup| &lookup.sources) {
            if !label_keys.contains(&source.key) {
                label_keys.push(source.key);
            }
        }
        Labeler {
            fixed,
            lookups,
            keys: label_keys,
            by_identity: HashMap::default(),
            by_labels: HashMap::new(),
            streams: Vec::new(),
            generation: 0,
            next_id: 0,
            scratch: Vec::new(),
        }
    }

    /// The stream that this entry belongs to.
    #[inline]
    pub fn stream(&mut self, entry: &Entry<'_>) -> &Stream {
        let index = self.index(entry);
        // Indices and streams are forgotten together, so an index always has its stream.
        &self.streams[index]
    }

    #[inline]
    fn index(&mut self, entry: &Entry<'_>) -> usize {
        if entry.generation() != self.generation {
            self.generation = entry.generation();
            self.by_identity.clear();
        }
        self.scratch.clear();
        self.scratch.extend(self.keys.iter().map(|key| entry.identity(*key)));
        if let Some(index) = self.by_identity.get(self.scratch.as_slice()) {
            return *index;
        }
        let index = self.make(entry);
        self.by_identity.insert(self.scratch.as_slice().into(), index);
        index
    }

    /// Builds the label set from the values.
    fn make(&mut self, entry: &Entry<'_>) -> usize {
        if self.by_identity.len() >= REMEMBERED_MAX || self.streams.len() >= REMEMBERED_MAX {
            self.by_identity.clear();
            self.by_labels.clear();
            self.streams.clear();
        }
        let mut set = LabelSet::default();
        for (name, value) in &self.fixed {
            set.insert(name, value.as_bytes());
        }
        for lookup in &self.lookups {
            if let Some(value) = lookup.value(entry) {
                set.insert(&lookup.name, value);
            }
        }
        let text = set.to_string();
        if let Some(index) = self.by_labels.get(text.as_str()) {
            return *index;
        }
        let stream = Stream { id: self.next_id, labels: text.into() };
        self.next_id = self.next_id.wrapping_add(1);
        let index = self.streams.len();
        self.by_labels.insert(stream.labels.clone(), index);
        self.streams.push(stream);
        index
    }
}

/// Reads a label set back from the text that was pushed, for showing it.
pub fn parse_pushed(text: &str) -> std::collections::BTreeMap<String, String> {
    set::parse(text)
}
