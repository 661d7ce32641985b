//! How a destination is: what the log, `/ready` and a person are told of failures and refusals.
//!
//! The log mentions each kind of failure when it begins and then once a minute: a Loki that fails every second time
//! would otherwise have two lines about each batch, and shipping those would make the next batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The log mentions a kind of failure, and a reason for refusals, at most this often.
const REMIND: Duration = Duration::from_secs(60);

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Time mends it, or whoever runs Loki.
    Retry,
    /// Loki limits the rate.
    Slower,
    /// A person must mend something here: credentials, certificates, an address.
    Hold,
}

/// The failures of all destinations that last, by name: what `/ready` shows.
#[derive(Debug, Default)]
pub struct Readiness {
    troubles: Mutex<BTreeMap<String, Option<(Kind, String)>>>,
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<(Kind, String)>>> {
        // A panic elsewhere leaves texts as they were.
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no person has to do anything, and a line for each destination.
    pub fn report(&self) -> (bool, String) {
        let troubles = self.lock();
        let ready = !troubles.values().flatten().any(|(kind, _)| *kind == Kind::Hold);
        let line = |(name, trouble): (&String, &Option<(Kind, String)>)| match trouble {
            None => format!("loki {name}: ok\n"),
            Some((Kind::Slower, words)) => format!("loki {name}: limited: {words}\n"),
            Some((Kind::Retry, words)) => format!("loki {name}: retrying: {words}\n"),
            Some((Kind::Hold, words)) => format!("loki {name}: needs attention: {words}\n"),
        };
        (ready, troubles.iter().map(line).collect())
    }
}

/// The health of one destination.
#[derive(Debug)]
pub struct Health {
    name: String,
    /// For the log.
    url: String,
    all: Arc<Readiness>,
    trouble: Option<Trouble>,
    /// When a kind of failure was mentioned last, in this trouble or one before it.
    told: BTreeMap<Kind, Instant>,
    refused: BTreeMap<&'static str, Refused>,
}

/// A failure that lasts.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    told: bool,
    attempts: u64,
}

/// Refusals for one reason that were not mentioned yet.
#[derive(Debug, Default)]
struct Refused {
    told: Option<Instant>,
    entries: u64,
}

impl Health {
    /// That of a destination with nothing to complain about.
    pub fn new(name: &str, url: &str, all: Arc<Readiness>) -> Health {
        all.lock().insert(name.to_owned(), None);
        Health {
            name: name.to_owned(),
            url: super::push::without_query(url).to_owned(),
            all,
            trouble: None,
            told: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Entries were not taken; they are sent again after a pause.
    pub(super) fn trouble(&mut self, kind: Kind, words: &str, pause: Duration) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, told: false, attempts: 0 });
        trouble.attempts += 1;
        self.all.lock().insert(self.name.clone(), Some((kind, words.to_owned())));
        if self.told.get(&kind).is_some_and(|told| now.duration_since(*told) < REMIND) {
            return;
        }
        self.told.insert(kind, now);
        trouble.told = true;
        let (name, url, pause, attempts) = (&self.name, &self.url, pause.as_secs_f64(), trouble.attempts);
        match kind {
            Kind::Retry => log::warn!(
                "loki `{name}` ({url}) does not take entries: {words}; attempt {attempts}, next in {pause:.1} s; nothing is \
                 lost while the journal keeps its files"
            ),
            Kind::Slower => log::warn!(
                "loki `{name}` ({url}) limits the rate: {words}; going on more slowly, next in {pause:.1} s; nothing is lost \
                 while the journal keeps its files"
            ),
            Kind::Hold => log::error!(
                "loki `{name}` ({url}) needs attention: {words}; attempt {attempts}, next in {pause:.1} s; nothing is lost \
                 while the journal keeps its files"
            ),
        }
    }

    /// Entries are taken again.
    pub(super) fn recovered(&mut self) {
        let Some(trouble) = self.trouble.take() else { return };
        self.all.lock().insert(self.name.clone(), None);
        if trouble.told {
            let lasted = trouble.since.elapsed().as_secs_f64();
            log::info!("loki `{}` takes entries again after {lasted:.1} s", self.name);
        }
    }

    /// Entries were refused for good.
    pub(super) fn refused(&mut self, reason: &'static str, entries: u64, words: &str) {
        let refused = self.refused.entry(reason).or_default();
        refused.entries += entries;
        if refused.told.is_none_or(|told| told.elapsed() >= REMIND) {
            log::error!(
                "loki `{}` refused {} entries for good ({reason}): {words}; all others are stored",
                self.name,
                refused.entries
            );
            *refused = Refused { told: Some(Instant::now()), entries: 0 };
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.all.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_red_while_a_person_is_needed() {
        let all = Arc::new(Readiness::default());
        let mut main = Health::new("main", "http://h/?key=hunter2", all.clone());
        let other = Health::new("other", "http://o/", all.clone());
        assert_eq!(all.report(), (true, "loki main: ok\nloki other: ok\n".into()));
        main.trouble(Kind::Retry, "HTTP 503", Duration::ZERO);
        assert_eq!(all.report(), (true, "loki main: retrying: HTTP 503\nloki other: ok\n".into()));
        main.trouble(Kind::Hold, "HTTP 401", Duration::ZERO);
        assert_eq!(all.report(), (false, "loki main: needs attention: HTTP 401\nloki other: ok\n".into()));
        drop(other);
        main.recovered();
        assert_eq!(all.report(), (true, "loki main: ok\n".into()));
        assert!(!format!("{main:?}").contains("hunter2"));
    }
}
