//! The table of all keys: what a section may hold, which type each value has, and its default.
//!
//! Unknown-key errors and their suggestions come from it, and the reference in `docs/configuration.md` is
//! held against it. A new section is: its lines here, and a function that reads it.

use std::borrow::Cow;

/// One key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Sections joined by `.`; `[]` after a list whose items are sections.
    pub path: &'static str,
    /// The type of its value, as the reference calls it.
    pub kind: &'static str,
    /// The default as YAML, or `required`, or nothing for a section.
    pub default: &'static str,
}

const fn key(path: &'static str, kind: &'static str, default: &'static str) -> Key {
    Key { path, kind, default }
}

/// Journal fields that become labels unless `labels.fields` is written.
const FIELDS: &str = "{host: _HOSTNAME, unit: _SYSTEMD_UNIT, user_unit: _SYSTEMD_USER_UNIT, service_name: \
     [_SYSTEMD_UNIT, _TRANSPORT], level: PRIORITY}";

/// Every key, sections before what they hold, in the order of the reference.
pub const KEYS: &[Key] = &[
    key("journal", "section", ""),
    key("journal.paths", "list of paths", "[]"),
    key("journal.namespaces", "name or list of names", "[]"),
    key("journal.match", "list of maps of journal fields", "[]"),
    key("journal.backfill", "duration", "7d"),
    key("journal.start_cursor", "cursor", "null"),
    key("labels", "section", ""),
    key("labels.static", "map of strings", "{job: systemd-journal}"),
    key("labels.fields", "map of journal fields", FIELDS),
    key("labels.relabel_configs", "list of sections", "[]"),
    key("labels.relabel_configs[].source_labels", "list of strings", "[]"),
    key("labels.relabel_configs[].separator", "string", "\";\""),
    key("labels.relabel_configs[].regex", "regular expression", "(.*)"),
    key("labels.relabel_configs[].modulus", "whole number", "null"),
    key("labels.relabel_configs[].target_label", "string", "null"),
    key("labels.relabel_configs[].replacement", "template", "$1"),
    key("labels.relabel_configs[].action", "relabelling action", "replace"),
    key("labels.max_streams", "whole number", "5000"),
    key("structured_metadata", "map of journal fields", "{pid: _PID, identifier: SYSLOG_IDENTIFIER}"),
    key("line", "`message` or `json`", "message"),
    key("stages", "list of stages", "[]"),
    key("stages[].match", "section", ""),
    key("stages[].match.selector", "LogQL selector", "required"),
    key("stages[].match.pipeline_name", "string", "null"),
    key("stages[].match.action", "`keep` or `drop`", "keep"),
    key("stages[].match.drop_counter_reason", "string", "match_stage"),
    key("stages[].match.stages", "list of stages", "[]"),
    key("stages[].drop", "section", ""),
    key("stages[].drop.source", "string or list of strings", "null"),
    key("stages[].drop.separator", "string", "\";\""),
    key("stages[].drop.expression", "regular expression", "null"),
    key("stages[].drop.value", "string", "null"),
    key("stages[].drop.older_than", "duration", "null"),
    key("stages[].drop.longer_than", "size", "null"),
    key("stages[].drop.drop_counter_reason", "string", "drop_stage"),
    key("stages[].json", "section", ""),
    key("stages[].json.expressions", "map of JMESPath expressions", "required"),
    key("stages[].json.source", "string", "null"),
    key("stages[].json.drop_malformed", "`true` or `false`", "false"),
    key("stages[].logfmt", "section", ""),
    key("stages[].logfmt.mapping", "map of strings", "required"),
    key("stages[].logfmt.source", "string", "null"),
    key("stages[].regex", "section", ""),
    key("stages[].regex.expression", "regular expression", "required"),
    key("stages[].regex.source", "string", "null"),
    key("stages[].replace", "section", ""),
    key("stages[].replace.expression", "regular expression", "required"),
    key("stages[].replace.source", "string", "null"),
    key("stages[].replace.replace", "template", "\"\""),
    key("stages[].template", "section", ""),
    key("stages[].template.source", "string", "required"),
    key("stages[].template.template", "template", "required"),
    key("stages[].timestamp", "section", ""),
    key("stages[].timestamp.source", "string", "required"),
    key("stages[].timestamp.format", "time format", "required"),
    key("stages[].timestamp.fallback_formats", "list of time formats", "[]"),
    key("stages[].timestamp.location", "time zone", "null"),
    key("stages[].timestamp.action_on_failure", "`fudge` or `skip`", "fudge"),
    key("stages[].output", "section", ""),
    key("stages[].output.source", "string", "required"),
    key("stages[].labels", "map of strings", "required"),
    key("stages[].labeldrop", "list of strings", "required"),
    key("stages[].labelallow", "list of strings", "required"),
    key("stages[].static_labels", "map of strings", "required"),
    key("stages[].structured_metadata", "map of strings", "required"),
    key("stages[].tenant", "section", ""),
    key("stages[].tenant.label", "string", "null"),
    key("stages[].tenant.source", "string", "null"),
    key("stages[].tenant.value", "tenant", "null"),
    key("stages[].limit", "section", ""),
    key("stages[].limit.rate", "number", "required"),
    key("stages[].limit.burst", "whole number", "required"),
    key("stages[].limit.drop", "`true` or `false`", "false"),
    key("stages[].limit.by_label_name", "string", "null"),
    key("stages[].limit.max_distinct_labels", "whole number", "10000"),
    key("stages[].sampling", "section", ""),
    key("stages[].sampling.rate", "number", "required"),
    key("stages[].sampling.drop_counter_reason", "string", "sampling_stage"),
    key("stages[].multiline", "section", ""),
    key("stages[].multiline.firstline", "regular expression", "required"),
    key("stages[].multiline.max_wait_time", "duration", "3s"),
    key("stages[].multiline.max_lines", "whole number", "128"),
    key("stages[].pack", "section", ""),
    key("stages[].pack.labels", "list of strings", "[]"),
    key("stages[].pack.ingest_timestamp", "`true` or `false`", "true"),
    key("stages[].decolorize", "section", ""),
    key("stages[].metrics", "map of metrics", "required"),
    key("stages[].metrics.*", "section", ""),
    key("stages[].metrics.*.type", "`Counter`, `Gauge` or `Histogram`", "required"),
    key("stages[].metrics.*.description", "string", "\"\""),
    key("stages[].metrics.*.source", "string", "the metric's name"),
    key("stages[].metrics.*.prefix", "string", "promtail_custom_"),
    key("stages[].metrics.*.max_idle_duration", "duration", "5m"),
    key("stages[].metrics.*.config", "section", ""),
    key("stages[].metrics.*.config.value", "string", "null"),
    key("stages[].metrics.*.config.action", "what to do", "required"),
    key("stages[].metrics.*.config.match_all", "`true` or `false`", "false"),
    key("stages[].metrics.*.config.count_entry_bytes", "`true` or `false`", "false"),
    key("stages[].metrics.*.config.buckets", "list of numbers", "[]"),
    key("retention", "section", ""),
    key("retention.label", "label name", "retention"),
    key("retention.default", "duration", "31d"),
    key("retention.rules", "list of sections", "[]"),
    key("retention.rules[].selector", "LogQL selector", "required"),
    key("retention.rules[].keep", "duration", "null"),
    key("retention.rules[].sample", "number", "null"),
    key("retention.rules[].drop", "`true` or `false`", "false"),
    key("loki", "list of sections", "[]"),
    key("loki[].name", "name", "main"),
    key("loki[].url", "URL", "required"),
    key("loki[].tenant", "string", "null"),
    key("loki[].basic_auth", "section", "null"),
    key("loki[].basic_auth.username", "string", "required"),
    key("loki[].basic_auth.password_file", "path", "required"),
    key("loki[].bearer_token_file", "path", "null"),
    key("loki[].tls", "section", ""),
    key("loki[].tls.ca_file", "path", "null"),
    key("loki[].tls.cert_file", "path", "null"),
    key("loki[].tls.key_file", "path", "null"),
    key("loki[].tls.server_name", "host name", "null"),
    key("loki[].proxy_url", "URL", "null"),
    key("loki[].headers", "map of strings or files", "{}"),
    key("loki[].headers.*", "section", ""),
    key("loki[].headers.*.file", "path", "required"),
    key("loki[].labels", "map of strings", "{}"),
    key("loki[].batch", "section", ""),
    key("loki[].batch.max_bytes", "size", "1MiB"),
    key("loki[].batch.max_wait", "duration", "1s"),
    key("loki[].max_line_bytes", "size", "256KiB"),
    key("loki[].timeout", "duration", "10s"),
    key("loki[].backoff", "section", ""),
    key("loki[].backoff.min", "duration", "500ms"),
    key("loki[].backoff.max", "duration", "1m"),
    key("alerts", "section", ""),
    key("alerts.rule_files", "list of paths", "[]"),
    key("alerts.alertmanagers", "list of sections", "[]"),
    key("alerts.alertmanagers[].url", "URL", "required"),
    key("alerts.alertmanagers[].basic_auth", "section", "null"),
    key("alerts.alertmanagers[].basic_auth.username", "string", "required"),
    key("alerts.alertmanagers[].basic_auth.password_file", "path", "required"),
    key("alerts.alertmanagers[].bearer_token_file", "path", "null"),
    key("alerts.alertmanagers[].tls", "section", ""),
    key("alerts.alertmanagers[].tls.ca_file", "path", "null"),
    key("alerts.alertmanagers[].tls.cert_file", "path", "null"),
    key("alerts.alertmanagers[].tls.key_file", "path", "null"),
    key("alerts.alertmanagers[].tls.server_name", "host name", "null"),
    key("alerts.alertmanagers[].proxy_url", "URL", "null"),
    key("alerts.alertmanagers[].timeout", "duration", "10s"),
    key("alerts.external_labels", "map of strings", "{}"),
    key("alerts.external_url", "URL", "null"),
    key("alerts.datasource_uid", "string", "loki"),
    key("alerts.evaluation_interval", "duration", "1m"),
    key("alerts.resend_delay", "duration", "1m"),
    key("alerts.max_series", "whole number", "10000"),
    key("alerts.max_memory", "size", "20MiB"),
    key("http", "section", ""),
    key("http.listen", "address and port", "127.0.0.1:9194"),
    key("http.hosts", "list of host names", "[]"),
    key("log_level", "`off`, `error`, `warn`, `info`, `debug` or `trace`", "info"),
    key("state_directory", "path", "${STATE_DIRECTORY:-/var/lib/journal-ship}"),
];

/// The keys of rule files, those of Loki's ruler (`pkg/ruler`, and `model/rulefmt` of Prometheus), and of the tests of
/// rules. Their sections begin with the name of the kind of file.
pub(super) const RULE_KEYS: &[Key] = &[
    key("rules.groups", "list of sections", "required"),
    key("rules.groups[].name", "string", "required"),
    key("rules.groups[].interval", "duration", "null"),
    key("rules.groups[].limit", "whole number", "0"),
    key("rules.groups[].query_offset", "duration", "0s"),
    key("rules.groups[].labels", "map of strings", "{}"),
    key("rules.groups[].rules", "list of sections", "[]"),
    key("rules.groups[].rules[].alert", "string", "null"),
    key("rules.groups[].rules[].record", "string", "null"),
    key("rules.groups[].rules[].expr", "LogQL expression", "required"),
    key("rules.groups[].rules[].for", "duration", "0s"),
    key("rules.groups[].rules[].keep_firing_for", "duration", "0s"),
    key("rules.groups[].rules[].labels", "map of templates", "{}"),
    key("rules.groups[].rules[].annotations", "map of templates", "{}"),
    key("tests.rule_files", "list of paths", "[]"),
    key("tests.evaluation_interval", "duration", "1m"),
    key("tests.external_labels", "map of strings", "{}"),
    key("tests.external_url", "string", "\"\""),
    key("tests.tests", "list of sections", "required"),
    key("tests.tests[].name", "string", "\"\""),
    key("tests.tests[].input", "list of sections", "[]"),
    key("tests.tests[].input[].labels", "label set", "required"),
    key("tests.tests[].input[].metadata", "map of strings", "{}"),
    key("tests.tests[].input[].lines", "list of sections", "required"),
    key("tests.tests[].input[].lines[].at", "duration", "0s"),
    key("tests.tests[].input[].lines[].line", "string", "required"),
    key("tests.tests[].input[].lines[].repeat", "whole number", "1"),
    key("tests.tests[].input[].lines[].every", "duration", "1s"),
    key("tests.tests[].alert_rule_test", "list of sections", "[]"),
    key("tests.tests[].alert_rule_test[].eval_time", "duration", "required"),
    key("tests.tests[].alert_rule_test[].alertname", "string", "required"),
    key("tests.tests[].alert_rule_test[].exp_alerts", "list of sections", "[]"),
    key("tests.tests[].alert_rule_test[].exp_alerts[].exp_labels", "map of strings", "{}"),
    key("tests.tests[].alert_rule_test[].exp_alerts[].exp_annotations", "map of strings", "{}"),
    key("tests.tests[].logql_expr_test", "list of sections", "[]"),
    key("tests.tests[].logql_expr_test[].expr", "LogQL expression", "required"),
    key("tests.tests[].logql_expr_test[].eval_time", "duration", "required"),
    key("tests.tests[].logql_expr_test[].exp_samples", "list of sections", "[]"),
    key("tests.tests[].logql_expr_test[].exp_samples[].labels", "label set", "{}"),
    key("tests.tests[].logql_expr_test[].exp_samples[].value", "number", "required"),
];

/// The names that a section may hold; the section of the whole file is "".
pub(super) fn names_in(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().chain(RULE_KEYS).filter_map(move |key| {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (parent == section).then_some(name)
    })
}

/// Sections, other than the one asked from, that hold a key of exactly this name.
pub(super) fn sections_with(name: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .map(|key| key.path.rsplit_once('.').unwrap_or(("", key.path)))
        .filter_map(move |(parent, last)| (last == name).then_some(parent))
}

/// Whether a value left out has a default to fall back on; `path` as in messages: `loki[0].timeout`.
pub(super) fn has_default(path: &str) -> bool {
    let schema: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
    KEYS.iter().any(|key| key.path == schema && key.default != "required")
}

/// Whether a key of a section has the default `null`.
pub(super) fn null_is_default(section: &str, name: &str) -> bool {
    KEYS.iter().chain(RULE_KEYS).any(|key| {
        let (parent, last) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        parent == section && last == name && key.default == "null"
    })
}

/// "`a`, `b`, `c`"
pub(super) fn enumerate<'k>(names: impl IntoIterator<Item = &'k str>) -> Cow<'static, str> {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { Cow::Borrowed("none") } else { Cow::Owned(names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::nearest::nearest;

    #[test]
    fn every_key_is_listed_once_after_its_section() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(!KEYS[..index].iter().any(|other| other.path == key.path), "{} twice", key.path);
            if let Some((parent, _)) = key.path.rsplit_once('.') {
                let parent = parent.trim_end_matches("[]");
                let above = KEYS[..index].iter().any(|other| other.path == parent);
                assert!(above, "{} before its section", key.path);
            }
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = || names_in("");
        for (written, expected) in [
            ("label", Some("labels")),
            ("lables", Some("labels")),
            ("LOKI", Some("loki")),
            ("structured-metadata", Some("structured_metadata")),
            ("state_dir", Some("state_directory")),
            ("st", None),
            ("loglevel", Some("log_level")),
            ("x", None),
            ("", None),
            ("scrape_configs", None),
        ] {
            assert_eq!(nearest(written, names()), expected, "{written}");
        }
    }
}
