//! The state of the servers that we send to: what the log, `/ready` and `/status` say of failures and refusals.
//!
//! The log mentions each kind of failure when it begins, and then once a minute. Otherwise a Loki that fails every second
//! time would cause two lines for each batch, and shipping those lines would make the next batch.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

/// The log mentions a kind of failure, and a reason for refusals, at most this often.
const REMIND: Duration = Duration::from_secs(60);
/// The end of a failure that lasted so long is told, although its beginning was not, because there was another one within the
/// minute before it. A line in so long does not fill the journal.
const LONG: Duration = Duration::from_secs(5);
/// Failures that ended within this time are counted when the next one ends.
const LATELY: Duration = Duration::from_secs(3600);
/// Failures that are remembered for that (count, 24 bytes each).
const OUTAGES_MAX: usize = 720;

/// What a server is for, in the words of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// The kind of server.
    name: &'static str,
    /// What we send to it.
    takes: &'static str,
    /// What happens to that while the server does not take it.
    meanwhile: &'static str,
}

/// A server that keeps entries.
pub const LOKI: Role =
    Role { name: "loki", takes: "entries", meanwhile: "nothing is lost while the journal keeps its files" };
/// A server that tells people of alerts.
pub const ALERTMANAGER: Role = Role {
    name: "alertmanager",
    takes: "alerts",
    meanwhile: "alerts that still go on by then are sent then",
};

/// What happened lately to a server: for the page, which anybody may see. So it has none of a server's words, which may repeat
/// labels of log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// The server's role and name.
    pub server: String,
    /// What, in words of this program.
    pub what: String,
}

/// Events that are remembered (count): a page has room for so many.
const EVENTS_MAX: usize = 30;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It ends by itself, or by the work of who runs the server.
    Retry,
    /// The server limits the rate.
    Slower,
    /// A person must mend something on this host: credentials, certificates, an address.
    Hold,
}

/// The state of all servers, by role and name. `/ready` shows it.
#[derive(Debug, Default)]
pub struct Readiness {
    servers: Mutex<BTreeMap<String, Server>>,
    /// The newest first.
    events: Mutex<VecDeque<Event>>,
    changed: Notify,
}

/// The state of one server.
#[derive(Debug, Default)]
struct Server {
    /// A failure that lasts.
    trouble: Option<(Kind, String)>,
    /// What a person should know although things are taken.
    note: Option<String>,
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Server>> {
        // A panic elsewhere cannot leave half of a text here.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the failure of a server. `None`: it has none.
    fn set(&self, server: &str, trouble: Option<(Kind, String)>) {
        let kind = |trouble: &Option<(Kind, String)>| trouble.as_ref().map(|(kind, _)| *kind);
        let is = kind(&trouble);
        let mut servers = self.lock();
        let was = servers.get(server).map(|known| kind(&known.trouble));
        servers.entry(server.to_owned()).or_default().trouble = trouble;
        if was != Some(is) {
            self.changed.notify_one();
        }
    }

    /// Sets what a person should know of a server.
    fn note(&self, server: &str, note: Option<String>) {
        let mut servers = self.lock();
        let known = servers.entry(server.to_owned()).or_default();
        if known.note.is_some() != note.is_some() {
            self.changed.notify_one();
        }
        known.note = note;
    }

    /// Remembers what happened to a server. What goes on is remembered once, by its beginning.
    fn happened(&self, server: &str, what: String) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.iter().find(|event| event.server == server).is_some_and(|event| event.what == what) {
            return;
        }
        events.truncate(EVENTS_MAX - 1);
        events.push_front(Event { at: SystemTime::now(), server: server.to_owned(), what });
    }

    /// What happened lately, the newest first.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Returns when a failure has begun or ended since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The state of all servers at the moment.
    pub fn report(&self) -> Report {
        let servers = self.lock();
        let standing = |(name, server): (&String, &Server)| Standing {
            name: name.clone(),
            trouble: server.trouble.clone(),
            note: server.note.clone(),
        };
        Report { servers: servers.iter().map(standing).collect() }
    }
}

/// The state of all servers at one moment, by role and name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The servers that we send to.
    pub servers: Vec<Standing>,
}

impl Report {
    /// Whether nothing waits for a person.
    pub fn is_ready(&self) -> bool {
        !self.servers.iter().any(|server| matches!(server.trouble, Some((Kind::Hold, _))))
    }
}

/// A line for each server.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servers.iter().try_for_each(|server| writeln!(f, "{server}"))
    }
}

/// The state of one server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its role and name.
    pub name: String,
    /// A failure that lasts, in a few words.
    pub trouble: Option<(Kind, String)>,
    /// What a person should know although things are taken.
    pub note: Option<String>,
}

impl Standing {
    /// Whether there is nothing to tell a person.
    pub fn is_well(&self) -> bool {
        self.trouble.is_none() && self.note.is_none()
    }

    /// The state in one word or two.
    pub fn state(&self) -> &'static str {
        match (&self.trouble, &self.note) {
            (None, None) => "ok",
            (None, Some(_)) => "noted",
            (Some((Kind::Slower, _)), _) => "limited",
            (Some((Kind::Retry, _)), _) => "retrying",
            (Some((Kind::Hold, _)), _) => "needs attention",
        }
    }

    /// What a person can do about it; empty: nothing.
    pub fn what_to_do(&self) -> &'static str {
        match (&self.trouble, &self.note) {
            (None, None) => "",
            (None, Some(_)) => "The agent's log says what to do.",
            (Some((Kind::Slower, _)), _) => {
                "Nothing is lost. If the lag grows, raise the server's limits, or send less."
            }
            (Some((Kind::Retry, _)), _) => {
                "Look at the server. The agent goes on by itself when the server does."
            }
            (Some((Kind::Hold, _)), _) => {
                "Mend the credentials, the certificate or the address, and reload. The agent's log says more."
            }
        }
    }

    /// The state in words, without the name of the server.
    pub fn words(&self) -> String {
        let note = self.note.iter().map(|note| format!("; {note}")).collect::<String>();
        match &self.trouble {
            None => format!("ok{note}"),
            Some((Kind::Slower, words)) => format!("limited: {words}{note}"),
            Some((Kind::Retry, words)) => format!("retrying: {words}{note}"),
            Some((Kind::Hold, words)) => format!("needs attention: {words}{note}"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.words())
    }
}

/// The health of one server.
#[derive(Debug)]
pub struct Health {
    role: &'static Role,
    name: String,
    /// Role and name.
    key: String,
    /// For the log.
    url: String,
    all: Arc<Readiness>,
    trouble: Option<Trouble>,
    /// When a kind of failure was mentioned last, in this trouble or one before it.
    told: BTreeMap<Kind, Instant>,
    refused: BTreeMap<&'static str, Refused>,
    noted: Refused,
    /// When failures of the last hour ended, and how long they lasted.
    outages: VecDeque<(Instant, Duration)>,
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
    /// A server without failures.
    pub fn new(role: &'static Role, name: &str, url: &str, all: Arc<Readiness>) -> Health {
        let key = format!("{} {name}", role.name);
        all.set(&key, None);
        Health {
            role,
            key,
            name: name.to_owned(),
            url: crate::client::without_query(url).to_owned(),
            all,
            trouble: None,
            told: BTreeMap::new(),
            refused: BTreeMap::new(),
            noted: Refused::default(),
            outages: VecDeque::new(),
        }
    }

    /// Entries are taken, but not as they should be. `/ready` shows `words` until [`Health::all_as_it_should_be`] is called,
    /// and the log says them once a minute while there are such entries.
    pub(crate) fn note(&mut self, entries: u64, words: &str, help: &str) {
        self.all.note(&self.key, Some(words.to_owned()));
        self.noted.entries += entries;
        if self.noted.told.is_none_or(|told| told.elapsed() >= REMIND) {
            let Role { name: role, takes, .. } = self.role;
            let count = self.noted.entries;
            self.all.happened(&self.key, format!("takes {takes}, but not as it should"));
            log::error!(
                "{role} `{}` ({}): {words} ({count} {takes} since the last such line); {help}",
                self.name,
                self.url
            );
            self.noted = Refused { told: Some(Instant::now()), entries: 0 };
        }
    }

    /// Takes back what was noted.
    pub(crate) fn all_as_it_should_be(&mut self) {
        self.noted = Refused::default();
        self.all.note(&self.key, None);
    }

    /// Something was not taken. It is sent again after a pause.
    pub(crate) fn trouble(&mut self, kind: Kind, words: &str, pause: Duration) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, told: false, attempts: 0 });
        trouble.attempts += 1;
        self.all.set(&self.key, Some((kind, words.to_owned())));
        if self.told.get(&kind).is_some_and(|told| now.duration_since(*told) < REMIND) {
            return;
        }
        self.told.insert(kind, now);
        trouble.told = true;
        let Role { name: role, takes, meanwhile } = self.role;
        self.all.happened(
            &self.key,
            match kind {
                Kind::Retry => format!("does not take {takes}"),
                Kind::Slower => "limits the rate".to_owned(),
                Kind::Hold => "needs attention".to_owned(),
            },
        );
        let (name, url, pause, attempts) = (&self.name, &self.url, pause.as_secs_f64(), trouble.attempts);
        match kind {
            Kind::Retry => log::warn!(
                "{role} `{name}` ({url}) does not take {takes}: {words}; attempt {attempts}, next in {pause:.1} s; {meanwhile}"
            ),
            Kind::Slower => log::warn!(
                "{role} `{name}` ({url}) limits the rate: {words}; going on more slowly, next in {pause:.1} s; {meanwhile}"
            ),
            Kind::Hold => log::error!(
                "{role} `{name}` ({url}) needs attention: {words}; attempt {attempts}, next in {pause:.1} s; {meanwhile}"
            ),
        }
    }

    /// The server takes things again.
    pub(crate) fn recovered(&mut self) {
        let Some(trouble) = self.trouble.take() else { return };
        self.all.set(&self.key, None);
        let (now, lasted) = (Instant::now(), trouble.since.elapsed());
        self.outages.retain(|(ended, _)| now.duration_since(*ended) < LATELY);
        if self.outages.len() >= OUTAGES_MAX {
            self.outages.pop_front();
        }
        self.outages.push_back((now, lasted));
        if trouble.told || lasted >= LONG {
            let Role { name: role, takes, .. } = self.role;
            let lasted = lasted.as_secs_f64();
            self.all.happened(&self.key, format!("takes {takes} again after {lasted:.1} s"));
            let lately = lately(self.outages.iter().map(|(_, lasted)| *lasted));
            log::info!("{role} `{}` takes {takes} again after {lasted:.1} s{lately}", self.name);
        }
    }

    /// Entries were refused for good.
    pub(crate) fn refused(&mut self, reason: &'static str, entries: u64, words: &str) {
        let Role { name: role, takes, .. } = self.role;
        let refused = self.refused.entry(reason).or_default();
        refused.entries += entries;
        if refused.told.is_none_or(|told| told.elapsed() >= REMIND) {
            self.all.happened(&self.key, format!("refuses {takes} for good: {reason}"));
            log::error!(
                "{role} `{}` refused {} {takes} for good ({reason}): {words}; they are not sent again, all others are",
                self.name,
                refused.entries
            );
            *refused = Refused { told: Some(Instant::now()), entries: 0 };
        }
    }
}

/// How often something failed in the last hour, if that was not the first time.
fn lately(outages: impl ExactSizeIterator<Item = Duration>) -> String {
    match outages.len() {
        0 | 1 => String::new(),
        count => {
            let together: Duration = outages.sum();
            let many = if count >= OUTAGES_MAX { "at least " } else { "" };
            format!("; {many}{count} outages in the last hour, {:.1} s together", together.as_secs_f64())
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_lately_is_counted() {
        let of = |outages: &[u64]| lately(outages.iter().map(|ms| Duration::from_millis(*ms)));
        assert_eq!(of(&[500]), "");
        assert_eq!(of(&[500, 1700, 300]), "; 3 outages in the last hour, 2.5 s together");
        assert!(of(&[1; OUTAGES_MAX]).starts_with("; at least 720 outages"));
    }

    #[test]
    fn readiness_is_red_while_a_person_is_needed() {
        let told = |all: &Readiness| (all.report().is_ready(), all.report().to_string());
        let all = Arc::new(Readiness::default());
        let mut main = Health::new(&LOKI, "main", "http://h/?key=hunter2", all.clone());
        let other = Health::new(&LOKI, "other", "http://o/", all.clone());
        assert_eq!(told(&all), (true, "loki main: ok\nloki other: ok\n".into()));
        main.trouble(Kind::Retry, "HTTP 503", Duration::ZERO);
        assert_eq!(told(&all), (true, "loki main: retrying: HTTP 503\nloki other: ok\n".into()));
        main.trouble(Kind::Hold, "HTTP 401", Duration::ZERO);
        assert_eq!(told(&all), (false, "loki main: needs attention: HTTP 401\nloki other: ok\n".into()));
        drop(other);
        main.recovered();
        assert_eq!(told(&all), (true, "loki main: ok\n".into()));
        main.note(7, "it is full", "make room");
        assert_eq!(told(&all), (true, "loki main: ok; it is full\n".into()));
        main.trouble(Kind::Retry, "HTTP 503", Duration::ZERO);
        main.recovered();
        assert_eq!(told(&all), (true, "loki main: ok; it is full\n".into()));
        main.all_as_it_should_be();
        assert_eq!(told(&all), (true, "loki main: ok\n".into()));
        assert!(!format!("{main:?}").contains("hunter2"));
    }
}
