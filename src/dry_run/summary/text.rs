//! The report of a dry run as a text for a person. All times are in one zone.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::hits::{Hit, Many, period};
use super::report::{Alert, Class, Report, Rule, Stream};
use super::times::{COLUMNS, histogram};
use crate::os::text::Line;
use crate::yaml::Unmet;
use crate::yaml::units::format_duration;

/// Streams that are listed, the largest first (count).
const STREAMS_SHOWN: usize = 20;
/// Alerts of one rule that are listed, the latest last (count).
const ALERTS_SHOWN: usize = 10;
/// A day (seconds).
const DAY: f64 = 24.0 * 3600.0;
/// A span from which nothing is said of a day, and one from which that is said with a reserve (seconds).
const TOO_SHORT: f64 = 60.0;
const SHORT: f64 = 3600.0;

/// Writes a report.
pub(in crate::dry_run) struct Text<'r, W> {
    report: &'r Report,
    out: &'r mut W,
    zone: TimeZone,
    /// From the first entry to the last (seconds).
    span: f64,
}

impl<'r, W: Write> Text<'r, W> {
    /// Times are shown in this zone.
    pub(in crate::dry_run) fn new(report: &'r Report, out: &'r mut W, zone: TimeZone) -> Text<'r, W> {
        let span = match (report.first, report.last) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        Text { report, out, zone, span }
    }

    /// All of it.
    pub(in crate::dry_run) fn write(mut self) -> io::Result<()> {
        self.head()?;
        self.not_sent()?;
        self.streams()?;
        self.labels()?;
        self.retention()?;
        self.limits()?;
        if !self.report.rules.is_empty() {
            self.alerts()?;
        }
        self.unmet()
    }

    /// What so many bytes are in a day.
    fn a_day(&self, bytes: u64) -> String {
        match self.span {
            span if span < TOO_SHORT => "-".into(),
            span if span < SHORT => format!("~{}", human(bytes as f64 * DAY / span)),
            span => human(bytes as f64 * DAY / span),
        }
    }

    fn time(&self, time: jiff::Timestamp) -> String {
        time.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    fn head(&mut self) -> io::Result<()> {
        let Report { entries, bytes, streams, first, last, .. } = self.report;
        let (size, a_day) = (human(*bytes as f64), self.a_day(*bytes));
        let (entries, streams) =
            (counted(*entries, "entry", "entries"), counted(streams.len() as u64, "stream", "streams"));
        writeln!(self.out, "{entries} in {streams}, {size}; {a_day} a day")?;
        if let (Some(first), Some(last)) = (first, last) {
            writeln!(self.out, "{}", from_to(*first, *last, &self.zone))?;
            let lasted = format_duration(Duration::from_secs(self.span as u64));
            if self.span < TOO_SHORT {
                writeln!(self.out, "too short to say what a day has")?;
            } else if self.span < SHORT {
                writeln!(self.out, "what a day has (~) is extrapolated from {lasted} only")?;
            }
        }
        if self.report.older_than_backfill > 0 {
            let (older, backfill) = (self.report.older_than_backfill, &self.report.backfill);
            match older {
                1 => writeln!(self.out, "1 of them is older than {backfill}: a first start leaves it out")?,
                _ => writeln!(
                    self.out,
                    "{older} of them are older than {backfill}: a first start leaves them out"
                )?,
            }
        }
        Ok(())
    }

    fn not_sent(&mut self) -> io::Result<()> {
        writeln!(self.out, "\nnot sent: {}", self.report.not_sent)?;
        for (reason, count) in &self.report.reasons {
            writeln!(self.out, "{count:>12}  {reason}")?;
        }
        for (what, count) in &self.report.changed {
            writeln!(self.out, "changed on the way:{count:>12}  {what}")?;
        }
        Ok(())
    }

    fn streams(&mut self) -> io::Result<()> {
        writeln!(self.out, "\nstreams, the largest first")?;
        let each = (self.span / COLUMNS as f64).ceil() as u64;
        // Seconds do not matter in hours.
        let each = if each > 600 { each - each % 60 } else { each };
        // All entries may be of one moment.
        let over_time = match each {
            0 => "over time".to_owned(),
            each => format!("over time, {} each", format_duration(Duration::from_secs(each))),
        };
        writeln!(
            self.out,
            "{:>12} {:>10} {:>10}  {over_time:COLUMNS$}  labels",
            "entries", "bytes", "a day"
        )?;
        for Stream { tenant, entries, bytes, over_time, text, .. } in
            self.report.streams.iter().take(STREAMS_SHOWN)
        {
            let tenant = tenant.as_ref().map(|t| format!(" tenant {}", Line(t))).unwrap_or_default();
            let (size, a_day, bars) = (human(*bytes as f64), self.a_day(*bytes), histogram(over_time));
            writeln!(self.out, "{entries:>12} {size:>10} {a_day:>10}  {bars}  {text}{tenant}")?;
        }
        if let Some(more) = self.report.streams.len().checked_sub(STREAMS_SHOWN + 1) {
            writeln!(self.out, "{:>12} more", more + 1)?;
        }
        Ok(())
    }

    fn labels(&mut self) -> io::Result<()> {
        writeln!(self.out, "\nlabels and how many values each takes")?;
        for (name, count) in &self.report.labels {
            writeln!(self.out, "{count:>12}  {name}")?;
        }
        for Many { label, values, examples, advice } in &self.report.many_values {
            writeln!(self.out, "warning: {label} takes {values} values, and each is a stream of its own")?;
            writeln!(self.out, "    as {}, …", Line(&examples.join(", ")))?;
            writeln!(self.out, "    {advice}")?;
        }
        Ok(())
    }

    fn retention(&mut self) -> io::Result<()> {
        if self.report.retention.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "\nretention, by rule; the first that matches decides")?;
        writeln!(
            self.out,
            "{:>8} {:>8} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9}",
            "class", "streams", "entries", "bytes", "a day", "in store", "dropped", "sampled", "too old"
        )?;
        let mut store = 0.0;
        for rule in &self.report.retention {
            let Class { rule, class, streams, entries, bytes, dropped, sampled, expired } = rule;
            let kept = period(class.as_deref()).map_or(0.0, |period| period.as_secs_f64());
            let (size, a_day) = (human(*bytes as f64), self.a_day(*bytes));
            let in_store = match self.span < TOO_SHORT || kept == 0.0 {
                true => "-".to_owned(),
                false => human(*bytes as f64 * kept / self.span),
            };
            store += *bytes as f64 * kept;
            let class = class.as_deref().unwrap_or("-");
            writeln!(
                self.out,
                "{class:>8} {streams:>8} {entries:>10} {size:>10} {a_day:>10} {in_store:>10} {dropped:>9} {sampled:>9} {expired:>9}  {rule}"
            )?;
        }
        if self.span >= TOO_SHORT {
            let store = human(store / self.span);
            writeln!(
                self.out,
                "kept for its time, at this rate, all of it comes to {store} of lines before Loki compresses them"
            )?;
        }
        Ok(())
    }

    fn limits(&mut self) -> io::Result<()> {
        if self.report.loki_limits.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "\nLoki's default limits that would be hit")?;
        for Hit { limit, default, what } in &self.report.loki_limits {
            writeln!(self.out, "    {limit} ({default}): {what}")?;
        }
        Ok(())
    }

    fn unmet(&mut self) -> io::Result<()> {
        if self.report.unmet.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "\nmet nothing in these entries")?;
        for Unmet { file, path, what, rare } in &self.report.unmet {
            let file = file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
            if rare.is_none() {
                writeln!(self.out, "    {file}{path}: {what}")?;
            }
        }
        let rare: Vec<&str> = self.report.unmet.iter().filter_map(|unmet| unmet.rare.as_deref()).collect();
        if !rare.is_empty() {
            writeln!(
                self.out,
                "    rules, as is usual where they look for what is rare: {}",
                Line(&rare.join(", "))
            )?;
        }
        Ok(())
    }

    fn alerts(&mut self) -> io::Result<()> {
        let report = self.report;
        writeln!(self.out, "\nalerts that would have fired: {}", report.alerts.len())?;
        let mut by_rule: BTreeMap<usize, Vec<&Alert>> = BTreeMap::new();
        for alert in &report.alerts {
            by_rule.entry(alert.rule).or_default().push(alert);
        }
        for alerts in by_rule.values() {
            self.alerts_of_rule(alerts)?;
        }
        let rules = report.rules.iter().enumerate();
        let quiet =
            rules.filter(|(number, rule)| rule.failures == 0 && !by_rule.contains_key(number)).count();
        let rules = if quiet == 1 { "rule" } else { "rules" };
        writeln!(self.out, "{quiet:>12}  {rules} without an alert and without a failure")?;
        self.failures()
    }

    fn alerts_of_rule(&mut self, alerts: &[&Alert]) -> io::Result<()> {
        let Some(first) = alerts.first() else { return Ok(()) };
        let times = if alerts.len() == 1 { "once".to_owned() } else { format!("{} times", alerts.len()) };
        let (name, group) = (Line(&first.name), Line(&first.group));
        writeln!(self.out, "    {name} (group {group}): {times}")?;
        if let Some(earlier) = alerts.len().checked_sub(ALERTS_SHOWN).filter(|earlier| *earlier > 0) {
            writeln!(self.out, "        {earlier} earlier ones; all: -o json")?;
        }
        for alert in alerts.iter().skip(alerts.len().saturating_sub(ALERTS_SHOWN)) {
            let lasted = match alert.until {
                Some(until) => format!("for {}", lasted(until.duration_since(alert.from))),
                None => "still firing".to_owned(),
            };
            let from = self.time(alert.from);
            writeln!(self.out, "        {from} {lasted}  {}", Line(&alert.text()))?;
        }
        for (name, text) in first.annotations() {
            writeln!(self.out, "        of the first, {}: {}", Line(name), Line(text))?;
        }
        Ok(())
    }

    fn failures(&mut self) -> io::Result<()> {
        for Rule { group, name, left_out, .. } in self.report.rules.iter().filter(|rule| rule.left_out > 0) {
            writeln!(
                self.out,
                "over its limit: {name} (group {group}), {left_out} left out; see docs/rules.md, Limits"
            )?;
        }
        for Rule { group, name, evaluations, failures, error, .. } in
            self.report.rules.iter().filter(|rule| rule.failures > 0)
        {
            // The first line says what it is, the others what to do about it in general.
            let error = error.as_ref().and_then(|error| error.lines().next());
            let error = error.map(|error| format!(": {}", Line(error))).unwrap_or_default();
            writeln!(
                self.out,
                "failed: {name} (group {group}), {failures} of {evaluations} evaluations{error}"
            )?;
        }
        for Rule { group, name, template_failures, template_error, .. } in &self.report.rules {
            if let Some(error) = template_error {
                writeln!(
                    self.out,
                    "templates failed: {name} (group {group}), {template_failures} times: {}",
                    Line(error)
                )?;
            }
        }
        Ok(())
    }
}

/// Two times with their zone; with one each, where a clock was changed between them.
fn from_to(first: jiff::Timestamp, last: jiff::Timestamp, zone: &TimeZone) -> String {
    let shown =
        |time: jiff::Timestamp, form: &str| time.to_zoned_datetime(zone.clone()).strftime(form).to_string();
    let time = |time| shown(time, "%Y-%m-%d %H:%M:%S");
    let (zone_of_first, zone_of_last) = (shown(first, "%Z"), shown(last, "%Z"));
    match zone_of_first == zone_of_last {
        true => format!("from {} to {} ({zone_of_last})", time(first), time(last)),
        false => format!("from {} ({zone_of_first}) to {} ({zone_of_last})", time(first), time(last)),
    }
}

/// So many of something, with the word for one or for several.
fn counted(count: u64, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

/// A duration for a person, in whole seconds.
fn lasted(duration: jiff::SignedDuration) -> String {
    format_duration(Duration::from_secs(u64::try_from(duration.as_secs()).unwrap_or(0)))
}

/// Bytes for a person.
fn human(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while value >= 1000.0
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_two_zones_have_one_each() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let shown = |first: &str, last: &str| from_to(first.parse().unwrap(), last.parse().unwrap(), &zone);
        assert_eq!(
            shown("2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z"),
            "from 2026-10-25 02:00:00 (CEST) to 2026-10-25 02:30:00 (CET)"
        );
        assert_eq!(
            shown("2026-07-01T00:00:00Z", "2026-07-01T01:30:00Z"),
            "from 2026-07-01 02:00:00 to 2026-07-01 03:30:00 (CEST)"
        );
    }
}
