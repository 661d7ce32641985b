//! The named classes of characters that Go knows, and how the crate `regex` writes them.

use std::fmt::Write as _;

/// `\d`, `\s`, `\w`: ASCII in Go.
pub(super) fn perl(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        's' => r"\t\n\f\r\x20",
        'w' => "0-9A-Za-z_",
        _ => return None,
    })
}

/// The `name` of `[:name:]`.
pub(super) fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "ascii" => r"\x00-\x7F",
        "blank" => r"\t\x20",
        "cntrl" => r"\x00-\x1F\x7F",
        "digit" => "0-9",
        "graph" => r"\x21-\x7E",
        "lower" => "a-z",
        "print" => r"\x20-\x7E",
        "punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        "space" => r"\t\n\v\f\r\x20",
        "upper" => "A-Z",
        "word" => "0-9A-Za-z_",
        "xdigit" => "0-9A-Fa-f",
        _ => return None,
    })
}

/// General categories by their short names, as in Go's `unicode.Categories`; `C` and `Cs` need more care.
const CATEGORIES: [&str; 35] = [
    "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs", "Any",
];

/// Scripts whose names have four letters. Every other name of four letters is a short one, which Go lacks.
const SHORT_SCRIPTS: [&str; 8] = ["Ahom", "Cham", "Kawi", "Lisu", "Miao", "Modi", "Newa", "Thai"];

/// The `name` of `\p{name}`, as a class or part of one.
pub(super) fn unicode(name: &str) -> Option<String> {
    if CATEGORIES.contains(&name) {
        return Some(format!(r"\p{{{name}}}"));
    }
    match name {
        // Go counts no code points that are not assigned, and no text holds a surrogate.
        "C" => Some(r"\p{Cc}\p{Cf}\p{Co}".to_owned()),
        "Cs" => Some(NOTHING.to_owned()),
        _ if is_script(name) => Some(format!(r"\p{{sc={name}}}")),
        _ => None,
    }
}

fn is_script(name: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.bytes().all(|b| b.is_ascii_alphabetic())
    };
    (name.len() != 4 || SHORT_SCRIPTS.contains(&name))
        && name.split('_').all(word)
        && regex::Regex::new(&format!(r"\p{{sc={name}}}")).is_ok()
}

/// What stands between the brackets of a class without any member.
pub(super) const NOTHING: &str = "a&&b";

/// Code points that no text holds.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// Adds the characters from `low` to `high` to the inside of a class.
pub(super) fn push_range(class: &mut String, low: u32, high: u32) {
    let low = if SURROGATES.contains(&low) { SURROGATES.end() + 1 } else { low };
    let high = if SURROGATES.contains(&high) { SURROGATES.start() - 1 } else { high };
    if low > high {
        return;
    }
    push_char(class, low);
    if low != high {
        class.push('-');
        push_char(class, high);
    }
}

fn push_char(class: &mut String, code: u32) {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() => class.push(c),
        _ => {
            let _ = write!(class, r"\x{{{code:X}}}");
        }
    }
}
