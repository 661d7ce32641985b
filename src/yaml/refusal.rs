//! Why a rule refuses a text.

/// Why a rule refuses a text. The [`Checker`](super::Checker) adds the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What is wrong: the title of the message.
    pub(super) what: String,
    /// What was expected: beside the carets.
    pub(super) expected: String,
    /// What to do, if there is more to say.
    pub(super) help: Option<String>,
}

impl Refusal {
    /// Without help.
    pub(crate) fn new(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), help: None }
    }

    /// With help.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Holds a rule to names that it takes, and to names that it refuses with a part of the answer.
#[cfg(test)]
#[track_caller]
pub(crate) fn check_rule(rule: fn(&str) -> Result<(), Refusal>, good: &[&str], bad: &[(&str, &str)]) {
    for name in good {
        assert_eq!(rule(name), Ok(()), "{name}");
    }
    for (name, part) in bad {
        let text = format!("{:?}", rule(name).expect_err(name));
        assert!(text.contains(part), "{name}: {text}");
    }
}
