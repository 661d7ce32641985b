//! Opened batches: their entries as they are in the bytes that would be pushed, decoded by prost, in the order of the journal.
//!
//! Decoding copies nothing: texts stay where they were unpacked.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::str::{Utf8Error, from_utf8};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;

use super::DryRunError;
use crate::loki::batch::Batches;
use crate::loki::proto;
use crate::os::text::write_json;
use crate::shape::labels::parse_pushed;

/// `PushRequest` of `proto/push.proto`, with its texts as bytes, which prost does not copy.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<RequestStream>,
}

/// `Stream` of `proto/push.proto`.
#[derive(Clone, PartialEq, Message)]
struct RequestStream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

/// `Entry` of `proto/push.proto`.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<proto::Timestamp>,
    #[prost(bytes = "bytes", tag = "2")]
    line: Bytes,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

/// `LabelPair` of `proto/push.proto`.
#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// A stream of a request. What is made of its labels is made once for all its entries.
pub(super) struct Stream {
    /// The tenant that a stage has set.
    pub(super) tenant: Option<String>,
    /// Its labels as they are pushed.
    pub(super) labels: String,
    set: OnceCell<BTreeMap<String, String>>,
    json: OnceCell<String>,
    /// Its number in a summary.
    pub(super) number: OnceCell<usize>,
}

impl Stream {
    /// As Loki gets it.
    pub(super) fn new(tenant: Option<String>, labels: String) -> Stream {
        Stream { tenant, labels, set: OnceCell::new(), json: OnceCell::new(), number: OnceCell::new() }
    }

    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.set().get(name).map(String::as_str)
    }

    /// Its labels as a JSON object.
    pub(super) fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let mut json = Vec::new();
            // Writing to memory does not fail, and texts can always be expressed.
            let _ = write_json(&mut json, self.set());
            String::from_utf8(json).unwrap_or_default()
        })
    }

    fn set(&self) -> &BTreeMap<String, String> {
        self.set.get_or_init(|| parse_pushed(&self.labels))
    }
}

/// An entry of a batch, as it would be pushed.
pub(super) struct Pushed {
    pub(super) stream: Rc<Stream>,
    entry: Entry,
}

impl Pushed {
    /// When it was written, or what a stage has made of that.
    pub(super) fn timestamp(&self) -> Timestamp {
        let time = self.entry.timestamp.unwrap_or_default();
        Timestamp::new(time.seconds, time.nanos).unwrap_or_default()
    }

    /// Its line. An error is a bug: Loki would refuse it.
    pub(super) fn line(&self) -> Result<&str, DryRunError> {
        from_utf8(&self.entry.line).map_err(no_text)
    }

    /// Bytes of its structured metadata, names and values.
    pub(super) fn metadata_bytes(&self) -> usize {
        self.entry.metadata.iter().map(|pair| pair.name.len() + pair.value.len()).sum()
    }

    /// Its structured metadata, sorted by name. An error is a bug, as for its line.
    pub(super) fn metadata(&self) -> impl Iterator<Item = Result<(&str, &str), DryRunError>> {
        let text = |bytes| from_utf8(bytes).map_err(no_text);
        self.entry.metadata.iter().map(move |pair| Ok((text(&pair.name)?, text(&pair.value)?)))
    }
}

/// Seals the batches and takes their entries out of the bytes, in the order of the journal.
pub(super) fn opened(batches: &mut Batches) -> Result<Vec<Pushed>, DryRunError> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let order = batches.order();
    let mut requests: HashMap<_, _, foldhash::quality::RandomState> = HashMap::default();
    for sealed in batches.seal() {
        let body = snap::raw::Decoder::new()
            .decompress_vec(&sealed.body)
            .map_err(|e| DryRunError::Body(e.to_string()))?;
        let request = Request::decode(Bytes::from(body)).map_err(|e| DryRunError::Body(e.to_string()))?;
        let tenant = sealed.tenant.as_deref().map(str::to_owned);
        let streams = request.streams.into_iter();
        let streams: Vec<_> = streams
            .map(|stream| (Rc::new(Stream::new(tenant.clone(), stream.labels)), stream.entries.into_iter()))
            .collect();
        requests.insert(tenant, streams);
    }
    let mut pushed = Vec::with_capacity(order.len());
    for (tenant, stream) in order {
        let streams = requests.get_mut(&tenant).ok_or_else(missing)?;
        let (stream, entries) = streams.get_mut(stream).ok_or_else(missing)?;
        let mut entry = entries.next().ok_or_else(missing)?;
        entry.metadata.sort_by(|a, b| a.name.cmp(&b.name));
        pushed.push(Pushed { stream: stream.clone(), entry });
    }
    Ok(pushed)
}

/// An entry is not in the bytes.
pub(super) fn missing() -> DryRunError {
    DryRunError::Body("an entry is missing".into())
}

/// Bytes of an entry are no text.
fn no_text(error: Utf8Error) -> DryRunError {
    DryRunError::Body(error.to_string())
}
