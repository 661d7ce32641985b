//! The double's HTTP side: one thread with its own runtime that accepts, answers and misbehaves.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::push::{self, Refusal};
use super::read;
use super::{Answer, PUSH_PATHS, Received, Shared, State, limits};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// Tenant of a request without `X-Scope-OrgID`, as in a Loki without authentication.
const DEFAULT_TENANT: &str = "fake";

/// Whether connections are taken; the sender hears when it is so.
pub struct Listen(pub bool, pub std::sync::mpsc::Sender<()>);

/// The running thread; it ends when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    commands: Option<mpsc::UnboundedSender<Listen>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(shared: Arc<Shared>) -> io::Result<Server> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, received) = mpsc::unbounded_channel();
        let (reservation, listener) = {
            let _context = runtime.enter();
            let reservation = socket(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            let listener = listen(reservation.local_addr()?)?;
            (reservation, listener)
        };
        let address = reservation.local_addr()?;
        let thread = std::thread::Builder::new()
            .name("loki-double".to_owned())
            .spawn(move || runtime.block_on(serve(reservation, listener, received, shared)))?;
        Ok(Server { address, commands: Some(commands), thread: Some(thread) })
    }

    pub fn listen(&self, listen: bool) {
        let (done, wait) = std::sync::mpsc::channel();
        let commands = self.commands.as_ref().expect("the server runs until it is dropped");
        commands.send(Listen(listen, done)).expect("the server's thread runs");
        wait.recv().expect("the server's thread did as told");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bound socket. One that never listens keeps the port for the double while it refuses connections.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    socket(address)?.listen(BACKLOG)
}

async fn serve(
    reservation: TcpSocket,
    listener: TcpListener,
    mut commands: mpsc::UnboundedReceiver<Listen>,
    shared: Arc<Shared>,
) {
    let address = reservation.local_addr().expect("a bound socket has an address");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(Listen(on, done)) = command else { return };
                if !on {
                    listener = None;
                    connections.shutdown().await;
                } else if listener.is_none() {
                    listener = Some(listen(address).expect("the reserved port can be listened on"));
                }
                let _ = done.send(());
            }
            stream = accept(listener.as_ref()) => {
                connections.spawn(serve_connection(stream, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            None => std::future::pending().await,
            Some(listener) => {
                if let Ok((stream, _)) = listener.accept().await {
                    return stream;
                }
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let reset = Arc::new(AtomicBool::new(false));
    let service = {
        let reset = reset.clone();
        hyper::service::service_fn(move |request| respond(request, shared.clone(), reset.clone()))
    };
    let mut connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = Pin::new(&mut connection).await;
    if reset.load(Ordering::Relaxed) {
        let stream = connection.into_parts().io.into_inner();
        let _ = stream.set_zero_linger();
    }
}

/// Answers one request; an error ends the connection without an answer.
async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = parts.uri.path().to_owned();
    let index = shared.change(|state| {
        state.requests.push(Received {
            method: parts.method.to_string(),
            path: path.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
            body: body.clone(),
            status: None,
            text: String::new(),
        });
        state.requests.len() - 1
    });

    let is_push = PUSH_PATHS.contains(&path.as_str()) && parts.method == Method::POST;
    let is_read = read::PATHS.contains(&path.as_str());
    let misbehaviour = shared.change(|state| match (is_push, is_read) {
        (true, _) => state.answers.pop_front(),
        (_, true) => state.read_answers.pop_front(),
        _ => None,
    });
    let due = || shared.change(|state| due(state, &parts, &body));
    let mut retry_after = None;
    let outcome = match misbehaviour {
        None => due(),
        Some(Answer::Status(status, text)) => Err(Refusal::new(status, text)),
        Some(Answer::RetryAfter(status, value)) => {
            retry_after = Some(value);
            Err(Refusal::new(status, "slow down"))
        }
        Some(Answer::StoreThenStatus(status, text)) => {
            let _ = due();
            Err(Refusal::new(status, text))
        }
        Some(Answer::CloseBeforeAnswer) => {
            let _ = due();
            return Err(io::Error::other("closed before the answer, as told"));
        }
        Some(Answer::Reset) => {
            reset.store(true, Ordering::Relaxed);
            return Err(io::Error::other("reset, as told"));
        }
        Some(Answer::Stall(time)) => {
            tokio::time::sleep(time).await;
            due()
        }
    };

    let (status, text, json) = match outcome {
        Ok(json) if json.is_empty() => (204, String::new(), json),
        Ok(json) => (200, String::new(), json),
        Err(refusal) => (refusal.status, refusal.text, String::new()),
    };
    shared.change(|state| {
        state.requests[index].status = Some(status);
        state.requests[index].text.clone_from(&text);
    });
    response(status, text, json, retry_after)
}

/// Does what is due; returns the body of a good answer.
fn due(state: &mut State, parts: &Parts, body: &[u8]) -> Result<String, Refusal> {
    let path = parts.uri.path();
    let is_push = PUSH_PATHS.contains(&path);
    match path {
        _ if is_push && parts.method == Method::POST => {
            let tenant = tenant(&parts.headers, state.options.require_tenant)?;
            push::push(state, &tenant, &parts.headers, body).map(|()| String::new())
        }
        _ if is_push => Err(Refusal::new(405, "")),
        _ if read::PATHS.contains(&path) => {
            let tenant = tenant(&parts.headers, state.options.require_tenant)?;
            read::read(state, &tenant, parts)
        }
        "/ready" => Err(Refusal::new(200, "ready")),
        _ => Err(Refusal::new(404, "404 page not found")),
    }
}

/// An answer: words, or JSON.
fn response(
    status: u16,
    text: String,
    json: String,
    retry_after: Option<String>,
) -> io::Result<Response<Full<Bytes>>> {
    let mut response = Response::builder().status(StatusCode::from_u16(status).map_err(io::Error::other)?);
    if let Some(value) = retry_after {
        response = response.header(header::RETRY_AFTER, value);
    }
    if !json.is_empty() {
        response = response.header(header::CONTENT_TYPE, "application/json; charset=UTF-8");
        return response.body(Full::new(Bytes::from(json))).map_err(io::Error::other);
    }
    // Go's `http.Error` ends the text with a newline.
    let body = if text.is_empty() { String::new() } else { text + "\n" };
    if !body.is_empty() {
        response = response
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    }
    response.body(Full::new(Bytes::from(body))).map_err(io::Error::other)
}

/// The tenant a request names (dskit, `middleware/http_auth.go` and `tenant/tenant.go`).
fn tenant(headers: &hyper::HeaderMap, required: bool) -> Result<String, Refusal> {
    let name = headers.get("x-scope-orgid").and_then(|value| value.to_str().ok()).unwrap_or("");
    if name.is_empty() {
        return if required { Err(Refusal::new(401, "no org id")) } else { Ok(DEFAULT_TENANT.to_owned()) };
    }
    if let Some(c) = name.chars().find(|&c| !c.is_ascii_alphanumeric() && !"!-_.*'()".contains(c)) {
        let text = format!("tenant ID '{name}' contains unsupported character '{c}'");
        return Err(Refusal::new(400, text));
    }
    if name.len() > limits::MAX_TENANT {
        let text = format!("tenant ID is too long: max {} characters", limits::MAX_TENANT);
        return Err(Refusal::new(400, text));
    }
    if matches!(name, "." | "..") {
        return Err(Refusal::new(400, "tenant ID is '.' or '..'"));
    }
    Ok(name.to_owned())
}
