//! A batch: entries on their way into one push request, gathered by stream.
//!
//! Entries are encoded straight into one buffer in the order of arrival; an index remembers whose they are.
//! Sealing lays them out stream by stream and compresses the whole. All buffers are used again, so a batch
//! allocates nothing for an entry, and its memory is about three times its size limit.

use std::collections::{BTreeMap, HashMap};
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
    payload_bytes: usize,
    plain: Vec<u8>,
    snappy: snap::raw::Encoder,
}

/// Tenants whose buffers are kept between batches (count).
const TENANTS_MAX: usize = 64;

/// The batches that are being filled, one for each tenant; they are sealed together, so that one place in
/// the journal stands behind all of them.
#[derive(Default)]
pub struct Batches {
    default: Batch,
    /// By the tenant that a stage has set.
    others: BTreeMap<String, Batch>,
    opened: Option<Instant>,
    /// For each entry in order of arrival its tenant, when someone wants to know.
    order: Option<Vec<Option<String>>>,
}

impl Batches {
    /// Batches that remember in which order their entries came.
    pub fn ordered() -> Batches {
        Batches { order: Some(Vec::new()), ..Batches::default() }
    }

    /// Adds an entry at the end of its stream.
    #[inline]
    pub fn push(
        &mut self,
        tenant: Option<&str>,
        stream: &Stream,
        timestamp_ns: u64,
        line: &str,
        metadata: &Metadata,
    ) {
        if self.opened.is_none() {
            self.opened = Some(Instant::now());
        }
        if let Some(order) = &mut self.order {
            order.push(tenant.map(str::to_owned));
        }
        let batch = match tenant {
            None => &mut self.default,
            Some(tenant) => match self.others.contains_key(tenant) {
                true => self.others.get_mut(tenant).unwrap_or(&mut self.default),
                false => self.others.entry(tenant.to_owned()).or_default(),
            },
        };
        batch.push(stream, timestamp_ns, line, metadata);
    }

    /// Bytes before compression, near enough for a limit.
    #[inline]
    pub fn size(&self) -> usize {
        self.default.size() + self.others.values().map(Batch::size).sum::<usize>()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.opened.is_none()
    }

    /// When the first entry was added.
    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// For each entry in order of arrival: its tenant, and the number of its stream in that tenant's request.
    pub fn order(&self) -> Vec<(Option<String>, usize)> {
        let mut default = self.default.order();
        let mut others: BTreeMap<_, _> = self.others.iter().map(|(t, b)| (t.as_str(), b.order())).collect();
        let order = self.order.iter().flatten();
        order
            .filter_map(|tenant| {
                let stream = match tenant {
                    None => default.next(),
                    Some(name) => others.get_mut(name.as_str()).and_then(Iterator::next),
                };
                Some((tenant.clone(), stream?))
            })
            .collect()
    }

    /// Makes requests of the batches and empties them.
    pub fn seal(&mut self) -> Vec<Sealed> {
        self.opened = None;
        if let Some(order) = &mut self.order {
            order.clear();
        }
        let mut sealed = Vec::with_capacity(1);
        if !self.default.is_empty() {
            sealed.push(self.default.seal());
        }
        for (tenant, batch) in self.others.iter_mut().filter(|(_, batch)| !batch.is_empty()) {
            sealed.push(Sealed { tenant: Some(tenant.as_str().into()), ..batch.seal() });
        }
        if self.others.len() > TENANTS_MAX {
            self.others.clear();
        }
        sealed
    }
}

/// A batch that is ready to be sent: it will never change.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Whose entries they are, when a stage has said so; else the destination's tenant.
    pub tenant: Option<Arc<str>>,
    /// A `PushRequest` in snappy's block format.
    pub body: bytes::Bytes,
    /// The label sets of its streams, in the order of the body.
    pub streams: Vec<Arc<str>>,
    /// Entries in it.
    pub entries: u64,
    /// Its size before compression.
    pub plain_bytes: usize,
    /// Bytes of lines and metadata: what Loki counts against its limits.
    pub payload_bytes: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            entries: Vec::new(),
            index: Vec::new(),
            slots: Vec::new(),
            by_stream: HashMap::default(),
            label_bytes: 0,
            payload_bytes: 0,
            plain: Vec::new(),
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
        self.payload_bytes += line.len() + metadata.payload();
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.bytes += bytes;
        }
    }

    fn open_slot(&mut self, stream: &Stream) -> u32 {
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
        // The entries are in `plain` now: their buffer takes the result. The encoder fails only when the buffer is
        // too small or the input over 4 GiB.
        let packed = &mut self.entries;
        packed.resize(snap::raw::max_compress_len(self.plain.len()), 0);
        let len = self.snappy.compress(&self.plain, packed).unwrap_or(0);
        let sealed = Sealed {
            tenant: None,
            body: bytes::Bytes::copy_from_slice(packed.get(..len).unwrap_or_default()),
            streams: self.slots.iter().map(|slot| slot.labels.clone()).collect(),
            entries: self.index.len() as u64,
            plain_bytes: self.plain.len(),
            payload_bytes: std::mem::take(&mut self.payload_bytes),
        };
        self.entries.clear();
        self.index.clear();
        self.slots.clear();
        self.by_stream.clear();
        self.label_bytes = 0;
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
                prop_assert!(batch.is_empty() && batch.size() == 0);
            }
        }
    }
}
