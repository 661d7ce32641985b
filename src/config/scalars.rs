//! Scalars of the configuration that several sections know: flags, numbers, expressions.

use std::ops::RangeInclusive;

use super::check::{Checker, Value};
use super::diagnostic::{Finding, Span, quoted};
use super::names::Refusal;
use super::node::Kind;
use crate::logql::Selector;
use crate::re2::Re2;

impl Checker<'_> {
    /// `true` or `false`.
    pub(crate) fn flag(&self, value: &Value<'_>) -> Option<bool> {
        match value.node.kind {
            Kind::Bool(flag) => Some(flag),
            _ => {
                self.wrong_kind(value, "`true` or `false`");
                None
            }
        }
    }

    /// A number within bounds.
    pub(crate) fn number(&self, value: &Value<'_>, range: &RangeInclusive<f64>) -> Option<f64> {
        let bounds = format!("expected a number, {} to {}", range.start(), range.end());
        let text = match &value.node.kind {
            Kind::Int(text) | Kind::Float(text) => text.clone(),
            _ => self.text(value, "a number")?,
        };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let what = format!("{} is no number that fits", quoted(&text));
                self.refuse(value.place(), &value.path, Refusal::new(what, bounds));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, value: &Value<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
        let bounds = format!("expected a whole number, {} to {}", range.start(), range.end());
        let text = match &value.node.kind {
            Kind::Int(text) | Kind::Float(text) => text.clone(),
            _ => self.text(value, "a whole number")?,
        };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let what = format!("{} is no whole number that fits", quoted(&text));
                self.refuse(value.place(), &value.path, Refusal::new(what, bounds));
                None
            }
        }
    }

    /// A text as it is written: `$` keeps the meaning that it has in expressions, templates and
    /// replacements, so environment variables are not expanded. A number or flag is its own text.
    pub(crate) fn raw(&self, value: &Value<'_>, expected: &str) -> Option<String> {
        match &value.node.kind {
            Kind::Str(text) | Kind::Int(text) | Kind::Float(text) => Some(text.clone()),
            Kind::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.wrong_kind(value, expected);
                None
            }
        }
    }

    /// The name of an extracted value.
    pub(crate) fn source(&self, value: &Value<'_>) -> Option<String> {
        self.checked(value, "the name of a value", |text| match text.is_empty() {
            true => Err(Refusal::new("the name of a value is empty", "expected a name, or no such key")),
            false => Ok(()),
        })
    }

    /// One text, or a list of texts.
    pub(crate) fn texts(&self, value: &Value<'_>, expected: &str) -> Option<Vec<String>> {
        match value.node.kind {
            Kind::Seq(_) => self.each(value, expected, |item| self.text(item, "a string")),
            _ => self.text(value, expected).map(|text| vec![text]),
        }
    }

    /// A regular expression in Go's syntax; `compile` says how it is to match.
    pub(crate) fn regex(
        &self,
        value: &Value<'_>,
        compile: impl Fn(&str) -> Result<Re2, crate::re2::Re2Error>,
    ) -> Option<Re2> {
        let text = self.raw(value, "a regular expression")?;
        match compile(&text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let place = self.inside(value, &text, error.at);
                self.note(
                    Finding::at(place, format!("`{}`: not a regular expression", value.path))
                        .label(error.message)
                        .note("the syntax is Go's: https://github.com/google/re2/wiki/Syntax"),
                );
                None
            }
        }
    }

    /// A LogQL selector with line filters.
    pub(crate) fn selector(&self, value: &Value<'_>) -> Option<Selector> {
        let text = self.raw(value, "a LogQL selector in quotes")?;
        match Selector::parse(&text) {
            Ok(selector) => Some(selector),
            Err(error) => {
                let place = self.inside(value, &text, Some(error.span));
                let finding = Finding::at(place, format!("`{}`: {}", value.path, error.message));
                self.note(match error.expected {
                    Some(expected) => finding.label(expected),
                    None => finding.label("here"),
                });
                None
            }
        }
    }

    /// The place of a part of a text in the file; the whole scalar when it is spelled otherwise there
    /// (escapes, folded lines) or no part is named.
    pub(crate) fn inside(&self, value: &Value<'_>, text: &str, part: Option<Span>) -> Span {
        let scalar = value.place();
        let found = part.and_then(|part| {
            let start = scalar.start + self.source.get(scalar.clone())?.find(text)?;
            Some(start + part.start..start + part.end.max(part.start + 1))
        });
        found.filter(|place| place.end <= scalar.end).unwrap_or(scalar)
    }
}
