//! The API's connections, and threads for queries: how much may be asked. `gate` says who may ask.
//!
//! A query runs on a thread of its own, of a lower priority. It ends when its client has gone, and when its time is over. Its
//! place is free again when its answer is sent: answers that wait for their readers take memory, too.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use super::api::tail::{self, Tail};
use super::api::{self, Reply};
use super::asked;
use super::closing::Client;
use super::connections::{Connections, Known};
use super::gate::{CHALLENGE, Gate};
use super::handshake;
use super::page;
use super::places::Places;
use super::reader::Reader;
use super::section::Queries;
use super::socket;
use super::source::Source;
use super::worded::Worded;
use super::{Limits, Run};
use crate::client::AccessError;
use crate::observe::http::Served;
use crate::observe::page::HEADERS;

/// The longest time that the headers of a request may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// The longest time that a connection may wait for its next request.
const CONNECTION_MAX: Duration = Duration::from_secs(3900);
/// The pause after a connection could not be accepted, for example because no descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The extension of the socket's name until it listens. In the same folder, so that it can be renamed.
const SOCKET_ASIDE: &str = "new";
/// How much lower the priority of a query is than that of shipping (nice(2)).
pub(super) const NICE: i32 = 10;

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
    /// A file with a token, a password or a certificate is of no use.
    #[error("{0}")]
    Access(#[from] AccessError),
}

/// The API, listening, as long as it is held.
#[derive(Debug)]
pub struct Server {
    tasks: JoinSet<()>,
    socket: Option<PathBuf>,
    /// Live tails go on until this goes.
    _open: watch::Sender<()>,
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
    limits: Limits,
    /// A query holds one of these.
    places: Places,
    /// A live tail holds one of these.
    tails: Arc<Semaphore>,
    /// Held while the query of a live tail is read: one at a time, because reading it takes time and memory.
    reading: Arc<Mutex<()>>,
    /// Its sender goes with the server.
    open: watch::Receiver<()>,
}

impl Server {
    /// Listens where the section says; `served` knows the rules, and
    /// `nodename` is the name of this host.
    ///
    /// # Errors
    /// When the socket or the address cannot be had, or a file with a secret or a certificate is of no use.
    pub async fn start(
        section: &Queries,
        source: Source,
        served: Arc<Served>,
        nodename: &str,
    ) -> Result<Server, ServeError> {
        let places = Places::new(section.concurrent, section.timeout);
        let (held, open) = watch::channel(());
        let shared = Arc::new(Shared {
            source,
            served,
            timeout: section.timeout,
            limits: section.limits,
            places,
            tails: Arc::new(Semaphore::new(socket::TAILS_MAX)),
            reading: Arc::default(),
            open,
        });
        let mut tasks = JoinSet::new();
        if let Some(address) = section.listen {
            let gate = Gate::of_address(section, nodename)?;
            let listener =
                TcpListener::bind(address).await.map_err(|reason| ServeError::Listen { address, reason })?;
            let shared = shared.clone();
            tasks.spawn(serve(gate, shared, async move || Ok(listener.accept().await?.0)));
        }
        if let Some(path) = &section.socket {
            let listener =
                socket(path).map_err(|reason| ServeError::Socket { path: path.clone(), reason })?;
            let gate = Gate::of_socket(section, nodename);
            tasks.spawn(serve(gate, shared, async move || Ok(listener.accept().await?.0)));
        }
        Ok(Server { tasks, socket: section.socket.clone(), _open: held })
    }

    /// Looks at the files with secrets and certificates.
    ///
    /// # Errors
    /// One of them cannot be read, or does not hold what it should: [`Server::start`] would fail.
    pub fn check(section: &Queries) -> Result<(), ServeError> {
        if section.listen.is_some() {
            Gate::of_address(section, "")?;
        }
        Ok(())
    }

    /// Ends it, live tails among the rest. Then its address and its socket are free.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Makes the socket. One that nobody listens on any more is replaced.
///
/// It is made under another name, and renamed when it listens and has its mode. So a client that sees it can connect, and
/// it never has the mode that the umask gives.
fn socket(path: &Path) -> io::Result<UnixListener> {
    let is_socket =
        |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if path.symlink_metadata().is_ok() {
        if !is_socket(path) {
            return Err(io::Error::other("something that is not a socket has this name"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::other("another process listens on it"));
        }
    }
    let aside = path.with_extension(SOCKET_ASIDE);
    if is_socket(&aside) {
        std::fs::remove_file(&aside)?;
    }
    let listener = UnixListener::bind(&aside)?;
    std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o660))?;
    std::fs::rename(&aside, path)?;
    Ok(listener)
}

/// Answers requests until it is aborted.
async fn serve<S, A>(gate: Gate, shared: Arc<Shared>, accept: A)
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
    A: AsyncFn() -> io::Result<S>,
{
    let mut connections = Connections::default();
    loop {
        let stream = match accept().await {
            Ok(stream) => stream,
            Err(error) => {
                log::debug!("a connection to the API of queries failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        connections.make_room().await;
        let client = match Client::of(&stream) {
            Ok(client) => client,
            Err(error) => {
                log::debug!("a connection to the API of queries failed: {error}");
                continue;
            }
        };
        let (gate, shared) = (gate.clone(), shared.clone());
        connections.add(|known| async move {
            let (stream, caller) = (Reader::new(stream), Caller { known, client });
            match gate.certificates() {
                None => talk(stream, gate, shared, caller).await,
                Some(certificates) => match certificates.accept(stream).await {
                    Ok(stream) => talk(stream, gate, shared, caller).await,
                    Err(error) => log::debug!("a connection to query.listen has no TLS that counts: {error}"),
                },
            }
        });
    }
}

/// Who asks on a connection.
#[derive(Clone)]
struct Caller {
    known: Known,
    client: Client,
}

/// Answers the requests of a connection.
async fn talk<S>(stream: S, gate: Gate, shared: Arc<Shared>, caller: Caller)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let (gate, shared, caller) = (gate.clone(), shared.clone(), caller.clone());
        async move { Ok::<_, Infallible>(respond(request, &gate, &shared, &caller).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(Worded::new(stream)), service)
        .with_upgrades();
    let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
}

async fn respond(
    request: Request<Incoming>,
    gate: &Gate,
    shared: &Arc<Shared>,
    caller: &Caller,
) -> Response<Full<Bytes>> {
    let head = request.method() == Method::HEAD;
    let refused = gate.refuses(&request);
    let closes = refused.is_some();
    if !closes {
        caller.known.set();
    }
    let is_get = head || request.method() == Method::GET;
    if let Some(file) = page::file(request.uri().path()).filter(|_| !closes && is_get) {
        return file.response();
    }
    let (reply, place) = match refused {
        Some(reply) => (reply, None),
        None if head => (of_head(request.uri().path()), None),
        None if !is_get && api::rules::has(request.uri().path()) => {
            (Reply::text(405, "rules come from the agent's files, and cannot be changed here\n"), None)
        }
        None if tail::is_path(request.uri().path()) => match begin_tail(request, shared).await {
            Ok(response) => return response,
            Err(reply) => (reply, None),
        },
        None => {
            let (head, body) = request.into_parts();
            match asked::read(&head, body).await {
                Ok(asked) => tokio::select! {
                    // What needs no time is answered in any case.
                    biased;
                    answered = run(asked, shared) => answered,
                    () = caller.client.gone() => (Reply::text(GONE, ""), None),
                },
                Err(reply) => (reply, None),
            }
        }
    };
    let body =
        if head { Bytes::new() } else { Bytes::from_owner(Sending { text: reply.body, _place: place }) };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response.headers_mut().extend(HEADERS);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if closes {
        // A stranger keeps no connection: there are not many.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The reply to HEAD, which no path of Loki's knows (grafana/loki, `pkg/loki/modules.go`, `Methods`; gorilla/mux).
fn of_head(path: &str) -> Reply {
    let is_known = api::has(path) || api::rules::has(path);
    Reply::text(if is_known { 405 } else { 404 }, "")
}

/// Begins a live tail. What it is asked for comes first, and its handshake then, as in Loki (`pkg/querier/tail/http.go`).
async fn begin_tail(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Reply> {
    let (head, body) = request.into_parts();
    let asked = asked::read(&head, body).await?;
    let turn = shared.reading.clone().lock_owned().await;
    let read = move || {
        let tail = Tail::read(&asked);
        // It goes with the work, and not with a client who does not wait for it.
        drop(turn);
        tail
    };
    let tail = aside(read).await??;
    let (status, headers) = match handshake::check(&head.method, &head.headers) {
        Ok(headers) => (StatusCode::SWITCHING_PROTOCOLS, headers),
        Err(refused) => refused,
    };
    let mut response = Response::new(Full::default());
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let held = (shared.tails.clone().try_acquire_owned().ok(), shared.open.clone());
        let request = Request::from_parts(head, ());
        socket::begin(request, (tail, shared.limits), shared.source.clone(), held);
    } else {
        // As Go writes it (net/http, `Error`).
        let words = status.canonical_reason().unwrap_or_default();
        *response.body_mut() = format!("{words}\n").into();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(api::TEXT));
        response.headers_mut().extend(HEADERS);
    }
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    Ok(response)
}

/// The status of an answer that nobody gets, as nginx has it.
const GONE: u16 = 499;

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
    if let Some(reply) = api::rules::answer(&request, &shared.served.groups()) {
        return (reply, None);
    }
    // Until its turn comes. All of this is dropped when the client has gone.
    let place = match shared.places.take().await {
        Ok(place) => place,
        Err(reply) => return (reply, None),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let gone = Gone(stop.clone());
    let shared = shared.clone();
    let answered = aside(move || {
        let mut run = Run {
            stop: &stop,
            deadline: Instant::now().checked_add(shared.timeout),
            limits: shared.limits,
            bytes_read: 0,
            progress: &mut |_| {},
        };
        (api::answer(&request, &shared.source.journal(), &mut run), Some(place))
    });
    let answered = answered.await;
    drop(gone);
    answered.unwrap_or_else(|reply| (reply, None))
}

/// Does something on a thread of its own, of a lower priority.
///
/// # Errors
/// The reply where it cannot be done.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Reply> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("query".to_owned()).spawn(move || {
        // Of this thread alone, as Linux has it. A higher priority than wanted is no reason not to answer.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let _ = sender.send(work());
    });
    match thread {
        Ok(_) => receiver.await.map_err(|_| Reply::text(500, "the query failed; this is a bug\n")),
        Err(error) => Err(Reply::text(503, format!("no thread can be started: {error}\n"))),
    }
}
