//! The stages of a pipeline, run on one entry.

use std::borrow::Cow;

use super::format::{drop_label, keep_labels, label_format, line_format};
use super::parse::{json_all, json_paths, logfmt_all, logfmt_fields, unpack};
use super::row::Row;
use crate::ansi;
use crate::stage::Stage;

impl Stage {
    /// Runs the stage: the line that it makes, or `None` if the entry does not pass.
    pub(super) fn run<'l>(&self, line: Cow<'l, str>, row: &mut Row<'_>) -> Option<Cow<'l, str>> {
        let passes = match self {
            Stage::Line(filter) => filter.matches(&line),
            Stage::Filter(filter) => filter.passes(row),
            Stage::Decolorize => {
                return Some(match ansi::strip(&line) {
                    Cow::Borrowed(_) => line,
                    Cow::Owned(plain) => Cow::Owned(plain),
                });
            }
            Stage::LineFormat(template) => return Some(line_format(template, line, row)),
            Stage::Unpack => return Some(unpack(line, row)),
            Stage::LabelFormat(formats) => {
                label_format(formats, &line, row);
                true
            }
            Stage::Drop(labels) => {
                labels.iter().for_each(|label| drop_label(label, row));
                true
            }
            Stage::Keep(labels) => {
                keep_labels(labels, row);
                true
            }
            _ if row.is_complete() && !matches!(self, Stage::Regexp(_)) => true,
            Stage::Json(paths) if paths.is_empty() => {
                json_all(&line, row);
                true
            }
            Stage::Json(paths) => {
                json_paths(paths, &line, row);
                true
            }
            Stage::Logfmt { strict, keep_empty, fields } if fields.is_empty() => {
                logfmt_all(&line, *strict, *keep_empty, row);
                true
            }
            Stage::Logfmt { strict, fields, .. } => {
                logfmt_fields(fields, &line, *strict, row);
                true
            }
            Stage::Regexp(regex) => {
                if let Some(captures) = regex.captures(&line) {
                    for (index, name) in regex.capture_names().enumerate() {
                        let Some(name) = name else { continue };
                        row.extract(name, || {
                            captures.get(index).map_or("", |group| group.as_str()).to_owned()
                        });
                    }
                }
                true
            }
            Stage::Pattern(pattern) => {
                pattern.captures(&line, |name, value| row.extract(name, || value.to_owned()));
                true
            }
        };
        passes.then_some(line)
    }
}
