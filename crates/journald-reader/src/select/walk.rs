//! Walking: entries by the values that they have, instead of reading the file through.

use super::filter::Wanted;
use super::lookup::Data;
use crate::bytes::Bytes;
use crate::entries::arrays::{head_at, part};
use crate::entries::chain::Chain;
use crate::format::fault::Fault;
use crate::format::object;
use crate::format::step::onward;

/// Entries that are passed over while one is looked up (count): below that, reading them all is cheaper. An entry that is
/// looked up costs a read of its own or a share in one, 1 to 2 µs; an entry that is passed over in reading on, a quarter of a
/// microsecond.
const LOOK_UP_RATIO: u64 = 8;
/// An entry that lies this near behind another one that is looked up is read with it (bytes): the call that is spared takes about as
/// long as copying so much.
const NEAR: u64 = 8 << 10;
/// The last of those that are read at once begins so far behind the first at most (bytes): what is read stays in the processor's
/// nearest cache.
const NEAR_MAX: u64 = 16 << 10;

/// Entries by the values that they have: of several lists, in order, each once.
#[derive(Debug)]
pub(crate) struct Walk {
    lists: Vec<List>,
    /// The file's own arrays, when it was planned.
    chain: Chain,
    /// The number of the entry it begins at, and how many entries behind that were wanted.
    from: u64,
    wanted: u64,
    /// Entries before this offset are not walked, or have been.
    at: u64,
    /// The entry where reading goes on, by offset and number.
    end: u64,
    last: u64,
}

impl Walk {
    /// The walk over all wanted entries from number `from` on, the last entry of the file excepted, if to look them up is
    /// cheaper than to read all entries.
    pub(crate) fn plan(bytes: &mut Bytes, wanted: &Wanted, from: u64) -> Result<Option<Walk>, Fault> {
        let Some((cost, data)) = wanted.candidates() else { return Ok(None) };
        if cost.saturating_mul(LOOK_UP_RATIO) > bytes.header().n_entries.saturating_sub(from) {
            return Ok(None);
        }
        let chain = Chain::read(bytes)?;
        let Some(last) = chain.total().checked_sub(1).filter(|last| from < *last) else { return Ok(None) };
        let (at, end) = (chain.offset_at(bytes, from)?, chain.offset_at(bytes, last)?);
        let lists = data.iter().map(List::new).collect();
        Ok(Some(Walk { lists, chain, from, wanted: 0, at, end, last }))
    }

    /// The offsets of all entries that may be wanted, if to look them up is cheaper than to read all entries.
    pub(crate) fn through(bytes: &mut Bytes, wanted: &Wanted) -> Result<Option<Vec<u64>>, Fault> {
        let Some(mut walk) = Walk::plan(bytes, wanted, 0)? else { return Ok(None) };
        let walked: Result<Vec<u64>, Fault> = std::iter::from_fn(|| walk.next(bytes).transpose()).collect();
        match walked {
            Ok(offsets) => Ok(Some(offsets.into_iter().chain([walk.end]).collect())),
            Err(Fault::Damaged { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The offset of the next entry; `None` when it is time to read on at the last one.
    pub(crate) fn next(&mut self, bytes: &Bytes) -> Result<Option<u64>, Fault> {
        let mut least = None;
        for list in &mut self.lists {
            let next = list.from(self.at, bytes)?;
            least = least.into_iter().chain(next).min();
        }
        let least = least.filter(|offset| *offset < self.end);
        if let Some(offset) = least {
            self.at = offset + 1;
        }
        Ok(least)
    }

    /// How far behind the entry at an offset the last of the next entries lies that lie near each other (bytes): one read serves them
    /// all.
    pub(crate) fn near(&self, offset: u64) -> usize {
        let mut last = offset;
        while let Some(next) = self.lists.iter().filter_map(|list| list.known_behind(last)).min()
            && next - last <= NEAR
            && next - offset <= NEAR_MAX
        {
            last = next;
        }
        usize::try_from(last - offset).unwrap_or(0)
    }

    /// Counts an entry that was walked to and is wanted.
    pub(crate) fn count_wanted(&mut self) {
        self.wanted += 1;
    }

    /// How many entries were passed over when the walk ends at the entry of this number.
    pub(crate) fn passed_over(&self, number: u64) -> u64 {
        number.saturating_sub(self.from + self.wanted)
    }

    /// The first offset that has not been walked.
    pub(crate) fn reached(&self) -> u64 {
        self.at
    }

    /// The number of the entry where reading goes on.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The file's own arrays, when the walk was planned.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// The entries of one DATA object.
#[derive(Debug)]
struct List {
    /// The next entry, if its offset has been read.
    head: Option<u64>,
    /// Entries behind it that were read from the current array.
    read: std::vec::IntoIter<u64>,
    /// Where the current array's unread items begin, and how many these are.
    items_at: u64,
    items_left: u64,
    /// The current array (zero before the first) and the next one.
    array: u64,
    next_array: u64,
    /// Entries in arrays that were not read yet.
    left: u64,
}

impl List {
    fn new(data: &Data) -> List {
        let head = (data.entries > 0).then_some(data.first);
        List {
            head,
            read: Vec::new().into_iter(),
            items_at: 0,
            items_left: 0,
            array: 0,
            next_array: data.array,
            left: data.entries.saturating_sub(1),
        }
    }

    /// The first entry at or behind an offset.
    fn from(&mut self, at: u64, bytes: &Bytes) -> Result<Option<u64>, Fault> {
        while let Some(head) = self.head.filter(|head| *head < at) {
            self.head = self.next(bytes)?;
            if let Some(next) = self.head {
                onward(head, next, "an entry array out of order")?;
            }
        }
        Ok(self.head)
    }

    /// The first entry behind an offset, as far as the array was read.
    fn known_behind(&self, offset: u64) -> Option<u64> {
        self.head.iter().chain(self.read.as_slice()).copied().find(|entry| *entry > offset)
    }

    fn next(&mut self, bytes: &Bytes) -> Result<Option<u64>, Fault> {
        loop {
            if let Some(offset) = self.read.next() {
                return Ok(Some(offset));
            }
            if self.left == 0 {
                return Ok(None);
            }
            if self.items_left == 0 {
                // A chain that ends early, or leads back, is damaged.
                let array = onward(self.array, self.next_array, "an entry array without successor")?;
                self.array = array;
                (self.items_left, self.next_array) = head_at(bytes, array)?;
                self.items_at = array + object::ENTRY_ARRAY_SIZE_MIN as u64;
            }
            let items = part(bytes, self.items_at, self.items_left.min(self.left))?;
            let count = items.len() as u64;
            self.items_at += count * bytes.header().array_item_size() as u64;
            self.items_left -= count;
            self.left -= count;
            self.read = items.into_iter();
        }
    }
}
