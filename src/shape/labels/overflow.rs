//! Overflow streams take the entries for which there is no room. The labels that an overflow stream does not have become
//! metadata of its entries.

use super::limits::{Moved, metadata_name};
use crate::shape::limits::SERVICE_NAME;
use logql::label_set::{LabelSet, parse};

/// Labels that an overflow stream keeps, beside that of the retention class.
pub(crate) const OVERFLOW_KEEPS: [&str; 2] = ["host", "job"];
/// The label that says that a stream is an overflow stream.
pub(crate) const OVERFLOW: &str = "overflow";
/// The label that says what a stream is of, and its value in overflow streams: without one Loki would invent it.
const SERVICE: (&str, &str) = (SERVICE_NAME, "overflow");

/// The labels of the overflow stream for such entries; `retention` is the label of the retention class.
pub(super) fn overflowing(all: &LabelSet, retention: Option<&str>) -> LabelSet {
    let mut set = all.clone();
    set.retain(|name, _| OVERFLOW_KEEPS.contains(&name) || Some(name) == retention);
    set.insert(OVERFLOW, b"true");
    set.insert(SERVICE.0, SERVICE.1.as_bytes());
    set
}

/// Leaves an overflow stream only the labels that all of them have, and the retention class.
pub(super) fn least(set: &mut LabelSet, retention: Option<&str>) {
    set.retain(|name, _| [OVERFLOW, SERVICE.0].contains(&name) || Some(name) == retention);
}

/// The labels that entries lose when they go to another stream, as their metadata.
pub(super) fn lost<'a>(all: &'a LabelSet, set: &'a LabelSet) -> impl Iterator<Item = (String, String)> + 'a {
    let lost = all.iter().filter(|(name, value)| set.get(name) != Some(value));
    lost.map(|(name, value)| (metadata_name(name), value.to_owned()))
}

/// The overflow stream in place of one that is written as `labels`, and what its entries lose by that. `None` if that
/// is one already.
pub(crate) fn fold(labels: &str, retention: Option<&str>) -> Option<(String, Moved)> {
    let all = read(labels);
    let set = overflowing(&all, retention);
    (set != all).then(|| (set.to_string(), lost(&all, &set).collect()))
}

/// What the entries of the stream `labels` lose in the stream `other`, which is no overflow stream; that they are there
/// for want of room is added.
pub(crate) fn fold_into(labels: &str, other: &str) -> Moved {
    let mut all = read(labels);
    if all.get(OVERFLOW).is_none() {
        all.insert(OVERFLOW, b"true");
    }
    lost(&all, &read(other)).collect()
}

fn read(labels: &str) -> LabelSet {
    let mut set = LabelSet::default();
    parse(labels).iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
    set
}
