//! What rules may take in memory, and what things cost: the costs are those of the allocator, not those of the numbers
//! inside.

use std::collections::BTreeMap;

use logql::label_set::LabelSet;

/// What the windows and alerts of all rules may take together unless the configuration says otherwise (bytes): with it the
/// agent stays below 64 MB whatever the rules are and whoever writes to the journal.
pub const MEMORY_MAX: usize = 20 << 20;
/// The part of it that alerts and recorded series may take: one in so many. Windows have the rest.
const RESULTS_PART: usize = 4;
/// Longest labels of one series (bytes). A parser can make a label of each word of a line; no honest series comes near.
pub(super) const SERIES_LABELS_MAX: usize = 16 << 10;
/// Longest annotation (bytes), and longest text of an error that is kept. What is longer is cut: nobody reads that much.
pub(super) const TEXT_MAX: usize = 4 << 10;

/// What windows may take of all (bytes).
pub(super) fn of_windows(all: usize) -> usize {
    all - of_results(all)
}

/// What alerts and recorded series may take of all (bytes).
pub(super) fn of_results(all: usize) -> usize {
    all / RESULTS_PART
}

/// What alerts can come to at most, where rules may take so much (bytes): for what holds all of them once more.
pub fn of_alerts(all: usize) -> usize {
    2 * of_results(all)
}

/// What an allocation of so many bytes takes: glibc adds eight, and counts in sixteens from 32 on (glibc,
/// `malloc/malloc.c`, `request2size`).
pub(super) fn heap(bytes: usize) -> usize {
    const HEADER: usize = 8;
    const STEP: usize = 16;
    match bytes {
        0 => 0,
        bytes => (bytes + HEADER).next_multiple_of(STEP).max(2 * STEP),
    }
}

/// What a shared label set takes (bytes).
pub(super) fn label_set(labels: &LabelSet) -> usize {
    /// Of an `Arc`.
    const COUNTS: usize = 16;
    let (text, ends) = labels.allocated();
    heap(size_of::<LabelSet>() + COUNTS) + heap(text) + heap(ends)
}

/// What a shared map of texts takes (bytes).
pub(super) fn text_map(map: &BTreeMap<String, String>) -> usize {
    let texts = map.iter().map(|(name, text)| heap(name.capacity()) + heap(text.capacity()));
    heap(tree::<String, String>(map.len()) + size_of::<BTreeMap<String, String>>()) + texts.sum::<usize>()
}

/// What the nodes of a tree of so many pairs take (bytes): each has room for eleven (`alloc::collections::btree`), and
/// holds six at least where there are several.
pub(super) fn tree<K, V>(pairs: usize) -> usize {
    const ROOM: usize = 11;
    const LEAST: usize = 6;
    /// The parent, the length and the place in the parent.
    const LINKS: usize = 16;
    let nodes = if pairs <= ROOM { pairs.min(1) } else { pairs.div_ceil(LEAST) };
    nodes * heap(ROOM * (size_of::<K>() + size_of::<V>()) + LINKS)
}

/// A text that is kept: its beginning.
pub(super) fn kept(text: String) -> String {
    logql::label_set::cut(text.into(), TEXT_MAX).into_owned()
}
