//! The two hashes of journal files: Bob Jenkins' lookup3 and Jean-Philippe Aumasson's and Daniel J.
//! Bernstein's SipHash-2-4.
//!
//! Every DATA object carries the hash of its payload as it was before compression: SipHash with the file's id
//! as key where the header says that hashes are keyed, lookup3 otherwise. An ENTRY's `xor_hash` is always made of
//! lookup3, so that it is the same in every file. Sources: <https://burtleburtle.net/bob/c/lookup3.c> (public
//! domain), "SipHash: a fast short-input PRF" (2012), systemd's `journal_file_hash_data` and `jenkins_hash64`.
//!
//! Both take their input in pieces, so that a payload of any length is hashed in little memory.

use crate::cursor::Id128;

/// lookup3's `hashlittle2` with both seeds zero, as a number of 64 bits: `c` above `b`.
pub(crate) fn jenkins(payload: &[u8]) -> u64 {
    let mut hash = Jenkins::new(payload.len() as u64);
    hash.update(payload);
    hash.finish()
}

/// SipHash-2-4 with a file's id as key.
pub(crate) fn siphash(key: Id128, payload: &[u8]) -> u64 {
    let mut hash = SipHash::new(key);
    hash.update(payload);
    hash.finish()
}

/// Gathers pieces into blocks of `N` bytes.
#[derive(Debug, Clone)]
struct Blocks<const N: usize> {
    held: [u8; N],
    len: usize,
}

impl<const N: usize> Blocks<N> {
    const EMPTY: Blocks<N> = Blocks { held: [0; N], len: 0 };

    /// Calls `full` for each block that is followed by more input, so that the last one, full or not, is left.
    fn take(&mut self, mut piece: &[u8], mut full: impl FnMut(&[u8; N])) {
        while !piece.is_empty() {
            if self.len == N {
                full(&self.held);
                self.len = 0;
                while piece.len() > N
                    && let Some((block, rest)) = piece.split_first_chunk::<N>()
                {
                    full(block);
                    piece = rest;
                }
            }
            let (now, rest) = piece.split_at(piece.len().min(N - self.len));
            if let Some(place) = self.held.get_mut(self.len..self.len + now.len()) {
                place.copy_from_slice(now);
            }
            self.len += now.len();
            piece = rest;
        }
    }

    /// The last block, filled up with zeros.
    fn last(&self) -> [u8; N] {
        let mut last = self.held;
        last.iter_mut().skip(self.len).for_each(|byte| *byte = 0);
        last
    }
}

/// lookup3 of input that comes in pieces; its whole length goes into the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Jenkins {
    state: [u32; 3],
    blocks: Blocks<12>,
}

impl Jenkins {
    /// `len`: the length of the whole input in bytes.
    pub(crate) fn new(len: u64) -> Jenkins {
        // Modulo 2^32, as the algorithm has it.
        Jenkins { state: [0xdead_beef_u32.wrapping_add(len as u32); 3], blocks: Blocks::EMPTY }
    }

    /// Takes more input.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        let state = &mut self.state;
        self.blocks.take(piece, |block| mix(state, block));
    }

    /// The hash of all that was taken.
    pub(crate) fn finish(mut self) -> u64 {
        if self.blocks.len > 0 {
            add(&mut self.state, &self.blocks.last());
            let [mut a, mut b, mut c] = self.state;
            c = (c ^ b).wrapping_sub(b.rotate_left(14));
            a = (a ^ c).wrapping_sub(c.rotate_left(11));
            b = (b ^ a).wrapping_sub(a.rotate_left(25));
            c = (c ^ b).wrapping_sub(b.rotate_left(16));
            a = (a ^ c).wrapping_sub(c.rotate_left(4));
            b = (b ^ a).wrapping_sub(a.rotate_left(14));
            c = (c ^ b).wrapping_sub(b.rotate_left(24));
            self.state = [a, b, c];
        }
        let [_, b, c] = self.state;
        u64::from(c) << 32 | u64::from(b)
    }
}

fn add(state: &mut [u32; 3], block: &[u8; 12]) {
    let (words, _) = block.as_chunks::<4>();
    for (part, word) in state.iter_mut().zip(words) {
        *part = part.wrapping_add(u32::from_le_bytes(*word));
    }
}

fn mix(state: &mut [u32; 3], block: &[u8; 12]) {
    add(state, block);
    let [a, b, c] = state;
    // Each step: x -= z, x ^= z turned, z += y.
    fn step(x: &mut u32, y: u32, z: &mut u32, turn: u32) {
        *x = x.wrapping_sub(*z) ^ z.rotate_left(turn);
        *z = z.wrapping_add(y);
    }
    step(a, *b, c, 4);
    step(b, *c, a, 6);
    step(c, *a, b, 8);
    step(a, *b, c, 16);
    step(b, *c, a, 19);
    step(c, *a, b, 4);
}

/// SipHash-2-4 of input that comes in pieces.
#[derive(Debug, Clone)]
pub(crate) struct SipHash {
    state: [u64; 4],
    blocks: Blocks<8>,
    len: u64,
}

impl SipHash {
    pub(crate) fn new(key: Id128) -> SipHash {
        let key = u128::from_le_bytes(key.0);
        let (k0, k1) = (key as u64, (key >> 64) as u64);
        // "somepseudorandomlygeneratedbytes"
        let state = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        SipHash { state, blocks: Blocks::EMPTY, len: 0 }
    }

    /// Takes more input.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.len = self.len.wrapping_add(piece.len() as u64);
        let state = &mut self.state;
        self.blocks.take(piece, |block| compress(state, u64::from_le_bytes(*block)));
    }

    /// The hash of all that was taken.
    pub(crate) fn finish(mut self) -> u64 {
        let mut last = u64::from_le_bytes(self.blocks.last());
        if self.blocks.len == 8 {
            compress(&mut self.state, last);
            last = 0;
        }
        compress(&mut self.state, last | self.len << 56);
        self.state[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut self.state);
        }
        self.state.into_iter().fold(0, |all, part| all ^ part)
    }
}

fn compress(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

fn round(state: &mut [u64; 4]) {
    let [v0, v1, v2, v3] = state;
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::decompress::Decompressor;
    use super::super::object::{self, Header, u64_at};
    use super::*;

    fn key() -> Id128 {
        Id128(std::array::from_fn(|n| n as u8))
    }

    #[test]
    fn the_authors_vectors() {
        // lookup3.c, driver5.
        assert_eq!(jenkins(b""), 0xdead_beef_dead_beef);
        assert_eq!(jenkins(b"Four score and seven years ago"), 0x1777_0551_ce72_26e6);
        // The paper's appendix A, and the first of its authors' vectors.
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(siphash(key(), &input), 0xa129_ca61_49be_45e5);
        assert_eq!(siphash(key(), b""), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash(key(), &input[..8]), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn every_payload_of_the_recorded_journals_has_its_hash() {
        let (mut objects, mut keyed) = (0, 0);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/journals");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".gz") || name.contains(".export") {
                continue;
            }
            let mut bytes = Vec::new();
            let file = std::fs::File::open(&path).unwrap();
            std::io::copy(&mut flate2::read::GzDecoder::new(file), &mut bytes).unwrap();
            let header = Header::parse(&bytes[..272]).unwrap();
            keyed += u32::from(header.hashing != object::Hashing::Plain);
            let (mut at, tail) = (header.objects_start as usize, u64_at(&bytes, 136) as usize);
            while at <= tail {
                let size = u64_at(&bytes, at + 8) as usize;
                if bytes[at] == object::TYPE_DATA {
                    let stored = &bytes[at + header.data_payload()..at + size];
                    let mut payload = Vec::new();
                    match bytes[at + 1] {
                        0 => payload.extend_from_slice(stored),
                        flags => {
                            Decompressor::default().unpack(flags, stored, usize::MAX, &mut payload).unwrap()
                        }
                    }
                    assert_eq!(header.hashing.of(&payload), Some(u64_at(&bytes, at + 16)), "{name}: {at:#x}");
                    objects += 1;
                }
                at += size.next_multiple_of(8);
            }
        }
        assert!(objects > 1000 && keyed >= 6, "{objects} objects, {keyed} keyed files");
    }

    proptest! {
        #[test]
        fn pieces_hash_as_the_whole(
            payload in proptest::collection::vec(any::<u8>(), 0..100), cuts in proptest::collection::vec(1..40usize, 1..9),
        ) {
            let mut hashes = (Jenkins::new(payload.len() as u64), SipHash::new(key()));
            let (mut rest, mut cuts) = (&payload[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                hashes.0.update(piece);
                hashes.1.update(piece);
                rest = after;
            }
            prop_assert_eq!(hashes.0.finish(), jenkins(&payload));
            prop_assert_eq!(hashes.1.finish(), siphash(key(), &payload));
        }
    }
}
