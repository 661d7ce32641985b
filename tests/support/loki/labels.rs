//! A stream's labels as text: the part of PromQL that Loki accepts, `{name="value", …}`, with the
//! errors of Prometheus' parser (`promql/parser/lex.go`, `generated_parser.y`).
//!
//! Simplified: after the closing brace and before the opening one only names and single characters are
//! told apart, since all that may stand there is a metric name.

use std::fmt::Write as _;

/// Labels sorted by name, no value empty; a name may be there twice, which a later check refuses.
pub type Labels = Vec<(String, String)>;

/// Parses a label set; an error is the parser's first, with line and column.
pub fn parse(text: &[u8]) -> Result<Labels, String> {
    let mut parser = Parser { text, at: 0, start: 0, in_braces: false };
    let mut labels =
        parser.metric().map_err(|error| format!("{}: parse error: {error}", parser.position()))?;
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(labels)
}

/// Prometheus' `Labels.String`.
pub fn to_text(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let name = if is_name(name) { name.clone() } else { quote(name) };
        let _ = write!(text, "{separator}{name}={}", quote(value));
    }
    text.push('}');
    text
}

/// Bytes as text with one U+FFFD for each byte that is not UTF-8, as Go's JSON encoder writes them
/// (`from_utf8_lossy` joins some).
pub fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Go's `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    text.chars().for_each(|c| push_quoted(&mut quoted, c, '"'));
    quoted.push('"');
    quoted
}

/// Go's `strconv.QuoteRune`.
fn quote_char(c: char) -> String {
    let mut quoted = String::from("'");
    push_quoted(&mut quoted, c, '\'');
    quoted.push('\'');
    quoted
}

fn push_quoted(out: &mut String, c: char, quote: char) {
    let short = ['\x07', '\x08', '\x0c', '\n', '\r', '\t', '\x0b'].iter().position(|&special| special == c);
    let _ = match (short, u32::from(c)) {
        (Some(index), _) => write!(out, "\\{}", char::from(b"abfnrtv"[index])),
        _ if c == '\\' || c == quote => write!(out, "\\{c}"),
        (_, 0x20..0x7f) => write!(out, "{c}"),
        (_, code @ 0..0x80) => write!(out, "\\x{code:02x}"),
        // Behind another character Rust escapes just what is not printable, as Go does.
        (_, code) if format!("a{c}").escape_debug().nth(1) == Some('\\') => {
            if code < 0x1_0000 {
                write!(out, "\\u{code:04x}")
            } else {
                write!(out, "\\U{code:08x}")
            }
        }
        _ => write!(out, "{c}"),
    };
}

fn is_name(name: &str) -> bool {
    name.chars().enumerate().all(|(index, c)| is_alpha(c) || index > 0 && c.is_ascii_digit())
        && !name.is_empty()
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

enum Token {
    Brace(char),
    Comma,
    Equal,
    Operator(String),
    Name(String),
    Text { raw: String, value: String },
    Other(String),
    End,
}

impl Token {
    /// `Item.desc` of `lex.go`.
    fn describe(&self) -> String {
        match self {
            Token::Brace(brace) => quote(&brace.to_string()),
            Token::Comma => quote(","),
            Token::Equal => quote("="),
            Token::Operator(text) => format!("<op:{text}>"),
            Token::Name(name) => format!("identifier {}", quote(name)),
            Token::Text { raw, .. } if raw.len() > 10 => {
                format!("string {}...", quote(&raw.chars().take(10).collect::<String>()))
            }
            Token::Text { raw, .. } => format!("string {}", quote(raw)),
            Token::Other(text) => quote(text),
            Token::End => "end of input".to_owned(),
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the newest token or lexing error begins.
    start: usize,
    in_braces: bool,
}

impl Parser<'_> {
    /// `metric` of the grammar, to the end of the input.
    fn metric(&mut self) -> Result<Labels, String> {
        let mut labels = Labels::new();
        let mut token = self.token()?;
        if let Token::Name(name) = token {
            labels.push(("__name__".to_owned(), name));
            token = self.token()?;
        }
        if matches!(token, Token::Brace('{')) {
            self.label_set(&mut labels)?;
            token = self.token()?;
        }
        match token {
            Token::End => Ok(labels),
            other => Err(unexpected(&other, "")),
        }
    }

    fn label_set(&mut self, labels: &mut Labels) -> Result<(), String> {
        let mut token = self.token()?;
        let mut first = true;
        loop {
            let name = match token {
                Token::Brace('}') if first => return Ok(()),
                Token::Name(name) => Ok(name),
                Token::Text { value, .. } => Err(value),
                other => return Err(unexpected(&other, " in label set, expected identifier or \"}\"")),
            };
            token = self.token()?;
            match (token, name) {
                (Token::Equal, Ok(name) | Err(name)) => {
                    match self.token()? {
                        Token::Text { value, .. } => labels.push((name, value)),
                        other => return Err(unexpected(&other, " in label set, expected string")),
                    }
                    token = self.token()?;
                }
                // A quoted name alone is the metric's.
                (other, Err(name)) => {
                    labels.push(("__name__".to_owned(), name));
                    token = other;
                }
                (other, Ok(_)) => return Err(unexpected(&other, " in label set, expected \"=\"")),
            }
            match token {
                Token::Brace('}') => return Ok(()),
                Token::Comma => token = self.token()?,
                other => return Err(unexpected(&other, " in label set, expected \",\" or \"}\"")),
            }
            // A comma may come last.
            if matches!(token, Token::Brace('}')) {
                return Ok(());
            }
            first = false;
        }
    }

    fn token(&mut self) -> Result<Token, String> {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.next();
        }
        self.start = self.at;
        let Some(c) = self.next() else {
            let open = "unexpected end of input inside braces";
            return if self.in_braces { Err(open.to_owned()) } else { Ok(Token::End) };
        };
        match c {
            ',' => Ok(Token::Comma),
            '"' | '\'' => self.quoted(c),
            '`' => self.raw(),
            '{' if self.in_braces => Err(format!("unexpected left brace {}", quote_char(c))),
            '{' | '}' if self.in_braces == (c == '}') => {
                self.in_braces = c == '{';
                Ok(Token::Brace(c))
            }
            '=' if self.peek() == Some('~') => self.operator("=~"),
            '=' => Ok(Token::Equal),
            '!' => match self.peek() {
                Some('~') => self.operator("!~"),
                Some('=') => self.operator("!="),
                other => {
                    let place = if self.in_braces { " inside braces" } else { "" };
                    Err(format!(
                        "unexpected character after '!'{place}: {}",
                        quote_char(other.unwrap_or('\u{fffd}'))
                    ))
                }
            },
            c if is_alpha(c) => {
                let metric = !self.in_braces;
                while self.peek().is_some_and(|c| is_alpha(c) || c.is_ascii_digit() || metric && c == ':') {
                    self.next();
                }
                Ok(Token::Name(self.lexeme()))
            }
            c if self.in_braces => Err(format!("unexpected character inside braces: {}", quote_char(c))),
            c if c.is_ascii_digit() => Ok(Token::Other(c.to_string())),
            c => Err(format!("unexpected character: {}", quote_char(c))),
        }
    }

    fn operator(&mut self, text: &str) -> Result<Token, String> {
        self.next();
        Ok(Token::Operator(text.to_owned()))
    }

    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        let mut value = Vec::new();
        loop {
            match self.next() {
                Some('\\') => self.escape(quote, &mut value)?,
                // Go's decoder returns U+FFFD for a broken character, and a genuine U+FFFD is refused with it.
                Some(char::REPLACEMENT_CHARACTER) => return Err("invalid UTF-8 rune".to_owned()),
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                Some(c) if c == quote => break,
                Some(c) => push_char(&mut value, c),
            }
        }
        Ok(Token::Text { raw: self.lexeme(), value: lossy(&value) })
    }

    fn raw(&mut self) -> Result<Token, String> {
        let mut value = String::new();
        loop {
            match self.next() {
                Some(char::REPLACEMENT_CHARACTER) => return Err("invalid UTF-8 rune".to_owned()),
                None => return Err("unterminated raw string".to_owned()),
                Some('`') => break,
                Some(c) => value.push(c),
            }
        }
        Ok(Token::Text { raw: self.lexeme(), value })
    }

    fn escape(&mut self, quote: char, value: &mut Vec<u8>) -> Result<(), String> {
        const UNFINISHED: &str = "escape sequence not terminated";
        let c = self.next().ok_or(UNFINISHED)?;
        let (digits, base) = match c {
            c if c == '\\' || c == quote => {
                push_char(value, c);
                return Ok(());
            }
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' => {
                let plain = match c {
                    'a' => 0x07,
                    'b' => 0x08,
                    'f' => 0x0c,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    _ => 0x0b,
                };
                value.push(plain);
                return Ok(());
            }
            '0'..='7' => (3, 8),
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            other => return Err(format!("unknown escape sequence U+{:04X} '{other}'", u32::from(other))),
        };
        let mut code = if base == 8 { c.to_digit(8).unwrap_or(0) } else { 0 };
        for _ in usize::from(base == 8)..digits {
            let c = self.next().ok_or(UNFINISHED)?;
            let digit = c.to_digit(base).ok_or_else(|| {
                format!("illegal character U+{:04X} '{c}' in escape sequence", u32::from(c))
            })?;
            code = code.wrapping_mul(base).wrapping_add(digit);
        }
        let invalid = "escape sequence is an invalid Unicode code point";
        if digits <= 3 {
            // One byte, which need not be UTF-8.
            value.push(u8::try_from(code).map_err(|_| invalid)?);
        } else {
            push_char(value, char::from_u32(code).ok_or(invalid)?);
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        let rest = self.text.get(self.at..)?;
        let chunk = rest.get(..4.min(rest.len()))?.utf8_chunks().next()?;
        Some(chunk.valid().chars().next().unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        // A broken character is one byte wide.
        let genuine = self.text[self.at..].starts_with(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += if genuine { c.len_utf8() } else { 1 };
        Some(c)
    }

    fn lexeme(&self) -> String {
        lossy(&self.text[self.start..self.at])
    }

    /// Line and column of the newest token, both from one, columns in bytes.
    fn position(&self) -> String {
        if self.text.is_empty() {
            return "unknown position".to_owned();
        }
        let before = &self.text[..self.start];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        format!("{line}:{}", self.start - line_start + 1)
    }
}

fn unexpected(token: &Token, expectation: &str) -> String {
    format!("unexpected {}{expectation}", token.describe())
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
