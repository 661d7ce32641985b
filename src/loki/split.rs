//! Taking a sealed batch apart: to find what is wrong in it, or to make it fit what Loki takes.
//!
//! This happens only after a refusal, so it need not be fast. The parts hold the entries of the batch, each once, in their
//! order, byte for byte. So Loki folds what it has stored already.

use std::cell::Cell;
use std::sync::Arc;

use prost::Message;

use super::learned::Limits;
use super::proto::{Entry, LabelPair, PushRequest, Stream};
use crate::loki::batch::{PORTION, Sealed};
use crate::shape::labels::Moved;
use crate::shape::line;

/// Two halves of a batch: of its streams if there are several, else of the entries of the stream. `None`: there is only one
/// entry.
pub(super) fn halves(sealed: &Sealed) -> Option<(Sealed, Sealed)> {
    let mut request = decode(sealed)?;
    let total: usize = request.streams.iter().map(|stream| stream.entries.len()).sum();
    let tail = match request.streams.as_mut_slice() {
        [] => return None,
        [stream] => {
            if stream.entries.len() < 2 {
                return None;
            }
            let entries = stream.entries.split_off(stream.entries.len() / 2);
            vec![Stream { labels: stream.labels.clone(), entries }]
        }
        streams => {
            let mut before = 0;
            let middle = streams.iter().position(|stream| {
                before += stream.entries.len();
                before * 2 >= total
            });
            // Each half has at least one stream.
            let at = (middle.unwrap_or(0) + 1).min(streams.len() - 1);
            request.streams.split_off(at)
        }
    };
    Some((seal(&request, sealed), seal(&PushRequest { streams: tail }, sealed)))
}

/// The last entry of a batch alone. If it is sent again at once, Loki folds it, and the answer shows whether Loki takes
/// anything.
pub(super) fn last(sealed: &Sealed) -> Option<Sealed> {
    let mut request = decode(sealed)?;
    let mut stream = request.streams.pop()?;
    stream.entries.drain(..stream.entries.len().saturating_sub(1));
    (!stream.entries.is_empty()).then(|| seal(&PushRequest { streams: vec![stream] }, sealed))
}

/// Each stream of a batch alone, if there are several.
pub(super) fn apart(sealed: &Sealed) -> Option<Vec<Sealed>> {
    let streams = decode(sealed)?.streams;
    let alone = |stream| seal(&PushRequest { streams: vec![stream] }, sealed);
    (streams.len() > 1).then(|| streams.into_iter().map(alone).collect())
}

/// The batch, cut to the limits. `None`: nothing in it exceeds them.
pub(super) fn fit(sealed: &Sealed, limits: &Limits) -> Option<Sealed> {
    let mut request = decode(sealed)?;
    let changed = Cell::new(false);
    for entry in request.streams.iter_mut().flat_map(|stream| &mut stream.entries) {
        if entry.line.len() > limits.line {
            line::fit(&mut entry.line, limits.line);
            changed.set(true);
        }
        let mut room = limits.metadata;
        let before = entry.structured_metadata.len();
        entry.structured_metadata.truncate(limits.metadata_names);
        entry.structured_metadata.retain(|LabelPair { name, value }| {
            let fits = name.len() + value.len() <= room;
            if fits {
                room -= name.len() + value.len();
            }
            fits
        });
        changed.set(changed.get() || before != entry.structured_metadata.len());
    }
    changed.get().then(|| seal(&request, sealed))
}

/// The way of a stream.
#[derive(Clone)]
pub(super) enum Way {
    /// It goes with others, as it is.
    On,
    /// It goes in its own request.
    Alone,
    /// Its entries go into the stream `to`, with metadata added. They are counted if they go there for the first time (`new`).
    /// They go in requests of their own: Loki may have no room for `to`, or may have newer entries there, so that these are too
    /// far behind.
    Into { to: Arc<str>, moved: Moved, new: bool },
    /// It cannot be sent yet.
    Wait,
}

/// The new layout of a batch.
#[derive(Default)]
pub(super) struct Ways {
    /// The requests, in the order in which they should be sent.
    pub parts: Vec<Sealed>,
    /// What cannot be sent.
    pub waiting: Option<Sealed>,
    /// How many entries were put into other streams.
    pub folded: u64,
}

/// Lays out a batch again. `way` gives the way of a stream by its labels.
pub(super) fn lay_out(sealed: &Sealed, mut way: impl FnMut(&str) -> Way) -> Ways {
    let Some(request) = decode(sealed) else { return Ways::default() };
    let (mut on, mut wait, mut ways) = (PushRequest::default(), PushRequest::default(), Ways::default());
    let (mut alone, mut into) = (Vec::new(), Vec::new());
    for mut stream in request.streams {
        let (to, moved, new) = match way(&stream.labels) {
            Way::On => {
                on.streams.push(stream);
                continue;
            }
            Way::Alone => {
                alone.push(PushRequest { streams: vec![stream] });
                continue;
            }
            Way::Wait => {
                wait.streams.push(stream);
                continue;
            }
            Way::Into { to, moved, new } => (to, moved, new),
        };
        for Entry { structured_metadata: pairs, .. } in &mut stream.entries {
            for (name, value) in &moved {
                if !pairs.iter().any(|pair| pair.name == *name) {
                    pairs.push(LabelPair { name: name.clone(), value: value.clone() });
                }
            }
        }
        ways.folded += if new { stream.entries.len() as u64 } else { 0 };
        join(&mut into, Stream { labels: to.to_string(), entries: stream.entries });
    }
    let into = into.into_iter().flat_map(portions).map(|stream| PushRequest { streams: vec![stream] });
    let parts = [on].into_iter().chain(alone).chain(into).filter(|request| !request.streams.is_empty());
    ways.parts = parts.map(|request| seal(&request, sealed)).collect();
    ways.waiting = (!wait.streams.is_empty()).then(|| seal(&wait, sealed));
    ways
}

/// A stream in pieces of at most [`PORTION`] bytes. A piece has at least one entry.
fn portions(stream: Stream) -> Vec<Stream> {
    let (mut pieces, mut bytes): (Vec<Stream>, usize) = (Vec::new(), 0);
    for entry in stream.entries {
        let more = entry.encoded_len();
        match pieces.last_mut() {
            Some(piece) if bytes + more <= PORTION => {
                bytes += more;
                piece.entries.push(entry);
            }
            _ => {
                bytes = more;
                pieces.push(Stream { labels: stream.labels.clone(), entries: vec![entry] });
            }
        }
    }
    pieces
}

/// Makes one batch of several batches of the same tenant. `None`: there are none.
pub(super) fn joined(parts: &[Sealed]) -> Option<Sealed> {
    let mut request = PushRequest::default();
    let streams = parts.iter().filter_map(decode).flat_map(|request| request.streams);
    streams.for_each(|stream| join(&mut request.streams, stream));
    parts.first().map(|like| seal(&request, like))
}

/// Adds the entries of a stream to the stream with the same labels, if it exists.
fn join(streams: &mut Vec<Stream>, stream: Stream) {
    let known = streams.iter_mut().find(|known| known.labels == stream.labels);
    let Some(known) = known else { return streams.push(stream) };
    known.entries.extend(stream.entries);
    // Loki takes entries that are a little late, but a batch may span days.
    known.entries.sort_by_key(|entry| entry.timestamp.map(|time| (time.seconds, time.nanos)));
}

pub(super) fn decode(sealed: &Sealed) -> Option<PushRequest> {
    // This program has written it, so it can be read.
    let plain = snap::raw::Decoder::new().decompress_vec(&sealed.body).ok()?;
    PushRequest::decode(plain.as_slice()).ok()
}

pub(super) fn seal(request: &PushRequest, like: &Sealed) -> Sealed {
    let plain = request.encode_to_vec();
    let entries = || request.streams.iter().flat_map(|stream| &stream.entries);
    // It fails only for more than 4 GiB.
    let body = snap::raw::Encoder::new().compress_vec(&plain).unwrap_or_default();
    Sealed {
        tenant: like.tenant.clone(),
        streams: request.streams.iter().map(|stream| stream.labels.as_str().into()).collect(),
        body: body.into(),
        entries: entries().count() as u64,
        plain_bytes: plain.len(),
        payload_bytes: entries().map(payload).sum(),
        laid: like.laid.filter(|_| request.streams.len() > 1),
        receipt: None,
    }
}

/// The bytes of an entry that Loki counts (grafana/loki, `pkg/util/entry_size.go`).
fn payload(entry: &Entry) -> usize {
    let pairs = entry.structured_metadata.iter().map(|pair| pair.name.len() + pair.value.len());
    entry.line.len() + pairs.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::batch::Batch;
    use crate::loki::encode::Metadata;
    use proptest::prelude::*;

    const NONE: Limits = Limits { line: usize::MAX, metadata: usize::MAX, metadata_names: usize::MAX };

    type Given = (u8, String, Vec<(String, String)>);

    fn sealed(entries: &[Given]) -> Sealed {
        let mut batch = Batch::default();
        for (number, (stream, line, pairs)) in entries.iter().enumerate() {
            let stream = crate::shape::labels::Stream {
                id: u32::from(*stream),
                labels: format!("{{s=\"{stream}\"}}").into(),
            };
            let mut metadata = Metadata::default();
            pairs.iter().for_each(|(name, value)| metadata.add(name, value));
            batch.push(&stream, number as u64, line, &metadata);
        }
        batch.seal()
    }

    /// Labels, time and line of each entry, in order.
    fn flat(sealed: &Sealed) -> Vec<(String, i32, String)> {
        let streams = decode(sealed).unwrap().streams;
        let entry =
            |labels: &str, e: Entry| (labels.to_owned(), e.timestamp.unwrap_or_default().nanos, e.line);
        streams.into_iter().flat_map(|s| s.entries.into_iter().map(move |e| entry(&s.labels, e))).collect()
    }

    proptest! {
        #[test]
        fn halves_are_the_whole(
            entries in proptest::collection::vec(
                (0..4u8, ".{0,20}", proptest::collection::vec(("[a-z]{1,4}", ".{1,8}"), 0..3)), 1..40),
        ) {
            let whole = sealed(&entries);
            let mut work = vec![whole.clone()];
            let mut single = Vec::new();
            let mut steps = 0;
            while let Some(part) = work.pop() {
                steps += 1;
                match halves(&part) {
                    Some((first, second)) => {
                        prop_assert!(first.entries > 0 && second.entries > 0);
                        prop_assert_eq!(first.payload_bytes + second.payload_bytes, part.payload_bytes);
                        work.push(second);
                        work.push(first);
                    }
                    None => {
                        prop_assert_eq!(part.entries, 1);
                        single.extend(flat(&part));
                    }
                }
            }
            prop_assert_eq!(steps, 2 * entries.len() - 1);
            prop_assert_eq!(single, flat(&whole));
            let alone = apart(&whole).unwrap_or_else(|| vec![whole.clone()]);
            prop_assert!(alone.iter().all(|part| part.streams.len() == 1 && part.laid.is_none()));
            prop_assert_eq!(alone.iter().flat_map(flat).collect::<Vec<_>>(), flat(&whole));
            prop_assert_eq!(fit(&whole, &NONE).map(|s| s.entries), None);
        }

        #[test]
        fn what_is_made_to_fit_fits_and_nothing_is_lost(
            entries in proptest::collection::vec(
                (0..4u8, ".{0,200}", proptest::collection::vec(("[a-z]{1,4}", ".{1,8}"), 0..5)), 1..20),
            line in 30..300usize, metadata in 0..40usize, metadata_names in 0..5usize,
        ) {
            let whole = sealed(&entries);
            let limits = Limits { line, metadata, metadata_names };
            let fitted = fit(&whole, &limits);
            let fitted = fitted.as_ref().unwrap_or(&whole);
            prop_assert!(fit(fitted, &limits).is_none());
            let times = |sealed| flat(sealed).into_iter().map(|(labels, time, _)| (labels, time)).collect::<Vec<_>>();
            prop_assert_eq!(times(fitted), times(&whole));
            for entry in decode(fitted).unwrap().streams.iter().flat_map(|stream| &stream.entries) {
                prop_assert!(entry.line.len() <= line && entry.structured_metadata.len() <= metadata_names);
                prop_assert!(payload(entry) - entry.line.len() <= metadata);
            }
        }
    }

    #[test]
    fn what_loki_counts_is_counted() {
        let pairs = vec![("pid".to_owned(), "42".to_owned()), ("empty".to_owned(), String::new())];
        let whole = sealed(&[(1, "line".into(), pairs), (2, "é".into(), Vec::new())]);
        assert_eq!(whole.payload_bytes, 4 + 5 + 5 + 2);
        assert_eq!(seal(&decode(&whole).unwrap(), &whole).payload_bytes, whole.payload_bytes);
    }
}
