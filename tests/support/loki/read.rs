//! The double's read API: `query_range`, with Loki's limits and words (`pkg/loghttp/params.go`,
//! `pkg/querier/queryrange/limits.go`, `pkg/querier/http.go`, `pkg/logql/engine.go`).
//!
//! A log query shows an entry once, and a metric query counts all of its copies. What LogQL means is the crate's, evaluated slowly.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::http::request::Parts;
use logql::Query;
use logql::expr::Expr;
use logql::pipeline::Extractor;
use serde_json::{Value, json};

use super::push::Refusal;
use super::{State, Stored};
use crate::support::logql::slow::{Given, Slow, label_set};

/// The paths that are answered.
pub const PATHS: [&str; 1] = ["/loki/api/v1/query_range"];

/// Most series of an answer (`max_query_series`), unless a test wants another limit.
pub const SERIES_MAX: usize = 500;
/// Most lines of an answer (`max_entries_limit_per_query`), unless a test wants another limit.
pub const LINES_MAX: usize = 5000;
/// Lines of an answer when nobody asks for more.
const LINES: usize = 100;
/// Most points of a series.
const POINTS_MAX: i64 = 11_000;
/// The longest span: `max_query_length`, 721 hours.
const SPAN_MAX_NS: i64 = 721 * 3600 * SECOND_NS;
const SECOND_NS: i64 = 1_000_000_000;

fn bad(text: impl Into<String>) -> Refusal {
    Refusal::new(400, text)
}

/// Answers a question with JSON.
pub fn read(state: &State, tenant: &str, parts: &Parts) -> Result<String, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    let given: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let parameter = |name: &str| given.get(name).map(String::as_str);
    let text = parameter("query").unwrap_or_default();
    let query = Query::parse(text).map_err(|error| bad(format!("parse error : {error}")))?;
    let time = |name: &str| -> Result<i64, Refusal> {
        let text = parameter(name).ok_or_else(|| bad(format!("this double wants `{name}`")))?;
        text.parse().map_err(|_| bad(format!("could not parse '{name}' parameter: {text}")))
    };
    let (start, end) = (time("start")?, time("end")?);
    if end < start {
        return Err(bad("end timestamp must not be before or equal to start time"));
    }
    if end - start > SPAN_MAX_NS {
        let length = (end - start) / SECOND_NS;
        return Err(bad(format!(
            "the query time range exceeds the limit (query length: {length}s, limit: 30d1h)"
        )));
    }
    let mut entries: Vec<&Stored> =
        state.log.stored.iter().filter(|entry| &*entry.tenant == tenant).collect();
    entries.sort_by_key(|entry| (entry.timestamp_ns, entry.arrival));
    let result = match &query {
        Query::Logs(_) => {
            let limit = parameter("limit").map_or(Ok(LINES), |limit| {
                limit.parse().map_err(|_| bad(format!("could not parse 'limit' parameter: {limit}")))
            })?;
            let most = state.options.lines_limit;
            if limit > most {
                return Err(bad(format!(
                    "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {most})"
                )));
            }
            let apart = parts.headers.get("x-loki-response-encoding-flags").is_some();
            let backward = parameter("direction").is_none_or(|direction| direction == "backward");
            let lines = lines(text, &entries, (start, end), limit, backward)?;
            json!({"resultType": "streams", "result": streams(&lines, apart), "stats": {}})
        }
        Query::Metric(expr) => {
            let step = parameter("step").and_then(|step| step.strip_suffix('s')?.parse::<i64>().ok());
            let step = step.ok_or_else(|| bad("this double wants `step` in whole seconds"))? * SECOND_NS;
            if (end - start) / step > POINTS_MAX {
                return Err(bad(
                    "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step \
                     parameter",
                ));
            }
            json!({"resultType": "matrix", "result": matrix(expr, &entries, (start, end, step), state.options.series_limit)?, "stats": {}})
        }
    };
    Ok(json!({"status": "success", "data": result}).to_string())
}

/// The lines that a log query finds.
fn lines<'e>(
    query: &str,
    entries: &[&'e Stored],
    (start, end): (i64, i64),
    limit: usize,
    backward: bool,
) -> Result<Vec<&'e Stored>, Refusal> {
    // A count of the same lines says which they are.
    let Ok(Query::Metric(expr)) = Query::parse(&format!("count_over_time({query} [1s])")) else {
        return Err(bad(format!("this double cannot count {query}")));
    };
    let mut found = Vec::new();
    expr.ranges(&mut |range, outer| {
        let extractor = Extractor::new(range, outer);
        let wanted = entries.iter().filter(|entry| (start..end).contains(&entry.timestamp_ns));
        for entry in wanted {
            let given = given(entry);
            let metadata = given.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            if extractor.matches(&given.labels)
                && extractor.extract(&given.labels, (given.time, &given.line), metadata).is_some()
            {
                found.push(*entry);
            }
        }
    });
    if backward {
        found.reverse();
    }
    found.truncate(limit);
    Ok(found)
}

/// Lines by stream.
fn streams(lines: &[&Stored], apart: bool) -> Vec<Value> {
    let mut streams: BTreeMap<BTreeMap<String, String>, Vec<Value>> = BTreeMap::new();
    for line in lines {
        let time = line.timestamp_ns.to_string();
        let (labels, value) = match apart {
            true => {
                let metadata: BTreeMap<_, _> = line
                    .queried_labels()
                    .into_iter()
                    .filter(|(name, _)| !line.labels.contains_key(name))
                    .collect();
                ((*line.labels).clone(), json!([time, line.line, {"structuredMetadata": metadata}]))
            }
            false => (line.queried_labels(), json!([time, line.line])),
        };
        streams.entry(labels).or_default().push(value);
    }
    streams.into_iter().map(|(labels, values)| json!({"stream": labels, "values": values})).collect()
}

/// The values of a metric query.
fn matrix(
    expr: &Expr,
    entries: &[&Stored],
    (start, end, step): (i64, i64, i64),
    most: usize,
) -> Result<Vec<Value>, Refusal> {
    let given: Vec<Given> = entries
        .iter()
        .flat_map(|entry| std::iter::repeat_n(given(entry), usize::try_from(entry.copies).unwrap()))
        .collect();
    let slow = Slow::new(expr, &given);
    let mut series: BTreeMap<String, (BTreeMap<String, String>, Vec<Value>)> = BTreeMap::new();
    let mut time = start;
    while time <= end {
        let vector = slow.value_at(time).map_err(|error| bad(error.to_string()))?;
        for sample in vector {
            let labels = sample.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            let (_, values) =
                series.entry(sample.labels.to_string()).or_insert_with(|| (labels.collect(), Vec::new()));
            values.push(json!([time as f64 / SECOND_NS as f64, sample.value.to_string()]));
        }
        if series.len() > most {
            return Err(bad(format!(
                "maximum number of series ({most}) reached for a single query; consider reducing query cardinality by \
                 adding more specific stream selectors, reducing the time range, or aggregating results with functions like \
                 sum, count or topk"
            )));
        }
        time += step;
    }
    Ok(series.into_values().map(|(metric, values)| json!({"metric": metric, "values": values})).collect())
}

/// An entry as a query sees it.
fn given(entry: &Stored) -> Given {
    let labels = Arc::new(label_set(entry.labels.iter()));
    let metadata = entry.queried_labels().into_iter().filter(|(name, _)| !entry.labels.contains_key(name));
    Given { time: entry.timestamp_ns, labels, metadata: metadata.collect(), line: entry.line.clone() }
}
