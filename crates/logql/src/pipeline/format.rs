//! The stages that change the line and the labels: `line_format`, `label_format`, `drop`, `keep`.

use std::borrow::Cow;
use std::sync::Arc;

use super::row::{DETAILS, ERROR, PRESERVE, Row};
use crate::go::template::{Template, Value, time_value};
use crate::stage::{Format, Named};

const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// The labels as a template sees them.
fn data(row: &Row<'_>) -> Value {
    let labels = row.labels();
    Value::Map(Arc::new(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()))
}

/// The functions that are the entry's own.
fn given(line: &str, row: &Row<'_>) -> [(&'static str, Value); 2] {
    [("__line__", line.into()), ("__timestamp__", time_value(row.time()))]
}

pub(super) fn line_format<'l>(template: &Template, line: Cow<'l, str>, row: &mut Row<'_>) -> Cow<'l, str> {
    // Loki takes such a label itself, and an error is none.
    if let Some(key) = template.single_key() {
        return Cow::Owned(row.get(key).unwrap_or_default().to_owned());
    }
    match template.fill(&data(row), &given(&line, row)) {
        Ok(line) => Cow::Owned(line),
        Err(why) => {
            row.fail(TEMPLATE_ERROR, why.as_go(template.source(), "line"));
            line
        }
    }
}

pub(super) fn label_format(formats: &[(String, Format)], line: &str, row: &mut Row<'_>) {
    // As it is before the first template: they do not see each other's work.
    let mut seen: Option<Value> = None;
    for (name, format) in formats {
        match format {
            Format::Rename(from) => {
                if let Some(value) = row.get(from).map(str::to_owned) {
                    row.set(name, value);
                    row.delete(from);
                }
            }
            Format::Template(template) => {
                let seen = seen.get_or_insert_with(|| data(row));
                match template.fill(seen, &given(line, row)) {
                    Ok(value) => row.set(name, value),
                    Err(why) => row.fail(TEMPLATE_ERROR, why.as_go(template.source(), "label")),
                }
            }
        }
    }
}

pub(super) fn drop_label(label: &Named, row: &mut Row<'_>) {
    let (name, matches) = match label {
        Named::Label(name) => (name.as_str(), true),
        Named::Matching(matcher) => {
            let value = match matcher.name() {
                DETAILS => row.failure().1,
                name => row.text(name),
            };
            (matcher.name(), matcher.matches(value))
        }
    };
    match name {
        _ if !matches => {}
        ERROR => row.forget_error(),
        DETAILS => row.forget_details(),
        name if row.get(name).is_some() => row.delete(name),
        _ => {}
    }
}

pub(super) fn keep_labels(labels: &[Named], row: &mut Row<'_>) {
    let kept = |name: &str, value: &str| {
        labels.iter().any(|label| match label {
            Named::Label(kept) => kept == name,
            Named::Matching(matcher) => matcher.name() == name && matcher.matches(value),
        })
    };
    for (name, value) in row.labels().iter() {
        if ![ERROR, DETAILS, PRESERVE].contains(&name) && !kept(name, value) {
            row.delete(name);
        }
    }
}
