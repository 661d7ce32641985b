//! Whether a number is wrong, or the numbers that it does not fit to: numbers are under no hash, so others must tell.

use super::Trust;
use crate::bytes::Bytes;
use crate::entries::arrays::Arrays;
use crate::entries::chain::Chain;
use crate::entries::visited::{Spot, Visited};
use crate::format::fault::Fault;
use crate::select::Way;

/// Entries behind an entry that are asked whether its number can be right (count): damage may have hit several of them.
const WITNESSES_MAX: u64 = 8;

/// Of an entry with a number that does not fit: either its own number is wrong, or the number that it does not fit to. The
/// entries behind it tell: the next one of the number of the last entry, most of the next ones of the header's numbers.
pub(super) fn judge_number(
    bytes: &mut Bytes,
    arrays: &Arrays,
    visited: &Visited,
    way: Way,
    entry: Spot,
) -> Result<Trust, Fault> {
    let (last, seqnum) = (visited.spot().seqnum, entry.seqnum);
    // What a walk leads to next is not what stands next in the file.
    let behind = if way.walks { Vec::new() } else { entries_behind(bytes, arrays)? };
    let above = behind.iter().filter(|other| other.seqnum > seqnum).count();
    Ok(match behind.first() {
        // The number of the last entry was wrong.
        Some(next) if seqnum <= last && seqnum < next.seqnum && next.seqnum <= last => Trust::Deserved,
        // The arrays have led too far.
        Some(_) if seqnum > last && behind.iter().any(|other| other.offset < entry.offset) => Trust::Skips,
        // The header is wrong, or the arrays have passed entries over.
        Some(_) if seqnum > last && above > behind.len() - above => {
            bytes.forget_numbers();
            Trust::Skips
        }
        None if seqnum > last && bytes.header().tail_seqnum().is_none_or(|tail| seqnum <= tail) => {
            Trust::Skips
        }
        _ => Trust::Lies,
    })
}

/// The next entries in the arrays, of those that can be read.
fn entries_behind(bytes: &mut Bytes, arrays: &Arrays) -> Result<Vec<Spot>, Fault> {
    let (chain, next) = (Chain::read(bytes)?, arrays.number_next());
    let mut entries = Vec::new();
    for number in next..chain.total().min(next + WITNESSES_MAX) {
        let entry = chain.offset_at(bytes, number).and_then(|offset| Ok((offset, bytes.entry_at(offset)?.0)));
        match entry {
            Ok((offset, entry)) => entries.push(Spot { offset, seqnum: entry.seqnum }),
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(entries)
}
