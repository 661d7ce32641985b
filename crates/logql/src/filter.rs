//! Line filters: they choose entries by their line (grafana/loki, `pkg/logql/log/filter.go`).

use std::fmt;

use memchr::memmem::Finder;

use crate::go::quote::Quoted;
use crate::go::re2::{Re2, Re2Error, Room};
use crate::ip::IpRange;
use crate::pattern::Pattern;

/// What a line filter asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterOp {
    /// `|=`: the line contains a text.
    Contains,
    /// `!=`: it does not.
    ContainsNot,
    /// `|~`: a regular expression matches somewhere in the line.
    Regex,
    /// `!~`: it does not.
    RegexNot,
    /// `|>`: the line fits a pattern, `"<_> text <_>"`.
    Pattern,
    /// `!>`: it does not fit.
    PatternNot,
}

impl FilterOp {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            FilterOp::Contains => "|=",
            FilterOp::ContainsNot => "!=",
            FilterOp::Regex => "|~",
            FilterOp::RegexNot => "!~",
            FilterOp::Pattern => "|>",
            FilterOp::PatternNot => "!>",
        }
    }

    pub(crate) fn of(symbol: &str) -> Option<FilterOp> {
        use FilterOp::*;
        [Contains, ContainsNot, Regex, RegexNot, Pattern, PatternNot]
            .into_iter()
            .find(|op| op.symbol() == symbol)
    }

    pub(crate) fn is_negative(self) -> bool {
        matches!(self, FilterOp::ContainsNot | FilterOp::RegexNot | FilterOp::PatternNot)
    }
}

/// What a filter looks for, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    /// A text, regular expression or pattern.
    Text(String),
    /// `ip("192.168.0.0/16")`: an address.
    Ip(String),
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Text(text) => write!(f, "{}", Quoted(text)),
            Operand::Ip(text) => write!(f, "ip({})", Quoted(text)),
        }
    }
}

/// One line filter. A filter with a positive operator may have several operands; a line passes if one of them is found.
#[derive(Debug, Clone)]
pub struct LineFilter {
    op: FilterOp,
    operands: Vec<Operand>,
    tests: Vec<Test>,
}

/// Why an operand is refused.
pub(crate) enum BadOperand {
    Regex(Re2Error),
    Other(String),
}

impl LineFilter {
    pub(crate) fn new(op: FilterOp, operand: Operand, room: &mut Room) -> Result<LineFilter, BadOperand> {
        let test = Test::new(op, &operand, room)?;
        Ok(LineFilter { op, operands: vec![operand], tests: vec![test] })
    }

    /// A filter of which only the text counts.
    pub(crate) fn unread(op: FilterOp, operand: Operand) -> LineFilter {
        LineFilter { op, operands: vec![operand], tests: Vec::new() }
    }

    /// `|~`: lines pass in which a regular expression is found.
    ///
    /// # Errors
    /// An expression that is not valid.
    pub fn regex(pattern: &str) -> Result<LineFilter, Re2Error> {
        let operand = Operand::Text(pattern.to_owned());
        LineFilter::new(FilterOp::Regex, operand, &mut Room::one()).map_err(|bad| match bad {
            BadOperand::Regex(error) => error,
            BadOperand::Other(message) => Re2Error { message, at: None },
        })
    }

    /// Joins another filter with the same operator by `or`.
    pub(crate) fn or(&mut self, other: LineFilter) {
        self.operands.extend(other.operands);
        self.tests.extend(other.tests);
        // In Loki an operand that is in every line does not count beside others (`newOrFilter`).
        if self.tests.iter().any(|test| !test.is_trivial()) {
            self.tests.retain(|test| !test.is_trivial());
        }
    }

    /// Whether a line passes.
    pub fn matches(&self, line: &str) -> bool {
        self.tests.iter().any(|test| test.is_met(line)) != self.op.is_negative()
    }

    /// Whether it lets every line pass.
    pub(crate) fn is_trivial(&self) -> bool {
        !self.op.is_negative() && self.tests.iter().all(Test::is_trivial)
    }
}

impl PartialEq for LineFilter {
    fn eq(&self, other: &LineFilter) -> bool {
        self.op == other.op && self.operands == other.operands
    }
}

impl fmt::Display for LineFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operand) in self.operands.iter().enumerate() {
            let before = if index == 0 { self.op.symbol() } else { " or" };
            write!(f, "{before} {operand}")?;
        }
        Ok(())
    }
}

/// How an operand is looked for.
#[derive(Debug, Clone)]
enum Test {
    /// It is in every line.
    Always,
    Contains(Finder<'static>),
    Regex(Re2),
    Pattern(Pattern),
    Ip(IpRange),
}

impl Test {
    fn new(op: FilterOp, operand: &Operand, room: &mut Room) -> Result<Test, BadOperand> {
        match (op, operand) {
            (FilterOp::Contains | FilterOp::ContainsNot, Operand::Text(text)) => Ok(Test::contains(text)),
            (FilterOp::Contains | FilterOp::ContainsNot, Operand::Ip(text)) => {
                let bad = "neither an address nor a network (`10.0.0.0/8`) nor a range (`10.0.0.1-10.0.0.9`)";
                IpRange::parse(text).map(Test::Ip).ok_or_else(|| BadOperand::Other(bad.to_owned()))
            }
            (_, Operand::Ip(_)) => Err(BadOperand::Other("`ip` goes with `|=` and `!=` only".to_owned())),
            (FilterOp::Regex | FilterOp::RegexNot, Operand::Text(text)) => {
                Test::regex(text, room).map_err(BadOperand::Regex)
            }
            (FilterOp::Pattern | FilterOp::PatternNot, Operand::Text(text)) => {
                Pattern::parse(text).map(Test::Pattern).map_err(BadOperand::Other)
            }
        }
    }

    fn contains(text: &str) -> Test {
        if text.is_empty() { Test::Always } else { Test::Contains(Finder::new(text).into_owned()) }
    }

    /// An expression that is plain text is looked for as text; `.*` at its ends changes nothing.
    fn regex(source: &str, room: &mut Room) -> Result<Test, Re2Error> {
        let core = source.strip_prefix(".*").unwrap_or(source);
        let core = core.strip_suffix(".*").filter(|core| !core.ends_with('\\')).unwrap_or(core);
        match Re2::literal_of(core, false) {
            Some(literal) => Ok(Test::contains(&literal)),
            None => Re2::new_in(source, room).map(Test::Regex),
        }
    }

    fn is_trivial(&self) -> bool {
        matches!(self, Test::Always)
    }

    fn is_met(&self, line: &str) -> bool {
        match self {
            Test::Always => true,
            Test::Contains(finder) => finder.find(line.as_bytes()).is_some(),
            Test::Regex(regex) => regex.is_match(line),
            Test::Pattern(pattern) => pattern.matches(line),
            Test::Ip(range) => range.is_in(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(op: &str, text: &str) -> LineFilter {
        LineFilter::new(FilterOp::of(op).unwrap(), Operand::Text(text.to_owned()), &mut Room::one())
            .ok()
            .unwrap()
    }

    #[test]
    fn plain_expressions_need_no_engine() {
        for (source, plain) in [
            ("foo", true),
            (".*foo.*", true),
            (r"\.foo", true),
            (r"foo\.*", false),
            (r"foo\\.*", false),
            (".*.*", true),
            ("", true),
            ("(?i)foo", false),
            (".*|foo", false),
            ("foo|bar", false),
        ] {
            let test = Test::regex(source, &mut Room::one()).ok().unwrap();
            assert_eq!(!matches!(test, Test::Regex(_)), plain, "{source}");
        }
    }

    proptest! {
        #[test]
        fn short_cuts_do_not_show(source in "(\\.\\*)?[ab.\\\\]{0,3}(\\.\\*)?", line in "[ab\\\\\n.]{0,6}") {
            let Ok(regex) = Re2::new(&source) else { return Ok(()) };
            prop_assert_eq!(filter("|~", &source).matches(&line), regex.is_match(&line));
            prop_assert_eq!(filter("!~", &source).matches(&line), !regex.is_match(&line));
        }
    }
}
