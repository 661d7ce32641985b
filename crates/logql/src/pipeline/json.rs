//! JSON in lines, read as Loki does (github.com/grafana/jsonparser): from the beginning, as far as it is asked for.
//! The rest of the line may be anything.

use std::borrow::Cow;

use crate::go::json::escaped;

/// How deep objects may be nested (count), so that a line cannot exhaust the stack.
const DEPTH_MAX: usize = 200;

/// A value, as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json<'t> {
    /// What stands between the quotes.
    Text(&'t str),
    /// A number, `true` or `false`.
    Plain(&'t str),
    /// `null`
    Null,
    /// All of it, with its braces.
    Object(&'t str),
    /// All of it, with its brackets.
    List(&'t str),
}

/// Why a text is not JSON.
pub(super) type Bad = &'static str;

pub(super) const NO_JSON: Bad = "Malformed JSON error";
const NO_OBJECT: Bad = "Value looks like object, but can't find closing '}' symbol";
const NO_LIST: Bad = "Value is array, but can't find closing ']' symbol";
const NO_TEXT: Bad = "Value is string, but can't find closing '\"' symbol";
const NO_VALUE: Bad = "Unknown value type";
const NO_ESCAPE: Bad = "Encountered an invalid escape sequence in a string";

/// Calls `visit` with each key and value of an object, until it says no.
///
/// # Errors
/// The first mistake before that.
pub(super) fn each<'t>(
    text: &'t str,
    visit: &mut impl FnMut(Cow<'t, str>, Json<'t>) -> Result<bool, Bad>,
) -> Result<bool, Bad> {
    let mut rest = text.trim_start_matches(SPACE).strip_prefix('{').ok_or(NO_OBJECT)?;
    rest = rest.trim_start_matches(SPACE);
    loop {
        let Some(inside) = rest.strip_prefix('"') else {
            return if rest.starts_with('}') {
                Ok(true)
            } else {
                Err(if rest.is_empty() { NO_JSON } else { NO_OBJECT })
            };
        };
        let (key, after) = text_end(inside).ok_or(NO_JSON)?;
        let key = unescape(key).ok_or(NO_ESCAPE)?;
        let after = after.trim_start_matches(SPACE).strip_prefix(':').ok_or(NO_JSON)?;
        let (value, after) = value(after)?;
        if !visit(key, value)? {
            return Ok(false);
        }
        rest = after.trim_start_matches(SPACE);
        if rest.starts_with('}') {
            return Ok(true);
        }
        let comma = rest.strip_prefix(',').ok_or(if rest.is_empty() { NO_LIST } else { NO_OBJECT })?;
        rest = comma.trim_start_matches(SPACE);
        if rest.is_empty() {
            return Err(NO_LIST);
        }
    }
}

/// White space.
pub(super) const SPACE: [char; 4] = [' ', '\n', '\r', '\t'];

/// The value that a text begins with, and what follows it.
pub(super) fn value(text: &str) -> Result<(Json<'_>, &str), Bad> {
    let text = text.trim_start_matches(SPACE);
    match text.bytes().next() {
        None => Err(NO_JSON),
        Some(b'"') => {
            let (inside, rest) = text.get(1..).and_then(text_end).ok_or(NO_TEXT)?;
            Ok((Json::Text(inside), rest))
        }
        Some(b'{') => block(text, b'{', b'}').map(|(all, rest)| (Json::Object(all), rest)).ok_or(NO_OBJECT),
        Some(b'[') => block(text, b'[', b']').map(|(all, rest)| (Json::List(all), rest)).ok_or(NO_LIST),
        Some(_) => {
            let end = text.find([' ', '\n', '\r', '\t', ',', '}', ']']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            match word {
                "true" | "false" => Ok((Json::Plain(word), rest)),
                "null" => Ok((Json::Null, rest)),
                _ if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                    Ok((Json::Plain(word), rest))
                }
                _ => Err(NO_VALUE),
            }
        }
    }
}

/// What stands before the closing quote, and what follows it.
pub(super) fn text_end(inside: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((inside.get(..end)?, inside.get(end + 1..)?))
}

/// An object or list with all that is in it, and what follows it.
pub(super) fn block(text: &str, open: u8, close: u8) -> Option<(&str, &str)> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                let (inside, _) = text_end(text.get(at + 1..)?)?;
                at += inside.len() + 1;
            }
            byte if *byte == open => depth += 1,
            byte if *byte == close => {
                depth -= 1;
                if depth == 0 {
                    return text.split_at_checked(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The value of a string; `None` if it has an invalid escape, or half a surrogate pair.
pub(super) fn unescape(inside: &str) -> Option<Cow<'_, str>> {
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (c, length) = escaped(escape)?;
        if c == char::REPLACEMENT_CHARACTER && !escape.get(1..length)?.eq_ignore_ascii_case("fffd") {
            return None;
        }
        text.push(c);
        rest = escape.get(length..)?;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// A value as the text of a label. The texts in a list are unescaped with it, those in an object are not.
pub(super) fn shown(value: Json<'_>) -> String {
    match value {
        Json::Text(inside) | Json::List(inside) => printable(&unescape(inside).unwrap_or_default()),
        Json::Plain(word) => word.to_owned(),
        Json::Object(all) => all.to_owned(),
        Json::Null => String::new(),
    }
}

/// A text without replacement characters (U+FFFD), which no label may have.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::REPLACEMENT_CHARACTER, " ")
}

/// Calls `visit` with the names and values that the label set of a line gets: keys inside each other are joined with `_`,
/// lists are left out.
pub(super) fn flatten(text: &str, visit: &mut impl FnMut(Step<'_>) -> bool) -> Result<bool, Bad> {
    object(text, &mut String::new(), 0, visit)
}

/// An object or a value that is met in a document.
pub(super) enum Step<'t> {
    /// An object of this name: look into it?
    Into(&'t str),
    /// A value: go on?
    Value(&'t str, Json<'t>),
}

fn object(
    text: &str,
    prefix: &mut String,
    depth: usize,
    visit: &mut impl FnMut(Step<'_>) -> bool,
) -> Result<bool, Bad> {
    if depth > DEPTH_MAX {
        return Err("objects are nested too deep");
    }
    each(text, &mut |key, value| {
        let before = prefix.len();
        push_sanitized(prefix, &key);
        let result = match value {
            Json::Object(all) => match visit(Step::Into(prefix)) {
                true => object(all, prefix, depth + 1, visit),
                false => Ok(true),
            },
            Json::Text(_) | Json::Plain(_) if !prefix.is_empty() => Ok(visit(Step::Value(prefix, value))),
            _ => Ok(true),
        };
        prefix.truncate(before);
        result
    })
}

/// Adds a key to a name. A character that a label's name cannot hold becomes `_`.
pub(super) fn push_sanitized(name: &mut String, key: &str) {
    let key = key.trim();
    if key.is_empty() {
        return;
    }
    if !name.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) {
        name.push('_');
    }
    name.extend(key.chars().map(crate::label_set::plain));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Names and values, and what ended the reading.
    fn flat(text: &str) -> (Vec<(String, String)>, Option<Bad>) {
        let mut found = Vec::new();
        let end = flatten(text, &mut |step| {
            if let Step::Value(name, value) = step {
                found.push((name.to_owned(), shown(value)));
            }
            true
        });
        (found, end.err())
    }

    #[test]
    fn documents() {
        for (text, expected, error) in [
            (r#"{}"#, "", None),
            (r#" {"a": 1, "b": {"c": "x", "d-e": true}} rest"#, "a=1 b_c=x b_d_e=true", None),
            (r#"{"a":null,"b":[1,{"c":2}],"c":-1.5e3}"#, "c=-1.5e3", None),
            (r#"{"9a": 1, "ü b": 2, " c ": 3, "": 4}"#, "_9a=1 __b=2 c=3", None),
            (r#"{"a": "q\"\n\u00e9\ud83d\ude00\ufffd"}"#, "a=q\"\n\u{e9}\u{1f600} ", None),
            (r#"{"a": "x\ud83d", "b": "x\y"}"#, "a= b=", None),
            (r#"{"\ud83d": 1}"#, "", Some(NO_ESCAPE)),
            (r#"{"a": {"b": {"c": 1}}, "a_b": 2}"#, "a_b_c=1 a_b=2", None),
            // As far as it is one.
            (r#"{"a": 1, "b": 2"#, "a=1 b=2", Some(NO_LIST)),
            (r#"{"a": 1, "b"#, "a=1", Some(NO_JSON)),
            (r#"{"a": 1, "b" 2}"#, "a=1", Some(NO_JSON)),
            (r#"{"a": 1, b: 2}"#, "a=1", Some(NO_OBJECT)),
            (r#"{"a": 1, "#, "a=1", Some(NO_LIST)),
            ("{ ", "", Some(NO_JSON)),
            (r#"{"a": "x"#, "", Some(NO_TEXT)),
            (r#"{"a": nope}"#, "", Some(NO_VALUE)),
            (r#"{"a": {"b": 1}"#, "a_b=1", Some(NO_LIST)),
            (r#"{"a": {"b": 1"#, "", Some(NO_OBJECT)),
            ("plain", "", Some(NO_OBJECT)),
            ("[1]", "", Some(NO_OBJECT)),
            ("", "", Some(NO_OBJECT)),
        ] {
            let (found, why) = flat(text);
            let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!((found.join(" ").as_str(), why), (expected, error), "{text}");
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "(\\PC|\n|\"){0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zé -]{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-zé -]{0,4}", document(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    /// The same by serde_json's tree.
    fn reference(value: &Value, prefix: &str, found: &mut Vec<(String, String)>) {
        let Value::Object(map) = value else { return };
        for (key, value) in map {
            let mut name = prefix.to_owned();
            push_sanitized(&mut name, key);
            match value {
                Value::Object(_) => reference(value, &name, found),
                Value::Null | Value::Array(_) => {}
                _ if name.is_empty() => {}
                Value::String(text) => found.push((name, printable(text))),
                other => found.push((name, other.to_string())),
            }
        }
    }

    proptest! {
        #[test]
        fn the_same_as_by_a_tree(value in object(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let mut expected = Vec::new();
            reference(&value, "", &mut expected);
            prop_assert_eq!(flat(&text.unwrap()), (expected, None));
        }

        #[test]
        fn any_text_ends(text in "([{}\\[\\]:,\" ]|\\\\u[0-9a-d]{0,4}|[a-z0-9]{1,4}|\\PC){0,40}") {
            flat(&text);
            let _ = value(&text);
        }

        #[test]
        fn what_breaks_off_ends(value in document(), at in any::<prop::sample::Index>()) {
            let text = value.to_string();
            let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            flat(&text[..at]);
        }
    }
}
