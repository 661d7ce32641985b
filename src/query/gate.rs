//! Who may ask the API.
//!
//! A log line can hold a secret. So the API is a Unix socket for the group of the process, which the unit makes
//! systemd-journal. A TCP address asks for a token, a name and a password, or a certificate. No web page but our own can ask:
//! `Host` must name this host and `Origin` must be the same place, a browser that says that another site asks is refused, and
//! nothing allows a page of another origin to read an answer. That goes for the socket, too: people reach it with a browser
//! through a port that ssh forwards.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::{Method, Request};

use super::api::Reply;
use super::certificates::Certificates;
use super::section::Queries;
use crate::client::{AccessError, Auth, read_secret};
use crate::observe::http::{Hosts, name_of};

/// The keys that name the files with secrets.
const TOKEN_FILE: &str = "query.token_file";
const PASSWORD_FILE: &str = "query.basic_auth.password_file";

/// What a connection and a request must bring; nothing, unless it says so.
#[derive(Clone, Default)]
pub(super) struct Gate {
    /// The names of this host: any page could send a request.
    hosts: Arc<Hosts>,
    /// Whether any name without a dot is this host, too. No page of the web has such a name.
    dotless: bool,
    /// The secret is read from its file for each request, so that a new one counts at once.
    login: Option<Arc<Auth>>,
    /// The certificates of both sides, where TLS is spoken.
    certificates: Option<Arc<Certificates>>,
}

impl Gate {
    /// What `query.listen` asks for; `nodename` is the name of this host.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub(super) fn of_address(section: &Queries, nodename: &str) -> Result<Gate, AccessError> {
        if let Some(login) = &section.login {
            secret(login)?;
        }
        let certificates = section.tls.as_ref().map(Certificates::read).transpose()?;
        Ok(Gate {
            hosts: Arc::new(Hosts::new(nodename, &section.hosts)),
            dotless: false,
            login: section.login.clone().map(Arc::new),
            certificates: certificates.map(Arc::new),
        })
    }

    /// What `query.socket` asks for: nothing of those who may open it, but of the pages that their browsers show.
    pub(super) fn of_socket(section: &Queries, nodename: &str) -> Gate {
        Gate { hosts: Arc::new(Hosts::new(nodename, &section.hosts)), dotless: true, ..Gate::default() }
    }

    /// The certificates of a connection; `None`: it has no TLS.
    pub(super) fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_deref()
    }

    /// Why a request may not ask; `None`: it may.
    pub(super) fn refuses<B>(&self, request: &Request<B>) -> Option<Reply> {
        if ![Method::GET, Method::HEAD, Method::POST].contains(request.method()) {
            return Some(Reply::text(405, "only GET and POST are served here\n"));
        }
        if let Some(reply) = self.refuses_page(request) {
            return Some(reply);
        }
        let login = self.login.as_deref()?;
        let secret = match secret(login) {
            Ok(secret) => secret,
            Err(error) => {
                log::warn!("nobody can ask over query.listen: {error}");
                let words =
                    "the file with the secret of this address cannot be read; the agent's log says why\n";
                return Some(Reply::text(503, words));
            }
        };
        let (expected, words) = match login {
            Auth::Bearer { .. } => {
                (None, "the token of query.token_file is needed: as a bearer token, or as a password\n")
            }
            Auth::Basic { username, .. } => {
                (Some(username.as_str()), "the name and the password of query.basic_auth are needed\n")
            }
        };
        match given(request.headers()).is_some_and(|given| given.is(expected, &secret)) {
            true => None,
            false => Some(Reply::text(401, words)),
        }
    }
}

impl Gate {
    /// Why a request may not ask, if a page of another site sends it.
    fn refuses_page<B>(&self, request: &Request<B>) -> Option<Reply> {
        let headers = request.headers();
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        // Of several, nobody knows which one counts (RFC 9112, 3.2).
        if [HOST, ORIGIN].into_iter().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
            return Some(Reply::text(400, "Host and Origin may stand once in a request\n"));
        }
        let named = request.uri().authority().map(|authority| authority.as_str()).or_else(|| text(HOST));
        if named.is_some_and(|host| !self.is_ours(host)) {
            let words = "this is not a name of this host: ask for its name or address, or add the name to query.hosts\n";
            return Some(Reply::text(421, words));
        }
        if text(ORIGIN).is_some_and(|origin| !self.is_same(origin, named)) {
            return Some(Reply::text(403, "pages of another origin may not ask\n"));
        }
        // What browsers say of themselves (Fetch Metadata, <https://www.w3.org/TR/fetch-metadata/>). A link to the page may
        // stand anywhere; what is asked has to come from the page.
        let elsewhere = text(SITE).is_some_and(|site| !["same-origin", "none"].contains(&site));
        let follows_link = text(MODE) == Some("navigate") && request.uri().path() == "/";
        if elsewhere && !follows_link {
            return Some(Reply::text(403, "pages of another site may not ask\n"));
        }
        None
    }

    /// Whether a `Host` means this host. Its name in any domain will do only with a secret or with TLS: a page whose name
    /// begins as this host's does, and later leads here, has neither the secret nor the certificate.
    fn is_ours(&self, host: &str) -> bool {
        let proves = self.login.is_some() || self.certificates.is_some();
        let ours = if proves { self.hosts.may_have(host) } else { self.hosts.has(host) };
        ours || (self.dotless && !name_of(host).is_empty() && !host.contains(['.', '[']))
    }

    /// Whether an `Origin` is the place that a request names. Behind a proxy that names another one, it may be a name of
    /// `query.hosts` without a port. No other name will do: any page of the web may come from an IP address, or from a name
    /// that begins as this host's does, and with a web socket a browser says nothing but `Origin`.
    fn is_same(&self, origin: &str, named: Option<&str>) -> bool {
        let Some((_, place)) = origin.split_once("://") else { return false };
        named.is_some_and(|named| named.eq_ignore_ascii_case(place))
            || (self.hosts.lists(place) && !has_port(place))
    }
}

/// Whether a port stands behind a name or an address.
fn has_port(place: &str) -> bool {
    let behind = place.rsplit(']').next().unwrap_or_default();
    behind.contains(':')
}

/// What browsers say of who asks: whether it is the same site, and whether a person follows a link.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Asks a browser to ask for a name and a password (RFC 7617). A token is taken as a password, too.
pub(super) const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"journal-ship\", charset=\"UTF-8\"");

/// The secret that requests must bring.
fn secret(login: &Auth) -> Result<String, AccessError> {
    match login {
        Auth::Bearer { token_file } => read_secret(TOKEN_FILE, token_file),
        Auth::Basic { password_file, .. } => read_secret(PASSWORD_FILE, password_file),
    }
}

/// What a request brings: a bearer token (RFC 6750), or a name and a password (RFC 7617).
struct Given {
    username: Option<String>,
    secret: String,
}

impl Given {
    /// Whether it is what is expected: this secret and, if a user's name is expected, this one.
    fn is(&self, username: Option<&str>, secret: &str) -> bool {
        let named = username.is_none_or(|expected| {
            self.username.as_deref().is_some_and(|name| equal(name.as_bytes(), expected.as_bytes()))
        });
        // Both are looked at: the time tells nobody which of them is wrong.
        equal(self.secret.as_bytes(), secret.as_bytes()) & named
    }
}

fn given(headers: &HeaderMap) -> Option<Given> {
    use base64::Engine as _;
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Given { username: None, secret: value.trim().to_owned() });
    }
    let pair = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok();
    let pair = pair.filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let pair = String::from_utf8(pair?).ok()?;
    let (name, password) = pair.split_once(':')?;
    Some(Given { username: Some(name.to_owned()), secret: password.to_owned() })
}

/// Whether two texts are equal, in a time that tells nothing of where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_as_bearer_or_password() {
        for (value, expected) in [
            ("Bearer abc", Some((None, "abc"))),
            ("bearer  abc ", Some((None, "abc"))),
            ("Basic dXNlcjphYmM=", Some((Some("user"), "abc"))),
            ("Basic dXNlcjphOmI=", Some((Some("user"), "a:b"))),
            ("Basic ???", None),
            ("Basic dXNlcg==", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            let given = given(&headers);
            let parts = given.as_ref().map(|given| (given.username.as_deref(), given.secret.as_str()));
            assert_eq!(parts, expected, "{value}");
        }
        assert!(equal(b"abc", b"abc") && !equal(b"abc", b"abd") && !equal(b"abc", b"ab"));
        assert!(!equal(b"ab", b"bb") && !equal(b"ab", b"ba"), "differences do not make up for each other");
    }

    #[test]
    fn an_origin_is_the_place_that_is_asked() {
        let gate =
            Gate { hosts: Arc::new(Hosts::new("web1", &["logs.example.org".into()])), ..Gate::default() };
        for (origin, host, same) in [
            ("http://localhost:9195", "localhost:9195", true),
            ("https://LOCALHOST:9195", "localhost:9195", true),
            ("http://[::1]:9195", "[::1]:9195", true),
            // Another user's server on the same machine.
            ("http://localhost:3000", "localhost:9195", false),
            ("http://localhost:3000", "127.0.0.1:9195", false),
            ("http://[::1]:3000", "[::1]:9195", false),
            ("http://logs.example.org:3000", "localhost:9195", false),
            // Behind a proxy.
            ("https://logs.example.org", "localhost:9195", true),
            ("https://evil.example", "localhost:9195", false),
            ("https://logs.example.org:8443", "localhost:9195", false),
            // Pages of the web: at an address, and under a name that begins as this host's does.
            ("http://203.0.113.5", "localhost:9195", false),
            ("https://web1.evil.example", "localhost:9195", false),
            ("http://localhost", "localhost:9195", false),
            ("null", "localhost:9195", false),
        ] {
            assert_eq!(gate.is_same(origin, Some(host)), same, "{origin} {host}");
        }
        // Without a secret, a name in any domain could be that of a page of the web.
        let login = Arc::new(Auth::Bearer { token_file: "unread".into() });
        let asks =
            Gate { hosts: Arc::new(Hosts::new("web1.lan", &[])), login: Some(login), ..Gate::default() };
        let open = Gate { login: None, ..asks.clone() };
        for (host, with, without) in [
            ("web1:9195", true, true),
            ("WEB1.lan", true, true),
            ("web1.evil.example", true, false),
            ("10.0.0.7:9195", true, true),
            ("evil.example", false, false),
            ("", false, false),
        ] {
            assert_eq!((asks.is_ours(host), open.is_ours(host)), (with, without), "{host}");
        }
        let socket = Gate { dotless: true, ..Gate::default() };
        for (host, ours) in
            [("x", true), ("localhost:9195", true), ("127.0.0.1", true), ("evil.example:9195", false)]
        {
            assert_eq!(socket.is_ours(host), ours, "{host}");
        }
    }

    /// The status with which a request is refused; 200: it is not.
    fn asked(gate: &Gate, method: Method, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let request =
            headers.iter().fold(Request::builder().method(method).uri(uri), |request, (name, value)| {
                request.header(*name, *value)
            });
        gate.refuses(&request.body(()).unwrap()).map_or(200, |reply| reply.status)
    }

    #[test]
    fn pages_of_other_sites_may_not_ask() {
        const HERE: (&str, &str) = ("host", "localhost:9195");
        const ELSEWHERE: (&str, &str) = ("sec-fetch-site", "cross-site");
        const FOLLOWS: (&str, &str) = ("sec-fetch-mode", "navigate");
        let section = Queries { hosts: vec!["logs.example.org".into()], ..Queries::builtin(&|_| None) };
        let gate = Gate::of_socket(&section, "web1");
        for (uri, headers, status) in [
            ("/loki/api/v1/query", &[][..], 200),
            ("/loki/api/v1/query", &[HERE], 200),
            ("/loki/api/v1/query", &[("host", "web1")], 200),
            // Only a socket is asked by any name without a dot.
            ("/loki/api/v1/query", &[("host", "anything")], 200),
            ("/loki/api/v1/query", &[("host", "logs.example.org")], 200),
            ("/loki/api/v1/query", &[("host", "evil.example")], 421),
            // What stands in the first line counts before the header.
            ("http://evil.example/loki/api/v1/query", &[HERE], 421),
            ("/loki/api/v1/query", &[HERE, ("origin", "http://localhost:9195")], 200),
            ("/loki/api/v1/query", &[HERE, ("origin", "https://evil.example")], 403),
            ("/loki/api/v1/query", &[("origin", "http://localhost:9195")], 403),
            ("/loki/api/v1/query", &[HERE, HERE], 400),
            ("/loki/api/v1/query", &[HERE, ("origin", "http://localhost:9195"), ("origin", "http://x")], 400),
            ("/loki/api/v1/query", &[("host", "anything:x@evil.example")], 421),
            ("/loki/api/v1/query", &[HERE, ("sec-fetch-site", "same-origin")], 200),
            ("/loki/api/v1/query", &[HERE, ("sec-fetch-site", "none")], 200),
            ("/loki/api/v1/query", &[HERE, ("sec-fetch-site", "same-site")], 403),
            ("/loki/api/v1/query", &[HERE, ELSEWHERE], 403),
            // A link to the page may stand anywhere.
            ("/", &[HERE, ELSEWHERE, FOLLOWS], 200),
            ("/", &[HERE, ELSEWHERE], 403),
            ("/", &[HERE, ELSEWHERE, ("sec-fetch-mode", "no-cors")], 403),
            ("/loki/api/v1/query", &[HERE, ELSEWHERE, FOLLOWS], 403),
        ] {
            assert_eq!(asked(&gate, Method::GET, uri, headers), status, "{uri} {headers:?}");
        }
        for (method, status) in
            [(Method::HEAD, 200), (Method::POST, 200), (Method::PUT, 405), (Method::OPTIONS, 405)]
        {
            assert_eq!(asked(&gate, method.clone(), "/", &[]), status, "{method}");
        }
    }

    #[test]
    fn an_address_asks_for_what_its_section_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "abc\n").unwrap();
        let bearer = Auth::Bearer { token_file: file.clone() };
        let basic = Auth::Basic { username: "ada".into(), password_file: file.clone() };
        let gate = |login: Option<Auth>| {
            let section =
                Queries { login, hosts: vec!["logs.example.org".into()], ..Queries::builtin(&|_| None) };
            Gate::of_address(&section, "web1")
        };
        let given =
            |authorization: &'static str| [("authorization", authorization), ("host", "logs.example.org")];
        for (login, authorization, status) in [
            (None, "none", 200),
            (Some(&bearer), "none", 401),
            (Some(&bearer), "Bearer abc", 200),
            (Some(&bearer), "Bearer xyzzy", 401),
            (Some(&bearer), "Bearer ", 401),
            (Some(&basic), "Basic YWRhOmFiYw==", 200),
            (Some(&basic), "Basic Ym9iOmFiYw==", 401),
            (Some(&basic), "Bearer abc", 401),
        ] {
            let gate = gate(login.cloned()).unwrap_or_else(|error| panic!("{error}"));
            assert!(gate.certificates().is_none());
            let found = asked(&gate, Method::GET, "/", &given(authorization));
            assert_eq!(found, status, "{login:?} {authorization}");
            assert_eq!(asked(&gate, Method::GET, "/", &[("host", "anything")]), 421, "it is no socket");
        }
        // The secret is read for each request.
        let asks = gate(Some(bearer.clone())).unwrap_or_else(|error| panic!("{error}"));
        std::fs::write(&file, "new").unwrap();
        assert_eq!(asked(&asks, Method::GET, "/", &given("Bearer new")), 200);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(asked(&asks, Method::GET, "/", &given("Bearer new")), 503);
        assert!(gate(Some(bearer)).is_err(), "it does not start without its secret");
    }

    #[test]
    fn a_name_counts_where_one_is_expected() {
        let given =
            |username: Option<&str>| Given { username: username.map(str::to_owned), secret: "s".into() };
        for (brought, expected, secret, right) in [
            (given(None), None, "s", true),
            (given(Some("any")), None, "s", true),
            (given(None), None, "t", false),
            (given(Some("ada")), Some("ada"), "s", true),
            (given(Some("ada")), Some("ada"), "t", false),
            (given(Some("bob")), Some("ada"), "s", false),
            // A password does not count as a token.
            (given(None), Some("ada"), "s", false),
        ] {
            assert_eq!(brought.is(expected, secret), right, "{:?} {expected:?} {secret}", brought.username);
        }
    }
}
