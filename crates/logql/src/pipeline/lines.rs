//! From an entry to a line of the answer to a log query.

use std::borrow::Cow;

use super::row::{Hints, Row};
use crate::expr::LogQuery;
use crate::label_set::LabelSet;
use crate::stage::Stage;

/// An entry that passed a log query.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown<'l> {
    /// Its line, as the stages made it.
    pub line: Cow<'l, str>,
    /// Its labels by where they come from.
    pub labels: Categories,
}

/// The labels of an entry by where they come from (grafana/loki, `pkg/logql/log/labels.go`, `LabelsResult`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Categories {
    /// Those of its stream that stages have left as they were.
    pub stream: LabelSet,
    /// Structured metadata.
    pub metadata: LabelSet,
    /// What stages have set, failures among them.
    pub parsed: LabelSet,
}

impl Categories {
    /// All of them in one set: what names a stream in the answer to a log query.
    pub fn all(&self) -> LabelSet {
        let mut all = self.stream.clone();
        for (name, value) in self.metadata.iter().chain(self.parsed.iter()) {
            all.insert_whole(name, value);
        }
        all
    }
}

impl LogQuery {
    /// How many line filters the query begins with.
    pub(super) fn leading(&self) -> usize {
        self.stages.iter().take_while(|stage| matches!(stage, Stage::Line(_))).count()
    }

    /// Whether the query begins with line filters, so that [`LogQuery::may_show`] can say no.
    pub fn filters_lines(&self) -> bool {
        self.leading() > 0
    }

    /// Whether a line passes the line filters that the query begins with: most entries end there, and nothing but the line is
    /// needed to know.
    #[inline]
    pub fn may_show(&self, line: &str) -> bool {
        let mut filters = self.stages.iter().map_while(|stage| match stage {
            Stage::Line(filter) => Some(filter),
            _ => None,
        });
        filters.all(|filter| filter.matches(line))
    }

    /// The line and the labels that an entry of a matching stream, of a time (nanoseconds since 1970), gives; `None` if the entry does not pass. If a stage failed,
    /// the labels say so.
    pub fn show<'l, 'm>(
        &self,
        stream: &LabelSet,
        (time, line): (i64, &'l str),
        metadata: impl Iterator<Item = (&'m str, &'m str)>,
    ) -> Option<Shown<'l>> {
        if !self.may_show(line) {
            return None;
        }
        let hints = Hints::default();
        let mut row = Row::new(stream, time, &hints, metadata);
        let stages = self.stages.get(self.leading()..)?;
        let line = stages.iter().try_fold(Cow::Borrowed(line), |line, stage| stage.run(line, &mut row))?;
        Some(Shown { line, labels: row.categories() })
    }
}

#[cfg(test)]
mod tests {
    use crate::{LogQuery, Query};

    use super::*;

    fn query(text: &str) -> LogQuery {
        match Query::parse(text) {
            Ok(Query::Logs(query)) => query,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn only_labels_of_a_stream_are_cut() {
        let long = "x\u{fffd}".repeat(5000) + "END";
        let mut stream = LabelSet::default();
        stream.insert("unit", long.as_bytes());
        let shown = |stages: &str, line: &str| {
            let query = query(&format!("{{unit=~`.+`}} {stages}"));
            let shown = query.show(&stream, (0, line), [("meta", long.as_str())].into_iter())?;
            Some((shown.line.into_owned(), shown.labels))
        };
        let (json, plain) = (format!(r#"{{"k":"{long}"}}"#), format!("k={long}"));
        // Parsers of JSON write a space for U+FFFD.
        let spaces = long.replace('\u{fffd}', " ");
        for (stages, line, expected) in [
            ("| json | line_format `{{.k}}` |= `END`", &json, &spaces),
            ("| pattern `k=<k>` | line_format `{{.k}}`", &plain, &long),
            ("| regexp `k=(?P<k>.*)` | label_format l=k | line_format `{{.l}}`", &plain, &long),
            ("| label_format l=`{{.meta}}` | line_format `{{.l}}`", &plain, &long),
        ] {
            let got = shown(stages, line);
            let (line, labels) = got.unwrap_or_default();
            assert!(line == *expected, "{stages}");
            assert_eq!(labels.metadata.get("meta"), Some(long.as_str()), "{stages}");
            assert!(labels.parsed.iter().any(|(_, value)| value == expected), "{stages}");
            assert_eq!(labels.all().get("meta"), Some(long.as_str()), "{stages}");
            assert!(labels.stream.get("unit").is_some_and(|unit| unit.len() <= 2048), "{stages}");
        }
        // What templates make of each other is bounded.
        let doubled = "| label_format l=`{{.l}}{{.l}}{{.meta}}`".repeat(12);
        let copies: String = (0..60).map(|n| format!("| label_format l{n}=`{{{{.l}}}}`")).collect();
        let (_, labels) = shown(&(doubled + &copies), "").unwrap_or_default();
        let all: usize = labels.parsed.iter().map(|(_, value)| value.len()).sum();
        assert!((3 << 20..5 << 20).contains(&all), "{all}");
    }

    #[test]
    fn labels_are_told_apart_by_where_they_come_from() {
        let mut stream = LabelSet::default();
        for (name, value) in [("unit", "a.service"), ("level", "info")] {
            stream.insert(name, value.as_bytes());
        }
        let metadata = [("pid", "7"), ("unit", "b")];
        for (text, line, shown, labels) in [
            (
                "{unit=~\".+\"}",
                "x",
                Some("x"),
                [r#"{level="info", unit="a.service"}"#, r#"{pid="7", unit_extracted="b"}"#, "{}"],
            ),
            ("{unit=~\".+\"} |= `y`", "x", None, ["", "", ""]),
            (
                "{unit=~\".+\"} | logfmt | a > 3 | line_format `{{.a}}`",
                "a=4 pid=1",
                Some("4"),
                [
                    r#"{level="info", unit="a.service"}"#,
                    r#"{pid="7", unit_extracted="b"}"#,
                    r#"{a="4", pid_extracted="1"}"#,
                ],
            ),
            ("{unit=~\".+\"} | logfmt | a > 3", "a=2", None, ["", "", ""]),
            (
                "{unit=~\".+\"} | label_format level=pid | drop unit",
                "x",
                Some("x"),
                ["{}", r#"{unit_extracted="b"}"#, r#"{level="7"}"#],
            ),
            (
                "{unit=~\".+\"} | json | line_format `{{.__error__}}` | keep level",
                "x",
                Some(""),
                [
                    r#"{level="info"}"#,
                    "{}",
                    r#"{__error__="JSONParserErr", __error_details__="Value looks like object, but can't find closing '}' symbol"}"#,
                ],
            ),
            (
                "{unit=~\".+\"} | json | line_format `{{.__error__}}!` | drop __error__,__error_details__,pid,unit_extracted",
                "x",
                Some("JSONParserErr!"),
                [r#"{level="info", unit="a.service"}"#, "{}", "{}"],
            ),
            // A line says nothing of how the query went.
            (
                "{unit=~\".+\"} | json | drop unit,level,pid,unit_extracted",
                r#"{"__error__": "mine", "__preserve_error__": "true", "a": "b"}"#,
                Some(r#"{"__error__": "mine", "__preserve_error__": "true", "a": "b"}"#),
                ["{}", "{}", r#"{a="b"}"#],
            ),
            (
                "{unit=~\".+\"} | json",
                "x",
                Some("x"),
                [
                    r#"{level="info", unit="a.service"}"#,
                    r#"{pid="7", unit_extracted="b"}"#,
                    r#"{__error__="JSONParserErr", __error_details__="Value looks like object, but can't find closing '}' symbol"}"#,
                ],
            ),
        ] {
            let got = query(text).show(&stream, (0, line), metadata.iter().copied());
            let line = got.as_ref().map(|shown| shown.line.as_ref());
            assert_eq!(line, shown, "{text}");
            let Some(got) = got else { continue };
            let Categories { stream, metadata, parsed } = &got.labels;
            assert_eq!([stream, metadata, parsed].map(ToString::to_string), labels, "{text}");
        }
    }
}
