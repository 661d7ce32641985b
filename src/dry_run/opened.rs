//! Opened batches: their entries as they are in the bytes that would be pushed, decoded by prost, in the order of the journal.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use prost::Message;

use super::DryRunError;
use crate::loki::batch::Batches;
use crate::loki::proto::{Entry, PushRequest};
use crate::os::text::write_json;
use crate::shape::labels::parse_pushed;

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
    pub(super) entry: Entry,
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
        let request = PushRequest::decode(body.as_slice()).map_err(|e| DryRunError::Body(e.to_string()))?;
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
        let entry = entries.next().ok_or_else(missing)?;
        pushed.push(Pushed { stream: stream.clone(), entry });
    }
    Ok(pushed)
}

/// An entry is not in the bytes.
pub(super) fn missing() -> DryRunError {
    DryRunError::Body("an entry is missing".into())
}
