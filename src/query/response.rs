//! Answers in the shape of Loki's HTTP API (grafana/loki, `docs/sources/reference/loki-http-api.md`,
//! `pkg/util/marshal`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Line, Series};
use logql::label_set::LabelSet;

const NANOSECONDS: i64 = 1_000_000_000;

/// `{"status": "success", "data": …}`
pub fn success(data: Value) -> Value {
    json!({"status": "success", "data": data})
}

/// An answer as Loki gives it. `categorize`: labels of an entry that are not its stream's stand beside its line.
pub fn data(answer: &Answer, categorize: bool) -> Value {
    match answer {
        Answer::Lines(lines) => {
            let mut data = Map::new();
            data.insert("resultType".into(), "streams".into());
            data.insert("result".into(), streams(lines, categorize));
            if categorize {
                data.insert("encodingFlags".into(), json!(["categorize-labels"]));
            }
            Value::Object(data)
        }
        Answer::Vector(time, vector) => {
            let sample = |sample: &logql::vectors::Sample| json!({"metric": labels(&sample.labels), "value": [seconds(*time), number(sample.value)]});
            json!({"resultType": "vector", "result": vector.iter().map(sample).collect::<Vec<_>>()})
        }
        // Loki writes this time in milliseconds, and only this one.
        Answer::Scalar(time, value) => {
            json!({"resultType": "scalar", "result": [time / 1_000_000, number(*value)]})
        }
        Answer::Matrix(series) => {
            let mut series: Vec<&Series> = series.iter().collect();
            series.sort_by(|a, b| a.labels.iter().cmp(b.labels.iter()));
            let one = |series: &&Series| {
                let points =
                    series.points.iter().map(|(time, value)| json!([seconds(*time), number(*value)]));
                json!({"metric": labels(&series.labels), "values": points.collect::<Vec<_>>()})
            };
            json!({"resultType": "matrix", "result": series.iter().map(one).collect::<Vec<_>>()})
        }
    }
}

/// Lines by the labels that they have, the streams sorted by their labels.
fn streams(lines: &[Line], categorize: bool) -> Value {
    let mut streams: BTreeMap<String, (LabelSet, Vec<Value>)> = BTreeMap::new();
    for line in lines {
        let mut value = vec![json!(line.time.to_string()), json!(line.text)];
        if categorize {
            let mut beside = Map::new();
            for (name, category) in
                [("structuredMetadata", &line.labels.metadata), ("parsed", &line.labels.parsed)]
            {
                if !category.is_empty() {
                    beside.insert(name.into(), labels(category));
                }
            }
            value.push(Value::Object(beside));
        }
        let stream = line.labels.all();
        let values = streams.entry(stream.to_string()).or_insert_with(|| (stream, Vec::new()));
        values.1.push(Value::Array(value));
    }
    let one = |(stream, values): (LabelSet, Vec<Value>)| json!({"stream": labels(&stream), "values": values});
    streams.into_values().map(one).collect()
}

/// A label set as an object.
pub fn labels(set: &LabelSet) -> Value {
    set.iter()
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect::<Map<_, _>>()
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
