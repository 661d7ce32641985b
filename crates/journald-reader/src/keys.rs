//! The names of the fields that a consumer wants.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A field name that the consumer asked for; an index into [`Keys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u16);

impl Key {
    /// Its place among the names that were asked for.
    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Whether the field was not asked for by name, but by the rule of [`Keys::add_matching`].
    #[inline]
    pub(crate) fn is_matching(self) -> bool {
        self == MATCHING
    }
}

/// A field that was not asked for by name, but with all others.
const NO_KEY: Key = Key(u16::MAX);
/// A field that was not asked for: the cache remembers only that.
pub(crate) const UNWANTED: Key = Key(u16::MAX - 1);
/// A field that was not asked for by name, but by the rule of [`Keys::add_matching`].
const MATCHING: Key = Key(u16::MAX - 2);
/// Field names whose answer from that rule is remembered (count). A host has a few hundred; senders may
/// invent more, then the memory starts anew.
pub(crate) const RULED_MAX: usize = 4096;

/// The field names that a consumer wants, and whether it wants all others too.
///
/// A reader reads only what is asked for: a consumer that wants `MESSAGE` does not pay for a core dump of 16 MiB.
#[derive(Debug, Clone)]
pub struct Keys {
    names: Vec<Box<[u8]>>,
    /// Holds only names that the consumer chose, so no sender can fill it.
    index: HashMap<Box<[u8]>, Key, foldhash::fast::RandomState>,
    all: bool,
    matching: Option<Matching>,
    value_max: usize,
}

/// Says of a field name whether the consumer wants such fields.
pub type NameRule = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

#[derive(Clone)]
struct Matching {
    rule: NameRule,
    /// What the rule said. Senders choose the names, so this map's hash is seeded, and of the better quality.
    known: HashMap<Box<[u8]>, bool, foldhash::quality::RandomState>,
}

impl Matching {
    fn ask(&mut self, name: &[u8]) -> bool {
        if let Some(answer) = self.known.get(name) {
            return *answer;
        }
        if self.known.len() >= RULED_MAX {
            self.known.clear();
        }
        let answer = (self.rule)(name);
        self.known.insert(name.into(), answer);
        answer
    }
}

impl fmt::Debug for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matching").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Longest value read unless the consumer asks for another limit (bytes): journald itself accepts
/// fields of up to 768 MiB (systemd, `DATA_SIZE_MAX`), which no consumer wants.
const VALUE_MAX_DEFAULT: usize = 64 << 20;

impl Default for Keys {
    fn default() -> Keys {
        Keys {
            names: Vec::new(),
            index: HashMap::default(),
            all: false,
            matching: None,
            value_max: VALUE_MAX_DEFAULT,
        }
    }
}

impl Keys {
    /// Asks for a field by name; the same name gives the same key.
    pub fn add(&mut self, name: &str) -> Key {
        if let Some(key) = self.index.get(name.as_bytes()) {
            return *key;
        }
        // Configuration limits the number of names to far below this.
        let key = Key(u16::try_from(self.names.len()).map_or(MATCHING.0 - 1, |n| n.min(MATCHING.0 - 1)));
        self.names.push(name.as_bytes().into());
        self.index.insert(name.as_bytes().into(), key);
        key
    }

    /// Asks for every field of every entry.
    pub fn add_all(&mut self) {
        self.all = true;
    }

    /// Asks for every field whose name a rule accepts; it must always give the same answer for a name. There is one
    /// rule: a second call replaces the first.
    pub fn add_matching(&mut self, rule: NameRule) {
        self.matching = Some(Matching { rule, known: HashMap::default() });
    }

    /// Asks for no more than this many bytes of a value; the rest is not read. Without this, 64 MiB are read.
    pub fn cut_values(&mut self, bytes: usize) {
        self.value_max = bytes;
    }

    /// How many names were asked for.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The longest value that is read (bytes).
    pub(crate) fn value_max(&self) -> usize {
        self.value_max
    }

    /// For each name that was asked for, whether the rule accepts it; empty without a rule.
    pub(crate) fn matching(&mut self) -> Vec<bool> {
        match &mut self.matching {
            Some(matching) => self.names.iter().map(|name| matching.ask(name)).collect(),
            None => Vec::new(),
        }
    }

    /// The key of a field of this name; `None` if the consumer does not want it.
    pub(crate) fn wanted(&mut self, name: &[u8]) -> Option<Key> {
        if let Some(key) = self.index.get(name) {
            return Some(*key);
        }
        let matches = self.matching.as_mut().is_some_and(|matching| matching.ask(name));
        if matches { Some(MATCHING) } else { self.all.then_some(NO_KEY) }
    }
}
