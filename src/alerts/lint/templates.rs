//! Finds templates of rules that will give an empty text: they use labels that no series has, or functions without a meaning
//! here.

use std::ops::Range;

use super::series::Names;
use crate::alerts::state::VARIABLES;
use logql::go::template::{Template, Use};
use logql::nearest::nearest;

/// Functions of Prometheus that ask its database, or work on its answers.
const OF_QUERIES: [&str; 5] = ["query", "value", "label", "strvalue", "sortByLabel"];
/// The keys of the dot.
const KEYS: [&str; 4] = ["Labels", "Value", "ExternalLabels", "ExternalURL"];

/// A warning about a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateLint {
    /// What is wrong.
    pub(crate) title: String,
    /// What follows from it.
    pub(crate) label: &'static str,
    /// What to do.
    pub(crate) help: String,
    /// Where in the template (bytes).
    pub(crate) at: Range<usize>,
}

/// The warnings about a template of an alert whose series can have these labels.
pub(crate) fn lint(template: &Template, series: &Names, external: &[&str]) -> Vec<TemplateLint> {
    let (mut lints, mut asks) = (Vec::new(), false);
    for (used, at) in template.uses() {
        let (kind, name) = match &used {
            Use::Function(name) if OF_QUERIES.contains(name) => {
                // A function that works on the answer of another one needs no warning of its own.
                if asks {
                    continue;
                }
                asks = true;
                lints.push(TemplateLint {
                    title: format!("`{name}` has no meaning here"),
                    label: "the text will hold an error instead",
                    help: "an alert knows the series of its own expression: `$value` and `$labels`"
                        .to_owned(),
                    at,
                });
                continue;
            }
            Use::Function(_) => continue,
            Use::Keys(variable, keys) => match (*variable, keys.as_slice()) {
                ("$labels", [name, ..]) | ("$", ["Labels", name, ..]) => ("series", *name),
                ("$externalLabels", [name, ..]) | ("$", ["ExternalLabels", name, ..]) => ("external", *name),
                ("$", [key, ..]) if !KEYS.contains(key) => ("key", *key),
                _ => continue,
            },
        };
        let (title, help) = match kind {
            "series" if !series.has(name) => {
                (format!("no series of this rule has the label `{name}`"), series.help(name))
            }
            "external" if !external.contains(&name) => {
                let help = match nearest(name, external.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("external labels are: {}", external.join(", ")),
                };
                (format!("there is no external label `{name}`"), help)
            }
            "key" => (format!("a template knows no `.{name}`"), format!("it knows {}", VARIABLES.join(", "))),
            _ => continue,
        };
        lints.push(TemplateLint { title, label: "nothing will stand here", help, at });
    }
    for (what, at) in outside(template.source()) {
        lints.push(TemplateLint {
            title: format!("`{what}` stands outside of `{{{{ }}}}`"),
            label: "this text is sent as it is written",
            help: format!("write `{{{{ {what} }}}}`"),
            at,
        });
    }
    lints
}

/// Finds variables of templates in plain text, where they have no meaning.
fn outside(source: &str) -> Vec<(String, Range<usize>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for variable in VARIABLES {
        for (start, _) in source.match_indices(variable) {
            let before = source.get(..start).unwrap_or_default();
            let inside =
                before.rfind("{{").is_some_and(|open| !before.get(open..).unwrap_or_default().contains("}}"));
            let rest = source.get(start + variable.len()..).unwrap_or_default();
            if inside || rest.starts_with(word) {
                continue;
            }
            let key = rest.strip_prefix('.').map_or(0, |key| key.len() - key.trim_start_matches(word).len());
            let end = start + variable.len() + if key > 0 { key + 1 } else { 0 };
            found.push((source.get(start..end).unwrap_or_default().to_owned(), start..end));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::lint::series;
    use crate::alerts::state;
    use crate::config::Config;
    use crate::shape::known::KnownLabels;

    #[test]
    fn templates_that_say_nothing_are_told() {
        let config = Config::parse("", "c", &|_| None).unwrap();
        let known = KnownLabels::new(&config);
        let expr =
            r#"sum by (host, ip) (count_over_time({unit="a.service"} | regexp "(?P<ip>\\d+)" [5m])) > 1"#
                .parse()
                .unwrap();
        let series = series::of(&expr, &known);
        for (text, told) in [
            ("{{ $value }} of {{ $labels.ip }} on {{ $labels.host }}", &[][..]),
            ("{{ .Labels.host }} {{ .Value }} {{ .ExternalURL }} {{ $externalLabels.host }}", &[]),
            (
                "{{ if $labels.host }}{{ $labels.instance }}{{ end }}",
                &["no series of this rule has the label `instance`"],
            ),
            ("{{ .Labels.hots }}", &["did you mean `host`?"]),
            ("{{ index $labels \"unit\" }}", &["`unit`"]),
            ("{{ $externalLabels.cluster }}", &["there is no external label `cluster`"]),
            ("{{ .labels.host }}", &["a template knows no `.labels`"]),
            ("{{ with query \"up\" }}{{ . | first | value }}{{ end }}", &["`query` has no meaning here"]),
            ("{{ range query \"up\" }}{{ .Value }}{{ end }}", &["`query`"]),
            ("{{ with $labels }}{{ .anything }}{{ end }}", &[]),
            ("$value failures on $labels.host", &["write `{{ $labels.host }}`", "write `{{ $value }}`"]),
            ("costs 5$ and {{ $value }}", &[]),
        ] {
            let template = state::template(text).unwrap();
            let lints = lint(&template, &series, &["host"]);
            let lints: Vec<_> = lints.iter().map(|lint| format!("{}: {}", lint.title, lint.help)).collect();
            assert_eq!(lints.len(), told.len(), "{text}: {lints:?}");
            for (lint, told) in lints.iter().zip(told) {
                assert!(lint.contains(told), "{text}: {lint}");
            }
        }
    }
}
