//! The words of LogQL, each with its place (grafana/loki, `pkg/logql/syntax/lex.go`, on Go's `text/scanner`).

use std::ops::Range;

use crate::error::ParseError;
use crate::go::quote;
use crate::go::units;

/// A word of the language. Words that are always the same are known by their spelling.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// The end of the text.
    End,
    /// A name: of a label, mostly.
    Identifier(String),
    /// The value of a string.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A size in bytes.
    Bytes(u64),
    /// `[5m]`, in nanoseconds.
    Range(i64),
    /// `--strict` or `--keep-empty`.
    Flag(&'static str),
    /// A word with a meaning of its own, written in any case.
    Keyword(&'static str),
    /// A name that is followed by `(`, or by `by (` or `without (`.
    Function(&'static str),
    /// An operator or a bracket.
    Symbol(&'static str),
}

/// Words that cannot be names.
const KEYWORDS: [&str; 22] = [
    "and",
    "bool",
    "by",
    "decolorize",
    "drop",
    "group_left",
    "group_right",
    "ignoring",
    "json",
    "keep",
    "label_format",
    "line_format",
    "logfmt",
    "offset",
    "on",
    "or",
    "pattern",
    "regexp",
    "unless",
    "unpack",
    "unwrap",
    "without",
];

/// Names that call something if a bracket follows.
const FUNCTIONS: [&str; 33] = [
    "absent_over_time",
    "approx_topk",
    "avg",
    "avg_over_time",
    "bottomk",
    "bytes",
    "bytes_over_time",
    "bytes_rate",
    "count",
    "count_over_time",
    "duration",
    "duration_seconds",
    "first_over_time",
    "ip",
    "label_replace",
    "last_over_time",
    "max",
    "max_over_time",
    "min",
    "min_over_time",
    "quantile_over_time",
    "rate",
    "rate_counter",
    "sort",
    "sort_desc",
    "stddev",
    "stddev_over_time",
    "stdvar",
    "stdvar_over_time",
    "sum",
    "sum_over_time",
    "topk",
    "vector",
];

/// Longest first.
const SYMBOLS: [&str; 27] = [
    "!=", "=~", "!~", "!>", "|=", "|~", "|>", "==", ">=", "<=", ",", ".", "{", "}", "=", "|", "(", ")", "]",
    "+", "-", "*", "/", "%", "^", ">", "<",
];

const FLAGS: [&str; 2] = ["--strict", "--keep-empty"];

/// Gives the tokens of a text one by one.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    /// At the beginning of a text.
    pub(crate) fn new(source: &'s str) -> Lexer<'s> {
        // A byte order mark does not belong to the text.
        let at = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Lexer { source, at }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The next token and its place; at the end always [`Token::End`].
    ///
    /// # Errors
    /// A character with which no token begins, and a string, number, range or comment that is not complete.
    pub(crate) fn next_token(&mut self) -> Result<(Token, Range<usize>), ParseError> {
        self.skip_space()?;
        let start = self.at;
        let token = self.token()?;
        Ok((token, start..self.at))
    }

    fn skip_space(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            let skipped = if rest.starts_with(['\t', '\n', '\r', ' ']) {
                1
            } else if rest.starts_with('#') || rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                let end = rest.get(2..).and_then(|rest| rest.find("*/"));
                let unclosed = ParseError::new("this comment is not closed", self.at..self.at + 2);
                end.ok_or_else(|| unclosed.expected("`*/` behind it"))? + 4
            } else {
                return Ok(());
            };
            self.at += skipped;
        }
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let start = self.at;
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        if is_name(first, true) {
            let end = rest.find(|c| !is_name(c, false)).unwrap_or(rest.len());
            self.at += end;
            return Ok(self.word(rest.get(..end).unwrap_or_default()));
        }
        match first {
            '0'..='9' => return self.number(),
            '.' if rest.get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => {
                return self.number();
            }
            '"' => return self.string().map(Token::Text),
            '`' => {
                let Some(end) = rest.get(1..).and_then(|rest| rest.find('`')) else {
                    return Err(unclosed(start, "backquote"));
                };
                self.at += end + 2;
                return Ok(Token::Text(rest.get(1..=end).unwrap_or_default().to_owned()));
            }
            '\'' => {
                let message = "LogQL has no strings in single quotes";
                return Err(ParseError::new(message, start..start + 1).expected("a string as \"…\" or `…`"));
            }
            '[' => return self.range(),
            '-' => {
                // The flag must end where a word would end: `--strictly` is not a flag.
                let word = rest.find(|c: char| !(c.is_alphabetic() || c == '-')).unwrap_or(rest.len());
                if let Some(flag) = FLAGS.iter().find(|flag| rest.get(..word) == Some(**flag)) {
                    self.at += flag.len();
                    return Ok(Token::Flag(flag));
                }
                // `-0` is a number: Go reads it as a duration, too.
                let unit =
                    rest.trim_start_matches(['-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
                if unit.starts_with(char::is_alphabetic)
                    && let Some(duration) = self.measure("-", is_duration, units::duration)
                {
                    return Ok(Token::Duration(duration));
                }
            }
            _ => {}
        }
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.at += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        let message = format!("`{}` has no meaning in LogQL", first.escape_debug());
        Err(ParseError::new(message, start..start + first.len_utf8()))
    }

    /// The token that a name is: a function, a keyword, or only a name.
    fn word(&self, name: &str) -> Token {
        let lower = name.to_lowercase();
        if let Some(function) = FUNCTIONS.iter().find(|function| **function == lower) {
            if is_call(self.rest()) {
                return Token::Function(function);
            }
        } else if let Some(keyword) = KEYWORDS.iter().find(|keyword| **keyword == lower) {
            return Token::Keyword(keyword);
        }
        Token::Identifier(name.to_owned())
    }

    /// A number, or the duration or size that it begins.
    fn number(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let length = number(self.rest())
            .map_err(|(length, message)| ParseError::new(message, start..start + length.max(1)))?;
        let text = self.rest().get(..length).unwrap_or_default();
        if let Some(duration) = self.measure(text, is_duration, units::duration) {
            return Ok(Token::Duration(duration));
        }
        if let Some(bytes) = self.measure(text, |c| "BikKMGTP".contains(c), units::bytes) {
            return Ok(Token::Bytes(bytes));
        }
        self.at += length;
        Ok(Token::Number(text.to_owned()))
    }

    /// Reads a measure (a duration, a size): `beginning` and the digits and letters of units behind it. `None` if `parse` does
    /// not take it; then nothing is passed.
    fn measure<T>(
        &mut self,
        beginning: &str,
        is_unit: impl Fn(char) -> bool,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let rest = self.rest();
        let units = rest.get(beginning.len()..)?;
        let length = units.find(|c: char| !(c.is_numeric() || c == '.' || is_unit(c))).unwrap_or(units.len());
        if length == 0 {
            return None;
        }
        let length = beginning.len() + length;
        let measure = parse(rest.get(..length)?)?;
        self.at += length;
        Some(measure)
    }

    /// A string between double quotes.
    fn string(&mut self) -> Result<String, ParseError> {
        let start = self.at + 1;
        let inside = self.source.get(start..).unwrap_or_default();
        let mut escaped = false;
        for (index, c) in inside.char_indices() {
            match c {
                '\n' => break,
                '"' if !escaped => {
                    self.at = start + index + 1;
                    return quote::unquote(inside.get(..index).unwrap_or_default(), start);
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        Err(unclosed(self.at, "double quote"))
    }

    /// `[5m]`
    fn range(&mut self) -> Result<Token, ParseError> {
        let start = self.at + 1;
        let Some((text, _)) = self.source.get(start..).and_then(|rest| rest.split_once(']')) else {
            let message = "this range is not closed: `]` is missing";
            return Err(ParseError::new(message, self.at..start));
        };
        let Some(duration) = units::prometheus_duration(text) else {
            let span = if text.is_empty() { self.at..start + 1 } else { start..start + text.len() };
            return Err(
                ParseError::new("not a valid duration", span).expected("a duration such as `5m` or `1h30m`")
            );
        };
        self.at = start + text.len() + 1;
        Ok(Token::Range(duration))
    }
}

fn unclosed(at: usize, quote: &str) -> ParseError {
    ParseError::new("this string is not closed", at..at + 1).expected(format!("a {quote} behind it"))
}

fn is_name(c: char, first: bool) -> bool {
    c == '_' || c.is_alphabetic() || (!first && c.is_numeric())
}

fn is_duration(c: char) -> bool {
    "nu\u{b5}mshdwy".contains(c)
}

/// Whether a name before this text calls something.
fn is_call(rest: &str) -> bool {
    let rest = rest.trim_start();
    let behind = |word: &str| {
        let found = rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word));
        found && rest.get(word.len()..).is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    rest.starts_with('(') || behind("by") || behind("without")
}

/// How long the number is that a text begins with, as Go's `text/scanner` reads numbers; else how much of it
/// is wrong, and why.
fn number(text: &str) -> Result<usize, (usize, &'static str)> {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let digits = |from: usize, radix: u32| {
        let digit = |byte: &u8| char::from(*byte).is_digit(radix) || *byte == b'_';
        from + bytes.get(from..).unwrap_or_default().iter().take_while(|byte| digit(byte)).count()
    };
    let (radix, begin) = match (at(0), at(1).to_ascii_lowercase(), at(2)) {
        (b'0', b'x', _) => (16, 2),
        (b'0', b'o', _) => (8, 2),
        (b'0', b'b', b'0' | b'1') => (2, 2),
        _ => (10, 0),
    };
    let mut end = digits(begin, radix.max(10));
    let whole = text.get(begin..end).unwrap_or_default();
    let mut float = false;
    if at(end) == b'.' {
        float = true;
        end = digits(end + 1, radix.max(10));
    }
    let mantissa = text.get(begin..end).unwrap_or_default();
    if !mantissa.bytes().any(|byte| byte.is_ascii_hexdigit()) {
        return Err((end, "this number has no digits"));
    }
    let exponent = if radix == 16 { b'p' } else { b'e' };
    if at(end).to_ascii_lowercase() == exponent {
        float = true;
        let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
        let after = digits(end + 1 + sign, 10);
        if after == end + 1 + sign {
            return Err((after, "the exponent of this number has no digits"));
        }
        end = after;
    }
    let octal = if radix == 10 && !float && whole.len() > 1 && whole.starts_with('0') { 8 } else { radix };
    if !whole.chars().all(|c| c == '_' || c.is_digit(octal)) {
        return Err((end, "this number has a digit too large for its base"));
    }
    if float && matches!(radix, 2 | 8) {
        return Err((end, "a number of this base has no fraction"));
    }
    let separators = bytes.iter().take(end).enumerate().filter(|(_, byte)| **byte == b'_');
    let digit = |index: usize| at(index).is_ascii_hexdigit();
    if separators.into_iter().any(|(index, _)| index == 0 || !digit(index - 1) || !digit(index + 1)) {
        return Err((end, "`_` stands between digits"));
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
