//! Watching: entries of the journal, shaped as for shipping, are shown to the rules. The agent that follows the journal,
//! one that catches up after a pause, and a dry run over the past do the same here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Alerts;
use super::history::History;
use super::origin::{Origin, Sender};
use super::run::{CATCH_UP_MAX, Rules};
use super::saved::Saved;
use super::state::Outside;
use crate::pipeline::{Shaper, Sink, Until, values};
use crate::shape::Sections;
use crate::shape::labels::{FieldLookup, Outcome};
use crate::shape::stages::{Item, Setup};
use journald_reader::Entry;
use journald_reader::{Key, Keys};
use logql::label_set::LabelSet;
use logql::pipeline::{DETECTED_LEVEL, detected_level};

/// So long after a time an evaluation of it is made (nanoseconds): journald tells of what it has written after a quarter
/// of a second, and files are told of one after the other.
pub const SETTLE: i64 = 1_000_000_000;
/// An entry may seem to be written so long after now (nanoseconds): the clock is set while it is read. What seems later
/// was written under a wrong clock, and is in no window.
const AHEAD_MAX: i64 = 10_000_000_000;

/// The external label that says whose entries these are.
const HOST: &str = "host";

/// Rules, and how entries come to them.
pub struct Watcher {
    view: View,
    outside: Outside,
    /// The field that names the host whose entries these are, until it is known.
    host_field: Option<Key>,
    shaper: Shaper,
    /// The wall clock when it was last looked at, which a backlog gives no reason for (nanoseconds since 1970).
    now: i64,
    /// The next evaluation, or the end of time.
    next: i64,
    /// Now counts, and what was once does not matter for itself.
    live: bool,
    /// Evaluations begin with the first entry, but not before this (nanoseconds since 1970); none: they have begun.
    begin: Option<i64>,
    /// What alerts did, if anyone wants to know.
    history: Option<History>,
    /// The shortest time between evaluations (nanoseconds).
    interval: i64,
    /// Entries with a time that has not come yet.
    ahead: u64,
}

/// What the rules see of shaped entries. Time is that of the journal here, whatever stages make of it: nobody can choose it,
/// and evaluations follow it.
struct View {
    rules: Rules,
    sender: Sender,
}

impl Watcher {
    /// Those of a configuration; the fields of the journal that they need are added to `keys`. `host` is what
    /// the label `host` of alerts says where nothing else does.
    pub fn new<'c>(
        alerts: &Alerts,
        sections: impl Into<Sections<'c>>,
        host: Option<&str>,
        keys: &mut Keys,
    ) -> Watcher {
        let mut labels = LabelSet::default();
        let host = host.map(|host| (HOST, host));
        let external = alerts.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in host.into_iter().chain(external) {
            labels.insert(name, value.as_bytes());
        }
        let outside = Outside {
            labels,
            url: alerts.external_url.as_deref().unwrap_or_default().into(),
            datasource: alerts.datasource_uid.clone(),
        };
        let interval = nanoseconds(alerts.evaluation_interval);
        // What stages measure and wait for is shipping's.
        let mut shaper = Shaper::new(sections.into(), None, &Setup { dry: true, ..Setup::default() }, keys);
        shaper
            .metadata
            .extend(super::fields::named(alerts.groups()).map(|rule| FieldLookup::new(&rule, keys)));
        let shortest = alerts.groups().filter_map(|group| group.interval).chain([interval]).min();
        let mut rules = Rules::new(alerts.groups(), outside.clone(), interval, alerts.max_series);
        rules.limit_memory(alerts.max_memory);
        Watcher {
            interval: shortest.unwrap_or(interval),
            view: View { rules, sender: Sender::new(keys) },
            outside,
            host_field: None,
            shaper,
            now: clock(),
            next: i64::MAX,
            ahead: 0,
            live: false,
            begin: Some(i64::MIN),
            history: None,
        }
    }

    /// From now on the external label `host` is the one that the first entry tells, unless the configuration sets it: the entries
    /// may be another machine's.
    pub fn learn_host(&mut self, alerts: &Alerts, keys: &mut Keys) {
        if alerts.external_labels.iter().all(|(name, _)| name != HOST) {
            self.host_field = Some(keys.add("_HOSTNAME"));
        }
    }

    /// The rules, and where they stand.
    pub fn rules(&self) -> &Rules {
        &self.view.rules
    }

    /// The rules, to ask what has to be told.
    pub fn rules_mut(&mut self) -> &mut Rules {
        &mut self.view.rules
    }

    /// Begins, now, where states were left. Entries count from the time that comes back (microseconds since 1970): all of
    /// them since then have to be shown.
    pub fn begin(&mut self, saved: &Saved) -> u64 {
        self.now = clock();
        self.live = true;
        let first = self.view.rules.begin(self.now, saved);
        self.begin_at(first);
        self.needed(first)
    }

    /// From now on remembers what alerts do since a time (nanoseconds since 1970), and begins early enough before it, but
    /// not before the first entry. As [`Watcher::begin`]; without a time all entries count.
    pub fn remember(&mut self, since: Option<i64>) -> Option<u64> {
        self.history = Some(History::new(since.unwrap_or(0)));
        let first = self.view.rules.begin(since?, &Saved::default());
        self.begin = Some(first);
        Some(self.needed(first))
    }

    /// What alerts did since then.
    pub fn history(&mut self) -> Option<&mut History> {
        self.history.as_mut()
    }

    /// Begins with evaluations after a time (nanoseconds since 1970).
    fn begin_at(&mut self, first: i64) {
        self.begin = None;
        self.view.rules.advance(first);
        self.next = self.view.rules.next().unwrap_or(i64::MAX);
    }

    /// Since when entries count in evaluations after a time (microseconds and nanoseconds since 1970).
    fn needed(&self, first: i64) -> u64 {
        u64::try_from(first.saturating_sub(self.view.rules.reach()) / 1000).unwrap_or(0)
    }

    /// Looks at an entry. Evaluations whose time is over before it are made, and `true` comes back if there were any.
    pub fn entry(&mut self, entry: &Entry<'_>) -> bool {
        let time = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
        if time > self.now {
            self.now = clock();
        }
        if time > self.now.saturating_add(AHEAD_MAX) {
            self.ahead += 1;
            return false;
        }
        if let Some(host) =
            self.host_field.and_then(|field| entry.value(field)).filter(|host| !host.is_empty())
        {
            self.outside.labels.insert(HOST, host);
            self.view.rules.set_outside(&self.outside);
            self.host_field = None;
        }
        if let Some(begin) = self.begin {
            self.begin_at(begin.max(time - 1));
        }
        let evaluated = time > self.next && {
            // What stages have held until then belongs to evaluations before it.
            self.shaper.release(Until::Time(time), &mut self.view);
            self.now = clock();
            self.advance(time - 1)
        };
        self.shaper.feed(entry, &mut self.view);
        evaluated
    }

    /// There are no entries for now: what stages held long enough is looked at, and evaluations are made whose time is
    /// over. `true` comes back if there were any.
    pub fn quiet(&mut self) -> bool {
        self.shaper.release(Until::Now, &mut self.view);
        self.now = clock();
        if self.begin.is_some() {
            self.begin_at(self.now);
        }
        self.advance(i64::MAX)
    }

    /// As [`Watcher::quiet`], and nothing comes any more: evaluations up to `last` (nanoseconds since 1970) are made.
    pub fn finish(&mut self, last: i64) -> bool {
        self.shaper.release(Until::End, &mut self.view);
        self.now = clock();
        self.advance(last)
    }

    /// Whether stages hold entries.
    pub fn holds(&self) -> bool {
        self.shaper.holds()
    }

    /// How long until the next evaluation can be made.
    pub fn due(&self) -> Option<Duration> {
        let after = self.next.checked_add(SETTLE)?.saturating_sub(clock());
        Some(Duration::from_nanos(u64::try_from(after).unwrap_or(0)))
    }

    /// Whether the next evaluation is further away than one can be: the clock was set back.
    pub fn is_ahead(&self) -> bool {
        let latest = clock().saturating_add(self.interval).saturating_add(AHEAD_MAX);
        self.next != i64::MAX && self.next > latest
    }

    /// Entries that were not looked at because their time has not come yet (count).
    pub fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Makes evaluations, but none that an entry may still come for. Windows do not mind entries behind the time of an
    /// evaluation, so there is no haste.
    fn advance(&mut self, to: i64) -> bool {
        let to = to.min(self.now.saturating_sub(SETTLE));
        if to < self.next {
            return false;
        }
        // In years without entries, as behind one of 1970, nothing happens a week after the last one has left all windows.
        let quiet = self.next.saturating_add(self.view.rules.reach()).saturating_add(CATCH_UP_MAX);
        if !self.live && quiet < to.saturating_sub(CATCH_UP_MAX) {
            self.evaluate(quiet);
        }
        self.view.rules.skip_to(to);
        self.evaluate(to);
        self.next = self.view.rules.next().unwrap_or(i64::MAX);
        true
    }

    fn evaluate(&mut self, to: i64) {
        match &mut self.history {
            Some(history) => {
                self.view.rules.advance_shown(to, |number, rule, time| history.look(number, rule, time))
            }
            None => self.view.rules.advance(to),
        }
    }
}

impl Sink for View {
    fn plain(&mut self, shaper: &mut Shaper, entry: &Entry<'_>) {
        let Shaper { labeler, metadata, liner, .. } = shaper;
        let Outcome::Kept(labels) = labeler.labels(entry) else { return };
        if !self.rules.wants(labels) {
            return;
        }
        let time = i64::try_from(entry.timestamp_ns()).unwrap_or(i64::MAX);
        // Only for streams that a rule wants; text that is no UTF-8 has to live somewhere.
        let metadata: Vec<_> = values(metadata, entry).collect();
        let line = liner.line(entry);
        let metadata = metadata.iter().map(|(name, value)| (*name, value.as_ref()));
        let level = levelled(labels, metadata.clone(), &line);
        self.rules.observe_from(time, labels, &line, metadata.chain(level), || self.sender.origin(entry));
    }

    fn item(&mut self, _shaper: &mut Shaper, item: &mut Item, entry: Option<&Entry<'_>>) {
        if !self.rules.wants(&item.labels) {
            return;
        }
        let time = i64::try_from(item.cursor.realtime).unwrap_or(i64::MAX).saturating_mul(1000);
        let metadata = item.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let level = levelled(&item.labels, metadata.clone(), &item.line);
        let origin = || match entry {
            Some(entry) => self.sender.origin(entry),
            None => Origin::of_stream(&item.labels),
        };
        self.rules.observe_from(time, &item.labels, &item.line, metadata.chain(level), origin);
    }
}

/// The level that Loki finds, unless it is given; looked for only when it is asked for.
pub(crate) fn levelled<'a>(
    labels: &'a LabelSet,
    metadata: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    line: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
    std::iter::once(()).filter_map(move |()| {
        let given = metadata.clone().any(|(name, _)| name == DETECTED_LEVEL);
        (!given).then(|| (DETECTED_LEVEL, detected_level(labels, metadata.clone(), line)))
    })
}

/// The wall clock (nanoseconds since 1970).
pub(crate) fn clock() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// A duration in nanoseconds.
pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
