//! Queries of the journal give what a real Loki gave over the same entries: `tests/data/oracle` holds its answers, by the
//! form `tests/data/oracle/README.md` describes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::support::fixtures::{Format, build_journal_from_export, gunzip};
use crate::support::or_skip;
use journal_ship::config::Config;
use journal_ship::query::api::{self, Params, Reply, Request};
use journal_ship::query::journal::Journal;
use journal_ship::query::{Answer, Direction, Limits, Progress, Question, Run, Time, ask, response};
use journal_ship::shape::Sections;
use journald_reader::Scope;
use logql::Query;

const SECOND: i64 = 1_000_000_000;

/// The labels that the entries had when Loki's answers were recorded, which are not today's defaults.
const RECORDED: &str = "
labels:
  fields:
    host: _HOSTNAME
    level: PRIORITY
    unit: [_SYSTEMD_USER_UNIT, _SYSTEMD_UNIT]
    service_name: [_SYSTEMD_USER_UNIT, _SYSTEMD_UNIT, SYSLOG_IDENTIFIER, _TRANSPORT]
";

pub(crate) fn data(name: &str) -> Vec<u8> {
    gunzip(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle").join(name))
}

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&data(name)).unwrap()
}

/// A journal with the entries that Loki had, and the configuration that gives them their labels.
pub(crate) struct Asked {
    _home: tempfile::TempDir,
    config: Config,
    scope: Scope,
}

impl Asked {
    pub(crate) fn new() -> Result<Asked, crate::support::Unavailable> {
        let home = tempfile::tempdir().unwrap();
        let path: PathBuf = home.path().join("system.journal");
        build_journal_from_export(&path, &data("journal.export.gz"), Format::default())?;
        let config = Config::parse(RECORDED, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
        Ok(Asked { scope: Scope::of([path].to_vec()), config, _home: home })
    }

    fn journal(&self) -> Journal<'_> {
        Journal::new(self.scope.clone(), Sections::from(&self.config), None)
    }

    fn ask(&self, question: &Question, categorize: bool) -> Result<Value, String> {
        let stop = AtomicBool::new(false);
        let mut run = Run {
            stop: &stop,
            deadline: None,
            limits: Limits { series: 5000, ..Limits::default() },
            bytes_read: 0,
            progress: &mut |_| {},
        };
        let answer = ask(question, &self.journal(), &mut run);
        let (answer, _) = answer.map_err(|error| error.to_string())?;
        let flags = if categorize { vec![response::CATEGORIZE.to_owned()] } else { Vec::new() };
        let data = response::Data { answer: &answer, flags: &flags, stats: None };
        Ok(serde_json::to_value(data).unwrap())
    }

    /// The reply to a query.
    fn get(&self, path: &str, query: &str, params: &[(&str, String)]) -> Reply {
        let mut all = vec![("query".to_owned(), query.to_owned())];
        all.extend(params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let path = format!("/loki/api/v1/{path}");
        self.call(&Request { path, params: Params(all), flags: Vec::new(), now: 1_795_248_000 * SECOND })
    }

    pub(crate) fn call(&self, request: &Request) -> Reply {
        let stop = AtomicBool::new(false);
        let mut run = Run {
            stop: &stop,
            deadline: None,
            limits: Limits { series: 5000, ..Limits::default() },
            bytes_read: 0,
            progress: &mut |_| {},
        };
        api::answer(request, &self.journal(), &mut run)
    }
}

/// Ctrl-C, while the journal of the demonstration is read.
#[test]
fn a_query_that_is_stopped_has_what_was_found() {
    let config = Config::parse("loki: []", "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
    let journal = Journal::new(Scope::of([demo]), Sections::from(&config), None);
    let stop = AtomicBool::new(false);
    let mut progress = |_: &Progress| stop.store(true, Relaxed);
    let mut run = Run {
        stop: &stop,
        deadline: None,
        limits: Limits::default(),
        bytes_read: 0,
        progress: &mut progress,
    };
    let query = Query::parse(r#"sum(count_over_time({job=~".+"}[20000d]))"#).unwrap();
    let question =
        Question { query, time: Time::At(2_000_000_000 * SECOND), limit: 0, direction: Direction::Backward };
    let (answer, read) = ask(&question, &journal, &mut run).unwrap();
    let Answer::Vector(_, vector) = answer else { panic!("{answer:?}") };
    assert!(read.entries > 0 && vector.len() == 1, "{read:?} {vector:?}");
    assert_eq!(vector[0].value, read.chosen as f64);
}

/// An empty label is one that is not there, here as in Prometheus and Alertmanager; Loki shows it.
fn without_empty(labels: &Value) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).unwrap();
    labels.retain(|_, value| !value.is_empty());
    labels
}

fn number(value: &Value) -> f64 {
    match value.as_str().unwrap() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap(),
    }
}

/// Series by their labels: times in milliseconds and values.
type Series = BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>;

fn point(pair: &Value) -> (i64, f64) {
    ((pair[0].as_f64().unwrap() * 1000.0).round() as i64, number(&pair[1]))
}

fn series(result: &Value) -> Series {
    let one = |row: &Value| {
        let points = row.get("value").map(|pair| vec![point(pair)]);
        let points = points.unwrap_or_else(|| row["values"].as_array().unwrap().iter().map(point).collect());
        (without_empty(&row["metric"]), points)
    };
    result.as_array().unwrap().iter().map(one).collect()
}

fn same(ours: &Series, theirs: &Series) -> bool {
    let close =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    ours.len() == theirs.len()
        && ours.iter().all(|(labels, points)| {
            theirs.get(labels).is_some_and(|other| {
                points.len() == other.len()
                    && points.iter().zip(other).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
            })
        })
}

/// The text of an error as far as it is the same each time: our parser names other words than Loki's, and any entry may be
/// the first that a stage fails on.
fn kind_of_error(text: &str) -> &str {
    match text.strip_prefix("parse error") {
        Some(_) => "parse error",
        None => text.split(" for series: ").next().unwrap_or(text),
    }
}

/// Of values that are equal, `topk` chooses any.
fn values(series: &Series) -> Vec<(i64, u64)> {
    let mut values: Vec<_> =
        series.values().flatten().map(|(time, value)| (*time, value.to_bits())).collect();
    values.sort_unstable();
    values
}

#[test]
fn metric_queries_have_lokis_values_at_one_time_and_over_time() {
    let asked = or_skip!(Asked::new());
    let (instant, start, end) = (1_795_246_200 * SECOND, 1_795_242_000 * SECOND, 1_795_247_400 * SECOND);
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for row in recorded("loki.json.gz")["metric"].as_array().unwrap() {
        let text = row["query"].as_str().unwrap();
        // Loki moves line filters to the front, also of `decolorize`, so that this finds nothing there.
        if text.contains("| decolorize |= ") {
            continue;
        }
        let span = Time::Span { start, end, step: 900 * SECOND };
        for (how, time) in [("instant", Time::At(instant)), ("range", span)] {
            let recorded = &row[how];
            let ours = Query::parse(text).map_err(|error| error.to_string()).and_then(|query| {
                asked.ask(&Question { query, time, limit: 100, direction: Direction::Backward }, false)
            });
            compared += 1;
            let theirs = |rows: &Value, key: &str| -> Series {
                let one = |row: &Value| match key {
                    "value" => (without_empty(&row[0]), vec![(instant / 1_000_000, number(&row[1]))]),
                    _ => (without_empty(&row[0]), row[1].as_array().unwrap().iter().map(point).collect()),
                };
                rows.as_array().unwrap().iter().map(one).collect()
            };
            let fits = match (&ours, recorded) {
                (Err(_), recorded) => {
                    let params: &[(&str, String)] = match time {
                        Time::At(time) => &[("time", time.to_string())],
                        Time::Span { start, end, step } => &[
                            ("start", start.to_string()),
                            ("end", end.to_string()),
                            ("step", (step / SECOND).to_string()),
                        ],
                    };
                    let path = if how == "instant" { "query" } else { "query_range" };
                    let reply = asked.get(path, text, params);
                    recorded.get("text").is_some_and(|theirs| {
                        let kinds = [reply.body.as_str(), theirs.as_str().unwrap()].map(kind_of_error);
                        recorded["error"] == reply.status && kinds[0] == kinds[1]
                    })
                }
                (Ok(ours), recorded) => match ours["resultType"].as_str().unwrap() {
                    "scalar" => recorded.get("scalar").is_some_and(|value| {
                        number(value.as_array().and_then(|pair| pair.last()).unwrap_or(value))
                            == number(&ours["result"][1])
                    }),
                    kind => {
                        let key = if kind == "vector" { "value" } else { "values" };
                        recorded.get(kind).is_some_and(|rows| {
                            let (ours, theirs) = (series(&ours["result"]), theirs(rows, key));
                            let ties = text.contains("topk(") || text.contains("bottomk(");
                            same(&ours, &theirs) || (ties && values(&ours) == values(&theirs))
                        })
                    }
                },
            };
            if !fits {
                wrong.push(format!("{text}\n  {how}\n  ours {ours:?}\n  Loki's {recorded}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 660, "{compared}");
}

/// Streams by their labels, as Loki gives them: values with whatever stands beside a line.
fn streams(rows: &[(Value, Value)]) -> BTreeMap<BTreeMap<String, String>, Value> {
    rows.iter().map(|(labels, values)| (without_empty(labels), values.clone())).collect()
}

#[test]
fn log_queries_have_lokis_lines() {
    let asked = or_skip!(Asked::new());
    let time = Time::Span { start: 1_795_242_000 * SECOND, end: 1_795_247_400 * SECOND, step: 1 };
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for row in recorded("loki.json.gz")["log"].as_array().unwrap() {
        let text = row["query"].as_str().unwrap();
        let direction = if row["direction"] == "forward" { Direction::Forward } else { Direction::Backward };
        let limit = row["limit"].as_u64().unwrap() as usize;
        let categorize = row["categorize_labels"] == true;
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ours = asked.ask(&Question { query, time, limit, direction }, categorize).unwrap();
        let rows = |rows: &Value, labels: fn(&Value) -> (Value, Value)| {
            streams(&rows.as_array().unwrap().iter().map(labels).collect::<Vec<_>>())
        };
        let ours = rows(&ours["result"], |row| (row["stream"].clone(), row["values"].clone()));
        let theirs = rows(&row["result"]["streams"], |row| (row[0].clone(), row[1].clone()));
        compared += 1;
        if ours != theirs {
            wrong.push(format!("{text} {direction:?}\n  ours   {ours:?}\n  Loki's {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(compared, 39);
}

/// Queries that Loki takes as long as no entry meets them, and that are refused here with the place of the mistake.
const REFUSED_HERE: [&str; 2] = ["sum(rate({unit=\"a\"}[0s]))", "{unit=\"a\"} | label_format a=b,a=c"];

/// How an answer of the API differs on purpose, by what is asked.
fn differs(path: &str, status: u64) -> Option<&'static str> {
    Some(match path {
        "/loki/api/v1/index/stats" if status == 200 => "Loki counts its chunks, this program entries",
        "/loki/api/v1/status/buildinfo" => "another program",
        "/loki/api/v1/detected_fields" if status == 200 => "Loki chooses any ten fields",
        _ => return None,
    })
}

#[test]
fn the_read_api_answers_as_loki_does() {
    let asked = or_skip!(Asked::new());
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for call in recorded("api.json.gz").as_array().unwrap() {
        let path = call["path"].as_str().unwrap();
        // These are of the agent, which knows rules and can follow.
        if path.starts_with("/prometheus") || path.ends_with("/tail") {
            continue;
        }
        let mut params = Params::default();
        for (name, value) in call["params"].as_object().unwrap() {
            match value {
                Value::Array(all) => {
                    params.0.extend(all.iter().map(|one| (name.clone(), one.as_str().unwrap().to_owned())))
                }
                one => params.0.push((name.clone(), one.as_str().unwrap().to_owned())),
            }
        }
        let flags = call["headers"]["X-Loki-Response-Encoding-Flags"].as_str();
        let flags = flags.map(str::to_owned).into_iter().collect();
        let request = Request { path: path.to_owned(), params, flags, now: 1_795_248_000 * SECOND };
        let reply = asked.call(&request);
        let status = call["status"].as_u64().unwrap();
        let mut body: Value = serde_json::from_str(&reply.body).unwrap_or_else(|_| json!(reply.body));
        let mut theirs = call.get("body").or(call.get("text")).cloned().unwrap_or_default();
        if path.starts_with("/loki/api/v1/index/volume") {
            // Loki estimates bytes by its chunks.
            [&mut body, &mut theirs].into_iter().for_each(without_bytes);
        }
        if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
            // They were taken out of the recorded answers.
            data.remove("stats");
        }
        compared += 1;
        let refused = REFUSED_HERE.contains(&request.params.get("query"));
        let mut fits = u64::from(reply.status) == if refused { 400 } else { status };
        if differs(path, status).is_none() && !refused {
            fits &= match status {
                200 => {
                    order(&mut body);
                    order(&mut theirs);
                    reply.content_type == call["type"].as_str().unwrap() && body == theirs
                }
                // Our parser names other words than Loki's, at the same kind of mistake.
                _ if theirs.as_str().is_some_and(|text| text.starts_with("parse error")) => {
                    body.as_str().is_some_and(|text| text.starts_with("parse error"))
                }
                _ => body == theirs,
            };
        }
        if !fits {
            wrong.push(format!(
                "{path} {}\n  ours   {} {body}\n  Loki's {status} {theirs}",
                call["params"], reply.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 70, "{compared}");
}

/// Takes the values of volumes away: what stays are their labels and times.
fn without_bytes(body: &mut Value) {
    let rows = body.pointer_mut("/data/result").and_then(Value::as_array_mut);
    for row in rows.into_iter().flatten() {
        let values = match row.get_mut("value") {
            Some(pair) => vec![pair],
            None => row["values"].as_array_mut().unwrap().iter_mut().collect(),
        };
        values.into_iter().for_each(|pair| pair[1] = Value::Null);
    }
}

/// Brings what has no order of its own into one.
fn order(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.values_mut().for_each(order);
    }
    if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(order);
        if list.iter().all(Value::is_object) {
            list.sort_by_cached_key(Value::to_string);
        }
    }
}
