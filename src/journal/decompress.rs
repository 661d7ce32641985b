//! Payloads of DATA objects, decompressed: zstd, lz4 and xz, never more than asked for.
//!
//! A prefix is all that is needed of a field nobody wants (its name) or of a line that is cut, so each
//! decoder stops as soon as it has the bytes asked for; a bomb costs no more than an honest payload.

use std::io::{self, Read};

use zstd_safe::{DCtx, InBuffer, OutBuffer};

use super::object;

/// An lz4 payload states its size; more than this is not believed (64 MiB, bytes). The other formats
/// are read as streams and need no such limit.
const LZ4_SIZE_MAX: usize = 64 << 20;

/// Memory that an xz stream may ask for (KiB). systemd compresses with dictionaries of at most the
/// payload's size at preset 0.
const XZ_MEMORY_MAX_KIB: u32 = 16 << 10;

/// Packed bytes that are read at once, and working memory that is kept between payloads (bytes).
const PIECE: usize = 64 << 10;

/// The decoders' working memory, kept from one payload to the next.
pub(super) struct Decompressor {
    zstd: DCtx<'static>,
    packed: Vec<u8>,
}

impl Default for Decompressor {
    fn default() -> Decompressor {
        Decompressor { zstd: DCtx::create(), packed: Vec::new() }
    }
}

impl Decompressor {
    /// Appends at most `limit` bytes of what `input` unpacks to.
    ///
    /// # Errors
    /// When the input cannot be read or is not of the format that `flags` names.
    pub(super) fn unpack(
        &mut self,
        flags: u8,
        mut input: impl Read,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match flags {
            object::COMPRESSED_ZSTD => self.unpack_zstd(input, limit, out),
            object::COMPRESSED_LZ4 => self.unpack_lz4(&mut input, limit, out),
            object::COMPRESSED_XZ => {
                lzma_rust2::XzReader::new_mem_limit(&mut input, false, XZ_MEMORY_MAX_KIB)
                    .take(limit as u64)
                    .read_to_end(out)?;
                Ok(())
            }
            _ => Err(invalid("unknown compression")),
        }
    }

    /// One frame that states its size. What is wanted whole is unpacked in one call; for a prefix the
    /// frame is fed in pieces, and the decoder's window is touched only as far as the prefix goes.
    fn unpack_zstd(&mut self, mut input: impl Read, limit: usize, out: &mut Vec<u8>) -> io::Result<()> {
        self.packed.clear();
        input.by_ref().take(PIECE as u64).read_to_end(&mut self.packed)?;
        let size = zstd_safe::get_frame_content_size(&self.packed)
            .map_err(|_| invalid("the payload is not a zstd frame"))?
            .ok_or_else(|| invalid("the zstd frame does not state its size"))?;
        let start = out.len();
        if size <= limit as u64 {
            // No honest frame is longer than what it holds by more than a little.
            input.take(size + PIECE as u64).read_to_end(&mut self.packed)?;
            out.resize(start + size as usize, 0);
            let written = self
                .zstd
                .decompress(out.get_mut(start..).unwrap_or_default(), &self.packed)
                .map_err(|code| invalid(zstd_safe::get_error_name(code)))?;
            return if written as u64 == size { Ok(()) } else { Err(invalid("the zstd frame is short")) };
        }
        out.resize(start + limit, 0);
        let mut output = OutBuffer::around(out.get_mut(start..).unwrap_or_default());
        let mut decoder = DCtx::create();
        while output.pos() < limit {
            let mut piece = InBuffer::around(&self.packed);
            while piece.pos() < self.packed.len() && output.pos() < limit {
                decoder
                    .decompress_stream(&mut output, &mut piece)
                    .map_err(|code| invalid(zstd_safe::get_error_name(code)))?;
            }
            self.packed.clear();
            if output.pos() < limit && input.by_ref().take(PIECE as u64).read_to_end(&mut self.packed)? == 0 {
                return Err(invalid("the zstd frame is cut off"));
            }
        }
        Ok(())
    }

    /// Eight bytes of size, then one block.
    fn unpack_lz4(&mut self, input: &mut impl Read, limit: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let mut size = [0; 8];
        input.read_exact(&mut size)?;
        let size = usize::try_from(u64::from_le_bytes(size)).unwrap_or(usize::MAX);
        if size > LZ4_SIZE_MAX {
            return Err(invalid("the lz4 payload claims more than 64 MiB"));
        }
        self.packed.clear();
        input.read_to_end(&mut self.packed)?;
        let start = out.len();
        out.resize(start + size, 0);
        let result = lz4_flex::block::decompress_into(&self.packed, out.get_mut(start..).unwrap_or_default());
        if self.packed.capacity() > PIECE {
            self.packed = Vec::new();
        }
        match result {
            Ok(n) if n == size => {
                out.truncate(start + limit.min(size));
                Ok(())
            }
            Ok(_) => Err(invalid("the lz4 block is not as long as it claims")),
            Err(e) => Err(io::Error::new(io::ErrorKind::InvalidData, e)),
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lz4(payload: &[u8]) -> Vec<u8> {
        // A block of literals only: token, extended length, bytes. Written by hand, because the
        // encoder is not in the build.
        let mut block = (payload.len() as u64).to_le_bytes().to_vec();
        if payload.len() < 15 {
            block.push((payload.len() as u8) << 4);
        } else {
            block.push(0xf0);
            let mut rest = payload.len() - 15;
            while rest >= 255 {
                block.push(255);
                rest -= 255;
            }
            block.push(rest as u8);
        }
        block.extend_from_slice(payload);
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

    proptest! {
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
