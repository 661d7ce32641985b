//! The tokens of an expression.

use std::ops::Range;

use super::SyntaxError;
use crate::go::json::Json;

/// Longest expression (words). Neither the parser nor an evaluation goes deeper than there are words, so
/// this bounds their recursion.
const TOKENS_MAX: usize = 256;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Quoted(String),
    Number(i64),
    Literal(Json<'static>),
    Compare(Comparison),
    Dot,
    Star,
    Comma,
    Colon,
    At,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    /// `[]`
    Flatten,
    /// `[?`
    Filter,
    Pipe,
    Or,
    And,
    Not,
    /// `&`
    Reference,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Longer ones first.
const SIGNS: &[(&str, Token)] = &[
    ("[?", Token::Filter),
    ("[]", Token::Flatten),
    ("||", Token::Or),
    ("&&", Token::And),
    ("==", Token::Compare(Comparison::Equal)),
    ("!=", Token::Compare(Comparison::Unequal)),
    ("<=", Token::Compare(Comparison::AtMost)),
    (">=", Token::Compare(Comparison::AtLeast)),
    ("<", Token::Compare(Comparison::Less)),
    (">", Token::Compare(Comparison::Greater)),
    (".", Token::Dot),
    ("*", Token::Star),
    (",", Token::Comma),
    (":", Token::Colon),
    ("@", Token::At),
    ("(", Token::Open),
    (")", Token::Close),
    ("{", Token::OpenBrace),
    ("}", Token::CloseBrace),
    ("[", Token::OpenBracket),
    ("]", Token::CloseBracket),
    ("|", Token::Pipe),
    ("&", Token::Reference),
    ("!", Token::Not),
];

/// The words and where they stand; the last one is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, Range<usize>)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        at = source.len() - rest.len();
        if rest.is_empty() {
            tokens.push((Token::End, at..at));
            return Ok(tokens);
        }
        if tokens.len() == TOKENS_MAX {
            let what = format!("the expression has more than {TOKENS_MAX} words");
            return Err(SyntaxError::new(what, at..source.len()));
        }
        let (token, length) = token(source, at, rest)?;
        tokens.push((token, at..at + length));
        at += length;
    }
}

/// The word at the beginning of `rest`, and how many bytes it takes.
fn token(source: &str, at: usize, rest: &str) -> Result<(Token, usize), SyntaxError> {
    let first = rest.chars().next().unwrap_or_default();
    match first {
        'a'..='z' | 'A'..='Z' | '_' => {
            let name = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            return Ok((Token::Name(name.to_owned()), name.len()));
        }
        '0'..='9' | '-' => {
            let sign = usize::from(first == '-');
            let length = sign + run(rest.get(sign..).unwrap_or_default(), |c| c.is_ascii_digit()).len();
            let number = rest.get(..length).unwrap_or_default();
            return match number.parse() {
                Ok(number) => Ok((Token::Number(number), length)),
                Err(_) => Err(unknown(format!("`{number}` is not a valid whole number"), at..at + length)),
            };
        }
        '"' | '\'' | '`' => {
            let length = delimited(rest, first).ok_or_else(|| {
                SyntaxError::new(format!("{first} without its counterpart"), at..source.len())
            })?;
            let inside = rest.get(1..length - 1).unwrap_or_default();
            let whole = rest.get(..length).unwrap_or_default();
            let token = match first {
                '\'' => Token::Literal(Json::Text(inside.replace("\\'", "'").into())),
                '"' => match Json::parse(whole) {
                    Ok(Json::Text(name)) => Token::Quoted(name.into_owned()),
                    _ => return Err(SyntaxError::new("not a JSON string", at..at + length)),
                },
                _ => match Json::parse(&inside.replace("\\`", "`")) {
                    Ok(value) => Token::Literal(value.into_owned()),
                    Err(error) => {
                        let what = format!("not JSON: {error}");
                        let error = SyntaxError::new(what, at..at + length);
                        return Err(error.help("a text stands in single quotes: 'text'"));
                    }
                },
            };
            return Ok((token, length));
        }
        _ => {}
    }
    match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        Some((sign, token)) => Ok((token.clone(), sign.len())),
        None => Err(unknown(format!("`{first}` means nothing here"), at..at + first.len_utf8())),
    }
}

fn unknown(what: String, at: Range<usize>) -> SyntaxError {
    SyntaxError::new(what, at)
        .help("a name that is not only letters, digits and `_` stands in double quotes: '\"a-b\"'")
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Bytes up to the delimiter that closes what the first one opens; a backslash hides the next character.
fn delimited(text: &str, delimiter: char) -> Option<usize> {
    let mut hidden = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            c if c == delimiter => return Some(at + 1),
            _ => {}
        }
    }
    None
}
