//! What was found, for a person and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::repair::Mended;
use super::{Difference, Known, Report};
use crate::os::text::Line;
use logql::label_set::parse;

/// The most differences that are shown to a person (count).
const SHOWN_MAX: usize = 50;

/// What JSON says; the names are part of the interface.
#[derive(Serialize)]
struct Object<'r> {
    destination: &'r str,
    from: String,
    to: String,
    all_there: bool,
    entries: u64,
    streams: u64,
    missing: u64,
    counted_twice: u64,
    altered: u64,
    known: BTreeMap<&'static str, u64>,
    before_first: u64,
    not_sent_yet: u64,
    requests: u64,
    differences: Vec<Row<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'r Mended>,
}

#[derive(Serialize)]
struct Row<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'r str>,
    stream: BTreeMap<String, String>,
    from: String,
    to: String,
    journal: u64,
    loki: u64,
    missing: u64,
    counted_twice: u64,
    altered: u64,
    only_in_loki: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Report {
    /// Whether everything is in Loki, and metric queries count it once.
    pub fn is_all_there(&self) -> bool {
        self.missing() == 0 && self.twice() == 0
    }

    /// Entries that are not in their stream for a known reason, by the reason (count).
    fn known(&self) -> BTreeMap<Known, u64> {
        let mut known = BTreeMap::new();
        for difference in &self.differences {
            if let Some(reason) = difference.known {
                *known.entry(reason).or_default() += difference.missing;
            }
        }
        known
    }

    fn altered(&self) -> u64 {
        self.differences.iter().map(|difference| difference.altered).sum()
    }

    /// One JSON object, with what was sent again.
    pub fn json(&self, repaired: Option<&Mended>) -> String {
        let rows =
            self.differences.iter().filter(|difference| difference.is_of_interest()).map(|difference| {
                let name = self.stream(difference);
                Row {
                    tenant: name.and_then(|name| name.tenant.as_deref()),
                    stream: name.map(|name| parse(&name.labels)).unwrap_or_default(),
                    from: utc(difference.within.after),
                    to: utc(difference.within.until),
                    journal: difference.journal,
                    loki: difference.counted,
                    missing: difference.missing,
                    counted_twice: difference.twice,
                    altered: difference.altered,
                    only_in_loki: difference.more,
                    reason: difference.known.map(Known::name),
                }
            });
        let object = Object {
            destination: &self.destination,
            from: utc(self.span.after),
            to: utc(self.span.until),
            all_there: self.is_all_there(),
            entries: self.entries,
            streams: self.streams,
            missing: self.missing(),
            counted_twice: self.twice(),
            altered: self.altered(),
            known: self.known().into_iter().map(|(reason, entries)| (reason.name(), entries)).collect(),
            before_first: self.before,
            not_sent_yet: self.later,
            requests: self.requests,
            differences: rows.collect(),
            repaired,
        };
        // Names and numbers are always valid JSON.
        serde_json::to_string(&object).unwrap_or_default() + "\n"
    }

    /// For a person: what differs, and what it comes to.
    pub fn text(&self, zone: &TimeZone) -> String {
        let shown: Vec<&Difference> = self.differences.iter().filter(|d| d.is_of_interest()).collect();
        let mut text = String::new();
        if !shown.is_empty() {
            text += "from                 to                    journal     loki  missing    twice  stream\n";
        }
        for difference in shown.iter().take(SHOWN_MAX) {
            let Difference { within, journal, counted, missing, twice, .. } = difference;
            let (from, to) = (local(within.after, zone), local(within.until, zone));
            let stream = self.stream(difference).map_or("", |name| &name.labels);
            let reason = difference.known.map_or(String::new(), |known| format!(" ({})", known.words()));
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{from}  {to}  {journal:>7}  {counted:>7}  {missing:>7}  {twice:>7}  {}{reason}",
                Line(stream)
            );
        }
        if shown.len() > SHOWN_MAX {
            let _ = writeln!(text, "and {} more; -o json has all of them", shown.len() - SHOWN_MAX);
        }
        text + &self.summary(zone)
    }

    fn summary(&self, zone: &TimeZone) -> String {
        let (missing, twice, altered) = (self.missing(), self.twice(), self.altered());
        let compared = format!(
            "{} in {} compared with loki `{}`, {} to {}",
            count(self.entries, "entry", "entries"),
            count(self.streams, "stream", "streams"),
            self.destination,
            local(self.span.after, zone),
            local(self.span.until, zone)
        );
        let mut lines = vec![match (missing, twice) {
            (0, 0) if self.entries == 0 => format!(
                "{compared}: there was nothing to compare, and Loki was not asked; if this host writes a journal, see journal.paths and \
                 journal.match, and whether journald has deleted so much already"
            ),
            (0, 0) => format!("{compared}: all there"),
            (0, _) => format!("{compared}: nothing is missing"),
            // The alert rule VerifyFoundMissingEntries looks for this sentence.
            _ => format!("{} missing from loki `{}`; {compared}", are(missing), self.destination),
        }];
        if twice > 0 {
            lines.push(format!(
                "a metric query counts {twice} too many: entries that were sent twice, after a lost answer or a crash; log \
                 queries show them once, and nothing can be mended"
            ));
        }
        if missing == self.entries && missing > 0 {
            lines.push("Loki has none of them: is `tenant` right, and do the labels there come from this configuration?".to_owned());
        }
        for (reason, entries) in self.known() {
            lines.push(format!(
                "{} not in {} stream: {}",
                are(entries),
                if entries == 1 { "its" } else { "their" },
                reason.words()
            ));
        }
        if altered > 0 {
            lines.push(format!(
                "{} another text in Loki than in the journal, as where a long line was cut",
                if altered == 1 { "1 entry has".to_owned() } else { format!("{altered} entries have") }
            ));
        }
        if self.before > 0 {
            lines.push(format!(
                "{} not compared: older than the first that the agent was to send (journal.backfill)",
                are(self.before)
            ));
        }
        if self.later > 0 {
            lines.push(format!("{} not compared: Loki has not acknowledged them yet", are(self.later)));
        }
        lines.join("\n") + "\n"
    }
}

impl Difference {
    /// Whether it says anything of the journal's entries. What only Loki has may be of another host, or of a journal that was
    /// deleted since.
    fn is_of_interest(&self) -> bool {
        self.missing > 0 || self.twice > 0 || self.altered > 0
    }
}

impl Known {
    /// What to tell a person.
    fn words(self) -> &'static str {
        match self {
            Known::TooOld => "older than Loki took when the agent first started (reject_old_samples_max_age)",
            Known::Overflow => {
                "in an overflow stream, because Loki had no room for a new one (max_global_streams_per_user)"
            }
        }
    }
}

impl Mended {
    /// For a person: what was sent again, and what Loki said.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} sent again, {} acknowledged",
            count(self.sent, "entry was", "entries were"),
            self.acknowledged
        );
        for (reason, entries) in &self.refused {
            let _ = write!(text, ", {entries} refused ({reason})");
        }
        text + "\n"
    }
}

fn count(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// `1 entry is`, `2 entries are`
fn are(entries: u64) -> String {
    count(entries, "entry is", "entries are")
}

/// A time in UTC (RFC 3339).
fn utc(time: i64) -> String {
    Timestamp::from_nanosecond(time.into()).unwrap_or_default().to_string()
}

/// A time as the clocks of this machine show it.
fn local(time: i64, zone: &TimeZone) -> String {
    let time = Timestamp::from_nanosecond(time.into()).unwrap_or_default();
    time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
