//! Sampling: which entries belong to a share of all.
//!
//! The cursor decides, not chance. So an entry has the same fate after every restart, for every destination, and if another
//! file holds a copy of it. The parts of the cursor that are used (boot, times, the hash of the entry) are the same for all
//! copies; sequence numbers are not. This function must never change. Otherwise other entries would be sent after a crash.

use journald_reader::Cursor;

/// A number from 0 (included) to 1 (excluded), spread evenly over entries.
pub fn share(cursor: &Cursor) -> f64 {
    let (boot_high, boot_low) = halves(cursor.boot_id.0);
    let parts = [boot_high, boot_low, cursor.monotonic, cursor.realtime, cursor.xor_hash];
    let mixed = parts.into_iter().fold(0, |state, part| mix(state ^ part));
    // An f64 holds 53 bits exactly.
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

fn halves(id: [u8; 16]) -> (u64, u64) {
    let whole = u128::from_be_bytes(id);
    ((whole >> 64) as u64, whole as u64)
}

/// A step of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journald_reader::Id128;

    fn cursor(n: u64) -> Cursor {
        Cursor {
            seqnum: n,
            boot_id: Id128([7; 16]),
            monotonic: n * 10,
            realtime: 1_700_000_000_000_000 + n * 10,
            xor_hash: n.wrapping_mul(0x1234_5678_9abc_def1),
            ..Cursor::default()
        }
    }

    #[test]
    fn an_entry_keeps_its_number_for_ever() {
        for (n, expected) in [(0, SHARE_0), (1, SHARE_1), (1000, SHARE_1000)] {
            assert_eq!(share(&cursor(n)), expected, "{n}");
        }
        let copy = Cursor { seqnum: 99, seqnum_id: Id128([1; 16]), ..cursor(1) };
        assert_eq!(share(&copy), share(&cursor(1)), "a copy in another file");
    }

    const SHARE_0: f64 = 0.20337606321741297;
    const SHARE_1: f64 = 0.12583357211545998;
    const SHARE_1000: f64 = 0.4881368054155243;

    #[test]
    fn shares_are_even() {
        let mut tenths = [0; 10];
        for n in 0..100_000 {
            tenths[(share(&cursor(n)) * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (9_700..10_300).contains(count)), "{tenths:?}");
    }
}
