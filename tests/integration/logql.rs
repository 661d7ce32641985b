//! LogQL means what it means to Loki: `tests/data/oracle/loki.json.gz` holds what a real Loki (main of August 2026)
//! answered over the entries of `journal.export.gz`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::agent::{Mapping, expected_with};
use crate::support::fixtures::{gunzip, parse_export};
use crate::support::logql::{Given, Slow, label_set};
use crate::support::loki::Stored;
use journal_ship::alerts::engine::Engine;
use logql::Expr;
use logql::vectors::Vector;
use serde_json::Value;

const SECOND: i64 = 1_000_000_000;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle").join(name)
}

fn oracle() -> Value {
    serde_json::from_slice(&gunzip(&data("loki.json.gz"))).unwrap()
}

/// The labels that the entries had when Loki's answers were recorded, which are not today's defaults.
const RECORDED: Mapping<'static> = &[
    ("host", &["_HOSTNAME"]),
    ("level", &["PRIORITY"]),
    ("unit", &["_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT"]),
    ("service_name", &["_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_TRANSPORT"]),
];

/// The entries that Loki had.
fn entries() -> Vec<Given> {
    let given = |entry| {
        let (time, labels, metadata, line) = expected_with(&entry, RECORDED);
        let mut stored = Stored {
            tenant: "t".into(),
            labels: Arc::new(labels),
            timestamp_ns: 0,
            line,
            metadata: metadata.into_iter().collect(),
            arrival: 0,
            copies: 1,
        };
        let level = stored.queried_labels().remove("detected_level").unwrap();
        stored.metadata.push(("detected_level".to_owned(), level));
        Given {
            time: i64::try_from(time).unwrap() * 1000,
            labels: Arc::new(label_set(stored.labels.iter())),
            metadata: stored.metadata,
            line: stored.line,
        }
    };
    let mut entries: Vec<Given> =
        parse_export(&gunzip(&data("journal.export.gz"))).into_iter().map(given).collect();
    entries.sort_by_key(|entry| entry.time);
    entries
}

type Series = BTreeMap<BTreeMap<String, String>, f64>;

fn series(vector: Vector) -> Series {
    let labels = |sample: &logql::vectors::Sample| {
        sample.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let count = vector.len();
    let series: Series = vector.iter().map(|sample| (labels(sample), sample.value)).collect();
    assert_eq!(series.len(), count, "no two of the same labels");
    series
}

fn number(text: &Value) -> f64 {
    match text.as_str().unwrap() {
        "NaN" => f64::NAN,
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap(),
    }
}

/// An empty label is one that is not there, here as in Prometheus and Alertmanager; Loki shows it.
fn labels_of(value: &Value) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = serde_json::from_value(value.clone()).unwrap();
    labels.retain(|_, value| !value.is_empty());
    labels
}

/// What Loki said of a time.
fn recorded(answer: &Value, time: i64) -> Result<Series, String> {
    if let Some(text) = answer.get("text") {
        return Err(text.as_str().unwrap_or_default().to_owned());
    }
    if let Some(scalar) = answer.get("scalar") {
        let value = scalar.as_array().and_then(|pair| pair.last()).unwrap_or(scalar);
        return Ok([(BTreeMap::new(), number(value))].into());
    }
    if let Some(vector) = answer.get("vector") {
        return Ok(vector
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (labels_of(&row[0]), number(&row[1])))
            .collect());
    }
    let matrix = answer["matrix"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let at = |row: &Value| {
        let point = row[1].as_array()?.iter().find(|point| point[0].as_i64() == Some(time / SECOND))?;
        Some((labels_of(&row[0]), number(&point[1])))
    };
    Ok(matrix.iter().filter_map(at).collect())
}

fn same(ours: &Series, theirs: &Series) -> bool {
    ours.len() == theirs.len()
        && ours.iter().all(|(labels, value)| {
            theirs.get(labels).is_some_and(|other| {
                (value.is_nan() && other.is_nan())
                    || value == other
                    || (value - other).abs() <= 1e-9 * value.abs().max(other.abs())
            })
        })
}

fn agrees(ours: &Result<Series, String>, theirs: &Result<Series, String>, ties: bool) -> bool {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ties => {
            let values = |series: &Series| {
                let mut values: Vec<f64> = series.values().copied().collect();
                values.sort_by(f64::total_cmp);
                values
            };
            values(ours) == values(theirs)
        }
        (Ok(ours), Ok(theirs)) => same(ours, theirs),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

/// When Loki was asked for one value.
const INSTANT: i64 = 1_795_246_200 * SECOND;
/// The first of the times of a range, eight of them: Loki's front end moves ranges to multiples of their step.
const START: i64 = 1_795_241_700 * SECOND;
const STEP: i64 = 900 * SECOND;

/// What the rule engine makes of all queries at all times, which are multiples of one interval: each entry is looked at
/// once, for all of them.
fn by_the_engine(queries: &[Expr], entries: &[Given]) -> HashMap<(usize, i64), Result<Series, String>> {
    let mut engine = Engine::new(100_000);
    queries.iter().for_each(|expr| _ = engine.watch(expr.clone(), STEP));
    let mut values = HashMap::new();
    let mut advance = |engine: &mut Engine, to: i64| {
        engine.advance(to, |evaluation| {
            let value = evaluation.result.map(series).map_err(|error| error.to_string());
            values.insert((evaluation.number, evaluation.time), value);
        });
    };
    advance(&mut engine, START - STEP);
    for Given { time, labels, metadata, line } in entries {
        advance(&mut engine, time - 1);
        let metadata = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        engine.observe(*time, labels, line, metadata);
    }
    advance(&mut engine, START + 7 * STEP);
    values
}

/// All of them are evaluated twice: slowly, looking at all entries for each, and by the rule engine.
#[test]
fn metric_queries_have_lokis_values() {
    let (oracle, entries) = (oracle(), entries());
    let mut wrong = Vec::new();
    let queries = oracle["metric"].as_array().unwrap();
    assert_eq!(queries.len(), 336);
    let parsed: Vec<_> = queries.iter().map(|row| Expr::parse(row["query"].as_str().unwrap())).collect();
    let valid: Vec<Expr> = parsed.iter().flatten().cloned().collect();
    let by_engine = by_the_engine(&valid, &entries);
    let (mut number, mut compared) = (0, 0);
    for (row, expr) in queries.iter().zip(&parsed) {
        // Loki moves line filters to the front, also of `decolorize`, so that this finds nothing there.
        const MOVED: &str = "| decolorize |= ";
        let query = row["query"].as_str().unwrap();
        let slow = expr.as_ref().map(|expr| Slow::new(expr, &entries)).map_err(ToString::to_string);
        let slowly = |time: i64| -> Result<Series, String> {
            slow.as_ref().map_err(Clone::clone)?.value_at(time).map(series).map_err(|error| error.to_string())
        };
        let engine = |time: i64| match expr {
            Ok(_) => by_engine[&(number, time)].clone(),
            Err(error) => Err(error.to_string()),
        };
        if query.contains(MOVED) {
            assert_eq!(slowly(INSTANT).unwrap().values().sum::<f64>(), 28.0);
            assert_eq!(engine(INSTANT), slowly(INSTANT));
        } else {
            for (how, value) in [("slowly", &slowly as &dyn Fn(i64) -> _), ("the engine", &engine)] {
                // Of equal values `topk` chooses any.
                let ties = query.contains("topk(") || query.contains("bottomk(");
                let times = (0..=7).map(|step| START + step * STEP);
                let range = &row["range"];
                // An error at one time is one of the whole range.
                let failed = range.get("text").is_some();
                if failed && times.clone().all(|time| value(time).is_ok()) {
                    wrong.push(format!("{query}\n  {how}: should fail at some time of the range"));
                }
                let of_range = times.filter(|_| !failed).map(|time| (range, time));
                for (answer, time) in [(&row["instant"], INSTANT)].into_iter().chain(of_range) {
                    let (ours, theirs) = (value(time), recorded(answer, time));
                    compared += 1;
                    if !agrees(&ours, &theirs, ties) {
                        let at = time / SECOND;
                        wrong.push(format!("{query}\n  at {at}\n  {how} {ours:?}\n  Loki's {theirs:?}"));
                        break;
                    }
                }
            }
        }
        number += usize::from(expr.is_ok());
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 4000, "{compared}");
}
