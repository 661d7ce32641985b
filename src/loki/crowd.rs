//! A full tenant: streams that Loki has, and streams for which it has no room.
//!
//! A tenant has a number of active streams, over all hosts, and past it Loki takes no entry of a new one. Waiting for
//! room would hold back everything else. So the entries of such a stream go to the overflow stream, like those over
//! `labels.max_streams`; when there is no room for the overflow stream, they go to a stream that Loki is known to have.
//! Loki's answer is about the last stream of a request; it may drop an earlier stream and not say so. So an answer vouches
//! for the last stream alone. While a tenant is full, entries that Loki may refuse are sent in requests
//! of one stream: entries of a stream that Loki is not known to have, and entries that go to another stream than their own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::split::{self, Way, Ways};
use super::words::Labels;
use crate::loki::batch::Sealed;
use crate::shape::labels::{fold, fold_into, parse_pushed};
use crate::shape::limits::{IDLE_MAX, SERVICE_NAME};

/// So long after the first refusal all streams are tried again: Loki forgets streams that are idle for about as long.
const FORGOTTEN_AFTER: Duration = IDLE_MAX;
/// For so long after Loki took an entry of a stream, it is known to have the stream: well below the time after which Loki forgets a stream.
const KNOWN_FOR: Duration = Duration::from_secs(20 * 60);
/// Streams of all tenants that are remembered as Loki's (count): more than a reader makes with default settings.
const KNOWN_MAX: usize = 8 << 10;
/// Streams that are tried and refused before further unknown ones are put elsewhere untried (count): each costs a
/// request and a pause.
const REFUSED_MAX: usize = 64;

type Tenant = Option<Arc<str>>;

/// What is known of the streams of one destination.
pub(super) struct Crowd {
    /// The label of the retention class: overflow streams keep it.
    retention: Option<String>,
    /// Streams for which an answer vouched, and when the last such answer came.
    known: HashMap<Tenant, HashMap<Arc<str>, Instant>>,
    /// Streams for which there was no room.
    refused: HashMap<Tenant, HashSet<Arc<str>>>,
    /// For each stream without room: the stream that its entries were sent to.
    chosen: HashMap<(Tenant, Arc<str>), Arc<str>>,
    /// When a stream was refused first.
    since: Option<Instant>,
}

impl Crowd {
    /// Nothing yet. `retention` is the label of the retention class.
    pub(super) fn new(retention: Option<&str>) -> Crowd {
        let retention = retention.map(str::to_owned);
        Crowd {
            retention,
            known: HashMap::new(),
            refused: HashMap::new(),
            chosen: HashMap::new(),
            since: None,
        }
    }

    /// Loki has taken a request: it has the last stream.
    pub(super) fn taken(&mut self, sealed: &Sealed, now: Instant) {
        let Some(last) = sealed.streams.last() else { return };
        if let Some(at) = self.known.get_mut(&sealed.tenant).and_then(|known| known.get_mut(last)) {
            *at = now;
            return;
        }
        let mut all: usize = self.known.values().map(HashMap::len).sum();
        if all >= KNOWN_MAX {
            let recent = |at: &Instant| now.saturating_duration_since(*at) < KNOWN_FOR;
            self.known.values_mut().for_each(|streams| streams.retain(|_, at| recent(at)));
            self.known.retain(|_, streams| !streams.is_empty());
            all = self.known.values().map(HashMap::len).sum();
        }
        if all < KNOWN_MAX {
            self.known.entry(sealed.tenant.clone()).or_default().insert(last.clone(), now);
        }
    }

    /// Whether Loki is known to have this stream.
    fn has(&self, tenant: &Tenant, labels: &str, now: Instant) -> bool {
        let at = self.known.get(tenant).and_then(|known| known.get(labels));
        at.is_some_and(|at| now.saturating_duration_since(*at) < KNOWN_FOR)
    }

    /// Loki has no room for a stream of a request: the stream that it names, or the only stream.
    pub(super) fn refused(&mut self, sealed: &Sealed, named: Option<&Labels>, now: Instant) {
        self.since.get_or_insert(now);
        let is_named = |labels: &str| {
            named.is_some_and(|named| {
                let ours = parse_pushed(labels);
                named.iter().all(|(name, value)| name == SERVICE_NAME || ours.get(name) == Some(value))
                    && ours.iter().all(|(name, value)| named.get(name) == Some(value))
            })
        };
        let known = self.known.entry(sealed.tenant.clone()).or_default();
        let refused = self.refused.entry(sealed.tenant.clone()).or_default();
        // A request of several streams holds only streams that Loki was known to have. It has forgotten at least one of them.
        known.retain(|labels, _| !sealed.streams.contains(labels));
        let named = match sealed.streams.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|labels| is_named(labels)),
        };
        refused.extend(named.cloned());
    }

    /// Whether a stream has been refused lately.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        if self.since.is_some_and(|since| now.saturating_duration_since(since) >= FORGOTTEN_AFTER) {
            self.try_again();
            self.since = None;
        }
        self.since.is_some()
    }

    /// All streams may be tried again.
    pub(super) fn try_again(&mut self) {
        self.refused.clear();
    }

    /// How to send a batch. With `aside`, entries for other streams wait, so that they can be sent there together
    /// with other entries, in their order.
    pub(super) fn lay_out(&mut self, sealed: Sealed, aside: bool, now: Instant) -> Ways {
        if !self.is_full(now) {
            return Ways { parts: vec![sealed], ..Ways::default() };
        }
        let tenant = &sealed.tenant;
        let ways: HashMap<&str, Way> =
            sealed.streams.iter().map(|labels| (&**labels, self.way(tenant, labels, aside, now))).collect();
        let as_it_is = |way: &Way| matches!(way, Way::On) || matches!(way, Way::Alone if ways.len() == 1);
        if ways.values().all(as_it_is) {
            return Ways { parts: vec![sealed], ..Ways::default() };
        }
        split::lay_out(&sealed, |labels| ways.get(labels).cloned().unwrap_or(Way::Alone))
    }

    /// Whether a request holds one unknown stream, in a tenant where enough unknown streams were refused.
    pub(super) fn is_hopeless(&self, sealed: &Sealed) -> bool {
        let [only] = sealed.streams.as_slice() else { return false };
        let Some(refused) = self.refused.get(&sealed.tenant) else { return false };
        refused.len() >= REFUSED_MAX
            && !self.has(&sealed.tenant, only, Instant::now())
            && fold(only, self.retention.as_deref()).is_some()
    }

    fn way(&mut self, tenant: &Tenant, labels: &Arc<str>, aside: bool, now: Instant) -> Way {
        if self.has(tenant, labels, now) {
            return Way::On;
        }
        let refused = self.refused.get(tenant);
        let is_refused = |labels: &str| refused.is_some_and(|refused| refused.contains(labels));
        let overflow = fold(labels, self.retention.as_deref());
        let tried_enough = overflow.is_some() && refused.is_some_and(|refused| refused.len() >= REFUSED_MAX);
        if !is_refused(labels) && !tried_enough {
            return Way::Alone;
        }
        if aside {
            return Way::Wait;
        }
        // The entries of an overflow stream were counted when they came there.
        let new = overflow.is_some();
        if let Some((overflow, moved)) = overflow {
            let to: Arc<str> = overflow.into();
            if self.has(tenant, &to, now) || !is_refused(&to) {
                return Way::Into { to, moved, new };
            }
        }
        let key = (tenant.clone(), labels.clone());
        let chosen = self.chosen.get(&key).filter(|chosen| self.has(tenant, chosen, now));
        let Some(chosen) = chosen.or_else(|| self.nearest(tenant, labels, now)).cloned() else {
            return Way::Wait;
        };
        if self.chosen.len() >= KNOWN_MAX {
            self.chosen.clear();
        }
        self.chosen.insert(key, chosen.clone());
        let moved = fold_into(labels, &chosen);
        Way::Into { to: chosen, moved, new }
    }

    /// The stream of a tenant that Loki has and that is most like this one: of the same host and retention class if there is
    /// such a stream, then with the most labels in common.
    fn nearest(&self, tenant: &Tenant, labels: &str, now: Instant) -> Option<&Arc<str>> {
        let wanted = parse_pushed(labels);
        let likeness = |known: &str| {
            let known = parse_pushed(known);
            let same = |name: &str| known.get(name) == wanted.get(name);
            let common = wanted.iter().filter(|(name, value)| known.get(*name) == Some(*value)).count();
            (same("host"), self.retention.as_deref().is_none_or(same), common)
        };
        let known = self.known.get(tenant)?.iter();
        let known =
            known.filter(|(_, at)| now.saturating_duration_since(**at) < KNOWN_FOR).map(|(labels, _)| labels);
        // Among equals it is always the same stream.
        known.max_by_key(|known| (likeness(known), std::cmp::Reverse((*known).clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::batch::Batch;
    use crate::loki::encode::Metadata;
    use crate::shape::labels::Stream;

    fn batch(streams: &[&str]) -> Sealed {
        let mut batch = Batch::default();
        for (id, labels) in (0u32..).zip(streams) {
            batch.push(&Stream { id, labels: (*labels).into() }, 1, "x", &Metadata::default());
        }
        batch.seal()
    }

    fn parts(ways: &Ways) -> Vec<Vec<String>> {
        ways.parts.iter().map(|part| part.streams.iter().map(|s| s.to_string()).collect()).collect()
    }

    const NEW: &str = r#"{host="h", unit="new"}"#;
    const OTHER: &str = r#"{host="h", unit="other"}"#;
    const AWAY: &str = r#"{host="away", unit="new"}"#;
    const OVERFLOW: &str = r#"{host="h", overflow="true", service_name="overflow"}"#;

    #[test]
    fn a_refused_stream_goes_to_the_overflow_stream_and_then_to_a_known_one() {
        let start = Instant::now();
        let mut crowd = Crowd::new(None);
        assert_eq!(
            parts(&crowd.lay_out(batch(&[NEW, OTHER]), false, start)),
            [[NEW, OTHER]],
            "nothing is full"
        );
        // An answer is about the last stream.
        crowd.taken(&batch(&[NEW, AWAY]), start);
        let named = parse_pushed(NEW);
        crowd.refused(&batch(&[OTHER, NEW]), Some(&named), start);
        let ways = crowd.lay_out(batch(&[NEW, AWAY]), true, start);
        assert_eq!((parts(&ways), ways.waiting.map(|s| s.entries)), (vec![vec![AWAY.to_owned()]], Some(1)));
        // The one that is not known is tried alone, and so is the overflow stream.
        assert_eq!(
            parts(&crowd.lay_out(batch(&[OTHER, NEW, AWAY]), false, start)),
            [[AWAY], [OTHER], [OVERFLOW]]
        );
        crowd.refused(&batch(&[OVERFLOW]), None, start);
        crowd.taken(&batch(&[OTHER]), start);
        let ways = crowd.lay_out(batch(&[NEW, AWAY, OTHER]), false, start);
        assert_eq!(parts(&ways), [vec![AWAY, OTHER], vec![OTHER]], "of the same host");
        assert_eq!((ways.folded, ways.waiting.is_some()), (1, false));
        // Twenty minutes later nothing is sure any more, half an hour later all are tried again.
        let later = start + KNOWN_FOR;
        let ways = crowd.lay_out(batch(&[NEW]), false, later);
        assert_eq!((ways.parts.len(), ways.waiting.map(|s| s.entries)), (0, Some(1)));
        let later = start + FORGOTTEN_AFTER;
        assert_eq!(parts(&crowd.lay_out(batch(&[NEW, OTHER]), false, later)), [[NEW, OTHER]]);
    }

    #[test]
    fn many_unknown_streams_are_not_all_tried() {
        let start = Instant::now();
        let mut crowd = Crowd::new(None);
        crowd.taken(&batch(&[OVERFLOW]), start);
        let text = |n: usize| format!("{{host=\"h\", unit=\"u{n}\"}}");
        for n in 0..REFUSED_MAX {
            crowd.refused(&batch(&[&text(n)]), None, start);
        }
        let texts: Vec<String> = (0..200).map(text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ways = crowd.lay_out(batch(&texts), false, start);
        assert_eq!((parts(&ways), ways.folded), (vec![vec![OVERFLOW.to_owned()]], 200));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Instant::now();
        let mut crowd = Crowd::new(None);
        for n in 0..KNOWN_MAX + 100 {
            crowd.taken(&batch(&[&format!("{{n=\"{n}\"}}")]), start);
        }
        let count = |crowd: &Crowd| crowd.known.values().map(HashMap::len).sum::<usize>();
        assert_eq!(count(&crowd), KNOWN_MAX);
        crowd.taken(&batch(&[NEW]), start + KNOWN_FOR);
        assert_eq!(count(&crowd), 1);
    }
}
