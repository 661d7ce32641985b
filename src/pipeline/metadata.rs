//! Structured metadata, encoded: the pairs of an entry as they go into its push request. Values of metadata are mostly those of an
//! earlier entry of the same process, so what was encoded is remembered by the fields that it came from.

use std::borrow::Cow;

use super::shaper::values;
use crate::loki::encode::Metadata;
use crate::loki::learned::Limits;
use crate::shape::labels::FieldLookup;
use journald_reader::{Entry, Key};
use logql::label_set::cut;

/// Combinations of fields whose pairs are remembered (count): a host has some hundred processes that log.
const REMEMBERED: usize = 256;
/// The most that is remembered of one combination (bytes): 64 KiB for all of them.
const REMEMBERED_BYTES_MAX: usize = 256;

/// Encodes metadata, and remembers it.
pub(super) struct Encoder {
    keys: Box<[Key]>,
    /// What identities of fields mean changes with it.
    generation: u32,
    remembered: Box<[Remembered]>,
    scratch: Vec<u64>,
    encoded: Metadata,
}

#[derive(Default)]
struct Remembered {
    /// Of each key, what the entry had: empty where nothing is remembered.
    identities: Box<[u64]>,
    encoded: Metadata,
}

impl Encoder {
    /// For these rules.
    pub(super) fn new(metadata: &[FieldLookup]) -> Encoder {
        let remembered = std::iter::repeat_with(Remembered::default).take(REMEMBERED).collect();
        let keys = metadata.iter().flat_map(FieldLookup::keys).collect();
        Encoder { keys, generation: 0, remembered, scratch: Vec::new(), encoded: Metadata::default() }
    }

    /// Forgets everything: the limits are others.
    pub(super) fn forget(&mut self) {
        self.remembered.iter_mut().for_each(|remembered| remembered.identities = Box::default());
    }

    /// The pairs of an entry.
    #[inline]
    pub(super) fn of_entry(
        &mut self,
        metadata: &[FieldLookup],
        entry: &Entry<'_>,
        limits: &Limits,
        moved: &[(String, String)],
    ) -> &Metadata {
        if !moved.is_empty() || self.keys.is_empty() {
            return self.encode(limits, values(metadata, entry), moved);
        }
        if self.generation != entry.generation() {
            self.generation = entry.generation();
            self.forget();
        }
        self.scratch.clear();
        self.scratch.extend(self.keys.iter().map(|key| entry.identity(*key)));
        // Identities are offsets, which are multiples of eight; the golden ratio spreads them.
        let hash = self.scratch.iter().fold(0, |hash: u64, identity| {
            (hash.rotate_left(5) ^ identity).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let at = (hash >> 32) as usize % REMEMBERED;
        if self.remembered.get(at).is_none_or(|remembered| *remembered.identities != *self.scratch) {
            self.remember(at, metadata, entry, limits);
        }
        match self.remembered.get(at) {
            Some(remembered) if !remembered.identities.is_empty() => &remembered.encoded,
            _ => &self.encoded,
        }
    }

    /// Encodes the pairs of an entry, and puts them where they are looked for, unless they are too long.
    fn remember(&mut self, at: usize, metadata: &[FieldLookup], entry: &Entry<'_>, limits: &Limits) {
        self.encode(limits, values(metadata, entry), &[]);
        let Some(remembered) = self.remembered.get_mut(at) else { return };
        if self.encoded.payload() > REMEMBERED_BYTES_MAX {
            remembered.identities = Box::default();
            return;
        }
        match remembered.identities.len() == self.scratch.len() {
            true => remembered.identities.copy_from_slice(&self.scratch),
            false => remembered.identities = self.scratch.as_slice().into(),
        }
        std::mem::swap(&mut remembered.encoded, &mut self.encoded);
    }

    /// Encodes metadata, and labels that a stream does not carry, within Loki's limits.
    #[inline]
    pub(super) fn encode<'a>(
        &mut self,
        limits: &Limits,
        metadata: impl Iterator<Item = (&'a str, Cow<'a, str>)> + Clone,
        moved: &[(String, String)],
    ) -> &Metadata {
        let encoded = &mut self.encoded;
        encoded.clear();
        let mut room = limits.metadata;
        let most = limits.metadata_names;
        let mut put = |name: &str, value: Cow<'_, str>| {
            room = room.saturating_sub(name.len());
            let value = cut(value, room);
            room -= value.len();
            encoded.add(name, &value);
        };
        if moved.is_empty() {
            metadata.take(most).for_each(|(name, value)| put(name, value));
            return &self.encoded;
        }
        let moved = moved.iter().filter(|(name, _)| metadata.clone().all(|(other, _)| other != name));
        let moved: Vec<_> = moved.take(most).collect();
        for (name, value) in metadata.take(most - moved.len()) {
            put(name, value);
        }
        moved.into_iter().for_each(|(name, value)| put(name, value.into()));
        &self.encoded
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::shape::labels::FieldRule;
    use journald_reader::{Keys, Scope, Start, Tail, Waker};

    /// Goes through the demo journal twice, with these rules and limits; what was remembered is compared with what is encoded anew.
    /// Returns how often something remembered was given, and the longest payload (bytes).
    fn compare(rules: &[(&str, &[&str])], limits: &Limits) -> (usize, usize) {
        let mut keys = Keys::default();
        let rule = |(name, sources): &(&str, &[&str])| FieldRule {
            name: (*name).to_owned(),
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        };
        let lookups: Vec<_> = rules.iter().map(|r| FieldLookup::new(&rule(r), &mut keys)).collect();
        let (mut encoder, mut anew) = (Encoder::new(&lookups), Encoder::new(&lookups));
        let (mut known, mut longest) = (0, 0);
        for _ in 0..2 {
            let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
            let scope = Scope::of([demo]);
            let mut tail = Tail::open(&scope, keys.clone(), Start::Oldest, Waker::new().unwrap()).unwrap();
            while let Some(entry) = tail.next_entry() {
                let expected = anew.encode(limits, values(&lookups, &entry), &[]);
                longest = longest.max(expected.payload());
                assert_eq!(encoder.of_entry(&lookups, &entry, limits, &[]), expected);
                let moved = [("unit".to_owned(), "other".to_owned())];
                let expected = anew.encode(limits, values(&lookups, &entry), &moved);
                assert_eq!(encoder.of_entry(&lookups, &entry, limits, &moved), expected);
                let at = encoder.remembered.iter().find(|one| *one.identities == *encoder.scratch);
                known += usize::from(at.is_some());
            }
            encoder.forget();
            assert!(encoder.remembered.iter().all(|one| one.identities.is_empty()));
        }
        (known, longest)
    }

    #[test]
    fn what_is_remembered_is_what_would_be_encoded() {
        let limits = |metadata, metadata_names| Limits { line: 1000, metadata, metadata_names };
        let process: (&str, &[&str]) = ("process", &["_PID"]);
        let identifier: (&str, &[&str]) = ("identifier", &["SYSLOG_IDENTIFIER", "_COMM"]);
        let message: (&str, &[&str]) = ("message", &["MESSAGE"]);
        let (known, _) = compare(&[process, identifier], &limits(65536, 128));
        assert!(known > 100, "{known} entries");
        // Each message differs.
        compare(&[process, message], &limits(65536, 128));
        let (_, longest) = compare(&[process, identifier, message], &limits(20, 128));
        // Names stay whole.
        assert!(longest <= 20 + "identifier".len(), "{longest}");
        compare(&[process, identifier], &limits(65536, 1));
        compare(&[], &limits(65536, 128));
    }

    #[test]
    fn what_is_long_is_not_remembered() {
        let rules: &[(&str, &[&str])] = &[(&"n".repeat(REMEMBERED_BYTES_MAX), &["_TRANSPORT"])];
        assert_eq!(compare(rules, &Limits { line: 1000, metadata: 65536, metadata_names: 8 }).0, 0);
    }
}
