//! What of the default limits of a Loki the entries would hit, and labels that take too many values.

use std::collections::BTreeSet;
use std::time::Duration;

use logql::go::re2::Re2;
use serde::Serialize;

use crate::os::text::clip;
use crate::shape::limits::{
    AGE_MAX, INGESTION_BURST, INGESTION_RATE, STREAM_BURST, STREAM_RATE, STREAMS_MAX,
};
use crate::shape::line::CUT_MARK;

/// A label with so many values is worth a warning (count): Loki's documents advise for tens of values.
const VALUES_MANY: usize = 100;
/// Values that are shown of such a label (count).
const VALUES_SHOWN: usize = 3;
/// The longest part of such a value that is shown (bytes).
const VALUE_SHOWN: usize = 48;
/// Second and minute (nanoseconds).
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Where packages have the recipes.
const RECIPES: &str = "/usr/share/journal-ship/recipes";

/// A limit that Loki has by default, and what of the entries would hit it.
#[derive(Debug, Serialize)]
pub(super) struct Hit {
    /// Its name in Loki's `limits_config`.
    pub(super) limit: &'static str,
    /// Its default.
    pub(super) default: &'static str,
    /// What hits it, and what happens then.
    pub(super) what: String,
}

/// A label that takes many values, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct Many {
    pub(super) label: String,
    pub(super) values: usize,
    pub(super) examples: Vec<String>,
    pub(super) advice: String,
}

/// Bytes within a second and a minute, and the most of them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Peak {
    second: (i64, u64),
    minute: (i64, u64),
    most: (u64, u64),
}

impl Peak {
    /// Counts bytes at a time (nanoseconds since 1970). Entries come in their order, or nearly.
    pub(super) fn add(&mut self, time_ns: i64, bytes: u64) {
        let spans =
            [(&mut self.second, &mut self.most.0, SECOND), (&mut self.minute, &mut self.most.1, MINUTE)];
        for ((at, sum), most, span) in spans {
            let now = time_ns.div_euclid(span);
            if *at != now {
                (*at, *sum) = (now, 0);
            }
            *sum += bytes;
            *most = (*most).max(*sum);
        }
    }

    /// Whether a limit of bytes a second, and of bytes at once, would be hit.
    fn hits(&self, rate: u64, burst: u64) -> bool {
        self.most.0 > burst || self.most.1 > rate * 60
    }
}

/// What is counted of all entries for the limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) peak: Peak,
    /// Lines that were cut, and entries older than Loki takes (count).
    pub(super) cut: u64,
    pub(super) old: u64,
}

impl Limits {
    /// Counts an entry; times in nanoseconds since 1970.
    pub(super) fn add(&mut self, line: &str, time_ns: i64, now_ns: i64, bytes: u64) {
        self.peak.add(time_ns, bytes);
        self.cut += u64::from(line.ends_with(CUT_MARK));
        let age = i64::try_from(AGE_MAX.as_nanos()).unwrap_or(i64::MAX);
        self.old += u64::from(time_ns < now_ns.saturating_sub(age));
    }

    /// The limits that would be hit. `streams`: how many there are, and how many of them write too much.
    pub(super) fn hits(&self, (streams, busy): (usize, usize)) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut hit = |limit, default, what: String| hits.push(Hit { limit, default, what });
        if self.old > 0 {
            let what = format!("entries that are older: {}; Loki refuses them", self.old);
            hit("reject_old_samples_max_age", "1w", what);
        }
        if self.cut > 0 {
            hit(
                "max_line_size",
                "256KB",
                format!("lines that are longer: {}; they are cut, with a mark", self.cut),
            );
        }
        if streams > STREAMS_MAX {
            let what = format!("{streams} streams; those of all hosts of a tenant count");
            hit("max_global_streams_per_user", "5000", what);
        }
        if busy > 0 {
            let what = format!(
                "streams that write more at times: {busy}; Loki asks to wait, and what waits stays in the journal"
            );
            hit("per_stream_rate_limit", "3MB a second, 15MB at once", what);
        }
        if self.peak.hits(INGESTION_RATE, INGESTION_BURST) {
            let most = self.peak.most.1 / 60;
            let what =
                format!("up to {most} bytes a second over a minute; those of all hosts of a tenant count");
            hit("ingestion_rate_mb", "4MB a second, 6MB at once", what);
        }
        hits
    }
}

/// Whether a stream writes more than Loki takes of one.
pub(super) fn is_busy(peak: &Peak) -> bool {
    peak.hits(STREAM_RATE, STREAM_BURST)
}

/// The advice for a label that takes many values; `None` for one with few. `field`: the journal field that it comes from.
pub(super) fn many(label: &str, field: Option<&str>, values: &BTreeSet<String>) -> Option<Many> {
    if values.len() < VALUES_MANY {
        return None;
    }
    let share = |expression: &str| {
        let Ok(regex) = Re2::new(expression) else { return false };
        values.iter().filter(|value| regex.is_match(value)).count() * 2 > values.len()
    };
    let advice = if share(r"^session-c?\d+\.scope$") {
        format!("all sessions as one: {RECIPES}/session-scopes.yaml")
    } else if share(r"^[^@]+@.+\.[a-z]+$") {
        format!("all instances of a unit as one: {RECIPES}/unit-instances.yaml")
    } else if share(r"^(docker|libpod|crio|cri-containerd)-[0-9a-f]+\.scope$") {
        format!("containers by their name: {RECIPES}/containers.yaml")
    } else {
        let field = field.unwrap_or("…");
        format!(
            "take it out of the labels, and write `structured_metadata: {{{label}: {field}}}` to keep it with each line"
        )
    };
    let examples = values.iter().take(VALUES_SHOWN).map(|value| clip(value, VALUE_SHOWN)).collect();
    Some(Many { label: label.to_owned(), values: values.len(), examples, advice })
}

/// How long a class of retention keeps what it has; `None` where nothing is kept.
pub(super) fn period(class: Option<&str>) -> Option<Duration> {
    crate::yaml::units::parse_duration(class?).ok()
}
