//! Which labels and fields there are to filter by, as Grafana's Logs Drilldown asks (grafana/loki, `pkg/querier/querier.go`,
//! `DetectedLabels`, `DetectedFields`): fields are structured metadata, and what a parser finds in lines.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::params::{self, Refused};
use super::{Reply, Request, chosen, optional, parse_logs};
use crate::query::answer::{Answer, Line};
use crate::query::journal::Journal;
use crate::query::{Decimal, Direction, Question, Run, Time, ask};
use logql::Query;
use logql::go::logfmt::Pairs;
use logql::go::units;
use logql::label_set::identifier;
use logql::pipeline::{DETAILS, ERROR, PRESERVE};

/// The newest lines in which fields are looked for unless `line_limit` says otherwise (count).
const LINES: usize = 100;
/// Fields that are named unless `limit` or, as it was once called, `field_limit` says otherwise (count).
const FIELDS: usize = 1000;
/// How deep objects within a line are looked into (count).
const DEPTH_MAX: usize = 16;

/// Labels that tell of a parser's failure: they are no fields.
const ERRORS: [&str; 3] = [ERROR, DETAILS, PRESERVE];
/// Labels that are named whatever their values are (`staticLabels`).
const ALWAYS: [&str; 4] = ["cluster", "namespace", "instance", "pod"];
/// The end of the name of a field that the line's stream, or its structured metadata, has already.
const AGAIN: &str = "_extracted";

/// `detected_labels`
pub(super) fn labels(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Reply, Refused> {
    let bounds = params::ordered(&request.params, request.now)?;
    let streams = chosen(&optional(request)?, bounds, journal, run)?;
    let tells = |(name, values): &(&str, BTreeSet<&str>)| ALWAYS.contains(name) || !are_ids(values);
    let one = |(label, values): (_, BTreeSet<&str>)| Label { label, cardinality: values.len() };
    let labels: Vec<_> = streams.labels().into_iter().filter(tells).map(one).collect();
    Reply::json(&Labels { labels })
}

/// Labels (grafana/loki, `pkg/logproto/logproto.proto`, `DetectedLabelsResponse`). What is empty is left out there.
#[derive(Serialize)]
struct Labels<'l> {
    #[serde(rename = "detectedLabels", skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Label<'l>>,
}

/// A label, and how many values it has.
#[derive(Serialize)]
struct Label<'l> {
    label: &'l str,
    cardinality: usize,
}

/// Whether all values are numbers or UUIDs, which nobody wants to choose from; 0 and 1 alone are answers (`shouldRejectLabel`).
fn are_ids(values: &BTreeSet<&str>) -> bool {
    let answers = values.len() <= 2 && values.iter().all(|value| ["0", "1"].contains(value));
    !answers && values.iter().all(|value| units::number(value).is_some() || is_uuid(value))
}

/// Whether a text is a UUID in one of its forms (github.com/google/uuid, `Parse`).
fn is_uuid(text: &str) -> bool {
    let inner = match text.split_at_checked(9) {
        Some((begin, rest)) if begin.eq_ignore_ascii_case("urn:uuid:") => rest,
        _ => text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text),
    };
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match inner.len() {
        32 => inner.len() == text.len() && is_hex(inner),
        36 => inner
            .split('-')
            .map(|part| (part.len(), is_hex(part)))
            .eq([8, 4, 4, 4, 12].map(|len| (len, true))),
        _ => false,
    }
}

/// A field of lines.
#[derive(Default)]
struct Field {
    /// Each with whether a parser has found it.
    values: BTreeMap<String, bool>,
    kind: &'static str,
    parsers: BTreeSet<&'static str>,
    path: Vec<String>,
}

/// `detected_fields`
pub(super) fn fields(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Reply, Refused> {
    let Found { fields: found, limit } = find(request, journal, run)?;
    let mut fields: Vec<_> = found.iter().collect();
    // Those that tell most apart, or are in most lines, are of most use.
    fields.sort_by(|a, b| (b.1.values.len(), a.0).cmp(&(a.1.values.len(), b.0)));
    fields.truncate(limit);
    let detected = fields.iter().map(|(label, field)| Detected::new(label, field));
    listed("fields", detected.collect(), limit)
}

/// A field, as Loki tells of it (`pkg/logproto/logproto.proto`, `DetectedField`).
#[derive(Serialize)]
struct Detected<'f> {
    label: &'f str,
    #[serde(rename = "type")]
    kind: &'static str,
    cardinality: usize,
    parsers: Option<&'f BTreeSet<&'static str>>,
    #[serde(rename = "jsonPath", skip_serializing_if = "<[_]>::is_empty")]
    path: &'f [String],
}

impl Detected<'_> {
    fn new<'f>(label: &'f str, field: &'f Field) -> Detected<'f> {
        let parsers = Some(&field.parsers).filter(|parsers| !parsers.is_empty());
        let path = if parsers.is_some() { field.path.as_slice() } else { &[] };
        Detected { label, kind: field.kind, cardinality: field.values.len(), parsers, path }
    }
}

/// `detected_field/NAME/values`
pub(super) fn values(
    name: &str,
    request: &Request,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Reply, Refused> {
    let Found { fields: found, limit } = find(request, journal, run)?;
    let values = found.get(name).into_iter().flat_map(|field| &field.values);
    let values: BTreeSet<String> = values.map(|(value, parsed)| written(value, *parsed)).collect();
    listed("values", values.into_iter().take(limit).collect(), limit)
}

/// A list with its limit, which are left out where there is none.
fn listed<T: Serialize>(name: &'static str, list: Vec<T>, limit: usize) -> Result<Reply, Refused> {
    Reply::json(&Listed { name, list, limit })
}

/// A list, under its name, and its limit.
struct Listed<T> {
    name: &'static str,
    list: Vec<T>,
    limit: usize,
}

impl<T: Serialize> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        if !self.list.is_empty() {
            map.serialize_entry(self.name, &self.list)?;
            map.serialize_entry("limit", &self.limit)?;
        }
        map.end()
    }
}

/// A value as one can compare with it: a size that a parser has found is rounded (`parseDetectedFieldValues`).
fn written(value: &str, parsed: bool) -> String {
    // A number alone is no size. The units of `units::bytes` are the others that Loki looks for.
    let has_unit = value.ends_with(|c: char| c.is_ascii_alphabetic());
    match units::bytes(value).filter(|_| parsed && has_unit) {
        Some(bytes) => Decimal(bytes).to_string(),
        None => value.to_owned(),
    }
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
        if ERRORS.contains(&name) {
            return;
        }
        let field = found.entry(name.to_owned()).or_default();
        if field.kind.is_empty() {
            field.kind = kind(&value);
        }
        *field.values.entry(value).or_default() |= parser.is_some();
        field.parsers.extend(parser);
        if field.path.is_empty() {
            field.path = path.to_vec();
        }
    };
    for (name, value) in line.labels.metadata.iter() {
        add(name, value.to_owned(), None, &[]);
    }
    let object = serde_json::from_str(&line.text).ok().filter(Value::is_object);
    let parser = if object.is_some() { "json" } else { "logfmt" };
    for (name, value) in line.labels.parsed.iter() {
        add(name, value.to_owned(), Some(parser), &[]);
    }
    let mut add = |name: &str, value: String, path: &[String]| {
        let mut name = identifier(name).into_owned();
        if line.labels.stream.get(&name).is_some() || line.labels.metadata.get(&name).is_some() {
            name.push_str(AGAIN);
        }
        add(&name, value, Some(parser), path);
    };
    match object {
        Some(object) => {
            flatten(&object, &mut Vec::new(), &mut |path, value| add(&path.join("_"), value, path));
        }
        None => {
            let pairs = Pairs::new(&line.text, true).flatten().filter(|(_, value)| !value.is_empty());
            pairs.for_each(|(name, value)| add(name, value.into_owned(), &[]));
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
        text if units::number(text).is_some() => "float",
        // As Go's `strconv.ParseBool` reads them.
        "t" | "T" | "true" | "TRUE" | "True" | "f" | "F" | "false" | "FALSE" | "False" => "boolean",
        text if units::go_duration(text).is_some() => "duration",
        text if units::bytes(text).is_some() => "bytes",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::label_set::LabelSet;
    use logql::pipeline::Categories;

    #[test]
    fn kinds_are_lokis() {
        for (text, expected) in [
            ("12", "int"),
            ("1.5", "float"),
            ("0x1p4", "float"),
            ("1e400", "string"),
            ("True", "boolean"),
            ("t", "boolean"),
            ("tRUE", "string"),
            ("1", "int"),
            ("5ms", "duration"),
            ("10kB", "bytes"),
            ("10 KiB", "bytes"),
            ("x", "string"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_and_uuids_are_ids() {
        for (values, expected) in [
            (&["0", "1"][..], false),
            (&["1"], false),
            (&["0", "2"], true),
            (&["1000", "1.5", "1e3"], true),
            (&["1000", "x"], false),
            (&["6ba7b810-9dad-11d1-80b4-00c04fd430c8"], true),
            (
                &["{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "URN:uuid:6BA7B810-9dad-11d1-80b4-00c04fd430c8"],
                true,
            ),
            (&["6ba7b8109dad11d180b400c04fd430c8"], true),
            (&["{6ba7b8109dad11d180b400c04fd430c8}"], false),
            (&["6ba7b8109-dad-11d1-80b4-00c04fd430c8"], false),
        ] {
            assert_eq!(are_ids(&values.iter().copied().collect()), expected, "{values:?}");
        }
    }

    #[test]
    fn fields_are_named_as_a_parser_would_name_them() {
        let set = |pairs: &[(&str, &str)]| {
            let mut set = LabelSet::default();
            pairs.iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
            set
        };
        let line = Line {
            time: 0,
            text: r#"{"level": "info", "pid": 7, "size": "4MiB", "a b": {"c": true}}"#.to_owned(),
            labels: Categories {
                stream: set(&[("level", "6")]),
                metadata: set(&[("pid", "1"), ("sent", "4MiB")]),
                parsed: set(&[
                    ("__error__", "X"),
                    ("__error_details__", "y"),
                    ("__preserve_error__", "true"),
                    ("mine", "1"),
                ]),
            },
        };
        let mut found = IndexMap::default();
        look(&line, &mut found);
        let mut names: Vec<_> = found.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a_b_c", "level_extracted", "mine", "pid", "pid_extracted", "sent", "size"]);
        let field = |name: &str| found.get(name).unwrap();
        assert_eq!(field("mine").parsers, BTreeSet::from(["json"]));
        assert!(field("sent").parsers.is_empty());
        let values =
            |name: &str| field(name).values.iter().map(|(v, parsed)| written(v, *parsed)).collect::<Vec<_>>();
        assert_eq!((values("size"), values("sent")), (vec!["4.2MB".to_owned()], vec!["4MiB".to_owned()]));
        assert_eq!(values("pid_extracted"), ["7"]);
    }
}
