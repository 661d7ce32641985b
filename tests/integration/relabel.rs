//! Relabelling of real journals by the built program: what Promtail made of the same entries, what rules drop,
//! and the limits that Loki sets.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use journal_ship::config::Config;
use journal_ship::shape::labels::{Changes, Labeler, Outcome};
use journald_reader::{Keys, Scope, Start, Tail, Waker};
use serde_json::Value;

use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, Format, build_journal, gunzip, parse_export};
use crate::support::or_skip;

/// Entries of the journal that Promtail was given.
const RECORDED: usize = 700;

fn data(name: &str) -> Vec<u8> {
    gunzip(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle").join(name))
}

/// A dry run with a configuration over a journal file, as JSON records.
fn records(dir: &Path, journal: &Path, config: &str) -> Vec<Value> {
    let file = dir.join("config.yaml");
    fs::write(&file, config).unwrap();
    let args = ["--dry-run".as_ref(), "-o".as_ref(), "json".as_ref(), "--config".as_ref(), file.as_os_str()];
    let out = output(&[&args[..], &["--path".as_ref(), journal.as_os_str()]].concat());
    assert!(out.status.success(), "{config}\n{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A time up to its microseconds; Promtail leaves zeros at the end out.
fn micros(time: &Value) -> String {
    let time = time.as_str().unwrap().split(['+', 'Z']).next().unwrap();
    let (second, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{second}.{}", &format!("{fraction:0<6}")[..6])
}

#[test]
fn entries_get_the_labels_that_promtail_gives_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("system.journal");
    let entries: Vec<_> = parse_export(&data("journal.export.gz"))
        .into_iter()
        .take(RECORDED)
        .map(|entry| ExportEntry {
            realtime: entry.realtime,
            monotonic: entry.monotonic,
            boot_id: entry.boot_id,
            fields: entry.fields,
        })
        .collect();
    or_skip!(build_journal(&journal, &entries, Format::default()));
    let oracle: BTreeMap<String, Value> = serde_json::from_slice(&data("promtail.json.gz")).unwrap();
    let mut compared = 0;
    for (name, record) in oracle.iter().filter(|(name, _)| name.starts_with("relabel_")) {
        let config = record["config"].as_str().unwrap();
        let (_, rules) = config.split_once("  relabel_configs:\n").unwrap();
        let (rules, _) = rules.split_once("  pipeline_stages:").unwrap();
        let ours = format!(
            "labels:\n  static: {{job: systemd-journal}}\n  fields: {{}}\n  relabel_configs:\n{rules}structured_metadata: {{}}\n"
        );
        let records = records(dir.path(), &journal, &ours);
        let expected = record["entries"].as_array().unwrap();
        assert_eq!(records.len(), expected.len(), "{name}");
        for (got, want) in records.iter().zip(expected) {
            assert_eq!(micros(&got["timestamp"]), micros(&want[0]), "{name}");
            assert_eq!((&got["labels"], &got["line"]), (&want[1], &want[2]), "{name} at {}", want[0]);
        }
        compared += 1;
    }
    assert_eq!(compared, 7);
}

#[test]
fn fields_that_only_a_labelmap_asks_for_make_labels_in_every_entry() {
    // Enough entries and files that most values come from the reader's memory, in changing company.
    let dir = tempfile::tempdir().unwrap();
    let journals = dir.path().join("journals");
    fs::create_dir(&journals).unwrap();
    let entry = |n: u64| {
        let entry = ExportEntry::new(1_793_527_200_000_000 + n).message(n.to_string());
        let entry = entry.field("_SOURCE_REALTIME_TIMESTAMP", n.to_string()).field("A", (n % 3).to_string());
        let entry = if n.is_multiple_of(2) { entry.field("B", (n % 5).to_string()) } else { entry };
        if n.is_multiple_of(7) { entry.field("PRIORITY", "3") } else { entry }
    };
    for (name, range) in [("a", 0..700), ("b", 700..1500)] {
        let entries: Vec<_> = range.map(entry).collect();
        or_skip!(build_journal(&journals.join(format!("{name}.journal")), &entries, Format::default()));
    }
    let config = "
labels:
  fields: {}
  relabel_configs:
    - {action: labelmap, regex: '__journal_([^_].*)'}
    - {action: labeldrop, regex: 'message|priority'}
    - {action: drop, source_labels: [a, b], regex: '2;0'}
structured_metadata: {}
";
    let records = records(dir.path(), &journals, config);
    let expected: Vec<Value> = (0..1500u64)
        .filter(|n| !(n % 3 == 2 && n.is_multiple_of(10)))
        .map(|n| {
            let mut labels = serde_json::json!({"job": "systemd-journal", "a": (n % 3).to_string()});
            if n % 2 == 0 {
                labels["b"] = (n % 5).to_string().into();
            }
            if n % 7 == 0 {
                labels["priority_keyword"] = "error".into();
            }
            serde_json::json!([labels, n.to_string()])
        })
        .collect();
    assert_eq!(records.len(), expected.len());
    for (got, want) in records.iter().zip(&expected) {
        assert_eq!((&got["labels"], &got["line"]), (&want[0], &want[1]));
    }
}

#[test]
fn results_are_remembered_dropped_entries_too_and_counted_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("system.journal");
    let entries: Vec<_> = (0..300u64)
        .map(|n| {
            ExportEntry::new(1_793_527_200_000_000 + n)
                .field("KIND", (n % 3).to_string())
                .message(n.to_string())
        })
        .collect();
    or_skip!(build_journal(&journal, &entries, Format::default()));
    let config = "
labels:
  fields: {}
  relabel_configs:
    - {source_labels: [__journal_none], regex: '.+', action: drop}
    - {source_labels: [__journal_kind], regex: '2', action: drop}
    - {source_labels: [__journal_kind], target_label: 'kind_$1'}
";
    let config = Config::parse(config, "f", &|_| None).unwrap();
    let mut keys = Keys::default();
    let mut labeler = Labeler::new(&config.labels, &[], None, &mut keys);
    let mut tail = Tail::open(&Scope::of([journal]), keys, Start::Oldest, Waker::new().unwrap()).unwrap();
    let (mut streams, mut sets) = (BTreeMap::new(), BTreeMap::new());
    let mut n = 0;
    while let Some(entry) = tail.next_entry() {
        let set = match labeler.labels(&entry) {
            Outcome::Kept(set) => Some(set.clone()),
            Outcome::Dropped(rule) => {
                assert_eq!((rule, n % 3), (1, 2));
                None
            }
        };
        match labeler.stream(&entry) {
            Outcome::Kept(resolved) => {
                let (stream, moved) = (resolved.stream.clone(), resolved.moved.len());
                assert_eq!(
                    (&*stream.labels, moved),
                    (&*format!("{{job=\"systemd-journal\", kind_{0}=\"{0}\"}}", n % 3), 0)
                );
                let set = set.expect("the same outcome");
                // By the labels themselves, as after stages, it is the same stream.
                assert_eq!(labeler.streams.resolve(&set, 0).stream.id, stream.id);
                // One set for all entries alike, not one each.
                let first = sets.entry(n % 3).or_insert_with(|| set.clone());
                assert!(std::sync::Arc::ptr_eq(first, &set));
                assert_eq!(*streams.entry(n % 3).or_insert(stream.id), stream.id);
            }
            Outcome::Dropped(rule) => assert_eq!((rule, n % 3), (1, 2)),
        }
        n += 1;
    }
    assert_eq!((n, streams.len()), (300, 2));
    assert_eq!(labeler.dropped(), [0, 200, 0], "each entry was asked for twice");
    assert_eq!((*labeler.streams.totals(), labeler.streams.active()), (Changes::default(), 2));
}

#[test]
fn what_loki_would_refuse_is_made_to_fit() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("system.journal");
    let many = (0..20)
        .fold(ExportEntry::new(1_793_527_200_000_000), |entry, n| entry.field(&format!("F{n:02}"), "x"));
    let long =
        ExportEntry::new(1_793_527_200_000_001).field("NAME", "it's-a.name").field("LONG", "ü".repeat(2000));
    let none = ExportEntry::new(1_793_527_200_000_002).message("m");
    or_skip!(build_journal(&journal, &[many, long, none], Format::default()));
    let config = "
labels:
  static: {}
  fields: {}
  relabel_configs:
    - {action: labelmap, regex: '__journal_(f.+)'}
    - {source_labels: [__journal_name], regex: '(.+)', target_label: '$1', replacement: v}
    - {source_labels: [__journal_long], target_label: long}
structured_metadata: {f19: F00, boot: _BOOT_ID}
";
    let records = records(dir.path(), &journal, config);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let expected: Vec<String> = (0..15).map(|n| format!("f{n:02}")).collect();
    assert_eq!(names(&records[0]["labels"]), expected);
    // The labels over the limit, but for the one whose name is taken.
    assert_eq!(names(&records[0]["metadata"]), ["boot", "f15", "f16", "f17", "f18", "f19"]);
    assert_eq!(records[1]["labels"]["it_s_a_name"], "v");
    assert_eq!(records[1]["labels"]["long"], "ü".repeat(1024));
    assert_eq!(records[2]["labels"], serde_json::json!({"service_name": "unknown_service"}));
}

#[test]
fn past_the_cap_entries_go_to_the_overflow_stream() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("system.journal");
    let entries: Vec<_> = (0..50u64)
        .map(|n| {
            ExportEntry::new(1_793_527_200_000_000 + n)
                .field("_HOSTNAME", "h")
                .field("_SYSTEMD_UNIT", format!("u{}.service", n % 5))
                .message(n.to_string())
        })
        .collect();
    or_skip!(build_journal(&journal, &entries, Format::default()));
    let records = records(dir.path(), &journal, "labels: {max_streams: 3}\nstructured_metadata: {}\n");
    assert_eq!(records.len(), 50);
    for (record, n) in records.iter().zip(0..) {
        let unit = format!("u{}.service", n % 5);
        let (labels, metadata) = if n % 5 < 3 {
            (
                serde_json::json!({"host": "h", "job": "systemd-journal", "unit": unit, "service_name": unit}),
                serde_json::json!({}),
            )
        } else {
            (
                serde_json::json!({"host": "h", "job": "systemd-journal", "overflow": "true", "service_name": "overflow"}),
                serde_json::json!({"unit": unit, "service_name": unit}),
            )
        };
        assert_eq!((&record["labels"], &record["metadata"]), (&labels, &metadata), "{n}");
    }
}
