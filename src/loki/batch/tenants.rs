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

#[cfg(test)]
mod tests {
    use super::*;

    fn push(batches: &mut Batches, tenant: Option<&str>, id: u32) {
        let stream = Stream { id, labels: format!("{{unit=\"{id}\"}}").into() };
        batches.push(tenant, &stream, 1_764_000_000_000_000_000, "a line", &Metadata::default());
    }

    /// The tenant of each request, and how many entries it has.
    fn requests(batches: &mut Batches) -> Vec<(Option<String>, u64)> {
        let sealed = batches.seal();
        sealed.iter().filter_map(|request| request.receipt.as_ref()).for_each(|receipt| receipt.stored());
        sealed.iter().map(|r| (r.tenant.as_deref().map(str::to_owned), r.entries)).collect()
    }

    #[test]
    fn each_tenant_has_requests_of_its_own() {
        let of = |tenant: &str| Some(tenant.to_owned());
        let entries = [(None, 1), (Some("t"), 1), (Some("t"), 2), (Some("s"), 1), (None, 1)];
        let mut batches = Batches::new(10);
        // Loki may have a stream of one tenant and not that of another: each goes alone at first.
        for expected in [
            vec![(None, 2), (of("s"), 1), (of("t"), 1), (of("t"), 1)],
            vec![(None, 2), (of("s"), 1), (of("t"), 2)],
        ] {
            assert_eq!((batches.is_empty(), batches.opened(), batches.size()), (true, None, 0));
            entries.iter().for_each(|(tenant, id)| push(&mut batches, *tenant, *id));
            assert!(!batches.is_empty() && batches.opened().is_some());
            assert_eq!(requests(&mut batches), expected);
        }
        assert_eq!(requests(&mut batches), [], "nothing came since");
    }

    #[test]
    fn they_are_full_by_the_bytes_of_all_tenants() {
        let sizes = [&[None][..], &[Some("t")], &[None, Some("t")]].map(|tenants| {
            let mut batches = Batches::new(10);
            tenants.iter().for_each(|tenant| push(&mut batches, *tenant, 1));
            (batches.size(), batches.are_full(batches.size()), batches.are_full(batches.size() + 1))
        });
        let one = sizes[0].0;
        assert!(one > "a line".len());
        assert_eq!(sizes, [(one, true, false), (one, true, false), (2 * one, true, false)]);
    }

    #[test]
    fn they_are_full_by_streams_that_loki_is_not_known_to_have() {
        let (mut batches, half) = (Batches::new(1000), UNSURE_MAX as u32 / 2);
        let mut round = |add: &mut dyn FnMut(&mut Batches, Option<&str>, u32)| {
            (0..half - 1).for_each(|id| add(&mut batches, None, id));
            (0..half).for_each(|id| add(&mut batches, Some("t"), id));
            let before = batches.are_full(usize::MAX);
            add(&mut batches, None, half);
            // Another entry of the same streams changes nothing.
            add(&mut batches, None, half);
            let full = (before, batches.are_full(usize::MAX));
            requests(&mut batches);
            full
        };
        assert_eq!(round(&mut push), (false, true));
        assert_eq!(round(&mut push), (false, false), "Loki has them now");
        let mut ordered = Batches::ordered();
        (0..4 * half).for_each(|id| push(&mut ordered, None, id));
        assert!(!ordered.are_full(usize::MAX), "it is one request");
    }

    #[test]
    fn the_order_of_arrival_leads_to_the_stream_of_an_entry() {
        let mut batches = Batches::ordered();
        for round in 0..2 {
            for (tenant, id) in [(None, 7), (Some("t"), 7), (None, 8), (Some("t"), 9), (None, 7)] {
                push(&mut batches, tenant, id);
            }
            let of = |tenant: Option<&str>, at| (tenant.map(str::to_owned), at);
            let expected = [of(None, 0), of(Some("t"), 0), of(None, 1), of(Some("t"), 1), of(None, 0)];
            assert_eq!(batches.order(), expected, "{round}");
            assert_eq!(requests(&mut batches), [(None, 3), (Some("t".to_owned()), 2)], "{round}");
            assert_eq!(batches.order(), []);
        }
        let mut unordered = Batches::new(10);
        push(&mut unordered, None, 1);
        assert_eq!(unordered.order(), []);
    }

    #[test]
    fn the_buffers_of_many_tenants_are_not_kept() {
        for (tenants, kept) in [(TENANTS_MAX, TENANTS_MAX), (TENANTS_MAX + 1, 0)] {
            let mut batches = Batches::new(10);
            (0..tenants).for_each(|n| push(&mut batches, Some(&n.to_string()), 1));
            assert_eq!(requests(&mut batches).len(), tenants);
            assert_eq!(batches.others.len(), kept);
        }
    }
}
