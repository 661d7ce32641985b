//! LZ4 blocks, unpacked as a stream: any length in little memory, and no further than asked for.
//!
//! A block is a row of sequences: a token, literals, and a match, which repeats bytes of the last 64 KiB. The last
//! sequence ends after its literals. Source: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>.

use std::io::{self, BufRead, Read};

use super::decompress::invalid;

/// How far back a match reaches at most (bytes).
const REACH: usize = 64 << 10;
/// Bytes that are held before those beyond [`REACH`] are dropped.
const HELD_MAX: usize = 2 * REACH;
/// Shortest match (bytes); the token counts from here.
const MATCH_MIN: u64 = 4;

/// The bytes that were unpacked and may be repeated, and where they go.
struct Output<'a> {
    held: &'a mut Vec<u8>,
    /// Bytes of `held` that have been handed on.
    sent: usize,
    /// Bytes that may still be unpacked, and bytes that are still wanted.
    left: u64,
    wanted: u64,
    sink: &'a mut dyn FnMut(&[u8]),
}

impl Output<'_> {
    /// Takes `len` bytes off what the block claims to hold; how many of them are wanted.
    fn claim(&mut self, len: u64) -> io::Result<u64> {
        self.left =
            self.left.checked_sub(len).ok_or_else(|| invalid("the lz4 block is longer than it claims"))?;
        let wanted = len.min(self.wanted);
        self.wanted -= wanted;
        Ok(wanted)
    }

    /// Hands bytes on, and drops those that no match reaches.
    fn flush(&mut self) {
        (self.sink)(self.held.get(self.sent..).unwrap_or_default());
        let old = self.held.len().saturating_sub(REACH);
        self.held.drain(..old);
        self.sent = self.held.len();
    }

    fn literals(&mut self, len: u64, input: &mut impl BufRead) -> io::Result<()> {
        let mut left = self.claim(len)?;
        while left > 0 {
            let piece = input.fill_buf()?;
            let piece = piece
                .get(..piece.len().min(usize::try_from(left).unwrap_or(REACH)).min(REACH))
                .unwrap_or(piece);
            if piece.is_empty() {
                return Err(invalid("the lz4 block is cut off"));
            }
            self.held.extend_from_slice(piece);
            let len = piece.len();
            input.consume(len);
            left -= len as u64;
            if self.held.len() >= HELD_MAX {
                self.flush();
            }
        }
        Ok(())
    }

    fn repeat(&mut self, distance: usize, len: u64) -> io::Result<()> {
        if distance == 0 || distance > self.held.len() {
            return Err(invalid("an lz4 match reaches too far back"));
        }
        let mut left = self.claim(len)?;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(REACH).min(REACH);
            let (start, end) = (self.held.len() - distance, self.held.len() + piece);
            // A match may overlap itself: the bytes just copied are copied again.
            while self.held.len() < end {
                let len = (end - self.held.len()).min(self.held.len() - start);
                self.held.extend_from_within(start..start + len);
            }
            left -= piece as u64;
            if self.held.len() >= HELD_MAX {
                self.flush();
            }
        }
        Ok(())
    }
}

/// Hands at most `limit` bytes of what the block unpacks to, which must be `size` in all, to `sink`, in pieces.
/// `held` is working memory.
///
/// # Errors
/// When the input cannot be read or is no such block, as far as it was looked at.
pub(crate) fn unpack(
    mut input: impl BufRead,
    size: u64,
    limit: u64,
    held: &mut Vec<u8>,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    held.clear();
    let prefix = limit < size;
    let mut output = Output { held, sent: 0, left: size, wanted: limit, sink };
    loop {
        let token = byte(&mut input)?;
        let literals = length(u64::from(token >> 4), &mut input)?;
        output.literals(literals, &mut input)?;
        if prefix && output.wanted == 0 || input.fill_buf()?.is_empty() {
            break;
        }
        let distance = u16::from_le_bytes([byte(&mut input)?, byte(&mut input)?]);
        let matched = length(u64::from(token & 15), &mut input)?.saturating_add(MATCH_MIN);
        output.repeat(usize::from(distance), matched)?;
        if prefix && output.wanted == 0 {
            break;
        }
    }
    output.flush();
    if output.wanted > 0 && output.left > 0 {
        Err(invalid("the lz4 block is not as long as it claims"))
    } else {
        Ok(())
    }
}

fn byte(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A length of the token: 15 goes on in the bytes behind, as long as they are 255.
fn length(nibble: u64, input: &mut impl Read) -> io::Result<u64> {
    let mut length = nibble;
    if nibble == 15 {
        loop {
            let more = byte(input)?;
            length = length.saturating_add(u64::from(more));
            if more != 255 {
                break;
            }
        }
    }
    Ok(length)
}
