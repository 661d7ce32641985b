//! Environment variables: how Promtail spells them, and where they are not expanded here.
//!
//! With `-config.expand-env=true`, Promtail expands the whole file before it reads it. We expand values of keys, and not
//! those in which `$` has a meaning of its own: expressions, selectors, templates.

use super::*;
use crate::config::{KEYS, Key, expands};

/// Keys of a relabelling rule in which `${name}` may be a group of its `regex`.
const WITH_GROUPS: [&str; 2] = ["replacement", "target_label"];

/// Writes Promtail's `${VAR:default}` (github.com/drone/envsubst) in our form. `${1}` stays as it is.
pub(super) fn variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        out.push_str("${");
        rest = after;
        if let Some((inner, behind)) = after.split_once('}') {
            let end = inner.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
            let (name, default) = inner.split_at(end);
            let default = [":-", ":=", ":", "="].iter().find_map(|mark| default.strip_prefix(mark));
            match default {
                Some(default) => out.push_str(&format!("{name}:-{default}")),
                None => out.push_str(inner),
            }
            out.push('}');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// The names of the variables in a text: what stands behind `${`, if it begins with a letter or `_`.
pub(super) fn names(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for behind in text.split("${").skip(1) {
        let end = behind.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(behind.len());
        let name = behind.get(..end).unwrap_or_default();
        if !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The key of our configuration with this path.
fn key_at(schema: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == schema)
}

/// The path of a key in a section. A name that the user chooses is `*`.
fn inside(schema: &str, name: &str) -> String {
    let path = if schema.is_empty() { name.to_owned() } else { format!("{schema}.{name}") };
    if key_at(&path).is_some() { path } else { format!("{schema}.*") }
}

/// The path of the items of a list. Stages in a stage have the keys of stages.
fn items_of(schema: &str) -> String {
    match key_at(schema) {
        Some(key) if key.kind == "list of stages" => "stages[]".to_owned(),
        _ => format!("{schema}[]"),
    }
}

fn is_literal(schema: &str) -> bool {
    key_at(schema).is_some_and(|key| !expands(key))
}

/// Shows each text to `look`: its place, and whether it is taken as it is written.
fn texts<'n>(
    node: &'n Node,
    schema: &str,
    place: &str,
    literal: bool,
    look: &mut dyn FnMut(&str, bool, &'n str),
) {
    match &node.kind {
        Kind::Map(_) => {
            for (name, value) in entries(node) {
                let schema = inside(schema, name);
                texts(value, &schema, &format!("{place}.{name}"), literal || is_literal(&schema), look);
            }
        }
        Kind::Seq(list) => {
            let schema = items_of(schema);
            list.iter().for_each(|item| texts(item, &schema, place, literal, look));
        }
        Kind::Str(text) => look(place, literal, text),
        _ => {}
    }
}

/// Whether our configuration uses an environment variable.
pub(super) fn uses_variables(yaml: &str) -> bool {
    let mut uses = false;
    if let Ok(root) = yaml::document(yaml, "") {
        texts(&root, "", "", false, &mut |_, literal, text| uses |= !literal && !names(text).is_empty());
    }
    uses
}

/// The value of one of our keys, with variables in our form where they are expanded. `own_keys`: a key without a value counts
/// as not written.
pub(super) fn plain(value: &Node, own_keys: bool, schema: &str) -> Node {
    let kind = match &value.kind {
        Kind::Map(entries) => Kind::Map(
            entries
                .iter()
                .filter(|(_, value)| !own_keys || value.kind != Kind::Null)
                .map(|(key, value)| {
                    let schema = inside(schema, text(key).unwrap_or_default());
                    let value =
                        if is_literal(&schema) { value.clone() } else { plain(value, false, &schema) };
                    (key.clone(), value)
                })
                .collect(),
        ),
        Kind::Seq(items) => {
            let schema = items_of(schema);
            Kind::Seq(items.iter().map(|item| plain(item, false, &schema)).collect())
        }
        Kind::Str(text) => Kind::Str(variables(text)),
        kind => kind.clone(),
    };
    Node { kind, ..value.clone() }
}

impl Conversion {
    /// Tells of variables in what is written at `place`, the section `schema` of ours, where they are not expanded.
    pub(super) fn tell_of_variables(&mut self, depth: usize, place: &str, schema: &str, node: &Node) {
        let regex = get_text(node, "regex").unwrap_or_default();
        let group = |place: &str, name: &str| {
            let key = place.rsplit('.').next().unwrap_or_default();
            let named = || ["(?P<", "(?<"].iter().any(|open| regex.contains(&format!("{open}{name}>")));
            WITH_GROUPS.contains(&key) && named()
        };
        let mut told = Vec::new();
        texts(node, schema, place, false, &mut |place, literal, text| {
            let mut names = if literal { names(text) } else { Vec::new() };
            names.retain(|name| !group(place, name));
            if !names.is_empty() {
                told.push(unexpanded(place, &names));
            }
        });
        for note in told {
            self.tell(depth, &note);
        }
    }
}

/// Says that variables are not expanded, and what to do.
pub(super) fn unexpanded(place: &str, names: &[&str]) -> String {
    let named: Vec<String> = names.iter().map(|name| format!("${{{name}}}")).collect();
    format!(
        "{}: journal-ship expands no variables here: write the value of {} in its place",
        printable(place),
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_spelt_our_way() {
        for (theirs, ours) in [
            ("plain $1", "plain $1"),
            ("${HOST}", "${HOST}"),
            ("a${HOST:x}b${H2:-y}c", "a${HOST:-x}b${H2:-y}c"),
            ("${HOST:=x} ${HOST=y}", "${HOST:-x} ${HOST:-y}"),
            ("${URL:http://h:1/}", "${URL:-http://h:1/}"),
            ("${1}", "${1}"),
            ("open ${", "open ${"),
        ] {
            assert_eq!(variables(theirs), ours);
        }
    }

    #[test]
    fn variables_are_told_by_their_names() {
        for (text, expected) in [
            ("plain $1 $HOST", &[][..]),
            ("${HOST}", &["HOST"]),
            ("a${HOST:x}b${_H2:-${y}}c${HOST}", &["HOST", "_H2", "y"]),
            ("${1} ${2x} ${{ .Value }} ${", &[]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn variables_count_where_they_are_expanded() {
        for (yaml, uses) in [
            ("labels: {static: {a: '${X}'}}", true),
            ("labels: {static: {a: b}} # ${X}", false),
            ("labels: {relabel_configs: [{regex: '${X}', replacement: '${Y}', separator: '${Z}'}]}", false),
            ("labels: {relabel_configs: [{source_labels: ['${X}']}]}", true),
            ("stages: [{match: {selector: '${X}', stages: [{drop: {expression: '${X}'}}]}}]", false),
            ("stages: [{match: {selector: '${X}', stages: [{drop: {value: '${X}'}}]}}]", true),
            ("stages: [{json: {expressions: {a: '${X}'}}}]", false),
            ("stages: [{metrics: {value: {config: {value: '${X}'}}}}]", false),
            ("stages: [{metrics: {value: {description: '${X}'}}}]", true),
        ] {
            assert_eq!(uses_variables(yaml), uses, "{yaml}");
        }
    }
}
