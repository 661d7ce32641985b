//! Live tail over a web socket (RFC 6455), as Loki's `/loki/api/v1/tail` (grafana/loki, `pkg/querier/tail`): each frame has the
//! lines that have come, each a stream of its own. A reader that is too slow is told of the lines that it missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::answer::Line;
use super::api::tail::Tail;
use super::live;
use super::response::{self, Row};
use super::source::Source;
use super::{Limits, Run};
use logql::label_set::LabelSet;

/// The path of live tail.
pub(super) const PATH: &str = "/loki/api/v1/tail";
/// Frames that may wait for a slow reader (count).
const FRAMES_MAX: usize = 16;
/// Most lines of a frame (count).
const LINES_MAX: usize = 500;
/// Lines that were missed and are named in a frame (count), as in Loki (`maxDroppedEntriesPerTailResponse`); more are only missed.
const MISSED_MAX: usize = 1000;
/// The header with a client's key, and the one with its answer.
const KEY: &str = "sec-websocket-key";
const ACCEPT: &str = "sec-websocket-accept";

/// The key of a request that asks for a web socket.
pub(super) fn key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is = headers.get(UPGRADE)?.to_str().ok()?.eq_ignore_ascii_case("websocket");
    headers.get(KEY).filter(|_| is).cloned()
}

/// Turns a connection into a web socket, and begins to tail. The place is held as long as that goes on. It ends when the server
/// of `open` does, with no close frame: Grafana connects again then, to the new configuration, and gives up at a close frame
/// (grafana/grafana, `loki/live_streams.ts`: code 1006 alone is tried again).
pub(super) fn begin(
    mut request: Request<Incoming>,
    key: &HeaderValue,
    (tail, limits): (Tail, Limits),
    source: Source,
    (place, mut open): (OwnedSemaphorePermit, watch::Receiver<()>),
) -> Response<()> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        tokio::select! {
            () = serve(socket, tail, limits, source) => {}
            _ = open.changed() => {}
        }
        drop(place);
    });
    let mut response = Response::new(());
    *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(ACCEPT, accept);
    }
    response
}

/// Ends a tail when it goes.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

async fn serve(
    socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
    tail: Tail,
    limits: Limits,
    source: Source,
) {
    let (mut writer, mut reader) = socket.split();
    let stop = Arc::new(AtomicBool::new(false));
    let _gone = Gone(stop.clone());
    let (sender, mut frames) = mpsc::channel::<String>(FRAMES_MAX);
    let thread = std::thread::Builder::new()
        .name("tail".to_owned())
        .spawn(move || run(&tail, limits, &source, &stop, &sender));
    if let Err(error) = thread {
        log::warn!("a live tail cannot start: no thread can be started: {error}");
        return;
    }
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Some(frame) = frame else { break };
                if writer.send(Message::text(frame)).await.is_err() {
                    break;
                }
            }
            // Pings are answered by the library while this reads.
            heard = reader.next() => match heard {
                Some(Ok(message)) if !message.is_close() => {}
                _ => break,
            },
        }
    }
    let _ = writer.close().await;
}

/// Reads on until `stop` is set.
fn run(tail: &Tail, limits: Limits, source: &Source, stop: &AtomicBool, frames: &mpsc::Sender<String>) {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), super::serve::NICE);
    let mut run = Run { stop, deadline: None, limits, bytes_read: 0, progress: &mut |_| {} };
    let mut missed: Vec<Missed> = Vec::new();
    let span = (tail.start, tail.now);
    let ended = live::tail(&tail.query, span, tail.limit, &source.journal(), &mut run, &mut |lines| {
        for lines in lines.chunks(LINES_MAX) {
            match frames.try_send(frame(lines, &missed, &tail.flags)) {
                Ok(()) => missed.clear(),
                Err(mpsc::error::TrySendError::Closed(_)) => stop.store(true, Relaxed),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let room = MISSED_MAX.saturating_sub(missed.len());
                    missed.extend(lines.iter().take(room).map(|line| Missed {
                        timestamp: line.time.to_string(),
                        labels: response::labels(&labels(line, response::categorizes(&tail.flags))),
                    }));
                }
            }
        }
        Ok(())
    });
    if let Err(error) = ended {
        // A client has asked for too much, or the journal cannot be read, which shipping says, too.
        log::debug!("a live tail has ended: {error}");
    }
}

/// A line that a reader has missed.
#[derive(Serialize)]
struct Missed {
    timestamp: String,
    labels: Value,
}

/// A frame of lines, and of those that were missed before them (grafana/loki, `pkg/util/marshal/query.go`, `EncodeTailResult`).
#[derive(Serialize)]
struct Frame<'a> {
    streams: Streams<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dropped_entries: &'a [Missed],
    #[serde(rename = "encodingFlags", skip_serializing_if = "<[_]>::is_empty")]
    flags: &'a [String],
}

/// Lines, each a stream of its own, and whether labels that are not of a stream stand beside them.
struct Streams<'a>(&'a [Line], bool);

impl Serialize for Streams<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|line| Stream(line, self.1)))
    }
}

/// A line and its stream.
struct Stream<'a>(&'a Line, bool);

impl Serialize for Stream<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("stream", &response::labels(&labels(self.0, self.1)))?;
        map.serialize_entry("values", &[Row(self.0, self.1)])?;
        map.end()
    }
}

fn labels(line: &Line, categorize: bool) -> LabelSet {
    if categorize { line.labels.stream.clone() } else { line.labels.all() }
}

/// The text of a frame.
fn frame(lines: &[Line], missed: &[Missed], flags: &[String]) -> String {
    let streams = Streams(lines, response::categorizes(flags));
    serde_json::to_string(&Frame { streams, dropped_entries: missed, flags }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::pipeline::Categories;

    /// The flags come last in a frame, other than in an answer.
    #[test]
    fn the_keys_of_a_frame_stand_as_in_loki() {
        let set = |name: &str| {
            let mut set = LabelSet::default();
            set.insert(name, b"x");
            set
        };
        let labels = Categories { stream: set("a"), metadata: set("m"), parsed: set("p") };
        let lines = [Line { time: 1, text: "t".to_owned(), labels }];
        let missed = [Missed { timestamp: "2".to_owned(), labels: Value::Null }];
        let told = |missed: &[Missed], flags: &[&str]| {
            frame(&lines, missed, &flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            told(&missed, &["categorize-labels"]),
            r#"{"streams":[{"stream":{"a":"x"},"values":[["1","t",{"structuredMetadata":{"m":"x"},"parsed":{"p":"x"}}]]}],"#
                .to_owned()
                + r#""dropped_entries":[{"timestamp":"2","labels":null}],"encodingFlags":["categorize-labels"]}"#
        );
        assert_eq!(
            told(&[], &[]),
            r#"{"streams":[{"stream":{"a":"x","m":"x","p":"x"},"values":[["1","t"]]}]}"#
        );
    }
}
