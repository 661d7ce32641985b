//! Who may ask the API, and how much: connections, credentials, and threads for queries.
//!
//! A log line can hold a secret. So the API is a Unix socket for the group of the process, which the unit makes
//! systemd-journal; a TCP address asks for a token. No web page can ask: `Host` and `Origin` must name this host, and nothing
//! allows a page of another origin to read an answer.
//!
//! A query runs on a thread of its own, of a lower priority. It ends when its client has gone, and when its time is over. Its
//! place is free again when its answer is sent: answers that wait for their readers take memory, too.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::api::tail::Tail;
use super::api::{self, Params, Reply};
use super::reader::Reader;
use super::section::Queries;
use super::socket;
use super::source::Source;
use super::{Limits, Run};
use crate::client::read_secret;
use crate::observe::http::{Hosts, Served};

/// Connections to each of the two at a time (count).
const CONNECTIONS_MAX: usize = 64;
/// The longest time that the headers of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// The longest time that a connection may wait for its next request.
const CONNECTION_MAX: Duration = Duration::from_secs(3900);
/// Longest form in the body of a request (bytes): Loki takes queries of less than 128 KiB, which may be escaped.
const FORM_MAX: usize = 1 << 20;
/// How long a query waits for a place: a page asks several at once, and most take less than a second.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted, for example because no descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How much lower the priority of a query is than that of shipping (nice(2)).
pub(super) const NICE: i32 = 10;
/// Live tails at a time (count), as Loki's `max_concurrent_tail_requests`.
const TAILS_MAX: usize = 10;
/// The key that names the file with the token.
const TOKEN_FILE: &str = "query.token_file";
/// The header that asks for labels beside lines, and its word (grafana/loki, `pkg/util/httpreq`).
const ENCODING: (&str, &str) = ("x-loki-response-encoding-flags", "categorize-labels");

/// Why the API cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be made.
    #[error(
        "cannot make the socket {path} (query.socket): {reason}; choose another path, or `null` for none"
    )]
    Socket {
        /// `query.socket`
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address} (query.listen): {reason}; choose another port, or `null` for none")]
    Listen {
        /// `query.listen`
        address: std::net::SocketAddr,
        /// The reason.
        reason: io::Error,
    },
    /// The token cannot be read.
    #[error("{0}")]
    Token(String),
}

/// The API, listening, as long as it is held.
#[derive(Debug)]
pub struct Server {
    tasks: JoinSet<()>,
    socket: Option<PathBuf>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.abort_all();
        if let Some(socket) = &self.socket {
            // Whoever comes next is told that nobody listens, with or without it.
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// What all connections share.
struct Shared {
    source: Source,
    served: Arc<Served>,
    timeout: Duration,
    /// A query holds one of these.
    places: Arc<Semaphore>,
    /// A live tail holds one of these.
    tails: Arc<Semaphore>,
}

/// What a request must bring.
#[derive(Clone)]
struct Gate {
    /// The names of this host, where any page could send a request.
    hosts: Option<Arc<Hosts>>,
    /// The file with the token. It is read for each request, so that a new token counts at once.
    token_file: Option<Arc<Path>>,
}

impl Server {
    /// Listens where the section says; `served` knows the rules, and
    /// `nodename` is the name of this host.
    ///
    /// # Errors
    /// When the socket or the address cannot be had, or the token not be read.
    pub async fn start(
        section: &Queries,
        source: Source,
        served: Arc<Served>,
        nodename: &str,
    ) -> Result<Server, ServeError> {
        let places = Arc::new(Semaphore::new(section.concurrent));
        let shared = Arc::new(Shared {
            source,
            served,
            timeout: section.timeout,
            places,
            tails: Arc::new(Semaphore::new(TAILS_MAX)),
        });
        let mut tasks = JoinSet::new();
        if let Some(address) = section.listen {
            if let Some(path) = &section.token_file {
                read_secret(TOKEN_FILE, path).map_err(|error| ServeError::Token(error.to_string()))?;
            }
            let hosts = Some(Arc::new(Hosts::new(nodename, &section.hosts)));
            let gate = Gate { hosts, token_file: section.token_file.as_deref().map(Into::into) };
            let listener =
                TcpListener::bind(address).await.map_err(|reason| ServeError::Listen { address, reason })?;
            let shared = shared.clone();
            tasks.spawn(serve(gate, shared, async move || Ok(listener.accept().await?.0)));
        }
        if let Some(path) = &section.socket {
            let listener =
                socket(path).map_err(|reason| ServeError::Socket { path: path.clone(), reason })?;
            let gate = Gate { hosts: None, token_file: None };
            tasks.spawn(serve(gate, shared, async move || Ok(listener.accept().await?.0)));
        }
        Ok(Server { tasks, socket: section.socket.clone() })
    }
}

/// Makes the socket. One that nobody listens on any more is replaced.
fn socket(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::other("another process listens on it")),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers requests until it is aborted.
async fn serve<S, A>(gate: Gate, shared: Arc<Shared>, accept: A)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: AsyncFn() -> io::Result<S>,
{
    // Dropping it ends all of them, and their queries.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let stream = match accept().await {
            Ok(stream) => stream,
            Err(error) => {
                log::debug!("a connection to the API of queries failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (gate, shared) = (gate.clone(), shared.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (gate, shared) = (gate.clone(), shared.clone());
                async move { Ok::<_, Infallible>(respond(request, &gate, &shared).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .serve_connection(TokioIo::new(Reader::new(stream)), service)
                .with_upgrades();
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
        });
    }
}

async fn respond(request: Request<Incoming>, gate: &Gate, shared: &Arc<Shared>) -> Response<Full<Bytes>> {
    let head = request.method() == Method::HEAD;
    let key = socket::key(request.headers()).filter(|_| request.uri().path() == socket::PATH);
    let refused = refused(&request, gate);
    let closes = refused.is_some();
    let (reply, place) = match (refused, key) {
        (Some(reply), _) => (reply, None),
        (None, Some(key)) => match tail(request, &key, shared).await {
            Ok(response) => return response,
            Err(reply) => (reply, None),
        },
        (None, None) => match asked(request).await {
            Ok(asked) => run(asked, shared).await,
            Err(reply) => (reply, None),
        },
    };
    let body =
        if head { Bytes::new() } else { Bytes::from_owner(Sending { text: reply.body, _place: place }) };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if closes {
        // A stranger keeps no connection: there are not many.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Begins a live tail.
async fn tail(
    request: Request<Incoming>,
    key: &HeaderValue,
    shared: &Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Reply> {
    let tail = Tail::read(&of_head(request.uri(), request.headers(), &[]))?;
    let place = shared.tails.clone().try_acquire_owned();
    let place = place.map_err(|_| Reply::text(429, "max concurrent tail requests limit exceeded\n"))?;
    Ok(socket::begin(request, key, tail, shared.source.clone(), place).map(|()| Full::default()))
}

/// Why a request may not ask; `None`: it may.
fn refused(request: &Request<Incoming>, gate: &Gate) -> Option<Reply> {
    if ![Method::GET, Method::HEAD, Method::POST].contains(request.method()) {
        return Some(Reply::text(405, "only GET and POST are served here\n"));
    }
    let headers = request.headers();
    if let Some(hosts) = &gate.hosts {
        let named = request.uri().authority().map(|authority| authority.as_str());
        let named = named.or_else(|| headers.get(HOST).map(|host| host.to_str().unwrap_or("?")));
        if named.is_some_and(|host| !hosts.has(host)) {
            let words = "this is not a name of this host: ask for its name or address, or add the name to query.hosts\n";
            return Some(Reply::text(421, words));
        }
        let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("?"));
        let foreign = |origin: &str| origin.split_once("://").is_none_or(|(_, host)| !hosts.has(host));
        if origin.is_some_and(foreign) {
            return Some(Reply::text(403, "pages of another origin may not ask\n"));
        }
    }
    let token = match read_secret(TOKEN_FILE, gate.token_file.as_ref()?) {
        Ok(token) => token,
        Err(error) => {
            log::warn!("nobody can ask over query.listen: {error}");
            return Some(Reply::text(
                503,
                "the file query.token_file cannot be read; the agent's log says why\n",
            ));
        }
    };
    match given(headers).is_some_and(|given| equal(given.as_bytes(), token.as_bytes())) {
        true => None,
        false => Some(Reply::text(
            401,
            "the token of query.token_file is needed: as a bearer token, or as a password\n",
        )),
    }
}

/// The token that a request brings: as a bearer token, or as the password of basic authentication (RFC 6750, RFC 7617).
fn given(headers: &HeaderMap) -> Option<String> {
    use base64::Engine as _;
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    let pair = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok();
    let pair = pair.filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let pair = String::from_utf8(pair?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Whether two texts are equal, in a time that tells nothing of where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// What a request asks for.
async fn asked(request: Request<Incoming>) -> Result<api::Request, Reply> {
    let (head, body) = request.into_parts();
    let is_form = head.method == Method::POST;
    let form = match is_form {
        true => Limited::new(body, FORM_MAX).collect().await.map(|body| body.to_bytes()).map_err(|_| {
            Reply::text(413, format!("the form is longer than {FORM_MAX} bytes, or did not come whole\n"))
        })?,
        false => Bytes::new(),
    };
    Ok(of_head(&head.uri, &head.headers, &form))
}

/// What an address, headers and a form ask for.
fn of_head(uri: &Uri, headers: &HeaderMap, form: &[u8]) -> api::Request {
    let categorize = headers.get_all(ENCODING.0).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|flag| flag.trim() == ENCODING.1))
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    api::Request {
        path: uri.path().to_owned(),
        params: Params::read(uri.query().unwrap_or_default(), form),
        categorize,
        now: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
    }
}

/// Sets a flag when it goes: the client has hung up, or the answer is there.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The body of an answer, which keeps the place of its query until it is sent.
struct Sending {
    text: String,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Runs a query on a thread of its own. The place that it has goes with the answer.
async fn run(request: api::Request, shared: &Arc<Shared>) -> (Reply, Option<OwnedSemaphorePermit>) {
    if let Some(reply) = api::ready(&request.path) {
        return (reply, None);
    }
    if let Some(reply) = api::rules::answer(&request.path, &shared.served.groups()) {
        return (reply, None);
    }
    // Who waits holds a connection, and there are not many of these.
    let place = tokio::time::timeout(WAIT_MAX, shared.places.clone().acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        return (Reply::text(429, "too many outstanding requests"), None);
    };
    let stop = Arc::new(AtomicBool::new(false));
    let gone = Gone(stop.clone());
    let (sender, receiver) = oneshot::channel();
    let shared = shared.clone();
    let thread = std::thread::Builder::new().name("query".to_owned()).spawn(move || {
        // Of this thread alone, as Linux has it. A higher priority than wanted is no reason not to answer.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let mut run = Run {
            stop: &stop,
            deadline: Instant::now().checked_add(shared.timeout),
            limits: Limits::default(),
            progress: &mut |_| {},
        };
        let _ = sender.send((api::answer(&request, &shared.source.journal(), &mut run), Some(place)));
    });
    let reply = match thread {
        Ok(_) => receiver.await.ok(),
        Err(error) => Some((Reply::text(503, format!("no thread can be started: {error}\n")), None)),
    };
    drop(gone);
    reply.unwrap_or_else(|| (Reply::text(500, "the query failed; this is a bug\n"), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_as_bearer_or_password() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic dXNlcjphYmM=", Some("abc")),
            ("Basic dXNlcjphOmI=", Some("a:b")),
            ("Basic ???", None),
            ("Basic dXNlcg==", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(given(&headers).as_deref(), expected, "{value}");
        }
        assert!(equal(b"abc", b"abc") && !equal(b"abc", b"abd") && !equal(b"abc", b"ab"));
    }
}
