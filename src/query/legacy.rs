//! Answers in the shape that they had before Loki's API had a version, under `/api/prom` (grafana/loki, `pkg/util/marshal/legacy`,
//! `pkg/loghttp/legacy`, `pkg/push/types.go`): labels are a text, times are RFC 3339, and nothing stands beside a line.

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::Serializer;

use super::answer::Line;
use super::response::{Stats, by_stream};

/// Lines by their streams, and what they took.
#[derive(Serialize)]
pub(super) struct Lines<'a> {
    streams: Streams<'a>,
    stats: Stats,
}

impl Lines<'_> {
    /// These lines.
    pub(super) fn new(lines: &[Line], stats: Stats) -> Lines<'_> {
        Lines { streams: Streams(lines), stats }
    }
}

/// Values of a label, or names of labels. Without any, there is no list.
#[derive(Serialize)]
pub(super) struct Values<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<&'a str>,
}

/// A frame of a live tail. Without missed lines, Go writes null there.
#[derive(Serialize)]
pub(super) struct Frame<'a> {
    streams: Each<'a>,
    dropped_entries: Option<Vec<Missed>>,
}

impl<'a> Frame<'a> {
    /// These lines, each a stream of its own, and what was missed before them: when (nanoseconds since 1970), and of which stream.
    pub(super) fn new(lines: &'a [Line], missed: impl Iterator<Item = (i64, String)>) -> Frame<'a> {
        let missed: Vec<_> = missed.map(|(at, labels)| Missed { time: time(at), labels }).collect();
        Frame { streams: Each(lines), dropped_entries: Some(missed).filter(|missed| !missed.is_empty()) }
    }
}

/// A line that was missed. The names of its fields are those of Go.
#[derive(Serialize)]
struct Missed {
    #[serde(rename = "Timestamp")]
    time: Timestamp,
    #[serde(rename = "Labels")]
    labels: String,
}

/// Lines by their streams.
struct Streams<'a>(&'a [Line]);

impl Serialize for Streams<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let streams = by_stream(self.0);
        to.collect_seq(streams.iter().map(|(labels, (_, lines))| Stream {
            labels: labels.clone(),
            entries: lines.iter().map(|line| Entry::new(line)).collect(),
        }))
    }
}

/// Lines, each a stream of its own.
struct Each<'a>(&'a [Line]);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            self.0.iter().map(|line| Stream {
                labels: line.labels.all().to_string(),
                entries: vec![Entry::new(line)],
            }),
        )
    }
}

/// A stream with lines.
#[derive(Serialize)]
struct Stream<'a> {
    labels: String,
    entries: Vec<Entry<'a>>,
}

/// A line.
#[derive(Serialize)]
struct Entry<'a> {
    ts: Timestamp,
    line: &'a str,
}

impl Entry<'_> {
    fn new(line: &Line) -> Entry<'_> {
        Entry { ts: time(line.time), line: &line.text }
    }
}

/// A time (nanoseconds since 1970).
fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::label_set::LabelSet;
    use logql::pipeline::Categories;

    #[test]
    fn lines_have_the_old_shape() {
        let line = |time: i64, text: &str| {
            let mut stream = LabelSet::default();
            stream.insert("test", b"te\"st");
            let labels = Categories { stream, ..Categories::default() };
            Line { time, text: text.to_owned(), labels }
        };
        let lines = [line(1_795_240_801_020_304_056, "started"), line(1_795_240_802_500_000_000, "<b>")];
        let entries = [
            r#"{"ts":"2026-11-21T06:00:01.020304056Z","line":"started"}"#,
            r#"{"ts":"2026-11-21T06:00:02.5Z","line":"<b>"}"#,
        ];
        let stream = |entries: &[&str]| {
            format!(r#"{{"labels":"{{test=\"te\\\"st\"}}","entries":[{}]}}"#, entries.join(","))
        };
        let written = |value: &dyn Fn() -> Result<String, serde_json::Error>| value().unwrap();
        assert_eq!(written(&|| serde_json::to_string(&Streams(&lines))), format!("[{}]", stream(&entries)));
        assert_eq!(
            written(&|| serde_json::to_string(&Frame::new(&lines, std::iter::empty()))),
            format!(
                r#"{{"streams":[{},{}],"dropped_entries":null}}"#,
                stream(&entries[..1]),
                stream(&entries[1..])
            )
        );
        let missed = [(1_795_240_801_020_304_056, "{}".to_owned())].into_iter();
        assert_eq!(
            written(&|| serde_json::to_string(&Frame::new(&[], missed.clone()))),
            r#"{"streams":[],"dropped_entries":[{"Timestamp":"2026-11-21T06:00:01.020304056Z","Labels":"{}"}]}"#
        );
        assert_eq!(written(&|| serde_json::to_string(&Values { values: Vec::new() })), "{}");
    }
}
