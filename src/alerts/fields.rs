//! Journal fields in rules: an expression may name any field that journald itself writes, `__journal__exe` for `_EXE`,
//! whether it is a label or metadata or neither. Which program wrote a line is asked so, and costs nothing on the wire.
//!
//! The field is metadata for the rules that name it, and does not exist for others. Only fields that journald writes can be
//! named, because a sender must not decide what a rule does.

use std::collections::BTreeSet;

use super::file::Group;
use crate::journal::fields::field_of;
use crate::shape::labels::FieldRule;

/// The fields that the rules of these groups name, each once.
pub(super) fn named<'g>(groups: impl IntoIterator<Item = &'g Group>) -> impl Iterator<Item = FieldRule> {
    let mut names = BTreeSet::new();
    for rule in groups.into_iter().flat_map(|group| &group.rules) {
        rule.expr.ranges(&mut |range, outer| {
            let outer = outer.into_iter().flat_map(|grouping| &grouping.labels).map(String::as_str);
            names.extend(range.fields().chain(outer).map(str::to_owned));
        });
    }
    names.into_iter().filter_map(|name| Some(FieldRule::new(&name, &[&field_of(&name)?])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::file;

    #[test]
    fn names_in_expressions_are_fields_that_journald_writes() {
        for (name, field) in [
            ("__journal__exe", Some("_EXE")),
            ("__journal__systemd_unit", Some("_SYSTEMD_UNIT")),
            ("__journal_syslog_identifier", None),
            ("__journal__nobody", None),
            ("__journal__Exe", None),
            ("__journal_", None),
            ("exe", None),
        ] {
            assert_eq!(field_of(name).as_deref(), field, "{name}");
        }
        let rules = r#"
groups:
  - name: g
    rules:
      - {alert: A, expr: 'sum(count_over_time({a="b"} | __journal__exe="/x" or __journal__uid="0" [1m]))'}
      - {alert: B, expr: 'sum by (__journal__comm) (rate({a="b"}[1m])) / max_over_time({a="b"} | label_format g=__journal__gid | unwrap n [1m]) by (__journal__uid)'}
      - {alert: C, expr: 'rate({a="b"} | line_format "{{.__journal__pid}} {{.__journal_message}}" [1m])'}
"#;
        let (groups, _) = file::parse(rules, "f", None).unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<_> = named(&groups).map(|rule| rule.sources.concat()).collect();
        assert_eq!(names, ["_COMM", "_EXE", "_GID", "_PID", "_UID"]);
    }
}
