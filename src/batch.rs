//! A batch: entries on their way into one push request, gathered by stream.
//!
//! Entries are encoded straight into one buffer in the order of arrival; an index remembers whose they are.
//! Sealing lays them out stream by stream and compresses the whole. All buffers are used again, so a batch
//! allocates nothing for an entry, and its memory is about three times its size limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::labels::Stream;
use crate::loki::encode::{self, Metadata};

/// The entries of one stream in the batch.
struct Slot {
    labels: Arc<str>,
    bytes: usize,
}

/// Entries that will be pushed together.
pub struct Batch {
    entries: Vec<u8>,
    /// For each entry in order of arrival: its slot, and how many bytes it takes in `entries`.
    index: Vec<(u32, u32)>,
    slots: Vec<Slot>,
    by_stream: HashMap<u32, u32, foldhash::fast::RandomState>,
    label_bytes: usize,
    opened: Option<Instant>,
    plain: Vec<u8>,
    packed: Vec<u8>,
    snappy: snap::raw::Encoder,
}

/// A batch that is ready to be sent: it will never change.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// A `PushRequest` in snappy's block format.
    pub body: bytes::Bytes,
    /// Entries in it.
    pub entries: u64,
    /// Its size before compression.
    pub plain_bytes: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            entries: Vec::new(),
            index: Vec::new(),
            slots: Vec::new(),
            by_stream: HashMap::default(),
            label_bytes: 0,
            opened: None,
            plain: Vec::new(),
            packed: Vec::new(),
            snappy: snap::raw::Encoder::new(),
        }
    }
}

impl Batch {
    /// Adds an entry at the end of its stream.
    #[inline]
    pub fn push(&mut self, stream: &Stream, timestamp_ns: u64, line: &str, metadata: &Metadata) {
        let slot = match self.by_stream.get(&stream.id) {
            Some(slot) => *slot,
            None => self.open_slot(stream),
        };
        let before = self.entries.len();
        encode::put_entry(&mut self.entries, timestamp_ns, line, metadata);
        let bytes = self.entries.len() - before;
        self.index.push((slot, bytes as u32));
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.bytes += bytes;
        }
    }

    fn open_slot(&mut self, stream: &Stream) -> u32 {
        self.opened.get_or_insert_with(Instant::now);
        let slot = self.slots.len() as u32;
        self.slots.push(Slot { labels: stream.labels.clone(), bytes: 0 });
        self.by_stream.insert(stream.id, slot);
        self.label_bytes += encode::stream_len(&stream.labels, 0);
        slot
    }

    /// Bytes before compression, near enough for a limit.
    #[inline]
    pub fn size(&self) -> usize {
        self.entries.len() + self.label_bytes
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// When the first entry was added.
    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// For each entry in order of arrival: the number of its stream in the sealed request.
    pub fn order(&self) -> impl Iterator<Item = usize> {
        self.index.iter().map(|(slot, _)| *slot as usize)
    }

    /// Makes a request of the batch and empties it.
    pub fn seal(&mut self) -> Sealed {
        // First the heads of all streams at their places, then each entry behind its stream's last one.
        let total = self.slots.iter().map(|s| encode::stream_len(&s.labels, s.bytes)).sum();
        self.plain.clear();
        self.plain.reserve(total);
        let mut places = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            encode::put_stream(&mut self.plain, &slot.labels, slot.bytes);
            places.push(self.plain.len());
            self.plain.resize(self.plain.len() + slot.bytes, 0);
        }
        let mut rest = self.entries.as_slice();
        for (slot, len) in &self.index {
            let Some(((entry, after), place)) =
                rest.split_at_checked(*len as usize).zip(places.get_mut(*slot as usize))
            else {
                break;
            };
            if let Some(target) = self.plain.get_mut(*place..*place + entry.len()) {
                target.copy_from_slice(entry);
            }
            *place += entry.len();
            rest = after;
        }
        self.packed.resize(snap::raw::max_compress_len(self.plain.len()), 0);
        // The encoder fails only when the buffer is too small or the input over 4 GiB.
        let len = self.snappy.compress(&self.plain, &mut self.packed).unwrap_or(0);
        let sealed = Sealed {
            body: bytes::Bytes::copy_from_slice(self.packed.get(..len).unwrap_or_default()),
            entries: self.index.len() as u64,
            plain_bytes: self.plain.len(),
        };
        self.entries.clear();
        self.index.clear();
        self.slots.clear();
        self.by_stream.clear();
        self.label_bytes = 0;
        self.opened = None;
        sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::proto;
    use proptest::prelude::*;
    use prost::Message;

    type Given = (u32, u64, String, Vec<(String, String)>);

    fn entries() -> impl Strategy<Value = Vec<Given>> {
        let text = prop_oneof![Just(String::new()), ".{0,200}", "[a-z]{100,400}"];
        let time = prop_oneof![
            Just(0u64),
            Just(1_000_000_000),
            Just(999_999_999),
            0..2_000_000_000_000_000_000u64,
            any::<u32>().prop_map(u64::from)
        ];
        let pair = (".{0,10}", ".{0,140}");
        proptest::collection::vec((0..6u32, time, text, proptest::collection::vec(pair, 0..4)), 0..60)
    }

    /// The same request by prost.
    fn reference(given: &[Given]) -> proto::PushRequest {
        let mut order: Vec<u32> = Vec::new();
        for (stream, ..) in given {
            if !order.contains(stream) {
                order.push(*stream);
            }
        }
        let entry = |(_, time, line, metadata): &Given| proto::Entry {
            timestamp: Some(proto::Timestamp {
                seconds: (time / 1_000_000_000) as i64,
                nanos: (time % 1_000_000_000) as i32,
            }),
            line: line.clone(),
            structured_metadata: metadata
                .iter()
                .map(|(name, value)| proto::LabelPair { name: name.clone(), value: value.clone() })
                .collect(),
        };
        let stream = |id: &u32| proto::Stream {
            labels: labels_of(*id),
            entries: given.iter().filter(|g| g.0 == *id).map(entry).collect(),
        };
        proto::PushRequest { streams: order.iter().map(stream).collect() }
    }

    fn labels_of(id: u32) -> String {
        if id == 0 { String::new() } else { format!("{{unit=\"{}\"}}", "u".repeat(id as usize * 40)) }
    }

    proptest! {
        #[test]
        fn the_body_is_what_prost_writes(rounds in proptest::collection::vec(entries(), 1..4)) {
            let mut batch = Batch::default();
            for given in rounds {
                for (stream, time, line, pairs) in &given {
                    let stream = Stream { id: *stream, labels: labels_of(*stream).into() };
                    let mut metadata = Metadata::default();
                    for (name, value) in pairs {
                        metadata.add(name, value);
                    }
                    batch.push(&stream, *time, line, &metadata);
                }
                let (size, sealed) = (batch.size(), batch.seal());
                let plain = snap::raw::Decoder::new().decompress_vec(&sealed.body).unwrap();
                let reference = reference(&given);
                prop_assert_eq!(&plain, &reference.encode_to_vec());
                prop_assert_eq!(proto::PushRequest::decode(plain.as_slice()).unwrap(), reference);
                prop_assert_eq!((sealed.entries, sealed.plain_bytes), (given.len() as u64, plain.len()));
                prop_assert!(size.abs_diff(plain.len()) <= 16 * 6 + 16, "{} {}", size, plain.len());
                prop_assert!(batch.is_empty() && batch.size() == 0 && batch.opened().is_none());
            }
        }
    }
}
