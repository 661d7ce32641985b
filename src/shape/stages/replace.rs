//! `replace`: replaces what the groups of a regular expression find, in the line or in a value.
//!
//! The replacement is a template. It is filled in for each group, and `.Value` is the text of the group. Named groups also
//! become values, which hold the replacement. An expression without a group would replace nothing, so it is refused.

use super::template::{Compiled, compiled, data};
use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, Value, may, source};
use crate::yaml::key::key;
use crate::yaml::{self, Checker, Finding, Key, Section, quoted};
use logql::go::re2::Re2;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].replace", "section", ""),
    key("stages[].replace.expression", "regular expression", "required"),
    key("stages[].replace.source", "string", "null"),
    key("stages[].replace.replace", "template", "\"\""),
];

/// `stages[].replace`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The expression.
    pub expression: Re2,
    /// The value to work on. `None`: the line.
    pub source: Option<String>,
    /// The replacement.
    pub replace: Option<Compiled>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &yaml::Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].replace")?;
    let expression = section.required(checker, value, "expression", |value| {
        let expression = checker.regex(value, Re2::new)?;
        if expression.capture_names().count() < 2 {
            checker.note(
                Finding::at(value.place(), format!("`{}` replaces nothing", value.path))
                    .label("expected a group around what is to be replaced")
                    .help("put it in parentheses: `token=(\\S+)`; what stands outside of groups stays"),
            );
            return None;
        }
        Some(expression)
    });
    let (mut source, mut replace) = (None, None);
    section.read("source", &mut source, |value| source::source(checker, value).map(Some));
    section.read("replace", &mut replace, |value| {
        references(checker, value);
        compiled(checker, value).map(Compiled::unless_empty)
    });
    Some(Settings { expression: expression?, source, replace })
}

/// Warns of `$1`, `${1}`, `${name}` and `\\1`. Each group is replaced by itself, without the text of other groups.
fn references(checker: &Checker<'_>, value: &yaml::Value<'_>) {
    let yaml::Kind::Str(text) = &value.node.kind else { return };
    let found = text.char_indices().find_map(|(start, c)| {
        // In an action, `$name` is a variable of the template.
        let action = text
            .get(..start)?
            .rfind("{{")
            .is_some_and(|open| !text.get(open..start).unwrap_or_default().contains("}}"));
        let rest = text.get(start + 1..).filter(|_| matches!(c, '$' | '\\') && !action)?;
        let inner = rest.strip_prefix('{').filter(|_| c == '$');
        let name = inner.unwrap_or(rest);
        let digits = name.chars().take_while(char::is_ascii_digit).count();
        let word = name.chars().take_while(|c| *c == '_' || c.is_ascii_alphanumeric()).count();
        let length = match inner {
            Some(_) => (word > 0 && name.get(word..)?.starts_with('}')).then_some(word + 2),
            None => (digits > 0).then_some(digits),
        };
        Some(start..start + 1 + length?)
    });
    if let Some(place) = found {
        let written = text.get(place.clone()).unwrap_or_default();
        checker.warn(
            Finding::at(checker.inside(value, text, Some(place.clone())), format!("{} is not a group here", quoted(written)))
                .label("this text is put into the line as it is written")
                .help(
                    "each group is replaced by this text, what is outside of groups stays; `{{ .Value }}` is what a group has found: \
                     `{expression: 'token=(\\S+)', replace: '***'}`",
                ),
        );
    }
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn lint(written: &yaml::Value<'_>, may: &mut May<'_>) {
        may.have_source(written);
        may.gain_groups(written);
        if let Some(template) = may::get(written, "replace") {
            may.have_keys(&template, &["Value"]);
        }
    }
}

impl Settings {
    /// The text with all groups replaced, and the replacements of the named groups of the first match.
    fn replaced(&self, text: &str, item: &Item) -> Result<Option<Replaced>, String> {
        let mut out = String::new();
        let mut done = 0;
        let mut found = false;
        let mut made: Vec<(String, String)> = Vec::new();
        for captures in self.expression.captures_iter(text) {
            found = true;
            for group in captures.iter().skip(1).flatten() {
                let new = match &self.replace {
                    Some(template) => {
                        let mut data = data(item);
                        data.insert("Value".to_owned(), group.as_str().into());
                        template.fill(data)?
                    }
                    None => String::new(),
                };
                // A group inside another group that was replaced is skipped.
                if done == 0 || done <= group.start() {
                    out.push_str(text.get(done..group.start()).unwrap_or_default());
                    out.push_str(&new);
                    done = group.end();
                }
                made.push((group.as_str().to_owned(), new));
            }
        }
        if !found {
            return Ok(None);
        }
        out.push_str(text.get(done..).unwrap_or_default());
        let first = self.expression.captures(text);
        let named = self.expression.capture_names().flatten().filter_map(|name| {
            let found = first.as_ref()?.name(name)?.as_str();
            let (_, new) = made.iter().rev().find(|(old, _)| old == found)?;
            Some((name.to_owned(), new.clone()))
        });
        Ok(Some(Replaced { named: named.collect(), text: out }))
    }
}

/// A text with its groups replaced, and the replacements of the named groups of the first match.
struct Replaced {
    text: String,
    named: Vec<(String, String)>,
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "replace"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let text = match &self.source {
            None => item.line.clone(),
            Some(source) => match item.extracted.text(source) {
                Some(text) => text.into_owned(),
                None => {
                    context.fail("replace", || format!("there is no value `{source}`"));
                    return Flow::Next;
                }
            },
        };
        match self.replaced(&text, item) {
            Ok(None) => {}
            Ok(Some(Replaced { text, named })) => {
                match &self.source {
                    None => item.line = text,
                    Some(source) => item.extracted.set(source, Value::Text(text)),
                }
                for (name, value) in named {
                    item.extracted.set(&name, Value::Text(value));
                }
            }
            Err(why) => context.fail("replace", || why),
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, one_stage, refusal};
    use super::*;

    #[test]
    fn groups_are_replaced() {
        for (stage, line, expected) in [
            ("{expression: '( port \\d+)', replace: ''}", "from 1.2.3.4 port 42 [x]", "from 1.2.3.4 [x]"),
            ("{expression: '( port \\d+)'}", "a port 42", "a"),
            (
                "{expression: 'lvl=(\\w+)', replace: '<{{ .Value }}>'}",
                "lvl=error x lvl=info",
                "lvl=<error> x lvl=<info>",
            ),
            (
                "{expression: '(\"[A-Z]+ [^\"]*\")', replace: '{{ .Value | ToLower }}'}",
                "\"GET /A\" x",
                "\"get /a\" x",
            ),
            ("{expression: '(\\d+)-(\\d+)', replace: '#'}", "1-2 3-4", "#-# #-#"),
            ("{expression: '((a)b)', replace: 'X'}", "xab", "xX"),
            ("{expression: 'nomatch(x)', replace: 'y'}", "abc", "abc"),
            (
                "{expression: '(?P<ip>\\d+\\.\\d+\\.\\d+)\\.\\d+', replace: '***'}",
                "at 198.51.100.7 x",
                "at ***.7 x",
            ),
            ("{expression: '(b)', replace: '{{ .unit }}'}", "abc", "au.servicec"),
        ] {
            let mut running = one_stage(&format!("replace: {stage}"));
            let mut item = item(line, &[("unit", "u.service")]);
            assert_eq!(running.run(&mut item, &mut Context::default()), Flow::Next);
            assert_eq!(item.line, expected, "{stage}");
            let ip = stage.contains("<ip>").then_some("***");
            assert_eq!(item.extracted.text("ip").as_deref(), ip, "{stage}");
        }
    }

    #[test]
    fn a_value_is_replaced_and_the_line_is_not() {
        let mut stage = one_stage("replace: {source: ua, expression: '(curl)', replace: CURL}");
        let mut item = item("curl", &[]);
        item.extracted.set("ua", "curl/8".into());
        stage.run(&mut item, &mut Context::default());
        assert_eq!((item.line.as_str(), item.extracted.text("ua").as_deref()), ("curl", Some("CURL/8")));
    }

    #[test]
    fn what_stands_as_it_is_written_is_told() {
        for (replace, written) in [
            ("$1=***", "`$1` is not a group"),
            ("x${1}", "`${1}` is not a group"),
            ("${user}", "`${user}` is not a group"),
            ("a \\1", "`\\1` is not a group"),
            ("$12", "`$12` is not a group"),
            ("{{ .Value }}$1", "`$1`"),
            ("***", ""),
            ("5$", ""),
            ("$ 1", ""),
            ("$x", ""),
            ("{{ $x := .Value }}{{ $x }}", ""),
            ("C:\\dir", ""),
        ] {
            let source = format!("stages: [{{replace: {{expression: '(a)', replace: '{replace}'}}}}]\n");
            let (_, found) = crate::config::Config::examine_text(&source, "f", &|_| None).unwrap();
            let found = found.render(false);
            assert_eq!(written.is_empty(), found.is_empty(), "{replace}: {found}");
            assert!(found.contains(written), "{replace}: {found}");
        }
    }

    #[test]
    fn what_cannot_replace_is_refused() {
        for (written, part) in [
            ("{replace: x}", "has no `expression`"),
            ("{expression: '('}", "not a regular expression"),
            ("{expression: '(a)', replace: '{{ x }}'}", "no function"),
            ("{expression: '(a)', source: ''}", "is empty"),
            ("{expression: 'token=\\S+', replace: 'token=***'}", "replaces nothing"),
            ("{expression: 'token=(?:\\S+)', replace: 'x'}", "expected a group around"),
            ("{expression: 'a\\(b\\)'}", "replaces nothing"),
            ("{expression: ''}", "replaces nothing"),
        ] {
            let text = refusal(&format!("replace: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
