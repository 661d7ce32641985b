//! Snappy's block format, written piece by piece.
//!
//! ```text
//! length of the whole before compression: varint | block | block | …       a block: up to 64 KiB before compression
//! ```
//!
//! A block refers to nothing before it. So a request need not stand in memory as a whole to be compressed: each block is
//! gathered in a buffer that stays in the processor's cache. What comes out is byte for byte what the crate makes of the
//! whole (a test says so). Source: google/snappy, `format_description.txt`.

/// What a block holds before compression (bytes): google/snappy, `kBlockSize`.
const BLOCK: usize = 64 << 10;

/// Compresses requests one after the other, always in the same buffers.
pub(super) struct Snappy {
    encoder: snap::raw::Encoder,
    /// What is not compressed yet: less than a block.
    block: Vec<u8>,
    compressed: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Snappy {
    fn default() -> Snappy {
        Snappy {
            encoder: snap::raw::Encoder::new(),
            block: Vec::new(),
            compressed: Vec::new(),
            out: Vec::new(),
        }
    }
}

impl Snappy {
    /// Begins a request of so many bytes, which [`Snappy::put`] must give.
    pub(super) fn begin(&mut self, len: usize) {
        self.block.clear();
        self.out.clear();
        let mut rest = len;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    /// Adds to the request.
    #[inline]
    pub(super) fn put(&mut self, mut bytes: &[u8]) {
        while let Some((now, later)) = bytes.split_at_checked(BLOCK - self.block.len()) {
            if self.block.is_empty() {
                compress(&mut self.encoder, now, &mut self.compressed, &mut self.out);
            } else {
                self.block.extend_from_slice(now);
                self.flush();
            }
            bytes = later;
        }
        self.block.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        compress(&mut self.encoder, &self.block, &mut self.compressed, &mut self.out);
        self.block.clear();
    }

    /// Ends the request.
    pub(super) fn end(&mut self) -> bytes::Bytes {
        if !self.block.is_empty() {
            self.flush();
        }
        bytes::Bytes::copy_from_slice(&self.out)
    }
}

/// Compresses a block, and leaves out the length that the encoder writes before it. The encoder fails only when its buffer
/// is too small or the input over 4 GiB.
fn compress(encoder: &mut snap::raw::Encoder, block: &[u8], buffer: &mut Vec<u8>, out: &mut Vec<u8>) {
    let most = snap::raw::max_compress_len(block.len());
    if buffer.len() < most {
        buffer.resize(most, 0);
    }
    let len = encoder.compress(block, buffer).unwrap_or(0);
    let written = buffer.get(..len).unwrap_or_default();
    let length = written.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    out.extend_from_slice(written.get(length..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text that repeats, as lines of a log do, and bytes that do not.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let size = prop_oneof![0..100usize, 0..3 * BLOCK, (BLOCK - 3)..(BLOCK + 3)];
        (size, any::<u64>(), 1..2000usize).prop_map(|(size, seed, period)| {
            let byte = |at: usize| (seed.rotate_left((at % period % 64) as u32) >> (at % period % 7)) as u8;
            (0..size).map(byte).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn pieces_become_what_the_crate_makes_of_the_whole(
            requests in proptest::collection::vec(proptest::collection::vec(piece(), 0..6), 1..4),
        ) {
            let mut snappy = Snappy::default();
            for pieces in requests {
                let whole = pieces.concat();
                snappy.begin(whole.len());
                pieces.iter().for_each(|piece| snappy.put(piece));
                let body = snappy.end();
                prop_assert!(body == snap::raw::Encoder::new().compress_vec(&whole).unwrap());
            }
        }
    }
}
