//! The rest of a request after Loki has refused some of its entries by name.
//!
//! A refusal may hide others: the ingester's refusal replaces the distributor's, and it names only the last of several
//! streams. So the named entries, and the streams that are decided with them, are taken out. The rest must be sent once more
//! before it counts as stored.

use std::collections::BTreeMap;

use super::answer::Reason;
use super::proto::{Entry, PushRequest, Stream};
use super::split;
use super::words::{Labels, Refusal, Which};
use crate::loki::batch::Sealed;
use crate::shape::labels::parse_pushed;
use crate::shape::limits::SERVICE_NAME;

/// What a refusal leaves.
pub(super) struct Remainder {
    /// Entries that are refused, by reason.
    pub refused: BTreeMap<Reason, u64>,
    /// Entries that are known to be stored.
    pub stored: u64,
    /// Entries that the answer does not speak of.
    pub rest: Option<Sealed>,
}

/// Labels that Loki adds to a stream before it names it: the label that every stream has, and the number of a shard
/// (`pkg/distributor/distributor.go`, `pkg/ingester/constants.go`).
const ADDED: [&str; 2] = [SERVICE_NAME, "__stream_shard__"];

/// Takes out what is refused. `None`: the request holds nothing that is refused, so the words are about another request.
pub(super) fn remainder(sealed: &Sealed, refusals: &[Refusal]) -> Option<Remainder> {
    let request = split::decode(sealed)?;
    let streams: Vec<Labels> = request.streams.iter().map(|stream| parse_pushed(&stream.labels)).collect();
    let mut left: Vec<Vec<Option<Entry>>> = Vec::new();
    for stream in &request.streams {
        left.push(stream.entries.iter().cloned().map(Some).collect());
    }
    let mut found = Remainder { refused: BTreeMap::new(), stored: 0, rest: None };
    let mut about_it = false;
    for refusal in refusals {
        let meant = |labels: &Labels| match &refusal.stream {
            Some(named) => is_named(labels, named),
            None => streams.len() == 1,
        };
        let mut entries: Vec<&mut Option<Entry>> = Vec::new();
        for (_, stream) in streams.iter().zip(&mut left).filter(|(labels, _)| meant(labels)) {
            entries.extend(stream.iter_mut().filter(|entry| entry.is_some()));
        }
        let (refused, stored) = take(refusal, entries);
        about_it |= refused > 0;
        *found.refused.entry(refusal.reason).or_default() += refused;
        found.stored += stored;
    }
    if !about_it {
        return None;
    }
    found.refused.retain(|_, entries| *entries > 0);
    let mut rest = PushRequest::default();
    for (Stream { labels, .. }, entries) in request.streams.into_iter().zip(left) {
        let entries: Vec<Entry> = entries.into_iter().flatten().collect();
        if !entries.is_empty() {
            rest.streams.push(Stream { labels, entries });
        }
    }
    found.rest = (!rest.streams.is_empty()).then(|| split::seal(&rest, sealed));
    Some(found)
}

/// Whether the labels that Loki names mean a stream with these labels.
fn is_named(ours: &Labels, named: &Labels) -> bool {
    ours.iter().all(|(name, value)| named.get(name) == Some(value))
        && named.keys().all(|name| ours.contains_key(name) || ADDED.contains(&name.as_str()))
}

/// Takes out the entries of a stream that a refusal decides. Returns how many are refused and how many are stored.
fn take(refusal: &Refusal, mut entries: Vec<&mut Option<Entry>>) -> (u64, u64) {
    let all = entries.len() as u64;
    let most = usize::try_from(refusal.entries).unwrap_or(usize::MAX);
    let second = |entry: &Entry| entry.timestamp.unwrap_or_default().seconds;
    let bytes = |entry: &Entry| -> usize {
        entry.structured_metadata.iter().map(|pair| pair.name.len() + pair.value.len()).sum()
    };
    let wanted: Box<dyn Fn(&Entry) -> bool> = match &refusal.which {
        Which::All => {
            entries.into_iter().for_each(|entry| *entry = None);
            return (all, 0);
        }
        // It does not matter which entries these are, because the other entries of the stream are stored.
        Which::Unsaid | Which::Limited => {
            entries.into_iter().for_each(|entry| *entry = None);
            let refused = refusal.entries.min(all);
            return (refused, all - refused);
        }
        Which::Behind { of, at, before } => {
            let listed = |entry: &Entry| at.contains(&nanoseconds(entry));
            let earlier = |entry: &Entry| before.is_some_and(|before| nanoseconds(entry) < before);
            let is = |entry: &Option<Entry>, what: &dyn Fn(&Entry) -> bool| entry.as_ref().is_some_and(what);
            // All entries of the stream came through, so all of them are decided.
            if *of == Some(all) || !entries.iter().any(|entry| is(entry, &listed) || is(entry, &earlier)) {
                entries.into_iter().for_each(|entry| *entry = None);
                let refused = refusal.entries.min(all);
                return (refused, all - refused);
            }
            // Loki lists at most ten. The others are the newest ones, because older entries may have been too old to come
            // through.
            entries.retain(|entry| is(entry, &listed) || is(entry, &earlier));
            entries.sort_by_key(|entry| {
                std::cmp::Reverse((is(entry, &listed), entry.as_ref().map(nanoseconds)))
            });
            let refused = entries.into_iter().take(most).map(|entry| *entry = None).count() as u64;
            return (refused, 0);
        }
        Which::OldestOf(at) | Which::NewestOf(at) => Box::new(move |entry| second(entry) == *at),
        Which::Line(length) => Box::new(move |entry| entry.line.len() as u64 == *length),
        Which::MetadataBytes(count) => Box::new(move |entry| bytes(entry) as u64 == *count),
        Which::MetadataNames(count) => {
            Box::new(move |entry| entry.structured_metadata.len() as u64 == *count)
        }
    };
    entries.retain(|entry| entry.as_ref().is_some_and(&wanted));
    entries.sort_by_key(|entry| entry.as_ref().map(nanoseconds));
    if matches!(refusal.which, Which::NewestOf(_)) {
        entries.reverse();
    }
    let taken = entries.into_iter().take(most).map(|entry| *entry = None).count() as u64;
    (taken, 0)
}

/// When an entry was written (nanoseconds since 1970).
fn nanoseconds(entry: &Entry) -> i128 {
    let time = entry.timestamp.unwrap_or_default();
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::batch::Batch;
    use crate::loki::encode::Metadata;
    use crate::loki::words::refusals;
    use crate::shape::labels;

    /// 2026-11-28T10:00:00Z
    const TEN: u64 = 1_795_860_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// A batch of streams `{s="…"}` with entries at these times.
    fn batch(entries: &[(u32, u64)]) -> Sealed {
        let mut batch = Batch::default();
        for (id, time) in entries {
            let stream = labels::Stream { id: *id, labels: format!("{{s=\"{id}\"}}").into() };
            batch.push(&stream, *time, &time.to_string(), &Metadata::default());
        }
        batch.seal()
    }

    /// What is refused, what is stored, and the times of the rest.
    type Left = (Vec<(Reason, u64)>, u64, Vec<u64>);

    fn left(sealed: &Sealed, text: &str) -> Option<Left> {
        let found = remainder(sealed, &refusals(text))?;
        let rest = found.rest.and_then(|rest| split::decode(&rest)).unwrap_or_default();
        let times = rest.streams.iter().flat_map(|s| &s.entries).map(|e| nanoseconds(e) as u64).collect();
        Some((found.refused.into_iter().collect(), found.stored, times))
    }

    #[test]
    fn what_is_named_is_taken_out_and_nothing_else() {
        let at = |seconds: u64| TEN + seconds * SECOND;
        let old = |s: u32, n: u32| {
            format!(
                "{n} errors like: entry for stream '{{s=\"{s}\", service_name=\"x\"}}' has timestamp too old: \
             2026-11-28T10:00:00Z, oldest acceptable timestamp is: 2026-11-28T10:00:00Z"
            )
        };
        let behind = |x: u32, y: u32| {
            format!(
                "entry with timestamp 2026-11-28 10:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp \
             is: 2026-11-28T10:00:00Z, oldest acceptable timestamp is: 2026-11-28T10:00:05Z',\nuser 'x', total ignored: \
             {x} out of {y} for stream: {{s=\"1\"}}"
            )
        };
        let entries = [(1, at(9)), (2, at(0)), (1, at(1)), (1, at(0)), (1, TEN + 5), (1, at(7))];
        let whole = batch(&entries);
        // Of one second the oldest are meant, as many as are said, and of the stream that is named.
        assert_eq!(
            left(&whole, &old(1, 1)),
            Some((vec![(Reason::TooOld, 1)], 0, vec![at(9), at(1), TEN + 5, at(7), at(0)]))
        );
        assert_eq!(
            left(&whole, &old(1, 2)),
            Some((vec![(Reason::TooOld, 2)], 0, vec![at(9), at(1), at(7), at(0)]))
        );
        // All of the stream came to the ingester: nothing of it is hidden.
        assert_eq!(left(&whole, &behind(3, 5)), Some((vec![(Reason::TooFarBehind, 3)], 2, vec![at(0)])));
        // Some of it did not.
        assert_eq!(
            left(&whole, &behind(2, 3)),
            Some((vec![(Reason::TooFarBehind, 2)], 0, vec![at(9), TEN + 5, at(7), at(0)]))
        );
        // A whole stream.
        let labels = "stream '{s=\"1\"}' has duplicate label name: 's'";
        assert_eq!(left(&whole, labels), Some((vec![(Reason::Labels, 5)], 0, vec![at(0)])));
        // A shard of one.
        let shard = "stream '{__stream_shard__=\"3\", s=\"2\"}' has duplicate label name: 's'";
        assert_eq!(left(&whole, shard).map(|left| left.0), Some(vec![(Reason::Labels, 1)]));
        // Words about something else.
        for other in [&old(7, 1), "stream '{s=\"1\", t=\"2\"}' has duplicate label name: 's'", "why"] {
            assert_eq!(left(&whole, other), None, "{other}");
        }
    }
}
