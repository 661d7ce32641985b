//! `timestamp`: takes the time of an entry from an extracted value.
//!
//! The time in the journal is when journald got the line, and nobody can forge it. The time that a program writes may be
//! better for lines that were buffered, but it may spoil the order of a stream.

use std::sync::Arc;

use jiff::tz::{self, TimeZone};

use super::generations::Generations;
use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Refusal, Section, Value, quoted};
use logql::go::time::{self, Layout};
use logql::label_set::LabelSet;

/// How many label sets `fudge` remembers at least, with their last time (count), as in Promtail.
const REMEMBERED: usize = 10_000;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].timestamp", "section", ""),
    key("stages[].timestamp.source", "string", "required"),
    key("stages[].timestamp.format", "time format", "required"),
    key("stages[].timestamp.fallback_formats", "list of time formats", "[]"),
    key("stages[].timestamp.location", "time zone", "null"),
    key("stages[].timestamp.action_on_failure", "`fudge` or `skip`", "fudge"),
];

/// `stages[].timestamp`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The extracted value with the time.
    pub source: String,
    /// The formats. The first one that fits counts.
    pub formats: Vec<Format>,
    /// The zone of times without a zone. `None`: UTC.
    pub location: Option<TimeZone>,
    /// What happens if no format fits.
    pub on_failure: OnFailure,
}

/// The format of a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Seconds since 1970. They may have a fraction.
    Unix,
    /// Whole units since 1970, each of so many nanoseconds.
    UnixUnits(i64),
    /// A layout of Go.
    Layout(Layout),
}

/// What happens if a value is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The entry gets the last good time of the same labels, and a nanosecond more.
    Fudge,
    /// The entry keeps its time.
    Skip,
}

/// Layouts that have a name (Go, `time/format.go`).
const NAMED: [(&str, &str); 10] = [
    ("ANSIC", "Mon Jan _2 15:04:05 2006"),
    ("UnixDate", "Mon Jan _2 15:04:05 MST 2006"),
    ("RubyDate", "Mon Jan 02 15:04:05 -0700 2006"),
    ("RFC822", "02 Jan 06 15:04 MST"),
    ("RFC822Z", "02 Jan 06 15:04 -0700"),
    ("RFC850", "Monday, 02-Jan-06 15:04:05 MST"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("RFC3339", "2006-01-02T15:04:05Z07:00"),
    ("RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"),
];

fn format(text: &str) -> Format {
    match text {
        "Unix" => Format::Unix,
        "UnixMs" => Format::UnixUnits(1_000_000),
        "UnixUs" => Format::UnixUnits(1_000),
        "UnixNs" => Format::UnixUnits(1),
        text => {
            let named = NAMED.iter().find(|(name, _)| *name == text).map(|(_, layout)| *layout);
            Format::Layout(Layout::new(named.unwrap_or(text)))
        }
    }
}

/// Names of formats that are not layouts.
const UNIX: [&str; 4] = ["Unix", "UnixMs", "UnixUs", "UnixNs"];

/// Warns of a layout that cannot read the times that it is meant for.
fn doubted(checker: &Checker<'_>, value: &Value<'_>, text: &str) {
    if UNIX.contains(&text) || NAMED.iter().any(|(name, _)| *name == text) {
        return;
    }
    let Some(why) = time::doubt(text) else { return };
    let title = format!("`{}`: {} will not read the times that are meant", value.path, quoted(text));
    let finding = Finding::at(value.place(), title).label(why).note(
        "a layout is Go's reference time, Monday, January 2, 15:04:05 MST 2006, written as the times are",
    );
    let names = UNIX.into_iter().chain(NAMED.iter().map(|(name, _)| *name));
    checker.warn(match time::meant(text, names) {
        Some(meant) => finding.help(format!("did you mean `{meant}`?")),
        None => finding.help("for instance `2006-01-02 15:04:05`, or a name such as `RFC3339` or `Unix`"),
    });
}

/// Finds a zone by a name as for `time.LoadLocation` of Go. UTC needs no zone files.
fn zone(name: &str) -> Result<TimeZone, Refusal> {
    let refusal = |what: String| Refusal::new(what, "expected a name such as `Europe/Berlin`");
    let found = match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => TimeZone::try_system(),
        name => TimeZone::get(name),
    };
    found.map_err(|_| match tz::db().available().next() {
        Some(_) => refusal(format!("the time zone {} is not known", quoted(name))),
        None => refusal(format!("the time zone {} cannot be looked up here", quoted(name)))
            .help("there are no time zones in /usr/share/zoneinfo: install the package tzdata, or set TZDIR"),
    })
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].timestamp")?;
    let source = section.required(checker, value, "source", |value| source::source(checker, value));
    let known = |text: &str| match text.trim().is_empty() {
        true => {
            let expected = "expected for instance `RFC3339` or `2006-01-02 15:04:05`";
            Err(Refusal::new("a time format is empty", expected))
        }
        false => Ok(()),
    };
    let one = |value: &Value<'_>| {
        let text = checker.checked(value, "a time format", known)?;
        doubted(checker, value, &text);
        Some(text)
    };
    let first = section.required(checker, value, "format", one);
    let (mut more, mut location, mut on_failure) = (Vec::new(), None, OnFailure::Fudge);
    section.read("fallback_formats", &mut more, |value| checker.each(value, "a list of time formats", one));
    section.read("location", &mut location, |value| {
        let known = |name: &str| zone(name).map(|_| ());
        checker.checked(value, "a time zone", known).and_then(|name| zone(&name).ok()).map(Some)
    });
    section.read("action_on_failure", &mut on_failure, |value| {
        checker.choice(value, &[("fudge", OnFailure::Fudge), ("skip", OnFailure::Skip)])
    });
    let formats = std::iter::once(first?).chain(more).map(|text| format(&text)).collect();
    Some(Settings { source: source?, formats, location, on_failure })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Timestamp { settings: self.clone(), last: Generations::new(REMEMBERED) })
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        may.have_source(written);
    }
}

#[derive(Debug)]
struct Timestamp {
    settings: Settings,
    last: Generations<Arc<LabelSet>, i64>,
}

impl Format {
    fn parse(&self, text: &str, zone: &TimeZone, near: i64) -> Result<i64, String> {
        let whole = |text: &str| text.parse::<i64>().map_err(|_| format!("`{text}` is not a whole number"));
        let range = || format!("`{text}` is out of range");
        match self {
            Format::Unix => match text.split_once('.') {
                None => whole(text)?.checked_mul(1_000_000_000).ok_or_else(range),
                Some((seconds, fraction)) => {
                    let digits = fraction.get(..fraction.len().min(9)).unwrap_or_default();
                    if digits.is_empty() || !fraction.chars().all(|c| c.is_ascii_digit()) {
                        return Err(format!("`{text}` is not a number of seconds"));
                    }
                    let nanos = whole(&format!("{digits:0<9}"))?;
                    let seconds = whole(seconds)?.checked_mul(1_000_000_000).ok_or_else(range)?;
                    seconds.checked_add(nanos).ok_or_else(range)
                }
            },
            Format::UnixUnits(unit) => whole(text)?.checked_mul(*unit).ok_or_else(range),
            Format::Layout(layout) => layout.parse(text, zone, near).map_err(|error| error.to_string()),
        }
    }
}

impl Timestamp {
    fn time(&self, item: &Item) -> Result<i64, String> {
        let source = &self.settings.source;
        let text = item.extracted.text(source).ok_or_else(|| format!("there is no value `{source}`"))?;
        let zone = self.settings.location.clone().unwrap_or(TimeZone::UTC);
        let mut first = None;
        for format in &self.settings.formats {
            match format.parse(&text, &zone, item.timestamp_ns) {
                Ok(time) => return Ok(time),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_default())
    }
}

impl Stage for Timestamp {
    fn name(&self) -> &'static str {
        "timestamp"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let fudge = self.settings.on_failure == OnFailure::Fudge;
        let time = match self.time(item) {
            Ok(time) => time,
            Err(why) => {
                context.fail("timestamp", || why);
                if !fudge {
                    return Flow::Next;
                }
                match self.last.find(&item.labels) {
                    Some(last) => last.saturating_add(1),
                    None => return Flow::Next,
                }
            }
        };
        item.timestamp_ns = time;
        if fudge {
            *self.last.get(&item.labels, || time) = time;
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, one_stage, refusal};
    use super::*;

    const NEAR: i64 = 1_795_244_400_000_000_000; // 2026-11-21T07:00:00Z

    #[test]
    fn times_are_taken_in_every_format() {
        for (stage, value, expected) in [
            ("{source: ts, format: RFC3339}", "2026-11-21T06:30:00.5Z", 1_795_242_600_500_000_000),
            ("{source: ts, format: Unix}", "1795242600", 1_795_242_600_000_000_000),
            ("{source: ts, format: Unix}", "1795242600.25", 1_795_242_600_250_000_000),
            ("{source: ts, format: UnixMs}", "1795242600001", 1_795_242_600_001_000_000),
            ("{source: ts, format: UnixUs}", "1795242600000001", 1_795_242_600_000_001_000),
            ("{source: ts, format: UnixNs}", "1795242600000000001", 1_795_242_600_000_000_001),
            (
                "{source: ts, format: '02/Jan/2006 15:04:05', location: Europe/Berlin}",
                "21/Nov/2026 07:08:09",
                1_795_241_289_000_000_000,
            ),
            (
                "{source: ts, format: RFC3339, fallback_formats: [UnixMs, Unix]}",
                "1795242600",
                1_795_242_600_000_000,
            ),
            // What Promtail 3.6.9 answered.
            ("{source: ts, format: RFC3339Nano}", "2026-11-21T06:30:00.5Z", 1_795_242_600_500_000_000),
            ("{source: ts, format: RFC3339, action_on_failure: skip}", "haproxy", NEAR),
            ("{source: ts, format: Unix}", "-1.5", -500_000_000),
            ("{source: ts, format: Unix}", "1.", NEAR),
            ("{source: ts, format: Unix}", "1.2.3", NEAR),
            ("{source: ts, format: UnixMs}", "9999999999999999", NEAR),
            (
                "{source: ts, format: ANSIC, location: Local}",
                "Sat Nov 21 06:30:00 2026",
                "2026-11-21T06:30:00"
                    .parse::<jiff::civil::DateTime>()
                    .unwrap()
                    .to_zoned_datetime(TimeZone::system())
                    .unwrap()
                    .timestamp()
                    .as_nanosecond() as i64,
            ),
            (
                "{source: ts, format: ANSIC, location: UTC}",
                "Sat Nov 21 06:30:00 2026",
                1_795_242_600_000_000_000,
            ),
            (
                "{source: ts, format: ANSIC, location: ''}",
                "Sat Nov 21 06:30:00 2026",
                1_795_242_600_000_000_000,
            ),
            ("{source: ts, format: RFC3339}", "yesterday", NEAR),
            ("{source: ts, format: Unix}", "99999999999999", NEAR),
            ("{source: ts, format: Unix}", "1.x", NEAR),
            ("{source: other, format: Unix}", "1", NEAR),
        ] {
            let mut running = one_stage(&format!("timestamp: {stage}"));
            let mut item = item("", &[]);
            item.timestamp_ns = NEAR;
            item.extracted.set("ts", value.into());
            let mut context = Context::default();
            assert_eq!(running.run(&mut item, &mut context), Flow::Next);
            assert_eq!(item.timestamp_ns, expected, "{stage} {value}");
            assert_eq!(context.failed.contains_key("timestamp"), expected == NEAR, "{stage} {value}");
        }
    }

    #[test]
    fn a_failure_is_fudged_or_skipped() {
        for (action, expected) in [
            ("fudge", [5_000_000_000, 5_000_000_001, 5_000_000_002, NEAR]),
            ("skip", [5_000_000_000, NEAR, NEAR, NEAR]),
        ] {
            let mut stage =
                one_stage(&format!("timestamp: {{source: ts, format: Unix, action_on_failure: {action}}}"));
            let mut run = |unit: &str, value: &str| {
                let mut item = item("", &[("unit", unit)]);
                item.timestamp_ns = NEAR;
                item.extracted.set("ts", value.into());
                stage.run(&mut item, &mut Context::default());
                item.timestamp_ns
            };
            assert_eq!([run("a", "5"), run("a", "x"), run("a", "x"), run("b", "x")], expected, "{action}");
        }
    }

    #[test]
    fn what_cannot_be_read_with_is_refused() {
        for (written, part) in [
            ("{format: Unix}", "has no `source`"),
            ("{source: ts}", "has no `format`"),
            ("{source: ts, format: ''}", "a time format is empty"),
            ("{source: ts, format: Unix, location: Mars/Olympus}", "is not known"),
            ("{source: ts, format: Unix, action_on_failure: drop}", "cannot be `drop`"),
        ] {
            let text = refusal(&format!("timestamp: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
