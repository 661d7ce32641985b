//! The JSON Schema of the configuration, for editors: made of the table of keys, with the texts of the reference.
//!
//! It knows names and types. What a value means (whether a selector parses, whether two keys go together) only `check`
//! says, so the schema accepts everything that `check` accepts, and some things more.

use serde_json::{Map, Value, json};

use super::{KEYS, Key};
use crate::yaml::write::{inline, text};
use crate::yaml::{Kind, Node, document};

/// The reference, whose table of keys has a text for each.
const REFERENCE: &str = include_str!("../../docs/configuration.md");
/// The version of JSON Schema: the one that editors with yaml-language-server know.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";
/// Any text with a variable in it (ECMA-262, as in JSON Schema).
const WITH_VARIABLE: &str = r"\$\{";

/// The schema, as JSON for a person.
pub fn schema() -> String {
    let mut root = section("");
    root.insert("$schema".into(), DIALECT.into());
    root.insert("title".into(), "journal-ship".into());
    root.insert("definitions".into(), json!({"stage": stage()}));
    // A value that is made of strings, numbers, lists and maps can be written.
    let text = serde_json::to_string_pretty(&Value::Object(root)).unwrap_or_default();
    format!("{text}\n")
}

/// The keys of a section, as the schema of an object.
fn section(path: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in KEYS {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if parent != path || name == "*" {
            continue;
        }
        if key.default == "required" {
            required.push(Value::from(name));
        }
        properties.insert(name.to_owned(), property(key));
    }
    let mut schema = Map::new();
    schema.insert("type".into(), json!(["object", "null"]));
    schema.insert("additionalProperties".into(), false.into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema
}

/// A stage: an object with one key, the name of the stage.
fn stage() -> Value {
    let mut schema = section("stages[]");
    schema.insert("type".into(), "object".into());
    schema.insert("minProperties".into(), 1.into());
    schema.insert("maxProperties".into(), 1.into());
    schema.remove("required");
    schema.into()
}

/// A key: what its value may be, its text and its default.
fn property(key: &Key) -> Value {
    let mut schema = match kind(key) {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    if let Some(text) = described(key) {
        schema.insert("description".into(), text.into());
    }
    if let Some(default) = default(key) {
        schema.insert("default".into(), default);
    }
    schema.into()
}

fn kind(key: &Key) -> Value {
    let many = |items: Value| json!({"type": ["array", "null"], "items": items});
    let map = |values: Value| json!({"type": ["object", "null"], "additionalProperties": values});
    let one_or_many = || json!({"type": ["string", "array", "null"], "items": {"type": "string"}});
    // Stages and relabelling rules take a number or a flag for its text, as Promtail does.
    let scalar = match key.path.starts_with("stages[]") || key.path.starts_with("labels.relabel_configs[]") {
        true => json!({"type": ["string", "number", "boolean", "null"]}),
        false => json!({"type": "string"}),
    };
    match key.kind {
        "section" if key.path == "stages[].decolorize" => json!({"type": ["object", "null"]}),
        "section" => section(key.path).into(),
        "list of sections" => {
            let mut item = section(&format!("{}[]", key.path));
            item.insert("type".into(), "object".into());
            many(item.into())
        }
        "list of stages" => many(json!({"$ref": "#/definitions/stage"})),
        "list of numbers" => many(json!({"type": ["number", "string"]})),
        "list of maps of journal fields" => many(map(one_or_many())),
        kind if kind.starts_with("list of") => many(json!({"type": "string"})),
        "name or list of names" | "string or list of strings" => one_or_many(),
        "map of journal fields" => map(one_or_many()),
        "map of metrics" => map(section(&format!("{}.*", key.path)).into()),
        "map of strings or files" => {
            let file = section(&format!("{}.*", key.path));
            map(json!({"anyOf": [{"type": "string"}, file]}))
        }
        kind if kind.starts_with("map of") => map(json!({"type": ["string", "number", "boolean", "null"]})),
        "`true` or `false`" | "boolean" => json!({"type": "boolean"}),
        "number" => json!({"type": ["number", "string"]}),
        "whole number" => json!({"type": ["integer", "string"]}),
        "duration" | "size" => json!({"type": ["string", "number", "null"]}),
        "relabelling action" | "regular expression" | "template" | "string" => scalar,
        kind if kind.starts_with('`') => choice(kind),
        _ => json!({"type": ["string", "null"]}),
    }
}

/// One of some words, in any case of letters; or a variable.
fn choice(kind: &str) -> Value {
    let words: Vec<&str> = kind.split('`').skip(1).step_by(2).collect();
    let any_case = |word: &&str| -> String {
        word.chars().map(|c| format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase())).collect()
    };
    let pattern = words.iter().map(any_case).collect::<Vec<_>>().join("|");
    json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": format!("^({pattern})$|{WITH_VARIABLE}")}]})
}

/// What the reference says of a key, without its marks.
fn described(key: &Key) -> Option<String> {
    let begin = format!("| `{}` |", key.path);
    let row = REFERENCE.lines().find(|line| line.starts_with(&begin))?;
    let text = row.trim_end_matches('|').rsplit(" | ").next()?.trim();
    (!text.is_empty()).then(|| without_links(&text.replace('`', "")))
}

/// A text with the words of its links alone: an editor cannot follow them.
fn without_links(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, words, behind)) = rest.split_once('[').and_then(|(before, link)| {
        let (words, target) = link.split_once("](")?;
        Some((before, words, target.split_once(')')?.1))
    }) {
        out.push_str(before);
        out.push_str(words);
        rest = behind;
    }
    out + rest
}

/// A default that can be written as it is. What depends on the environment, or on other keys, is in the description.
fn default(key: &Key) -> Option<Value> {
    if key.default.is_empty() || key.default == "required" || key.default.contains(['$', '\'']) {
        return None;
    }
    document(key.default, "default").ok().map(|node| value(&node))
}

fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(flag) => (*flag).into(),
        Kind::Int(number) => number.parse::<i64>().map_or_else(|_| number.as_str().into(), Value::from),
        Kind::Seq(items) => items.iter().map(value).collect(),
        Kind::Map(entries) => {
            let pair = |(name, item): &(Node, Node)| Some((text(name)?.to_owned(), value(item)));
            Value::Object(entries.iter().filter_map(pair).collect())
        }
        _ => text(node).map(Value::from).or_else(|| inline(node).map(Value::from)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_link_its_words_are_left() {
        for (text, plain) in [
            ("see [rules.md](rules.md#limits), and [this](a)", "see rules.md, and this"),
            ("[a] list, a[0], [b](", "[a] list, a[0], [b]("),
            ("", ""),
        ] {
            assert_eq!(without_links(text), plain, "{text}");
        }
    }
}
