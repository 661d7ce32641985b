//! Answers in the shape of Loki's HTTP API (grafana/loki, `docs/sources/reference/loki-http-api.md`,
//! `pkg/util/marshal`).
//!
//! The order of keys is Loki's, too: Grafana's data source decodes an answer as it comes (grafana/grafana,
//! `pkg/promlib/converter/prom.go`), and has to know its kind and its encoding before the lines.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};

use super::answer::{Answer, Line, Series};
use logql::label_set::LabelSet;

const NANOSECONDS: i64 = 1_000_000_000;
/// The flag that asks for labels beside lines (grafana/loki, `pkg/util/httpreq/encoding_flags.go`).
pub const CATEGORIZE: &str = "categorize-labels";

/// `{"status": "success", "data": …}`
#[derive(Debug, Serialize)]
pub struct Success<T> {
    status: &'static str,
    data: T,
}

/// A reply with this data.
pub fn success<T: Serialize>(data: T) -> Success<T> {
    Success { status: "success", data }
}

/// An answer as Loki gives it. It is written from where it is: as a tree of JSON it would take ten times as much.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The answer.
    pub answer: &'a Answer,
    /// How lines are encoded: with [`CATEGORIZE`], labels of an entry that are not its stream's stand beside its line. A flag that
    /// nobody knows is repeated, as all of them are.
    pub flags: &'a [String],
    /// What it took, if that is told.
    pub stats: Option<Stats>,
}

/// What an answer took, in the shape of the summary of Loki's statistics (`pkg/logqlmodel/stats`). What is not counted here
/// is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// What was read from journal files (bytes).
    pub bytes: u64,
    /// Entries of streams that the query chooses (count).
    pub lines: u64,
    /// Lines, or values, of the answer (count).
    pub returned: usize,
    /// The time.
    pub took: Duration,
}

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let seconds = self.took.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { (count as f64 / seconds) as u64 } else { 0 };
        let summary = json!({
            "bytesProcessedPerSecond": rate(self.bytes),
            "linesProcessedPerSecond": rate(self.lines),
            "totalBytesProcessed": self.bytes,
            "totalLinesProcessed": self.lines,
            "execTime": seconds,
            "queueTime": 0.0,
            "subqueries": 0,
            "totalEntriesReturned": self.returned,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": 0,
            "totalStructuredMetadataBytesProcessed": 0,
        });
        to.collect_map([("summary", summary)])
    }
}

/// Whether labels stand beside lines.
pub(super) fn categorizes(flags: &[String]) -> bool {
    flags.iter().any(|flag| flag == CATEGORIZE)
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut data = to.serialize_map(None)?;
        let kind = match self.answer {
            Answer::Lines(_) => "streams",
            Answer::Vector(..) => "vector",
            Answer::Scalar(..) => "scalar",
            Answer::Matrix(_) => "matrix",
        };
        data.serialize_entry("resultType", kind)?;
        match self.answer {
            Answer::Lines(lines) => {
                if !self.flags.is_empty() {
                    data.serialize_entry("encodingFlags", self.flags)?;
                }
                data.serialize_entry("result", &Streams { lines, categorize: categorizes(self.flags) })?;
            }
            Answer::Vector(time, vector) => {
                data.serialize_entry(
                    "result",
                    &Each(|| vector.iter().map(|sample| One::new(*time, sample))),
                )?;
            }
            // Loki writes this time in milliseconds, and only this one.
            Answer::Scalar(time, value) => {
                data.serialize_entry("result", &(time / 1_000_000, number(*value)))?;
            }
            Answer::Matrix(series) => {
                data.serialize_entry("result", &Each(|| series.iter().map(|series| Many::new(series))))?;
            }
        }
        if let Some(stats) = &self.stats {
            data.serialize_entry("stats", stats)?;
        }
        data.end()
    }
}

/// What an iterator gives, as a list.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq((self.0)())
    }
}

/// A label set as an object.
pub(super) struct Labels<'a>(pub(super) &'a LabelSet);

impl Labels<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter())
    }
}

#[derive(Serialize)]
struct One<'a> {
    metric: Labels<'a>,
    value: (Value, String),
}

impl One<'_> {
    fn new(time: i64, sample: &logql::vectors::Sample) -> One<'_> {
        One { metric: Labels(&sample.labels), value: (seconds(time), number(sample.value)) }
    }
}

#[derive(Serialize)]
struct Many<'a> {
    metric: Labels<'a>,
    values: Points<'a>,
}

impl Many<'_> {
    fn new(series: &Series) -> Many<'_> {
        Many { metric: Labels(&series.labels), values: Points(&series.points) }
    }
}

struct Points<'a>(&'a [(i64, f64)]);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|(time, value)| (seconds(*time), number(*value))))
    }
}

/// Lines by the labels that they have, the streams sorted by the text of their labels.
pub(super) fn by_stream(lines: &[Line]) -> BTreeMap<String, (LabelSet, Vec<&Line>)> {
    let mut streams: BTreeMap<String, (LabelSet, Vec<&Line>)> = BTreeMap::new();
    for line in lines {
        let stream = line.labels.all();
        streams.entry(stream.to_string()).or_insert_with(|| (stream, Vec::new())).1.push(line);
    }
    streams
}

/// Lines by their streams.
struct Streams<'a> {
    lines: &'a [Line],
    categorize: bool,
}

impl Serialize for Streams<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let streams = by_stream(self.lines);
        let mut list = to.serialize_seq(Some(streams.len()))?;
        for (stream, lines) in streams.values() {
            list.serialize_element(&Stream {
                stream: Labels(stream),
                values: Values(lines, self.categorize),
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Stream<'a> {
    stream: Labels<'a>,
    values: Values<'a>,
}

struct Values<'a>(&'a [&'a Line], bool);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for line in self.0 {
            list.serialize_element(&Row(line, self.1))?;
        }
        list.end()
    }
}

/// A line: its time, its text, and labels that are not of its stream, if they are wanted there.
pub(super) struct Row<'a>(pub(super) &'a Line, pub(super) bool);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (line, time) = (self.0, self.0.time.to_string());
        match self.1 {
            false => (time, &line.text).serialize(to),
            true => {
                let beside =
                    Beside { metadata: Labels(&line.labels.metadata), parsed: Labels(&line.labels.parsed) };
                (time, &line.text, beside).serialize(to)
            }
        }
    }
}

/// Labels of a line that are not of its stream.
#[derive(Serialize)]
struct Beside<'a> {
    #[serde(rename = "structuredMetadata", skip_serializing_if = "Labels::is_empty")]
    metadata: Labels<'a>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    parsed: Labels<'a>,
}

/// A label set as an object.
pub fn labels(set: &LabelSet) -> Value {
    set.iter()
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A time in seconds; Prometheus' model knows milliseconds (prometheus/common, `model/time.go`).
pub fn seconds(time: i64) -> Value {
    let milliseconds = time.div_euclid(NANOSECONDS / 1000);
    match milliseconds % 1000 {
        0 => (milliseconds / 1000).into(),
        _ => (milliseconds as f64 / 1000.0).into(),
    }
}

/// A value as Prometheus writes it: without an exponent (prometheus/common, `model/value.go`, `SampleValue`).
pub fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}
