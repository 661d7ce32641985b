//! The section `http:`: where the listener is, and which names requests may use for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Kind, Refusal, Section, Value, quoted};

/// Where `/metrics` is served unless `http.listen` says otherwise. It cannot be reached from other hosts.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9194);

/// The keys of `http`.
pub(crate) const KEYS: &[Key] = &[
    key("http", "section", ""),
    key("http.listen", "address and port", "127.0.0.1:9194"),
    key("http.hosts", "list of host names", "[]"),
];

/// `http:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where `/metrics` is served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Further names that requests may use for this host.
    pub hosts: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: Some(DEFAULT_LISTEN), hosts: Vec::new() }
    }
}

/// Reads `http`.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Http> {
    let section = Section::open(checker, value, "http")?;
    let mut http = Http::default();
    section.read("listen", &mut http.listen, |value| listen(checker, value));
    section.read("hosts", &mut http.hosts, |value| {
        checker.each(value, "a list of host names", |item| checker.checked(item, "a host name", host_name))
    });
    Some(http)
}

/// Reads an address with a port, or `null` for no listener.
pub(crate) fn listen(checker: &Checker<'_>, listen: &Value<'_>) -> Option<Option<SocketAddr>> {
    const ADDRESS: &str = "an address with a port, or `null`";
    if listen.node.kind == Kind::Null {
        return Some(None);
    }
    let rule = |text: &str| match text.parse::<SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => {
            let refusal = Refusal::new(
                format!("{} is not an address with a port", quoted(text)),
                "expected for instance `127.0.0.1:9194`, `[::1]:9194`, or `null` for none",
            );
            Err(match text.strip_prefix(':') {
                Some(port) => refusal.help(format!("all addresses are `[::]:{port}`")),
                None => refusal,
            })
        }
    };
    checker.checked(listen, ADDRESS, rule)?.parse().ok().map(Some)
}

/// Checks a name as it stands in `Host`, without a port.
pub(crate) fn host_name(name: &str) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    Err(Refusal::new(
        format!("{} is not a host name", quoted(name)),
        "expected a name without a port, such as `metrics.example.org`",
    ))
}
