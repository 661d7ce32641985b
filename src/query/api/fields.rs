//! Which labels and fields there are to filter by, as Grafana's Logs Drilldown asks (grafana/loki, `pkg/querier/querier.go`,
//! `DetectedLabels`, `DetectedFields`): fields are structured metadata, and what a parser finds in lines.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::params::{self, Refused};
use super::{Request, chosen, optional, parse_logs};
use crate::query::answer::{Answer, Line};
use crate::query::journal::Journal;
use crate::query::{Direction, Question, Run, Time, ask};
use logql::Query;
use logql::go::logfmt::Pairs;
use logql::go::units;
use logql::label_set::identifier;

/// The newest lines in which fields are looked for unless `line_limit` says otherwise (count).
const LINES: usize = 100;
/// Fields that are named unless `limit` or, as it was once called, `field_limit` says otherwise (count).
const FIELDS: usize = 1000;
/// How deep objects within a line are looked into (count).
const DEPTH_MAX: usize = 16;

/// `detected_labels`
pub(super) fn labels(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Value, Refused> {
    let bounds = params::ordered(&request.params, request.now)?;
    let streams = chosen(&optional(request)?, bounds, journal, run)?;
    let one = |(name, values): (&str, BTreeSet<&str>)| json!({"label": name, "cardinality": values.len()});
    Ok(json!({"detectedLabels": streams.labels().into_iter().map(one).collect::<Vec<_>>()}))
}

/// A field of lines.
#[derive(Default)]
struct Field {
    values: BTreeSet<String>,
    kind: &'static str,
    parsers: BTreeSet<&'static str>,
    path: Vec<String>,
}

/// `detected_fields`
pub(super) fn fields(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Value, Refused> {
    let Found { fields: found, limit } = find(request, journal, run)?;
    let mut fields: Vec<_> = found.iter().collect();
    // Those that tell most apart, or are in most lines, are of most use.
    fields.sort_by(|a, b| (b.1.values.len(), a.0).cmp(&(a.1.values.len(), b.0)));
    fields.truncate(limit);
    let one = |(name, field): &(&String, &Field)| {
        let mut value =
            json!({"label": name, "type": field.kind, "cardinality": field.values.len(), "parsers": null});
        if let Some(object) = value.as_object_mut()
            && !field.parsers.is_empty()
        {
            object.insert("parsers".into(), json!(field.parsers));
            if !field.path.is_empty() {
                object.insert("jsonPath".into(), json!(field.path));
            }
        }
        value
    };
    Ok(json!({"fields": fields.iter().map(one).collect::<Vec<_>>(), "limit": limit}))
}

/// `detected_field/NAME/values`
pub(super) fn values(
    name: &str,
    request: &Request,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Value, Refused> {
    let Found { fields: found, limit } = find(request, journal, run)?;
    let Some(field) = found.get(name) else { return Ok(json!({})) };
    Ok(json!({"values": field.values.iter().take(limit).collect::<Vec<_>>(), "limit": limit}))
}

/// The fields of lines, and how many of them, or of the values of one, are asked for (count).
struct Found {
    fields: IndexMap<String, Field, foldhash::quality::RandomState>,
    limit: usize,
}

fn find(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Found, Refused> {
    let params::Bounds { start, end } = params::ordered(&request.params, request.now)?;
    let lines = params::count(&request.params, &["line_limit"], LINES)?;
    let limit = params::count(&request.params, &["limit", "field_limit"], FIELDS)?;
    params::step(&request.params, start, end)?;
    let query = Query::Logs(parse_logs(request.params.get("query"))?);
    params::entries(lines, run.limits.entries)?;
    let time = Time::Span { start, end, step: 1 };
    let question = Question { query, time, limit: lines, direction: Direction::Backward };
    let (answer, _) = ask(&question, journal, run)?;
    let mut fields = IndexMap::default();
    if let Answer::Lines(lines) = answer {
        lines.iter().for_each(|line| look(line, &mut fields));
    }
    Ok(Found { fields, limit })
}

fn look(line: &Line, found: &mut IndexMap<String, Field, foldhash::quality::RandomState>) {
    let mut add = |name: &str, value: String, parser: Option<&'static str>, path: &[String]| {
        let field = found.entry(name.to_owned()).or_default();
        if field.kind.is_empty() {
            field.kind = kind(&value);
        }
        field.values.insert(value);
        field.parsers.extend(parser);
        if field.path.is_empty() {
            field.path = path.to_vec();
        }
    };
    for (name, value) in line.labels.metadata.iter().chain(line.labels.parsed.iter()) {
        add(name, value.to_owned(), None, &[]);
    }
    match serde_json::from_str::<Value>(&line.text) {
        Ok(object @ Value::Object(_)) => {
            flatten(&object, &mut Vec::new(), &mut |path, value| {
                let name = identifier(&path.join("_")).into_owned();
                if line.labels.stream.get(&name).is_none() && line.labels.metadata.get(&name).is_none() {
                    add(&name, value, Some("json"), path);
                }
            });
        }
        _ => {
            for (name, value) in Pairs::new(&line.text, true).flatten().filter(|(_, value)| !value.is_empty())
            {
                let name = identifier(name).into_owned();
                if line.labels.stream.get(&name).is_none() && line.labels.metadata.get(&name).is_none() {
                    add(&name, value.into_owned(), Some("logfmt"), &[]);
                }
            }
        }
    }
}

/// Calls `found` with each value within an object, and the way to it.
fn flatten(value: &Value, path: &mut Vec<String>, found: &mut impl FnMut(&[String], String)) {
    let text = match value {
        Value::Object(object) if path.len() < DEPTH_MAX => {
            for (name, value) in object {
                path.push(name.clone());
                flatten(value, path, found);
                path.pop();
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return,
    };
    found(path, text);
}

/// What kind of value a text is (`determineType`).
fn kind(text: &str) -> &'static str {
    match text {
        text if text.parse::<i64>().is_ok() => "int",
        text if text.parse::<f64>().is_ok() => "float",
        "true" | "false" => "boolean",
        text if units::go_duration(text).is_some() => "duration",
        text if units::bytes(text).is_some() => "bytes",
        _ => "string",
    }
}
