//! Payloads of DATA objects, decompressed: zstd, lz4 and xz, never more than asked for.
//!
//! Often a prefix is enough: the name of a field that is not wanted, or the beginning of a line that is cut. So each
//! decoder stops as soon as it has the bytes asked for. Memory is never allocated for what a payload only claims to hold, so
//! a decompression bomb costs no more than an honest payload.

use std::io::{self, BufRead, Read};

use zstd_safe::{DCtx, InBuffer, OutBuffer};

use super::{lz4, object};

/// Memory that an xz stream may ask for (KiB). systemd compresses with dictionaries of at most the
/// payload's size at preset 0.
const XZ_MEMORY_KIB_MAX: u32 = 16 << 10;

/// A zstd frame that states no more than this is unpacked in one call, into memory taken before (bytes).
const WHOLE_MAX: u64 = 1 << 20;

/// Packed and unpacked bytes that are in hand at once (bytes).
const PIECE: usize = 64 << 10;

/// The decoders' working memory, kept from one payload to the next.
pub(crate) struct Decompressor {
    zstd: DCtx<'static>,
    packed: Vec<u8>,
    piece: Vec<u8>,
}

impl Default for Decompressor {
    fn default() -> Decompressor {
        Decompressor { zstd: DCtx::create(), packed: Vec::new(), piece: Vec::new() }
    }
}

impl Decompressor {
    /// Appends at most `limit` bytes of what `input` unpacks to.
    ///
    /// # Errors
    /// When the input cannot be read or is not of the format that `flags` names.
    pub(crate) fn unpack(
        &mut self,
        flags: u8,
        mut input: impl BufRead,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        if flags == object::COMPRESSED_ZSTD {
            self.packed.clear();
            input.by_ref().take(PIECE as u64).read_to_end(&mut self.packed)?;
            let size = stated_size(flags, &self.packed)?.unwrap_or(0);
            if size <= WHOLE_MAX.min(limit as u64) {
                return self.unpack_frame(input, size as usize, out);
            }
            return self.stream_zstd(input, limit as u64, &mut |piece| out.extend_from_slice(piece));
        }
        self.stream(flags, input, limit as u64, &mut |piece| out.extend_from_slice(piece))
    }

    /// Hands at most `limit` bytes of what `input` unpacks to to `sink`, in pieces. When it unpacks to less, it must
    /// have nothing behind that: this proves that the size of an object is right. Memory is bounded by what the
    /// format lets later bytes repeat: 64 KiB with lz4, and with the others at most what was unpacked before.
    ///
    /// # Errors
    /// As [`Decompressor::unpack`], as far as the input was looked at.
    pub(crate) fn stream(
        &mut self,
        flags: u8,
        mut input: impl BufRead,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        match flags {
            object::COMPRESSED_ZSTD => {
                self.packed.clear();
                input.by_ref().take(PIECE as u64).read_to_end(&mut self.packed)?;
                stated_size(flags, &self.packed)?;
                self.stream_zstd(input, limit, sink)
            }
            object::COMPRESSED_LZ4 => {
                let mut size = [0; 8];
                input.read_exact(&mut size)?;
                lz4::unpack(input, u64::from_le_bytes(size), limit, &mut self.piece, sink)
            }
            object::COMPRESSED_XZ => {
                let reader = lzma_rust2::XzReader::new_mem_limit(&mut input, false, XZ_MEMORY_KIB_MAX);
                let (mut reader, mut left) = (reader.take(limit), limit);
                self.piece.resize(PIECE, 0);
                loop {
                    match reader.read(&mut self.piece)? {
                        0 => break,
                        n => {
                            left -= n as u64;
                            sink(self.piece.get(..n).unwrap_or_default());
                        }
                    }
                }
                if left > 0 && !input.fill_buf()?.is_empty() {
                    return Err(invalid("bytes behind the xz stream"));
                }
                Ok(())
            }
            _ => Err(invalid("unknown compression")),
        }
    }

    /// One frame, begun in `self.packed`, in one call.
    fn unpack_frame(&mut self, input: impl Read, size: usize, out: &mut Vec<u8>) -> io::Result<()> {
        // No honest frame is longer than what it holds by more than a little.
        input.take((size + PIECE) as u64).read_to_end(&mut self.packed)?;
        let start = out.len();
        out.resize(start + size, 0);
        let written = self
            .zstd
            .decompress(out.get_mut(start..).unwrap_or_default(), &self.packed)
            .map_err(|code| invalid(zstd_safe::get_error_name(code)))?;
        if written == size { Ok(()) } else { Err(invalid("the zstd frame is short")) }
    }

    /// One frame, begun in `self.packed`, in pieces: the decoder's window is touched only as far as they go.
    fn stream_zstd(
        &mut self,
        mut input: impl BufRead,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        let (mut decoder, mut left) = (DCtx::create(), limit);
        self.piece.resize(PIECE, 0);
        loop {
            let mut packed = InBuffer::around(&self.packed);
            loop {
                let room = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
                let mut output = OutBuffer::around(self.piece.get_mut(..room).unwrap_or_default());
                let hint = decoder
                    .decompress_stream(&mut output, &mut packed)
                    .map_err(|code| invalid(zstd_safe::get_error_name(code)))?;
                let got = output.as_slice();
                left -= got.len() as u64;
                sink(got);
                if hint == 0 {
                    let rest = packed.pos() < self.packed.len() || !input.fill_buf()?.is_empty();
                    return if rest { Err(invalid("bytes behind the zstd frame")) } else { Ok(()) };
                }
                if left == 0 {
                    return Ok(());
                }
                // A full piece says nothing of what the decoder still holds.
                if got.len() < room && packed.pos() == self.packed.len() {
                    break;
                }
            }
            self.packed.clear();
            if input.by_ref().take(PIECE as u64).read_to_end(&mut self.packed)? == 0 {
                return Err(invalid("the zstd frame is cut off"));
            }
        }
    }
}

/// The bytes that a payload says it unpacks to, from its beginning; xz says nothing of it there.
///
/// # Errors
/// When it is not of the format that `flags` names, or does not say what systemd always says.
pub(crate) fn stated_size(flags: u8, packed: &[u8]) -> io::Result<Option<u64>> {
    match flags {
        object::COMPRESSED_ZSTD => zstd_safe::get_frame_content_size(packed)
            .map_err(|_| invalid("the payload is not a zstd frame"))?
            .map(Some)
            .ok_or_else(|| invalid("the zstd frame does not state its size")),
        object::COMPRESSED_LZ4 if packed.len() >= 8 => Ok(Some(object::u64_at(packed, 0))),
        object::COMPRESSED_XZ => Ok(None),
        _ => Err(invalid("the payload does not state its size")),
    }
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lz4(payload: &[u8]) -> Vec<u8> {
        let mut block = (payload.len() as u64).to_le_bytes().to_vec();
        block.extend_from_slice(&lz4_flex::block::compress(payload));
        block
    }

    fn zstd(payload: &[u8]) -> Vec<u8> {
        let mut packed = vec![0; zstd_safe::compress_bound(payload.len())];
        let len = zstd_safe::compress(&mut packed[..], payload, 3).unwrap();
        packed.truncate(len);
        packed
    }

    fn unpack(flags: u8, input: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let mut out = b"kept".to_vec();
        Decompressor::default().unpack(flags, input, limit, &mut out)?;
        assert_eq!(&out[..4], b"kept");
        Ok(out[4..].to_vec())
    }

    #[test]
    fn a_prefix_is_all_that_is_unpacked() {
        let text: Vec<u8> = (0..700_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for (flags, packed) in [(object::COMPRESSED_LZ4, lz4(&text)), (object::COMPRESSED_ZSTD, zstd(&text))]
        {
            for limit in [0, 1, 64, 4096, 131_072, 300_000, text.len(), text.len() + 1] {
                let got = unpack(flags, &packed, limit).unwrap();
                assert!(got == text[..limit.min(text.len())], "flags {flags}, limit {limit}");
                let mut streamed = Vec::new();
                let mut sink = |piece: &[u8]| streamed.extend_from_slice(piece);
                Decompressor::default().stream(flags, &packed[..], limit as u64, &mut sink).unwrap();
                assert!(streamed == got, "flags {flags}, limit {limit}");
            }
        }
    }

    #[test]
    fn what_is_no_payload_is_an_error() {
        let zstd = zstd(b"FIELD=value");
        for (flags, bytes) in [
            (0, &b"x"[..]),
            (object::COMPRESSED_ZSTD, b""),
            (object::COMPRESSED_ZSTD, b"no magic number"),
            (object::COMPRESSED_ZSTD, &zstd[..zstd.len() - 6]),
            (object::COMPRESSED_LZ4, b"\xff\xff\xff\xff\xff\xff\xff\xff\0"),
            (object::COMPRESSED_LZ4, b"\x05\0\0\0\0\0\0\0\x20ab"),
            (object::COMPRESSED_XZ, b"not xz at all"),
        ] {
            assert!(unpack(flags, bytes, 100).is_err(), "{flags} {bytes:?}");
        }
    }

    /// What unpacks to 512 MiB of zeros, or says so, costs as much memory as is asked for.
    #[test]
    fn bombs_are_not_believed_and_cost_what_is_asked_for() {
        const SIZE: u64 = 512 << 20;
        let mut run = SIZE.to_le_bytes().to_vec();
        // One literal, and a match of all the rest with itself.
        run.extend_from_slice(&[0x1f, 0, 1, 0]);
        run.resize(run.len() + ((SIZE - 1 - 19) / 255) as usize, 255);
        run.push(((SIZE - 1 - 19) % 255) as u8);
        // The last sequence: no literals.
        run.push(0);
        let mut claim = zstd(&[0; 100]);
        // The size in the frame's header: of one byte, then of eight.
        claim.splice(4..6, [0xe0].into_iter().chain(SIZE.to_le_bytes()));
        for (flags, bomb, limit, held) in [
            (object::COMPRESSED_LZ4, &run, 1000, Some(1000)),
            (object::COMPRESSED_ZSTD, &claim, 1000, None),
            (object::COMPRESSED_ZSTD, &claim, SIZE as usize, None),
        ] {
            assert_eq!(stated_size(flags, bomb).unwrap(), Some(SIZE));
            let (mut unpack, mut out) = (Decompressor::default(), Vec::new());
            let result = unpack.unpack(flags, &bomb[..], limit, &mut out);
            assert_eq!(result.ok().map(|()| out.len()), held);
            let memory = out.capacity() + unpack.piece.capacity() + unpack.packed.capacity();
            assert!(memory < 10 * PIECE, "{memory} bytes");
        }
        let mut len = 0;
        let mut unpack = Decompressor::default();
        unpack
            .stream(object::COMPRESSED_LZ4, &run[..], SIZE, &mut |piece| len += piece.len() as u64)
            .unwrap();
        assert_eq!(len, SIZE);
        assert!(unpack.piece.capacity() < 10 * PIECE);
    }

    proptest! {
        #[test]
        fn lz4_is_unpacked_as_its_own_library_does(
            pieces in proptest::collection::vec((any::<[u8; 3]>(), 1..200usize), 0..60), cut in any::<u16>(),
        ) {
            let payload: Vec<u8> = pieces.iter().flat_map(|(text, n)| text.repeat(*n)).collect();
            let mut packed = lz4(&payload);
            prop_assert!(unpack(object::COMPRESSED_LZ4, &packed, usize::MAX).unwrap() == payload);
            // Damaged, both fail, or both say the same.
            let at = 8 + usize::from(cut) % (packed.len() - 8);
            packed[at] ^= 1 << (cut % 8);
            if let Ok(theirs) = lz4_flex::block::decompress(&packed[8..], payload.len()) {
                let own = unpack(object::COMPRESSED_LZ4, &packed, usize::MAX);
                prop_assert!(theirs.len() != payload.len() || own.is_ok_and(|own| own == theirs));
            }
        }

        #[test]
        fn payloads_round_trip(payload in proptest::collection::vec(any::<u8>(), 0..3000), limit in 0..4000usize) {
            for (flags, packed) in
                [(object::COMPRESSED_LZ4, lz4(&payload)), (object::COMPRESSED_ZSTD, zstd(&payload))]
            {
                let got = unpack(flags, &packed, limit).unwrap();
                prop_assert_eq!(&got[..], &payload[..limit.min(payload.len())]);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            flags in 0..8u8, mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in any::<bool>(),
        ) {
            if magic {
                bytes.splice(0..0, [0x28, 0xb5, 0x2f, 0xfd]);
            }
            let _ = unpack(flags, &bytes, 1000);
        }
    }
}
