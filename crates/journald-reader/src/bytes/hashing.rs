//! Which hash the DATA objects of a file have, where the header may say it wrongly.
//!
//! The header says whether hashes are keyed, and the key is the file's id. One wrong bit there, and no hash in the whole
//! file agrees any more, although every payload is sound. So before payloads are doubted, some of them are used to find
//! the key that fits. Where none fits, each entry is still proved by its `xor_hash`, which has no key.

use super::Bytes;
use crate::cursor::Id128;
use crate::format::fault::Fault;
use crate::format::name::has_name;
use crate::format::object::{self, Hashing, u64_at};
use crate::format::step::Position;

/// Payloads that are compared (count): more than one or two, since a hash may agree by chance or a payload be damaged.
const SAMPLES_MAX: usize = 8;
/// The longest of them (bytes).
const SAMPLE_MAX: usize = 1024;
/// Objects that are looked at to find them (count).
const LOOKED_AT_MAX: usize = 64;

/// A payload and the hash that its object states.
pub(crate) type Sample = (u64, Vec<u8>);

/// Finds out, once, which hash the file has; true when it is another than was thought. `items`: where the DATA objects
/// of the entry at hand stand.
pub(crate) fn settle(bytes: &mut Bytes, items: &[u64]) -> bool {
    if bytes.is_hashing_settled() {
        return false;
    }
    let samples = samples(bytes, items);
    // A single sample may be the damaged payload.
    if samples.len() < 2 {
        return false;
    }
    let header = bytes.header();
    let found = find(&samples, header.hashing, header.file_id, header.seqnum_id);
    bytes.settle_hashing(found)
}

/// Small payloads as they are stored: of the entry at hand, and the first of the file.
fn samples(bytes: &mut Bytes, items: &[u64]) -> Vec<Sample> {
    let places = items.iter().copied().take(LOOKED_AT_MAX);
    let mut samples: Vec<Sample> =
        places.filter_map(|at| sample(bytes, at).ok().flatten()).take(SAMPLES_MAX / 2).collect();
    let mut at = Position::from(bytes.header().objects_start);
    for _ in 0..LOOKED_AT_MAX {
        let Ok(size) = bytes.show_behind(at.offset(), 16).map(|head| u64_at(head, 8)) else { break };
        samples.extend(sample(bytes, at.offset()).ok().flatten());
        if samples.len() >= SAMPLES_MAX || bytes.check_place(at.offset(), size).is_err() {
            break;
        }
        at = at.over(size);
    }
    samples
}

/// The payload of the object at an offset, if it is a DATA object with a small payload that is not compressed.
fn sample(bytes: &mut Bytes, at: u64) -> Result<Option<Sample>, Fault> {
    let payload_at = bytes.header().data_payload();
    bytes.check_place(at, payload_at as u64)?;
    let head = bytes.show_behind(at, payload_at)?;
    let (kind, flags, size, stated) =
        (head.first().copied(), head.get(1).copied(), u64_at(head, 8), u64_at(head, 16));
    let len = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(payload_at);
    if kind != Some(object::TYPE_DATA) || flags != Some(0) || !(2..=SAMPLE_MAX).contains(&len) {
        return Ok(None);
    }
    let payload = bytes.show_behind(at + payload_at as u64, len)?.to_vec();
    Ok(has_name(&payload).then_some((stated, payload)))
}

/// The hash that fits any of these payloads: the hash that was thought, the one without a key, or one whose key is an id of
/// the header or differs from the file's id in a single bit. The first file of a counter gave the counter its own id.
pub(crate) fn find(samples: &[Sample], thought: Hashing, file_id: Id128, seqnum_id: Id128) -> Hashing {
    let fits =
        |hashing: &Hashing| samples.iter().any(|(stated, payload)| hashing.of(payload) == Some(*stated));
    let flipped = |bit: usize| {
        let mut key = file_id;
        if let Some(byte) = key.0.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        Hashing::Keyed(key)
    };
    [thought, Hashing::Plain, Hashing::Keyed(file_id), Hashing::Keyed(seqnum_id)]
        .into_iter()
        .chain((0..128).map(flipped))
        .find(fits)
        .unwrap_or(Hashing::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_where_one_bit_of_it_is_wrong() {
        let id = Id128(std::array::from_fn(|n| n as u8 + 1));
        let other = Id128([9; 16]);
        let samples = |hashing: Hashing| -> Vec<Sample> {
            [&b"A=1"[..], b"B=2"].map(|payload| (hashing.of(payload).unwrap_or(0), payload.to_vec())).into()
        };
        let mut flipped = id;
        flipped.0[7] ^= 0x20;
        for (written, thought, file_id, found) in [
            (Hashing::Keyed(id), Hashing::Keyed(id), id, Hashing::Keyed(id)),
            (Hashing::Keyed(id), Hashing::Keyed(flipped), flipped, Hashing::Keyed(id)),
            (Hashing::Keyed(id), Hashing::Plain, id, Hashing::Keyed(id)),
            (Hashing::Plain, Hashing::Keyed(id), id, Hashing::Plain),
            (Hashing::Keyed(other), Hashing::Keyed(id), id, Hashing::Keyed(other)),
            (Hashing::Keyed(Id128([3; 16])), Hashing::Keyed(id), id, Hashing::Unknown),
        ] {
            assert_eq!(find(&samples(written), thought, file_id, other), found, "{written:?}");
        }
    }
}
