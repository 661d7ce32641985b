//! Pushes written by hand: protobuf with bytes where the real types have text, so that a request can be wrong,
//! and an HTTP client that sends what it is told and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Loki;

/// Far beyond what a push takes, so that only a failure waits that long.
pub const DEADLINE: Duration = Duration::from_secs(20);

const SECOND_NS: i64 = 1_000_000_000;

/// One length-delimited field.
pub fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(value.len() as u64), value.to_vec()].concat()
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub fn timestamp(seconds: u64, nanos: u64) -> Vec<u8> {
    [vec![1 << 3], varint(seconds), vec![2 << 3], varint(nanos)].concat()
}

pub fn entry_with(timestamp: Vec<u8>, line: &[u8], metadata: &[(&[u8], &[u8])]) -> Vec<u8> {
    let pairs = metadata.iter().map(|(name, value)| field(3, &[field(1, name), field(2, value)].concat()));
    [field(1, &timestamp), field(2, line), pairs.collect::<Vec<_>>().concat()].concat()
}

pub fn at(ns: i64) -> Vec<u8> {
    timestamp((ns / SECOND_NS) as u64, (ns % SECOND_NS) as u64)
}

pub fn entry(ns: i64, line: impl AsRef<[u8]>) -> Vec<u8> {
    entry_with(at(ns), line.as_ref(), &[])
}

pub fn stream(labels: impl AsRef<[u8]>, entries: &[Vec<u8>]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|entry| field(2, entry));
    [field(1, labels.as_ref()), entries.collect()].concat()
}

pub fn request(streams: &[Vec<u8>]) -> Vec<u8> {
    streams.iter().flat_map(|stream| field(1, stream)).collect()
}

pub fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).expect("snappy takes any bytes")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a vector takes any bytes");
    encoder.finish().expect("a vector takes any bytes")
}

pub const PROTOBUF: &[(&str, &str)] = &[("Content-Type", "application/x-protobuf")];

/// Posts `body` on a connection of its own; an answer cut off or missing is an error.
pub fn post(
    loki: &Loki,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<(u16, String)> {
    let url = loki.url();
    let host = url.strip_prefix("http://").expect("the double speaks plain HTTP");
    let address: SocketAddr = host.parse().expect("the double's host is an address");
    let mut connection = TcpStream::connect_timeout(&address, DEADLINE)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    let length = body.len();
    let mut head =
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection.write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, text) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, text.trim_end_matches('\n').to_owned()))
}

pub fn push(loki: &Loki, streams: &[Vec<u8>]) -> (u16, String) {
    post(loki, "/loki/api/v1/push", PROTOBUF, &snappy(&request(streams))).expect("an answer")
}

pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970").as_nanos() as i64
}

/// One stream `{t="…"}` with one line.
pub fn plain(t: &str, ns: i64) -> Vec<u8> {
    stream(format!("{{t=\"{t}\"}}"), &[entry(ns, "x")])
}

/// One stream `{t="…"}` with one line and structured metadata.
pub fn with_metadata(t: &str, ns: i64, metadata: &[(&[u8], &[u8])]) -> Vec<u8> {
    stream(format!("{{t=\"{t}\"}}"), &[entry_with(at(ns), b"x", metadata)])
}
