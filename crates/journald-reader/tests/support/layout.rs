//! Where everything stands in a sound journal file, for tests that damage it.

use std::collections::HashSet;

pub const TYPE_DATA: u8 = 1;
pub const TYPE_ENTRY: u8 = 3;

pub fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Where everything stands in a sound file.
pub struct Layout {
    pub compact: bool,
    /// Every object: place, type and size.
    pub objects: Vec<(usize, u8, usize)>,
    pub entries: Vec<usize>,
    /// The chain of arrays that names them.
    pub arrays: Vec<usize>,
}

impl Layout {
    pub fn of(bytes: &[u8]) -> Layout {
        let (mut at, tail) = (number(bytes, 88) as usize, number(bytes, 136) as usize);
        let mut objects = Vec::new();
        while at <= tail {
            let size = number(bytes, at + 8) as usize;
            objects.push((at, bytes[at], size));
            at += size.next_multiple_of(8);
        }
        let entries = objects.iter().filter(|o| o.1 == TYPE_ENTRY).map(|o| o.0).collect();
        let (mut arrays, mut array) = (Vec::new(), number(bytes, 176) as usize);
        while array != 0 {
            arrays.push(array);
            array = number(bytes, array + 16) as usize;
        }
        Layout { compact: bytes[12] & 16 != 0, objects, entries, arrays }
    }

    /// The DATA objects of an entry.
    pub fn data_of(&self, bytes: &[u8], entry: usize) -> Vec<usize> {
        let end = entry + number(bytes, entry + 8) as usize;
        let items = &bytes[entry + 64..end];
        match self.compact {
            true => {
                items.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize).collect()
            }
            false => items.chunks_exact(16).map(|b| number(b, 0) as usize).collect(),
        }
    }

    /// The DATA objects that only this entry has.
    pub fn own_data(&self, bytes: &[u8], entry: usize) -> Vec<usize> {
        let others: HashSet<usize> =
            self.entries.iter().filter(|e| **e != entry).flat_map(|e| self.data_of(bytes, *e)).collect();
        self.data_of(bytes, entry).into_iter().filter(|data| !others.contains(data)).collect()
    }

    /// Where the payload of a DATA object begins in it.
    pub fn payload(&self) -> usize {
        if self.compact { 72 } else { 64 }
    }

    /// Whether a damaged copy has all of an entry: itself and its fields, without the links that look-ups follow.
    pub fn has_whole(&self, sound: &[u8], damaged: &[u8], entry: usize) -> bool {
        let same = |from: usize, to: usize| damaged.get(from..to) == Some(&sound[from..to]);
        let end = |object: usize| object + number(sound, object + 8) as usize;
        // The type, the size, the hash.
        let data = |data: usize| same(data, data + 24) && same(data + self.payload(), end(data));
        same(entry, end(entry)) && self.data_of(sound, entry).into_iter().all(data)
    }
}
