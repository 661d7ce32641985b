//! The dry run: what would be pushed, on standard output, and nothing else happens.
//!
//! Entries take the very way they take in the agent, into a sealed batch; the records shown are decoded
//! from its bytes, by prost, not by the code that wrote them. What this prints is what Loki would get.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use prost::Message;
use serde::Serialize;

use crate::batch::Batch;
use crate::config::Config;
use crate::journal::{OpenError, Start, Tail, Waker};
use crate::loki::proto::{Entry as PushedEntry, PushRequest};
use crate::pipeline::Pipeline;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Time, `{labels}`, line.
    Short,
    /// One JSON object a line: timestamp, labels, metadata, line, tenant.
    Json,
}

/// What is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// Read these instead of what the configuration names.
    pub paths: Vec<PathBuf>,
    /// From this time on (realtime, microseconds).
    pub since: Option<u64>,
    /// Up to this time (realtime, microseconds), inclusive.
    pub until: Option<u64>,
    /// Only the last so many.
    pub lines: Option<u64>,
    /// Go on with new entries.
    pub follow: bool,
    /// In which form.
    pub output: Output,
    /// Compare order, cursors and times with libsystemd's, entry by entry.
    #[cfg(feature = "sd-journal")]
    pub compare: bool,
}

/// Why a dry run stopped.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The journal cannot be read.
    #[error("{0}")]
    Journal(#[from] OpenError),
    /// The journal cannot be watched.
    #[error("the journal cannot be watched for changes: {0}")]
    Watch(io::Error),
    /// What is shown cannot be written.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// libsystemd reads something else.
    #[cfg(feature = "sd-journal")]
    #[error("{0}")]
    Second(#[from] crate::journal::SecondError),
    /// The bytes of a batch do not decode.
    #[error("a batch does not decode: {0}; this is a bug")]
    Body(String),
}

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// Records.
    pub entries: u64,
    /// Entries that could not be read.
    pub damaged: u64,
}

/// Shows what would be pushed to the first destination, or with the labels that all have when there is
/// none. Returns at the journal's end, or never when following.
///
/// # Errors
/// When the journal cannot be read or `out` not be written to.
pub fn run(config: &Config, options: &Options, out: &mut impl Write) -> Result<Shown, DryRunError> {
    let destination = config.loki.first();
    let paths = if options.paths.is_empty() { &config.journal.paths } else { &options.paths };
    let (mut pipeline, keys) = Pipeline::new(config, destination);
    let waker = Waker::new().map_err(DryRunError::Watch)?;
    let mut start = options.since.map_or(Start::Oldest, Start::Realtime);
    if let Some(lines) = options.lines {
        let mut tail = Tail::open(paths, keys.clone(), start.clone(), waker.clone())?;
        if let Some(time) = tail.time_of_last(lines, options.until) {
            start = Start::Realtime(time.max(options.since.unwrap_or(0)));
        }
    }
    #[cfg(feature = "sd-journal")]
    let second = options.compare.then(|| crate::journal::SecondReader::open(paths)).transpose()?;
    #[cfg(feature = "sd-journal")]
    let (mut agreed, since) = (0, if let Start::Realtime(since) = start { Some(since) } else { None });
    let mut tail = Tail::open(paths, keys, start, waker)?;
    if tail.is_empty() {
        return Err(OpenError::Unreadable(Vec::new()).into());
    }
    let max_bytes = destination.map_or(BATCH, |d| d.batch.max_bytes);
    let mut printer = Printer {
        output: options.output,
        tenant: destination.and_then(|d| d.tenant.clone()),
        zone: TimeZone::system(),
        held: options.lines.map(|lines| (lines, VecDeque::new())),
        entries: 0,
    };
    let mut batch = Batch::default();
    loop {
        match tail.next_entry() {
            Some(entry) if options.until.is_none_or(|until| entry.cursor().realtime <= until) => {
                #[cfg(feature = "sd-journal")]
                if let Some(second) = &second {
                    second.agree(entry.cursor(), agreed, since)?;
                    agreed += 1;
                }
                pipeline.append(&entry, &mut batch);
                if batch.size() >= max_bytes {
                    printer.show(&mut batch, out)?;
                }
            }
            // The order is by time within a source only, so later entries may be early enough.
            Some(_) => {}
            None => {
                printer.show(&mut batch, out)?;
                printer.release(out)?;
                out.flush()?;
                if !options.follow {
                    return Ok(Shown { entries: printer.entries, damaged: tail.counts().damaged });
                }
                tail.wait(None).map_err(DryRunError::Watch)?;
            }
        }
    }
}

/// Size of a batch when no destination says (bytes).
const BATCH: usize = 1 << 20;

struct Printer {
    output: Output,
    tenant: Option<String>,
    zone: TimeZone,
    /// The last so many records, until the journal's end is reached.
    held: Option<(u64, VecDeque<Vec<u8>>)>,
    entries: u64,
}

impl Printer {
    /// Seals the batch and shows its entries in the order of the journal.
    fn show(&mut self, batch: &mut Batch, out: &mut impl Write) -> Result<(), DryRunError> {
        if batch.is_empty() {
            return Ok(());
        }
        let order: Vec<usize> = batch.order().collect();
        let sealed = batch.seal();
        let body = snap::raw::Decoder::new()
            .decompress_vec(&sealed.body)
            .map_err(|e| DryRunError::Body(e.to_string()))?;
        let request = PushRequest::decode(body.as_slice()).map_err(|e| DryRunError::Body(e.to_string()))?;
        let mut streams: Vec<_> =
            request.streams.into_iter().map(|stream| (stream.labels, stream.entries.into_iter())).collect();
        let missing = || DryRunError::Body("an entry is missing".into());
        for stream in order {
            let (labels, entries) = streams.get_mut(stream).ok_or_else(missing)?;
            let entry = entries.next().ok_or_else(missing)?;
            let mut record = Vec::new();
            match self.output {
                Output::Short => self.write_short(labels, &entry, &mut record)?,
                Output::Json => self.write_json(labels, &entry, &mut record)?,
            }
            match &mut self.held {
                Some((lines, held)) => {
                    held.push_back(record);
                    if held.len() as u64 > *lines {
                        held.pop_front();
                    }
                }
                None => {
                    out.write_all(&record)?;
                    self.entries += 1;
                }
            }
        }
        Ok(())
    }

    /// Writes what was held back for `lines`; from now on nothing is.
    fn release(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some((_, held)) = self.held.take() {
            for record in held {
                out.write_all(&record)?;
                self.entries += 1;
            }
        }
        Ok(())
    }

    fn write_short(&self, labels: &str, entry: &PushedEntry, out: &mut Vec<u8>) -> io::Result<()> {
        let time = timestamp(entry).to_zoned_datetime(self.zone.clone());
        write!(out, "{} {labels} ", time.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z"))?;
        for c in entry.line.chars() {
            match c {
                // A log line must not drive the terminal.
                '\n' | '\t' => write!(out, "{c}")?,
                c if c.is_control() => write!(out, "{}", c.escape_unicode())?,
                c => write!(out, "{c}")?,
            }
        }
        writeln!(out)
    }

    fn write_json(&self, labels: &str, entry: &PushedEntry, out: &mut Vec<u8>) -> io::Result<()> {
        let metadata: BTreeMap<_, _> =
            entry.structured_metadata.iter().map(|pair| (&pair.name, &pair.value)).collect();
        let record = Record {
            timestamp: timestamp(entry).strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string(),
            labels: crate::labels::parse_pushed(labels),
            metadata,
            line: &entry.line,
            tenant: self.tenant.as_deref(),
        };
        serde_json::to_writer(&mut *out, &record)?;
        writeln!(out)
    }
}

/// One line of `-o json`; the order of the fields is part of the form.
#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<&'a String, &'a String>,
    line: &'a str,
    tenant: Option<&'a str>,
}

fn timestamp(entry: &PushedEntry) -> jiff::Timestamp {
    let time = entry.timestamp.unwrap_or_default();
    jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default()
}
