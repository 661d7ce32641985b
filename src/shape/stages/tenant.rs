//! `tenant`: chooses the tenant of an entry.

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, may, source};
use crate::shape::names;
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Kind, Section, Value, quoted};

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].tenant", "section", ""),
    key("stages[].tenant.label", "string", "null"),
    key("stages[].tenant.source", "string", "null"),
    key("stages[].tenant.value", "tenant", "null"),
];

/// `stages[].tenant`
#[derive(Debug, Clone, PartialEq)]
pub enum Settings {
    /// The tenant is the value of this label.
    Label(String),
    /// The tenant is this extracted value.
    Source(String),
    /// This is the tenant.
    Value(String),
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].tenant")?;
    let mut written = section.entries().filter(|(_, value)| value.node.kind != Kind::Null);
    let Some((name, chosen)) = written.next() else {
        checker.note(
            Finding::at(value.place(), format!("`{}` chooses no tenant", value.path))
                .label("expected one of `label`, `source` and `value`"),
        );
        return None;
    };
    for (_, other) in written {
        checker.note(
            Finding::at(other.key.clone(), format!("`{}` chooses twice", value.path))
                .label("expected one of `label`, `source` and `value`")
                .related(chosen.key.clone(), "the first choice"),
        );
    }
    match name {
        "label" => source::name(checker, chosen).map(Settings::Label),
        "source" => source::name(checker, chosen).map(Settings::Source),
        _ => checker.checked(chosen, "a string, the tenant", names::tenant).map(Settings::Value),
    }
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        may.have_source(written);
        if let Some(label) = may::get(written, "label") {
            may.have_label(&label, may::text(&label));
        }
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "tenant"
    }

    /// Without a value, the tenant stays the same. A value that Loki would not take as a tenant is not used, because Loki
    /// would refuse the whole batch.
    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let tenant = match &*self {
            Settings::Label(name) => item.labels.get(name).map(str::to_owned),
            Settings::Source(name) => item.extracted.text(name).map(|text| text.into_owned()),
            Settings::Value(tenant) => Some(tenant.clone()),
        };
        match tenant {
            None => {}
            Some(tenant) if tenant.is_empty() => {}
            Some(tenant) if names::tenant(&tenant).is_ok() => item.tenant = Some(tenant),
            Some(text) => context.fail("tenant", || format!("{} is not a valid tenant", quoted(&text))),
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
    fn the_tenant_is_chosen() {
        for (stages, tenant, failures) in [
            ("[{tenant: {value: team-a}}]", "team-a", 0),
            ("[{tenant: {label: job, source: }}]", "sys", 0),
            ("[{tenant: {source: job}}]", "sys", 0),
            // tenant_source of the recordings.
            ("[{json: {expressions: {ev: event}}}, {tenant: {source: ev}}]", "http", 0),
            ("[{tenant: {source: n}}]", "17", 0),
            // Labels as they are now, values as they were.
            ("[{static_labels: {job: new}}, {tenant: {label: job}}]", "new", 0),
            ("[{static_labels: {job: new}}, {tenant: {source: job}}]", "sys", 0),
            ("[{tenant: {label: none}}]", "before", 0),
            ("[{tenant: {source: none}}]", "before", 0),
            ("[{tenant: {source: nul}}]", "before", 0),
            ("[{tenant: {source: empty}}]", "before", 0),
            ("[{tenant: {source: bad}}]", "before", 1),
            ("[{tenant: {label: two}}]", "before", 1),
        ] {
            let mut item = item(r#"{"event": "http"}"#, &[("job", "sys"), ("two", "a|b")]);
            item.tenant = Some("before".into());
            item.extracted.set("n", Extracted::Number(17.0));
            item.extracted.set("nul", Extracted::Null);
            item.extracted.set("empty", "".into());
            item.extracted.set("bad", "../x y".into());
            let (flow, context) = run(stages, &mut item);
            assert_eq!((flow, item.tenant.as_deref()), (Flow::Next, Some(tenant)), "{stages}");
            assert_eq!(context.failed.get("tenant").copied().unwrap_or_default(), failures, "{stages}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{tenant: }]", &["`stages[0].tenant` chooses no tenant", "expected one of `label`"]),
            ("[{tenant: {value: }}]", &["chooses no tenant"]),
            ("[{tenant: {value: a, source: b}}]", &["chooses twice", "the first choice"]),
            ("[{tenant: {value: a b}}]", &["`a b` is not a valid tenant"]),
            ("[{tenant: {value: 5}}]", &["in quotes it is a string: '5'"]),
            ("[{tenant: {source: ''}}]", &["the name is empty"]),
            ("[{tenant: {label: [a]}}]", &["cannot be a list"]),
            ("[{tenant: {from: a}}]", &["unknown key"]),
        ]);
    }
}
