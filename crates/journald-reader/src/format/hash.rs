//! The two hashes of journal files: Bob Jenkins' lookup3 and Jean-Philippe Aumasson's and Daniel J.
//! Bernstein's SipHash-2-4.
//!
//! Every DATA object carries the hash of its payload as it was before compression: SipHash with the file's id
//! as key where the header says that hashes are keyed, lookup3 otherwise. An ENTRY's `xor_hash` is always made of
//! lookup3, so that it is the same in every file. Sources: <https://burtleburtle.net/bob/c/lookup3.c> (public
//! domain), "SipHash: a fast short-input PRF" (2012), systemd's `journal_file_hash_data` and `jenkins_hash64`.
//!
//! Both take their input in pieces, so that a payload of any length is hashed in little memory.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

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

/// Bytes that lookup3 takes at once.
const BLOCK: usize = 12;

/// Gathers pieces into blocks.
#[derive(Debug, Clone)]
struct Blocks {
    held: [u8; BLOCK],
    len: usize,
}

impl Blocks {
    const EMPTY: Blocks = Blocks { held: [0; BLOCK], len: 0 };

    /// Calls `full` for each block that is followed by more input, so that the last one, full or not, is left.
    fn take(&mut self, mut piece: &[u8], mut full: impl FnMut(&[u8; BLOCK])) {
        while !piece.is_empty() {
            if self.len == BLOCK {
                full(&self.held);
                self.len = 0;
                while piece.len() > BLOCK
                    && let Some((block, rest)) = piece.split_first_chunk::<BLOCK>()
                {
                    full(block);
                    piece = rest;
                }
            }
            let (now, rest) = piece.split_at(piece.len().min(BLOCK - self.len));
            if let Some(place) = self.held.get_mut(self.len..self.len + now.len()) {
                place.copy_from_slice(now);
            }
            self.len += now.len();
            piece = rest;
        }
    }

    /// The last block, filled up with zeros.
    fn last(&self) -> [u8; BLOCK] {
        let mut last = self.held;
        last.iter_mut().skip(self.len).for_each(|byte| *byte = 0);
        last
    }
}

/// lookup3 of input that comes in pieces; its whole length goes into the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Jenkins {
    state: [u32; 3],
    blocks: Blocks,
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

fn add(state: &mut [u32; 3], block: &[u8; BLOCK]) {
    let (words, _) = block.as_chunks::<4>();
    for (part, word) in state.iter_mut().zip(words) {
        *part = part.wrapping_add(u32::from_le_bytes(*word));
    }
}

fn mix(state: &mut [u32; 3], block: &[u8; BLOCK]) {
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
pub(crate) struct SipHash(SipHasher24);

impl SipHash {
    /// `key`: the file's id.
    pub(crate) fn new(key: Id128) -> SipHash {
        SipHash(SipHasher24::new_with_key(&key.0))
    }

    /// Takes more input.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.write(piece);
    }

    /// The hash of all that was taken.
    pub(crate) fn finish(self) -> u64 {
        self.0.finish()
    }
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
