//! Numbers drawn from a seed, and damage drawn from numbers: that of a seed is always the same.

/// A small generator of numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// A number below this one.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A number that the environment may set: how many cases, or which is the first.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// Damages a file in one of several ways and says how.
pub fn damage(bytes: &mut Vec<u8>, seed: u64) -> String {
    const PAGE: usize = 4096;
    let mut random = Random(seed);
    let used = bytes.iter().rposition(|b| *b != 0).unwrap_or(0) + 1;
    match random.below(7) {
        0 => {
            let at = random.below(used);
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        1 => {
            let len = random.below(used);
            bytes.truncate(len);
            format!("cut to {len} bytes")
        }
        2 => {
            let start = random.below(used) / PAGE * PAGE;
            let end = (start + PAGE).min(bytes.len());
            bytes[start..end].fill(0);
            format!("page at {start} zeroed")
        }
        3 => {
            let (from, to, len) = (random.below(used), random.below(used), 1 + random.below(512));
            let piece: Vec<u8> = bytes[from..(from + len).min(bytes.len())].to_vec();
            let end = (to + piece.len()).min(bytes.len());
            bytes[to..end].copy_from_slice(&piece[..end - to]);
            format!("{len} bytes of {from} over {to}")
        }
        4 => {
            // A number of an object or of the header, where offsets, sizes and counts stand.
            let at = random.below(used) / 8 * 8;
            let value = [0, 1, 7, 8, 16, u64::MAX, u64::MAX - 7, 1 << 32, at as u64][random.below(9)];
            if let Some(place) = bytes.get_mut(at..at + 8) {
                place.copy_from_slice(&value.to_le_bytes());
            }
            format!("number at {at} is {value}")
        }
        5 => {
            let at = random.below(272.min(used));
            bytes[at] = random.below(256) as u8;
            format!("header byte {at} is {}", bytes[at])
        }
        _ => {
            let count = 1 + random.below(32);
            for _ in 0..count {
                let at = random.below(used);
                bytes[at] = random.below(256) as u8;
            }
            format!("{count} bytes anywhere")
        }
    }
}
