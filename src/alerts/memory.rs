//! How much memory rules may take, and what things cost. The costs are what the allocator takes, which is more than the
//! length of the data.

use std::collections::BTreeMap;

use logql::label_set::LabelSet;

/// The default for what windows and alerts of all rules may take together (bytes). With it, the agent stays below 64 MB,
/// whatever the rules are and whoever writes to the journal.
pub const MEMORY_MAX: usize = 20 << 20;
/// Alerts and recorded series may take one part in so many of it. Windows may take the rest.
const RESULTS_PART: usize = 4;
/// The longest labels of one series (bytes). A parser can make a label of each word of a line, but no ordinary series comes
/// near this.
pub(super) const SERIES_LABELS_MAX: usize = 16 << 10;
/// The longest annotation, and the longest text of an error (bytes). Longer ones are cut: nobody reads that much.
pub(super) const TEXT_MAX: usize = 4 << 10;

/// The part of `all` that windows may take (bytes).
pub(super) fn of_windows(all: usize) -> usize {
    all - of_results(all)
}

/// The part of `all` that alerts and recorded series may take (bytes).
pub(super) fn of_results(all: usize) -> usize {
    all / RESULTS_PART
}

/// The most that alerts can take if rules may take `all` (bytes). It is the limit for whatever holds all alerts once more.
pub fn of_alerts(all: usize) -> usize {
    2 * of_results(all)
}

/// What an allocation of so many bytes takes (bytes). glibc adds eight, and rounds up to a multiple of sixteen, at least 32
/// (glibc, `malloc/malloc.c`, `request2size`).
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

/// What the nodes of a tree of so many pairs take (bytes). Each node has room for eleven pairs (`alloc::collections::btree`).
/// If there are several nodes, each holds six pairs at least.
pub(super) fn tree<K, V>(pairs: usize) -> usize {
    const ROOM: usize = 11;
    const LEAST: usize = 6;
    /// The parent, the length and the place in the parent.
    const LINKS: usize = 16;
    let nodes = if pairs <= ROOM { pairs.min(1) } else { pairs.div_ceil(LEAST) };
    nodes * heap(ROOM * (size_of::<K>() + size_of::<V>()) + LINKS)
}

/// The part of a text that is kept: its beginning.
pub(super) fn kept(text: String) -> String {
    logql::label_set::cut(text.into(), TEXT_MAX).into_owned()
}
