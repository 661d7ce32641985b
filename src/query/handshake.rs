//! The handshake of a web socket (RFC 6455, 4.2), checked as Loki's library does it and refused in its words
//! (github.com/gorilla/websocket, `server.go`, `Upgrader.Upgrade`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::{Method, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The one version of the protocol, and its header.
const VERSION: &str = "13";
const VERSION_HEADER: HeaderName = HeaderName::from_static("sec-websocket-version");
/// The header with a client's key, and the one with its answer.
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
/// Length of a key (bytes; RFC 6455, 4.1).
const KEY_LENGTH: usize = 16;
/// The protocol that a connection changes to.
const PROTOCOL: &str = "websocket";

/// The headers of the answer to a handshake.
///
/// # Errors
/// The status and the headers of an answer that refuses it.
pub(super) fn check(method: &Method, headers: &HeaderMap) -> Result<HeaderMap, (StatusCode, HeaderMap)> {
    let refuse = |status, more: &[(HeaderName, &'static str)]| {
        let version = (VERSION_HEADER, VERSION);
        let all = more.iter().chain([&version]);
        Err((status, all.map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()))
    };
    if !lists(headers, &CONNECTION, "upgrade") {
        return refuse(StatusCode::BAD_REQUEST, &[]);
    }
    if !lists(headers, &UPGRADE, PROTOCOL) {
        return refuse(StatusCode::UPGRADE_REQUIRED, &[(UPGRADE, PROTOCOL)]);
    }
    if method != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, &[]);
    }
    if !lists(headers, &VERSION_HEADER, VERSION) {
        return refuse(StatusCode::BAD_REQUEST, &[]);
    }
    let key = headers.get(KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let accept = HeaderValue::from_str(&derive_accept_key(key));
    match (STANDARD.decode(key), accept) {
        (Ok(bytes), Ok(accept)) if bytes.len() == KEY_LENGTH => Ok(HeaderMap::from_iter([
            (UPGRADE, HeaderValue::from_static(PROTOCOL)),
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (ACCEPT, accept),
        ])),
        _ => refuse(StatusCode::BAD_REQUEST, &[]),
    }
}

/// Whether a word is in one of the lists of a header.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}
