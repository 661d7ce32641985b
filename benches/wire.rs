//! Bytes on the wire for an entry: the built program ships a journal, and the bodies of its requests are measured, once with its
//! defaults and once without structured metadata, which Promtail did not send. Beside them, the same entries with the same labels in
//! requests as Promtail made them.
//!
//! Promtail (facts: grafana/loki, `clients/pkg/promtail/client/batch.go` and `config.go`) put entries of all streams into a batch in the
//! order in which it read them, until their lines had 1 MiB, and sent the batch as a protobuf message in snappy's block format.
//!
//! `cargo bench --bench wire`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[allow(dead_code)] // what other benchmarks call
#[path = "support/ship.rs"]
mod ship;
#[allow(dead_code)] // what other benchmarks measure
mod support;
#[allow(dead_code)] // tables of what programs cost
#[path = "support/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use journal_ship::loki::proto::{Entry, PushRequest, Stream};
use prost::Message as _;

use support::Error;
use support::generate;
use support::sink::Sink;
use table::number;

/// Lines of a batch of Promtail (bytes): `batchsize` in its defaults.
const BATCH: usize = 1 << 20;

fn main() -> ExitCode {
    bench::main("wire", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {entries} entries\n", journal.folder.display())?;
    for (name, more) in [("defaults", ""), ("no structured metadata", "structured_metadata: {}\n")] {
        let sink = Sink::start()?;
        sink.keep();
        ship::ship_to(&sink, &binary, &journal, 1, more)?;
        let bodies = sink.kept();
        let ours: usize = bodies.iter().map(Vec::len).sum();
        show(&mut out, name, bodies.len(), ours, entries)?;
        if !more.is_empty() {
            let (requests, bytes) = as_promtail(&bodies)?;
            show(&mut out, "the same as Promtail", requests, bytes, entries)?;
            writeln!(out, "\nours to Promtail's: {:.3}", ours as f64 / bytes as f64)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(out: &mut impl Write, name: &str, requests: usize, bytes: usize, entries: u64) -> io::Result<()> {
    let each = bytes as f64 / entries.max(1) as f64;
    writeln!(out, "{name}: {requests} requests, {bytes} bytes, {each:.1} bytes an entry")
}

/// The entries of these bodies in requests of Promtail's: how many requests, and their bytes.
fn as_promtail(bodies: &[Vec<u8>]) -> Result<(usize, usize), Error> {
    let mut all: Vec<(String, Entry)> = Vec::new();
    for body in bodies {
        let push = PushRequest::decode(&*snap::raw::Decoder::new().decompress_vec(body)?)?;
        for stream in push.streams {
            all.extend(stream.entries.into_iter().map(|entry| (stream.labels.clone(), entry)));
        }
    }
    all.sort_by_key(|(_, entry)| entry.timestamp.map(|time| (time.seconds, time.nanos)));
    let (mut requests, mut bytes) = (0, 0);
    let (mut batch, mut lines) = (BTreeMap::<String, Vec<Entry>>::new(), 0);
    let mut send = |batch: &mut BTreeMap<String, Vec<Entry>>| -> Result<(), Error> {
        let streams =
            std::mem::take(batch).into_iter().map(|(labels, entries)| Stream { labels, entries }).collect();
        let plain = PushRequest { streams }.encode_to_vec();
        requests += 1;
        bytes += snap::raw::Encoder::new().compress_vec(&plain)?.len();
        Ok(())
    };
    for (labels, entry) in all {
        if lines + entry.line.len() > BATCH {
            send(&mut batch)?;
            lines = 0;
        }
        lines += entry.line.len();
        batch.entry(labels).or_default().push(entry);
    }
    send(&mut batch)?;
    Ok((requests, bytes))
}
