//! The read API over the agent's own socket and port: who may ask, what logcli asks, and what a hostile client can do, while
//! entries go on to Loki.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::agent::{Agent, PATIENCE, program};
use crate::support::alertmanager::free_port;
use crate::support::fixtures::{ExportEntry, Format, build_journal, build_journal_from_export, gunzip};
use crate::support::journald::wait_until;
use crate::support::loki::Loki;
use crate::support::{Unavailable, or_skip};

/// The password that logcli sent when its requests were recorded.
pub(crate) const TOKEN: &str = "p";
/// Entries of the recorded journal.
const RECORDED: usize = 4719;
/// A whole minute of them and more: `start` and `end` of a request.
const SPAN: &str = "start=1795240800000000000&end=1795248000000000000";

fn oracle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle").join(name)
}

/// An agent that ships a journal to a double, and answers queries of it.
pub(crate) struct Asked {
    pub(crate) agent: Agent,
    loki: Loki,
    journal: tempfile::TempDir,
    pub(crate) port: u16,
    /// Entries that are in the journal.
    entries: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Asked {
    /// The journal that was recorded; `more` are further lines of the section `query:`.
    pub(crate) fn start(more: &str) -> Result<Asked, Unavailable> {
        Asked::of(RECORDED, None, more, |path| {
            build_journal_from_export(path, &gunzip(&oracle("journal.export.gz")), Format::default())
        })
    }

    /// A journal with these entries.
    pub(crate) fn over(entries: &[ExportEntry], more: &str) -> Result<Asked, Unavailable> {
        Asked::of(entries.len(), None, more, |path| build_journal(path, entries, Format::default()))
    }

    /// A journal with one entry of the host `h`. The address asks for what `access` says, lines of the section `query:`.
    pub(crate) fn guarded(access: &str) -> Result<Asked, Unavailable> {
        let now = jiff::Timestamp::now().as_microsecond() as u64;
        let entry = ExportEntry::new(now).message("secret").field("_SYSTEMD_UNIT", "a.service");
        Asked::of(1, Some(access), "", |path| build_journal(path, &[entry], Format::default()))
    }

    /// A journal with these entries, on an address that asks for nothing.
    pub(crate) fn open(entries: &[ExportEntry]) -> Result<Asked, Unavailable> {
        let access = Some("unauthenticated: true");
        Asked::of(entries.len(), access, "", |path| build_journal(path, entries, Format::default()))
    }

    fn of(
        entries: usize,
        access: Option<&str>,
        more: &str,
        build: impl FnOnce(&Path) -> Result<(), Unavailable>,
    ) -> Result<Asked, Unavailable> {
        let journal = tempfile::tempdir().unwrap();
        build(&journal.path().join("a.journal"))?;
        let loki = Loki::builder().ignore_age(true).start();
        let (port, token) = (free_port(), journal.path().join("token"));
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        // The labels under which the requests were recorded.
        let labels = "labels: {fields: {unit: [_SYSTEMD_USER_UNIT, _SYSTEMD_UNIT], level: PRIORITY}}";
        let access = access.map_or_else(|| format!("token_file: {token:?}"), str::to_owned);
        let query = format!("query:\n  listen: 127.0.0.1:{port}\n  {access}\n  {more}\n");
        let agent = Agent::new(journal.path(), &loki.url(), &format!("{labels}\n{query}"));
        let socket = agent.home.path().join("query.sock");
        let config = std::fs::read_to_string(agent.config()).unwrap();
        std::fs::write(agent.config(), format!("{config}  socket: {socket:?}\n")).unwrap();
        let mut asked = Asked { agent, loki, journal, port, entries };
        asked.agent.start();
        wait_until("the API answers", || UnixStream::connect(asked.socket()).is_ok());
        Ok(asked)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.agent.home.path().join("query.sock")
    }

    pub(crate) fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Asks over the socket.
    pub(crate) fn get(&self, target: &str) -> Reply {
        exchange(self.unix(), "GET", target, "", b"")
    }

    /// Asks over the socket with a form.
    pub(crate) fn post(&self, path: &str, form: &[u8]) -> Reply {
        exchange(self.unix(), "POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    /// Fails unless entries that are written now arrive at Loki, and memory is below a bound (KiB).
    pub(crate) fn assert_ships(&mut self, bound: u64) {
        let now = jiff::Timestamp::now().as_microsecond() as u64;
        let entry = |n: u64| ExportEntry::new(now + n).message(format!("later {n}")).field("_HOSTNAME", "h");
        let entries: Vec<_> = (0..20).map(entry).collect();
        let path = self.journal.path().join(format!("later{}.journal", self.entries));
        build_journal(&path, &entries, Format::default()).unwrap();
        self.entries += entries.len();
        let arrived = self.loki.wait_for(|state| state.stored().len() >= self.entries, PATIENCE);
        arrived.unwrap_or_else(|why| panic!("{why}\n{}", self.agent.log()));
        let peak = self.agent.peak_kib();
        assert!(peak <= bound, "{peak} KiB of memory, not at most {bound}");
        assert!(!self.agent.log().contains("panicked"), "{}", self.agent.log());
    }
}

/// Sends a request by hand, and reads the reply to its end. A connection that is closed while the request is written has a
/// reply, too, if the server sent one before.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Reply {
    let host = if headers.to_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
    let head = format!(
        "{method} {target} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let written = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        panic!("{method} {}: {written:?} {read:?} {text}", target.chars().take(100).collect::<String>());
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Reply { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// A text as a part of an address.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Whether an answer has the shape that its path has in Loki.
fn has_shape(path: &str, answer: &Value) -> bool {
    let data = &answer["data"];
    match path {
        "index/stats" => ["streams", "chunks", "bytes", "entries"].iter().all(|name| answer[name].is_u64()),
        // Where there is none, there is neither.
        "detected_fields" => {
            answer.as_object().is_some_and(serde_json::Map::is_empty)
                || (answer["fields"].is_array() && answer["limit"].is_u64())
        }
        _ if answer["status"] != "success" => false,
        // Without an entry in the span there is no list.
        "labels" | "label/unit/values" => data.is_null() || data[0].is_string(),
        "series" => data.as_array().is_some_and(|all| all.iter().all(|one| one["job"].is_string())),
        _ => {
            let all = data["result"].as_array();
            let row = |row: &Value| {
                let pair = |pair: &Value| pair[1].is_string();
                let values = row["values"].as_array().is_some_and(|values| values.iter().all(pair));
                match data["resultType"].as_str() {
                    Some("streams") => row["stream"].is_object() && values,
                    Some("matrix") => row["metric"].is_object() && values,
                    Some("vector") => row["metric"].is_object() && pair(&row["value"]),
                    _ => false,
                }
            };
            all.is_some_and(|all| all.iter().all(row))
        }
    }
}

#[test]
fn logclis_requests_are_answered() {
    let asked = or_skip!(Asked::start(""));
    let requests: Value =
        serde_json::from_slice(&std::fs::read(oracle("logcli_requests.json")).unwrap()).unwrap();
    let mut answered = 0;
    for request in requests.as_array().unwrap() {
        let target = request["target"].as_str().unwrap();
        let path = target.strip_prefix("/loki/api/v1/").unwrap().split('?').next().unwrap();
        // A web socket: query_tail has it.
        if path == "tail" {
            continue;
        }
        let headers: String = request["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap()))
            .collect();
        let basic = "Authorization: Basic dTpw\r\n";
        let with_token = if headers.contains(basic) { headers.clone() } else { format!("{headers}{basic}") };
        let method = request["method"].as_str().unwrap();
        // No unit is called `a` in this journal.
        let known = target.replace("%22a%22", "%22haproxy.service%22");
        let replies = [
            exchange(asked.unix(), method, target, &headers, b""),
            exchange(asked.tcp(), method, target, &with_token, b""),
            exchange(asked.unix(), method, &known, &headers, b""),
        ];
        if known != target && known.contains("start=1795240800000000000") {
            assert!(replies[2].body.len() > replies[0].body.len(), "{known}: {}", replies[2].body);
        }
        for reply in replies {
            assert_eq!(reply.status, 200, "{target}: {reply:?}");
            assert!(reply.head.contains("content-type: application/json"), "{}", reply.head);
            assert!(has_shape(path, &reply.json()), "{target}: {}", reply.body);
        }
        answered += 1;
    }
    assert_eq!(answered, 14);
}

#[test]
fn only_those_who_may_ask_are_answered() {
    let asked = or_skip!(Asked::start("hosts: [logs.example.org]"));
    let target = "/loki/api/v1/labels";
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for (headers, status) in [
        ("".to_owned(), 401),
        ("Authorization: Bearer x\r\n".to_owned(), 401),
        ("Authorization: Bearer pp\r\n".to_owned(), 401),
        ("Authorization: Bearer \r\n".to_owned(), 401),
        ("Authorization: Basic dTpx\r\n".to_owned(), 401),
        (bearer.clone(), 200),
        ("Authorization: Basic dTpw\r\n".to_owned(), 200),
        (format!("{bearer}Host: evil.example\r\n"), 421),
        (format!("{bearer}Host: localhost.evil.example\r\n"), 421),
        (format!("{bearer}Host: logs.example.org:80\r\n"), 200),
        (format!("{bearer}Host: 127.0.0.1:{}\r\n", asked.port), 200),
        (format!("{bearer}Origin: https://evil.example\r\n"), 403),
        (format!("{bearer}Origin: null\r\n"), 403),
        (format!("{bearer}Origin: http://203.0.113.5\r\n"), 403),
        (format!("{bearer}Origin: https://logs.example.org\r\n"), 200),
        // The name counts before the token: a page learns nothing of either.
        ("Host: evil.example\r\n".to_owned(), 421),
    ] {
        let reply = exchange(asked.tcp(), "GET", target, &headers, b"");
        assert_eq!(reply.status, status, "{headers:?}: {reply:?}");
        assert!(!reply.head.contains("access-control-"), "{}", reply.head);
        assert!(status == 200 || !reply.body.contains("unit"), "{}", reply.body);
    }
    // What browsers say of themselves.
    for (headers, page, api) in [
        ("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n", 200, 200),
        ("Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n", 200, 200),
        ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", 200, 403),
        ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", 403, 403),
        ("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: websocket\r\n", 403, 403),
        ("Origin: http://localhost:3000\r\n", 403, 403),
        ("Host: evil.example:9195\r\n", 421, 421),
        ("Host: 127.0.0.1:9195\r\nOrigin: http://127.0.0.1:9195\r\n", 200, 200),
    ] {
        // Through a port that ssh forwards, the socket is asked by browsers, too.
        for (target, status) in [("/", page), (target, api)] {
            let replies = [
                exchange(asked.unix(), "GET", target, headers, b""),
                exchange(asked.tcp(), "GET", target, &format!("{bearer}{headers}"), b""),
            ];
            for reply in replies {
                assert_eq!(reply.status, status, "{target} {headers:?}: {reply:?}");
            }
        }
    }
    // A browser asks for a name and a password, before it has anything of the page.
    for target in ["/", "/explorer/explorer.js", target] {
        let reply = exchange(asked.tcp(), "GET", target, "", b"");
        assert_eq!(reply.status, 401, "{reply:?}");
        assert!(reply.head.contains("www-authenticate: basic realm="), "{}", reply.head);
    }
    // Whoever may open the socket needs no token, whatever the host is called.
    let odd = exchange(asked.unix(), "GET", target, "Host: whatever\r\nX-Scope-OrgID: nobody\r\n", b"");
    assert_eq!(odd.status, 200, "{odd:?}");
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE"] {
        let reply = exchange(asked.unix(), method, target, "", b"");
        assert_eq!(reply.status, 405, "{method}: {reply:?}");
        assert!(!reply.head.contains("access-control-"), "{}", reply.head);
    }
    // Who is refused keeps no connection.
    let (mut stream, begun) = (asked.tcp(), std::time::Instant::now());
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 401"), "{text}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    let data = std::fs::symlink_metadata(asked.socket()).unwrap();
    assert!(data.file_type().is_socket());
    assert_eq!(data.permissions().mode() & 0o7777, 0o660);
}

#[test]
fn the_explorer_may_do_nothing_but_ask() {
    let asked = or_skip!(Asked::start(""));
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/explorer/explorer.js", "text/javascript; charset=utf-8"),
        ("/explorer/explorer.css", "text/css; charset=utf-8"),
        ("/explorer/icon.svg", "image/svg+xml"),
    ] {
        let reply = asked.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.head);
        for header in [
            &format!("content-type: {kind}\r\n"),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
            "cross-origin-opener-policy: same-origin\r\n",
            "cross-origin-resource-policy: same-origin\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(reply.head.contains(header), "{path}: no {header} in {}", reply.head);
        }
        let head = exchange(asked.unix(), "HEAD", path, "", b"");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
    // Nothing of elsewhere, and no other way to ask.
    assert!(!asked.get("/").body.contains("http"), "{}", asked.get("/").body);
    assert_eq!(exchange(asked.unix(), "POST", "/", "", b"").status, 404);
    assert_eq!(asked.get("/explorer/").status, 404);
    // A log line may be in an answer: no copy of it stays in a browser.
    assert!(asked.get("/loki/api/v1/labels").head.contains("cache-control: no-store\r\n"));
}

#[test]
fn forms_are_answered_as_gets() {
    let asked = or_skip!(Asked::start(""));
    let path = "/loki/api/v1/query_range";
    let query = format!("query={}&limit=5&{SPAN}", escaped("{unit=\"haproxy.service\"}"));
    let got = asked.get(&format!("{path}?{query}"));
    let streams = got.json()["data"]["result"].as_array().unwrap().clone();
    let count: usize = streams.iter().map(|stream| stream["values"].as_array().unwrap().len()).sum();
    assert_eq!(count, 5, "{got:?}");
    let posted = asked.post(path, query.as_bytes());
    assert_eq!((posted.status, &posted.json()["data"]["result"]), (200, &got.json()["data"]["result"]));
    // Both together, as Grafana does.
    let both = asked.post(&format!("{path}?{SPAN}&limit=5"), query.split('&').next().unwrap().as_bytes());
    assert_eq!((both.status, &both.json()["data"]["result"]), (200, &got.json()["data"]["result"]));
    // What Go cannot read is refused, in a form too.
    for refused in [asked.get(&format!("{path}?query=%zz")), asked.post(path, b"query=%zz")] {
        assert_eq!((refused.status, refused.body.as_str()), (400, "invalid URL escape \"%zz\""));
    }
    assert_eq!(asked.get("/loki/api/v1/rules").body, "no rule groups found\n");
    // Several requests of one connection.
    let mut stream = asked.unix();
    for _ in 0..3 {
        write!(stream, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\nready\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.extend(byte);
        }
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_refused() {
    let mut asked = or_skip!(Asked::start(""));
    // The agent dies, and leaves its socket.
    asked.agent.end(Signal::KILL);
    assert!(UnixStream::connect(asked.socket()).is_err() && asked.socket().exists());
    asked.agent.start();
    wait_until("the API answers", || UnixStream::connect(asked.socket()).is_ok());
    assert_eq!(asked.get("/ready").status, 200);

    // Another agent does not take it.
    let other = tempfile::tempdir().unwrap();
    let config = other.path().join("config.yaml");
    let text = std::fs::read_to_string(asked.agent.config()).unwrap();
    let state = asked.agent.home.path().join("state");
    let text = text.replace(&format!("{state:?}"), &format!("{:?}", other.path().join("state")));
    let text = text.replace(&format!("127.0.0.1:{}", asked.port), &format!("127.0.0.1:{}", free_port()));
    std::fs::write(&config, text).unwrap();
    let out = program(&["--config", config.to_str().unwrap()]).output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("query.socket") && stderr.contains("another process listens on it"), "{stderr}");
    assert_eq!(asked.get("/ready").status, 200);

    // A good end takes the socket along.
    asked.agent.stop();
    assert!(!asked.socket().exists());
    // What is not a socket stays.
    std::fs::write(asked.socket(), "mine").unwrap();
    asked.agent.start();
    wait_until("the agent refuses", || asked.agent.log().contains("cannot make the socket"));
    assert_eq!(std::fs::read_to_string(asked.socket()).unwrap(), "mine");
    std::fs::remove_file(asked.socket()).unwrap();
    drop(UnixListener::bind(asked.socket()).unwrap());
}
