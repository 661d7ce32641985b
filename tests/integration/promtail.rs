//! What a real Promtail (3.6.9) made of a journal with 41 configurations, against what these become here:
//! converted by `convert promtail`, checked by `check`, run by `--dry-run -o json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::agent::output;
use crate::support::fixtures::{Format, build_journal_from_export, gunzip};
use crate::support::or_skip;

/// Promtail read so many entries of the journal.
const ENTRIES: usize = 700;

/// Time (microseconds, UTC), labels, line.
type Record = (String, BTreeMap<String, String>, String);

fn oracle() -> BTreeMap<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle/promtail.json.gz");
    serde_json::from_slice(&gunzip(&path)).unwrap()
}

/// The first entries of the journal, in the export format: an empty line ends each.
fn export() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle/journal.export.gz");
    let bytes = gunzip(&path);
    let ends = memchr::memmem::find_iter(&bytes, b"\n\n").map(|at| at + 2);
    let end = ends.take(ENTRIES).last().unwrap();
    bytes[..end].to_vec()
}

/// A recorded time, which may have another zone, in UTC.
fn utc(recorded: &str) -> String {
    let (time, zone) = recorded.split_at(recorded.len() - 5);
    let text = format!("{time}{}:{}", &zone[..3], &zone[3..]);
    let time: jiff::Timestamp = text.parse().unwrap();
    time.to_zoned_datetime(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let labels = value.as_object().unwrap().iter();
    labels.map(|(name, value)| (name.clone(), canonical(value.as_str().unwrap()))).collect()
}

/// Maps in JSON text have no order: Promtail's is by chance.
fn canonical(text: &str) -> String {
    match serde_json::from_str::<BTreeMap<String, Value>>(text) {
        Ok(map) => serde_json::to_string(&map).unwrap(),
        Err(_) => text.to_owned(),
    }
}

fn recorded(entries: &Value) -> Vec<Record> {
    let record = |entry: &Value| {
        let mut labels = labels(&entry[1]);
        // Loki drops labels without a value, and Promtail takes those of its own away when it sends.
        labels.retain(|name, value| !value.is_empty() && !name.starts_with("__"));
        (utc(entry[0].as_str().unwrap()), labels, entry[2].as_str().unwrap().to_owned())
    };
    entries.as_array().unwrap().iter().map(record).collect()
}

fn ours(stdout: &[u8]) -> Vec<Record> {
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let time = record["timestamp"].as_str().unwrap()[..26].to_owned();
        let mut labels = labels(&record["labels"]);
        // What an entry without labels gets here.
        if labels.get("service_name").is_some_and(|name| name == "unknown_service") {
            labels.remove("service_name");
        }
        (time, labels, record["line"].as_str().unwrap().to_owned())
    };
    String::from_utf8_lossy(stdout).lines().map(record).collect()
}

/// By label set: within one the order counts, between them Promtail has none, for its `match` runs beside the
/// rest.
fn streams(records: Vec<Record>) -> BTreeMap<BTreeMap<String, String>, Vec<(String, String)>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (time, labels, line) in records {
        streams.entry(labels).or_default().push((time, line));
    }
    streams
}

#[test]
fn each_configuration_makes_of_the_journal_what_promtail_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("j");
    fs::create_dir(&journal).unwrap();
    let format = Format::ALL[0];
    or_skip!(build_journal_from_export(&journal.join("system.journal"), &export(), format));
    let oracle = oracle();
    assert_eq!(oracle.len(), 41);
    let mut different = Vec::new();
    for (name, case) in &oracle {
        let config = case["config"].as_str().unwrap();
        let config = config.replace("JOURNAL", journal.to_str().unwrap()).replace("POSITIONS", "/nowhere");
        let (theirs, converted) = (folder.path().join("promtail.yaml"), folder.path().join("config.yaml"));
        fs::write(&theirs, config).unwrap();
        let result = output(&["convert", "promtail", theirs.to_str().unwrap()]);
        assert_eq!(result.status.code(), Some(0), "{name}: {result:?}");
        let mut text = String::from_utf8(result.stdout).unwrap();
        // Promtail's pause was one between its reads, and it read all at once; ours is one between entries.
        if name == "multiline" {
            assert!(text.contains("max_wait_time: '3s'"), "{text}");
            text = text.replace("max_wait_time: '3s'", "max_wait_time: 1h");
        }
        fs::write(&converted, text).unwrap();
        let config = converted.to_str().unwrap();
        let result = output(&["check", "--config", config]);
        assert_eq!(result.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&result.stderr));
        let result = output(&["--dry-run", "-o", "json", "--since", "2000-01-01", "--config", config]);
        assert!(result.status.success(), "{name}: {}", String::from_utf8_lossy(&result.stderr));
        let (got, want) = (ours(&result.stdout), recorded(&case["entries"]));
        if name == "limit_drop" {
            // Promtail read 700 entries in an instant and kept the burst; they were written over minutes, at less than the
            // rate of one a second and a burst of 50: here none is too many.
            assert_eq!((got.len(), want.len()), (ENTRIES, 50));
            assert!(want.iter().all(|record| got.contains(record)));
            continue;
        }
        let (got, want) = (streams(got), streams(want));
        if got != want {
            let first = got.iter().find(|(labels, entries)| want.get(*labels) != Some(entries));
            let other = want.iter().find(|(labels, entries)| got.get(*labels) != Some(entries));
            different.push(format!("{name}:\n  got  {:?}\n  want {:?}", short(first), short(other)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Enough of a stream to see what differs.
fn short<K: std::fmt::Debug>(stream: Option<(&K, &Vec<(String, String)>)>) -> String {
    format!("{stream:?}").chars().take(600).collect()
}
