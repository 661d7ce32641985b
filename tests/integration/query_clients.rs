//! What clients of Loki send beside queries, and what they read beside answers: methods, forms, long addresses and
//! the handshake of a live tail. What Loki says was read in its source and in that of what it is built with (gorilla/mux,
//! gorilla/websocket, Go's net/http).

use std::io::{Read, Write};

use crate::query_api::{Asked, Reply, exchange};
use crate::support::or_skip;

const LABELS: &str = "/loki/api/v1/labels";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
/// A query that has an answer without a journal.
const TWO: &str = "query=vector(1)%2Bvector(1)";

fn posted(asked: &Asked, target: &str, headers: &str, body: &[u8]) -> Reply {
    exchange(asked.unix(), "POST", target, headers, body)
}

#[test]
fn a_body_is_a_form_where_its_type_says_so() {
    let asked = or_skip!(Asked::start(""));
    let path = "/loki/api/v1/query";
    let json = br#"{"a":"100%", "query": "x;y"}"#;
    let parts = b"--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nzzz\r\n--x--\r\n";
    for (headers, body) in [
        ("Content-Type: application/json\r\n", &json[..]),
        ("Content-Type: multipart/form-data; boundary=x\r\n", parts),
        ("Content-Type: text/plain\r\n", b"query=zzz&time=zzz"),
        ("", b"query=zzz&time=zzz"),
    ] {
        let reply = posted(&asked, &format!("{path}?{TWO}"), headers, body);
        assert_eq!(reply.status, 200, "{headers:?}: {reply:?}");
        assert_eq!(reply.json()["data"]["result"][0]["value"][1], "2", "{reply:?}");
        let reply = posted(&asked, path, headers, TWO.as_bytes());
        assert_eq!(reply.status, 400, "{headers:?}: {reply:?}");
    }
    for headers in [
        FORM,
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n",
        "Content-Type: Application/X-WWW-Form-Urlencoded\r\n",
    ] {
        let reply = posted(&asked, path, headers, TWO.as_bytes());
        assert_eq!(reply.status, 200, "{headers:?}: {reply:?}");
    }
}

#[test]
fn heads_are_refused_where_something_is_asked() {
    let asked = or_skip!(Asked::start(""));
    for (path, status) in [
        ("/loki/api/v1/query", 405),
        ("/loki/api/v1/query_range", 405),
        ("/loki/api/v1/labels", 405),
        ("/loki/api/v1/label/unit/values", 405),
        ("/loki/api/v1/detected_field/x/values", 405),
        ("/loki/api/v1/index/stats", 405),
        ("/loki/api/v1/tail", 405),
        ("/loki/api/v1/rules", 405),
        ("/prometheus/api/v1/rules", 405),
        ("/ready", 405),
        ("/loki/api/v1/nosuch", 404),
        ("/loki/api/v1/label//values", 404),
        ("/", 200),
    ] {
        let reply = exchange(asked.unix(), "HEAD", &format!("{path}?{TWO}"), "", b"");
        assert_eq!((reply.status, reply.body.as_str()), (status, ""), "{path}: {reply:?}");
    }
}

/// A client that writes rules must not believe that it has.
#[test]
fn rules_cannot_be_written() {
    let asked = or_skip!(Asked::start(""));
    let rule = b"name: new\nrules: [{alert: X, expr: vector(1)}]\n";
    for path in ["/loki/api/v1/rules", "/loki/api/v1/rules/journal-ship", "/loki/api/v1/rules/a/b"] {
        let reply = posted(&asked, path, "Content-Type: application/yaml\r\n", rule);
        assert_eq!(reply.status, 405, "{path}: {reply:?}");
        assert_eq!(reply.body, "rules come from the agent's files, and cannot be changed here\n");
    }
}

#[test]
fn what_is_too_long_is_told_in_words() {
    let asked = or_skip!(Asked::start(""));
    let get = |length: usize| {
        let before = format!("{LABELS}?start=1795240800&end=1795240801&x=");
        exchange(asked.unix(), "GET", &format!("{before}{}", "x".repeat(length - before.len())), "", b"")
    };
    assert_eq!(get(65_534).status, 200);
    let refused = get(65_535);
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (414, "the address is longer than 65534 bytes: send the parameters by POST, in a form\n")
    );
    assert!(refused.head.contains("content-type: text/plain; charset=utf-8\r\n"), "{}", refused.head);
    let header = format!("X: {}\r\n", "x".repeat(1 << 20));
    let refused = exchange(asked.unix(), "GET", LABELS, &header, b"");
    assert_eq!(refused.status, 431, "{refused:?}");
    assert!(refused.body.starts_with("the headers of the request are too long"), "{refused:?}");
}

/// A web socket's handshake, but for what is left out or added.
fn handshake(asked: &Asked, method: &str, parameters: &str, headers: &str) -> (u16, String, String) {
    let mut stream = asked.unix();
    let head = format!(
        "{method} /loki/api/v1/tail?{parameters} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    let head = String::from_utf8(bytes).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    (status, head, String::from_utf8(body).unwrap())
}

#[test]
fn a_handshake_is_refused_as_lokis_library_refuses_it() {
    let asked = or_skip!(Asked::start(""));
    let good = "query=%7Ba%3D%22b%22%7D";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (connection, upgrade, version) =
        ("Connection: keep-alive, Upgrade\r\n", "Upgrade: websocket\r\n", "Sec-WebSocket-Version: 13\r\n");
    let all = format!("{connection}{upgrade}{version}{key}");
    for (method, headers, status, body) in [
        ("GET", String::new(), 400, "Bad Request\n"),
        ("GET", format!("{upgrade}{version}{key}"), 400, "Bad Request\n"),
        ("GET", format!("{connection}{version}{key}"), 426, "Upgrade Required\n"),
        ("GET", format!("{connection}Upgrade: h2c\r\n{version}{key}"), 426, "Upgrade Required\n"),
        ("POST", all.clone(), 405, "Method Not Allowed\n"),
        ("GET", format!("{connection}{upgrade}{key}"), 400, "Bad Request\n"),
        ("GET", format!("{connection}{upgrade}Sec-WebSocket-Version: 8\r\n{key}"), 400, "Bad Request\n"),
        ("GET", format!("{connection}{upgrade}{version}"), 400, "Bad Request\n"),
        (
            "GET",
            format!("{connection}{upgrade}{version}Sec-WebSocket-Key: c2hvcnQ=\r\n"),
            400,
            "Bad Request\n",
        ),
        ("GET", all.clone(), 101, ""),
        ("GET", all.replace("Upgrade: websocket", "Upgrade: h2c, WebSocket"), 101, ""),
    ] {
        let reply = handshake(&asked, method, good, &headers);
        assert_eq!((reply.0, reply.2.as_str()), (status, body), "{method} {headers:?}: {}", reply.1);
        if status != 101 {
            assert!(reply.1.contains("sec-websocket-version: 13\r\n"), "{headers:?}: {}", reply.1);
            assert!(reply.1.contains("content-type: text/plain; charset=utf-8\r\n"), "{}", reply.1);
        }
        assert_eq!(
            status == 426,
            reply.1.contains("\r\nupgrade: websocket\r\n") && status != 101,
            "{}",
            reply.1
        );
    }
    // A query that cannot be comes first.
    let reply = handshake(&asked, "GET", "query=%7B", "");
    assert_eq!(reply.0, 400);
    assert!(reply.2.starts_with("parse error at line 1, col 2: "), "{}", reply.2);
    assert!(!reply.1.contains("sec-websocket-version"), "{}", reply.1);
}
