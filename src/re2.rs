//! Regular expressions as Go's `regexp` takes them (RE2 syntax), run by the crate `regex`.
//!
//! The two agree on meaning (leftmost-first, linear time) and nearly on syntax. Where they differ, the source is
//! translated: in Go the classes `\d \w \s` and the boundary `\b` know ASCII only, a brace that begins no
//! repetition stands for itself, `\Q…\E` quotes, and a class knows neither nesting nor set operations.
//! Source: <https://github.com/google/re2/wiki/Syntax>, Go's `regexp/syntax/doc.go`.

use std::fmt;
use std::ops::{Deref, Range};

/// Largest size of a compiled expression (bytes): what a person writes stays far below, and a repetition of
/// repetitions does not take all memory.
const COMPILED_MAX: usize = 4 << 20;
/// Largest number in a repetition (Go's `regexp/syntax`, `maxRepeat`).
const REPEAT_MAX: u32 = 1000;

/// About the longest that [`expand`] makes (bytes): a log line is cut at a quarter of it.
pub const EXPANDED_MAX: usize = 1 << 20;

/// A compiled regular expression and its source.
#[derive(Clone)]
pub struct Re2 {
    source: String,
    regex: regex::Regex,
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
    /// What is not valid in RE2 syntax, or too large when compiled.
    pub fn new(source: &str) -> Result<Re2, Re2Error> {
        Re2::build(source, |translated| translated)
    }

    /// Compiles an expression that must match a text whole, `.` matching line breaks too, as Prometheus's
    /// matchers and relabelling do.
    ///
    /// # Errors
    /// As [`Re2::new`].
    pub fn whole(source: &str) -> Result<Re2, Re2Error> {
        Re2::build(source, |translated| format!("^(?s:{translated})$"))
    }

    fn build(source: &str, wrap: impl Fn(String) -> String) -> Result<Re2, Re2Error> {
        let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(COMPILED_MAX).build();
        let translated = Translator::new(source).run()?;
        // On its own first: wrapped, a `)` too many would pass.
        let failed = |error: regex::Error| Re2Error { message: reason(&error), at: None };
        let regex = compile(&translated).map_err(failed)?;
        let wrapped = wrap(translated);
        let regex = if wrapped == regex.as_str() { regex } else { compile(&wrapped).map_err(failed)? };
        Ok(Re2 { source: source.to_owned(), regex })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// What the crate says, without its picture of the (translated) source.
fn reason(error: &regex::Error) -> String {
    let text = match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        other => other.to_string(),
    };
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Puts the groups of a match into a template as Go's `Regexp.Expand` does: `$1`, `${1}`, `$name`, `${name}`,
/// `$$`; the longest name counts, and a group that is not there is empty. What would be longer than
/// [`EXPANDED_MAX`] ends there.
pub fn expand(captures: &regex::Captures<'_>, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if out.len() > EXPANDED_MAX {
            return out;
        }
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, behind) = match braced {
            Some((name, behind)) if is_name(name) => (name, behind),
            _ => {
                let end = after.find(|c: char| !is_word(c)).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name.is_empty() {
            out.push('$');
            rest = after;
            continue;
        }
        let group = match name.parse::<usize>() {
            // Go takes a number only without leading zeros.
            Ok(number) if name == "0" || !name.starts_with('0') => captures.get(number),
            _ => captures.name(name),
        };
        out.push_str(group.map_or("", |group| group.as_str()));
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_word)
}

/// Goes through a source once and writes what the crate `regex` takes for the same.
struct Translator<'s> {
    source: &'s str,
    at: usize,
    out: String,
    /// Whether a repetition may follow.
    repeatable: bool,
}

impl<'s> Translator<'s> {
    fn new(source: &'s str) -> Self {
        Translator { source, at: 0, out: String::with_capacity(source.len() + 8), repeatable: false }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error<T>(&self, from: usize, message: impl Into<String>) -> Result<T, Re2Error> {
        Err(Re2Error { message: message.into(), at: Some(from..self.at.max(from + 1)) })
    }

    fn literal(&mut self, c: char) {
        if regex_syntax_meta(c) {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn run(mut self) -> Result<String, Re2Error> {
        while let Some(c) = self.rest().chars().next() {
            let from = self.at;
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '{' => self.brace()?,
                '(' => self.group()?,
                '*' | '+' | '?' => {
                    self.bump();
                    if !self.repeatable {
                        return self.error(from, format!("`{c}` has nothing to repeat"));
                    }
                    self.out.push(c);
                    self.lazy(from)?;
                }
                '|' | '^' => {
                    self.bump();
                    self.out.push(c);
                    self.repeatable = c == '^';
                }
                // Outside of a repetition it stands for itself.
                '}' | ']' => {
                    self.bump();
                    self.literal(c);
                    self.repeatable = true;
                }
                _ => {
                    self.bump();
                    self.out.push(c);
                    self.repeatable = true;
                }
            }
        }
        Ok(self.out)
    }

    /// A `?` behind a repetition makes it lazy; another repetition behind it is refused, as in Go.
    fn lazy(&mut self, from: usize) -> Result<(), Re2Error> {
        if self.rest().starts_with('?') {
            self.bump();
            self.out.push('?');
        }
        if self.rest().starts_with(['*', '+', '?']) || repetition(self.rest()).is_some() {
            self.bump();
            return self.error(from, "a repetition of a repetition");
        }
        self.repeatable = false;
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`, or a brace that stands for itself.
    fn brace(&mut self) -> Result<(), Re2Error> {
        let from = self.at;
        let Some((len, least, most)) = repetition(self.rest()) else {
            self.bump();
            self.out.push_str("\\{");
            self.repeatable = true;
            return Ok(());
        };
        let text = self.rest().get(..len).unwrap_or_default();
        self.at += len;
        if !self.repeatable {
            return self.error(from, format!("`{text}` has nothing to repeat"));
        }
        if least > REPEAT_MAX || most.is_some_and(|most| most > REPEAT_MAX || most < least) {
            return self.error(from, format!("`{text}`: numbers go up to {REPEAT_MAX}, the smaller first"));
        }
        self.out.push_str(text);
        self.lazy(from)
    }

    fn group(&mut self) -> Result<(), Re2Error> {
        let from = self.at;
        self.bump();
        self.out.push('(');
        self.repeatable = false;
        let Some(rest) = self.rest().strip_prefix('?') else { return Ok(()) };
        if rest.starts_with("P<")
            || (rest.starts_with('<') && !rest.starts_with("<=") && !rest.starts_with("<!"))
        {
            let open = if rest.starts_with('P') { 3 } else { 2 };
            let name = self.rest().get(open..).and_then(|rest| rest.split_once('>')).map(|(name, _)| name);
            let valid =
                |name: &str| !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            return match name.filter(|name| valid(name)) {
                // Rust wants no digit first; such a group can still be asked for by its number only.
                Some(name) if name.starts_with(|c: char| c.is_ascii_digit()) => {
                    self.at += open + name.len() + 1;
                    self.error(from, "the name of a group begins with a letter or `_`")
                }
                Some(name) => {
                    self.out.push_str(&format!("?P<{name}>"));
                    self.at += open + name.len() + 1;
                    Ok(())
                }
                None => {
                    self.at += open;
                    self.error(from, "a group's name has letters, digits and `_`, and ends with `>`")
                }
            };
        }
        let end = rest.find(|c: char| !"imsU-".contains(c)).unwrap_or(rest.len());
        let flags = rest.get(..end).unwrap_or_default();
        match rest.get(end..).and_then(|behind| behind.chars().next()) {
            Some(close @ (':' | ')')) if !(close == ')' && flags.is_empty()) => {
                self.at += 1 + end + 1;
                self.out.push('?');
                self.out.push_str(flags);
                self.out.push(close);
                Ok(())
            }
            _ => {
                self.at += 2;
                self.error(
                    from,
                    "Go knows the groups `(…)`, `(?:…)`, `(?P<name>…)` and the flags `i m s U` only",
                )
            }
        }
    }

    fn escape(&mut self) -> Result<(), Re2Error> {
        let from = self.at;
        self.bump();
        let Some(c) = self.bump() else { return self.error(from, "a `\\` at the end") };
        self.repeatable = true;
        match c {
            'Q' => {
                let (quoted, behind) = match self.rest().split_once("\\E") {
                    Some((quoted, _)) => (quoted, quoted.len() + 2),
                    None => (self.rest(), self.rest().len()),
                };
                self.at += behind;
                quoted.chars().for_each(|c| self.literal(c));
                self.repeatable = !quoted.is_empty();
            }
            'A' | 'z' => {
                self.out.push('\\');
                self.out.push(c);
            }
            'b' => self.out.push_str("(?-u:\\b)"),
            // The crate takes it only where it cannot split a character, which is what it means here.
            'B' => self.out.push_str("\\B"),
            _ => match self.class_escape(c, from)? {
                Escape::Class(class) => self.out.push_str(&format!("[{class}]")),
                Escape::Unicode(class) => self.out.push_str(&class),
                Escape::Char(c) => self.literal(c),
            },
        }
        Ok(())
    }

    /// An escape that may stand in a class, too; its backslash and `c` are behind us.
    fn class_escape(&mut self, c: char, from: usize) -> Result<Escape, Re2Error> {
        let class = |text: &str| Ok(Escape::Class(text.to_owned()));
        match c {
            'd' => class("0-9"),
            'D' => class("^0-9"),
            'w' => class("0-9A-Za-z_"),
            'W' => class("^0-9A-Za-z_"),
            's' => class("\\t\\n\\x0C\\r "),
            'S' => class("^\\t\\n\\x0C\\r "),
            'a' => Ok(Escape::Char('\x07')),
            'f' => Ok(Escape::Char('\x0c')),
            't' => Ok(Escape::Char('\t')),
            'n' => Ok(Escape::Char('\n')),
            'r' => Ok(Escape::Char('\r')),
            'v' => Ok(Escape::Char('\x0b')),
            'p' | 'P' => {
                let name = match self.rest().strip_prefix('{') {
                    Some(inner) => inner.split_once('}').map(|(name, _)| (name, name.len() + 2)),
                    None => self
                        .rest()
                        .chars()
                        .next()
                        .map(|c| (self.rest().split_at(c.len_utf8()).0, c.len_utf8())),
                };
                let Some((name, len)) = name else {
                    return self.error(from, "a class of characters without its name");
                };
                let plain = name.trim_start_matches('^');
                if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_alphabetic() || c == '_') {
                    return self.error(from, format!("`{name}` names no class of characters"));
                }
                self.at += len;
                let negated = (c == 'P') != name.starts_with('^');
                Ok(Escape::Unicode(format!("\\{}{{{plain}}}", if negated { 'P' } else { 'p' })))
            }
            'x' => {
                let digits = match self.rest().strip_prefix('{') {
                    Some(inner) => inner.split_once('}').map(|(digits, _)| (digits, digits.len() + 2)),
                    None => self.rest().get(..2).map(|digits| (digits, 2)),
                };
                let number = digits.filter(|(digits, _)| digits.chars().all(|c| c.is_ascii_hexdigit()));
                let number =
                    number.and_then(|(digits, len)| Some((u32::from_str_radix(digits, 16).ok()?, len)));
                match number.and_then(|(number, len)| Some((char::from_u32(number)?, len))) {
                    Some((c, len)) => {
                        self.at += len;
                        Ok(Escape::Char(c))
                    }
                    None => self.error(from, "`\\x` wants two hexadecimal digits, or more in braces"),
                }
            }
            // An octal number; a single digit from 1 on would be a backreference, which Go has not.
            '0'..='7' => {
                let more = self.rest().chars().take(2).take_while(|c| ('0'..='7').contains(c)).count();
                if c != '0' && more == 0 {
                    return self.error(from, "Go has no backreferences");
                }
                let start = self.at - 1;
                self.at += more;
                let digits = self.source.get(start..self.at).unwrap_or_default();
                match u32::from_str_radix(digits, 8).ok().and_then(char::from_u32) {
                    Some(c) => Ok(Escape::Char(c)),
                    None => self.error(from, "no such character"),
                }
            }
            c if c.is_ascii_punctuation() => Ok(Escape::Char(c)),
            c => self.error(from, format!("Go has no escape `\\{c}`")),
        }
    }

    fn class(&mut self) -> Result<(), Re2Error> {
        let from = self.at;
        self.bump();
        self.out.push('[');
        if self.rest().starts_with('^') {
            self.bump();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let at = self.at;
            if let Some(named) = posix(self.rest()) {
                self.at += named.len();
                self.out.push_str(named);
                first = false;
                continue;
            }
            match self.bump() {
                None => return self.error(from, "a class without its `]`"),
                Some(']') if !first => break,
                Some('\\') => {
                    let Some(c) = self.bump() else { return self.error(at, "a `\\` at the end") };
                    match self.class_escape(c, at)? {
                        Escape::Class(class) => self.out.push_str(&format!("[{class}]")),
                        Escape::Unicode(class) => self.out.push_str(&class),
                        Escape::Char(c) => self.class_char(c),
                    }
                }
                // A range, unless it is the first or the last.
                Some('-') if !first && !self.rest().starts_with(']') => {
                    if self.out.ends_with('-') {
                        self.out.push_str("\\-")
                    } else {
                        self.out.push('-')
                    }
                }
                Some(c) => self.class_char(c),
            }
            first = false;
        }
        self.out.push(']');
        self.repeatable = true;
        Ok(())
    }

    /// A character in a class, with what the crate would take for more than that escaped.
    fn class_char(&mut self, c: char) {
        if matches!(c, '[' | ']' | '\\' | '^' | '-' | '&' | '~') {
            self.out.push('\\');
        }
        self.out.push(c);
    }
}

/// What an escape stands for.
enum Escape {
    Char(char),
    /// The inside of a class.
    Class(String),
    /// A class by its Unicode name.
    Unicode(String),
}

/// Characters that the crate gives a meaning outside of classes.
fn regex_syntax_meta(c: char) -> bool {
    matches!(
        c,
        '\\' | '.'
            | '+'
            | '*'
            | '?'
            | '('
            | ')'
            | '|'
            | '['
            | ']'
            | '{'
            | '}'
            | '^'
            | '$'
            | '#'
            | '&'
            | '-'
            | '~'
    )
}

/// A named class such as `[:alpha:]` at the beginning of a text.
fn posix(text: &str) -> Option<&str> {
    let name = text.strip_prefix("[:")?.split_once(":]")?.0;
    let known = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    known.contains(&name.trim_start_matches('^')).then(|| text.get(..name.len() + 4))?
}

/// A repetition at the beginning of a text: its length, least and most.
fn repetition(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let inner = text.strip_prefix('{')?.split_once('}')?.0;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    };
    let (least, most) = match inner.split_once(',') {
        None => (number(inner)?, Some(number(inner)?)),
        Some((least, "")) => (number(least)?, None),
        Some((least, most)) => (number(least)?, Some(number(most)?)),
    };
    Some((inner.len() + 2, least, most))
}

impl Deref for Re2 {
    type Target = regex::Regex;

    fn deref(&self) -> &regex::Regex {
        &self.regex
    }
}

impl PartialEq for Re2 {
    fn eq(&self, other: &Re2) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl fmt::Debug for Re2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Re2({:?})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_are_gos() {
        for (source, text, expected) in [
            (r"\d+", "a12b", Some("12")),
            (r"\d", "٣", None),
            (r"\w+", "äb_1", Some("b_1")),
            (r"[\d.]+", "v1.2", Some("1.2")),
            (r"[^\w]", "a-b", Some("-")),
            (r"[\S]+", " ab ", Some("ab")),
            (r"\bfoo\b", "a foo.", Some("foo")),
            (r"^{.*}$", "{\"a\":1}", Some("{\"a\":1}")),
            (r"a{,2}", "a{,2}", Some("a{,2}")),
            (r"a{2}", "aaa", Some("aa")),
            (r"a{1,}?b", "aab", Some("aab")),
            (r"x{2,3}", "xxxx", Some("xxx")),
            (r"\Qa.b*\E+", "a.b**", Some("a.b**")),
            (r"[[]x[]]", "[x]", Some("[x]")),
            (r"[]a]+", "]a", Some("]a")),
            (r"[a&&b]+", "b&a", Some("b&a")),
            (r"[a~~b-]+", "~-", Some("~-")),
            (r"[+--]+", "+,-", Some("+,-")),
            (r"[[:alpha:]_]+", "1ab_", Some("ab_")),
            (r"(?i)ERROR", "an error", Some("error")),
            (r"(?P<x>a)(?<y>b)", "ab", Some("ab")),
            (r"\x41\x{42}\103", "ABC", Some("ABC")),
            (r"\pL+", "1äb", Some("äb")),
            (r"\p{^L}+", "a12", Some("12")),
            (r"a#b c", "a#b c", Some("a#b c")),
            (r"a.c", "a\nc", None),
            (r"(?s)a.c", "a\nc", Some("a\nc")),
            (r"a$", "a\n", None),
            (r"\$\{x\}", "${x}", Some("${x}")),
            (r"", "x", Some("")),
            (r"(|a)+", "aa", Some("")),
            (r"}", "}", Some("}")),
        ] {
            let found = Re2::new(source).unwrap_or_else(|e| panic!("{source}: {e}"));
            assert_eq!(found.find(text).map(|m| m.as_str()), expected, "{source} on {text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_at_its_place() {
        for (source, part, at) in [
            (r"a(?=b)", "Go knows", Some(1..4)),
            (r"(?<!a)b", "Go knows", Some(0..3)),
            (r"(?x)a", "Go knows", Some(0..3)),
            (r"(a)\1", "backreferences", Some(3..5)),
            (r"\u0041", "escape `\\u`", Some(0..2)),
            (r"*a", "nothing to repeat", Some(0..1)),
            (r"a**", "repetition of a repetition", Some(1..3)),
            (r"a{1001}", "up to 1000", Some(1..7)),
            (r"a{3,2}", "the smaller first", Some(1..6)),
            (r"[a", "without its `]`", Some(0..2)),
            (r"\", "at the end", Some(0..1)),
            (r"\xz", "two hexadecimal", Some(0..2)),
            (r"(?P<a b>x)", "name", Some(0..4)),
            (r"a)", "unopened", None),
            (r"(a", "unclosed", None),
            (r"[b-a]", "range", None),
            (r"\p{Nonsense}", "property", None),
            (r"((a{1000}){1000}){1000}", "too large", None),
        ] {
            let error = Re2::new(source).expect_err(source);
            assert!(error.message.contains(part), "{source}: {}", error.message);
            assert_eq!(error.at, at, "{source}");
            assert!(!error.message.contains('\n'));
        }
        // Wrapping must not make a whole of two halves.
        assert!(Re2::whole("a)|(b").is_err());
    }

    #[test]
    fn a_whole_match_covers_the_text() {
        for (source, text, expected) in [
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("a.*", "a\nb", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Re2::whole(source).unwrap().is_match(text), expected, "{source} {text:?}");
        }
    }

    #[test]
    fn templates_are_filled_as_go_does() {
        let regex = Re2::new(r"(?P<first>\w+) (\w+)").unwrap();
        let captures = regex.captures("hello world").unwrap();
        for (template, expected) in [
            ("$2-$1", "world-hello"),
            ("${2}x$first", "worldxhello"),
            ("$1x", ""),
            ("${1}x", "hellox"),
            ("$$1", "$1"),
            ("$9|$nosuch|", "||"),
            ("a$", "a$"),
            ("${}", "${}"),
            ("${1", "${1"),
            ("$0", "hello world"),
            ("$01", ""),
            ("$-", "$-"),
        ] {
            assert_eq!(expand(&captures, template), expected, "{template}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_compiled_or_refused(source in "[\\\\a-d\\[\\](){}^$.*+?|0-9,:<>PQE&~ -]{0,24}") {
            if let Ok(regex) = Re2::new(&source) {
                regex.is_match("abcd 0123");
            }
        }

        #[test]
        fn quoted_text_matches_itself(text in "\\PC{0,20}") {
            prop_assume!(!text.contains("\\E"));
            let regex = Re2::whole(&format!("\\Q{text}\\E")).unwrap();
            prop_assert!(regex.is_match(&text));
        }
    }
}
