//! Headers that are lost: what can be read of a file all the same.
//!
//! A crash may leave the first page of a file unwritten, and everything behind it whole. The objects show how to read the
//! file: where they stand, whether the layout is compact, how payloads are hashed. They do not show which file it is. So
//! the file gets an id made of its first payloads, and the counter's id from its name, if journald has given it one. The
//! entries are found by search.
//!
//! A file in which nothing is written yet is not damaged: it may be just being made.

use std::path::Path;

use super::handle::Handle;
use super::hashing::{self, Sample};
use crate::cursor::Id128;
use crate::format::fault::Fault;
use crate::format::name::is_name;
use crate::format::object::{self, Hashing, Header, u64_at};

/// Payloads that are compared to find the hash (count).
const SAMPLES_MAX: usize = 8;
/// How far a file with a header of zeros is searched for its first object (bytes): its hash tables stand before that.
const ZEROS_MAX: u64 = 128 << 20;
/// How far a file with any other damaged header is searched for its first object (bytes).
const OTHER_MAX: u64 = 8 << 20;
/// Bytes that are read at once, and how many of the last are read again with the next piece: a payload may stand across
/// the end.
const PIECE: usize = 256 << 10;
const OVERLAP: usize = 8 << 10;
/// The longest header that is believed (bytes); the header of systemd 256 has 272.
const HEADER_SIZE_MAX: u64 = 1024;

/// A header for a file whose first bytes are not a header.
///
/// # Errors
/// `Unborn` when nothing is written in the file; else why it is not a journal file.
pub(crate) fn header(file: &Handle, bytes: &[u8], why: String) -> Result<Header, Fault> {
    let len = file.metadata()?.len();
    let zeros = bytes.iter().all(|byte| *byte == 0);
    if len < object::HEADER_SIZE_MIN as u64 {
        return Err(match (len, zeros) {
            (0, _) => Fault::Unborn("it is empty".into()),
            (_, true) => Fault::Unborn(format!("its {len} bytes are zeros")),
            _ => Fault::Foreign(why),
        });
    }
    if object::has_unknown_flags(bytes) {
        return Err(Fault::Foreign(why));
    }
    if let Some(header) = mend(bytes, len) {
        return Ok(header);
    }
    let found = look_for_objects(file, if zeros { ZEROS_MAX.min(len) } else { OTHER_MAX.min(len) })?;
    match found {
        Found::Objects { compact, samples } => Ok(lost(file.path(), len, compact, zeros, &samples)),
        Found::Zeros if zeros => Err(Fault::Unborn(format!("its {len} bytes are zeros"))),
        Found::Zeros | Found::Nothing => Err(Fault::Foreign(why)),
    }
}

/// A header in which only the signature or the sizes are damaged.
fn mend(bytes: &[u8], len: u64) -> Option<Header> {
    let mut mended = bytes.to_vec();
    mended.get_mut(..object::SIGNATURE.len())?.copy_from_slice(object::SIGNATURE);
    let size = u64_at(bytes, 88);
    if !size.is_multiple_of(8) || !(object::HEADER_SIZE_MIN as u64..=HEADER_SIZE_MAX).contains(&size) {
        mended.get_mut(88..96)?.copy_from_slice(&(object::HEADER_SIZE_MIN as u64).to_le_bytes());
    }
    let end = u64_at(&mended, 88).saturating_add(u64_at(bytes, 96));
    if u64_at(bytes, 96) > len || u64_at(bytes, 136) >= end {
        let arena = len.saturating_sub(u64_at(&mended, 88));
        mended.get_mut(96..104)?.copy_from_slice(&arena.to_le_bytes());
    }
    let mut header = Header::parse(&mended).ok()?;
    let plausible = header.file_id != Id128::default()
        && header.seqnum_id != Id128::default()
        && header.head_seqnum <= header.tail_seqnum
        && (header.objects_start..len).contains(&header.tail_object)
        && header.entry_array_offset < len;
    header.trouble = Some(match bytes.starts_with(object::SIGNATURE) {
        true => "a header whose sizes cannot be",
        false => "a header that does not begin with LPKSHHRH",
    });
    plausible.then_some(header)
}

/// A header for a file in which only the objects are left.
fn lost(path: &Path, len: u64, compact: bool, zeros: bool, samples: &[Sample]) -> Header {
    let number = |n: usize| samples.get(n).map_or(0, |(stated, _)| *stated).to_le_bytes();
    let mut id = Id128::default();
    for (place, byte) in id.0.iter_mut().zip(number(0).into_iter().chain(number(1))) {
        *place = byte;
    }
    let counter = counter_of(path).unwrap_or(id);
    // The first file of a counter gave it its own id.
    let hashing = hashing::find(samples, Hashing::Plain, counter, counter);
    let trouble = if zeros { "a header of zeros" } else { "a header that cannot be read" };
    Header::lost(id, counter, len, compact, hashing, trouble)
}

/// The counter's id in the name that journald gives an archived file: `system@ID-NUMBER-TIME.journal`.
fn counter_of(path: &Path) -> Option<Id128> {
    let (_, rest) = path.file_name()?.to_str()?.split_once('@')?;
    rest.split_once('-')?.0.parse().ok()
}

/// What stands where objects should be.
enum Found {
    Objects { compact: bool, samples: Vec<Sample> },
    Zeros,
    Nothing,
}

fn look_for_objects(file: &Handle, end: u64) -> Result<Found, Fault> {
    let (mut bytes, mut samples, mut zeros) = (vec![0; PIECE], Vec::new(), true);
    let mut start = object::HEADER_SIZE_MIN as u64;
    while start < end && samples.len() < SAMPLES_MAX {
        let read = file.read_at_most(&mut bytes, start)?;
        let piece = bytes.get(..read).unwrap_or_default();
        let (words, _) = piece.as_chunks::<8>();
        for (n, _) in words.iter().enumerate().filter(|(_, word)| **word != [0; 8]) {
            zeros = false;
            // What begins in the overlap begins in the next piece.
            if n * 8 >= PIECE - OVERLAP || samples.len() >= SAMPLES_MAX {
                break;
            }
            samples.extend(piece.get(n * 8..).and_then(sample_at));
        }
        if read < PIECE {
            break;
        }
        start += (PIECE - OVERLAP) as u64;
    }
    let Some((compact, _)) = samples.first() else {
        return Ok(if zeros { Found::Zeros } else { Found::Nothing });
    };
    let compact = *compact;
    let same = samples.into_iter().filter(|(other, _)| *other == compact).map(|(_, sample)| sample);
    Ok(Found::Objects { compact, samples: same.collect() })
}

/// A small payload, if a DATA object begins with these bytes, and whether its layout is compact.
fn sample_at(bytes: &[u8]) -> Option<(bool, Sample)> {
    let (head, size, stated) = (u64_at(bytes, 0), u64_at(bytes, 8) as usize, u64_at(bytes, 16));
    if head != u64::from(object::TYPE_DATA) || !(object::DATA_SIZE_MIN..OVERLAP).contains(&size) {
        return None;
    }
    let payload = |at: usize| {
        let payload = bytes.get(at..size)?;
        let name = payload.split(|byte| *byte == b'=').next()?;
        (name.len() < payload.len() && is_name(name)).then(|| payload.to_vec())
    };
    let (regular, compact) = (payload(object::DATA_SIZE_MIN), payload(object::DATA_SIZE_MIN + 8));
    Some((regular.is_none(), (stated, regular.or(compact)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archived_files_have_the_counters_id_in_their_name() {
        let id = "5d7b0b1014624a3f8d86f83a42ebff4a";
        for (name, counter) in [
            (format!("system@{id}-0000000000000001-0006615bf86b7ab3.journal"), id.parse().ok()),
            ("system@0006615bf86b7ab3-0123456789abcdef.journal~".into(), None),
            ("system.journal".into(), None),
        ] {
            assert_eq!(counter_of(Path::new(&name)), counter, "{name}");
        }
    }
}
