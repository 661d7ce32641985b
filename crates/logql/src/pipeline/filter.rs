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
            LabelFilter::Number(name, op, value) => compare(row, name, *op, value, |text| {
                units::number(text)
                    .ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
            }),
            LabelFilter::Duration(name, op, value) => compare(row, name, *op, value, |text| {
                units::go_duration(text).ok_or_else(|| format!("time: invalid duration {text:?}"))
            }),
            LabelFilter::Bytes(name, op, value) => compare(row, name, *op, value, |text| {
                units::bytes(text).ok_or_else(|| format!("{text:?} is not a valid size"))
            }),
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
