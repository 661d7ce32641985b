//! Values at places in a JSON document, found as Loki finds them (github.com/grafana/jsonparser, `EachKey`): in one pass, in which
//! a text before a colon is a key, and all else may be anything. So a line that breaks off has what stands before that.

use std::borrow::Cow;

use super::json::{self, Bad, Json, NO_JSON, SPACE};
use crate::stage::JsonStep;

/// How deep places in lists in lists are looked for (count): each level calls itself.
const DEPTH_MAX: usize = 200;

/// Calls `visit` with the number of each path that leads somewhere, and the value there or what is wrong with it. An error without
/// a number is one of the whole text. Of equal keys the first counts.
pub(super) fn each<'t>(
    text: &'t str,
    paths: &[&[JsonStep]],
    visit: &mut dyn FnMut(Option<usize>, Result<Json<'t>, Bad>),
) {
    let paths = paths.iter().copied().enumerate().collect();
    Walk { text, at: 0, level: 0, trail: Vec::new(), paths, depth: 0, visit }.run();
}

struct Walk<'t, 'p, 'v> {
    text: &'t str,
    at: usize,
    /// How many braces and brackets are open (count). It is negative when the text closes more than it has opened.
    level: i64,
    /// The key that was met last on each level.
    trail: Vec<Cow<'t, str>>,
    /// Those that have led nowhere yet, with their numbers.
    paths: Vec<(usize, &'p [JsonStep])>,
    depth: usize,
    visit: &'v mut dyn FnMut(Option<usize>, Result<Json<'t>, Bad>),
}

impl<'t, 'p> Walk<'t, 'p, '_> {
    fn run(mut self) {
        while !self.paths.is_empty()
            && let Some(byte) = self.text.as_bytes().get(self.at)
        {
            let goes_on = match byte {
                b'"' => self.quoted(),
                b'[' => self.list(),
                byte => {
                    self.level += match byte {
                        b'{' => 1,
                        b'}' | b']' => -1,
                        _ => 0,
                    };
                    Some(())
                }
            };
            self.at += 1;
            if goes_on.is_none() {
                return;
            }
        }
    }

    fn rest(&self, at: usize) -> Option<&'t str> {
        self.text.get(at..)
    }

    /// A key or another text; `None`: nothing behind it can be found.
    fn quoted(&mut self) -> Option<()> {
        let (key, after) = json::text_end(self.rest(self.at + 1)?)?;
        let after = after.trim_start_matches(SPACE);
        let Some(value) = after.strip_prefix(':') else {
            // The loop goes on behind this place.
            self.at = self.text.len() - after.len() - 1;
            return (!after.is_empty()).then_some(());
        };
        self.at = self.text.len() - after.len();
        let key = json::unescape(key)?;
        let deepest = self.paths.iter().map(|(_, path)| path.len()).max()?;
        let Some(above) = usize::try_from(self.level - 1).ok() else {
            (self.visit)(None, Err(NO_JSON));
            return None;
        };
        if above >= deepest {
            return Some(());
        }
        self.trail.resize(above, Cow::default());
        self.trail.push(key);
        let trail = &self.trail;
        let leads = |path: &[JsonStep]| path.len() == trail.len() && follows(trail, path);
        for (number, _) in self.paths.extract_if(.., |(_, path)| leads(path)) {
            (self.visit)(Some(number), json::value(value).map(|(value, _)| value));
        }
        Some(())
    }

    /// A list: paths into it are followed, else it is passed over.
    fn list(&mut self) -> Option<()> {
        let Ok(level) = usize::try_from(self.level) else {
            (self.visit)(None, Err(NO_JSON));
            return None;
        };
        let trail = self.trail.get(..level.min(self.trail.len())).unwrap_or_default();
        let place = |path: &'p [JsonStep]| match path.split_at_checked(level)? {
            (before, [JsonStep::Index(place), behind @ ..])
                if trail.len() == level && follows(trail, before) =>
            {
                Some((*place, behind))
            }
            _ => None,
        };
        let wanted = |(number, path): &(usize, &'p [JsonStep])| Some((*number, place(path)?));
        let wanted: Vec<_> = self.paths.iter().filter_map(wanted).collect();
        if wanted.is_empty() {
            let (all, _) = json::block(self.rest(self.at)?, b'[', b']')?;
            self.at += all.len() - 1;
            return Some(());
        }
        self.level += 1;
        let mut rest = self.rest(self.at + 1)?.trim_start_matches(SPACE);
        for index in 0.. {
            if rest.starts_with(']') {
                break;
            }
            let Ok((value, after)) = json::value(rest) else { break };
            for (number, (_, behind)) in wanted.iter().filter(|(_, (place, _))| *place == index) {
                self.paths.retain(|(other, _)| other != number);
                self.inside(value, *number, behind);
            }
            rest = after.trim_start_matches(SPACE);
            match rest.strip_prefix(',') {
                Some(next) => rest = next.trim_start_matches(SPACE),
                None => break,
            }
        }
        // The loop goes on with the bracket.
        self.at = self.text.len() - rest.len() - 1;
        Some(())
    }

    /// Follows the rest of a path into an item of a list.
    fn inside(&mut self, value: Json<'t>, number: usize, path: &'p [JsonStep]) {
        match value {
            value if path.is_empty() => (self.visit)(Some(number), Ok(value)),
            Json::Object(text) | Json::List(text) if self.depth < DEPTH_MAX => {
                let paths = vec![(number, path)];
                let depth = self.depth + 1;
                Walk { text, at: 0, level: 0, trail: Vec::new(), paths, depth, visit: &mut *self.visit }
                    .run();
            }
            _ => {}
        }
    }
}

/// Whether a path begins with these keys.
fn follows(trail: &[Cow<'_, str>], path: &[JsonStep]) -> bool {
    trail.iter().zip(path).all(|(key, step)| matches!(step, JsonStep::Key(wanted) if wanted == key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `a.b`, `list.1`
    fn path(text: &str) -> Vec<JsonStep> {
        let step = |step: &str| match step.parse() {
            Ok(index) => JsonStep::Index(index),
            Err(_) => JsonStep::Key(step.to_owned()),
        };
        text.split('.').map(step).collect()
    }

    fn found(text: &str, paths: &str) -> String {
        let paths: Vec<_> = paths.split(' ').map(path).collect();
        let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        each(text, &paths, &mut |number, value| {
            let number = number.map_or_else(String::new, |number| number.to_string());
            found.push(match value {
                Ok(value) => format!("{number}={}", json::shown(value)),
                Err(why) => format!("{number}!{why}"),
            });
        });
        found.join("; ")
    }

    #[test]
    fn places() {
        for (text, paths, expected) in [
            (
                r#"{"a": 1, "b": {"c": "x", "d": [1, {"e": "f"}]}}"#,
                "a b.c b.d.1.e b.d.0",
                "0=1; 1=x; 3=1; 2=f",
            ),
            (r#"{"a": {"b": 1}, "b": 2}"#, "b a a.b", r#"1={"b": 1}; 2=1; 0=2"#),
            (r#"{"a": 1, "a": 2}"#, "a a", "0=1; 1=1"),
            (r#"{"x": {"b": 1}, "a": {"c": 2}, "b": 3}"#, "a.b", ""),
            (r#"[[1, 2], [3, {"a": [4]}]]"#, "1.1.a.0 0.1 0.5", "1=2; 0=4"),
            (r#"{"\u0061\"": "q\"\u00e9", "n": null}"#, "a\" n", "0=q\"é; 1="),
            // A list is a text with escapes, and an object is not.
            (
                r#"{"l": ["a\"b","c\td"], "o": {"a": "b\tc"}}"#,
                "l o",
                "0=[\"a\"b\",\"c\td\"]; 1={\"a\": \"b\\tc\"}",
            ),
            (r#"{"l": ["\x"], "s": "\x", "t": "\ud83d!"}"#, "l s t", "0=; 1=; 2="),
            // What breaks off has what stands before that.
            (
                r#"{"a": {"b": 1, "c": "x"#,
                "a.b a.c",
                "0=1; 1!Value is string, but can't find closing '\"' symbol",
            ),
            (r#"{"a": {"b": 1"#, "a", "0!Value looks like object, but can't find closing '}' symbol"),
            (r#"{"a": [1, 2"#, "a", "0!Value is array, but can't find closing ']' symbol"),
            (r#"{"a": [1, 2, {"b""#, "a.1 a.2", "0=2"),
            (r#"{"a": nope, "b": 1}"#, "a b", "0!Unknown value type; 1=1"),
            (r#"{"a": "#, "a", "0!Malformed JSON error"),
            (r#"{"a": [{"b": nope}]}"#, "a.0.b", "0!Unknown value type"),
            (r#"{"msg": "unterminated"#, "x", ""),
            // Keys count between braces only.
            (r#""a": 1"#, "a", "!Malformed JSON error"),
            (r#"{"a": 1} "b": 2"#, "a b", "0=1; !Malformed JSON error"),
            (r#"{"a": 1}} [1]"#, "b", "!Malformed JSON error"),
            (r#"{"a": 1} and text"#, "a b", "0=1"),
            (r#""text""#, "a", ""),
        ] {
            assert_eq!(found(text, paths), expected, "{text}");
        }
        let deep = 50_000;
        let index = vec!["0"; deep].join(".");
        assert_eq!(found(&("[".repeat(deep) + &"]".repeat(deep)), &index), "");
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "([{}\\[\\]:,\" ]|\\\\u[0-9a-d]{0,4}|[a-z0-9]{1,4}|\"[ab]\":|\\PC){0,40}") {
            found(&text, "a.b a.0.b 0.a b 1");
        }
    }
}
