//! Live tail over the agent's socket: what comes is shown once, in the shape that a real Loki gave.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::agent::Agent;
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
    let stream = UnixStream::connect(socket).await.unwrap();
    let mut request = format!("ws://host/loki/api/v1/tail?{parameters}").into_client_request()?;
    if categorize {
        request.headers_mut().insert("x-loki-response-encoding-flags", "categorize-labels".parse().unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
}

/// The streams of frames, until there are so many.
async fn streams(socket: &mut WebSocketStream<UnixStream>, count: usize) -> Vec<Value> {
    let mut streams = Vec::new();
    while streams.len() < count {
        let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await;
        let Ok(Some(Ok(Message::Text(text)))) = message else { panic!("{message:?} after {streams:?}") };
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
    // What cannot be tailed is refused before anything changes.
    for (parameters, status, words) in [
        ("query=%7B", 400, "parse error"),
        ("query=rate(%7Bapp%3D%22a%22%7D%5B1m%5D)", 400, "can only tail log queries"),
        ("query=%7Bapp%3D%22a%22%7D&delay_for=99", 400, "delay_for can't be greater than 5"),
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
        let message = tokio::time::timeout(Duration::from_secs(30), slow.next()).await;
        let Ok(Some(Ok(Message::Text(text)))) = message else {
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
