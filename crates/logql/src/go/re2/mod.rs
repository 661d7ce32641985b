//! Regular expressions as Go's `regexp` takes them (RE2 syntax), run by the crate `regex`.
//!
//! Both engines search in linear time and prefer the leftmost match, first alternative first; what differs is
//! how expressions are written. So an expression is read by Go's rules (Go's `regexp/syntax`, `parse.go`) and
//! written again in the crate's (`translate.rs`).

mod class;
mod room;
pub(crate) mod simple;
mod translate;

use std::fmt;
use std::ops::{Deref, Range};

use regex::Captures;

pub(crate) use self::room::Room;

/// Largest compiled expression (bytes). Some hundred Unicode classes or some ten thousand words fit; what a
/// mistake such as `(\pL{100}){10}` would take does not.
const COMPILED_MAX: usize = 10 << 20;

/// Longest text that [`expand`] makes, about (bytes): a log line is cut at a quarter of it.
const EXPANDED_MAX: usize = 1 << 20;

/// How deep groups may be nested in a translation (count): each group of ours can take a group, a
/// sequence, an alternation, a repetition, and a class inside.
const CRATE_NESTING_MAX: u32 = translate::NESTING_MAX * 5 + 10;

/// A compiled regular expression and its source.
///
/// It is a [`regex::Regex`] with Go's names of groups: [`Re2::capture_names`] and [`Re2::expand`] know names
/// that the crate does not take (names that begin with a digit, or stand twice).
#[derive(Clone)]
pub struct Re2 {
    source: String,
    regex: regex::Regex,
    names: Vec<Option<String>>,
    literal: Option<String>,
}

/// Why a regular expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Re2Error {
    /// What is wrong with it.
    pub message: String,
    /// Where in the source (bytes), if a place can be named.
    pub at: Option<Range<usize>>,
}

impl Re2 {
    /// Compiles an expression that matches anywhere in a text.
    ///
    /// # Errors
    /// The expression is not valid in RE2 syntax, or too large when compiled.
    pub fn new(source: &str) -> Result<Re2, Re2Error> {
        Re2::compile(source, false, &mut Room::one())
    }

    /// As [`Re2::new`], one of many.
    pub(crate) fn new_in(source: &str, room: &mut Room) -> Result<Re2, Re2Error> {
        Re2::compile(source, false, room)
    }

    /// Compiles an expression that must match a text whole, `.` matching line breaks too, as Prometheus's
    /// matchers and relabelling do (`^(?s:…)$`; github.com/prometheus/prometheus, `model/labels/regexp.go`).
    ///
    /// # Errors
    /// As [`Re2::new`].
    pub fn whole(source: &str) -> Result<Re2, Re2Error> {
        Re2::compile(source, true, &mut Room::one())
    }

    /// As [`Re2::whole`], one of many.
    pub(crate) fn whole_in(source: &str, room: &mut Room) -> Result<Re2, Re2Error> {
        Re2::compile(source, true, room)
    }

    fn compile(source: &str, whole: bool, room: &mut Room) -> Result<Re2, Re2Error> {
        let translate::Translation { text, names, literal } = translate::translate(source, whole)?;
        let text = if whole { format!("^(?s:{text})$") } else { text };
        let regex = room.build(&text)?;
        Ok(Re2 { source: source.to_owned(), regex, names, literal })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text it stands for, if it is plain text without any operator: then a search for that text, or a
    /// comparison with it if the expression matches whole, has the same result.
    pub(crate) fn literal(&self) -> Option<&str> {
        self.literal.as_deref()
    }

    /// The text that an expression stands for which matches whole, or anywhere, without compiling it.
    pub(crate) fn literal_of(source: &str, whole: bool) -> Option<String> {
        translate::translate(source, whole).ok()?.literal
    }

    /// The name of each group from 0 (the whole match), as Go's `SubexpNames`. A name may stand twice.
    pub fn capture_names(&self) -> impl Iterator<Item = Option<&str>> {
        self.names.iter().map(Option::as_deref)
    }

    /// Puts the groups of a match into a template, as [`expand`] does, but knows all names of groups, also those
    /// that the crate does not take. Of groups with one name the first that has caught something counts.
    pub fn expand(&self, captures: &Captures<'_>, template: &str) -> String {
        expand_with(captures, template, |name| {
            let named = self.names.iter().enumerate().filter(|(_, known)| known.as_deref() == Some(name));
            named.filter_map(|(index, _)| captures.get(index)).next().map(|group| group.as_str())
        })
    }
}

/// Fills the groups of a match into a template as Go's `Regexp.Expand` does: `$1`, `${1}`, `$name`, `${name}`; `$$`
/// is `$`. A name is as long as it can be: `$1x` is `${1x}`. A group that does not exist or has caught nothing is
/// empty; a `$` without a name stays. A result longer than about 1 MiB ends there.
pub fn expand(captures: &Captures<'_>, template: &str) -> String {
    expand_with(captures, template, |name| captures.name(name).map(|group| group.as_str()))
}

/// The first reference in a template of [`expand`] to a group that an expression does not have, as it is written.
pub fn missing_group(regex: &Re2, template: &str) -> Option<String> {
    let names: Vec<Option<&str>> = regex.capture_names().collect();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let inner = after.strip_prefix('{');
        let text = inner.unwrap_or(after);
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, behind) = text.split_at(end);
        rest = behind;
        if name.is_empty() || inner.is_some() && !behind.starts_with('}') {
            continue;
        }
        let known = match name.parse::<usize>() {
            Ok(number) => number < names.len(),
            Err(_) => names.contains(&Some(name)),
        };
        if !known {
            return Some(if inner.is_some() { format!("${{{name}}}") } else { format!("${name}") });
        }
    }
    None
}

fn expand_with<'t>(
    captures: &Captures<'t>,
    template: &str,
    named: impl Fn(&str) -> Option<&'t str>,
) -> String {
    let mut expanded = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if expanded.len() > EXPANDED_MAX {
            return expanded;
        }
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            let number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
            let caught = match number {
                // A number too large for a group is the number of no group.
                true => name.parse().ok().and_then(|number| captures.get(number)).map(|group| group.as_str()),
                false => named(name),
            };
            expanded.push_str(caught.unwrap_or_default());
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

/// The name that follows a `$`, and what follows the name.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (inner, braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let end = inner.find(|c: char| !(c.is_alphabetic() || c.is_ascii_digit() || c == '_'));
    let (name, after) = inner.split_at(end.unwrap_or(inner.len()));
    let after = if braced { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

impl Deref for Re2 {
    type Target = regex::Regex;

    fn deref(&self) -> &regex::Regex {
        &self.regex
    }
}

impl PartialEq for Re2 {
    fn eq(&self, other: &Re2) -> bool {
        self.source == other.source && self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for Re2 {}

impl fmt::Debug for Re2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Re2({:?})", self.source)
    }
}

#[cfg(test)]
mod tests;
