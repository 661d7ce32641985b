//! Live tail over the agent's socket: what comes is shown once, in the shape that a real Loki gave.

use std::collections::HashMap;
use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::query_api::escaped;
use crate::support::agent::{Agent, PATIENCE};
use crate::support::alertmanager::free_port;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::or_skip;

/// An agent that ships nothing and answers queries of this journal; and its socket.
fn answering(journal: &Path) -> (Agent, std::path::PathBuf) {
    let mut agent = Agent::new(journal, "http://127.0.0.1:1", "");
    let socket = agent.home.path().join("q.sock");
    let config = std::fs::read_to_string(agent.config()).unwrap();
    let (before, rest) = config.split_once("loki:").unwrap();
    let (_, after) = rest.split_once("state_directory").unwrap();
    let labels = "labels: {fields: {app: SYSLOG_IDENTIFIER}}\nstructured_metadata: {pid: NUMBER}\n";
    let config = format!("{before}loki: []\n{labels}query: {{socket: {socket:?}}}\nstate_directory{after}");
    std::fs::write(agent.config(), config).unwrap();
    agent.start();
    wait_until("the socket is there", || socket.exists());
    (agent, socket)
}

async fn tail(
    socket: &Path,
    parameters: &str,
    categorize: bool,
) -> Result<WebSocketStream<UnixStream>, Error> {
    tail_at("/loki/api/v1/tail", socket, parameters, categorize).await
}

async fn tail_at(
    path: &str,
    socket: &Path,
    parameters: &str,
    categorize: bool,
) -> Result<WebSocketStream<UnixStream>, Error> {
    let stream = UnixStream::connect(socket).await.unwrap();
    let mut request = format!("ws://host{path}?{parameters}").into_client_request()?;
    if categorize {
        request.headers_mut().insert("x-loki-response-encoding-flags", "categorize-labels".parse().unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
}

/// The next message that is no ping: these come every second.
async fn heard(socket: &mut WebSocketStream<UnixStream>) -> Option<Result<Message, Error>> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Ping(_))) => {}
                other => return other,
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("a message comes")
}

/// The streams of frames, until there are so many.
async fn streams(socket: &mut WebSocketStream<UnixStream>, count: usize) -> Vec<Value> {
    let mut streams = Vec::new();
    while streams.len() < count {
        let message = heard(socket).await;
        let Some(Ok(Message::Text(text))) = message else { panic!("{message:?} after {streams:?}") };
        let frame: Value = serde_json::from_str(&text).unwrap();
        streams.extend(frame["streams"].as_array().unwrap().iter().cloned());
    }
    streams
}

/// Without the times, which are of this moment.
fn without_times(streams: &[Value]) -> Vec<Value> {
    let one = |stream: &Value| {
        let values = stream["values"].as_array().unwrap();
        let values: Vec<_> = values.iter().map(|value| value.as_array().unwrap()[1..].to_vec()).collect();
        json!([stream["stream"], values])
    };
    streams.iter().map(one).collect()
}

#[tokio::test]
async fn lines_come_once_with_those_from_before_first() {
    let journald = or_skip!(Journald::start());
    let send = |app: &str, text: &str, more: &[(&str, &[u8])]| {
        let fields =
            [&[("MESSAGE", text.as_bytes()), ("SYSLOG_IDENTIFIER", app.as_bytes())][..], more].concat();
        journald.send_native(&fields);
    };
    let last = || String::from_utf8(journald.journalctl(&["-o", "cat", "-n", "1"])).unwrap();
    for text in ["before", "just before"] {
        send("a", text, &[]);
    }
    wait_until("the entries are there", || last().trim() == "just before");
    let (mut agent, socket) = answering(&journald.dir());

    let query = "query=%7Bapp%3D~%22a%7Cb%22%7D";
    let mut all = tail(&socket, &format!("{query}&limit=1"), false).await.unwrap();
    let mut filtered =
        tail(&socket, "query=%7Bapp%3D~%22.%2B%22%7D%20%7C%3D%20%22two%22%20%7C%20logfmt", true)
            .await
            .unwrap();
    assert_eq!(
        without_times(&streams(&mut all, 1).await),
        [json!([{"app": "a", "detected_level": "unknown", "job": "systemd-journal"}, [["just before"]]])]
    );
    send("a", "one", &[]);
    send("a", "two x=1", &[("NUMBER", b"7")]);
    send("c", "other", &[]);
    send("b", "level=error three", &[]);
    assert_eq!(
        without_times(&streams(&mut all, 3).await),
        [
            json!([{"app": "a", "detected_level": "unknown", "job": "systemd-journal"}, [["one"]]]),
            json!([{"app": "a", "detected_level": "unknown", "job": "systemd-journal", "pid": "7"}, [["two x=1"]]]),
            json!([{"app": "b", "detected_level": "error", "job": "systemd-journal"}, [["level=error three"]]]),
        ]
    );
    let beside =
        json!({"structuredMetadata": {"detected_level": "unknown", "pid": "7"}, "parsed": {"x": "1"}});
    assert_eq!(
        without_times(&streams(&mut filtered, 1).await),
        [json!([{"app": "a", "job": "systemd-journal"}, [["two x=1", beside]]])]
    );
    let mut old = tail_at("/api/prom/tail", &socket, &format!("{query}&limit=1"), true).await.unwrap();
    let first = streams(&mut old, 1).await;
    assert_eq!(
        first[0]["labels"], "{app=\"b\", detected_level=\"error\", job=\"systemd-journal\"}",
        "{first:?}"
    );
    assert_eq!(first[0]["entries"][0]["line"], "level=error three", "{first:?}");
    // What cannot be tailed is refused before anything changes.
    for (parameters, status, words) in [
        ("query=%7B", 400, "parse error"),
        ("query=%7Bapp%3D%22a%22%7D&delay_for=99", 400, "delay_for can't be greater than 5"),
        ("query=%7Bapp%3D%22a%22%7D&limit=0", 400, "limit must be a positive value"),
    ] {
        match tail(&socket, parameters, false).await {
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                assert_eq!(response.status(), status, "{parameters}");
                assert!(String::from_utf8_lossy(&body).contains(words), "{parameters}: {body:?}");
            }
            other => panic!("{parameters}: {other:?}"),
        }
    }
    agent.stop();
}

#[tokio::test]
async fn a_slow_reader_is_told_of_what_it_missed() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"first"), ("SYSLOG_IDENTIFIER", b"a")]);
    let (mut agent, socket) = answering(&journald.dir());
    let mut slow = tail(&socket, "query=%7Bapp%3D~%22.%2B%22%7D", false).await.unwrap();
    // Far more than what may wait, and nothing is read meanwhile.
    for seed in 1..=3 {
        journald.send(&Bulk::new(Transport::Native, 15_000, seed));
        journald.sync();
    }
    let (mut shown, mut missed) = (0, 0);
    while missed == 0 {
        let message = heard(&mut slow).await;
        let Some(Ok(Message::Text(text))) = message else {
            panic!("{shown} shown, {missed} missed: {message:?}")
        };
        let frame: Value = serde_json::from_str(&text).unwrap();
        shown += frame["streams"].as_array().unwrap().len();
        missed += frame["dropped_entries"].as_array().map_or(0, Vec::len);
        if let Some(one) = frame["dropped_entries"].get(0) {
            assert!(one["timestamp"].is_string() && one["labels"]["job"].is_string(), "{one}");
            assert!(missed <= 1000, "no more are named: {missed}");
        }
    }
    println!("{shown} shown, {missed} missed");
    agent.stop();
}

/// A tail ends with the configuration that it began with, and without a close frame: Grafana connects again then, and only then.
#[tokio::test]
async fn a_new_configuration_ends_the_tails_of_the_old_one() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"before"), ("SYSLOG_IDENTIFIER", b"a")]);
    journald.sync();
    let (mut agent, socket) = answering(&journald.dir());
    let (port, query) = (free_port(), "query=%7Bapp%3D%22a%22%7D");
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    for (round, (from, to)) in [
        (
            format!("socket: {socket:?}"),
            format!("socket: {socket:?}, listen: 127.0.0.1:{port}, unauthenticated: true"),
        ),
        ("app: SYSLOG".to_owned(), "round: MESSAGE, app: SYSLOG".to_owned()),
        // Nothing of what is asked or answered.
        ("loki: []".to_owned(), "loki: []\nlog_level: debug".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut old = tail(&socket, query, false).await.unwrap();
        let first = streams(&mut old, 1).await;
        assert_eq!(first[0]["stream"]["round"], if round < 2 { Value::Null } else { "before".into() });
        agent.reconfigure(&from, &to);
        agent.signal(Signal::HUP);
        let end = heard(&mut old).await;
        assert!(!matches!(end, Some(Ok(_))), "{end:?}");
        // Where it was, somebody answers again.
        wait_until("the new one answers", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        wait_until("its address, too", listens);
    }
    assert!(!agent.log().contains("no queries are answered"), "{}", agent.log());
    agent.stop();
}

/// What a real Loki sent to live tails (tests/data/oracle/tail.json), of four entries that were written after each connection.
#[tokio::test]
async fn tails_are_as_they_were_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/oracle/tail.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let journald = or_skip!(Journald::start());
    let write = || {
        for (app, text, more) in [
            ("a", "one", None),
            ("a", "two", Some("7")),
            ("a", "level=error three", None),
            ("b", "four", None),
        ] {
            let mut fields = vec![("MESSAGE", text.as_bytes()), ("SYSLOG_IDENTIFIER", app.as_bytes())];
            fields.extend(more.map(|pid| ("NUMBER", pid.as_bytes())));
            journald.send_native(&fields);
        }
        journald.sync();
    };
    // Loki had four entries before the first connection, too.
    write();
    let (mut agent, socket) = answering(&journald.dir());
    agent.reconfigure("{app: SYSLOG_IDENTIFIER}", "{u: SYSLOG_IDENTIFIER}");
    agent.reconfigure("labels: {", "labels: {static: {job: tail, service_name: tail}, ");
    // Not what journald says of itself.
    agent.reconfigure("journal: {", "journal: {match: [{_TRANSPORT: [journal]}], ");
    agent.signal(Signal::HUP);
    wait_until("the configuration is taken", || agent.log().contains("the new configuration is taken"));
    let cases = recorded.as_array().unwrap();
    let of_lines: Vec<_> = cases
        .iter()
        .filter(|case| case["frames"].as_array().is_some_and(|f| f[0]["streams"].is_array()))
        .collect();
    assert_eq!(of_lines.len(), 6);
    for case in of_lines {
        let name = case["name"].as_str().unwrap();
        let expected: Vec<Value> = case["frames"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|frame| frame["streams"].as_array().unwrap().clone())
            .collect();
        let now = jiff::Timestamp::now().as_nanosecond().to_string();
        let parameters: Vec<String> = case["params"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| {
                let value = if key == "start" { now.as_str() } else { value.as_str().unwrap() };
                format!("{key}={}", escaped(value))
            })
            .collect();
        let categorize = !case["headers"].as_array().unwrap().is_empty();
        let mut socket = tail(&socket, &parameters.join("&"), categorize).await.unwrap();
        // What was there before comes first; then it is live.
        let before = expected.len().saturating_sub(4);
        let mut got = if before > 0 { streams(&mut socket, before).await } else { Vec::new() };
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        let pong = heard(&mut socket).await;
        assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{name}: {pong:?}");
        write();
        got.extend(streams(&mut socket, 4).await);
        // On purpose: without a pipeline, Loki leaves structured metadata out of live lines, and here it is always there.
        let metadata: HashMap<&str, &[(&str, &str)]> = HashMap::from([
            ("one", &[("detected_level", "unknown")][..]),
            ("two", &[("detected_level", "unknown"), ("pid", "7")]),
            ("level=error three", &[("detected_level", "error")]),
            ("four", &[("detected_level", "unknown")]),
        ]);
        let mut expected = expected;
        for stream in expected.iter_mut().filter(|_| !categorize) {
            let text = stream["values"][0][1].as_str().unwrap().to_owned();
            for (label, value) in metadata[text.as_str()] {
                stream["stream"][*label] = (*value).into();
            }
        }
        assert_eq!(without_times(&got), without_times(&expected), "{name}");
    }
    agent.stop();
}

/// The last of the requests that a real logcli sent (tests/data/oracle/logcli_requests.json).
#[tokio::test]
async fn logclis_tail_is_answered() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/oracle/logcli_requests.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let request = recorded.as_array().unwrap().last().unwrap();
    let target = request["target"].as_str().unwrap();
    assert!(target.starts_with("/loki/api/v1/tail?"), "{target}");
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"before"), ("SYSLOG_IDENTIFIER", b"a")]);
    journald.sync();
    let (mut agent, socket) = answering(&journald.dir());
    agent.reconfigure("{app: SYSLOG_IDENTIFIER}", "{unit: SYSLOG_IDENTIFIER}");
    agent.signal(Signal::HUP);
    wait_until("the configuration is taken", || agent.log().contains("the new configuration is taken"));
    // As it was sent; what makes each connection its own, the client adds.
    let mut sent = format!("ws://host{target}").into_client_request().unwrap();
    let headers = request["headers"].as_object().unwrap();
    let of_a_socket =
        |name: &str| ["connection", "upgrade"].contains(&name) || name.starts_with("sec-websocket");
    for (name, value) in headers.iter().filter(|(name, _)| !of_a_socket(&name.to_lowercase())) {
        let name: http::HeaderName = name.parse().unwrap();
        sent.headers_mut().insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let stream = UnixStream::connect(&socket).await.unwrap();
    let (mut tail, answer) = tokio_tungstenite::client_async(sent, stream).await.unwrap();
    assert_eq!(answer.status(), 101);
    journald.send_native(&[("MESSAGE", b"after"), ("SYSLOG_IDENTIFIER", b"a")]);
    let lines: Vec<Value> =
        streams(&mut tail, 2).await.iter().map(|stream| stream["values"][0][1].clone()).collect();
    // It began an hour before it was recorded; that is in the future of no test.
    assert_eq!(lines, ["before", "after"]);
    agent.stop();
}

/// A host that was cut off sends its journal when it is back: what it brings is new, although it was written long ago.
#[tokio::test]
async fn lines_that_come_late_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.journal");
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap();
    let write = |lines: &[(u64, &str)]| {
        let entry = |(ago, text): &(u64, &str)| {
            let entry = ExportEntry::new(now - ago * 1_000_000).boot(7, 1_000_000_000 - ago * 1_000_000);
            entry.message(*text).field("SYSLOG_IDENTIFIER", "a")
        };
        build_journal(&path, &lines.iter().map(entry).collect::<Vec<_>>(), Format::default())
    };
    or_skip!(write(&[(300, "left out"), (200, "before"), (100, "just before")]));
    let (mut agent, socket) = answering(dir.path());
    let mut lines = tail(&socket, "query=%7Bapp%3D%22a%22%7D&limit=2", false).await.unwrap();
    let texts = |streams: Vec<Value>| -> Vec<Value> {
        streams
            .iter()
            .flat_map(|one| {
                one["values"].as_array().unwrap().iter().map(|v| v[1].clone()).collect::<Vec<_>>()
            })
            .collect()
    };
    assert_eq!(texts(streams(&mut lines, 2).await), ["before", "just before"]);
    // That it is live shows in an answer.
    lines.send(Message::Ping("are you there".into())).await.unwrap();
    let pong = heard(&mut lines).await;
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
    or_skip!(write(&[(90, "late"), (40, "a little late"), (0, "in time")]));
    assert_eq!(texts(streams(&mut lines, 3).await), ["late", "a little late", "in time"]);
    agent.stop();
}

/// Loki takes the handshake before it looks at more than the text of the query, and says in a close frame what is wrong then
/// (grafana/loki, `pkg/querier/tail`, `http.go` and `querier.go`; tests/data/oracle/tail.json, "metric query").
#[tokio::test]
async fn what_is_found_out_late_is_said_in_a_close_frame() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"before"), ("SYSLOG_IDENTIFIER", b"a")]);
    journald.sync();
    let (mut agent, socket) = answering(&journald.dir());
    agent.reconfigure("query: {socket:", "query: {limits: {span: 1d, entries: 200}, socket:");
    agent.signal(Signal::HUP);
    wait_until("the configuration is taken", || agent.log().contains("the new configuration is taken"));
    let closed = async |parameters: &str| {
        let mut socket = tail(&socket, parameters, false).await.unwrap();
        match heard(&mut socket).await {
            Some(Ok(Message::Close(Some(frame)))) => (u16::from(frame.code), frame.reason.to_string()),
            other => panic!("{parameters}: {other:?}"),
        }
    };
    let lines = "query=%7Bapp%3D%22a%22%7D";
    assert_eq!(
        closed("query=rate(%7Bapp%3D%22a%22%7D%5B1m%5D)").await,
        (1011, "only log selector is supported".to_owned())
    );
    let (code, reason) = closed(&format!("{lines}&start=1795240800")).await;
    assert_eq!(code, 1011);
    let words = "rpc error: code = Code(400) desc = the query time range exceeds the limit (query length: ";
    let bare = words.trim_start_matches("rpc error: code = Code(400) desc = ");
    assert!(reason.starts_with(words) || reason.starts_with(bare), "{reason}");
    assert!(reason.len() <= 123, "{reason}");
    // As many lines as one likes: Loki does not look at this limit here.
    let mut open = vec![tail(&socket, &format!("{lines}&limit=5001"), false).await.unwrap()];
    assert_eq!(streams(&mut open[0], 1).await.len(), 1);
    // Who is there is asked about it.
    let ping = tokio::time::timeout(PATIENCE, open[0].next()).await;
    assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_))))), "{ping:?}");
    while open.len() < 10 {
        open.push(tail(&socket, lines, false).await.unwrap());
    }
    let words = "rpc error: code = Code(400) desc = max concurrent tail requests limit exceeded, count > limit (11 > 10)";
    assert_eq!(closed(lines).await, (1011, words.to_owned()));
    // Which gives no place away, and takes none.
    assert_eq!(closed(lines).await, (1011, words.to_owned()));
    agent.stop();
}
