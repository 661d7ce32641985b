//! The state of the servers that we send to: what the log, `/ready` and `/status` say of failures and refusals.
//!
//! The log mentions each kind of failure when it begins, and then once a minute. Otherwise a Loki that fails every second
//! time would cause two lines for each batch, and shipping those lines would make the next batch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The log mentions a kind of failure, and a reason for refusals, at most this often.
const REMIND: Duration = Duration::from_secs(60);

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
        if trouble.told {
            let lasted = trouble.since.elapsed().as_secs_f64();
            let Role { name: role, takes, .. } = self.role;
            log::info!("{role} `{}` takes {takes} again after {lasted:.1} s", self.name);
        }
    }

    /// Entries were refused for good.
    pub(crate) fn refused(&mut self, reason: &'static str, entries: u64, words: &str) {
        let Role { name: role, takes, .. } = self.role;
        let refused = self.refused.entry(reason).or_default();
        refused.entries += entries;
        if refused.told.is_none_or(|told| told.elapsed() >= REMIND) {
            log::error!(
                "{role} `{}` refused {} {takes} for good ({reason}): {words}; they are not sent again, all others are",
                self.name,
                refused.entries
            );
            *refused = Refused { told: Some(Instant::now()), entries: 0 };
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
