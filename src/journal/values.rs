//! The values that a label may have, as far as they are known because journald writes the field.

use logql::nearest::nearest;
use logql::{MatchOp, Matcher};

/// The labels that the field PRIORITY makes.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
/// How entries come to journald (systemd.journal-fields(7), `_TRANSPORT=`).
const TRANSPORTS: [&str; 6] = ["audit", "driver", "journal", "kernel", "stdout", "syslog"];
/// How the names of units end (systemd.unit(5)).
const UNITS: [&str; 11] = [
    ".service",
    ".scope",
    ".slice",
    ".socket",
    ".timer",
    ".mount",
    ".automount",
    ".path",
    ".target",
    ".swap",
    ".device",
];
/// The most texts that an expression is spelled out into (count).
const SPELLED_MAX: usize = 256;

/// Fields with another value for each process, run or entry.
const MANY: [&str; 11] = [
    "_PID",
    "_PPID",
    "_AUDIT_ID",
    "_STREAM_ID",
    "_SYSTEMD_INVOCATION_ID",
    "_SOURCE_REALTIME_TIMESTAMP",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "_SOURCE_BOOTTIME_TIMESTAMP",
    "SYSLOG_PID",
    "SYSLOG_TIMESTAMP",
    "MESSAGE",
];

/// Whether a field has another value for each process, run or entry.
pub(crate) fn has_many_values(field: &str) -> bool {
    MANY.contains(&field)
}

/// A shape of the values of a label. A label may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The value is one of these.
    Words(Vec<String>),
    /// The value ends with one of these.
    Ending(&'static [&'static str]),
    /// The value is a whole number.
    Number,
}

/// The shape of the values of a journal field, if it is known.
pub(crate) fn of_field(field: &str) -> Option<Shape> {
    let words = |words: &[&str]| Shape::Words(words.iter().map(|word| (*word).to_owned()).collect());
    Some(match field {
        "PRIORITY" => words(&LEVELS),
        "_TRANSPORT" => words(&TRANSPORTS),
        "_SYSTEMD_UNIT" | "_SYSTEMD_USER_UNIT" => Shape::Ending(&UNITS),
        "_SYSTEMD_SLICE" | "_SYSTEMD_USER_SLICE" => Shape::Ending(&[".slice"]),
        "_PID" | "_PPID" | "_UID" | "_GID" | "_EUID" | "_EGID" | "_AUDIT_SESSION" | "_AUDIT_LOGINUID" => {
            Shape::Number
        }
        _ => return None,
    })
}

impl Shape {
    /// Whether a value of this shape can match. In doubt, it can.
    pub(crate) fn may_match(&self, matcher: &Matcher) -> bool {
        match (self, matcher.op()) {
            (Shape::Words(words), _) => words.iter().any(|word| matcher.matches(word)),
            (_, MatchOp::NotEqual | MatchOp::NotRegex) => true,
            (_, MatchOp::Equal) => self.may_be(&[Spelled::exact(matcher.value())]),
            (_, MatchOp::Regex) => spell(matcher.value()).is_none_or(|spelled| self.may_be(&spelled)),
        }
    }

    fn may_be(&self, texts: &[Spelled]) -> bool {
        texts.iter().any(|text| match self {
            Shape::Words(words) => words.iter().any(|word| text.may_end(word)),
            Shape::Ending(endings) => endings.iter().any(|ending| text.may_end(ending)),
            Shape::Number => text.open || text.tail.iter().all(|c| c.is_none_or(|c| c.is_ascii_digit())),
        })
    }

    /// What to write instead of a value, or which values there are.
    pub(crate) fn help(&self, name: &str, matcher: &Matcher) -> String {
        match self {
            Shape::Words(words) => {
                let near = match matcher.op() {
                    MatchOp::Equal => nearest(matcher.value(), words.iter().map(String::as_str)),
                    _ => None,
                };
                match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        let all: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                        format!("`{name}` is one of {}", all.join(", "))
                    }
                }
            }
            Shape::Ending(endings) => {
                let first = endings.first().copied().unwrap_or_default();
                let value = matcher.value();
                match matcher.op() {
                    MatchOp::Equal if !value.contains('.') && !value.is_empty() => {
                        format!(
                            "did you mean `{value}{first}`? Values of `{name}` end in `{first}` or in another type of unit"
                        )
                    }
                    MatchOp::Regex => format!(
                        "the expression must match the whole value, which ends in `{first}` or in another type of unit: \
                         `{}\\{first}`",
                        if value.contains('|') && !value.ends_with(')') {
                            format!("({value})")
                        } else {
                            value.to_owned()
                        }
                    ),
                    _ => format!("values of `{name}` end in one of {}", endings.join(", ")),
                }
            }
            Shape::Number => format!("values of `{name}` are whole numbers"),
        }
    }
}

/// A text that an expression matches. With `open`, it is the end of such texts.
#[derive(Debug, Clone)]
struct Spelled {
    open: bool,
    /// The characters. `None`: any character.
    tail: Vec<Option<char>>,
}

impl Spelled {
    fn exact(text: &str) -> Spelled {
        Spelled { open: false, tail: text.chars().map(Some).collect() }
    }

    fn may_end(&self, ending: &str) -> bool {
        let mut own = self.tail.iter().rev();
        for c in ending.chars().rev() {
            match own.next() {
                Some(None) => {}
                Some(Some(other)) if *other == c => {}
                Some(_) => return false,
                None => return self.open,
            }
        }
        true
    }
}

/// The texts that an expression of plain characters, `.`, `|` and groups matches; `.*` may begin it. `None`: it is another kind
/// of expression, or it stands for too many texts.
fn spell(source: &str) -> Option<Vec<Spelled>> {
    let (all, rest) = alternatives(source, 0)?;
    rest.is_empty().then_some(all)
}

fn alternatives(source: &str, depth: usize) -> Option<(Vec<Spelled>, &str)> {
    const DEPTH_MAX: usize = 16;
    let empty = || vec![Spelled { open: false, tail: Vec::new() }];
    let (mut done, mut these, mut rest) = (Vec::new(), empty(), source);
    if depth > DEPTH_MAX {
        return None;
    }
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..)?;
        let (addition, after) = match c {
            ')' => break,
            '|' => {
                done.append(&mut std::mem::replace(&mut these, empty()));
                rest = after;
                continue;
            }
            '(' => {
                let inner = after.strip_prefix("?:").unwrap_or(after);
                let (inner, after) = alternatives(inner, depth + 1)?;
                (inner, after.strip_prefix(')')?)
            }
            '.' if after.starts_with(['*', '+']) => {
                (vec![Spelled { open: true, tail: Vec::new() }], after.get(1..)?)
            }
            '.' => (vec![Spelled { open: false, tail: vec![None] }], after),
            '[' => {
                // `[.]` is a usual way to write a point.
                let (one, after) = (after.chars().next()?, after.get(after.chars().next()?.len_utf8()..)?);
                let after = after.strip_prefix(']').filter(|_| one != '^' && one != '\\')?;
                (vec![Spelled { open: false, tail: vec![Some(one)] }], after)
            }
            '\\' => {
                let escaped = after.chars().next().filter(|c| c.is_ascii_punctuation())?;
                (vec![Spelled { open: false, tail: vec![Some(escaped)] }], after.get(1..)?)
            }
            '*' | '+' | '?' | '{' | '^' | '$' => return None,
            c => (vec![Spelled { open: false, tail: vec![Some(c)] }], after),
        };
        if after.starts_with(['*', '+', '?', '{']) {
            return None;
        }
        these = these.iter().flat_map(|before| addition.iter().map(|new| before.followed_by(new))).collect();
        if these.len() + done.len() > SPELLED_MAX {
            return None;
        }
        rest = after;
    }
    done.append(&mut these);
    Some((done, rest))
}

impl Spelled {
    fn followed_by(&self, next: &Spelled) -> Spelled {
        match next.open {
            true => next.clone(),
            false => Spelled { open: self.open, tail: [&self.tail[..], &next.tail[..]].concat() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_match_is_known() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let unit = of_field("_SYSTEMD_UNIT").unwrap();
        for (op, value, may) in [
            (Equal, "nginx.service", true),
            (Equal, "init.scope", true),
            (Equal, "nginx", false),
            (Equal, "nginx.servce", false),
            (NotEqual, "nginx", true),
            (NotRegex, "nginx", true),
            (Regex, "nginx", false),
            (Regex, "nginx|php-fpm", false),
            (Regex, "(nginx|php-fpm)", false),
            (Regex, "(nginx|php-fpm).service", true),
            (Regex, "nginx|php-fpm.service", true),
            (Regex, "(nginx|apache2)[.]service", true),
            (Regex, "(?:nginx|apache2)\\.(service|socket)", true),
            (Regex, ".*nginx", false),
            (Regex, ".*service", true),
            (Regex, ".+ce", true),
            (Regex, "nginx.*", true),
            (Regex, "nginx.+", true),
            (Regex, "ssh?", true),
            (Regex, "user@[0-9]+", true),
            (Regex, "(?i)nginx", true),
            (Regex, "nginx.servic.", true),
            (Regex, "", false),
        ] {
            let matcher = Matcher::new("unit", op, value).unwrap();
            assert_eq!(unit.may_match(&matcher), may, "{matcher}");
        }
        for (field, op, value, may) in [
            ("PRIORITY", Equal, "err", false),
            ("PRIORITY", Regex, "err|error", true),
            ("PRIORITY", Regex, "err|warn", false),
            ("_TRANSPORT", Equal, "kernel", true),
            ("_TRANSPORT", Equal, "kmsg", false),
            ("_UID", Equal, "root", false),
            ("_UID", Equal, "0", true),
            ("_UID", Regex, "0|1000", true),
            ("_UID", Regex, "root|nobody", false),
            ("_UID", Regex, ".*", true),
        ] {
            let matcher = Matcher::new("label", op, value).unwrap();
            assert_eq!(of_field(field).unwrap().may_match(&matcher), may, "{field} {matcher}");
        }
    }
}
