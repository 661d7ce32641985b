//! Selectors and their label matchers. `Display` writes them in the form that Loki's formatter gives.

use std::fmt::{self, Display};

use crate::filter::LineFilter;
use crate::go::quote::Quoted;
use crate::go::re2::{Re2, Re2Error, Room, simple};
use crate::label_set::LabelSet;

/// Chooses entries: by label matchers, all of which must match, then by line filters, all of which must pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) filters: Vec<LineFilter>,
}

impl Selector {
    /// Whether a stream is chosen.
    pub fn matches_labels(&self, labels: &LabelSet) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or_default()))
    }

    /// Whether a line of a stream that is chosen passes.
    pub fn matches_line(&self, line: &str) -> bool {
        self.filters.iter().all(|filter| filter.matches(line))
    }

    /// Whether there is a line that does not pass.
    pub fn has_filters(&self) -> bool {
        !self.filters.iter().all(LineFilter::is_trivial)
    }

    /// Whether Loki takes it as a query: at least one matcher asks for a label that is not empty.
    pub(crate) fn is_bounded(&self) -> bool {
        self.matchers.iter().any(|matcher| !matcher.matches(""))
    }

    /// Its label matchers, as they are written.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// Its line filters in their order. A negative filter with `or` is several filters here.
    pub fn filters(&self) -> &[LineFilter] {
        &self.filters
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_matchers(f, &self.matchers)?;
        self.filters.iter().try_for_each(|filter| write!(f, " {filter}"))
    }
}

/// `{a="b", c="d"}`
pub(crate) fn write_matchers(f: &mut fmt::Formatter<'_>, matchers: &[Matcher]) -> fmt::Result {
    f.write_str("{")?;
    for (index, matcher) in matchers.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        matcher.fmt(f)?;
    }
    f.write_str("}")
}

/// How a matcher compares the value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`: it has this value.
    Equal,
    /// `!=`: it has another value.
    NotEqual,
    /// `=~`: a regular expression matches all of its value.
    Regex,
    /// `!~`: the expression does not match all of it.
    NotRegex,
}

impl MatchOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }

    pub(crate) fn of(symbol: &str) -> Option<MatchOp> {
        use MatchOp::*;
        [Equal, NotEqual, Regex, NotRegex].into_iter().find(|op| op.symbol() == symbol)
    }
}

/// A condition on one label. A label that is missing has the empty value.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Re2>,
}

impl Matcher {
    /// A matcher of label `name`.
    ///
    /// # Errors
    /// A regular expression that is not valid.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Matcher, Re2Error> {
        Matcher::of(name, op, value, Re2::whole)
    }

    /// As [`Matcher::new`], one of many.
    pub(crate) fn new_in(name: &str, op: MatchOp, value: &str, room: &mut Room) -> Result<Matcher, Re2Error> {
        Matcher::of(name, op, value, |source| Re2::whole_in(source, room))
    }

    fn of(
        name: &str,
        op: MatchOp,
        value: &str,
        compile: impl FnOnce(&str) -> Result<Re2, Re2Error>,
    ) -> Result<Matcher, Re2Error> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            // Plain text is compared.
            MatchOp::Regex | MatchOp::NotRegex => {
                Some(compile(value)?).filter(|regex| regex.literal() != Some(value))
            }
        };
        Ok(Matcher { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// The name of the label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the value is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or regular expression to compare with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// All values that fulfil the condition, where it is a regular expression that names them: `a|b`.
    pub fn alternatives(&self) -> Option<Vec<String>> {
        // Between these a bar is text.
        if self.op != MatchOp::Regex || self.value.contains(r"\Q") {
            return None;
        }
        self.value.split('|').map(|part| Re2::literal_of(part, true)).collect()
    }

    /// As Loki writes it in a filter of labels, if it is an expression of which Loki makes no tests of texts (grafana/loki,
    /// `pkg/logql/log/label_filter.go`, `LineFilterLabelFilter`).
    pub(crate) fn backquoted(&self) -> Option<String> {
        let stays = self.op == MatchOp::Regex && !simple::is_simple(&self.value);
        let value = || match self.value.contains('`') {
            true => Quoted(&self.value).to_string(),
            false => format!("`{}`", self.value),
        };
        stays.then(|| format!("{}{}{}", self.name, self.op.symbol(), value()))
    }

    /// Whether a value of the label fulfils the condition.
    pub fn matches(&self, value: &str) -> bool {
        let is = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        is == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

/// With `{:#}`, names that are not plain are quoted, as Prometheus does (`model/labels/matcher.go`), though LogQL does not read them
/// back.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c == '_' || c.is_ascii_alphabetic();
        let is_plain =
            self.name.starts_with(plain) && self.name.chars().all(|c| plain(c) || c.is_ascii_digit());
        if f.alternate() && !is_plain {
            write!(f, "{}", Quoted(&self.name))?;
        } else {
            f.write_str(&self.name)?;
        }
        write!(f, "{}{}", self.op.symbol(), Quoted(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_all_values_or_none() {
        let values = |values: &[&str]| Some(values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>());
        for (op, value, expected) in [
            (MatchOp::Regex, "a", values(&["a"])),
            (MatchOp::Regex, "a.service|b\\.service", None),
            (MatchOp::Regex, "a\\.service|b\\.service", values(&["a.service", "b.service"])),
            (MatchOp::Regex, "a|", values(&["a", ""])),
            (MatchOp::Regex, "(a|b)", None),
            (MatchOp::Regex, "(?i)a|b", None),
            (MatchOp::Regex, "a|b+", None),
            (MatchOp::Regex, "a\\|b", None),
            (MatchOp::Regex, "[a|b]", None),
            (MatchOp::Regex, "\\Qa|b\\E", None),
            (MatchOp::Equal, "a|b", None),
            (MatchOp::NotRegex, "a|b", None),
        ] {
            assert_eq!(Matcher::new("x", op, value).unwrap().alternatives(), expected, "{value}");
        }
    }
}
