//! A batch: entries on their way into push requests, gathered by stream.
//!
//! Entries are encoded straight into one buffer in the order of arrival; an index remembers their streams.
//! Sealing takes them from there stream by stream and compresses them on the way. All buffers are used again, so a batch
//! allocates nothing for an entry, and its memory is about twice its size limit.
//!
//! Usually a batch is one request. It becomes several where Loki could refuse or store something and not say so: a stream
//! that Loki may refuse goes alone (see [`known`]), and no request holds more of a stream than [`PORTION`].

pub mod known;
mod snappy;
mod tenants;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use self::known::{Known, Last, Receipt};
use self::snappy::Snappy;
pub use self::tenants::Batches;
use crate::loki::encode::{self, Metadata};
use crate::shape::labels::Stream;
use crate::shape::limits::BLOCK_SIZE;

/// The most of one stream in a request (bytes before compression): a quarter of what Loki's head block takes
/// ([`BLOCK_SIZE`]). Loki folds an entry that comes again only while the first is in
/// that block. So this is the most of a stream that can be stored twice when an answer is lost; mostly nothing is.
pub const PORTION: usize = BLOCK_SIZE / 4;

/// A portion of a stream: its entries in one request.
struct Portion {
    labels: Arc<str>,
    id: u32,
    /// The stream's first portion in the batch, and the number of this one from there.
    first: u32,
    number: u32,
    /// Its entries: encoded, their number, and what Loki counts of them.
    bytes: usize,
    entries: u32,
    payload_bytes: usize,
    /// Times (nanoseconds since 1970).
    oldest: u64,
    newest: u64,
    /// No entry that Loki has of the stream so far is newer than this.
    bound: u64,
    /// An entry may be too far behind for Loki.
    behind: bool,
    stamp: u64,
    /// Where its entries begin in the batch's `order`, and when they are there, where they end.
    place: u32,
}

/// Entries that will be pushed together.
pub struct Batch {
    entries: Vec<u8>,
    /// For each entry in order of arrival: its portion, and how many bytes it takes in `entries`.
    index: Vec<(u32, u32)>,
    portions: Vec<Portion>,
    /// Each stream's last portion.
    by_stream: HashMap<u32, u32, foldhash::fast::RandomState>,
    label_bytes: usize,
    snappy: Snappy,
    /// For each entry its place in `entries` and its length, portion after portion; filled to write requests.
    order: Vec<(u32, u32)>,
    /// The streams that Loki has; without it, the batch is one request.
    known: Option<Arc<Known>>,
    /// How far behind an entry may be (nanoseconds).
    window: u64,
    /// Streams that Loki is not known to have (count).
    unsure: usize,
}

/// A request that is ready to be sent: it will never change.
#[derive(Debug, Clone, Default)]
pub struct Sealed {
    /// The tenant that a stage has set; `None`: the destination's tenant.
    pub tenant: Option<Arc<str>>,
    /// A `PushRequest` in snappy's block format.
    pub body: bytes::Bytes,
    /// The label sets of its streams, in the order of the body. Loki answers for the last one.
    pub streams: Vec<Arc<str>>,
    /// Entries in it.
    pub entries: u64,
    /// Its size before compression.
    pub plain_bytes: usize,
    /// Bytes of lines and metadata: what Loki counts against its limits.
    pub payload_bytes: usize,
    /// When its streams were found to go together; `None` when it has only one, or nothing is known of them.
    pub laid: Option<Instant>,
    /// To be given back for what is answered.
    pub receipt: Option<Receipt>,
}

impl Default for Batch {
    /// A batch that becomes one request, whatever Loki has.
    fn default() -> Batch {
        Batch {
            entries: Vec::new(),
            index: Vec::new(),
            portions: Vec::new(),
            by_stream: HashMap::default(),
            label_bytes: 0,
            snappy: Snappy::default(),
            order: Vec::new(),
            known: None,
            window: 0,
            unsure: 0,
        }
    }
}

impl Batch {
    /// A batch whose streams are told apart by whether Loki has them, with at most so many active streams.
    fn known(max_streams: usize) -> Batch {
        let known = Known::new(max_streams);
        let window = known.lock().window();
        Batch { known: Some(Arc::new(known)), window, ..Batch::default() }
    }

    /// Adds an entry at the end of its stream.
    #[inline]
    pub fn push(&mut self, stream: &Stream, timestamp_ns: u64, line: &str, metadata: &Metadata) {
        let mut at = match self.by_stream.get(&stream.id) {
            Some(at) => *at,
            None => self.open(stream),
        };
        let before = self.entries.len();
        encode::put_entry(&mut self.entries, timestamp_ns, line, metadata);
        let bytes = self.entries.len() - before;
        if self.known.is_some()
            && let Some(portion) = self.portions.get(at as usize)
            && portion.bytes + bytes > PORTION
            && portion.bytes > 0
        {
            at = self.open_next(at);
        }
        self.index.push((at, bytes as u32));
        let Some(portion) = self.portions.get_mut(at as usize) else { return };
        portion.bytes += bytes;
        portion.entries += 1;
        portion.payload_bytes += line.len() + metadata.payload();
        portion.behind |= timestamp_ns.saturating_add(self.window) < portion.bound.max(portion.newest);
        portion.oldest = portion.oldest.min(timestamp_ns);
        portion.newest = portion.newest.max(timestamp_ns);
    }

    /// A stream's first portion.
    fn open(&mut self, stream: &Stream) -> u32 {
        let (sure, bound) = match &self.known {
            Some(known) => known.lock().standing(stream.id, Instant::now()),
            None => (true, 0),
        };
        self.unsure += usize::from(!sure);
        let first = self.portions.len() as u32;
        self.add(Portion {
            labels: stream.labels.clone(),
            id: stream.id,
            first,
            number: 0,
            bytes: 0,
            entries: 0,
            payload_bytes: 0,
            oldest: u64::MAX,
            newest: 0,
            bound,
            behind: false,
            stamp: 0,
            place: 0,
        })
    }

    #[cold]
    fn open_next(&mut self, at: u32) -> u32 {
        let Some(last) = self.portions.get(at as usize) else { return at };
        let next = Portion {
            labels: last.labels.clone(),
            number: last.number + 1,
            bytes: 0,
            entries: 0,
            payload_bytes: 0,
            oldest: u64::MAX,
            newest: 0,
            bound: last.bound.max(last.newest),
            behind: false,
            ..*last
        };
        self.add(next)
    }

    fn add(&mut self, portion: Portion) -> u32 {
        let at = self.portions.len() as u32;
        self.label_bytes += encode::stream_len(&portion.labels, 0);
        self.by_stream.insert(portion.id, at);
        self.portions.push(portion);
        at
    }

    /// Bytes before compression, near enough for a limit.
    #[inline]
    pub fn size(&self) -> usize {
        self.entries.len() + self.label_bytes
    }

    /// Whether it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// For each entry in order of arrival: the number of its stream in the request.
    fn order(&self) -> impl Iterator<Item = usize> {
        self.index.iter().map(|(portion, _)| *portion as usize)
    }

    /// Makes one request of the batch, its streams in the order of arrival, and empties it.
    pub fn seal(&mut self) -> Sealed {
        let all = (0..self.portions.len() as u32).collect();
        self.write(&[all], None).pop().unwrap_or_default()
    }

    /// Makes requests of the batch, to be sent in this order, and empties it.
    fn requests(&mut self) -> Vec<Sealed> {
        if self.is_empty() {
            return Vec::new();
        }
        match self.known.clone() {
            None => vec![self.seal()],
            Some(known) => {
                let now = Instant::now();
                let layout = self.lay_out(&known, now);
                let sealed = self.write(&layout, Some((&known, now)));
                self.window = known.lock().window();
                sealed
            }
        }
    }

    /// Which portions go into which request. Those of streams that Loki has and will take go together, first the first
    /// of each, then the second. In each request, the stream that most was sent of lately comes last, because it is the
    /// one that a rate limit would refuse. The other portions follow, each alone, so that none of the first waits for them.
    fn lay_out(&mut self, known: &Known, now: Instant) -> Vec<Vec<u32>> {
        let mut known = known.lock();
        let mut alone = vec![false; self.portions.len()];
        for portion in &self.portions {
            if let Some(alone) = alone.get_mut(portion.first as usize) {
                *alone |= portion.behind || (portion.number == 0 && !known.standing(portion.id, now).0);
            }
        }
        let mut together: Vec<Vec<(u64, u32)>> = Vec::with_capacity(1);
        let mut single = Vec::new();
        for (at, portion) in (0..).zip(&mut self.portions) {
            let rest;
            (portion.stamp, rest) = known.book(portion.id, portion.newest, portion.payload_bytes, now);
            if alone.get(portion.first as usize) == Some(&true) {
                single.push(vec![at]);
                continue;
            }
            let number = portion.number as usize;
            if together.len() <= number {
                together.resize_with(number + 1, Vec::new);
            }
            if let Some(request) = together.get_mut(number) {
                request.push((rest, at));
            }
        }
        let mut layout: Vec<Vec<u32>> = Vec::with_capacity(together.len() + single.len());
        for mut request in together {
            request.sort_unstable();
            layout.push(request.into_iter().map(|(_, at)| at).collect());
        }
        layout.extend(single);
        layout
    }

    /// Writes requests of these portions, and empties the batch.
    fn write(&mut self, layout: &[Vec<u32>], known: Option<(&Arc<Known>, Instant)>) -> Vec<Sealed> {
        self.sort();
        let mut sealed = Vec::with_capacity(layout.len());
        let mut head = Vec::new();
        for request in layout {
            let mut like = Sealed::default();
            let portions = || request.iter().filter_map(|at| self.portions.get(*at as usize));
            for portion in portions() {
                like.plain_bytes += encode::stream_len(&portion.labels, portion.bytes);
                like.streams.push(portion.labels.clone());
                like.entries += u64::from(portion.entries);
                like.payload_bytes += portion.payload_bytes;
            }
            self.snappy.begin(like.plain_bytes);
            for portion in portions() {
                head.clear();
                encode::put_stream(&mut head, &portion.labels, portion.bytes);
                self.snappy.put(&head);
                // Sorting has left the end of the portion's entries there.
                let last = portion.place as usize;
                let order = self.order.get(last.saturating_sub(portion.entries as usize)..last);
                for (at, len) in order.unwrap_or_default() {
                    let entry = self.entries.get(*at as usize..*at as usize + *len as usize);
                    self.snappy.put(entry.unwrap_or_default());
                }
            }
            like.body = self.snappy.end();
            if let Some((known, now)) = known {
                like.laid = (request.len() > 1).then_some(now);
                let last = portions().next_back();
                like.receipt = last.map(|portion| Receipt { known: known.clone(), last: portion.as_last() });
            }
            sealed.push(like);
        }
        self.entries.clear();
        self.index.clear();
        self.portions.clear();
        self.by_stream.clear();
        (self.label_bytes, self.unsure) = (0, 0);
        sealed
    }

    /// Brings the places of all entries into the order of their portions, and those of one in the order of arrival.
    fn sort(&mut self) {
        let mut before = 0;
        for portion in &mut self.portions {
            portion.place = before;
            before += portion.entries;
        }
        self.order.clear();
        self.order.resize(self.index.len(), (0, 0));
        let mut at = 0;
        for (portion, len) in &self.index {
            if let Some(portion) = self.portions.get_mut(*portion as usize)
                && let Some(entry) = self.order.get_mut(portion.place as usize)
            {
                *entry = (at, *len);
                portion.place += 1;
            }
            // A batch is far below 4 GiB: what its configuration allows, and one entry.
            at = at.saturating_add(*len);
        }
    }
}

impl Portion {
    fn as_last(&self) -> Last {
        Last { id: self.id, stamp: self.stamp, oldest: self.oldest, newest: self.newest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::proto;
    use std::collections::BTreeMap;

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
                let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
                let payload: usize = given.iter().map(|(_, _, line, metadata)| line.len() + pairs(metadata)).sum();
                prop_assert_eq!(sealed.payload_bytes, payload);
                prop_assert!(size.abs_diff(plain.len()) <= 16 * 6 + 16, "{} {}", size, plain.len());
                prop_assert!(batch.is_empty() && batch.size() == 0);
            }
        }
    }

    proptest! {
        // Its entries are large.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn requests_are_the_whole_in_portions(rounds in proptest::collection::vec(entries(), 1..4), copies in 20..100usize) {
            let mut batch = Batch::known(10);
            let known = batch.known.clone().unwrap();
            for given in rounds {
                let given: Vec<Given> = given.into_iter().map(|(id, time, line, pairs)| {
                    (id, time, if id == 1 { line.repeat(copies) } else { line }, pairs)
                }).collect();
                for (stream, time, line, pairs) in &given {
                    let stream = Stream { id: *stream, labels: labels_of(*stream).into() };
                    let mut metadata = Metadata::default();
                    pairs.iter().for_each(|(name, value)| metadata.add(name, value));
                    batch.push(&stream, *time, line, &metadata);
                }
                let now = Instant::now();
                let sure: Vec<bool> = (0..6).map(|id| known.lock().standing(id, now).0).collect();
                let sealed = batch.requests();
                let mut all: BTreeMap<String, Vec<proto::Entry>> = BTreeMap::new();
                for request in &sealed {
                    let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
                    let streams = proto::PushRequest::decode(plain.as_slice()).unwrap().streams;
                    let entries: usize = streams.iter().map(|stream| stream.entries.len()).sum();
                    prop_assert_eq!((request.entries, request.plain_bytes), (entries as u64, plain.len()));
                    prop_assert_eq!(request.laid.is_some(), streams.len() > 1);
                    for stream in streams {
                        let bytes: usize = stream.entries.iter().map(Message::encoded_len).sum();
                        prop_assert!(bytes <= PORTION || stream.entries.len() == 1);
                        let id = (0..6).find(|id| labels_of(*id) == stream.labels).unwrap();
                        prop_assert!(sure[id as usize] || request.laid.is_none(), "{id} is not known and not alone");
                        all.entry(stream.labels).or_default().extend(stream.entries);
                    }
                    request.receipt.as_ref().unwrap().stored();
                }
                let reference: BTreeMap<_, _> =
                    reference(&given).streams.into_iter().map(|s| (s.labels, s.entries)).collect();
                prop_assert_eq!(all, reference);
                prop_assert!(batch.is_empty() && batch.size() == 0);
            }
        }
    }

    #[test]
    fn a_stream_goes_alone_until_it_is_known_and_when_it_jumps_back() {
        let mut batch = Batch::known(10);
        let (now, hour) = (1_764_000_000_000_000_000, 3_600_000_000_000);
        let mut round = |entries: &[(u32, u64, usize)]| -> Vec<usize> {
            for (id, time, bytes) in entries {
                let stream = Stream { id: *id, labels: labels_of(*id).into() };
                batch.push(&stream, *time, &"x".repeat(*bytes), &Metadata::default());
            }
            let sealed = batch.requests();
            let of = |request: &Sealed| {
                let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
                proto::PushRequest::decode(plain.as_slice()).unwrap().streams.len()
            };
            let streams = sealed.iter().map(of).collect();
            sealed.iter().filter_map(|request| request.receipt.as_ref()).for_each(Receipt::stored);
            streams
        };
        let all = |time: u64| [(1, time, 10), (2, time, 10), (3, time, 10)];
        assert_eq!(round(&all(now)), [1, 1, 1]);
        assert_eq!(round(&all(now + 2 * hour)), [3]);
        assert_eq!(round(&[(1, now + 2 * hour, 10), (4, now, 10), (2, now + 2 * hour, 10)]), [2, 1]);
        // Within the window, and behind it.
        assert_eq!(round(&[(1, now + hour, 10), (2, now + 2 * hour, 10)]), [2]);
        assert_eq!(round(&[(1, now + hour - 1, 10), (2, now + 2 * hour, 10)]), [1, 1]);
        // A batch that spans a day is nothing to worry about.
        let day: Vec<_> =
            (0..24).flat_map(|h| [(2, now + (2 + h) * hour, 10), (3, now + (2 + h) * hour, 10)]).collect();
        assert_eq!(round(&day), [2]);
        // Two thirds of a portion, thrice.
        let large = (2, now + 30 * hour, PORTION / 3 * 2);
        assert_eq!(round(&[large, (3, now + 30 * hour, 10), large, large]), [2, 1, 1]);
    }

    #[test]
    fn a_stream_goes_alone_once_no_answer_has_vouched_for_it_lately() {
        let mut batch = Batch::known(10);
        let known = batch.known.clone().unwrap();
        let mut lay_out = |later: u64| {
            for id in [1, 2] {
                let stream = Stream { id, labels: labels_of(id).into() };
                batch.push(&stream, 1_764_000_000_000_000_000, "x", &Metadata::default());
            }
            // Each is known when its first entry comes, but the batch may wait for its second one.
            let layout = batch.lay_out(&known, Instant::now() + std::time::Duration::from_secs(later));
            batch.requests().iter().filter_map(|sealed| sealed.receipt.as_ref()).for_each(Receipt::stored);
            layout
        };
        lay_out(0);
        assert_eq!(lay_out(60), [[0, 1]]);
        assert_eq!(lay_out(30 * 60), [[0], [1]]);
    }

    #[test]
    fn a_portion_is_as_large_as_it_may_be() {
        let push = |batch: &mut Batch, line: usize| {
            let stream = Stream { id: 1, labels: labels_of(1).into() };
            let before = batch.entries.len();
            batch.push(&stream, 1_764_000_000_000_000_000, &"x".repeat(line), &Metadata::default());
            batch.entries.len() - before
        };
        const LINE: usize = 30_000;
        let half = LINE + PORTION / 2 - push(&mut Batch::known(10), LINE);
        for (lines, entries) in [
            (&[half, half][..], &[2][..]),
            (&[half, half + 1], &[1, 1]),
            (&[half, half, 1], &[2, 1]),
            // An entry that is larger than that goes alone, with no empty portion before it.
            (&[3 * half], &[1]),
            (&[1, 3 * half, 1], &[1, 1, 1]),
        ] {
            let mut batch = Batch::known(10);
            lines.iter().for_each(|line| _ = push(&mut batch, *line));
            let sealed = batch.requests();
            let found: Vec<u64> = sealed.iter().map(|request| request.entries).collect();
            assert_eq!(found, entries, "{lines:?}");
        }
    }

    #[test]
    fn a_later_portion_has_counts_of_its_own_and_knows_what_went_before() {
        let mut batch = Batch::known(10);
        let (now, hour) = (1_764_000_000_000_000_000, 3_600_000_000_000);
        let push = |batch: &mut Batch, time: u64, line: usize| {
            let stream = Stream { id: 1, labels: labels_of(1).into() };
            batch.push(&stream, time, &"x".repeat(line), &Metadata::default());
        };
        push(&mut batch, now, 10);
        batch.requests().iter().filter_map(|sealed| sealed.receipt.as_ref()).for_each(Receipt::stored);
        let (ahead, behind) = (now + 3 * hour, now + hour);
        for (time, line) in [(ahead, PORTION), (behind, PORTION), (ahead - 1, 20), (ahead - 2, 30)] {
            push(&mut batch, time, line);
        }
        let found: Vec<_> =
            batch.portions.iter().map(|p| (p.oldest, p.newest, p.payload_bytes, p.behind)).collect();
        let expected = [
            (ahead, ahead, PORTION, false),
            // Loki may refuse it once it has the first.
            (behind, behind, PORTION, true),
            (ahead - 2, ahead - 1, 50, false),
        ];
        assert_eq!(found, expected);
        // What comes again must find the first still in Loki's block.
        const { assert!(PORTION * 4 <= BLOCK_SIZE) };
    }

    #[test]
    fn the_busiest_stream_comes_last() {
        let mut batch = Batch::known(10);
        let mut round = |bytes: [usize; 3]| -> Option<u32> {
            for (id, bytes) in (1..).zip(bytes) {
                let stream = Stream { id, labels: labels_of(id).into() };
                batch.push(&stream, 1_764_000_000_000_000_000, &"x".repeat(bytes), &Metadata::default());
            }
            let sealed = batch.requests();
            sealed.iter().filter_map(|request| request.receipt.as_ref()).for_each(Receipt::stored);
            sealed.last().and_then(|request| request.receipt.as_ref()).map(|receipt| receipt.last.id)
        };
        round([10, 10, 10]);
        for bytes in [[10, 30_000, 20], [20, 10, 20], [9_000, 10, 10]] {
            assert_eq!(round(bytes), Some(2), "it sent most so far");
        }
        assert_eq!(round([50_000, 10, 10]), Some(1));
    }
}
