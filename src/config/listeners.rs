//! A check that needs two sections: no two listeners want the same port of the same address.

use std::net::{IpAddr, SocketAddr};

use super::Config;
use crate::yaml::{Checker, Finding, Kind, Section, Span};

/// Refuses `query.listen` where `http.listen` has the port already: the second one could not be opened at the start.
pub(super) fn check(checker: &Checker<'_>, section: &Section<'_>, config: &Config) {
    let (Some(http), Some(query)) = (config.http.listen, config.query.listen) else { return };
    if !is_taken(http, query) {
        return;
    }
    let Some(wanted) = place(section, "query") else { return };
    let finding = Finding::at(wanted, "two listeners want the same port")
        .label(format!("expected another port than that of `http.listen`, {http}"));
    checker.note(match place(section, "http") {
        Some(place) => finding.related(place, "it is taken here"),
        None => finding.note("that is the default: `http: {listen: null}` switches it off"),
    });
}

/// Where the key `listen` of a section stands.
fn place(section: &Section<'_>, name: &str) -> Option<Span> {
    let Kind::Map(entries) = &section.get(name)?.node.kind else { return None };
    let listen = |key: &Kind| matches!(key, Kind::Str(key) if key == "listen");
    entries.iter().find(|(key, _)| listen(&key.kind)).map(|(_, value)| value.span.clone())
}

/// Whether one of these cannot be opened while the other is. Port 0 is any that is free.
fn is_taken(one: SocketAddr, other: SocketAddr) -> bool {
    let [a, b] = [one.ip().to_canonical(), other.ip().to_canonical()];
    one.port() == other.port() && one.port() != 0 && (a == b || has(a, b) || has(b, a))
}

/// Whether an address stands for all others, this one among them. That of IPv6 takes IPv4's, too.
fn has(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_of_one_address_is_for_one_listener() {
        for (one, other, taken) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "[::]:1", true),
            ("0.0.0.0:1", "[::]:1", true),
            ("[::1]:1", "[::]:1", true),
            ("[::1]:1", "0.0.0.0:1", false),
            ("[::1]:1", "127.0.0.1:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
        ] {
            let [a, b] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!([is_taken(a, b), is_taken(b, a)], [taken; 2], "{one} {other}");
        }
    }
}
