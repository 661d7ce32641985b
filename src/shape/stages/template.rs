//! `template`: makes a value by a Go template.
//!
//! A template can use extracted values and labels. `.Value` is the old value of the source, and `.Entry` is the line. If the
//! result is empty, the value is removed.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, Value, may, source};
use crate::yaml::key::key;
use crate::yaml::{self, Checker, Finding, Key, Section};
use logql::go::template::{self, Template, promtail};

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].template", "section", ""),
    key("stages[].template.source", "string", "required"),
    key("stages[].template.template", "template", "required"),
];

/// `stages[].template`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The name of the value that it makes.
    pub source: String,
    /// The template.
    pub template: Compiled,
}

/// The text of a template, checked. Each thread parses it again, because a [`Template`] cannot leave its thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled(String);

impl Compiled {
    /// The text, if it is not empty.
    pub(super) fn unless_empty(self) -> Option<Compiled> {
        (!self.0.is_empty()).then_some(self)
    }

    /// Ready to be filled in.
    pub(super) fn template(&self) -> Option<Template> {
        Template::new(&self.0, promtail::function).ok()
    }
}

/// The keys that a template uses, each with its place in the text (bytes).
pub(super) fn fields(text: &str) -> Vec<(String, std::ops::Range<usize>)> {
    let Ok(template) = Template::new(text, promtail::function) else { return Vec::new() };
    let key = |used: template::Use<'_>| match used {
        template::Use::Keys("$", keys) => keys.first().map(|key| (*key).to_owned()),
        _ => None,
    };
    template.uses().into_iter().filter_map(|(used, at)| Some((key(used)?, at))).collect()
}

/// Reads a template's text.
pub(super) fn compiled(checker: &Checker<'_>, value: &yaml::Value<'_>) -> Option<Compiled> {
    let text = checker.raw(value, "a template")?;
    match Template::new(&text, promtail::function) {
        Ok(_) => Some(Compiled(text)),
        Err(error) => {
            let place = checker.inside(value, &text, Some(error.at));
            checker.note(
                Finding::at(place, format!("`{}`: {}", value.path, error.message))
                    .label("here")
                    .note("the language is Go's: https://pkg.go.dev/text/template"),
            );
            None
        }
    }
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &yaml::Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].template")?;
    let source = section.required(checker, value, "source", |value| source::source(checker, value));
    let template = section.required(checker, value, "template", |value| compiled(checker, value));
    Some(Settings { source: source?, template: template? })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn lint(written: &yaml::Value<'_>, may: &mut May<'_>) {
        if let Some(template) = may::get(written, "template") {
            may.have_keys(&template, &["Value", "Entry"]);
        }
        may.gain(may::get(written, "source").as_ref().and_then(may::text));
    }
}

/// The data of a template: all values as text, without those that are null.
pub(super) fn data(item: &Item) -> BTreeMap<String, template::Value> {
    let values = item.extracted.iter();
    values.filter_map(|(name, value)| Some((name.to_owned(), value.text()?.as_ref().into()))).collect()
}

thread_local! {
    /// The templates of this thread by their text, so that each is parsed once.
    static READY: std::cell::RefCell<std::collections::HashMap<String, Rc<Template>>> = Default::default();
}

impl Compiled {
    /// Fills it in.
    pub(super) fn fill(&self, data: BTreeMap<String, template::Value>) -> Result<String, String> {
        let ready = READY.with_borrow_mut(|ready| match ready.get(&self.0) {
            Some(template) => Some(template.clone()),
            None => {
                let template = Rc::new(self.template()?);
                ready.insert(self.0.clone(), template.clone());
                Some(template)
            }
        });
        let template = ready.ok_or("the template cannot be read")?;
        template
            .fill(&template::Value::Map(std::sync::Arc::new(data)), &[])
            .map_err(|error| error.to_string())
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "template"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let mut data = data(item);
        if let Some(value) = data.get(&self.source).cloned() {
            data.insert("Value".to_owned(), value);
        }
        data.insert("Entry".to_owned(), item.line.as_str().into());
        match self.template.fill(data) {
            Ok(text) if text.is_empty() => item.extracted.remove(&self.source),
            Ok(text) => item.extracted.set(&self.source, Value::Text(text)),
            Err(why) => context.fail("template", || why),
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, one_stage, refusal};
    use super::*;

    #[test]
    fn values_are_made() {
        for (template, before, after) in [
            ("{{ .Value }}!", Some("a"), Some("a!")),
            ("{{ .Value }}!", None, Some("<no value>!")),
            ("{{ .Entry | ToUpper }}", None, Some("LINE")),
            ("{{ .unit }}", None, Some("u.service")),
            ("const", Some("a"), Some("const")),
            ("{{ if false }}x{{ end }}", Some("a"), None),
            ("{{ .Value | Replace \"a\" \"b\" -1 }}", Some("a"), Some("a")),
        ] {
            let quoted = template.replace('\'', "''");
            let mut stage = one_stage(&format!("template: {{source: v, template: '{quoted}'}}"));
            let mut item = item("line", &[("unit", "u.service")]);
            if let Some(before) = before {
                item.extracted.set("v", before.into());
            }
            let mut context = Context::default();
            assert_eq!(stage.run(&mut item, &mut context), Flow::Next);
            assert_eq!(item.extracted.text("v").as_deref(), after, "{template}");
            assert_eq!(context.failed.contains_key("template"), template.contains("-1"), "{template}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (written, part) in [
            ("{template: x}", "has no `source`"),
            ("{source: x}", "has no `template`"),
            ("{source: x, template: '{{ .a'}", "not closed by `}}`"),
            ("{source: x, template: '{{ ToLowr .a }}'}", "did you mean `ToLower`"),
        ] {
            let text = refusal(&format!("template: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
