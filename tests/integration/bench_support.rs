//! The parts that the benchmarks stand on: a figure is worth as much as the journal, the sink and the
//! clock behind it.

#[allow(dead_code)] // when a first request came: benchmarks ask
#[path = "../../benches/support/mod.rs"]
mod bench;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bench::generate;
use bench::process::Process;
use bench::sink::{Counts, Sink};

/// Longest time for anything here; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

type Entry = BTreeMap<String, serde_json::Value>;

/// The entries of a journal without what journald's library adds by itself.
fn entries(folder: &Path) -> Vec<Entry> {
    let output =
        Command::new("journalctl").args(["-q", "-a", "-o", "json", "-D"]).arg(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap());
    entries
        .map(|mut entry| {
            entry.remove("__CURSOR");
            entry
        })
        .collect()
}

#[test]
fn journal_is_realistic_and_the_same_every_time() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = generate::prepare(one.path(), 5_000).unwrap();
    let read = entries(&journal.folder);
    assert_eq!(read.len(), 5_000);
    assert_eq!(read, entries(&generate::prepare(two.path(), 5_000).unwrap().folder));

    let own = |entry: &Entry| entry.keys().filter(|name| !name.starts_with("__")).count() as u64;
    assert_eq!(read.iter().map(own).sum::<u64>(), journal.fields);
    assert!((24 * 5_000..=26 * 5_000).contains(&journal.fields), "{} fields", journal.fields);

    let lengths: Vec<usize> = read.iter().map(|entry| entry["MESSAGE"].as_str().unwrap().len()).collect();
    assert_eq!(lengths.iter().sum::<usize>() as u64, journal.message_bytes);
    let odd: Vec<_> = lengths.iter().filter(|length| !matches!(length, 60..=200 | 1_750..=2_300)).collect();
    assert!(odd.is_empty(), "lengths {odd:?}");
    let long = lengths.iter().filter(|length| **length > 200).count();
    assert!((50..=150).contains(&long), "{long} long messages");

    let distinct = |name: &str| read.iter().filter_map(|entry| entry.get(name)).collect::<Vec<_>>();
    let set = |name: &str| distinct(name).iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(set("_SYSTEMD_UNIT").len(), 50);
    assert_eq!(set("_TRANSPORT").len(), 4);
    assert_eq!(set("_BOOT_ID").len(), 2);
    assert!(set("MESSAGE").len() > 4_500, "{} distinct messages", set("MESSAGE").len());
}

#[test]
fn journal_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let journal = generate::prepare(root.path(), 100).unwrap();
    let file = journal.folder.join("system.journal");
    let made = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(generate::prepare(root.path(), 100).unwrap(), journal);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), made);

    // Without its stamp it is one that was not finished.
    std::fs::remove_file(journal.folder.parent().unwrap().join("stamp")).unwrap();
    assert_eq!(generate::prepare(root.path(), 100).unwrap(), journal);
    assert_ne!(std::fs::metadata(&file).unwrap().modified().unwrap(), made);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}

/// A push of one stream, as bytes: field numbers as in proto/push.proto, all lengths below 128.
fn push(lines: &[&str]) -> Vec<u8> {
    let mut stream = vec![0x0a, 7];
    stream.extend_from_slice(br#"{a="b"}"#);
    for line in lines {
        let length = u8::try_from(line.len()).unwrap();
        stream.extend_from_slice(&[0x12, length + 6, 0x0a, 2, 0x08, 1, 0x12, length]);
        stream.extend_from_slice(line.as_bytes());
    }
    let mut body = vec![0x0a, u8::try_from(stream.len()).unwrap()];
    body.extend_from_slice(&stream);
    snap::raw::Encoder::new().compress_vec(&body).unwrap()
}

#[test]
fn sink_answers_and_counts() {
    let sink = Sink::start().unwrap();
    let mut connection = TcpStream::connect(sink.url().trim_start_matches("http://")).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let good = push(&["first", "the second"]);
    // One connection for all of them: each answer must be whole for the next to be understood.
    let rows: [(&str, &[u8], &str); 5] = [
        ("POST /loki/api/v1/push HTTP/1.1\r\ncontent-length: ", &good, "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: ",
            &good,
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            "POST /other HTTP/1.1\r\nContent-Length: ",
            &good,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "GET /ready HTTP/1.1\r\nContent-Length: ",
            b"",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "POST /loki/api/v1/push HTTP/1.1\r\nContent-Length: ",
            b"no snappy",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
    ];
    for (head, body, expected) in rows {
        connection.write_all(format!("{head}{}\r\n\r\n", body.len()).as_bytes()).unwrap();
        connection.write_all(body).unwrap();
        let mut answer = vec![0; expected.len()];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{head}");
    }
    let expected = Counts {
        requests: 3,
        body_bytes: 2 * good.len() as u64 + 9,
        entries: 4,
        line_bytes: 2 * 15,
        bad_requests: 3,
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    while sink.counts() != expected && std::time::Instant::now() < deadline {
        sink.wait(Duration::from_millis(50));
    }
    assert_eq!(sink.counts(), expected);

    connection.write_all(b"POST /loki/api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
}

#[test]
fn process_is_measured_to_its_end() {
    // dd fills one buffer of 64 MiB again and again; its whole cost is known in kind, not in amount.
    let dd = Process::start(Command::new("dd").args([
        "if=/dev/zero",
        "of=/dev/null",
        "bs=64M",
        "count=40",
        "status=none",
    ]));
    let (usage, status) = dd.unwrap().finish(PATIENCE).unwrap();
    assert!(status.success());
    assert!((64 << 20..90 << 20).contains(&usage.peak_bytes), "{usage:?}");
    assert!(
        usage.cpu >= Duration::from_millis(50) && usage.cpu <= usage.wall + Duration::from_millis(20),
        "{usage:?}"
    );

    let failing = Process::start(Command::new("sh").args(["-c", "exit 3"])).unwrap();
    assert_eq!(failing.finish(PATIENCE).unwrap().1.code(), Some(3));

    let mut sleeper = Process::start(Command::new("sleep").arg("600")).unwrap();
    assert!(sleeper.sample().unwrap().is_some());
    sleeper.terminate().unwrap();
    let (usage, status) = sleeper.finish(PATIENCE).unwrap();
    assert!(!status.success());
    assert!(usage.wall < PATIENCE && usage.cpu < Duration::from_secs(1), "{usage:?}");

    let endless = Process::start(Command::new("sleep").arg("600")).unwrap();
    assert!(endless.finish(Duration::ZERO).unwrap_err().to_string().contains("still running"));
    assert!(Process::start(&mut Command::new("/no/such/program")).is_err());
}
