//! An entry as a person sees it on a terminal: when, from what, and the message; what all entries of a stream have in common is
//! said once, before its first one.
//!
//! ```text
//! ── {host="oak", job="systemd-journal", level="info", service_name="ssh.service", unit="ssh.service"}
//! 2026-11-08 02:54:07.631  ssh.service    Failed password for invalid user admin from 203.0.113.10 port 30413 ssh2
//! ```
//!
//! Programs get another form, which does not change: see [`stable`].

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use crate::os::text::{Block, Line};

/// How entries look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// For programs: each line with its time, all labels, and the text.
    Stable,
    /// For a person on a terminal.
    Person {
        /// Levels are shown as colours; without, as words.
        colours: bool,
    },
}

/// The beginning of the lines of an entry after the first, in the stable form. It is longer than that of a step of
/// `-o explain`, so that no line of a message looks like an entry or a step.
const GOES_ON: &str = "        ";
/// The widest column of units (columns); longer names push their message to the right.
const UNIT_MAX: usize = 30;
/// Streams whose labels were shown and are remembered (count, 8 bytes each); behind them, labels may be shown again.
const STREAMS_MAX: usize = 1 << 16;
/// Labels that say what an entry comes from, the best first.
const SOURCES: [&str; 4] = ["unit", "user_unit", "service_name", "job"];

/// ANSI sequences (ECMA-48, 8.3.117, SGR).
pub(crate) const DIM: &str = "\u{1b}[2m";
/// Of alerts that begin, and that end.
pub(crate) const FIRES: &str = "\u{1b}[1;31m";
pub(crate) const OVER: &str = "\u{1b}[32m";
const RESET: &str = "\u{1b}[0m";

/// The colour of a level's messages; `None`: as the terminal has it.
fn colour(level: &str) -> Option<&'static str> {
    match level {
        "emerg" | "alert" | "crit" | "critical" | "fatal" => Some("\u{1b}[1;31m"),
        "error" => Some("\u{1b}[31m"),
        "warning" => Some("\u{1b}[33m"),
        "notice" => Some("\u{1b}[1m"),
        "debug" => Some(DIM),
        _ => None,
    }
}

/// Whether a level is said where colours cannot say it.
fn is_bad(level: &str) -> bool {
    matches!(level, "emerg" | "alert" | "crit" | "critical" | "fatal" | "error" | "warning")
}

/// A time in the form for programs: with microseconds and the zone's offset.
pub fn stable_time(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
}

/// Says times as [`stable_time`]. Those of one second differ in its fraction only, and entries come in the order of time.
#[derive(Debug)]
pub struct Clock {
    zone: TimeZone,
    /// With nanoseconds, and `Z` in place of the offset.
    precise: bool,
    /// The second that was said last (since 1970), and what stands before and behind its fraction.
    second: Option<i128>,
    before: String,
    behind: String,
}

impl Clock {
    /// Says times in this zone.
    pub fn new(zone: TimeZone) -> Clock {
        Clock { zone, precise: false, second: None, before: String::new(), behind: String::new() }
    }

    /// Says times in UTC to the nanosecond, as `2026-01-05T00:00:00.000000000Z`.
    pub fn precise() -> Clock {
        Clock { precise: true, ..Clock::new(TimeZone::UTC) }
    }

    /// Adds a time to a text.
    pub fn say(&mut self, time: Timestamp, text: &mut String) {
        const SECOND: i128 = 1_000_000_000;
        let nanoseconds = time.as_nanosecond();
        let second = nanoseconds.div_euclid(SECOND);
        if self.second != Some(second) {
            let zoned = time.to_zoned_datetime(self.zone.clone());
            self.second = Some(second);
            self.before = zoned.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.behind = zoned.strftime("%:z").to_string();
        }
        let fraction = nanoseconds.rem_euclid(SECOND);
        // Nothing can be refused here.
        let _ = match self.precise {
            true => write!(text, "{}.{fraction:09}Z", self.before),
            false => write!(text, "{}.{:06}{}", self.before, fraction / 1000, self.behind),
        };
    }
}

/// Writes an entry in the form for programs: time, `{labels}`, text.
///
/// # Errors
/// When `out` cannot be written to.
pub fn stable(out: &mut impl Write, time: &str, labels: &str, text: &str) -> io::Result<()> {
    let text = Block { text, indent: GOES_ON };
    writeln!(out, "{time} {} {text}", Line(labels))
}

/// Writes an entry that is not sent, in the form for programs: time, what becomes of it, `{labels}`, text.
///
/// # Errors
/// When `out` cannot be written to.
pub fn stable_unsent(
    out: &mut impl Write,
    time: Timestamp,
    zone: &TimeZone,
    what: &str,
    labels: &str,
    text: &str,
) -> io::Result<()> {
    let text = Block { text, indent: GOES_ON };
    writeln!(out, "{} {what} {} {text}", stable_time(time, zone), Line(labels))
}

/// Shows entries to a person, and remembers what was said.
pub struct Person {
    zone: TimeZone,
    colours: bool,
    /// The labels of a stream stand before its first entry.
    headings: bool,
    hasher: RandomState,
    /// Hashes of the label sets that were shown.
    streams: HashSet<u64>,
    /// The first host; hosts are shown once there is another one.
    host: Option<String>,
    several: bool,
    /// The width of the column of units so far.
    width: usize,
}

impl Person {
    /// Nothing was shown yet. Times are shown in this zone.
    pub fn new(zone: TimeZone, colours: bool) -> Person {
        Person {
            zone,
            colours,
            headings: true,
            hasher: RandomState::new(),
            streams: HashSet::new(),
            host: None,
            several: false,
            width: 0,
        }
    }

    /// The same, where something else says what stream an entry is of.
    pub fn without_headings(self) -> Person {
        Person { headings: false, ..self }
    }

    /// A time as it stands before an entry, 23 columns wide.
    pub fn time(&self, time: Timestamp) -> String {
        time.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
    }

    /// A text in a colour, if there are colours.
    pub fn painted(&self, sequence: &str, text: impl std::fmt::Display) -> String {
        match self.colours {
            true => format!("{sequence}{text}{RESET}"),
            false => text.to_string(),
        }
    }

    /// Writes an entry. `labels`: all of them as one text, as Loki writes a stream. `label`: the value of one.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn show<'l>(
        &mut self,
        out: &mut impl Write,
        time: Timestamp,
        labels: &str,
        label: impl Fn(&str) -> Option<&'l str>,
        text: &str,
    ) -> io::Result<()> {
        if self.headings && self.is_new(labels) {
            writeln!(out, "{}", self.painted(DIM, format_args!("── {}", Line(labels))))?;
        }
        let from = self.source(&label);
        let level = label("level").unwrap_or_default();
        let time = self.time(time);
        let indent = " ".repeat(time.len() + 2 + from.width() + 2);
        let text = Block { text, indent: &indent };
        let text = match colour(level) {
            Some(colour) if self.colours => self.painted(colour, text),
            _ if is_bad(level) => format!("[{level}] {text}"),
            _ => text.to_string(),
        };
        writeln!(out, "{}  {from}  {text}", self.painted(DIM, time))
    }

    /// Writes an entry that is not sent, dimmed, and `what` becomes of it.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn show_unsent<'l>(
        &mut self,
        out: &mut impl Write,
        time: Timestamp,
        what: &str,
        label: impl Fn(&str) -> Option<&'l str>,
        text: &str,
    ) -> io::Result<()> {
        let from = self.source(&label);
        let time = self.time(time);
        let indent = " ".repeat(time.len() + 2 + from.width() + 2);
        let text = Block { text, indent: &indent };
        writeln!(out, "{}", self.painted(DIM, format_args!("{time}  {from}  {what}: {text}")))
    }

    /// Whether a label set is shown for the first time.
    fn is_new(&mut self, labels: &str) -> bool {
        if self.streams.len() >= STREAMS_MAX {
            self.streams.clear();
        }
        self.streams.insert(self.hasher.hash_one(labels))
    }

    /// What an entry comes from: the host, if there are several, and the unit, as wide as others before.
    fn source<'l>(&mut self, label: &impl Fn(&str) -> Option<&'l str>) -> String {
        let host = label("host").unwrap_or_default();
        match &self.host {
            None => self.host = Some(host.to_owned()),
            Some(first) => self.several |= first != host,
        }
        let unit = SOURCES.iter().find_map(|name| label(name).filter(|value| !value.is_empty()));
        let mut from = Line(unit.unwrap_or("-")).to_string();
        if self.several {
            from = format!("{} {from}", Line(host));
        }
        let width = from.width();
        self.width = self.width.max(width.min(UNIT_MAX));
        from.push_str(&" ".repeat(self.width.saturating_sub(width)));
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a person sees of entries of these hosts, units, levels and texts.
    fn shown(colours: bool, entries: &[(&str, &str, &str, &str)]) -> String {
        let mut person = Person::new(TimeZone::UTC, colours);
        let mut out = Vec::new();
        for (n, (host, unit, level, text)) in (0..).zip(entries) {
            let labels = format!("{{host={host:?}, level={level:?}, unit={unit:?}}}");
            let label = |name: &str| match name {
                "host" => Some(*host),
                "unit" => Some(*unit),
                "level" => Some(*level),
                _ => None,
            };
            let time = Timestamp::from_millisecond(1_764_000_000_000 + n).unwrap();
            person.show(&mut out, time, &labels, label, text).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_clock_says_times_as_they_are_said_alone() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut clock = Clock::new(zone.clone());
        // The end of summer time, where the same hour comes twice, and before 1970.
        let change = 1_792_889_999_999_999_999_i128;
        for nanoseconds in
            [0, 1, 999, 1000, 999_999_999, 1_000_000_000, -1, -1_000_000_000, change, change + 1, change]
        {
            let time = Timestamp::from_nanosecond(nanoseconds).unwrap();
            let mut text = String::from("at ");
            clock.say(time, &mut text);
            let before_1970 = nanoseconds < 0 && nanoseconds % 1_000_000_000 != 0;
            // Alone, a fraction before 1970 is cut towards 1970.
            let alone = if before_1970 {
                "1970-01-01T00:59:59.999999+01:00".into()
            } else {
                stable_time(time, &zone)
            };
            assert_eq!(text, format!("at {alone}"));
        }
    }

    #[test]
    fn labels_come_once_and_the_host_where_there_are_several() {
        assert_eq!(
            shown(
                false,
                &[
                    ("oak", "ssh.service", "info", "one"),
                    ("oak", "a", "warning", "two\nlines"),
                    ("oak", "ssh.service", "info", "three"),
                    ("elm", "漢.service", "debug", "four"),
                ]
            ),
            "── {host=\"oak\", level=\"info\", unit=\"ssh.service\"}\n\
             2025-11-24 16:00:00.000  ssh.service  one\n\
             ── {host=\"oak\", level=\"warning\", unit=\"a\"}\n\
             2025-11-24 16:00:00.001  a            [warning] two\n                                      lines\n\
             2025-11-24 16:00:00.002  ssh.service  three\n\
             ── {host=\"elm\", level=\"debug\", unit=\"漢.service\"}\n\
             2025-11-24 16:00:00.003  elm 漢.service  four\n"
        );
    }

    #[test]
    fn levels_are_colours() {
        for (level, begin, end) in [
            ("crit", "\u{1b}[1;31m", RESET),
            ("error", "\u{1b}[31m", RESET),
            ("warning", "\u{1b}[33m", RESET),
            ("notice", "\u{1b}[1m", RESET),
            ("info", "", ""),
            ("", "", ""),
            ("debug", "\u{1b}[2m", RESET),
        ] {
            let shown = shown(true, &[("h", "u", level, "text")]);
            let line = shown.lines().nth(1).unwrap();
            assert_eq!(line, format!("{DIM}2025-11-24 16:00:00.000{RESET}  u  {begin}text{end}"), "{level}");
        }
    }

    /// Nothing that a stranger wrote begins a line, colours it, or is a line of labels.
    #[test]
    fn a_stranger_forges_nothing() {
        let text = "a\n── {unit=\"sshd.service\"}\n2025-11-24 16:00:00.000  sshd.service  Accepted\u{1b}[31m\u{202e}";
        let shown = shown(true, &[("h\n", "u\u{1b}[0m\n2025", "info", text)]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert!(lines[0].starts_with("\u{1b}[2m── {host="), "{shown}");
        assert!(lines[1].starts_with("\u{1b}[2m2025-11-24 16:00:00.000"), "{shown}");
        assert!(lines[2..].iter().all(|line| line.starts_with("                        ")), "{shown}");
        assert_eq!(shown.matches('\u{1b}').count(), 4, "{shown}");
    }
}
