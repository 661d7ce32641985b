//! What `json x="…"` and `logfmt x="…"` ask for, as Loki reads it: with two small lexers of their own, and in their words (grafana/loki,
//! `pkg/logql/log/jsonexpr`, `pkg/logql/log/logfmt`).

use std::iter::Peekable;
use std::str::Chars;

use crate::stage::{JsonPath, JsonStep, LogfmtKey};

/// A word, as Loki's parsers name it in messages.
#[derive(Debug, PartialEq)]
enum Word {
    Name(String),
    Text(String),
    Index(usize),
    Dot,
    Open,
    Close,
    End,
}

impl Word {
    /// Its name in messages. `name`: that of a name.
    fn shown(&self, name: &'static str) -> &'static str {
        match self {
            Word::Name(_) => name,
            Word::Text(_) => "STRING",
            Word::Index(_) => "INDEX",
            Word::Dot => "DOT",
            Word::Open => "LSB",
            Word::Close => "RSB",
            Word::End => "$end",
        }
    }
}

struct Words<'s> {
    rest: Peekable<Chars<'s>>,
    /// Whether there are places: dots, brackets, and indices. There are none in logfmt.
    places: bool,
    /// What is wrong with a word. As in Loki, the text ends there for the parser, which may find nothing wrong.
    error: Option<String>,
}

impl<'s> Words<'s> {
    fn new(source: &'s str, places: bool) -> Words<'s> {
        Words { rest: source.chars().peekable(), places, error: None }
    }

    fn next(&mut self) -> Word {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t' | '\n')).is_some() {}
        let Some(c) = self.rest.next_if(|c| *c != '\0') else { return Word::End };
        match c {
            '0'..='9' if self.places => return self.index(c),
            '.' if self.places => return Word::Dot,
            '[' if self.places => return Word::Open,
            ']' if self.places => return Word::Close,
            '"' => {
                // There are no escapes, and a bracket closes the string, too.
                let text = self.rest.by_ref().take_while(|c| !matches!(c, '"' | ']' | '\0')).collect();
                return Word::Text(text);
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let mut name = c.to_string();
                while let Some(c) = self.rest.next_if(|c| *c == '_' || c.is_ascii_alphanumeric()) {
                    name.push(c);
                }
                return Word::Name(name);
            }
            _ => {}
        }
        self.fail(format!("unexpected char {c}"))
    }

    fn fail(&mut self, error: String) -> Word {
        self.error = Some(error);
        Word::End
    }

    fn index(&mut self, first: char) -> Word {
        let mut digits = first.to_string();
        loop {
            match self.rest.peek().copied().unwrap_or('\0') {
                '.' => return self.fail("cannot use float as array index".to_owned()),
                ' ' | '\t' | '\n' | ']' => break,
                c @ '0'..='9' => digits.push(c),
                c => return self.fail(format!("non-integer value: {c}")),
            }
            self.rest.next();
        }
        // Loki's integers have a sign.
        match digits.parse::<i64>().ok().and_then(|index| usize::try_from(index).ok()) {
            Some(index) => Word::Index(index),
            None => self.fail(format!("strconv.Atoi: parsing \"{digits}\": value out of range")),
        }
    }

    /// What Loki says of a whole expression that is not valid.
    fn refused(source: &str, why: &str) -> String {
        format!("cannot parse expression [{source}]: {why}")
    }

    /// Passes on what was read, unless a word was wrong.
    fn end<T>(self, source: &str, read: Result<T, String>) -> Result<T, String> {
        // What the parser says comes last in Loki, and counts.
        let read = read.map_err(|why| Words::refused(source, &format!("syntax error: unexpected {why}")))?;
        match self.error {
            Some(why) => Err(Words::refused(source, &why)),
            None => Ok(read),
        }
    }
}

impl JsonPath {
    /// Reads `a.b[0]["c d"]`.
    ///
    /// # Errors
    /// Why the text is not a path, in Loki's words.
    pub(super) fn parse(source: &str) -> Result<JsonPath, String> {
        let mut words = Words::new(source, true);
        let read = steps(&mut words);
        words.end(source, read).map(|steps| JsonPath { source: source.to_owned(), steps })
    }

    /// A path of which only the text counts.
    pub(super) fn unread(source: &str) -> JsonPath {
        JsonPath { source: source.to_owned(), steps: Vec::new() }
    }
}

fn steps(words: &mut Words<'_>) -> Result<Vec<JsonStep>, String> {
    let mut steps = Vec::new();
    let shown = |word: Word| word.shown("FIELD");
    loop {
        steps.push(match (words.next(), steps.is_empty()) {
            (Word::Name(name), true) => JsonStep::Key(name),
            (Word::Dot, false) => match words.next() {
                Word::Name(name) => JsonStep::Key(name),
                word => return Err(format!("{}, expecting FIELD", shown(word))),
            },
            (Word::Open, _) => {
                let step = match words.next() {
                    Word::Text(key) => JsonStep::Key(key),
                    Word::Index(index) => JsonStep::Index(index),
                    word => return Err(format!("{}, expecting STRING or INDEX", shown(word))),
                };
                match words.next() {
                    Word::Close => step,
                    word => return Err(format!("{}, expecting RSB", shown(word))),
                }
            }
            (Word::End, false) => return Ok(steps),
            (word, true) => return Err(format!("{}, expecting LSB or FIELD", shown(word))),
            (word, false) => return Err(shown(word).to_owned()),
        });
    }
}

impl LogfmtKey {
    /// Reads `a`, or `"a"`.
    ///
    /// # Errors
    /// Why the text is not a key, in Loki's words.
    pub(super) fn parse(source: &str) -> Result<LogfmtKey, String> {
        let mut words = Words::new(source, false);
        let read = key(&mut words);
        words.end(source, read).map(|key| LogfmtKey { source: source.to_owned(), key })
    }

    /// A key of which only the text counts.
    pub(super) fn unread(source: &str) -> LogfmtKey {
        LogfmtKey { source: source.to_owned(), key: String::new() }
    }
}

fn key(words: &mut Words<'_>) -> Result<String, String> {
    let mut key = match words.next() {
        Word::Name(name) | Word::Text(name) => name,
        word => return Err(format!("{}, expecting STRING or KEY", word.shown("KEY"))),
    };
    loop {
        match words.next() {
            // Loki takes further strings, and makes a key of them that no line has (`fmt.Sprintf` with too many arguments).
            Word::Text(more) => key.push_str(&format!("%!(EXTRA string={more})")),
            Word::End => return Ok(key),
            word => return Err(word.shown("KEY").to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path with a bar before each step.
    fn path(source: &str) -> Result<String, String> {
        let path = JsonPath::parse(source)?;
        assert_eq!(path.source, source);
        Ok(path.steps.iter().fold(String::new(), |text, step| match step {
            JsonStep::Key(key) => format!("{text}|{key}"),
            JsonStep::Index(index) => format!("{text}|#{index}"),
        }))
    }

    #[test]
    fn paths() {
        for (source, expected) in [
            ("x", "|x"),
            ("_x9.Y", "|_x9|Y"),
            ("pod . uuid", "|pod|uuid"),
            ("[ \"pod\" ][\"uuid\"]", "|pod|uuid"),
            ("[\"é k\"] . x", "|é k|x"),
            ("[\"\"]", "|"),
            (r#"["a\n"]"#, r"|a\n"),
            ("[0]", "|#0"),
            ("arr[ 1 ][1].z", "|arr|#1|#1|z"),
            ("a\0b-", "|a"),
        ] {
            assert_eq!(path(source), Ok(expected.to_owned()), "{source}");
        }
        for (source, why) in [
            ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
            ("é", "syntax error: unexpected $end, expecting LSB or FIELD"),
            ("9x", "syntax error: unexpected $end, expecting LSB or FIELD"),
            (".x", "syntax error: unexpected DOT, expecting LSB or FIELD"),
            ("\"x\"", "syntax error: unexpected STRING, expecting LSB or FIELD"),
            ("x y", "syntax error: unexpected FIELD"),
            ("x]", "syntax error: unexpected RSB"),
            ("x.", "syntax error: unexpected $end, expecting FIELD"),
            ("x.[0]", "syntax error: unexpected LSB, expecting FIELD"),
            ("pod.9", "syntax error: unexpected $end, expecting FIELD"),
            ("pod.a-b", "unexpected char -"),
            ("podé", "unexpected char é"),
            ("[x]", "syntax error: unexpected FIELD, expecting STRING or INDEX"),
            ("[1.5]", "syntax error: unexpected $end, expecting STRING or INDEX"),
            ("[99999999999999999999]", "syntax error: unexpected $end, expecting STRING or INDEX"),
            ("[\"pod\"\"uuid\"]", "syntax error: unexpected STRING, expecting RSB"),
            ("[\"a]b\"]", "syntax error: unexpected FIELD, expecting RSB"),
            ("[\"a\"", "syntax error: unexpected $end, expecting RSB"),
            ("a 1.", "cannot use float as array index"),
            ("a 1x", "non-integer value: x"),
            ("a 1 ", "syntax error: unexpected INDEX"),
        ] {
            assert_eq!(path(source), Err(format!("cannot parse expression [{source}]: {why}")), "{source}");
        }
    }

    #[test]
    fn keys() {
        let key = |source: &str| LogfmtKey::parse(source).map(|key| key.key);
        for (source, expected) in [
            ("x", "x"),
            ("_x9", "_x9"),
            (" a\t", "a"),
            ("\"q\"", "q"),
            ("\"q", "q"),
            ("\"é k]", "é k"),
            ("\"\"", ""),
            ("a \"b\"", "a%!(EXTRA string=b)"),
        ] {
            assert_eq!(key(source), Ok(expected.to_owned()), "{source}");
        }
        for (source, why) in [
            ("", "syntax error: unexpected $end, expecting STRING or KEY"),
            ("é", "syntax error: unexpected $end, expecting STRING or KEY"),
            ("9x", "syntax error: unexpected $end, expecting STRING or KEY"),
            ("a b", "syntax error: unexpected KEY"),
            ("a.b", "unexpected char ."),
            ("a-b", "unexpected char -"),
            ("aé", "unexpected char é"),
        ] {
            assert_eq!(key(source), Err(format!("cannot parse expression [{source}]: {why}")), "{source}");
        }
    }
}
