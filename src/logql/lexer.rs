//! From text to tokens: the tokens of all of LogQL, so that an error can name what was met.

use std::ops::Range;

use super::ParseError;

/// A token and where it stands (bytes).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Name(String),
    /// `"…"`, `` `…` `` or `'…'`, its escapes resolved.
    Text(String),
    /// A number, with a unit if one follows: `5`, `1.5`, `10MB`, `5m`.
    Number(String),
    /// Anything else, as it is written.
    Sign(&'static str),
    End,
}

/// The longest first.
const SIGNS: [&str; 33] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",", ".", "=",
    "|", "+", "-", "*", "/", "%", "^", ">", "<", "!", ":", "@", "$", ";",
];

/// All tokens of a text; the last is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let c = rest.chars().next().unwrap_or_default();
        let len = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '"' | '\'' | '`' => {
                let (value, len) = quoted(rest, at)?;
                tokens.push(Token { kind: Kind::Text(value), span: at..at + len });
                len
            }
            c if c == '_' || c.is_alphabetic() => {
                let len = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
                let name = rest.get(..len).unwrap_or_default().to_owned();
                tokens.push(Token { kind: Kind::Name(name), span: at..at + len });
                len
            }
            c if c.is_ascii_digit() => {
                let len = rest.find(|c: char| c != '.' && !c.is_alphanumeric()).unwrap_or(rest.len());
                let number = rest.get(..len).unwrap_or_default().to_owned();
                tokens.push(Token { kind: Kind::Number(number), span: at..at + len });
                len
            }
            c => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => {
                    tokens.push(Token { kind: Kind::Sign(sign), span: at..at + sign.len() });
                    sign.len()
                }
                None => {
                    let what = format!("`{}` has no meaning here", c.escape_debug());
                    return Err(ParseError::new(at..at + c.len_utf8(), what));
                }
            },
        };
        at += len;
    }
    tokens.push(Token { kind: Kind::End, span: text.len()..text.len() });
    Ok(tokens)
}

/// A text in quotes at the beginning of `rest`, and how many bytes it takes (Go's `strconv.Unquote`).
fn quoted(rest: &str, at: usize) -> Result<(String, usize), ParseError> {
    let mut chars = rest.char_indices();
    let quote = chars.next().map_or('"', |(_, c)| c);
    let mut value = Vec::new();
    let mut buffer = [0; 4];
    while let Some((index, c)) = chars.next() {
        match c {
            c if c == quote => {
                let end = index + c.len_utf8();
                let value = String::from_utf8(value);
                return match value {
                    Ok(value) => Ok((value, end)),
                    Err(_) => Err(ParseError::new(at..at + end, "the text is not UTF-8")),
                };
            }
            '\n' if quote != '`' => break,
            '\\' if quote != '`' => {
                let wrong = |len: usize| {
                    let end = (index + len..).find(|end| *end >= rest.len() || rest.is_char_boundary(*end));
                    let end = end.unwrap_or(rest.len()).min(rest.len());
                    ParseError::new(at + index..at + end, "an escape that Go does not know")
                        .expected("`\\\\` for a backslash, or a text in backticks, which has no escapes")
                };
                let Some((_, escape)) = chars.next() else { break };
                let mut digits = |count: usize, radix: u32, first: Option<char>| {
                    let mut text: String = first.into_iter().collect();
                    text.extend(chars.by_ref().take(count - text.len()).map(|(_, c)| c));
                    match text.len() == count && text.chars().all(|c| c.is_digit(radix)) {
                        true => u32::from_str_radix(&text, radix).ok(),
                        false => None,
                    }
                };
                match escape {
                    'a' => value.push(7),
                    'b' => value.push(8),
                    'f' => value.push(12),
                    'n' => value.push(b'\n'),
                    'r' => value.push(b'\r'),
                    't' => value.push(b'\t'),
                    'v' => value.push(11),
                    '\\' => value.push(b'\\'),
                    c if c == quote => value.push(c as u8),
                    'x' => value.push(digits(2, 16, None).ok_or_else(|| wrong(4))? as u8),
                    '0'..='7' => {
                        let byte = digits(3, 8, Some(escape)).filter(|n| *n < 256).ok_or_else(|| wrong(4))?;
                        value.push(byte as u8);
                    }
                    'u' | 'U' => {
                        let count = if escape == 'u' { 4 } else { 8 };
                        let c = digits(count, 16, None)
                            .and_then(char::from_u32)
                            .ok_or_else(|| wrong(count + 2))?;
                        value.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                    }
                    other => return Err(wrong(1 + other.len_utf8())),
                }
            }
            c => value.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    Err(ParseError::new(at..at + quote.len_utf8(), "a text without its closing quote")
        .expected(format!("`{quote}` where it ends")))
}
