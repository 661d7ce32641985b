//! Several readings of the journal become one, which does the same; and whatever is converted, `check` accepts it.

use std::fs;
use std::path::Path;

use journal_ship::config::Config;
use journal_ship::convert::promtail;
use proptest::prelude::*;
use serde_json::Value;

use super::convert::converted;
use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::or_skip;

/// What a dry run over a folder makes of Promtail's configuration: labels and line, by time.
fn dry_run(folder: &Path, source: &str) -> Vec<(String, String, String)> {
    let path = folder.join("converted.yaml");
    let (yaml, refused) = converted(source);
    assert_eq!(refused, None, "{source}\n{yaml}");
    let yaml = promtail(source, "promtail.yaml", None).unwrap().yaml;
    fs::write(&path, &yaml).unwrap();
    let args =
        ["--dry-run", "-o", "json", "--config", path.to_str().unwrap(), "--path", folder.to_str().unwrap()];
    let result = output(&args);
    assert!(result.status.success(), "{yaml}\n{result:?}");
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["timestamp"].to_string(), record["labels"].to_string(), record["line"].to_string())
    };
    let mut records: Vec<_> = String::from_utf8(result.stdout).unwrap().lines().map(record).collect();
    records.sort();
    records
}

/// Several readings of the journal, as one, do with each entry what each of them alone did with its entries.
#[test]
fn several_readings_of_the_journal_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<ExportEntry> = (0..48_u64)
        .map(|n| {
            ExportEntry::new(1_795_600_000_000_000 + n * 1000)
                .message(format!("line {n} secret=x{n}"))
                .field("_COMM", ["sshd", "cron", "audit.d", "Bash"][n as usize % 4])
                .field("PRIORITY", (n % 8).to_string())
                .field("_TRANSPORT", ["journal", "audit", "kernel"][n as usize % 3])
                .field("_HOSTNAME", "Host")
        })
        .collect();
    or_skip!(build_journal(&folder.path().join("system.journal"), &entries, Format::default()));
    let plain = "{source_labels: [__journal__comm], target_label: comm}";
    for (jobs, notes) in [
        (
            &[
                "journal: {matches: _COMM=sshd, labels: {job: ssh}}",
                "journal: {matches: _COMM=cron, labels: {job: cron}}",
            ][..],
            &[][..],
        ),
        (
            &[
                "journal: {matches: _COMM=sshd _COMM=cron PRIORITY=3 + _TRANSPORT=audit PRIORITY=1, labels: {job: a, env: p$1}}",
                "journal: {matches: _COMM=audit.d, labels: {job: b}}",
            ],
            &[],
        ),
        // Relabelling of each is its own.
        (
            &[
                &format!(
                    "journal: {{matches: _COMM=sshd, labels: {{job: a}}}}\n    relabel_configs: [{plain}, {{action: keep, source_labels: [__journal_priority], regex: '[0-3]'}}]"
                ),
                "journal: {matches: _COMM=cron, labels: {job: b}}\n    relabel_configs: [{action: drop, source_labels: [__journal__transport, __journal_priority], separator: '@', regex: 'audit@1'}, {target_label: x, replacement: y}]",
                "journal: {matches: _COMM=Bash}\n    relabel_configs: [{source_labels: [__journal__comm], target_label: job}, {action: lowercase, source_labels: [job], target_label: low}, {action: hashmod, source_labels: [__journal_priority], modulus: 3, target_label: shard}]",
            ],
            &[],
        ),
        (
            &[
                "journal: {matches: _COMM=sshd, labels: {job: a, env: x, zone: y}}\n    relabel_configs: [{action: labeldrop, regex: env|zone}, {action: labelmap, regex: nothing_(.+)}]",
                "journal: {matches: _COMM=cron, labels: {job: b, env: x}}",
            ],
            &["`labelmap` looks at all entries alike"],
        ),
        // Stages, too; and a job without a label gets its name.
        (
            &[
                "journal: {matches: _COMM=sshd, labels: {job: a}}\n    pipeline_stages: [{drop: {expression: 'line 4 '}}, {replace: {expression: 'secret=(\\S+)', replace: '***'}}]",
                "journal: {matches: _COMM=cron, labels: {job: b}}",
                "journal: {matches: _COMM=Bash}\n    pipeline_stages: [{regex: {expression: '(?P<n>[0-9]+)'}}, {labels: {n: }}]",
            ],
            &["the job's name is one now"][..0],
        ),
    ] {
        let config = |jobs: &[String]| format!("scrape_configs:\n{}", jobs.concat());
        let jobs: Vec<String> =
            jobs.iter().enumerate().map(|(n, job)| format!("  - job_name: job{n}\n    {job}\n")).collect();
        let mut alone: Vec<_> =
            jobs.iter().flat_map(|job| dry_run(folder.path(), &config(std::slice::from_ref(job)))).collect();
        alone.sort();
        assert!(!alone.is_empty());
        assert_eq!(dry_run(folder.path(), &config(&jobs)), alone, "{}", converted(&config(&jobs)).0);
        let said = converted(&config(&jobs)).0;
        assert!(notes.iter().all(|note| said.contains(note)), "{said}");
    }
}

#[test]
fn readings_that_cannot_be_one_are_named() {
    for (jobs, part) in [
        // All entries twice: the first job's is what stands.
        (
            "[{job_name: a, journal: {labels: {job: a}}}, {job_name: b, journal: {labels: {job: b}}}]",
            "it reads all entries, as a does",
        ),
        (
            "[{job_name: a, journal: {labels: {job: a}}}, {job_name: b, journal: {json: true, matches: _PID=1}}]",
            "its `json` is another",
        ),
        // The same from two places.
        (
            "[{job_name: a, journal: {path: /a, labels: {job: a}}}, {job_name: b, journal: {path: /b, labels: {job: a}}}]",
            "paths: ['/a', '/b']",
        ),
        (
            "[{job_name: a, journal: {labels: {job: a}}}, {job_name: b, journal: {matches: _PID=1, labels: {job: b}}}]",
            "regex: '1'\n      target_label: __scrape\n      replacement: '1:'",
        ),
        (
            "[{job_name: a, journal: {max_age: 30h, matches: _PID=1}}, {job_name: b, journal: {matches: _PID=2}}]",
            "backfill: 1d6h",
        ),
        (
            "[{job_name: a, journal: {matches: _PID=1, labels: {job: '${HOST}'}}}, {job_name: b, journal: {matches: _PID=2}}]",
            "variables have no place in relabelling",
        ),
        (
            "[{job_name: a, journal: {path: /a, matches: _COMM=sshd}}, {job_name: b, journal: {path: /b, matches: _PID=2}}]",
            "all jobs read all of these places",
        ),
    ] {
        let (said, refused) = converted(&format!("scrape_configs: {jobs}"));
        assert!(said.contains(part), "{jobs}\n{said}");
        assert_eq!(refused, None, "{jobs}\n{said}");
    }
}

/// A scrape config of words that have a meaning, in places where they may have none.
fn job() -> impl Strategy<Value = String> {
    let rule = prop_oneof![
        Just("{source_labels: [__journal__comm], target_label: comm}".to_owned()),
        "\\{action: (keep|drop|Replace|lowercase|labelmap|labeldrop|labelkeep|hashmod|keepequal|bad), source_labels: \\[__journal_(a|priority)\\], regex: '(a|\\(|[(]b|c[)]|[$]1)', target_label: (x|y|__z|9)\\}",
        "\\{(action: labeldrop, regex: (a|a\\|b|a[.]b)|action: drop|separator: ''|replacement: '[$][{]X[}]'|modulus: 0)\\}",
        Just("nonsense".to_owned()),
    ];
    let stage = prop_oneof![
        Just("{drop: {expression: a}}".to_owned()),
        Just("{match: {selector: '{job=\"a\"}', stages: [{output: {source: x}}]}}".to_owned()),
        Just("{docker: {}}".to_owned()),
        "\\{(static_labels: \\{(a|bad-a): '[$][{]X(|:b|:-)[}]'|drop: \\{(expression: '[$][{]X(:a|:[(])[}]'|longer_than: '[$][{]_L:(1kb|x)[}]')|tenant: \\{value: '[$][{]X(:a|:/)[}]')\\}\\}",
        Just("{regex: {expression: '('}}".to_owned()),
    ];
    let journal = "(matches: (_COMM=[$][{]X(|:b)[}]|_COMM=a|_COMM=a b|A=1 [+] B=2|[+]|a=1|PRIORITY=1 PRIORITY=2), )?(path: (/a|b|''), )?(max_age: (1h|x|''), )?(json: (true|false), )?(labels: \\{(job: a|job: '[$][{]X[}]'|__a: b|bad-name: c|bad-name: '[$][{]X[}]'|ok: '[$][{]X:a[}]'|a: ''|)\\}, )?";
    let list = |item: BoxedStrategy<String>| {
        proptest::collection::vec(item, 0..4).prop_map(|items| items.join(", "))
    };
    (journal, list(rule.boxed()), list(stage.boxed())).prop_map(|(journal, rules, stages)| {
        format!(
            "{{job_name: j, journal: {{{journal}}}, relabel_configs: [{rules}], pipeline_stages: [{stages}]}}"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever is converted, `check` accepts it.
    #[test]
    fn what_comes_out_is_valid(jobs in proptest::collection::vec(job(), 0..4), list in any::<bool>()) {
        let jobs = jobs.join(", ");
        let source = if list { format!("[{jobs}]") } else { format!("scrape_configs: [{jobs}]") };
        if let Ok(converted) = promtail(&source, "promtail.yaml", None) {
            // One variable is set, and of others the defaults count.
            let env = |name: &str| (name == "X").then(|| "x".to_owned());
            let refused = Config::parse(&converted.yaml, "converted", &env).err();
            prop_assert!(refused.is_none(), "{}\n{}\n{}", source, converted.yaml, refused.unwrap());
        }
    }

    /// Any text gets an answer.
    #[test]
    fn any_text_is_converted_or_refused(text in "[-a-z_:{}\\[\\]\"' \n.,0-9]{0,80}") {
        if let Ok(converted) = promtail(&text, "promtail.yaml", None) {
            prop_assert!(Config::parse(&converted.yaml, "converted", &|_| Some("x".to_owned())).is_ok());
        }
    }
}
