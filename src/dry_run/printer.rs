//! Showing records: decodes the bytes of sealed batches, and shows entries in the order of the journal.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Write};

use jiff::tz::TimeZone;
use prost::Message;
use serde::Serialize;

use super::summary::{Alert, Summary};
use super::{DryRunError, Output};
use crate::alerts::history::Fired;
use crate::loki::batch::Batches;
use crate::loki::proto::{Entry as PushedEntry, PushRequest};
use crate::os::text::{Block, Line, write_json};

/// The beginning of the lines of an entry after the first. It is longer than that of a step of `-o explain`, so that no line of
/// a message looks like an entry or a step.
const GOES_ON: &str = "        ";

/// How many records are held back at most; they, and whether each would be pushed.
type Held = (u64, VecDeque<(Vec<u8>, bool)>);

/// Shows the content of batches.
pub(super) struct Printer {
    output: Output,
    tenant: Option<String>,
    zone: TimeZone,
    /// The last records, and whether each would be pushed. They are held back until the end of the journal.
    held: Option<Held>,
    pub(super) entries: u64,
    /// The summary, if it is shown instead of records.
    pub(super) summary: Option<Summary>,
}

impl Printer {
    pub(super) fn new(output: Output, tenant: Option<String>, lines: Option<u64>, summary: bool) -> Printer {
        Printer {
            output,
            tenant,
            zone: crate::os::when::local_zone(),
            held: lines.map(|lines| (lines, VecDeque::new())),
            entries: 0,
            summary: summary.then(Summary::default),
        }
    }

    /// Seals the batches and shows their entries in the order of the journal, each followed by `steps`.
    pub(super) fn show(
        &mut self,
        batches: &mut Batches,
        steps: &[String],
        out: &mut impl Write,
    ) -> Result<(), DryRunError> {
        if batches.is_empty() {
            return Ok(());
        }
        let order = batches.order();
        let mut requests = HashMap::new();
        for sealed in batches.seal() {
            let body = snap::raw::Decoder::new()
                .decompress_vec(&sealed.body)
                .map_err(|e| DryRunError::Body(e.to_string()))?;
            let request =
                PushRequest::decode(body.as_slice()).map_err(|e| DryRunError::Body(e.to_string()))?;
            let streams: Vec<_> =
                request.streams.into_iter().map(|s| (s.labels, s.entries.into_iter())).collect();
            requests.insert(sealed.tenant.as_deref().map(str::to_owned), streams);
        }
        let missing = || DryRunError::Body("an entry is missing".into());
        for (tenant, stream) in order {
            let streams = requests.get_mut(&tenant).ok_or_else(missing)?;
            let (labels, entries) = streams.get_mut(stream).ok_or_else(missing)?;
            let entry = entries.next().ok_or_else(missing)?;
            if let Some(summary) = &mut self.summary {
                summary.add(tenant.as_deref(), labels, &entry);
                self.entries += 1;
                continue;
            }
            let mut record = Vec::new();
            match self.output {
                Output::Json => self.write_json(tenant.as_deref(), labels, &entry, &mut record)?,
                Output::Short | Output::Explain => self.write_short(labels, &entry, &mut record)?,
            }
            write_steps(steps, &mut record)?;
            self.put(record, true, out)?;
        }
        Ok(())
    }

    /// Shows an entry that would not be sent, and why.
    pub(super) fn show_unsent(
        &mut self,
        realtime: u64,
        steps: &[String],
        out: &mut impl Write,
    ) -> Result<(), DryRunError> {
        let micros = i64::try_from(realtime).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
        let mut record = Vec::new();
        writeln!(record, "{} not sent", self.time(time))?;
        write_steps(steps, &mut record)?;
        Ok(self.put(record, false, out)?)
    }

    fn put(&mut self, record: Vec<u8>, pushed: bool, out: &mut impl Write) -> io::Result<()> {
        match &mut self.held {
            Some((lines, held)) => {
                held.push_back((record, pushed));
                if held.len() as u64 > *lines {
                    held.pop_front();
                }
            }
            None => {
                out.write_all(&record)?;
                self.entries += u64::from(pushed);
            }
        }
        Ok(())
    }

    /// Shows alerts that begin or end.
    pub(super) fn tell(&mut self, fired: &[Fired], out: &mut impl Write) -> io::Result<()> {
        if self.summary.is_some() {
            return Ok(());
        }
        for fired in fired {
            let alert = Alert::new(fired);
            let mut record = Vec::new();
            match self.output {
                Output::Json => {
                    write_json(&mut record, &BTreeMap::from([("alert", &alert)]))?;
                    writeln!(record)?;
                }
                Output::Short | Output::Explain => {
                    let (what, time) = fired.until.map_or(("fires", fired.from), |until| ("is over", until));
                    let time = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
                    let (name, text) = (Line(&fired.name), alert.text());
                    writeln!(record, "{} alert {name} {what} {}", self.time(time), Line(&text))?;
                    if fired.until.is_none() {
                        let told = alert.annotations().map(|(name, text)| format!("{name}: {text}"));
                        write_steps(&told.collect::<Vec<_>>(), &mut record)?;
                    }
                }
            }
            match self.held.as_mut().and_then(|(_, held)| held.back_mut()) {
                // This is not an entry. It stays after the entry before it.
                Some((last, _)) => last.extend_from_slice(&record),
                None => out.write_all(&record)?,
            }
        }
        Ok(())
    }

    /// Writes what was held back for `lines`. From now on, nothing is held back.
    pub(super) fn release(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some((_, held)) = self.held.take() {
            for (record, pushed) in held {
                out.write_all(&record)?;
                self.entries += u64::from(pushed);
            }
        }
        Ok(())
    }

    fn time(&self, time: jiff::Timestamp) -> impl std::fmt::Display {
        time.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
    }

    fn write_short(&self, labels: &str, entry: &PushedEntry, out: &mut Vec<u8>) -> io::Result<()> {
        let line = Block { text: &entry.line, indent: GOES_ON };
        writeln!(out, "{} {} {line}", self.time(timestamp(entry)), Line(labels))
    }

    fn write_json(
        &self,
        tenant: Option<&str>,
        labels: &str,
        entry: &PushedEntry,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let metadata: BTreeMap<_, _> =
            entry.structured_metadata.iter().map(|pair| (&pair.name, &pair.value)).collect();
        let record = Record {
            timestamp: timestamp(entry).strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string(),
            labels: crate::shape::labels::parse_pushed(labels),
            metadata,
            line: &entry.line,
            tenant: tenant.or(self.tenant.as_deref()),
        };
        write_json(&mut *out, &record)?;
        writeln!(out)
    }
}

/// Writes what happened to an entry, each step in a line below it.
fn write_steps(steps: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    steps.iter().try_for_each(|step| writeln!(out, "    {}", Line(step)))
}

/// One line of `-o json`. The order of the fields is part of the form.
#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<&'a String, &'a String>,
    line: &'a str,
    tenant: Option<&'a str>,
}

pub(super) fn timestamp(entry: &PushedEntry) -> jiff::Timestamp {
    let time = entry.timestamp.unwrap_or_default();
    jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default()
}
