//! `output`: makes an extracted value the line.

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Section, Value};

/// The keys of the stage.
pub(super) const KEYS: &[Key] =
    &[key("stages[].output", "section", ""), key("stages[].output.source", "string", "required")];

/// `stages[].output`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    source: String,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].output")?;
    let source = source::required(checker, value, &section, "source")?;
    Some(Settings { source: source::name(checker, source)? })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        may.have_source(written);
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "output"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        match item.extracted.text(&self.source) {
            Some(text) => item.line = text.into_owned(),
            None => context.fail("output", || source::missing(&self.source)),
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, refused, run};
    use super::*;
    use crate::shape::stages::Value as Extracted;

    #[test]
    fn the_value_becomes_the_line() {
        for (source, line, failures) in [
            ("text", "new", 0),
            ("empty", "", 0),
            ("number", "1500", 0),
            ("unit", "u", 0),
            ("nul", "old", 1),
            ("nosuch", "old", 1),
        ] {
            let mut item = item("old", &[("unit", "u")]);
            item.extracted.set("text", "new".into());
            item.extracted.set("empty", "".into());
            item.extracted.set("number", Extracted::Number(1.5e3));
            item.extracted.set("nul", Extracted::Null);
            let (flow, context) = run(&format!("[{{output: {{source: {source}}}}}]"), &mut item);
            assert_eq!((flow, item.line.as_str()), (Flow::Next, line), "{source}");
            assert_eq!(context.failed.get("output").copied().unwrap_or_default(), failures, "{source}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{output: }]", &["`stages[0].output` has no `source`"]),
            ("[{output: {source: }}]", &["`stages[0].output.source` has no value"]),
            ("[{output: {source: ''}}]", &["the name is empty"]),
            ("[{output: text}]", &["cannot be a string"]),
        ]);
    }
}
