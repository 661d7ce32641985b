//! Escapes and character classes.

use super::{Step, Translator, class, refuse};

impl Translator<'_> {
    /// Translates what begins with `\`, outside of a class.
    pub(super) fn escape(&mut self, start: usize) -> Step {
        match self.peek() {
            Some('A') => self.item(r"\A"),
            Some('z') => self.item(r"\z"),
            Some('b') => self.item(r"(?-u:\b)"),
            Some('B') => self.item(r"(?-u:\B)"),
            Some('Q') => {
                let quoted = self.rest().get(1..).unwrap_or_default();
                let text = quoted.split_once(r"\E").map_or(quoted, |(text, _)| text);
                self.at += 1 + text.len();
                self.eat(r"\E");
                text.chars().for_each(|c| self.character(c));
                return Ok(());
            }
            _ => {
                return match self.named_class(start)? {
                    Some(class) => {
                        self.item(&class);
                        Ok(())
                    }
                    None => {
                        let code = self.escaped(start)?;
                        self.code(code);
                        Ok(())
                    }
                };
            }
        }
        self.at += 1;
        Ok(())
    }

    /// `\d`, `\pL`, `\p{Greek}` and the like, after the backslash: as a class of its own.
    fn named_class(&mut self, start: usize) -> Step<Option<String>> {
        let Some(letter) = self.peek() else {
            return Ok(None);
        };
        let negated = |yes: bool| if yes { "^" } else { "" };
        if let Some(ranges) = class::perl(letter.to_ascii_lowercase()) {
            self.at += 1;
            return Ok(Some(format!("[{}{ranges}]", negated(letter.is_ascii_uppercase()))));
        }
        if !matches!(letter, 'p' | 'P') {
            return Ok(None);
        }
        self.at += 1;
        let name = if self.eat("{") {
            let Some((name, _)) = self.rest().split_once('}') else {
                return refuse(start..self.at, "the name of this class does not end: `}` is missing");
            };
            self.at += name.len() + 1;
            name
        } else {
            let rest = self.rest();
            let Some(c) = self.next() else {
                return refuse(start..self.at, r"the name of a class is missing: write `\pL` or `\p{Greek}`");
            };
            rest.get(..c.len_utf8()).unwrap_or_default()
        };
        let (name, inverted) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match class::unicode(name) {
            Some(inside) => Ok(Some(format!("[{}{inside}]", negated(inverted != (letter == 'P'))))),
            None => refuse(
                start..self.at,
                "there is no such class: Unicode has categories, as `Lu`, and scripts, as `Greek`",
            ),
        }
    }

    /// The code of an escaped character, after the backslash.
    fn escaped(&mut self, start: usize) -> Step<u32> {
        let Some(c) = self.next() else {
            return refuse(start..self.at, r"nothing follows this backslash: write `\\` for a backslash");
        };
        match c {
            'a' => return Ok(0x07),
            'f' => return Ok(0x0C),
            'n' => return Ok(0x0A),
            'r' => return Ok(0x0D),
            't' => return Ok(0x09),
            'v' => return Ok(0x0B),
            'x' => return self.hexadecimal(start),
            '0'..='7' => {
                let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
                if c == '0' || octal(self.peek()).is_some() {
                    let mut code = octal(Some(c)).unwrap_or_default();
                    for _ in 1..3 {
                        let Some(digit) = octal(self.peek()) else { break };
                        self.at += 1;
                        code = code * 8 + digit;
                    }
                    return Ok(code);
                }
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => return Ok(u32::from(c)),
            _ => {}
        }
        let message = match c {
            '1'..='9' => "Go's regular expressions have no references back to a group".to_owned(),
            'Z' => r"`\Z` is unknown to Go: write `\z`".to_owned(),
            'u' | 'U' => format!(r"`\{c}` is unknown to Go: write `\x{{…}}`"),
            'C' => r"`\C`, a single byte, is not known to Go".to_owned(),
            c => format!(r"`\{c}` is unknown to Go"),
        };
        refuse(start..self.at, message)
    }

    /// `\x7F`, `\x{10FFFF}`, after the x.
    fn hexadecimal(&mut self, start: usize) -> Step<u32> {
        let braced = self.eat("{");
        let digits = self.rest();
        let length = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let length = if braced { length } else { length.min(2) };
        self.at += length;
        let code = digits.get(..length).map(|digits| digits.trim_start_matches('0'));
        let code = code.and_then(|digits| match digits {
            "" => Some(0),
            digits => u32::from_str_radix(digits, 16).ok(),
        });
        let complete = if braced { length > 0 && self.eat("}") } else { length == 2 };
        match code {
            Some(code) if complete && code <= u32::from(char::MAX) => Ok(code),
            Some(_) if complete => refuse(start..self.at, "Unicode ends at 10FFFF"),
            None if complete => refuse(start..self.at, "Unicode ends at 10FFFF"),
            _ => refuse(start..self.at, r"hexadecimal digits are expected: `\x7F` or `\x{10FFFF}`"),
        }
    }

    /// Translates a class, which begins with `[`.
    pub(super) fn class(&mut self, start: usize) -> Step {
        let negated = self.eat("^");
        let mut inside = String::new();
        let mut first = true;
        loop {
            if !first && self.eat("]") {
                break;
            }
            first = false;
            if self.rest().is_empty() {
                return refuse(start..start + 1, "this class is not closed: `]` is missing");
            }
            self.member(&mut inside)?;
        }
        if inside.is_empty() {
            inside.push_str(class::NOTHING);
        }
        let negation = if negated { "^" } else { "" };
        self.item(&format!("[{negation}{inside}]"));
        Ok(())
    }

    /// One character, range or named class inside a class.
    fn member(&mut self, inside: &mut String) -> Step {
        let start = self.at;
        if let Some((name, _)) = self.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
            self.at += name.len() + 4;
            let (name, negated) = match name.strip_prefix('^') {
                Some(name) => (name, true),
                None => (name, false),
            };
            return match class::posix(name) {
                Some(ranges) if negated => {
                    inside.push_str(&format!("[^{ranges}]"));
                    Ok(())
                }
                Some(ranges) => {
                    inside.push_str(ranges);
                    Ok(())
                }
                None => refuse(
                    start..self.at,
                    "there is no such class: valid classes are `[:alpha:]`, `[:digit:]` and so on",
                ),
            };
        }
        if self.eat(r"\") {
            if let Some(class) = self.named_class(start)? {
                inside.push_str(&class);
                return Ok(());
            }
            self.at = start;
        }
        let low = self.class_character()?;
        let mut high = low;
        let range =
            self.rest().strip_prefix('-').is_some_and(|rest| !rest.is_empty() && !rest.starts_with(']'));
        if range {
            self.at += 1;
            high = self.class_character()?;
            if high < low {
                return refuse(start..self.at, "this range ends before it begins");
            }
        }
        class::push_range(inside, low, high);
        Ok(())
    }

    fn class_character(&mut self) -> Step<u32> {
        let start = self.at;
        match self.next() {
            Some('\\') => self.escaped(start),
            Some(c) => Ok(u32::from(c)),
            None => refuse(start..start, "this class is not closed: `]` is missing"),
        }
    }
}
