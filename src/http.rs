//! The HTTP listener: what Prometheus scrapes, and whether the process lives.
//!
//! It runs on the thread that waits on the network. It serves whoever can connect, so it listens on the loopback
//! interface unless told otherwise, gives away numbers only, and is bounded in time and connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Registry;

/// Connections at a time (count): Prometheus needs one.
const CONNECTIONS_MAX: usize = 32;
/// Longest time that a request's head may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Longest that a connection lives.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// Pause after a connection could not be taken (no descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Opens the port.
///
/// # Errors
/// When the system refuses it: the port is taken, or the address is not this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers requests for ever.
pub async fn serve(listener: TcpListener, metrics: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::debug!("a connection to http.listen failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever hangs up has what was wanted.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Registry) -> Response<Full<Bytes>> {
    const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    let reply = |status: StatusCode, kind: HeaderValue, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is served here\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
            reply(StatusCode::OK, METRICS, metrics.text(now))
        }
        "/healthz" => reply(StatusCode::OK, TEXT, "ok\n".into()),
        _ => reply(StatusCode::NOT_FOUND, TEXT, "there are /metrics and /healthz\n".into()),
    }
}
