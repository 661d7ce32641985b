//! Filters of labels at work (grafana/loki, `pkg/logql/log/label_filter.go`).

use super::row::Row;
use crate::go::units;
use crate::stage::{Comparison, LabelFilter};

const FILTER_ERROR: &str = "LabelFilterErr";

impl LabelFilter {
    pub(super) fn names<'f>(&'f self, names: &mut Vec<&'f str>) {
        match self {
            LabelFilter::Text(matcher) => names.push(matcher.name()),
            LabelFilter::Number(name, ..)
            | LabelFilter::Duration(name, ..)
            | LabelFilter::Bytes(name, ..)
            | LabelFilter::Ip(name, ..) => names.push(name),
            LabelFilter::And(both) | LabelFilter::Or(both) => both.iter().for_each(|one| one.names(names)),
        }
    }

    /// Whether an entry passes. An entry whose value cannot be compared passes, and is marked with an error.
    pub(super) fn passes(&self, row: &mut Row<'_>) -> bool {
        match self {
            LabelFilter::Text(matcher) => matcher.matches(row.text(matcher.name())),
            LabelFilter::Number(name, op, value) => compare(row, name, *op, value, units::number_or_why),
            LabelFilter::Duration(name, op, value) => {
                compare(row, name, *op, value, units::go_duration_or_why)
            }
            LabelFilter::Bytes(name, op, value) => compare(row, name, *op, value, units::bytes_or_why),
            LabelFilter::Ip(name, is, _, range) => {
                row.has_failed() || row.get(name).is_some_and(|text| range.is_in(text) == *is)
            }
            LabelFilter::And(both) => {
                let [left, right] = &**both;
                // Both are looked at, as in Loki: the second one may fail where the first one says no.
                left.passes(row) & right.passes(row)
            }
            LabelFilter::Or(both) => {
                let [left, right] = &**both;
                left.passes(row) || right.passes(row)
            }
        }
    }
}

fn compare<T: PartialOrd>(
    row: &mut Row<'_>,
    name: &str,
    op: Comparison,
    value: &T,
    read: impl Fn(&str) -> Result<T, String>,
) -> bool {
    let Some(text) = row.get(name) else {
        return false;
    };
    match read(text) {
        Ok(read) => op.holds(&read, value),
        Err(why) => {
            row.fail_first(FILTER_ERROR, why);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Query;
    use crate::label_set::LabelSet;

    #[test]
    fn why_a_stage_failed_is_said_in_lokis_words() {
        for (stages, line, why) in [
            ("logfmt | v > 1MB", "v=10s", "unhandled size name: s"),
            ("logfmt | v > 1B", "v=True", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
            ("logfmt | v > 999KB", "v=1,000KB", ""),
            ("logfmt | v > 1s", "v=5", r#"time: missing unit in duration "5""#),
            ("logfmt | v > 1s", "v=1d", r#"time: unknown unit "d" in duration "1d""#),
            ("logfmt | v > 1", "v=x", r#"strconv.ParseFloat: parsing "x": invalid syntax"#),
            ("logfmt --strict", "a=1 b=x=y", "logfmt syntax error at pos 8 : unexpected '='"),
            ("logfmt --strict", "a=1 b=x\"y", "logfmt syntax error at pos 8 : unexpected '\"'"),
            ("logfmt --strict", "a\"=1", "logfmt syntax error at pos 2 : unexpected '\"'"),
            ("logfmt --strict", "=1", "logfmt syntax error at pos 1 : unexpected '='"),
            ("logfmt --strict", "a=1 b\u{fffd}=2", "logfmt syntax error at pos 9 : invalid key"),
            ("logfmt --strict", "a=\"x", "logfmt syntax error at pos 5 : unterminated quoted value"),
            ("logfmt --strict", "a=\"\\x\" b", "logfmt syntax error at pos 7 : invalid quoted value"),
            ("logfmt --strict", "a=\"x\n\ty\\n\"", ""),
            (
                "line_format `{{ div 1 0 }}`",
                "",
                r#"template: line:1:3: executing "line" at <div 1 0>: error calling div: runtime error: integer divide by zero"#,
            ),
            (
                "label_format l=`x\n{{.a}} {{ .x.y }}`",
                "",
                r#"template: label:2:12: executing "label" at <.x.y>: can't evaluate field y in type string"#,
            ),
            (
                "line_format `{{.a | bytes }} {{ $x := .a }}{{ $x.y }}`",
                "",
                r#"template: line:1:7: executing "line" at <bytes>: error calling bytes: strconv.ParseFloat: parsing "": invalid syntax"#,
            ),
            (
                "line_format `{{ $x := .a }}{{ $x.y }}`",
                "",
                r#"template: line:1:19: executing "line" at <$x.y>: can't evaluate field y in type string"#,
            ),
            (
                "line_format `{{ len }}`",
                "",
                r#"template: line:1:3: executing "line" at <len>: wrong number of args for len: want 1 got 0"#,
            ),
            ("logfmt b | b=`1`", "a=\"\\x\"b=1", ""),
        ] {
            let text = format!("{{a=~`.+`}} | {stages}");
            let Ok(Query::Logs(query)) = Query::parse(&text) else { panic!("{text}") };
            let shown = query.show(&LabelSet::default(), (0, line), std::iter::empty());
            let labels = shown.map(|shown| shown.labels.parsed);
            let details = labels.as_ref().map(|labels| labels.get("__error_details__").unwrap_or_default());
            assert_eq!(details, Some(why), "{stages}: {line}");
        }
    }
}
