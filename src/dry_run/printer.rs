//! Showing records: the entries of sealed batches in the order of the journal, and what became of the others.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::opened::{Pushed, missing, opened};
use super::summary::{Alert, Summary};
use super::{DryRunError, Options, Output};
use crate::alerts::history::Fired;
use crate::alerts::watch::clock;
use crate::loki::batch::Batches;
use crate::os::text::{Line, write_json, write_json_text};
use crate::shape::explain::{Explained, Fate};
use crate::shape::shown::{self, Clock, Look, Person};

/// Records that are held back until the end of the journal.
struct Held {
    /// How many entries at most. Of older ones nothing is shown, nor of alerts right behind them.
    lines: u64,
    /// How many entries there are.
    entries: u64,
    /// In the order of time.
    records: VecDeque<(Record, Vec<u8>)>,
}

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    /// An entry, and whether it would be pushed.
    Entry { pushed: bool },
    /// An alert that begins or ends.
    Alert,
}

impl Held {
    fn put(&mut self, what: Record, text: Vec<u8>) {
        self.records.push_back((what, text));
        self.entries += u64::from(what != Record::Alert);
        if self.entries > self.lines {
            self.entries -= 1;
            let mut entries = 0;
            while let Some((what, _)) = self.records.front() {
                entries += u64::from(*what != Record::Alert);
                if entries > 1 {
                    break;
                }
                self.records.pop_front();
            }
        }
    }
}

/// Shows the content of batches.
pub(super) struct Printer {
    output: Output,
    tenant: Option<String>,
    zone: TimeZone,
    /// Says times of JSON.
    clock: Clock,
    /// Room for such a time.
    time_text: String,
    /// Who reads records, where that is a person.
    person: Option<Person>,
    /// The last records.
    held: Option<Held>,
    /// What was held back is shown backward.
    reverse: bool,
    pub(super) entries: u64,
    /// The summary, if it is shown instead of records.
    pub(super) summary: Option<Summary>,
}

impl Printer {
    pub(super) fn new(options: &Options, tenant: Option<String>) -> Printer {
        let Options { output, lines, reverse, summary, .. } = *options;
        let zone = crate::os::when::local_zone();
        let person = match output {
            Output::Short(Look::Person { colours }) => Some(Person::new(zone.clone(), colours)),
            Output::Explain(Look::Person { colours }) => {
                Some(Person::new(zone.clone(), colours).without_headings())
            }
            _ => None,
        };
        Printer {
            output,
            tenant,
            zone,
            clock: Clock::precise(),
            time_text: String::new(),
            person,
            reverse,
            held: lines.map(|lines| Held { lines, entries: 0, records: VecDeque::new() }),
            entries: 0,
            summary: summary.then(Summary::default),
        }
    }

    /// Seals the batches and shows their entries in the order of the journal.
    pub(super) fn show(&mut self, batches: &mut Batches, out: &mut impl Write) -> Result<(), DryRunError> {
        let (mut record, now_ns) = (Vec::new(), clock());
        for pushed in opened(batches)? {
            if let Some(summary) = &mut self.summary {
                summary.add(&pushed, now_ns)?;
                self.entries += 1;
                continue;
            }
            record.clear();
            self.write(&pushed, &mut record)?;
            self.put(Record::Entry { pushed: true }, &mut record, out)?;
        }
        Ok(())
    }

    /// The same, with what happened to each entry, and with those that were not sent.
    pub(super) fn explain(
        &mut self,
        batches: &mut Batches,
        explained: &[Explained],
        out: &mut impl Write,
    ) -> Result<(), DryRunError> {
        let mut pushed = opened(batches)?.into_iter();
        for explained in explained {
            let mut record = Vec::new();
            if explained.fate == Fate::Sent {
                let pushed = pushed.next().ok_or_else(missing)?;
                self.write(&pushed, &mut record)?;
                write_steps(&explained.steps, &mut record)?;
            } else {
                self.write_unsent(explained, &mut record)?;
            }
            self.put(Record::Entry { pushed: explained.fate == Fate::Sent }, &mut record, out)?;
        }
        Ok(())
    }

    fn write(&mut self, pushed: &Pushed, record: &mut Vec<u8>) -> Result<(), DryRunError> {
        match self.output {
            Output::Json => self.write_json(pushed, record),
            Output::Short(_) | Output::Explain(_) => self.write_short(pushed, record),
        }
    }

    /// An entry that is not sent, dimmed, and below it why.
    fn write_unsent(&mut self, explained: &Explained, record: &mut Vec<u8>) -> io::Result<()> {
        let Explained { fate, timestamp_ns, labels, line, steps } = explained;
        let time = jiff::Timestamp::from_nanosecond(i128::from(*timestamp_ns)).unwrap_or_default();
        let what = if *fate == Fate::Held { "held" } else { "not sent" };
        let text = labels.to_string();
        let Some(person) = &mut self.person else {
            shown::stable_unsent(&mut *record, time, &self.zone, what, &text, line)?;
            return write_steps(steps, record);
        };
        person.show_unsent(record, time, what, |name| labels.get(name), line)?;
        let (last, others) =
            steps.split_last().map_or(("", steps.as_slice()), |(last, others)| (last.as_str(), others));
        for step in others.iter().chain([&format!("labels {text}")]) {
            writeln!(record, "{}", person.painted(shown::DIM, format_args!("    {}", Line(step))))?;
        }
        writeln!(record, "    {}", Line(last))
    }

    /// Shows a record, or takes it to be shown at the end.
    fn put(&mut self, what: Record, record: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
        match &mut self.held {
            Some(held) => held.put(what, std::mem::take(record)),
            None => {
                out.write_all(record)?;
                self.entries += u64::from(what == Record::Entry { pushed: true });
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
                Output::Short(_) | Output::Explain(_) => {
                    let (what, time) = fired.until.map_or(("fires", fired.from), |until| ("is over", until));
                    let time = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
                    let (name, text) = (Line(&fired.name), alert.text());
                    let line = format!("{} alert {name} {what} {}", self.time(time), Line(&text));
                    let colour = if fired.until.is_some() { shown::OVER } else { shown::FIRES };
                    match &self.person {
                        Some(person) => writeln!(record, "{}", person.painted(colour, line))?,
                        None => writeln!(record, "{line}")?,
                    }
                    if fired.until.is_none() {
                        let told = alert.annotations().map(|(name, text)| format!("{name}: {text}"));
                        write_steps(&told.collect::<Vec<_>>(), &mut record)?;
                    }
                }
            }
            self.put(Record::Alert, &mut record, out)?;
        }
        Ok(())
    }

    /// Writes what was held back for `lines`. From now on, nothing is held back.
    pub(super) fn release(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(Held { mut records, .. }) = self.held.take() {
            if self.reverse {
                records.make_contiguous().reverse();
            }
            for (what, mut record) in records {
                self.put(what, &mut record, out)?;
            }
        }
        Ok(())
    }

    fn time(&self, time: jiff::Timestamp) -> String {
        match &self.person {
            Some(person) => person.time(time),
            None => shown::stable_time(time, &self.zone),
        }
    }

    fn write_short(&mut self, pushed: &Pushed, out: &mut Vec<u8>) -> Result<(), DryRunError> {
        let (stream, line) = (&pushed.stream, pushed.line()?);
        match &mut self.person {
            Some(person) => {
                person.show(out, pushed.timestamp(), &stream.labels, |name| stream.label(name), line)?;
            }
            None => {
                let time = shown::stable_time(pushed.timestamp(), &self.zone);
                shown::stable(out, &time, &stream.labels, line)?;
            }
        }
        Ok(())
    }

    /// One line of `-o json`. The order of the fields is part of the form.
    fn write_json(&mut self, pushed: &Pushed, out: &mut Vec<u8>) -> Result<(), DryRunError> {
        let stream = &pushed.stream;
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.time_text.clear();
        self.clock.say(pushed.timestamp(), &mut self.time_text);
        out.extend_from_slice(self.time_text.as_bytes());
        out.extend_from_slice(b"\",\"labels\":");
        out.extend_from_slice(stream.json().as_bytes());
        out.extend_from_slice(b",\"metadata\":{");
        for (at, pair) in pushed.metadata().enumerate() {
            let (name, value) = pair?;
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            write_json_text(out, name)?;
            out.push(b':');
            write_json_text(out, value)?;
        }
        out.extend_from_slice(b"},\"line\":");
        write_json_text(out, pushed.line()?)?;
        out.extend_from_slice(b",\"tenant\":");
        write_json(&mut *out, &stream.tenant.as_deref().or(self.tenant.as_deref()))?;
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// Writes what happened to an entry, each step in a line below it.
fn write_steps(steps: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    steps.iter().try_for_each(|step| writeln!(out, "    {}", Line(step)))
}
