//! A Loki that takes everything: it answers 204 to every push, and counts what was in it.
//!
//! It can tell how late each entry came, too. It is in no way strict, and does next to nothing while requests come: bodies are kept as they are, and
//! decoded when someone asks for the counts. Work on another core is no part of the program under
//! measurement, but where two virtual cores are one real one, it would slow that program down.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use prost::bytes::Bytes;

/// Room for the line and the headers of a request, in bytes; a client sends a few hundred.
const HEAD_MAX: u64 = 64 * 1024;
/// Largest body taken, in bytes; far past any batch, and short of what would hurt.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// Of a second.
const NANOSECONDS: i64 = 1_000_000_000;

/// A sink that listens on a port of its own on the loopback interface, until the program ends.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Bodies as they came, compressed.
    pub(crate) body_bytes: u64,
    pub(crate) entries: u64,
    /// Lines of all entries.
    pub(crate) line_bytes: u64,
    /// Requests that are no push: another path or method, a body that does not decode.
    pub(crate) bad_requests: u64,
}

#[derive(Debug, Default)]
struct Shared {
    arrived: Mutex<Arrived>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Arrived {
    counts: Counts,
    /// When the first push came.
    first: Option<Instant>,
    /// Bodies that are counted as requests, but not decoded yet, in which form they are, and when they came.
    bodies: Vec<(SystemTime, Form, Vec<u8>)>,
    /// Bodies that were decoded, if they are kept.
    kept: Option<Vec<Vec<u8>>>,
}

/// In which form a push is: Loki takes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Protobuf, compressed as one block of snappy.
    Protobuf,
    /// JSON, not compressed.
    Json,
}

/// The push request of Loki, without all that is not counted here.
#[derive(Clone, PartialEq, prost::Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stream {
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(bytes = "bytes", tag = "2")]
    line: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Entry {
    /// From the time of the entry until `came`; zero for a time that none has.
    fn delay(&self, came: SystemTime) -> Duration {
        let at = self.timestamp.unwrap_or_default();
        let at = Duration::new(at.seconds.max(0).unsigned_abs(), at.nanos.max(0).unsigned_abs());
        came.duration_since(UNIX_EPOCH + at).unwrap_or_default()
    }
}

impl Sink {
    /// Starts listening.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let for_all = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let for_one = Arc::clone(&for_all);
                // A connection that breaks is its client's affair: what was not counted is missed at the end.
                thread::spawn(move || serve(connection, &for_one));
            }
        });
        Ok(Self { address, shared })
    }

    /// Base URL for a client.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port that it listens on.
    #[allow(dead_code)] // not every bench asks
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on, keeps all bodies, as they came.
    #[allow(dead_code)] // not every bench asks
    pub(crate) fn keep(&self) {
        self.shared.lock().kept = Some(Vec::new());
    }

    /// The bodies that were kept.
    #[allow(dead_code)] // not every bench asks
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        self.counts();
        self.shared.lock().kept.take().unwrap_or_default()
    }

    /// What has arrived so far; decodes what is new.
    pub(crate) fn counts(&self) -> Counts {
        self.look(|_, _| {})
    }

    /// How long after its own time each entry came that nobody has looked at yet.
    #[allow(dead_code)] // not every bench asks
    pub(crate) fn delays(&self) -> Vec<Duration> {
        let mut delays = Vec::new();
        self.look(|came, entry| delays.push(entry.delay(came)));
        delays
    }

    /// When the first push came.
    #[allow(dead_code)] // not every bench asks
    pub(crate) fn first(&self) -> Option<Instant> {
        self.shared.lock().first
    }

    /// Decodes what is new, and shows each entry and when it came.
    fn look(&self, mut each: impl FnMut(SystemTime, &Entry)) -> Counts {
        let mut arrived = self.shared.lock();
        for (came, form, body) in std::mem::take(&mut arrived.bodies) {
            match decode(form, &body) {
                Ok(push) => {
                    for entry in push.streams.iter().flat_map(|stream| &stream.entries) {
                        each(came, entry);
                        arrived.counts.entries += 1;
                        arrived.counts.line_bytes += entry.line.len() as u64;
                    }
                }
                Err(_) => arrived.counts.bad_requests += 1,
            }
            if let Some(kept) = &mut arrived.kept {
                kept.push(body);
            }
        }
        arrived.counts
    }

    /// Waits for a request, at most `patience`; false when none came.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let waited = self.shared.changed.wait_timeout(self.shared.lock(), patience);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, form: Form, body: Vec<u8>) {
        let mut arrived = self.lock();
        arrived.counts.requests += 1;
        arrived.counts.body_bytes += body.len() as u64;
        arrived.first.get_or_insert_with(Instant::now);
        arrived.bodies.push((SystemTime::now(), form, body));
        drop(arrived);
        self.changed.notify_all();
    }
}

fn decode(form: Form, body: &[u8]) -> Result<PushRequest, super::Error> {
    if form == Form::Json {
        return decode_json(body);
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body)?;
    Ok(PushRequest::decode(Bytes::from(plain))?)
}

/// What `{"streams": [{"stream": {…}, "values": [["TIME", "LINE"], …]}, …]}` says; times are in nanoseconds.
fn decode_json(body: &[u8]) -> Result<PushRequest, super::Error> {
    #[derive(serde::Deserialize)]
    struct Push {
        streams: Vec<Values>,
    }
    #[derive(serde::Deserialize)]
    struct Values {
        values: Vec<Vec<serde_json::Value>>,
    }
    let entry = |value: Vec<serde_json::Value>| {
        let text = |at: usize| value.get(at).and_then(serde_json::Value::as_str);
        let nanoseconds: i64 = text(0)?.parse().ok()?;
        let timestamp = Timestamp {
            seconds: nanoseconds.div_euclid(NANOSECONDS),
            nanos: i32::try_from(nanoseconds.rem_euclid(NANOSECONDS)).ok()?,
        };
        Some(Entry { timestamp: Some(timestamp), line: Bytes::copy_from_slice(text(1)?.as_bytes()) })
    };
    let push: Push = serde_json::from_slice(body)?;
    let streams = push.streams.into_iter().map(|Values { values }| {
        let entries: Option<Vec<_>> = values.into_iter().map(entry).collect();
        Ok(Stream { entries: entries.ok_or("a value is not [\"TIME\", \"LINE\"]")? })
    });
    Ok(PushRequest { streams: streams.collect::<Result<_, super::Error>>()? })
}

/// Answers the requests of one connection until its client closes it.
fn serve(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, &connection);
    while let Some(Head { push, length, form }) = read_head(&mut reader)? {
        let Some(length) = length.filter(|length| *length <= BODY_MAX) else {
            return (&connection).write_all(b"HTTP/1.1 411 Length Required\r\nConnection: close\r\n\r\n");
        };
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if push {
            (&connection).write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
            shared.take(form, body);
        } else {
            (&connection).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            shared.lock().counts.bad_requests += 1;
        }
    }
    Ok(())
}

/// What the head of a request says.
struct Head {
    /// It is a push.
    push: bool,
    /// The length of its body; none if it is not said.
    length: Option<usize>,
    form: Form,
}

/// The head of the next request; none when the client has closed.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut reader = reader.take(HEAD_MAX);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let push = line.starts_with("POST /loki/api/v1/push ");
    // A request without a body needs no length (RFC 9112, section 6.3).
    let length = (!line.starts_with("POST ")).then_some(0);
    let mut head = Head { push, length, form: Form::Protobuf };
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                head.length = value.trim().parse().ok();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                let json = value.trim().starts_with("application/json");
                head.form = if json { Form::Json } else { Form::Protobuf };
            }
            None if line.trim_end().is_empty() => return Ok(Some(head)),
            _ => {}
        }
    }
}
