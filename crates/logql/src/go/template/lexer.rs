//! From a template's text to pieces: text, and the tokens of each action.

use std::ops::Range;

use super::TemplateError;

/// A token within an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A function, a keyword, `true`, `nil`.
    Word(String),
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    /// `$`, `$name`
    Variable(String),
    Text(String),
    Int(i64),
    Float(f64),
    /// `( ) | , = :=`
    Sign(&'static str),
    /// White space, which separates arguments and ends a chain of fields.
    Space,
}

/// A token and its place in the template.
pub(super) type Placed = (Token, Range<usize>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The inside of `{{ }}`, and the place of the whole.
    Action(Vec<Placed>, Range<usize>),
}

/// Cuts a template into pieces.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let (mut at, mut trim) = (0, false);
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let text = |text: &str, trim_end: bool| {
            let text = if trim { text.trim_start() } else { text };
            let text = if trim_end { text.trim_end() } else { text };
            (!text.is_empty()).then(|| Piece::Text(text.to_owned()))
        };
        let Some(open) = rest.find("{{") else {
            pieces.extend(text(rest, false));
            break;
        };
        let inside = rest.get(open + 2..).unwrap_or_default();
        // `{{- ` takes the space before it away.
        let trims =
            inside.starts_with('-') && inside.get(1..).is_some_and(|i| i.starts_with(char::is_whitespace));
        pieces.extend(text(rest.get(..open).unwrap_or_default(), trims));
        let start = at + open;
        let body = start + 2 + usize::from(trims);
        if let Some(comment) = source.get(body..).map(str::trim_start).filter(|body| body.starts_with("/*")) {
            let from = source.len() - comment.len();
            let end = comment.find("*/").map(|end| from + end + 2);
            let close = end.and_then(|end| {
                let behind = source.get(end..)?;
                let trims = behind.starts_with(char::is_whitespace) && behind.trim_start().starts_with("-}}");
                let skipped = if trims { behind.trim_start().get(1..)? } else { behind };
                skipped.starts_with("}}").then(|| (source.len() - skipped.len() + 2, trims))
            });
            let Some((behind, trims)) = close else {
                return Err(TemplateError::new(start..start + 2, "a comment that is not closed by `*/}}`"));
            };
            (at, trim) = (behind, trims);
            continue;
        }
        let (tokens, end, trims_after) = action(source, body, start)?;
        pieces.push(Piece::Action(tokens, start..end));
        (at, trim) = (end, trims_after);
    }
    Ok(pieces)
}

/// The tokens from `at` to the `}}`, the place behind it, and whether the text there is trimmed.
fn action(source: &str, mut at: usize, open: usize) -> Result<(Vec<Placed>, usize, bool), TemplateError> {
    let mut tokens: Vec<Placed> = Vec::new();
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let Some(c) = rest.chars().next() else {
            return Err(TemplateError::new(open..open + 2, "an action that is not closed by `}}`"));
        };
        if rest.starts_with("}}") {
            return Ok((tokens, at + 2, false));
        }
        if c.is_whitespace() {
            let space = rest.len() - rest.trim_start().len();
            let behind = rest.trim_start();
            if behind.starts_with("-}}") {
                return Ok((tokens, at + space + 3, true));
            }
            tokens.push((Token::Space, at..at + space));
            at += space;
            continue;
        }
        let (token, len) = token(rest, at)?;
        tokens.push((token, at..at + len));
        at += len;
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(rest: &str) -> &str {
    rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len())).0
}

fn token(rest: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let c = rest.chars().next().unwrap_or_default();
    let after = rest.get(c.len_utf8()..).unwrap_or_default();
    Ok(match c {
        '(' => (Token::Sign("("), 1),
        ')' => (Token::Sign(")"), 1),
        '|' => (Token::Sign("|"), 1),
        ',' => (Token::Sign(","), 1),
        ':' if after.starts_with('=') => (Token::Sign(":="), 2),
        '=' => (Token::Sign("="), 1),
        '.' if after.starts_with(|c: char| c == '_' || c.is_alphabetic()) => {
            (Token::Field(word(after).to_owned()), 1 + word(after).len())
        }
        '.' if !after.starts_with(|c: char| c.is_ascii_digit()) => (Token::Dot, 1),
        '$' => (Token::Variable(format!("${}", word(after))), 1 + word(after).len()),
        '"' => quoted(rest, at)?,
        '`' => match after.find('`') {
            Some(end) => (Token::Text(after.get(..end).unwrap_or_default().to_owned()), end + 2),
            None => return Err(TemplateError::new(at..at + 1, "a text without its closing backtick")),
        },
        '\'' => {
            // A character is its number, in Go.
            let (token, len) = quoted(rest, at)?;
            match &token {
                Token::Text(text) if text.chars().count() == 1 => {
                    (Token::Int(text.chars().next().map_or(0, |c| i64::from(u32::from(c)))), len)
                }
                _ => return Err(TemplateError::new(at..at + len, "single quotes hold one character")),
            }
        }
        c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => number(rest, at)?,
        c if c == '_' || c.is_alphabetic() => (Token::Word(word(rest).to_owned()), word(rest).len()),
        c => {
            let what = format!("`{}` has no meaning in an action", c.escape_debug());
            return Err(TemplateError::new(at..at + c.len_utf8(), what));
        }
    })
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let signed = usize::from(rest.starts_with(['+', '-']));
    let digits = rest.get(signed..).unwrap_or_default();
    let mut end = digits.find(|c: char| !is_word(c) && c != '.').unwrap_or(digits.len());
    // An exponent may have a sign.
    if digits.get(..end).is_some_and(|d| d.ends_with(['e', 'E']) && !d.starts_with("0x"))
        && digits.get(end..).is_some_and(|rest| rest.starts_with(['+', '-']))
    {
        let more = digits.get(end + 1..).unwrap_or_default();
        end += 1 + more.find(|c: char| !c.is_ascii_digit()).unwrap_or(more.len());
    }
    let len = signed + end;
    let text = rest.get(..len).unwrap_or_default().replace('_', "");
    let plain = text.trim_start_matches('+');
    let radix = |prefix: &str, radix: u32| {
        let (sign, digits) = plain.strip_prefix('-').map_or((1, plain), |digits| (-1, digits));
        Some(sign * i64::from_str_radix(digits.strip_prefix(prefix)?, radix).ok()?)
    };
    let hex =
        radix("0x", 16).or_else(|| radix("0X", 16)).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2));
    if let Some(number) = hex.or_else(|| plain.parse().ok()) {
        return Ok((Token::Int(number), len));
    }
    match plain.parse::<f64>() {
        Ok(number) if plain.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') => {
            Ok((Token::Float(number), len))
        }
        _ => Err(TemplateError::new(at..at + len.max(1), format!("`{text}` is not a valid number"))),
    }
}

/// A text in quotes with Go's escapes.
fn quoted(rest: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let quote = rest.chars().next().unwrap_or('"');
    let mut bytes = Vec::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        let wrong = || TemplateError::new(at + index..at + index + 1, "an escape that Go does not know");
        match c {
            c if c == quote => {
                return match String::from_utf8(bytes) {
                    Ok(text) => Ok((Token::Text(text), index + 1)),
                    Err(_) => Err(TemplateError::new(at..at + index + 1, "the text is not UTF-8")),
                };
            }
            '\n' => break,
            '\\' => {
                let Some((_, escape)) = chars.next() else { break };
                let mut digits = |count: usize, first: Option<char>, radix: u32| {
                    let text: String =
                        first.into_iter().chain(chars.by_ref().map(|(_, c)| c).take(count)).collect();
                    let whole = text.chars().count() == count + usize::from(first.is_some());
                    (whole && text.chars().all(|c| c.is_digit(radix)))
                        .then(|| u32::from_str_radix(&text, radix).ok())?
                };
                let byte = match escape {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 11,
                    '\\' => b'\\',
                    c if c == quote => c as u8,
                    'x' => digits(2, None, 16).and_then(|n| u8::try_from(n).ok()).ok_or_else(wrong)?,
                    c @ '0'..='7' => {
                        digits(2, Some(c), 8).and_then(|n| u8::try_from(n).ok()).ok_or_else(wrong)?
                    }
                    'u' | 'U' => {
                        let count = if escape == 'u' { 4 } else { 8 };
                        let c = digits(count, None, 16).and_then(char::from_u32).ok_or_else(wrong)?;
                        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        continue;
                    }
                    _ => return Err(wrong()),
                };
                bytes.push(byte);
            }
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(TemplateError::new(at..at + 1, format!("a text without its closing `{quote}`")))
}
