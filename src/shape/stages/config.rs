//! The stages of a configuration: which there are, and how one is read.

use super::*;
use crate::config::{Checker, Finding, Kind, Section, Value as Written};

/// One item of `stages`, checked.
#[derive(Debug, Clone, PartialEq)]
pub enum StageConfig {
    /// `decolorize`: removes ANSI colour sequences from the line.
    Decolorize(decolorize::Config),
    /// `drop`: ends entries that meet all its conditions.
    Drop(drop::Config),
    /// `json`: extracts values from JSON with JMESPath expressions.
    Json(json::Config),
    /// `labelallow`: keeps only the labels named.
    Labelallow(labelallow::Config),
    /// `labeldrop`: takes labels away.
    Labeldrop(labeldrop::Config),
    /// `labels`: makes labels of extracted values.
    Labels(labels::Config),
    /// `limit`: lets so many entries through in a second.
    Limit(limit::Config),
    /// `logfmt`: extracts values from `key=value` lines.
    Logfmt(logfmt::Config),
    /// `match`: does something only for entries that a selector selects.
    Match(match_::Config),
    /// `metrics`: counts entries and measures extracted values, for /metrics.
    Metrics(metrics::Config),
    /// `multiline`: joins the lines of one block.
    Multiline(multiline::Config),
    /// `output`: makes an extracted value the line.
    Output(output::Config),
    /// `pack`: packs the line and labels into one JSON line.
    Pack(pack::Config),
    /// `regex`: extracts the named groups of a regular expression.
    Regex(regex::Config),
    /// `replace`: replaces what a regular expression finds.
    Replace(replace::Config),
    /// `sampling`: keeps a share of the entries.
    Sampling(sampling::Config),
    /// `static_labels`: adds labels with fixed values.
    StaticLabels(static_labels::Config),
    /// `structured_metadata`: makes structured metadata of extracted values.
    StructuredMetadata(structured_metadata::Config),
    /// `template`: makes a value by a Go template.
    Template(template::Config),
    /// `tenant`: chooses the tenant of an entry.
    Tenant(tenant::Config),
    /// `timestamp`: takes the time of an entry from an extracted value.
    Timestamp(timestamp::Config),
}

/// Reads a list of stages: each a map with one key, the stage's name.
pub(crate) fn read(checker: &Checker<'_>, value: &Written<'_>) -> Option<Vec<StageConfig>> {
    checker.each(value, "a list of stages", |item| stage(checker, item))
}

fn stage(checker: &Checker<'_>, item: &Written<'_>) -> Option<StageConfig> {
    let section = Section::open(checker, item, "stages[]")?;
    let mut entries = section.entries();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
        // One key that is not known has been spoken of.
        if matches!(&item.node.kind, Kind::Map(written) if written.len() == 1) {
            return None;
        }
        checker.note(
            Finding::at(item.place(), format!("`{}` is not one stage", item.path))
                .label("expected a map with one key: the name of a stage")
                .help("begin each stage with `- `"),
        );
        return None;
    };
    match name {
        "decolorize" => decolorize::read(checker, value).map(StageConfig::Decolorize),
        "drop" => drop::read(checker, value).map(StageConfig::Drop),
        "json" => json::read(checker, value).map(StageConfig::Json),
        "labelallow" => labelallow::read(checker, value).map(StageConfig::Labelallow),
        "labeldrop" => labeldrop::read(checker, value).map(StageConfig::Labeldrop),
        "labels" => labels::read(checker, value).map(StageConfig::Labels),
        "limit" => limit::read(checker, value).map(StageConfig::Limit),
        "logfmt" => logfmt::read(checker, value).map(StageConfig::Logfmt),
        "match" => match_::read(checker, value).map(StageConfig::Match),
        "metrics" => metrics::read(checker, value).map(StageConfig::Metrics),
        "multiline" => multiline::read(checker, value).map(StageConfig::Multiline),
        "output" => output::read(checker, value).map(StageConfig::Output),
        "pack" => pack::read(checker, value).map(StageConfig::Pack),
        "regex" => regex::read(checker, value).map(StageConfig::Regex),
        "replace" => replace::read(checker, value).map(StageConfig::Replace),
        "sampling" => sampling::read(checker, value).map(StageConfig::Sampling),
        "static_labels" => static_labels::read(checker, value).map(StageConfig::StaticLabels),
        "structured_metadata" => {
            structured_metadata::read(checker, value).map(StageConfig::StructuredMetadata)
        }
        "template" => template::read(checker, value).map(StageConfig::Template),
        "tenant" => tenant::read(checker, value).map(StageConfig::Tenant),
        "timestamp" => timestamp::read(checker, value).map(StageConfig::Timestamp),
        _ => None,
    }
}

impl StageConfig {
    /// The stage, ready to run.
    pub(super) fn build(&self, setup: &Setup) -> Box<dyn Stage> {
        match self {
            StageConfig::Decolorize(config) => config.build(setup),
            StageConfig::Drop(config) => config.build(setup),
            StageConfig::Json(config) => config.build(setup),
            StageConfig::Labelallow(config) => config.build(setup),
            StageConfig::Labeldrop(config) => config.build(setup),
            StageConfig::Labels(config) => config.build(setup),
            StageConfig::Limit(config) => config.build(setup),
            StageConfig::Logfmt(config) => config.build(setup),
            StageConfig::Match(config) => config.build(setup),
            StageConfig::Metrics(config) => config.build(setup),
            StageConfig::Multiline(config) => config.build(setup),
            StageConfig::Output(config) => config.build(setup),
            StageConfig::Pack(config) => config.build(setup),
            StageConfig::Regex(config) => config.build(setup),
            StageConfig::Replace(config) => config.build(setup),
            StageConfig::Sampling(config) => config.build(setup),
            StageConfig::StaticLabels(config) => config.build(setup),
            StageConfig::StructuredMetadata(config) => config.build(setup),
            StageConfig::Template(config) => config.build(setup),
            StageConfig::Tenant(config) => config.build(setup),
            StageConfig::Timestamp(config) => config.build(setup),
        }
    }
}
