//! Who decides the values that a rule asks for. If a selector asks only for what a sender writes, anybody can write entries
//! that it selects.
//!
//! Labels are followed back to the journal fields that they come from (`crate::journal::fields`). A selector is as good as
//! its best matcher: `{unit="nginx.service", app="x"}` is about nginx, wherever `app` comes from.

use std::collections::BTreeMap;

use super::Sections;
use super::labels::{FieldRule, RelabelAction};
use super::stages::{Made, StageSettings};
use crate::journal::fields::{Trust, field_of, trust};
use crate::yaml::Lint;
use logql::expr::{Expr, LogQuery};
use logql::stage::{LabelFilter, Stage};
use logql::{MatchOp, Matcher, Selector};

/// Fields that say which host an entry is from, and not who wrote it.
const OF_THE_HOST: [&str; 5] = ["_HOSTNAME", "_MACHINE_ID", "_BOOT_ID", "_NAMESPACE", "_RUNTIME_SCOPE"];
/// The sender decides it, but its label has eight values only, and does not say who wrote an entry.
const LEVEL: &str = "PRIORITY";
/// A user can fake the program only by running it. So this is good enough for a selector, but not for labels.
const PROGRAM: &str = "_EXE";
/// The beginning of the name of a journal field in relabelling.
const RELABELLED: &str = "__journal_";

/// What a label is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// No sender decides it: it is fixed, of the host, or a level.
    Neutral,
    /// The system says who wrote the entry.
    Who,
    /// It comes from this field, which a user or a sender decides.
    Field(Trust, String),
    /// Stages find it in the line.
    Text,
}

impl Origin {
    fn of_field(field: &str) -> Origin {
        match trust(field) {
            _ if field == LEVEL || OF_THE_HOST.contains(&field) => Origin::Neutral,
            _ if field == PROGRAM => Origin::Who,
            Trust::System => Origin::Who,
            trust => Origin::Field(trust, field.to_owned()),
        }
    }

    /// The origin of a label that takes the first of several fields. Any of them may decide.
    fn of(rule: &FieldRule) -> Origin {
        let mut origins: Vec<_> = rule.sources.iter().map(|field| Origin::of_field(field)).collect();
        origins.sort_by_key(Origin::badness);
        origins.pop().unwrap_or(Origin::Neutral)
    }

    fn badness(&self) -> u8 {
        match self {
            Origin::Who => 0,
            Origin::Neutral => 1,
            Origin::Text => 2,
            Origin::Field(Trust::Sender, _) => 4,
            Origin::Field(..) => 3,
        }
    }
}

/// What a rule does with the entries that it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// They raise an alert.
    Alert {
        /// Whether somebody is woken by it.
        critical: bool,
    },
    /// They are not sent to Loki.
    Drop,
    /// They are kept for another time, or only a share of them is kept.
    Keep,
}

/// Where the labels and the metadata of entries come from.
#[derive(Debug, Default)]
pub struct Origins {
    labels: BTreeMap<String, Origin>,
    metadata: BTreeMap<String, Origin>,
}

impl Origins {
    /// The origins of a configuration.
    pub fn new<'c>(sections: impl Into<Sections<'c>>) -> Origins {
        let Sections { labels, metadata, stages, .. } = sections.into();
        let mut origins = Origins::default();
        let fixed = labels.fixed.iter().map(|(name, _)| (name.clone(), Origin::Neutral));
        origins.labels.extend(fixed);
        origins.labels.extend(labels.fields.iter().map(|rule| (rule.name.clone(), Origin::of(rule))));
        origins.metadata.extend(metadata.iter().map(|rule| (rule.name.clone(), Origin::of(rule))));
        for rule in &labels.relabel {
            let (RelabelAction::Replace { target, .. }
            | RelabelAction::HashMod { target, .. }
            | RelabelAction::Lowercase { target }
            | RelabelAction::Uppercase { target }) = &rule.action
            else {
                continue;
            };
            let sources = rule.source_labels.iter().map(|name| origins.of_source(name));
            let sources: Vec<_> = sources.collect();
            // If a rule also looks at who wrote the entry, it is assumed to be right.
            let made = match sources.contains(&Origin::Who) {
                true => Origin::Who,
                false => sources.into_iter().max_by_key(Origin::badness).unwrap_or(Origin::Neutral),
            };
            let before = origins.labels.remove(target).into_iter();
            let worst = before.chain([made]).max_by_key(Origin::badness);
            origins.labels.extend(worst.map(|origin| (target.clone(), origin)));
        }
        origins.staged(stages, true);
        origins
    }

    fn of_source(&self, name: &str) -> Origin {
        match name.strip_prefix(RELABELLED) {
            Some("priority_keyword") => Origin::Neutral,
            Some(field) => Origin::of_field(&field.to_ascii_uppercase()),
            None => self.labels.get(name).cloned().unwrap_or(Origin::Neutral),
        }
    }

    /// Adds the labels that stages set. `all`: the stages set them for every entry.
    fn staged(&mut self, stages: &[StageSettings], all: bool) {
        for stage in stages.iter().map(StageSettings::settings) {
            for (name, made) in stage.labels() {
                let origin = if all && made == Made::Fixed { Origin::Neutral } else { Origin::Text };
                self.labels.insert(name.to_owned(), origin);
            }
            // Labels that are set only for the entries of one unit come from that unit.
            if let Some((selector, inner)) = stage.inner()
                && !self.narrows(selector.matchers())
            {
                self.staged(inner, false);
            }
        }
    }

    fn narrows(&self, matchers: &[Matcher]) -> bool {
        matchers.iter().any(|matcher| asks(matcher) && self.labels.get(matcher.name()) == Some(&Origin::Who))
    }

    /// The warning about a selector of a retention rule that trusts what a sender decides.
    pub fn of_selector(&self, selector: &Selector, used: Use) -> Option<Lint> {
        self.weakest(selector.matchers(), &[], used)
    }

    /// The warnings about the expression of an alert that trusts what a sender decides.
    pub fn of_alert(&self, expr: &Expr, critical: bool) -> Vec<Lint> {
        let mut lints = Vec::new();
        expr.ranges(&mut |range, _| {
            let LogQuery { matchers, stages, .. } = &range.query;
            let mut filters = Vec::new();
            for stage in stages {
                if let Stage::Filter(filter) = stage {
                    texts(filter, &mut filters);
                }
            }
            lints.extend(self.weakest(matchers, &filters, Use::Alert { critical }));
        });
        lints.dedup();
        lints
    }

    /// The matcher that cannot be trusted, unless another matcher says who wrote the entry.
    fn weakest(&self, matchers: &[Matcher], filters: &[&Matcher], used: Use) -> Option<Lint> {
        let of_label = |matcher: &Matcher| self.labels.get(matcher.name()).cloned();
        let of_filter = |matcher: &Matcher| match field_of(matcher.name()) {
            Some(field) => Some(Origin::of_field(&field)),
            None => of_label(matcher).or_else(|| self.metadata.get(matcher.name()).cloned()),
        };
        let labels =
            matchers.iter().filter(|matcher| asks(matcher)).map(|matcher| (matcher, of_label(matcher)));
        let filters = filters.iter().filter(|matcher| asks(matcher));
        let filters = filters.map(|matcher| (*matcher, of_filter(matcher)));
        let asked: Vec<_> = labels.chain(filters).filter_map(|(m, origin)| Some((m, origin?))).collect();
        if asked.iter().any(|(_, origin)| *origin == Origin::Who) {
            return None;
        }
        let (matcher, origin) = asked.into_iter().max_by_key(|(_, origin)| origin.badness())?;
        let what = match &origin {
            Origin::Field(Trust::Sender, field) => format!("what a sender writes into {field}"),
            Origin::Field(_, field) => format!("what a user decides: {field}"),
            Origin::Text if matches!(used, Use::Drop | Use::Alert { critical: true }) => {
                "what a sender writes into the line".to_owned()
            }
            _ => return None,
        };
        let label = match used {
            Use::Alert { .. } => "whoever may log on this host can make the alert fire",
            Use::Drop => "whoever may log on this host can keep entries of their own out of Loki",
            Use::Keep => "whoever may log on this host can choose how long their entries are kept",
        };
        Some(Lint {
            part: Some(matcher.to_string()),
            title: format!("{matcher} is {what}"),
            label: label.to_owned(),
            help: match self.labels.iter().find(|(_, origin)| **origin == Origin::Who) {
                Some((who, _)) => format!(
                    "select by a label that the system decides, too, as `{}=\"…\"`; docs/fields.md says which field is whose",
                    if self.labels.get("unit") == Some(&Origin::Who) { "unit" } else { who }
                ),
                None => {
                    "select by a label that the system decides, too: `labels.fields: {unit: _SYSTEMD_UNIT}`"
                        .to_owned()
                }
            },
        })
    }
}

/// Whether a matcher restricts the values at all.
fn asks(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex)
        && !matcher.matches("")
        && !matches!((matcher.op(), matcher.value()), (MatchOp::Regex, ".+" | "..*"))
}

/// The matchers of a filter that must all match.
fn texts<'f>(filter: &'f LabelFilter, found: &mut Vec<&'f Matcher>) {
    match filter {
        LabelFilter::Text(matcher) => found.push(matcher),
        LabelFilter::And(both) => both.iter().for_each(|one| texts(one, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_told() {
        let app = "labels: {fields: {app: SYSLOG_IDENTIFIER, comm: _COMM, unit: _SYSTEMD_UNIT, mixed: [_SYSTEMD_USER_UNIT, _SYSTEMD_UNIT]}}";
        let guarded = "labels: {relabel_configs: [{source_labels: [unit, __journal_container_name], regex: 'docker.service;(.+)', target_label: container}]}";
        let open = "labels: {relabel_configs: [{source_labels: [__journal_container_name], target_label: container}]}";
        let text = "stages: [{logfmt: {mapping: {team: }}}, {labels: {team: }}]";
        let of_unit = "stages: [{match: {selector: '{unit=\"a.service\"}', stages: [{logfmt: {mapping: {team: }}}, {labels: {team: }}]}}]";
        for (config, selector, critical, told) in [
            ("", r#"{unit="sshd.service"}"#, true, ""),
            ("", r#"{service_name="kernel"} |= "x""#, true, ""),
            ("", r#"{host="h", level="error"}"#, true, ""),
            ("", r#"{job="systemd-journal"} |= "x""#, true, ""),
            ("", r#"{user_unit="sshd.service"}"#, false, "what a user decides: _SYSTEMD_USER_UNIT"),
            ("", r#"{user_unit=~"sshd.*", unit="user@1000.service"}"#, false, ""),
            ("", r#"{user_unit!="x.service", unit=~".+"}"#, false, ""),
            ("", r#"{unit=~".+", user_unit="x.service"}"#, false, "_SYSTEMD_USER_UNIT"),
            ("", r#"{host=~".+"} | identifier="sudo""#, false, "what a sender writes into SYSLOG_IDENTIFIER"),
            ("", r#"{host=~".+"} | identifier="sudo" or pid="1""#, false, ""),
            ("", r#"{host=~".+"} | identifier="sudo" | __journal__exe="/usr/bin/sudo""#, false, ""),
            ("", r#"{host=~".+"} | identifier="sudo" and __journal__uid="0""#, false, ""),
            ("", r#"{host=~".+"} | __journal__comm="sudo""#, false, "_COMM"),
            (app, r#"{app="sshd"}"#, false, "app=\"sshd\" is what a sender writes into SYSLOG_IDENTIFIER"),
            (app, r#"{app="sshd", unit="ssh.service"}"#, false, ""),
            (app, r#"{comm="sshd"}"#, false, "_COMM"),
            (app, r#"{mixed="sshd.service"}"#, false, "_SYSTEMD_USER_UNIT"),
            (guarded, r#"{container="web"}"#, false, ""),
            (open, r#"{container="web"}"#, false, "CONTAINER_NAME"),
            (text, r#"{team="a"}"#, false, ""),
            (text, r#"{team="a"}"#, true, "what a sender writes into the line"),
            (of_unit, r#"{team="a"}"#, true, ""),
        ] {
            let config = Config::parse(config, "c", &|_| None).unwrap();
            let origins = Origins::new(&config);
            let expr = format!("count_over_time({selector} [5m]) > 0");
            let lints = origins.of_alert(&Expr::parse(&expr).unwrap(), critical);
            assert_eq!(lints.len(), usize::from(!told.is_empty()), "{selector}: {lints:?}");
            for lint in lints {
                assert!(
                    lint.title.contains(told) && lint.help.contains("system decides"),
                    "{selector}: {lint:?}"
                );
            }
        }
    }
}
