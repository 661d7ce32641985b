//! The batches of all tenants, filled and sealed together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Batch, Sealed};
use crate::loki::encode::Metadata;
use crate::shape::labels::Stream;

/// Streams in a batch that Loki is not known to have (count). Each takes a request of its own, and a batch
/// should be done within the time that a stop has.
const UNSURE_MAX: usize = 64;

/// Tenants whose buffers are kept between batches (count).
const TENANTS_MAX: usize = 64;

/// The batches that are being filled, one for each tenant; they are sealed together, so that one place in
/// the journal stands behind all of them.
pub struct Batches {
    default: Batch,
    /// How many streams may be active; `None`: all of a tenant is one request.
    max_streams: Option<usize>,
    /// By the tenant that a stage has set.
    others: BTreeMap<String, Batch>,
    opened: Option<Instant>,
    /// For each entry in order of arrival its tenant, when someone wants to know.
    order: Option<Vec<Option<String>>>,
}

impl Batches {
    /// Batches for a Loki, with at most so many active streams.
    pub fn new(max_streams: usize) -> Batches {
        Batches {
            default: Batch::known(max_streams),
            max_streams: Some(max_streams),
            others: BTreeMap::new(),
            opened: None,
            order: None,
        }
    }

    /// Batches that remember in which order their entries came; each becomes one request.
    pub fn ordered() -> Batches {
        Batches { default: Batch::default(), max_streams: None, order: Some(Vec::new()), ..Batches::new(0) }
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
                false => {
                    let new = || self.max_streams.map_or_else(Batch::default, Batch::known);
                    self.others.entry(tenant.to_owned()).or_insert_with(new)
                }
            },
        };
        batch.push(stream, timestamp_ns, line, metadata);
    }

    /// Bytes before compression, near enough for a limit.
    #[inline]
    pub fn size(&self) -> usize {
        self.default.size() + self.others.values().map(Batch::size).sum::<usize>()
    }

    /// Whether they should be sealed now: they have so many bytes, or streams enough that need requests of their own.
    #[inline]
    pub fn are_full(&self, max_bytes: usize) -> bool {
        self.size() >= max_bytes
            || self.default.unsure + self.others.values().map(|batch| batch.unsure).sum::<usize>()
                >= UNSURE_MAX
    }

    /// Whether it holds no entry.
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

    /// Makes requests of the batches, to be sent in this order, and empties them.
    pub fn seal(&mut self) -> Vec<Sealed> {
        self.opened = None;
        if let Some(order) = &mut self.order {
            order.clear();
        }
        let mut sealed = self.default.requests();
        for (tenant, batch) in self.others.iter_mut().filter(|(_, batch)| !batch.is_empty()) {
            let tenant: Arc<str> = tenant.as_str().into();
            let of_tenant = |request| Sealed { tenant: Some(tenant.clone()), ..request };
            sealed.extend(batch.requests().into_iter().map(of_tenant));
        }
        if self.others.len() > TENANTS_MAX {
            self.others.clear();
        }
        sealed
    }
}
