//! Tables of metric queries with what they come to: rows beyond those that were recorded from a real Loki, each
//! thought out by hand, about edges of windows, absence, errors and combinations that rules use. One is here, the other in
//! `tests/data/table.txt`.

use std::sync::Arc;

use logql::vectors::{EvalError, Vector};

use super::slow::{Given, label_set};

/// Nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// Seconds, application, host, line. All have `pid="1"` as metadata.
const ENTRIES: &[(i64, &str, &str, &str)] = &[
    (10, "a", "h", "n=1 took=100ms size=1KB"),
    (20, "a", "h", "n=2 took=200ms size=2KB"),
    (30, "a", "h", "n=3 took=300ms size=1KiB"),
    (40, "a", "h", "n=4 took=1s size=5"),
    (50, "a", "h", "n=1 took=2m size=1MB msg=\"two words\""),
    (60, "a", "h", "n=6 took=oops size=none"),
    (30, "b", "h", r#"{"n": 5, "s": {"x": "y"}, "list": [1, 2]}"#),
    (60, "b", "h", r#"{"n": 7, "app": "other"}"#),
    (60, "cut", "far", r#"{"s": {"t": "y", "msg": "never clos"#),
    (60, "cut", "far", r#"{"list": [1], "msg": "never clos"#),
    (60, "c", "g", "ERROR boom from 10.1.2.3"),
    (60, "c", "g", "Error boom from 192.168.0.9"),
];

/// A query, evaluated at 60 s, and its series; or the kind of its error.
const TABLE: &[(&str, &[&str])] = &[
    // A window does not have its beginning, but its end.
    (r#"sum(count_over_time({app="a"}[10s]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="a"}[50s]))"#, &["{} 5"]),
    (r#"sum(count_over_time({app="a"}[50001ms]))"#, &["{} 6"]),
    (r#"sum(count_over_time({app="a"}[10s] offset 10s))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="a"}[20s] offset 20s))"#, &["{} 2"]),
    (r#"sum(count_over_time({app="a"}[5s] offset 5s))"#, &[]),
    (r#"sum(count_over_time({app="a"}[1ms]))"#, &["{} 1"]),
    // Nothing is not zero.
    (r#"sum(count_over_time({app="nobody"}[1m]))"#, &[]),
    (r#"sum(count_over_time({app="nobody"}[1m])) or vector(0)"#, &["{} 0"]),
    (r#"sum(count_over_time({app="a"} |= "never"[1m])) == 0"#, &[]),
    (r#"absent_over_time({app="nobody", host="h"}[1m])"#, &[r#"{app="nobody", host="h"} 1"#]),
    (r#"absent_over_time({app="nobody", host=~"h.*"}[1m])"#, &[r#"{app="nobody"} 1"#]),
    (r#"absent_over_time({app="a"}[1m])"#, &[]),
    (r#"absent_over_time({app="a"} |= "never"[1m])"#, &[r#"{app="a"} 1"#]),
    (r#"absent_over_time({app="a"}[5s] offset 5s)"#, &[r#"{app="a"} 1"#]),
    // Which streams.
    (r#"sum by (app) (count_over_time({app=~"a|b"}[1m]))"#, &[r#"{app="a"} 6"#, r#"{app="b"} 2"#]),
    (
        r#"sum by (app) (count_over_time({app=~"."}[10s]))"#,
        &[r#"{app="a"} 1"#, r#"{app="b"} 1"#, r#"{app="c"} 2"#],
    ),
    (
        r#"sum by (app) (count_over_time({app=~".+", host!="h"}[1m]))"#,
        &[r#"{app="c"} 2"#, r#"{app="cut"} 2"#],
    ),
    (r#"sum by (app) (count_over_time({app!~"a|b", host=~"g"}[1m]))"#, &[r#"{app="c"} 2"#]),
    (r#"sum by (app) (count_over_time({host=~"."}[1m])) > 2"#, &[r#"{app="a"} 6"#]),
    (r#"count_over_time({app="c"}[1m])"#, &[r#"{app="c", host="g", pid="1"} 2"#]),
    (r#"count_over_time({app="c", missing=""}[1m])"#, &[r#"{app="c", host="g", pid="1"} 2"#]),
    // Filters of lines.
    (r#"sum(count_over_time({app="c"} |= "ERROR"[1m]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="c"} |~ "(?i)error"[1m]))"#, &["{} 2"]),
    (r#"sum(count_over_time({app="c"} |~ "^boom"[1m]))"#, &[]),
    (r#"sum(count_over_time({app="c"} != "ERROR" |= "boom"[1m]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="c"} !~ "10[.]"[1m]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="c"} |= "ERROR" or "192"[1m]))"#, &["{} 2"]),
    (r#"sum(count_over_time({app="c"} |= ip("10.0.0.0/8")[1m]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="c"} != ip("192.168.0.1-192.168.0.20")[1m]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="c"} |> "<_> boom from <_>"[1m]))"#, &["{} 2"]),
    (r#"sum(count_over_time({app="c"} !> "ERROR <_>"[1m]))"#, &["{} 1"]),
    (r#"sum(count_over_time({app="c"}[1m] |= "ERROR"))"#, &["{} 1"]),
    // Parsers, and labels that are there already.
    (
        r#"sum by (n) (count_over_time({app="a"} | logfmt [1m]))"#,
        &[r#"{n="1"} 2"#, r#"{n="2"} 1"#, r#"{n="3"} 1"#, r#"{n="4"} 1"#, r#"{n="6"} 1"#],
    ),
    (r#"sum by (msg) (count_over_time({app="a"} | logfmt msg [20s]))"#, &[r#"{msg="two words"} 1"#, "{} 1"]),
    (
        r#"sum by (app, app_extracted) (count_over_time({app="b"} | json [10s]))"#,
        &[r#"{app="b", app_extracted="other"} 1"#],
    ),
    (r#"sum by (s_x) (count_over_time({app="b"} | json [1m]))"#, &[r#"{s_x="y"} 1"#, "{} 1"]),
    (r#"sum by (x) (count_over_time({app="b"} | json x="s.x" | x!="" [1m]))"#, &[r#"{x="y"} 1"#]),
    (r#"sum by (x) (count_over_time({app="cut"} | json x="s.t" | x!="" [1m]))"#, &[r#"{x="y"} 1"#]),
    (r#"sum by (x) (count_over_time({app="cut"} | json x="msg" [1m]))"#, &["JSONParserErr"]),
    (
        r#"sum by (second) (count_over_time({app="b"} | json second="list[1]" | second!="" [1m]))"#,
        &[r#"{second="2"} 1"#],
    ),
    (
        r#"sum by (word) (count_over_time({app="c"} | regexp "^(?P<word>\\w+)" [1m]))"#,
        &[r#"{word="ERROR"} 1"#, r#"{word="Error"} 1"#],
    ),
    (
        r#"sum by (from) (count_over_time({app="c"} | pattern "<_> from <from>" [1m]))"#,
        &[r#"{from="10.1.2.3"} 1"#, r#"{from="192.168.0.9"} 1"#],
    ),
    (
        r#"sum(count_over_time({app="c"} | pattern "<_> from <from>" | from=ip("10.0.0.0/8") [1m]))"#,
        &["{} 1"],
    ),
    // Filters of labels.
    (r#"sum(count_over_time({app="a"} | logfmt | n > 2 [1m]))"#, &["{} 3"]),
    (r#"sum(count_over_time({app="a"} | logfmt | n >= 2 and n < 4 [1m]))"#, &["{} 2"]),
    (r#"sum(count_over_time({app="a"} | logfmt | n = 1 or n = 6 [1m]))"#, &["{} 3"]),
    (r#"sum(count_over_time({app="a"} | logfmt | n=~"1|2", n!="2" [1m]))"#, &["{} 2"]),
    (r#"sum(count_over_time({app="a"} | logfmt | took != "oops" | took > 250ms [1m]))"#, &["{} 3"]),
    (r#"sum(count_over_time({app="a"} | logfmt | size != "none" | size > 1KB [1m]))"#, &["{} 3"]),
    (r#"sum(count_over_time({app="a"} | logfmt | took > 250ms [1m]))"#, &["LabelFilterErr"]),
    (r#"sum(count_over_time({app="a"} | logfmt | took > 250ms | __error__="" [1m]))"#, &["{} 3"]),
    // `and` looks at both sides. The alternative passes, but the error stays.
    (
        r#"sum(count_over_time({app="a"} | logfmt | (n > 100 and took > 5s) or pid="1" [1m]))"#,
        &["LabelFilterErr"],
    ),
    (r#"sum(count_over_time({app="a"} | logfmt | n > 100 and took > 5s [1m]))"#, &[]),
    // Errors.
    (r#"sum by (n) (count_over_time({app="a"} | json [1m]))"#, &["JSONParserErr"]),
    // Loki does not parse what nobody needs.
    (r#"sum(count_over_time({app="a"} | json [1m]))"#, &["{} 6"]),
    (r#"sum(count_over_time({app="a"} | json | __error__="" [1m]))"#, &[]),
    (r#"sum(count_over_time({app=~"a|b"} | json | __error__!="JSONParserErr" [1m]))"#, &["{} 2"]),
    (
        r#"sum by (__error__) (count_over_time({app="a"} | json | drop __error__, __error_details__ [1m]))"#,
        &["{} 6"],
    ),
    // Formats.
    (
        r#"sum by (k) (count_over_time({app="a"} | logfmt | label_format k=`{{ if eq .n "1" }}one{{ else }}more{{ end }}` [1m]))"#,
        &[r#"{k="more"} 4"#, r#"{k="one"} 2"#],
    ),
    (
        r#"sum by (number) (count_over_time({app="a"} | logfmt | label_format number=n [10s]))"#,
        &[r#"{number="6"} 1"#],
    ),
    (r#"sum(bytes_over_time({app="c"} | line_format "x" [1m]))"#, &["{} 2"]),
    // A format whose line nothing looks at is no stage: it needs no labels, and does not fail.
    (r#"sum(count_over_time({app="a"} | json | line_format "{{.n}}" [1m]))"#, &["{} 6"]),
    (r#"sum(rate({app="a"} | json | line_format "{{.n}}" | decolorize | drop n [1m]))"#, &["{} 0.1"]),
    (r#"sum(count_over_time({app="c"} | line_format "{{ .nosuch.x }}" | pid="1" [1m]))"#, &["{} 2"]),
    (
        r#"sum(count_over_time({app="c"} | line_format "{{ .nosuch.x }}" |= "boom" [1m]))"#,
        &["TemplateFormatErr"],
    ),
    (r#"sum(count_over_time({app="a"} | json | line_format "{{.n}}" | logfmt [1m]))"#, &["JSONParserErr"]),
    (r#"sum(bytes_over_time({app="a"} | json | line_format "{{.n}}" [1m]))"#, &["JSONParserErr"]),
    (r#"sum(bytes_over_time({app="c"} | line_format "{{ .nosuch.x }}" [1m]))"#, &["TemplateFormatErr"]),
    (r#"sum(bytes_over_time({app="c"}[1m]))"#, &["{} 51"]),
    (r#"count_over_time({app="c"} | keep app [1m])"#, &[r#"{app="c"} 2"#]),
    (r#"count_over_time({app="c"} | drop pid, host [1m])"#, &[r#"{app="c"} 2"#]),
    (
        r#"sum by (t) (count_over_time({app="c"} | label_format t=`{{ __timestamp__ | date "15:04:05" }}` [1m]))"#,
        &[r#"{t="00:01:00"} 2"#],
    ),
    // A name that was taken away names no series, even if it is set again.
    (r#"sum by (host) (count_over_time({app="c"} | drop host | label_format host="y" [1m]))"#, &["{} 2"]),
    (
        r#"sum by (n) (count_over_time({app="a"} | logfmt | label_format x=n | label_format n="y" [10s]))"#,
        &["{} 1"],
    ),
    (
        r#"sum without (app, pid) (count_over_time({app="c"} | drop host | label_format host="y" [1m]))"#,
        &[r#"{host="y"} 2"#],
    ),
    (
        r#"max by (host) (count_over_time({app="c"} | drop host | label_format host="y" [1m]))"#,
        &[r#"{host="y"} 2"#],
    ),
    // Rates and unwrapped values.
    (r#"sum(rate({app="a"}[1m]))"#, &["{} 0.1"]),
    (r#"sum(bytes_rate({app="c"}[10s]))"#, &["{} 5.1"]),
    (r#"sum(sum_over_time({app="a"} | logfmt | unwrap n [1m]))"#, &["{} 17"]),
    (r#"max_over_time({app="a"} | logfmt | unwrap n [1m]) by (app)"#, &[r#"{app="a"} 6"#]),
    (r#"min_over_time({app="a"} | logfmt | unwrap n [1m]) by (app)"#, &[r#"{app="a"} 1"#]),
    (r#"first_over_time({app="a"} | logfmt | unwrap n [30s]) by (app)"#, &[r#"{app="a"} 4"#]),
    (r#"last_over_time({app="a"} | logfmt | unwrap n [30s] offset 10s) by (app)"#, &[r#"{app="a"} 1"#]),
    (r#"avg_over_time({app="a"} | logfmt | unwrap n [40s]) by (app)"#, &[r#"{app="a"} 3.5"#]),
    (r#"quantile_over_time(0.5, {app="a"} | logfmt | unwrap n [50s]) by (app)"#, &[r#"{app="a"} 3"#]),
    (r#"stdvar_over_time({app="b"} | json | unwrap n [1m]) by (app)"#, &[r#"{app="b"} 1"#]),
    (r#"sum(sum_over_time({app="a"} | logfmt | unwrap duration(took) [1m]))"#, &["SampleExtractionErr"]),
    (r#"sum(sum_over_time({app="a"} | logfmt | unwrap duration(took) | __error__="" [1m]))"#, &["{} 121.6"]),
    (r#"sum(sum_over_time({app="a"} | logfmt | unwrap bytes(size) | __error__="" [40s]))"#, &["{} 1001029"]),
    (r#"sum by (app) (rate_counter({app="b"} | json n="n" | unwrap n [1m]))"#, &[r#"{app="b"} 0.066666667"#]),
    (r#"rate({app="a"} | logfmt | unwrap n [1m]) > 5"#, &[]),
    // Aggregations.
    (r#"count(sum by (app) (count_over_time({host=~"."}[1m])))"#, &["{} 3"]),
    (r#"avg(sum by (app) (count_over_time({host="h"}[1m])))"#, &["{} 4"]),
    (r#"sum without (app, pid) (count_over_time({host="h"}[1m]))"#, &[r#"{host="h"} 8"#]),
    (r#"topk(1, sum by (app) (count_over_time({host=~"."}[1m])))"#, &[r#"{app="a"} 6"#]),
    (r#"bottomk(1, sum by (app) (count_over_time({host="h"}[1m])))"#, &[r#"{app="b"} 2"#]),
    (
        r#"max by (host) (sum by (app, host) (count_over_time({host=~"."}[1m])))"#,
        &[r#"{host="g"} 2"#, r#"{host="h"} 6"#],
    ),
    (r#"min(sum by (app) (count_over_time({host=~"."}[1m])))"#, &["{} 2"]),
    (r#"stddev(sum by (app) (count_over_time({host="h"}[1m])))"#, &["{} 2"]),
    // Operators.
    (r#"sum(count_over_time({app="a"}[1m])) > bool 100"#, &["{} 0"]),
    (r#"100 < sum(count_over_time({app="a"}[1m]))"#, &[]),
    (r#"2 + 3 * sum(count_over_time({app="a"}[1m])) ^ 2"#, &["{} 110"]),
    (r#"sum(count_over_time({app="a"}[1m])) / sum(count_over_time({host="h"}[1m]))"#, &["{} 0.75"]),
    (r#"sum(count_over_time({app="a"}[1m])) / sum(count_over_time({app="nobody"}[1m]))"#, &[]),
    (r#"sum(count_over_time({app="a"}[1m])) / 0"#, &["{} NaN"]),
    (r#"sum(count_over_time({app="a"}[1m])) % 4"#, &["{} 2"]),
    (
        r#"sum by (app) (count_over_time({host="h"}[1m])) and on (app) sum by (app) (count_over_time({app="b"}[1m]))"#,
        &[r#"{app="b"} 2"#],
    ),
    (
        r#"sum by (app) (count_over_time({host="h"}[1m])) unless sum by (app) (count_over_time({app="b"}[1m]))"#,
        &[r#"{app="a"} 6"#],
    ),
    (
        r#"sum by (app) (count_over_time({app="a"}[1m])) or sum by (app) (count_over_time({app="c"}[1m]))"#,
        &[r#"{app="a"} 6"#, r#"{app="c"} 2"#],
    ),
    (
        r#"sum by (app, host) (count_over_time({host="h"}[1m])) / on (host) group_left sum by (host) (count_over_time({host="h"}[1m]))"#,
        &[r#"{app="a", host="h"} 0.75"#, r#"{app="b", host="h"} 0.25"#],
    ),
    (
        r#"sum by (app) (count_over_time({host="h"}[1m])) + ignoring (app) sum(count_over_time({host="h"}[1m]))"#,
        &["multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"],
    ),
    (
        r#"sum(count_over_time({host="h"}[1m])) / on () group_left sum by (app) (count_over_time({host="h"}[1m]))"#,
        &[
            "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side",
        ],
    ),
    (
        r#"sum by (app) (count_over_time({host="h"}[1m])) / on () group_right sum(count_over_time({host="h"}[1m]))"#,
        &[
            "found duplicate series on the left hand-side;many-to-many matching not allowed: matching labels must be unique on one side",
        ],
    ),
    (
        r#"sum by (app) (count_over_time({host="h"}[1m])) * on () group_left (app) vector(2)"#,
        &["multiple matches for labels: grouping labels must ensure unique matches"],
    ),
    (
        r#"label_replace(sum by (app) (count_over_time({app="a"}[1m])), "first", "$1", "app", "(.).*")"#,
        &[r#"{app="a", first="a"} 6"#],
    ),
    (r#"vector(3) > 2"#, &["{} 3"]),
    (r#"(sum(count_over_time({app="a"}[1m])) > 5) * 10"#, &["{} 60"]),
    ("# a remark\nsum(count_over_time({app=\"a\"}[1m])) # another", &["{} 6"]),
];

/// Entries as the engine sees them, by time.
fn entries() -> Vec<Given> {
    let given = |(time, app, host, line): &(i64, &str, &str, &str)| Given {
        time: time * SECOND,
        labels: Arc::new(label_set([("app", app), ("host", host)])),
        metadata: vec![("pid".to_owned(), "1".to_owned())],
        line: (*line).to_owned(),
    };
    let mut entries: Vec<Given> = ENTRIES.iter().map(given).collect();
    entries.sort_by_key(|entry| entry.time);
    entries
}

/// A value as a table has it.
pub fn shown(value: Result<Vector, EvalError>) -> Vec<String> {
    let mut shown = match value {
        // In as many digits as are meant.
        Ok(vector) => vector
            .iter()
            .map(|sample| format!("{} {}", sample.labels, (sample.value * 1e9).round() / 1e9))
            .collect(),
        Err(EvalError::Pipeline { kind, .. }) => vec![kind],
        Err(other) => vec![other.to_string()],
    };
    shown.sort();
    shown
}

/// A query and its series, sorted as [`shown`] sorts them; or the kind of its error.
pub type Row = (String, Vec<String>);

/// The table of this file: entries by time, and what queries come to at 60 s.
pub fn written() -> (Vec<Given>, Vec<Row>) {
    let sorted = |rows: &[&str]| {
        let mut rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        rows.sort();
        rows
    };
    (entries(), TABLE.iter().map(|(query, rows)| ((*query).to_owned(), sorted(rows))).collect())
}

/// Pairs as `a=b,c=d`.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').map(|pair| pair.split_once('=').unwrap())
}

/// The table of `tests/data/table.txt`, in the same form.
pub fn of_the_file() -> (Vec<Given>, Vec<Row>) {
    let text = include_str!("../data/table.txt");
    let (mut entries, mut rows) = (Vec::new(), Vec::<Row>::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(result) = line.strip_prefix("    ") {
            rows.last_mut().unwrap().1.push(result.trim_start_matches("! ").to_owned());
        } else if let Some(entry) = line.strip_prefix('@') {
            let (time, rest) = entry.split_once(' ').unwrap();
            let (labels, rest) = rest.trim_start().split_once(' ').unwrap();
            let (metadata, line) = rest.trim_start().split_once("  ").unwrap();
            entries.push(Given {
                time: time.parse::<i64>().unwrap() * SECOND,
                labels: Arc::new(label_set(pairs(labels))),
                metadata: pairs(metadata).map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                line: line.replace("\\e", "\u{1b}"),
            });
        } else {
            rows.push((line.to_owned(), Vec::new()));
        }
    }
    entries.sort_by_key(|entry| entry.time);
    rows.iter_mut().for_each(|(_, expected)| expected.sort());
    (entries, rows)
}

/// Entries, and pairs of queries that must come to the same: without stages series are made of the entry's own labels on a
/// shorter way, and a filter that lets all pass takes the long one.
pub fn pairs_of_equals() -> (Vec<Given>, Vec<[String; 2]>) {
    let given = |(time, metadata): (i64, &[(&str, &str)])| Given {
        time: time * SECOND,
        labels: Arc::new(label_set([("app", "a"), ("host", if time > 30 { "h" } else { "g" })])),
        metadata: metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        line: "line".repeat(time as usize % 3),
    };
    let all: [(i64, &[(&str, &str)]); 6] = [
        (10, &[]),
        (20, &[("pid", "1"), ("host", "other")]),
        (30, &[("pid", ""), ("user", "u")]),
        (40, &[("pid", "2"), ("pid", "3")]),
        (50, &[("__error__", "x"), ("pid", "\u{fffd}")]),
        (60, &[("pid_extracted", "4"), ("pid", "5")]),
    ];
    let entries: Vec<Given> = all.into_iter().map(given).collect();
    let groups = ["", "by ()", "by (app)", "by (pid, host)", "by (user, nosuch)", "by (host_extracted)"];
    let more = ["by (pid_extracted)", "by (__error__, pid)", "without (pid)", "without ()"];
    let mut pairs = Vec::new();
    for group in groups.into_iter().chain(more) {
        for range in ["count_over_time", "bytes_rate", "absent_over_time"] {
            let query = |stage: &str| format!(r#"sum {group} ({range}({{app="a"}} |~ "li|^$" {stage}[1m]))"#);
            pairs.push([query(""), query(r#"| nosuch="" "#)]);
        }
    }
    (entries, pairs)
}
