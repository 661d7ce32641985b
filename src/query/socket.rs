//! Live tail over a web socket (RFC 6455), as Loki's `/loki/api/v1/tail` (grafana/loki, `pkg/querier/tail`): each frame has the
//! lines that have come, each a stream of its own. A reader that is too slow is told of the lines that it missed. One that has gone
//! without a word shows by its silence: it is asked every second whether it is there. Why a tail ends stands in its close frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::answer::Line;
use super::api::tail::Tail;
use super::legacy;
use super::live;
use super::logs::memory;
use super::response::{self, Row};
use super::source::Source;
use super::{Limits, QueryError, Run};
use logql::Query;
use logql::label_set::{LabelSet, cut};

/// Live tails at a time (count), as Loki's `max_concurrent_tail_requests`.
pub(super) const TAILS_MAX: usize = 10;
/// Frames that may wait for a slow reader (count).
const FRAMES_MAX: usize = 16;
/// Most lines of a frame (count).
const LINES_MAX: usize = 500;
/// Most memory that the lines of a frame take (bytes); one line is a frame in any case.
const FRAME_MAX: usize = 256 << 10;
/// Most bytes of frames that may wait for a reader; one frame may in any case. With [`super::live`], ten tails of the longest lines whose
/// readers do not read take some tens of MB.
const WAITING_MAX: usize = 2 << 20;
/// How long a reader who has kept up may take to make room, before lines are missed: what comes at once is more than a socket takes at once.
const PATIENCE: Duration = Duration::from_millis(250);
/// What is known of lines that were missed takes at most so much memory (bytes).
const MISSED_BYTES: usize = 256 << 10;
/// Lines that were missed and are named in a frame (count), as in Loki (`maxDroppedEntriesPerTailResponse`); more are only missed.
const MISSED_MAX: usize = 1000;
/// How often a client is asked whether it is there, as in Loki (`pkg/querier/tail/http.go`, `wsPingPeriod`).
const PING_EVERY: Duration = Duration::from_secs(1);
/// Pings in a row that a client may leave without any answer (count): half a minute, as long as it may take nothing of an answer.
const UNANSWERED_MAX: u32 = 30;
/// How long a client is waited for when its tail has ended: a connection that is closed before it has read all that was sent takes the
/// close frame with it.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Longest message of a client (bytes): nothing of it is looked at, and it is kept until it has come whole.
const HEARD_MAX: usize = 4 << 10;
/// Longest reason of a close frame (bytes): a control frame has 125, of which its code takes two (RFC 6455, 5.5).
const REASON_MAX: usize = 123;
/// What stands before the words of limits in a close frame of Loki: there they are errors of gRPC (github.com/gogo/status, `Error`).
const REMOTE: &str = "rpc error: code = Code(400) desc = ";
/// What Loki says of a metric query (`pkg/logql/engine.go`, `LogSelector`).
const NO_LINES: &str = "only log selector is supported";
/// What a tail holds as long as it goes on: its place, if there was one, and the word that the server goes on.
pub(super) type Held = (Option<OwnedSemaphorePermit>, watch::Receiver<()>);

/// Begins to tail on the web socket that the connection of a request becomes when the handshake is answered. It ends when the server does, with no close frame: Grafana connects
/// again then, to the new configuration, and gives up at a close frame (grafana/grafana, `loki/live_streams.ts`: code 1006 alone is
/// tried again). Without a place, it ends at once: Loki counts tails after the handshake.
pub(super) fn begin(
    request: Request<()>,
    (tail, limits): (Tail, Limits),
    source: Source,
    (place, mut open): Held,
) {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut socket = served(TokioIo::new(upgraded)).await;
        let (sender, told) = mpsc::channel(FRAMES_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let _gone = Gone(stop.clone());
        let refused = match (&place, &tail.query) {
            (None, _) => Some(too_many()),
            (_, Query::Metric(_)) => Some(NO_LINES.to_owned()),
            _ => start(tail, limits, source, stop, sender),
        };
        let going_on = async {
            let why = match refused {
                Some(why) => Some(why),
                None => pass(&mut socket, told).await,
            };
            close(&mut socket, why).await;
        };
        tokio::select! {
            () = going_on => {}
            _ = open.changed() => {}
        }
        drop(place);
    });
}

/// The server's side of a web socket.
async fn served<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    let most = Some(HEARD_MAX);
    let config = WebSocketConfig::default().max_message_size(most).max_frame_size(most);
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// What Loki says of one tail too many (`pkg/querier/tail/querier.go`, `checkTailRequestLimit`).
fn too_many() -> String {
    let words = "max concurrent tail requests limit exceeded, count > limit";
    format!("{REMOTE}{words} ({} > {TAILS_MAX})", TAILS_MAX + 1)
}

/// Ends a tail when it goes.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What the thread of a tail tells.
#[derive(Debug)]
enum Told {
    /// A frame, and the room that it takes until it is sent.
    Frame(String, OwnedSemaphorePermit),
    /// Why it cannot go on.
    Failed(String),
}

/// Starts the thread of a tail, or says why it cannot be.
fn start(
    tail: Tail,
    limits: Limits,
    source: Source,
    stop: Arc<AtomicBool>,
    sender: mpsc::Sender<Told>,
) -> Option<String> {
    let run = move || run(&tail, limits, &source, &stop, &sender);
    let error = std::thread::Builder::new().name("tail".to_owned()).spawn(run).err()?;
    log::warn!("a live tail cannot start: no thread can be started: {error}");
    Some(format!("no thread can be started: {error}"))
}

/// Passes frames on until there are no more, or the client has gone. What it gives is the reason for the close frame.
async fn pass<S>(socket: &mut WebSocketStream<S>, mut told: mpsc::Receiver<Told>) -> Option<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            // What the client has said counts before its silence.
            biased;
            // Pings of its own are answered by the library while this reads.
            heard = socket.next() => match heard {
                Some(Ok(message)) if !message.is_close() => unanswered = 0,
                _ => return None,
            },
            one = told.recv() => match one? {
                Told::Frame(text, _room) => socket.send(Message::text(text)).await.ok()?,
                Told::Failed(why) => return Some(why),
            },
            _ = pings.tick() => {
                if unanswered >= UNANSWERED_MAX {
                    log::debug!("a live tail ends: its client has not answered {unanswered} pings");
                    return None;
                }
                unanswered += 1;
                socket.send(Message::Ping(Bytes::new())).await.ok()?;
            }
        }
    }
}

/// Closes a web socket, with a reason if there is one.
async fn close<S>(socket: &mut WebSocketStream<S>, why: Option<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = why.map(|why| CloseFrame { code: CloseCode::Error, reason: reason(&why).into() });
    let closing = async {
        // Whoever has gone needs none.
        let _ = socket.close(frame).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = timeout(CLOSE_MAX, closing).await;
}

/// A reason that fits into a close frame. Loki would send none that does not, and no close frame at all.
fn reason(why: &str) -> String {
    let why = match why.strip_prefix(REMOTE) {
        Some(bare) if why.len() > REASON_MAX => bare,
        _ => why,
    };
    cut(why.into(), REASON_MAX).into_owned()
}

/// Reads on until `stop` is set.
fn run(tail: &Tail, limits: Limits, source: &Source, stop: &AtomicBool, told: &mpsc::Sender<Told>) {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), super::serve::NICE);
    let Query::Logs(query) = &tail.query else { return };
    let mut run = Run { stop, deadline: None, limits, bytes_read: 0, progress: &mut |_| {} };
    let mut passing = Passing::new(told, stop);
    let span = (tail.start, tail.now);
    let ended = live::tail(query, span, tail.limit, &source.journal(), &mut run, &mut |lines| {
        for lines in frames(&lines) {
            let text = frame(lines, &passing.missed, tail);
            match passing.send(text) {
                Sent::Passed => passing.forget(),
                Sent::Gone => stop.store(true, Relaxed),
                Sent::Full => lines.iter().for_each(|line| passing.miss(line, &tail.flags)),
            }
        }
        passing.begun = true;
        Ok(())
    });
    if let Err(error) = ended {
        // A client has asked for too much, or the journal cannot be read, which shipping says, too.
        log::debug!("a live tail has ended: {error}");
        let remote = if matches!(error, QueryError::Span(..)) { REMOTE } else { "" };
        // If nobody listens any more, it has gone.
        let _ = told.blocking_send(Told::Failed(format!("{remote}{error}")));
    }
}

/// Lines in pieces that make a frame each.
fn frames(mut lines: &[Line]) -> impl Iterator<Item = &[Line]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |line: &&Line| {
            bytes += memory(line);
            bytes <= FRAME_MAX
        };
        let count = lines.iter().take(LINES_MAX).take_while(fits).count().max(1);
        let (frame, rest) = lines.split_at_checked(count)?;
        lines = rest;
        Some(frame)
    })
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Passed,
    /// The reader is too slow.
    Full,
    /// Nobody reads.
    Gone,
}

/// Passes frames to the task that sends them, and knows what a slow reader has missed.
struct Passing<'t> {
    told: &'t mpsc::Sender<Told>,
    stop: &'t AtomicBool,
    /// A byte that waits for the reader takes one of these.
    room: Arc<Semaphore>,
    /// The lines that were there have been sent: only what comes can be missed.
    begun: bool,
    /// The last frame was passed.
    keeps_up: bool,
    missed: Vec<Missed>,
    /// What they take in memory (bytes).
    bytes: usize,
}

impl<'t> Passing<'t> {
    fn new(told: &'t mpsc::Sender<Told>, stop: &'t AtomicBool) -> Passing<'t> {
        let room = Arc::new(Semaphore::new(WAITING_MAX));
        Passing { told, stop, room, begun: false, keeps_up: true, missed: Vec::new(), bytes: 0 }
    }

    /// Passes a frame. A reader who has kept up is waited for.
    fn send(&mut self, mut text: String) -> Sent {
        const LOOK_EVERY: Duration = Duration::from_millis(5);
        let bytes = u32::try_from(text.len().min(WAITING_MAX)).unwrap_or(u32::MAX);
        let since = std::time::Instant::now();
        loop {
            if let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) {
                match self.told.try_send(Told::Frame(text, room)) {
                    Ok(()) => {
                        self.keeps_up = true;
                        return Sent::Passed;
                    }
                    Err(mpsc::error::TrySendError::Full(Told::Frame(unsent, _))) => text = unsent,
                    Err(_) => return Sent::Gone,
                }
            }
            let waits = !self.begun || (self.keeps_up && since.elapsed() < PATIENCE);
            if self.told.is_closed() || self.stop.load(Relaxed) {
                return Sent::Gone;
            }
            if !waits {
                self.keeps_up = false;
                return Sent::Full;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn miss(&mut self, line: &Line, flags: &[String]) {
        if self.missed.len() < MISSED_MAX && self.bytes < MISSED_BYTES {
            let labels = labels(line, response::categorizes(flags));
            self.bytes += labels.memory();
            self.missed.push(Missed { time: line.time, labels });
        }
    }

    /// The reader knows what it has missed.
    fn forget(&mut self) {
        self.missed.clear();
        self.bytes = 0;
    }
}

/// A line that a reader has missed: when (nanoseconds since 1970), and of which stream.
struct Missed {
    time: i64,
    labels: LabelSet,
}

impl Serialize for Missed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("timestamp", &self.time.to_string())?;
        map.serialize_entry("labels", &response::labels(&self.labels))?;
        map.end()
    }
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
fn frame(lines: &[Line], missed: &[Missed], tail: &Tail) -> String {
    let written = if tail.is_old {
        let missed = missed.iter().map(|missed| (missed.time, missed.labels.to_string()));
        serde_json::to_string(&legacy::Frame::new(lines, missed))
    } else {
        let streams = Streams(lines, response::categorizes(&tail.flags));
        serde_json::to_string(&Frame { streams, dropped_entries: missed, flags: &tail.flags })
    };
    // What these are made of has no text that could not be written.
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::pipeline::Categories;
    use tokio::io::DuplexStream;

    /// A web socket whose client has answered so many pings and then says nothing more, and when it ended.
    async fn ended_after(answers: u32) -> Duration {
        let (near, far) = tokio::io::duplex(64);
        let mut socket = served(near).await;
        let mut client: WebSocketStream<DuplexStream> =
            WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let answering = async {
            for _ in 0..answers {
                // To read is to answer.
                let ping = client.next().await;
                assert!(matches!(ping, Some(Ok(Message::Ping(_)))), "{ping:?}");
                client.flush().await.unwrap();
            }
            std::future::pending::<()>().await
        };
        let (_sender, told) = mpsc::channel(1);
        let begun = Instant::now();
        tokio::select! {
            why = pass(&mut socket, told) => assert_eq!(why, None),
            () = answering => {}
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_no_ping_has_gone() {
        for answers in [0, 1, 3600] {
            let ended = timeout(Duration::from_secs(7200), ended_after(answers)).await;
            let silent = ended.map(|ended| ended.saturating_sub(PING_EVERY * answers));
            assert_eq!(silent, Ok(PING_EVERY * (UNANSWERED_MAX + 1)), "after {answers} answers");
        }
    }

    /// A tail ends that is told more than anybody has to say, and goes on otherwise.
    #[tokio::test(start_paused = true)]
    async fn what_clients_say_is_short() {
        for (length, ends) in [(HEARD_MAX, false), (HEARD_MAX + 1, true)] {
            let (near, far) = tokio::io::duplex(2 * HEARD_MAX);
            let mut socket = served(near).await;
            let mut client: WebSocketStream<DuplexStream> =
                WebSocketStream::from_raw_socket(far, Role::Client, None).await;
            client.send(Message::binary(vec![0; length])).await.unwrap();
            let (_sender, told) = mpsc::channel(1);
            let ended = timeout(PING_EVERY / 2, pass(&mut socket, told)).await;
            assert_eq!(ended.is_ok(), ends, "{length} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_of_a_close_is_left() {
        let (near, _far) = tokio::io::duplex(1);
        let mut socket = served(near).await;
        let begun = Instant::now();
        close(&mut socket, Some("x".to_owned())).await;
        assert_eq!(begun.elapsed(), CLOSE_MAX);
    }

    #[test]
    fn frames_are_bounded_by_lines_and_by_bytes() {
        let line = |length: usize| Line { time: 0, text: "x".repeat(length), labels: Categories::default() };
        for (lines, counts) in [
            (vec![], vec![]),
            (vec![line(1); LINES_MAX + 1], vec![LINES_MAX, 1]),
            (vec![line(FRAME_MAX / 3); 5], vec![2, 2, 1]),
            (vec![line(1), line(2 * FRAME_MAX), line(2 * FRAME_MAX), line(1)], vec![1, 1, 1, 1]),
        ] {
            assert_eq!(frames(&lines).map(<[Line]>::len).collect::<Vec<_>>(), counts);
        }
    }

    /// What waits for a reader is bounded in bytes. A reader who has kept up gets time to make room, and a slow one gets none.
    #[test]
    fn what_waits_for_a_reader_is_bounded() {
        let (told, mut reader) = mpsc::channel(FRAMES_MAX);
        let stop = AtomicBool::new(false);
        let mut passing = Passing::new(&told, &stop);
        let large = || "x".repeat(WAITING_MAX + 1);
        assert_eq!(passing.send(large()), Sent::Passed, "one frame may be larger");
        // Of what was there, nothing is missed.
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| reader.blocking_recv().is_some());
            assert_eq!(passing.send(large()), Sent::Passed);
            assert!(reading.join().unwrap());
        });
        passing.begun = true;
        let begun = std::time::Instant::now();
        assert_eq!(passing.send("x".to_owned()), Sent::Full);
        assert!(begun.elapsed() >= PATIENCE);
        assert!(!passing.keeps_up);
        assert!(reader.blocking_recv().is_some());
        assert_eq!(passing.send("x".to_owned()), Sent::Passed);
        assert!(passing.keeps_up);
        drop(reader);
        assert_eq!(passing.send("x".to_owned()), Sent::Gone);
    }

    #[test]
    fn reasons_fit_into_a_close_frame() {
        let of = |length: usize| "x".repeat(length);
        assert_eq!(reason("short"), "short");
        assert_eq!(reason(&of(123)), of(123));
        assert_eq!(reason(&of(124)).len(), 123);
        let long = of(123 - REMOTE.len());
        assert_eq!(reason(&format!("{REMOTE}{long}")), format!("{REMOTE}{long}"));
        assert_eq!(reason(&format!("{REMOTE}{long}x")), format!("{long}x"));
        assert!(reason(&"\u{e9}".repeat(100)).len() <= 123);
    }

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
        let missed = [Missed { time: 2, labels: set("a") }];
        let told = |missed: &[Missed], flags: &[&str], is_old| {
            let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let query = Query::parse("{a=\"x\"}").unwrap();
            frame(&lines, missed, &Tail { query, start: 0, now: 0, limit: 0, flags, is_old })
        };
        assert_eq!(
            told(&missed, &["categorize-labels"], false),
            r#"{"streams":[{"stream":{"a":"x"},"values":[["1","t",{"structuredMetadata":{"m":"x"},"parsed":{"p":"x"}}]]}],"#
                .to_owned()
                + r#""dropped_entries":[{"timestamp":"2","labels":{"a":"x"}}],"encodingFlags":["categorize-labels"]}"#
        );
        assert_eq!(
            told(&[], &[], false),
            r#"{"streams":[{"stream":{"a":"x","m":"x","p":"x"},"values":[["1","t"]]}]}"#
        );
        assert_eq!(
            told(&missed, &[], true),
            r#"{"streams":[{"labels":"{a=\"x\", m=\"x\", p=\"x\"}","entries":[{"ts":"1970-01-01T00:00:00.000000001Z","line":"t"}]}],"#
                .to_owned()
                + r#""dropped_entries":[{"Timestamp":"1970-01-01T00:00:00.000000002Z","Labels":"{a=\"x\"}"}]}"#
        );
    }
}
