//! The section `alerts:`: the rule files, and where alerts go.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, Around, Group, RuleKind};
use super::memory::MEMORY_MAX;
use crate::client::access::{self, Access, access_keys, server_url};
use crate::shape::Sections;
use crate::shape::known::KnownLabels;
use crate::shape::labels::section::fixed;
use crate::shape::stages::StageSettings;
use crate::yaml::key::{count, joined, key};
use crate::yaml::{Checker, Finding, Key, Refusal, Section, Value, absolute, quoted};

/// Alertmanager's path for alerts (github.com/prometheus/alertmanager, `api/v2/openapi.yaml`).
const ALERTS_PATH: &str = "/api/v2/alerts";
/// The external label that is added unless it is set.
const HOST: &str = "host";
/// The limits of `evaluation_interval`. Below, every entry causes an evaluation; above, alerts come a day late.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// The limits of `resend_delay`. Below, Alertmanager gets the same notices all the time; above, it takes alerts for resolved
/// before they are repeated.
const RESEND: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// The limits of `timeout`. Below, a busy Alertmanager never answers in time; above, one that hangs delays new alerts.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// The limits of `max_series` (count). Below, ordinary rules fail; above, it hardly bounds memory.
const SERIES: RangeInclusive<u64> = 10..=1_000_000;
/// The limits of `max_memory` (bytes). Below, a few ordinary rules with long windows do not fit; above, the memory of the
/// host is too small.
const MEMORY: RangeInclusive<u64> = 1 << 20..=4 << 30;
/// The largest rule file (bytes): a hundred times as long as a long one.
const FILE_MAX: u64 = 1 << 20;
/// The most rule files (count). If there are more, a pattern matches what was not meant.
const FILES_MAX: usize = 1000;

const PARTS: &[&[Key]] = &[
    &[
        key("alerts", "section", ""),
        key("alerts.rule_files", "list of paths", "[]"),
        key("alerts.alertmanagers", "list of sections", "[]"),
        key("alerts.alertmanagers[].url", "URL", "required"),
    ],
    access_keys!("alerts.alertmanagers[]"),
    &[
        key("alerts.alertmanagers[].timeout", "duration", "10s"),
        key("alerts.external_labels", "map of strings", "{}"),
        key("alerts.external_url", "URL", "null"),
        key("alerts.datasource_uid", "string", "loki"),
        key("alerts.evaluation_interval", "duration", "1m"),
        key("alerts.resend_delay", "duration", "1m"),
        key("alerts.max_series", "whole number", "10000"),
        key("alerts.max_memory", "size", "20MiB"),
    ],
];
/// The keys of `alerts`.
pub(crate) const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);

/// `alerts:`
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// The rule files that were found, in the order of their names within each pattern.
    pub files: Vec<RuleFile>,
    /// The Alertmanagers; each of them is told every alert.
    pub alertmanagers: Vec<Alertmanager>,
    /// Labels of every alert that has none of that name.
    pub external_labels: Vec<(String, String)>,
    /// Grafana's address, for the link of each alert.
    pub external_url: Option<String>,
    /// Grafana's name for Loki, for the link of each alert.
    pub datasource_uid: String,
    /// How often groups without an interval are evaluated.
    pub evaluation_interval: Duration,
    /// After this time, the notice of an alert that goes on is repeated.
    pub resend_delay: Duration,
    /// Series that one range aggregation may have (count).
    pub max_series: usize,
    /// What windows, alerts and recorded series of all rules may take (bytes).
    pub max_memory: usize,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            alertmanagers: Vec::new(),
            external_labels: Vec::new(),
            external_url: None,
            datasource_uid: "loki".to_owned(),
            evaluation_interval: Duration::from_secs(60),
            resend_delay: Duration::from_secs(60),
            max_series: 10_000,
            max_memory: MEMORY_MAX,
        }
    }
}

impl Alerts {
    /// All groups of rules, in the order of their files.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.files.iter().flat_map(|file| &file.groups)
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.groups().map(|group| group.rules.len()).sum()
    }
}

/// A rule file.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleFile {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it.
    pub groups: Vec<Group>,
}

/// One item of `alerts.alertmanagers`
#[derive(Debug, Clone, PartialEq)]
pub struct Alertmanager {
    /// The full URL that alerts go to.
    pub url: String,
    /// How the server is reached.
    pub access: Access,
    /// Longest time one request may take, connecting included.
    pub timeout: Duration,
}

/// Reads it. The labels, the metadata and the stages of `sections` say what rules may ask for.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>, sections: Sections<'_>) -> Option<Alerts> {
    let section = Section::open(checker, value, "alerts")?;
    let mut alerts = Alerts::default();
    section.read("external_labels", &mut alerts.external_labels, |value| fixed(checker, value));
    let external = alerts.external_labels.iter().map(|(name, _)| name.clone()).chain([HOST.to_owned()]);
    let known = match checker.is_clean() {
        true => KnownLabels::new(sections),
        // A section with mistakes may make any label.
        false => KnownLabels::any(),
    };
    let around = Around::new(known, external.collect(), metrics(sections.stages));
    section.read("rule_files", &mut alerts.files, |value| rule_files(checker, value, &around));
    section.read("alertmanagers", &mut alerts.alertmanagers, |value| alertmanagers(checker, value));
    section.read("external_url", &mut alerts.external_url, |value| {
        let rule =
            |text: &str| server_url(text, "expected a URL such as `https://grafana.example.org`").map(drop);
        checker.checked(value, "a URL such as `https://grafana.example.org`", rule).map(Some)
    });
    section.read("datasource_uid", &mut alerts.datasource_uid, |value| {
        checker.checked(value, "a string, the UID of a data source in Grafana", |_| Ok(()))
    });
    section.read("evaluation_interval", &mut alerts.evaluation_interval, |value| {
        checker.duration(value, &INTERVAL)
    });
    section.read("resend_delay", &mut alerts.resend_delay, |value| checker.duration(value, &RESEND));
    section.read("max_series", &mut alerts.max_series, |value| {
        checker.integer(value, &SERIES).and_then(|max| usize::try_from(max).ok())
    });
    section.read("max_memory", &mut alerts.max_memory, |value| {
        checker.size(value, &MEMORY).and_then(|max| usize::try_from(max).ok())
    });
    if let Some(place) = section.get("external_labels")
        && let Some((name, _)) = alerts.external_labels.iter().find(|(name, _)| name == "alertname")
    {
        let finding = Finding::at(place.key.clone(), format!("`{name}` is the name of each alert"));
        checker.note(finding.label("expected other labels"));
    }
    let alerting = alerts.groups().flat_map(|group| &group.rules);
    let alerting = alerting.filter(|rule| matches!(rule.kind, RuleKind::Alert(_))).count();
    if let Some(files) = section.get("rule_files")
        && alerting > 0
        && section.get("alertmanagers").is_none()
    {
        let rules = if alerting == 1 { "rule" } else { "rules" };
        checker.warn(
            Finding::at(files.key.clone(), format!("{alerting} alert {rules}, and nobody is told"))
                .label("evaluated, and shown to those who look: on /status and /metrics")
                .help("write where Alertmanager is: `alertmanagers: [{url: http://alertmanager:9093}]`"),
        );
    }
    if let Some(place) = section.get("alertmanagers")
        && !alerts.alertmanagers.is_empty()
        && section.get("rule_files").is_none()
    {
        checker.warn(
            Finding::at(place.key.clone(), "there are no rules: nobody will be told anything")
                .label("expected `rule_files` beside it"),
        );
    }
    Some(alerts)
}

/// The names of the metrics of stages on /metrics.
fn metrics(stages: &[StageSettings]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for stage in stages.iter().map(StageSettings::settings) {
        names.extend(stage.metrics());
        if let Some((_, inner)) = stage.inner() {
            names.extend(metrics(inner));
        }
    }
    names
}

fn alertmanagers(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<Alertmanager>> {
    let mut seen = HashSet::new();
    checker.each(value, "a list of servers, each begun with `- `", |item| {
        let section = Section::open(checker, item, "alerts.alertmanagers[]")?;
        let url = section
            .required(checker, item, "url", |value| {
                access::url(checker, value, "a URL such as `http://alertmanager:9093`", alerts_url)
            })
            .unwrap_or_default();
        if !url.is_empty() && !seen.insert(url.clone()) {
            let finding = Finding::at(item.key.clone(), "this Alertmanager stands twice in the list");
            checker.note(finding.label("remove one of them"));
        }
        let access = access::read(checker, &section, "alerts.alertmanagers[]", &url);
        let mut timeout = Duration::from_secs(10);
        section.read("timeout", &mut timeout, |value| checker.duration(value, &TIMEOUT));
        Some(Alertmanager { url, access, timeout })
    })
}

/// The URL for alerts. The path is added unless the written URL ends in it.
fn alerts_url(text: &str) -> Result<String, Refusal> {
    const EXPECTED: &str = "expected a URL such as `http://alertmanager:9093`";
    let mut url = server_url(text, EXPECTED)?;
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with("/api/v1/alerts") || path.ends_with("/api/v1") {
        return Err(Refusal::new("Alertmanager has no API of version 1 any more", EXPECTED)
            .help("write the address before `/api`: version 2 is what is used"));
    }
    let base = path.strip_suffix(ALERTS_PATH).or(path.strip_suffix("/api/v2")).unwrap_or(&path);
    url.set_path(&format!("{base}{ALERTS_PATH}"));
    Ok(url.to_string())
}

/// Reads all files that patterns name.
fn rule_files(checker: &Checker<'_>, value: &Value<'_>, around: &Around) -> Option<Vec<RuleFile>> {
    let mut seen = HashSet::new();
    let found =
        checker.each(value, "a list of files; `*` and `?` stand for any text and character", |item| {
            let pattern = checker.checked(item, "an absolute path, or a pattern of such", absolute)?;
            let paths = paths(checker, item, &pattern)?;
            let new = paths.into_iter().filter(|path| seen.insert(path.clone()));
            Some(new.map(|path| rule_file(checker, item, path, around)).collect::<Vec<_>>())
        })?;
    let files: Option<Vec<RuleFile>> = found.into_iter().flatten().collect();
    if let Some(count) = files.as_ref().map(Vec::len).filter(|count| *count > FILES_MAX) {
        let finding = Finding::at(value.key.clone(), format!("{count} rule files"));
        checker.note(finding.label(format!("expected at most {FILES_MAX}")));
    }
    files
}

/// The files of a pattern, sorted. A name without wildcards must be the name of an existing file.
fn paths(checker: &Checker<'_>, item: &Value<'_>, pattern: &str) -> Option<Vec<PathBuf>> {
    if !pattern.contains(['*', '?', '[']) {
        return Some(vec![PathBuf::from(pattern)]);
    }
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let paths = match glob::glob_with(pattern, options) {
        Ok(paths) => paths,
        Err(error) => {
            let finding = Finding::at(item.place(), format!("`{}`: not a pattern: {}", item.path, error.msg));
            checker.note(finding.label("expected for instance `/etc/journal-ship/rules/*.yaml`"));
            return None;
        }
    };
    let mut found = Vec::new();
    for path in paths {
        match path {
            Ok(path) => found.push(path),
            Err(error) => {
                let title = format!(
                    "`{}`: {} cannot be looked into: {}",
                    item.path,
                    error.path().display(),
                    error.error()
                );
                checker.note(Finding::at(item.place(), title).label("expected folders that can be read"));
                return None;
            }
        }
    }
    if found.is_empty() {
        checker.warn(
            Finding::at(item.place(), format!("no file is named as {}", quoted(pattern)))
                .label("this pattern adds no rules"),
        );
    }
    Some(found)
}

fn rule_file(checker: &Checker<'_>, item: &Value<'_>, path: PathBuf, around: &Around) -> Option<RuleFile> {
    let source = match text(&path) {
        Ok(source) => source,
        Err(error) => {
            let title = format!("the rule file {} cannot be read: {error}", path.display());
            let finding = Finding::at(item.place(), title).label("named here");
            checker.note(match error.kind() {
                io::ErrorKind::IsADirectory => {
                    finding.help(format!("name the files in it: `{}/*.yaml`", path.display()))
                }
                io::ErrorKind::PermissionDenied => finding.help(format!(
                    "the user that runs journal-ship needs read permission: see `namei -l {}`",
                    path.display()
                )),
                _ => finding,
            });
            return None;
        }
    };
    match file::parse(&source, &path.display().to_string(), Some(around)) {
        Ok((groups, warnings)) => {
            checker.attach(warnings);
            Some(RuleFile { path, groups })
        }
        Err(mistakes) => {
            checker.attach(mistakes);
            None
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut source = String::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut source)?;
    match source.len() as u64 > FILE_MAX {
        true => Err(io::Error::other(format!("it is longer than {FILE_MAX} bytes"))),
        false => Ok(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_end_in_the_path_for_alerts() {
        for (text, expected) in [
            ("http://am:9093", "http://am:9093/api/v2/alerts"),
            ("http://am:9093/", "http://am:9093/api/v2/alerts"),
            ("https://h/alertmanager/", "https://h/alertmanager/api/v2/alerts"),
            ("https://h/a/api/v2", "https://h/a/api/v2/alerts"),
            ("https://h/a/api/v2/alerts/", "https://h/a/api/v2/alerts"),
            ("http://[::1]:9093?x=y", "http://[::1]:9093/api/v2/alerts?x=y"),
        ] {
            assert_eq!(alerts_url(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("am:9093", "did you mean `http://am:9093`"),
            ("http://am:9093/api/v1/alerts", "no API of version 1"),
            ("http://u:hunter2@am:9093", "user name or a password"),
        ] {
            let refusal = format!("{:?}", alerts_url(text).expect_err(text));
            assert!(refusal.contains(part) && !refusal.contains("hunter2"), "{refusal}");
        }
    }
}
