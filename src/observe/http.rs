//! The HTTP listener: what Prometheus scrapes, whether the process lives, and whether it needs a person.
//!
//! It runs on the thread that waits on the network. Anybody may connect. So it listens on the loopback interface unless the
//! configuration says otherwise, shows numbers and no log text (in a page for people, too), and bounds the time and the number
//! of connections: when all places are taken, a new connection takes the place of the oldest one. Requests must name this
//! host. Otherwise a web page could read the answers by a name of its own that points here (DNS rebinding).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use serde_json::Value;

use crate::observe::health::Readiness;
use crate::observe::metrics::Registry;
use crate::observe::page::{self, HEADERS};
use crate::observe::rules::RuleGroup;
use crate::observe::status::{Configuration, Destination, Parts, Read, Status};
use crate::os::text::{Line, clip, write_json_pretty};

/// Connections at a time (count): Prometheus needs one.
const CONNECTIONS_MAX: usize = 32;
/// The longest time that the headers of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// The longest life of a connection.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// The pause after a connection could not be accepted, for example because no descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The most of a wrong `Host` that the answer repeats (bytes). A name has at most 253.
const HOST_SHOWN_MAX: usize = 253;

/// Tells how destinations are, when someone asks.
type Tell = Box<dyn Fn() -> Vec<Destination> + Send + Sync>;

/// What is shown.
pub struct Served {
    /// The metrics. Each configuration has its own registry.
    registry: Mutex<Arc<Registry>>,
    /// The state of the servers that we send to.
    pub readiness: Arc<Readiness>,
    /// The state of the rules, if there are any.
    rules: Mutex<Option<Value>>,
    /// The same with labels and values, for those who may ask the journal.
    alerts: Mutex<Arc<[RuleGroup]>>,
    /// How destinations are.
    destinations: Mutex<Option<Tell>>,
    /// Since when the configuration is in force.
    configuration: Mutex<Configuration>,
    /// The names that requests may use for this host.
    hosts: Mutex<Arc<Hosts>>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

/// The names that the header `Host` of a request may have. IP addresses and `localhost` are always allowed: no web page can
/// have such a name.
#[derive(Debug, Default)]
pub struct Hosts {
    /// The name of this host.
    own: String,
    /// `http.hosts`
    more: Vec<String>,
}

impl Hosts {
    /// Allows the name of this host, and the names of `http.hosts`.
    pub fn new(nodename: &str, more: &[String]) -> Hosts {
        Hosts { own: nodename.to_owned(), more: more.to_vec() }
    }

    /// Whether a name is one of `http.hosts`, or of what stands for it.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.more.iter().any(|other| name.eq_ignore_ascii_case(other))
    }

    /// Whether a `Host` (RFC 9110, 7.2: a name, perhaps with a port) can only mean this host: an address, `localhost`, or a
    /// name that was given to it.
    pub(crate) fn has(&self, host: &str) -> bool {
        let name = name_of(host);
        let is = |other: &str| !other.is_empty() && name.eq_ignore_ascii_case(other);
        name.parse::<IpAddr>().is_ok()
            || is("localhost")
            || is(&self.own)
            || is(first_label(&self.own))
            || self.lists(name)
    }

    /// Whether a `Host` may mean this host: as [`Hosts::has`], or its name in any domain. Somebody who knows the name can have
    /// a page in a domain of theirs, so this is for what everybody may see, or who asks must prove who they are.
    pub(crate) fn may_have(&self, host: &str) -> bool {
        let first = first_label(name_of(host));
        self.has(host) || (!first.is_empty() && first.eq_ignore_ascii_case(first_label(&self.own)))
    }
}

/// The name or address in a `Host`, without its port. It is empty where something else stands behind it than a port.
pub(crate) fn name_of(host: &str) -> &str {
    let (name, behind) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or_default(),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port) {
        true => name.trim_end_matches('.'),
        false => "",
    }
}

fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

impl Served {
    /// Shows these metrics. There are no destinations yet.
    pub fn new(registry: Arc<Registry>) -> Served {
        Served {
            registry: Mutex::new(registry),
            readiness: Arc::default(),
            rules: Mutex::default(),
            alerts: Mutex::default(),
            destinations: Mutex::default(),
            configuration: Mutex::new(Configuration { taken: SystemTime::now(), refused: None }),
            hosts: Mutex::default(),
        }
    }

    /// From now on, only requests to these names are answered.
    pub fn set_hosts(&self, hosts: Hosts) {
        *self.hosts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hosts);
    }

    /// The metrics that are shown.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, `/status` shows this of the rules.
    pub fn set_rules(&self, rules: Option<Value>) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// From now on, the API of queries shows these groups of rules, in Prometheus' shape.
    pub fn set_groups(&self, groups: Vec<RuleGroup>) {
        *self.alerts.lock().unwrap_or_else(PoisonError::into_inner) = groups.into();
    }

    /// The groups of rules with their alerts. Not for everybody: labels of alerts are from log lines.
    pub fn groups(&self) -> Arc<[RuleGroup]> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, the status tells this of destinations.
    pub fn set_destinations(&self, tell: impl Fn() -> Vec<Destination> + Send + Sync + 'static) {
        *self.destinations.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tell));
    }

    /// A configuration was read.
    pub fn configuration(&self, read: Read) {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner).read(read);
    }

    /// The state of everything, as JSON.
    fn status(&self) -> String {
        let report = self.readiness.report();
        let destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        let destinations = destinations.as_ref().map(|tell| tell()).unwrap_or_default();
        let status = Status::of(Parts {
            ready: report.is_ready(),
            servers: report.servers,
            rules: self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            configuration: *self.configuration.lock().unwrap_or_else(PoisonError::into_inner),
            destinations,
            events: self.readiness.events(),
        });
        let mut text = Vec::new();
        // This value can be written as JSON, and writing to memory does not fail.
        let _ = write_json_pretty(&mut text, &status);
        format!("{}\n", String::from_utf8_lossy(&text))
    }

    /// From now on, these metrics are shown.
    pub fn change(&self, registry: Arc<Registry>) {
        *self.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
    }
}

/// Opens the port.
///
/// # Errors
/// When the system refuses it: the port is in use, or this machine does not have the address.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers requests until it is aborted.
pub async fn serve(listener: TcpListener, served: Arc<Served>) {
    // In the order in which they came. Answers take no time, so a connection that is still open waits for its client. The
    // oldest has waited longest, and gives way.
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::debug!("a connection to http.listen failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= CONNECTIONS_MAX
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let served = served.clone();
        let task = tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &served);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up wants nothing more.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
        });
        connections.push_back(task.abort_handle());
    }
}

fn answer(request: &Request<Incoming>, served: &Served) -> Response<Full<Bytes>> {
    const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    let reply = |status: StatusCode, kind: HeaderValue, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response.headers_mut().extend(HEADERS);
        response
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is served here\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let hosts = served.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // A request to a proxy names the host in its target (RFC 9112, 3.2.2).
    let named = request.uri().authority().map(|authority| authority.as_str());
    let named = named.or_else(|| request.headers().get(HOST).map(|host| host.to_str().unwrap_or("?")));
    if let Some(host) = named.filter(|host| !hosts.may_have(host)) {
        let host = clip(host, HOST_SHOWN_MAX);
        let words = format!(
            "`{}` is not a name of this host: ask for its name, its address or localhost, or add the name to http.hosts\n",
            Line(&host)
        );
        return reply(StatusCode::MISDIRECTED_REQUEST, TEXT, words);
    }
    match request.uri().path() {
        "/" => page::status(),
        "/metrics" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
            reply(StatusCode::OK, METRICS, served.registry().text(now))
        }
        "/healthz" => reply(StatusCode::OK, TEXT, "ok\n".into()),
        "/ready" => {
            let report = served.readiness.report();
            let (status, word) = match report.is_ready() {
                true => (StatusCode::OK, "ready"),
                false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            };
            reply(status, TEXT, format!("{word}\n{report}"))
        }
        "/status" => reply(StatusCode::OK, JSON, served.status()),
        _ => {
            reply(StatusCode::NOT_FOUND, TEXT, "there are /, /metrics, /ready, /healthz and /status\n".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// A listener on a free port that is served.
    async fn serving() -> SocketAddr {
        let registry = Arc::new(Registry::default());
        registry.gauge("up", "U.").set(Vec::new(), 1.0);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::new(Served::new(registry))));
        address
    }

    async fn connected(address: SocketAddr, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    }

    /// All that comes back until the connection is closed.
    async fn answer_to(address: SocketAddr, sent: &str) -> String {
        let mut text = String::new();
        connected(address, sent).await.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn requests_are_answered() {
        let address = serving().await;
        for (request, status, parts) in [
            (
                "GET /metrics",
                "200 OK",
                &["text/plain; version=0.0.4", "\r\n\r\n# HELP up U.\n# TYPE up gauge\nup 1\n"][..],
            ),
            ("GET /metrics?name=x", "200 OK", &["up 1\n"]),
            ("HEAD /metrics", "200 OK", &["content-length: 34\r\n"]),
            ("GET /healthz", "200 OK", &["\r\n\r\nok\n"]),
            // There is no server to be told of.
            ("GET /ready", "200 OK", &["\r\n\r\nready\n"]),
            ("GET /status", "200 OK", &["application/json", "\"ready\": true", "\"rules\": []"]),
            (
                "GET /",
                "200 OK",
                &[
                    "text/html; charset=utf-8",
                    "content-security-policy: default-src 'none'; script-src 'sha256-",
                ],
            ),
            ("GET /nosuch", "404 Not Found", &["/metrics"]),
            ("GET /metrics/", "404 Not Found", &[]),
            ("POST /metrics", "405 Method Not Allowed", &["allow: GET, HEAD\r\n"]),
            ("DELETE /nosuch", "405 Method Not Allowed", &[]),
        ] {
            let sent = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = answer_to(address, &sent).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
            for part in parts {
                assert!(answer.contains(part), "{request}: no {part:?} in {answer}");
            }
            if request.starts_with("HEAD") {
                assert!(answer.ends_with("\r\n\r\n"), "{answer}");
            }
        }
        assert!(answer_to(address, "what is this\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    }

    // The clock of these tests stands still but for waiting, and then jumps to what is waited for.
    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_cut_off() {
        let address = serving().await;
        for (sent, most) in [
            ("GET /metr", HEAD_MAX),
            ("", HEAD_MAX),
            // Kept open for another request that does not come.
            ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", CONNECTION_MAX),
        ] {
            let begin = tokio::time::Instant::now();
            answer_to(address, sent).await;
            assert!(begin.elapsed() <= most + Duration::from_secs(1), "{sent:?}: {:?}", begin.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_connections_give_way() {
        let address = serving().await;
        let mut idle = Vec::new();
        for _ in 0..5 * CONNECTIONS_MAX {
            idle.push(connected(address, "GET /").await);
        }
        let begin = tokio::time::Instant::now();
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        assert!(answer_to(address, request).await.ends_with("ok\n"));
        assert!(begin.elapsed() < Duration::from_secs(1), "it had to wait: {:?}", begin.elapsed());
        // The oldest were let go, the newest are served still.
        let mut rest = Vec::new();
        let (mut oldest, mut newest) = (idle.remove(0), idle.pop().unwrap());
        assert_eq!(oldest.read_to_end(&mut rest).await.unwrap_or(0), 0);
        newest.write_all(b"healthz HTTP/1.1\r\nHost: [::1]:9194\r\nConnection: close\r\n\r\n").await.unwrap();
        newest.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"ok\n"));
    }

    #[tokio::test]
    async fn only_this_host_is_asked() {
        let hosts = Hosts::new("web1.example.org", &["metrics.example.org".into()]);
        for (host, right) in [
            ("localhost", true),
            ("LocalHost:9194", true),
            ("127.0.0.1:9194", true),
            ("[::1]:9194", true),
            ("10.0.0.7", true),
            ("web1", true),
            ("WEB1.tailnet.ts.net:9194", true),
            ("web1.example.org.", true),
            ("metrics.example.org:80", true),
            ("", false),
            (":9194", false),
            ("web10", false),
            ("evil.example.org", false),
            ("evil.example.org:9194", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1:x@evil.example", false),
            ("127.0.0.1:80:80", false),
            ("[::1].evil.example", false),
            ("[::1]:", true),
            ("[::1", false),
            ("a.metrics.example.org", false),
        ] {
            assert_eq!(hosts.may_have(host), right, "{host:?}");
        }
        let nameless = Hosts::new("", &[]);
        assert!(!nameless.may_have("") && !nameless.may_have(".x") && nameless.may_have("localhost"));
        let address = serving().await;
        for (head, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n", 421),
            ("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n", 421),
            ("GET /status HTTP/1.1\r\nHost: \u{e9}\r\n", 421),
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n", 200),
            ("GET /metrics HTTP/1.0\r\n", 200),
        ] {
            let answer = answer_to(address, &format!("{head}Connection: close\r\n\r\n")).await;
            let (version, rest) = answer.split_once(' ').unwrap();
            assert!(
                version.starts_with("HTTP/1.") && rest.starts_with(&status.to_string()),
                "{head}: {answer}"
            );
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let address = serving().await;
        assert_eq!(bind(address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
