//! The fields of the entry at hand, and a cache of those that come again.
//!
//! journald stores each distinct `FIELD=value` once per file, so most fields of an entry were read before: their DATA
//! offset alone tells what they are. The cache maps offsets to parsed fields (four ways, the least recently used is
//! replaced first). A field that only one entry refers to, as journald counts, does not enter it. Fields of the current
//! entry that are not cached live in an arena that the next entry reuses.
//!
//! Invariant: a slot used by the current entry (`stamp == clock`) is not given away before the next entry,
//! so places handed out stay valid for as long as the entry does.

use crate::format::object::OFFSET_MAX;
use crate::keys::{Key, Keys, UNWANTED};

/// Sets of the cache for one file, or a few; with four ways each, 8,192 slots (measured on a million entries: 94 % hits).
const SETS_MIN: usize = 2048;
/// Sets for each file that is read by turns with others (count): about so many values of a file come again.
const SETS_PER_FILE: usize = 512;
/// Sets for any number of files (count): 11 MB, and the values.
const SETS_MAX: usize = 64 << 10;
/// Bits that no offset has: with them it could pass for another one, or another file's, in the cache.
const NO_OFFSET: u64 = !(OFFSET_MAX - 1) | 7;
const WAYS: usize = 4;
/// A value longer than this is cached only while all cached values together stay under
/// [`CACHED_BYTES_MAX`] (bytes).
const CACHED_ALWAYS_MAX: usize = 128;
/// A value longer than this is never cached (bytes).
const CACHED_VALUE_MAX: usize = 4096;
/// All cached values together (bytes): the cache's share of the memory promise.
const CACHED_BYTES_MAX: usize = 1 << 20;
/// Capacity the arena keeps from one entry to the next (bytes).
const ARENA_KEPT_MAX: usize = 512 << 10;

/// Where a field's bytes, `NAME=value`, are.
#[derive(Debug, Clone, Copy)]
enum Place {
    Slot(u32),
    Arena { start: u32, len: u32 },
}

#[derive(Debug, Clone, Copy)]
struct FieldRef {
    identity: u64,
    place: Place,
    name_len: u16,
    key: Key,
}

/// The first field with some name of the entry that was read at this time.
#[derive(Debug, Clone, Copy, Default)]
struct First {
    clock: u32,
    /// Index into `refs`.
    index: u32,
}

/// Names a DATA object among all files of a reader: sixteen bits of file, forty-eight of offset.
/// Equal identities are equal `FIELD=value` pairs.
pub(crate) fn identity(file: u16, offset: u64) -> u64 {
    u64::from(file) << 48 | offset
}

/// One set of the cache, as long as a cache line: a look-up touches no other memory, except for the value
/// of a field that is wanted.
#[derive(Clone)]
#[repr(align(64))]
struct Set {
    identities: [u64; WAYS],
    stamps: [u32; WAYS],
    keys: [Key; WAYS],
    name_lens: [u16; WAYS],
}

const _: () = assert!(size_of::<Set>() == 64);

const EMPTY: Set =
    Set { identities: [0; WAYS], stamps: [0; WAYS], keys: [UNWANTED; WAYS], name_lens: [0; WAYS] };

/// The fields of the current entry.
pub struct Fields {
    keys: Keys,
    sets: Box<[Set]>,
    /// `NAME=value` of each slot, set by set.
    values: Box<[Vec<u8>]>,
    clock: u32,
    generation: u32,
    cached_bytes: usize,
    arena: Vec<u8>,
    refs: Vec<FieldRef>,
    /// For each key, the first field with that name of an entry: of the current one, if its clock says so. Nothing is cleared for
    /// each entry. (`memset` of nothing takes glibc as long as ten fields.)
    first: Vec<First>,
    /// For each key, whether the rule accepts its name.
    matching: Vec<bool>,
}

impl Fields {
    /// An empty store for what `keys` asks for.
    pub fn new(mut keys: Keys) -> Fields {
        let matching = keys.matching();
        let mut fields = Fields {
            sets: Box::default(),
            values: Box::default(),
            clock: 0,
            generation: 0,
            cached_bytes: 0,
            arena: Vec::new(),
            refs: Vec::with_capacity(64),
            first: vec![First::default(); keys.len()],
            matching,
            keys,
        };
        fields.resize(SETS_MIN);
        fields
    }

    /// So many files are read by turns: from now on there is room for what comes again in each of them. What was in the cache
    /// is forgotten when it grows; it does not become smaller.
    pub(crate) fn make_room(&mut self, files: usize) {
        let sets = files.saturating_mul(SETS_PER_FILE).next_power_of_two().clamp(SETS_MIN, SETS_MAX);
        if sets > self.sets.len() {
            self.resize(sets);
            self.forget_all();
        }
    }

    fn resize(&mut self, sets: usize) {
        self.sets = vec![EMPTY; sets].into_boxed_slice();
        self.values = vec![Vec::new(); WAYS * sets].into_boxed_slice();
        self.cached_bytes = 0;
    }

    /// Forgets the current entry.
    pub(crate) fn begin(&mut self) {
        if self.arena.capacity() > ARENA_KEPT_MAX {
            self.arena = Vec::new();
        }
        self.arena.clear();
        self.refs.clear();
        self.clock = self.clock.wrapping_add(1);
        if self.clock == 0 {
            self.forget_all();
        }
    }

    /// Empties the cache: the file numbers or the clock start anew.
    pub(crate) fn forget_all(&mut self) {
        self.sets.fill(EMPTY);
        self.first.fill(First::default());
        self.clock = 1;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Changes when identities get other meanings: forget all identities then.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Has the processor fetch where these fields would be, all at once, when the cache is larger than its own: `items` and `file`
    /// are as for [`Fields::add_cached`].
    #[inline]
    pub(crate) fn fetch(&self, file: u64, items: &[u64]) {
        if self.sets.len() > SETS_MIN {
            let identity =
                |offset: &u64| self.sets.get(self.set_of(file | offset)).map_or(0, |set| set.identities[0]);
            std::hint::black_box(items.iter().fold(0, |sum, offset| sum ^ identity(offset)));
        }
    }

    /// Adds fields from the cache, up to the first one that is not there; how many these are. `items` are the offsets of DATA
    /// objects of an entry, `file` is the part of their identities that they share.
    #[inline]
    pub(crate) fn add_cached(&mut self, file: u64, items: &[u64]) -> usize {
        let mut known = |offset: &u64| offset & NO_OFFSET == 0 && self.add_one(file | offset);
        items.iter().position(|offset| !known(offset)).unwrap_or(items.len())
    }

    /// Adds the field with this identity from the cache; false when it is not there.
    #[inline]
    fn add_one(&mut self, identity: u64) -> bool {
        let number = self.set_of(identity);
        let Some(set) = self.sets.get_mut(number) else { return false };
        let Some(way) = set.identities.iter().position(|i| *i == identity) else { return false };
        set.stamps[way] = self.clock;
        let (key, name_len) = (set.keys[way], set.name_lens[way]);
        if key != UNWANTED {
            self.push(FieldRef { identity, place: Place::Slot((number * WAYS + way) as u32), name_len, key });
        }
        true
    }

    /// The number of the set that a field may be in. Offsets are multiples of eight; the golden ratio spreads the rest.
    #[inline]
    fn set_of(&self, identity: u64) -> usize {
        (identity.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & self.sets.len().wrapping_sub(1)
    }

    /// What to do with a field of this name: its key, or `None` to ignore it.
    pub(crate) fn wanted(&mut self, name: &[u8]) -> Option<Key> {
        self.keys.wanted(name)
    }

    /// The arena, to append `NAME=value` to before [`Fields::add_from_arena`].
    pub(crate) fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// The name of the field appended to the arena since `start`: its length, and the key if it is wanted. `None` when
    /// there is no name of at most `name_max` bytes.
    pub(crate) fn name_in_arena(&mut self, start: usize, name_max: usize) -> Option<(usize, Option<Key>)> {
        let bytes = self.arena.get(start..)?;
        let name_len = memchr::memchr(b'=', bytes).filter(|n| (1..=name_max).contains(n))?;
        Some((name_len, self.keys.wanted(bytes.get(..name_len)?)))
    }

    /// Cuts the field appended to the arena since `start` to the longest value wanted.
    pub(crate) fn cut_value(&mut self, start: usize, name_len: usize) {
        self.arena.truncate(start.saturating_add(name_len + 1).saturating_add(self.keys.value_max()));
    }

    /// The longest value that is read (bytes); the rest of a longer one is left out.
    pub(crate) fn value_max(&self) -> usize {
        self.keys.value_max()
    }

    /// Adds the field whose bytes were appended to the arena since `start`. `recurs` says that other
    /// entries refer to it, so that it is worth a slot.
    pub(crate) fn add_from_arena(
        &mut self,
        identity: u64,
        start: usize,
        name_len: usize,
        key: Key,
        recurs: bool,
    ) {
        let name_len = u16::try_from(name_len).unwrap_or(u16::MAX);
        let len = self.arena.len() - start;
        let cacheable = recurs
            && (len <= CACHED_ALWAYS_MAX
                || (len <= CACHED_VALUE_MAX && self.cached_bytes + len <= CACHED_BYTES_MAX));
        let slot = if cacheable { self.take_slot(identity, key, name_len) } else { None };
        let place = match slot {
            Some(slot) => {
                if let (Some(value), Some(bytes)) = (self.values.get_mut(slot), self.arena.get(start..)) {
                    self.cached_bytes -= value.capacity();
                    if value.capacity() > CACHED_ALWAYS_MAX && len <= CACHED_ALWAYS_MAX {
                        *value = Vec::new();
                    }
                    value.clear();
                    value.extend_from_slice(bytes);
                    self.cached_bytes += value.capacity();
                }
                self.arena.truncate(start);
                Place::Slot(slot as u32)
            }
            None => Place::Arena { start: start as u32, len: len as u32 },
        };
        self.push(FieldRef { identity, place, name_len, key });
    }

    /// Remembers that the field with this identity is not wanted, if other entries refer to it.
    pub(crate) fn remember_unwanted(&mut self, identity: u64, recurs: bool) {
        if recurs {
            self.take_slot(identity, UNWANTED, 0);
        }
    }

    /// Gives the least recently used slot of the set to a field; none if the current entry uses them all.
    fn take_slot(&mut self, identity: u64, key: Key, name_len: u16) -> Option<usize> {
        let number = self.set_of(identity);
        let set = self.sets.get_mut(number)?;
        let way = (0..WAYS).min_by_key(|way| set.stamps[*way])?;
        if set.stamps[way] == self.clock {
            return None;
        }
        set.identities[way] = identity;
        set.stamps[way] = self.clock;
        set.keys[way] = key;
        set.name_lens[way] = name_len;
        Some(number * WAYS + way)
    }

    #[inline]
    fn push(&mut self, field: FieldRef) {
        if let Some(first) = self.first.get_mut(field.key.index())
            && first.clock != self.clock
        {
            *first = First { clock: self.clock, index: self.refs.len() as u32 };
        }
        self.refs.push(field);
    }

    fn bytes(&self, field: &FieldRef) -> &[u8] {
        match field.place {
            Place::Slot(slot) => self.values.get(slot as usize).map_or(&[], Vec::as_slice),
            Place::Arena { start, len } => {
                self.arena.get(start as usize..(start + len) as usize).unwrap_or_default()
            }
        }
    }

    fn split<'a>(&'a self, field: &FieldRef) -> (&'a [u8], &'a [u8]) {
        let bytes = self.bytes(field);
        let name_len = usize::from(field.name_len).min(bytes.len());
        let (name, rest) = bytes.split_at(name_len);
        (name, rest.get(1..).unwrap_or_default())
    }

    /// The value of the first field with this name.
    pub fn value(&self, key: Key) -> Option<&[u8]> {
        let field = self.field(key)?;
        Some(self.split(field).1)
    }

    /// A number that stands for the first field with this name: equal numbers, equal values. Zero when
    /// the entry has no such field.
    #[inline]
    pub fn identity(&self, key: Key) -> u64 {
        self.field(key).map_or(0, |field| field.identity)
    }

    /// All fields that were asked for, as the entry has them: name and value, names may repeat.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + use<'_> {
        self.refs.iter().map(|field| self.split(field))
    }

    /// The fields whose names the rule of [`Keys::add_matching`] accepts, as the entry has them: name and value.
    /// Names may repeat; they may have been asked for by name too.
    pub fn matching(&self) -> impl Iterator<Item = (&[u8], &[u8])> + use<'_> {
        self.refs_matching().map(|field| self.split(field))
    }

    /// The identities of [`Fields::matching`].
    #[inline]
    pub fn matching_identities(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.refs_matching().map(|field| field.identity)
    }

    #[inline]
    fn refs_matching(&self) -> impl Iterator<Item = &FieldRef> + use<'_> {
        let named = |key: Key| self.matching.get(key.index()).copied().unwrap_or(false);
        self.refs.iter().filter(move |field| field.key.is_matching() || named(field.key))
    }

    #[inline]
    fn field(&self, key: Key) -> Option<&FieldRef> {
        let first = self.first.get(key.index()).filter(|first| first.clock == self.clock)?;
        self.refs.get(first.index as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::keys::RULED_MAX;

    fn store(names: &[&str]) -> (Fields, Vec<Key>) {
        let mut keys = Keys::default();
        let ids = names.iter().map(|n| keys.add(n)).collect();
        (Fields::new(keys), ids)
    }

    fn add(fields: &mut Fields, identity: u64, text: &str, recurs: bool) {
        let name_len = text.find('=').unwrap();
        match fields.wanted(&text.as_bytes()[..name_len]) {
            None => fields.remember_unwanted(identity, recurs),
            Some(key) => {
                let start = fields.arena().len();
                fields.arena().extend_from_slice(text.as_bytes());
                fields.add_from_arena(identity, start, name_len, key, recurs);
            }
        }
    }

    #[test]
    fn the_first_of_a_name_is_its_value_and_unwanted_fields_vanish() {
        let (mut fields, keys) = store(&["UNIT", "PID"]);
        fields.begin();
        add(&mut fields, 8, "UNIT=a", true);
        add(&mut fields, 16, "OTHER=x", true);
        add(&mut fields, 24, "UNIT=b", false);
        assert_eq!(fields.value(keys[0]), Some(&b"a"[..]));
        assert_eq!(fields.value(keys[1]), None);
        assert_eq!((fields.identity(keys[0]), fields.identity(keys[1])), (8, 0));
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [(&b"UNIT"[..], &b"a"[..]), (b"UNIT", b"b")]);

        fields.begin();
        assert!(fields.add_one(8) && fields.add_one(16), "both were remembered");
        assert!(!fields.add_one(24), "a field of one entry is not cached");
        assert_eq!(fields.value(keys[0]), Some(&b"a"[..]));
        assert_eq!(fields.iter().count(), 1);
    }

    #[test]
    fn a_rule_for_names_wants_fields_beside_those_asked_for_by_name() {
        let mut keys = Keys::default();
        let (unit, host) = (keys.add("_UNIT"), keys.add("HOST"));
        keys.add_matching(Arc::new(|name| name.starts_with(b"_")));
        let mut fields = Fields::new(keys);
        for round in 0..2 {
            fields.begin();
            for (identity, text) in
                [(8, "_UNIT=u"), (16, "HOST=h"), (24, "_PID=1"), (32, "OTHER=x"), (40, "_PID=2")]
            {
                let cached = fields.add_one(identity);
                assert_eq!(cached, round == 1);
                if !cached {
                    add(&mut fields, identity, text, true);
                }
            }
            let matching: Vec<_> = fields.matching().collect();
            let expected: [(&[u8], &[u8]); 3] = [(b"_UNIT", b"u"), (b"_PID", b"1"), (b"_PID", b"2")];
            assert_eq!(matching, expected);
            assert_eq!(fields.matching_identities().collect::<Vec<_>>(), [8, 24, 40]);
            assert_eq!((fields.value(unit), fields.value(host)), (Some(&b"u"[..]), Some(&b"h"[..])));
            assert_eq!(fields.iter().count(), 4);
        }
        // Whatever names senders invent.
        for n in 0..RULED_MAX + 10 {
            assert!(fields.wanted(format!("_{n}").as_bytes()).is_some());
            assert!(fields.wanted(format!("N{n}").as_bytes()).is_none());
        }
    }

    #[test]
    fn places_of_the_current_entry_survive_any_number_of_others() {
        let (mut fields, keys) = store(&["F"]);
        for round in 0..3u64 {
            fields.begin();
            // Far more fields than slots: every set overflows within one entry.
            let values: Vec<String> = (0..20_000).map(|n| format!("F={round}-{n}")).collect();
            for (n, text) in values.iter().enumerate() {
                add(&mut fields, (round * 20_000 + n as u64 + 1) * 8, text, true);
            }
            let got: Vec<_> = fields.iter().map(|(_, v)| v.to_vec()).collect();
            assert!(got.iter().zip(&values).all(|(g, v)| g == &v.as_bytes()[2..]));
            assert_eq!(got.len(), values.len());
        }
        assert!(fields.value(keys[0]).is_some());
    }

    #[test]
    fn what_comes_again_in_many_files_has_room_and_unknown_offsets_are_told() {
        let (mut fields, _) = store(&["F"]);
        // Of each file, a hundred values that are wanted and a hundred that are not.
        let values: Vec<(u64, String)> = (1..=60u16)
            .flat_map(|file| (1..=200u64).map(move |n| (identity(file, n * 64), n)))
            .map(|(id, n)| (id, format!("{}={n}", if n % 2 == 0 { "F" } else { "G" })))
            .collect();
        let hits = |fields: &mut Fields| {
            let known = |(id, text): &&(u64, String)| {
                fields.begin();
                let known = fields.add_one(*id);
                if !known {
                    add(fields, *id, text, true);
                }
                known
            };
            values.iter().filter(known).count()
        };
        assert_eq!(hits(&mut fields), 0);
        assert!(hits(&mut fields) < values.len() / 2, "too many for a few files");
        let generation = fields.generation();
        fields.make_room(60);
        assert_ne!(fields.generation(), generation);
        assert_eq!(hits(&mut fields), 0, "all were forgotten");
        assert!(hits(&mut fields) > values.len() * 99 / 100);
        fields.make_room(2);
        assert!(hits(&mut fields) > values.len() * 99 / 100, "it does not become smaller");

        // Offsets that no object can have, and one that nobody has read.
        fields.begin();
        let file = identity(7, 0);
        for items in [[64 | 1 << 50, 64], [65, 64], [u64::MAX, 64], [8, 64]] {
            assert_eq!(fields.add_cached(file, &items), 0, "{items:?}");
        }
        assert_eq!(fields.add_cached(file, &[64, 128, 192, 8, 64]), 3);
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(&b"F"[..], &b"2"[..])]);
    }

    #[test]
    fn the_clock_may_wrap() {
        let (mut fields, keys) = store(&["F"]);
        fields.clock = u32::MAX - 1;
        for round in 0..4 {
            fields.begin();
            if !fields.add_one(8) {
                add(&mut fields, 8, "F=v", true);
            }
            assert_eq!(fields.value(keys[0]), Some(&b"v"[..]), "round {round}");
        }
    }

    #[test]
    fn cached_bytes_are_bounded() {
        let (mut fields, _) = store(&["F"]);
        let long = format!("F={}", "x".repeat(CACHED_VALUE_MAX - 2));
        for n in 1..100_000u64 {
            fields.begin();
            add(&mut fields, n * 8, &long, true);
        }
        assert!(fields.cached_bytes <= CACHED_BYTES_MAX + SETS_MIN * WAYS * CACHED_ALWAYS_MAX);
    }
}
