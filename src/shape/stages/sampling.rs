//! `sampling`: keeps a share of the entries. It is the same share each time; Promtail chooses at random.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, Setup, Stage};
use crate::shape::sample;
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Section, Value};

/// The default of `drop_counter_reason`.
const REASON: &str = "sampling_stage";

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].sampling", "section", ""),
    key("stages[].sampling.rate", "number", "required"),
    key("stages[].sampling.drop_counter_reason", "string", "sampling_stage"),
];

/// `stages[].sampling`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The share that is kept, 0 to 1.
    pub rate: f64,
    /// The reason under which other entries are counted.
    pub reason: Arc<str>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].sampling")?;
    let rate = section.required(checker, value, "rate", |value| checker.number(value, &(0.0..=1.0)));
    let mut reason = String::new();
    section.read("drop_counter_reason", &mut reason, |value| checker.text(value, "a string"));
    let reason = if reason.is_empty() { REASON } else { &reason };
    Some(Settings { rate: rate?, reason: reason.into() })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "sampling"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        if sample::share(&item.cursor) < self.rate { Flow::Next } else { Flow::Drop(self.reason.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{one_stage, refusal};
    use super::*;
    use journald_reader::Cursor;

    #[test]
    fn the_share_is_kept_and_the_rest_is_counted() {
        for (rate, least, most) in [("0", 0, 0), ("0.25", 200, 300), ("1", 1000, 1000)] {
            let mut stage = one_stage(&format!("sampling: {{rate: {rate}, drop_counter_reason: noise}}"));
            let kept = (0..1000).filter(|n| {
                let cursor = Cursor { realtime: *n, ..Cursor::default() };
                let mut item = Item { cursor, ..Item::default() };
                match stage.run(&mut item, &mut Context::default()) {
                    Flow::Next => true,
                    flow => {
                        assert_eq!(flow, Flow::Drop("noise".into()));
                        false
                    }
                }
            });
            assert!((least..=most).contains(&kept.count()), "{rate}");
        }
    }

    #[test]
    fn the_reason_is_promtails_unless_written() {
        for written in ["{rate: 0}", "{rate: 0, drop_counter_reason: ''}"] {
            let mut stage = one_stage(&format!("sampling: {written}"));
            let flow = stage.run(&mut Item::default(), &mut Context::default());
            assert_eq!(flow, Flow::Drop("sampling_stage".into()), "{written}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for (written, part) in [
            ("{}", "has no `rate`"),
            ("{rate: 1.5}", "0 to 1"),
            ("{rate: x}", "0 to 1"),
            ("{rates: 1}", "did you mean `rate`"),
        ] {
            let text = refusal(&format!("sampling: {written}"));
            assert!(text.contains(part), "{written}: {text}");
        }
    }
}
