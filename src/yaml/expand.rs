//! Environment variables in string values: `${VAR}`, `${VAR:-default}`, and `$${` for a literal `${`.
//!
//! The default counts if the variable is unset or empty, as in a shell. It ends at the first `}` and is taken as it is. The
//! value of a variable is not expanded again. A `$` without `{` is just a `$`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use thiserror::Error;

use crate::os::text::Line;

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What it means if an environment variable has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// It is a mistake.
    Mistake,
    /// Another machine has it. The text with it is not checked.
    Unknown,
}

/// A reference that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadReference {
    /// Its place in the text.
    pub(super) at: Range<usize>,
    pub(super) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Why {
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    #[error("`${{` without `}}`")]
    Unclosed,
    #[error("{0} is not a valid name of an environment variable")]
    BadName(String),
}

impl Why {
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Self::Unset(_) => "expected a variable that is set",
            Self::Unclosed => "expected `}`",
            Self::BadName(_) => "expected letters, digits and `_`",
        }
    }

    pub(super) fn help(&self) -> String {
        match self {
            Self::Unset(name) => {
                format!("set it where journal-ship is started, or give a default: `${{{name}:-default}}`")
            }
            Self::Unclosed | Self::BadName(_) => {
                "write `${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`".to_owned()
            }
        }
    }
}

/// `text` with every reference replaced.
///
/// # Errors
///
/// All references that cannot be expanded, in their order.
pub(super) fn expand<'t>(text: &'t str, env: &Environment<'_>) -> Result<Cow<'t, str>, Vec<BadReference>> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = inside;
            continue;
        }
        out.push_str(before);
        let start = text.len() - inside.len() - "${".len();
        let Some((reference, after)) = inside.split_once('}') else {
            errors.push(BadReference { at: start..text.len(), why: Why::Unclosed });
            rest = "";
            break;
        };
        match lookup(reference, env) {
            Ok(value) => out.push_str(&value),
            Err(why) => errors.push(BadReference { at: start..text.len() - after.len(), why }),
        }
        rest = after;
    }
    out.push_str(rest);
    if errors.is_empty() { Ok(Cow::Owned(out)) } else { Err(errors) }
}

/// A text with its references replaced, and where their values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The variables whose values are in it.
    pub(crate) variables: Vec<String>,
    /// A variable that has no value; then the text is as it is written.
    pub(crate) unset: Option<String>,
}

/// Replaces references, and says which variables were used.
pub(crate) fn expanded(text: &str, env: &Environment<'_>) -> Expanded {
    let used = RefCell::new(Vec::new());
    let look = |name: &str| {
        let value = env(name);
        if value.as_ref().is_some_and(|value| !value.is_empty()) {
            used.borrow_mut().push(name.to_owned());
        }
        value
    };
    let result = expand(text, &look).map(Cow::into_owned);
    let variables = used.into_inner();
    match result {
        Ok(text) => Expanded { text, variables, unset: None },
        Err(errors) => {
            let unset = errors.into_iter().find_map(|error| match error.why {
                Why::Unset(name) => Some(name),
                _ => None,
            });
            Expanded { text: text.to_owned(), variables, unset }
        }
    }
}

/// A text that is read as `text` where references are replaced.
pub(crate) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

fn lookup(reference: &str, env: &Environment<'_>) -> Result<String, Why> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(Why::BadName(super::diagnostic::quoted(name)));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Why::Unset(name.to_owned())),
    }
}

/// The shortest value that is concealed (bytes). Replacing shorter ones would make messages unreadable.
const CONCEALED_MIN: usize = 4;

/// Replaces the value of a variable by its reference wherever a message repeats it, because secrets may come from variables. If
/// the message cuts the value (`…`), it is found by its beginning.
pub(super) fn conceal(text: &mut String, expanded: &[(String, String)]) {
    for (name, value) in expanded {
        // Messages escape characters that could mislead.
        for value in [value.clone(), Line(value).to_string()] {
            if value.len() < CONCEALED_MIN {
                continue;
            }
            *text = text.replace(&value, &format!("${{{name}}}"));
            while let Some(cut) = cut_short(text, &value) {
                text.replace_range(cut, &format!("${{{name}}}"));
            }
        }
    }
}

/// Where the beginning of a value stands before a `…`.
fn cut_short(text: &str, value: &str) -> Option<Range<usize>> {
    text.match_indices('…').find_map(|(end, _)| {
        let starts = (0..end).filter(|at| text.is_char_boundary(*at) && end - at >= CONCEALED_MIN);
        let start =
            starts.into_iter().find(|at| text.get(*at..end).is_some_and(|part| value.starts_with(part)))?;
        Some(start..end)
    })
}

/// Whether a text is a name of an environment variable (POSIX).
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("loki".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".into()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced() {
        for (text, expanded) in [
            ("", ""),
            ("plain $5 $HOST {x}", "plain $5 $HOST {x}"),
            ("${HOST}", "loki"),
            ("http://${HOST}:3100/${HOST}", "http://loki:3100/loki"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${UNSET:-}", ""),
            ("${UNSET:-a:-b $ {}", "a:-b $ {"),
            ("${HOST:-x}", "loki"),
            ("$${HOST}", "${HOST}"),
            ("$${", "${"),
            ("$$${HOST}", "$${HOST}"),
            ("${NESTED}", "${HOST}"),
            ("é${HOST}é", "élokié"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn what_variables_hold_is_concealed() {
        let long = "hunter2-".repeat(20);
        let expanded =
            [("A".to_owned(), long.clone()), ("B".into(), "se\u{1b}cret".into()), ("C".into(), "x".into())];
        for (text, shown) in [
            (format!("`{long}` is not a URL"), "`${A}` is not a URL"),
            (format!("`x{}…` is not a URL", &long[..50]), "`x${A}…` is not a URL"),
            ("`se\\u{1b}cret`, se\u{1b}cret".into(), "`${B}`, ${B}"),
            ("x and others…".into(), "x and others…"),
        ] {
            let mut text = text;
            conceal(&mut text, &expanded);
            assert_eq!(text, shown);
        }
    }

    #[test]
    fn every_bad_reference_is_found_at_its_place() {
        let unset = |name: &str| Why::Unset(name.into());
        for (text, errors) in [
            ("${UNSET}", vec![(0..8, unset("UNSET"))]),
            ("é ${A} ${HOST} ${B}", vec![(3..7, unset("A")), (16..20, unset("B"))]),
            ("a${HOST", vec![(1..7, Why::Unclosed)]),
            ("${}", vec![(0..3, Why::BadName("an empty string".into()))]),
            ("${1A}", vec![(0..5, Why::BadName("`1A`".into()))]),
            ("${HOST:x}", vec![(0..9, Why::BadName("`HOST:x`".into()))]),
            ("${ HOST }", vec![(0..9, Why::BadName("` HOST `".into()))]),
        ] {
            let errors: Vec<_> = errors.into_iter().map(|(at, why)| BadReference { at, why }).collect();
            assert_eq!(expand(text, &env), Err(errors), "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaping_makes_any_text_literal(text in "[${}A:-]{0,30}|\\PC{0,30}") {
            let expanded = expand(&escaped(&text), &env).map(Cow::into_owned);
            prop_assert_eq!(expanded, Ok(text));
        }

        #[test]
        fn places_are_slices_of_the_text(text in "[${}A:é-]{0,30}") {
            for error in expand(&text, &env).err().into_iter().flatten() {
                let slice = text.get(error.at);
                prop_assert!(slice.is_some_and(|slice| slice.starts_with("${")), "{:?}", slice);
            }
        }
    }
}
