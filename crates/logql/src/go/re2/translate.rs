//! From Go's syntax of regular expressions to that of the crate `regex`, in one pass.
//!
//! | Go | the crate | written again as |
//! | --- | --- | --- |
//! | `\d` `\s` `\w` `\b` are ASCII | Unicode | classes of ASCII ranges, `(?-u:\b)` |
//! | `{` that begins no repetition is a character | an error | `\{` |
//! | in a class, `[`, `&&`, `--`, `~~` are characters | operators | `\x{…}` |
//! | `\Q…\E`, octal escapes, `\p{^Greek}`, `[[:^alpha:]]`, `(?)` | errors | what they mean |
//! | `a**` is an error | a repetition | refused |
//! | `(?x)`, `\u1234`, `\p{letter}`, `\<`, `[a&&b]` | known | refused, or characters |
//!
//! Each item (a character, a class, a group) is written so that it stands for itself; a repetition follows the
//! item it belongs to. Flags keep their places, except `U`, which becomes `?` at each repetition.

mod escape;

use std::ops::Range;

use super::{Re2Error, class};

/// How deep groups may be nested (count). Go allows 1,000; nobody writes fifty, and each costs stack when the expression is compiled.
pub(super) const NESTING_MAX: u32 = 100;

/// Most copies of an item that counted repetitions may make, also nested ones (count), as in Go.
const REPEAT_MAX: u32 = 1000;

/// An expression in the crate's syntax.
pub(super) struct Translation {
    pub(super) text: String,
    /// The name of each group from 0, which is the whole match.
    pub(super) names: Vec<Option<String>>,
    /// The text it stands for, if it has no operator.
    pub(super) literal: Option<String>,
}

/// Translates an expression. `dot_all`: the flag `s` is set around it.
///
/// # Errors
/// The first text that Go would not take, with its place.
pub(super) fn translate(source: &str, dot_all: bool) -> Result<Translation, Re2Error> {
    let mut translator = Translator {
        source,
        at: 0,
        out: String::with_capacity(source.len() + 16),
        flags: Flags { dot_all, ..Flags::default() },
        open: Vec::new(),
        last: None,
        copies: 1,
        wraps: 0,
        names: vec![None],
        literal: Some(String::new()),
    };
    translator.run()?;
    let Translator { out, names, literal, .. } = translator;
    Ok(Translation { text: out, names, literal })
}

/// Flags in force, `(?imsU)`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Flags {
    fold: bool,
    lines: bool,
    dot_all: bool,
    lazy: bool,
}

/// A group that is not closed yet.
struct Open {
    /// Where its `(` stands in the source.
    at: usize,
    /// Where it begins in the translation.
    out: usize,
    /// What was in force before it.
    flags: Flags,
    /// Copies of the sequence before it.
    copies: u32,
}

/// The item that a repetition would belong to.
struct Item {
    out: Range<usize>,
    /// It is a repetition already.
    repeated: bool,
    /// How many times counted repetitions make something in it stand.
    copies: u32,
}

struct Translator<'s> {
    source: &'s str,
    at: usize,
    out: String,
    flags: Flags,
    open: Vec<Open>,
    /// The last item of the sequence; `None` at its beginning.
    last: Option<Item>,
    /// The most copies of an item of the group so far.
    copies: u32,
    /// Groups added around repetitions.
    wraps: u32,
    names: Vec<Option<String>>,
    literal: Option<String>,
}

type Step<T = ()> = Result<T, Re2Error>;

fn refuse<T>(at: Range<usize>, message: impl Into<String>) -> Step<T> {
    Err(Re2Error { message: message.into(), at: Some(at) })
}

impl<'s> Translator<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn run(&mut self) -> Step {
        // Go refuses two repetitions with nothing at all between them.
        let mut after_repetition = None;
        while let Some(c) = self.peek() {
            let start = self.at;
            let repetition = match c {
                '*' | '+' | '?' => Some((1, c.to_string())),
                '{' => self.counted()?,
                _ => None,
            };
            if let Some((times, operator)) = repetition {
                if c != '{' {
                    self.at += 1;
                }
                self.repeat(start, times, &operator, after_repetition)?;
                after_repetition = Some(start);
                continue;
            }
            after_repetition = None;
            self.at += c.len_utf8();
            match c {
                '(' => self.group(start)?,
                ')' => self.close(start)?,
                '|' => {
                    self.operator("|");
                    self.last = None;
                }
                '^' => self.item("^"),
                '$' => self.item("$"),
                '.' => self.item("."),
                '[' => self.class(start)?,
                '\\' => self.escape(start)?,
                c => self.character(c),
            }
        }
        match self.open.last() {
            Some(open) => refuse(open.at..open.at + 1, "this group is not closed: `)` is missing"),
            None => Ok(()),
        }
    }

    /// Writes a text that is neither an item nor a character.
    fn operator(&mut self, text: &str) {
        self.literal = None;
        self.out.push_str(text);
    }

    /// Writes an item that is not a single character.
    fn item(&mut self, text: &str) {
        let start = self.out.len();
        self.operator(text);
        self.last = Some(Item { out: start..self.out.len(), repeated: false, copies: 1 });
    }

    fn character(&mut self, c: char) {
        let start = self.out.len();
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(c);
        self.last = Some(Item { out: start..self.out.len(), repeated: false, copies: 1 });
        match &mut self.literal {
            Some(literal) if !self.flags.fold => literal.push(c),
            literal => *literal = None,
        }
    }

    /// A character by its code, which may be that of a surrogate.
    fn code(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.character(c),
            None => self.item(&format!("[{}]", class::NOTHING)),
        }
    }

    /// Reads `{2}`, `{2,}` or `{2,5}`, if one stands here: the most copies, and the text of it.
    fn counted(&mut self) -> Step<Option<(u32, String)>> {
        let start = self.at;
        let rest = self.rest().get(1..).unwrap_or_default();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ',')).unwrap_or(rest.len());
        let (inside, after) = rest.split_at(end);
        if !after.starts_with('}') {
            return Ok(None);
        }
        // Go does not take a number with a leading zero; then the brace is a character.
        let number = |text: &str| {
            let digits = !text.is_empty() && !text.contains(',');
            (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().unwrap_or(u32::MAX))
        };
        let (least, most) = match inside.split_once(',') {
            None => (number(inside), number(inside)),
            Some((least, "")) => (number(least), Some(0)),
            Some((least, most)) => (number(least), number(most)),
        };
        let (Some(least), Some(most)) = (least, most) else {
            return Ok(None);
        };
        self.at += inside.len() + 2;
        let unbounded = inside.ends_with(',');
        if least.max(most) > REPEAT_MAX {
            return refuse(start..self.at, format!("more than {REPEAT_MAX} repetitions"));
        }
        if !unbounded && least > most {
            return refuse(
                start..self.at,
                format!("{least} is more than {most}: write the lesser number first"),
            );
        }
        let copies = if unbounded { least } else { most };
        Ok(Some((copies, format!("{{{inside}}}"))))
    }

    fn repeat(&mut self, start: usize, times: u32, operator: &str, previous: Option<usize>) -> Step {
        let mut lazy = self.flags.lazy;
        if self.eat("?") {
            lazy = !lazy;
        }
        let place = start..self.at;
        if let Some(previous) = previous {
            return refuse(
                previous..self.at,
                "a repetition of a repetition: put the first in a group, `(?:…)`",
            );
        }
        let Some(mut item) = self.last.take() else {
            return refuse(place, format!("`{operator}` has nothing before it to repeat"));
        };
        item.copies = item.copies.saturating_mul(times.max(1));
        if times >= 2 && item.copies > REPEAT_MAX {
            let message =
                format!("{} repetitions together with those inside: more than {REPEAT_MAX}", item.copies);
            return refuse(place, message);
        }
        self.literal = None;
        if item.repeated {
            self.wraps += 1;
            self.check_nesting(start)?;
            self.out.insert_str(item.out.start, "(?:");
            item.out.end += 3;
            self.out.insert(item.out.end, ')');
            item.out.end += 1;
        }
        let written = if lazy { format!("{operator}?") } else { operator.to_owned() };
        self.out.insert_str(item.out.end, &written);
        item.out.end += written.len();
        item.repeated = true;
        self.copies = self.copies.max(item.copies);
        self.last = Some(item);
        Ok(())
    }

    fn check_nesting(&self, at: usize) -> Step {
        let depth = u32::try_from(self.open.len()).unwrap_or(u32::MAX).saturating_add(self.wraps);
        if depth > NESTING_MAX {
            return refuse(at..at + 1, format!("more than {NESTING_MAX} nested groups"));
        }
        Ok(())
    }

    /// What begins with `(`.
    fn group(&mut self, start: usize) -> Step {
        let flags = self.flags;
        if !self.eat("?") {
            self.names.push(None);
            return self.enter(start, "(", flags);
        }
        for (form, message) in [
            ("=", "Go's regular expressions have no look-ahead"),
            ("!", "Go's regular expressions have no look-ahead"),
            ("<=", "Go's regular expressions have no look-behind"),
            ("<!", "Go's regular expressions have no look-behind"),
            ("P=", "Go's regular expressions have no references back to a group"),
            (">", "Go's regular expressions have no atomic groups: write `(?:`"),
            ("#", "Go's regular expressions have no comments"),
            ("'", "a group is named by `(?P<name>…)`"),
        ] {
            if self.eat(form) {
                return refuse(start..self.at, message);
            }
        }
        if self.eat("P<") || self.eat("<") {
            return self.named(start);
        }
        self.flag_group(start)
    }

    fn enter(&mut self, start: usize, text: &str, outer: Flags) -> Step {
        let out = self.out.len();
        self.operator(text);
        self.open.push(Open { at: start, out, flags: outer, copies: self.copies });
        self.copies = 1;
        self.last = None;
        self.check_nesting(start)
    }

    fn named(&mut self, start: usize) -> Step {
        let name_at = self.at;
        let Some((name, _)) = self.rest().split_once('>') else {
            return refuse(start..self.at, "the name of this group does not end: `>` is missing");
        };
        self.at += name.len() + 1;
        if name.is_empty() {
            return refuse(start..self.at, "this group has no name");
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return refuse(
                name_at..name_at + name.len(),
                "the name of a group has only letters, digits and `_`",
            );
        }
        // The crate takes each name once, and refuses a name that begins with a digit.
        let known = self.names.iter().any(|other| other.as_deref() == Some(name));
        let text = match known || name.starts_with(|c: char| c.is_ascii_digit()) {
            true => "(".to_owned(),
            false => format!("(?P<{name}>"),
        };
        self.names.push(Some(name.to_owned()));
        self.enter(start, &text, self.flags)
    }

    /// `(?flags)`, `(?flags:…)`.
    fn flag_group(&mut self, start: usize) -> Step {
        let outer = self.flags;
        let mut flags = outer;
        let (mut on, mut some) = (true, false);
        loop {
            let at = self.at;
            let Some(c) = self.next() else {
                return refuse(start..at, "this group is not closed: `)` is missing");
            };
            let flag = match c {
                'i' => &mut flags.fold,
                'm' => &mut flags.lines,
                's' => &mut flags.dot_all,
                'U' => &mut flags.lazy,
                '-' if on => {
                    (on, some) = (false, false);
                    continue;
                }
                ')' | ':' if on || some => {
                    self.flags = flags;
                    let changes = changes(outer, flags);
                    if c == ':' {
                        return self.enter(start, &format!("(?{changes}:"), outer);
                    }
                    if !changes.is_empty() {
                        self.out.push_str(&format!("(?{changes})"));
                    }
                    return Ok(());
                }
                ')' | ':' | '-' => return refuse(start..self.at, "`-` is followed by the flags to turn off"),
                c => return refuse(at..self.at, format!("`{c}` is not a flag: the flags are i, m, s and U")),
            };
            (*flag, some) = (on, true);
        }
    }

    fn close(&mut self, start: usize) -> Step {
        let Some(open) = self.open.pop() else {
            return refuse(start..self.at, "`)` without a `(` before it");
        };
        self.operator(")");
        self.flags = open.flags;
        self.last = Some(Item { out: open.out..self.out.len(), repeated: false, copies: self.copies });
        self.copies = self.copies.max(open.copies);
        Ok(())
    }
}

/// How the crate writes the step from some flags to others.
fn changes(from: Flags, to: Flags) -> String {
    let flags = [(from.fold, to.fold, 'i'), (from.lines, to.lines, 'm'), (from.dot_all, to.dot_all, 's')];
    let changed = |on: bool| flags.iter().filter(move |(from, to, _)| from != to && *to == on);
    let mut changes: String = changed(true).map(|(.., letter)| letter).collect();
    if changed(false).next().is_some() {
        changes.push('-');
        changes.extend(changed(false).map(|(.., letter)| letter));
    }
    changes
}
