//! Selectors: label matchers, and filters on the line.

use std::fmt;

use memchr::memmem::Finder;

use super::{ParseError, parser};
use crate::labels::LabelSet;
use crate::re2::Re2;

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One label matcher.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// With what; for the regular ones the expression's source.
    pub value: String,
    pub(super) regex: Option<Re2>,
}

impl Matcher {
    /// Whether a value passes; a label that is missing is empty.
    pub fn matches(&self, value: &str) -> bool {
        match (&self.regex, self.op) {
            (Some(regex), MatchOp::NotRegex) => !regex.is_match(value),
            (Some(regex), _) => regex.is_match(value),
            (None, MatchOp::NotEqual) => self.value != value,
            (None, _) => self.value == value,
        }
    }
}

/// How a line is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    ContainsNot,
    /// `|~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// What a line is searched for.
#[derive(Debug, Clone)]
pub struct LineValue {
    /// The text, or the expression's source.
    pub text: String,
    pub(super) search: Search,
}

#[derive(Debug, Clone)]
pub(super) enum Search {
    Text(Box<Finder<'static>>),
    Regex(Re2),
}

impl PartialEq for LineValue {
    fn eq(&self, other: &LineValue) -> bool {
        self.text == other.text
    }
}

impl LineValue {
    fn is_in(&self, line: &str) -> bool {
        match &self.search {
            Search::Text(finder) => finder.find(line.as_bytes()).is_some(),
            Search::Regex(regex) => regex.is_match(line),
        }
    }
}

/// One line filter: `|= "a" or "b"`.
#[derive(Debug, Clone, PartialEq)]
pub struct LineFilter {
    /// How the line is looked at.
    pub op: LineOp,
    /// At least one; with a negated operator none may be found.
    pub values: Vec<LineValue>,
}

impl LineFilter {
    /// Whether a line passes.
    pub fn matches(&self, line: &str) -> bool {
        let found = self.values.iter().any(|value| value.is_in(line));
        found == matches!(self.op, LineOp::Contains | LineOp::Matches)
    }
}

/// Label matchers and line filters; an entry passes when all of them do.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The label matchers.
    pub matchers: Vec<Matcher>,
    /// The line filters.
    pub filters: Vec<LineFilter>,
}

impl Selector {
    /// Reads a selector. As Promtail, and other than Loki's queries, it may match entries without any of the
    /// labels: see [`Selector::is_bounded`].
    ///
    /// # Errors
    /// What is no LogQL, and LogQL that is more than a selector with line filters.
    pub fn parse(text: &str) -> Result<Selector, ParseError> {
        parser::selector(text)
    }

    /// Whether the labels pass.
    pub fn matches_labels(&self, labels: &LabelSet) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or_default()))
    }

    /// Whether the line passes.
    pub fn matches_line(&self, line: &str) -> bool {
        self.filters.iter().all(|filter| filter.matches(line))
    }

    /// Whether the line matters at all.
    pub fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether it is one that Loki takes: at least one matcher does not match the empty value.
    pub fn is_bounded(&self) -> bool {
        self.matchers.iter().any(|matcher| !matcher.matches(""))
    }
}

impl fmt::Display for Selector {
    /// The canonical form: one space around operators of lines, double quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.matchers.iter().enumerate() {
            let op = match matcher.op {
                MatchOp::Equal => "=",
                MatchOp::NotEqual => "!=",
                MatchOp::Regex => "=~",
                MatchOp::NotRegex => "!~",
            };
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}{op}{}", matcher.name, Quoted(&matcher.value))?;
        }
        f.write_str("}")?;
        for filter in &self.filters {
            let op = match filter.op {
                LineOp::Contains => "|=",
                LineOp::ContainsNot => "!=",
                LineOp::Matches => "|~",
                LineOp::MatchesNot => "!~",
            };
            write!(f, " {op} ")?;
            for (index, value) in filter.values.iter().enumerate() {
                let or = if index > 0 { " or " } else { "" };
                write!(f, "{or}{}", Quoted(&value.text))?;
            }
        }
        Ok(())
    }
}

/// A text in double quotes with Go's escapes.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        let mut set = LabelSet::default();
        for (name, value) in pairs {
            set.insert(name, value.as_bytes());
        }
        set
    }

    #[test]
    fn labels_pass_as_in_loki() {
        let set = labels(&[("unit", "api-a.service"), ("level", "info")]);
        for (selector, expected) in [
            (r#"{unit="api-a.service"}"#, true),
            (r#"{unit="api-a"}"#, false),
            (r#"{unit=~"api-.*"}"#, true),
            (r#"{unit=~"api-"}"#, false),
            (r#"{unit=~"(?i)API-A.SERVICE"}"#, true),
            (r#"{unit!~"ssh.*", level="info"}"#, true),
            (r#"{unit!="x"}"#, true),
            (r#"{nosuch=""}"#, true),
            (r#"{nosuch=~"|a"}"#, true),
            (r#"{nosuch!=""}"#, false),
            (r#"{nosuch=~".+"}"#, false),
            (r#"{unit=~".+", level!="info"}"#, false),
            ("{unit=`api-a.service`}", true),
            ("{ unit = 'api-a.service' , } # a comment", true),
            (r#"{unit=~"api-(a|b)\\.service"}"#, true),
        ] {
            assert_eq!(Selector::parse(selector).unwrap().matches_labels(&set), expected, "{selector}");
        }
    }

    #[test]
    fn lines_pass_as_in_loki() {
        for (filters, line, expected) in [
            ("", "x", true),
            (r#"|= "GET""#, "a GET b", true),
            (r#"|= "get""#, "a GET b", false),
            (r#"|= """#, "", true),
            (r#"!= """#, "x", false),
            (r#"|= "GET" != "img""#, "GET /img", false),
            (r#"|~ "(?i)get|put""#, "xGeTx", true),
            (r#"|~ "^a.c$""#, "abc", true),
            (r#"|~ "^a.c$""#, "a\nc", false),
            (r#"!~ "\\d+""#, "no number", true),
            (r#"!~ `\d+`"#, "7", false),
            (r#"|= "a" or "b""#, "xbx", true),
            (r#"|= "a" or "b" |~ "x""#, "b", false),
            (r#"!= "a" or "b""#, "b", false),
            (r#"!= "a" or "b""#, "c", true),
            (r#"|~ "a" or "b+""#, "bb", true),
        ] {
            let selector = Selector::parse(&format!("{{a=\"b\"}} {filters}")).unwrap();
            assert_eq!(selector.matches_line(line), expected, "{filters} on {line:?}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_at_its_place() {
        for (text, message, at) in [
            ("", "expected a selector", 0..0),
            ("unit=\"a\"", "`unit`", 0..4),
            ("{unit}", "`}`", 5..6),
            ("{unit=a}", "`a`", 6..7),
            ("{=\"a\"}", "`=`", 1..2),
            ("{unit=\"a\"", "ends", 9..9),
            ("{unit=\"a}", "closing quote", 6..7),
            ("{unit=\"\\q\"}", "escape", 7..9),
            ("{unit=~\"a(\"}", "unclosed", 7..11),
            ("{unit=~\"a**\"}", "repetition", 9..11),
            ("{}", "no label matcher", 0..2),
            ("{a=\"b\"} |= ", "ends", 11..11),
            ("{a=\"b\"} | json", "not supported here", 8..9),
            ("{a=\"b\"} |> \"<_>\"", "not supported here", 8..10),
            ("{a=\"b\"} |= ip(\"1.2.3.4\")", "not supported here", 11..13),
            ("rate({a=\"b\"}[5m])", "not supported here", 0..4),
            ("{a=\"b\"}[5m]", "not supported here", 7..8),
            ("{a=\"b\"} x", "`x`", 8..9),
            ("{a=\"b\"} § ", "no meaning", 8..10),
        ] {
            let error = Selector::parse(text).expect_err(text);
            let whole = format!("{} {}", error.message, error.expected.clone().unwrap_or_default());
            assert!(whole.contains(message), "{text}: {whole}");
            assert_eq!(error.span, at, "{text}");
        }
    }

    #[test]
    fn a_selector_that_loki_would_refuse_is_known() {
        for (text, bounded) in [
            ("{a=\"b\"}", true),
            ("{a=~\".+\"}", true),
            ("{a=~\".*\"}", false),
            ("{a!=\"b\"}", false),
            ("{a!=\"\"}", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().is_bounded(), bounded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            matchers in proptest::collection::vec(("[a-z_][a-z0-9_]{0,6}", 0..4usize, "\\PC{0,8}|[\"\\\\\n\t\u{1}]{0,4}"), 1..4),
            filters in proptest::collection::vec((0..4usize, proptest::collection::vec("\\PC{0,8}|[\"\\\\\n`']{0,4}", 1..3)), 0..3),
        ) {
            let quote = |text: &str, regex: bool| {
                let text = if regex { regex::escape(text) } else { text.to_owned() };
                Quoted(&text).to_string()
            };
            let mut text: Vec<_> = matchers
                .iter()
                .map(|(name, op, value)| format!("{name}{}{}", ["=", "!=", "=~", "!~"][*op], quote(value, *op > 1)))
                .collect();
            text = vec![format!("{{{}}}", text.join(","))];
            for (op, values) in &filters {
                let values: Vec<_> = values.iter().map(|value| quote(value, *op > 1)).collect();
                text.push(format!("{} {}", ["|=", "!=", "|~", "!~"][*op], values.join(" or ")));
            }
            let selector = Selector::parse(&text.join(" "))?;
            let printed = selector.to_string();
            prop_assert_eq!(&Selector::parse(&printed)?, &selector);
            prop_assert_eq!(Selector::parse(&printed)?.to_string(), printed);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[{}a-c=~!|\"'`\\\\ .,()<>0-9\\[\\]#\n]{0,30}") {
            if let Err(error) = Selector::parse(&text) {
                prop_assert!(error.span.end <= text.len() && text.get(error.span.clone()).is_some());
            }
        }
    }
}
