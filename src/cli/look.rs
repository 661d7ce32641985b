//! How entries look: for a person on a terminal, or for a program; with colours or without.

use std::io::{self, IsTerminal};

use clap::ValueEnum;

use crate::shape::shown::Look;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always, for example for `| less -R`: entries look as on a terminal
    Always,
    /// Never
    Never,
}

impl Color {
    /// How entries look on standard output.
    pub(super) fn look(self) -> Look {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        // https://no-color.org
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        self.look_on(io::stdout().is_terminal(), plain)
    }

    /// The same for an output that is a terminal or not. `plain`: the environment asks for no colours.
    fn look_on(self, terminal: bool, plain: bool) -> Look {
        match self {
            Color::Always => Look::Person { colours: true },
            Color::Auto if terminal => Look::Person { colours: !plain },
            Color::Never if terminal => Look::Person { colours: false },
            Color::Auto | Color::Never => Look::Stable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_they_are_asked_for() {
        let person = |colours| Look::Person { colours };
        for (color, terminal, plain, look) in [
            (Color::Auto, true, false, person(true)),
            (Color::Auto, true, true, person(false)),
            (Color::Auto, false, false, Look::Stable),
            (Color::Never, true, false, person(false)),
            (Color::Never, false, false, Look::Stable),
            (Color::Always, true, true, person(true)),
            (Color::Always, false, true, person(true)),
        ] {
            assert_eq!(color.look_on(terminal, plain), look, "{color:?} {terminal} {plain}");
        }
    }
}
