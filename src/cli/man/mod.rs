//! The man pages: journal-ship(8) of the arguments, and journal-ship.yaml(5) of the reference of the configuration.

mod roff;

use clap::{Arg, Command, CommandFactory, ValueEnum};

use super::args::Cli;
use roff::Roff;

/// What stands before the options, and behind the commands.
const BEFORE: &str = include_str!("before.md");
const BEHIND: &str = include_str!("behind.md");
/// The reference of the configuration.
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// A man page.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Page {
    /// The program: journal-ship(8)
    #[value(name = "journal-ship")]
    Program,
    /// Its configuration: journal-ship.yaml(5)
    #[value(name = "journal-ship.yaml")]
    Configuration,
}

/// The page as man(1) takes it.
pub(super) fn page(page: Page) -> String {
    match page {
        Page::Program => program(),
        Page::Configuration => {
            let mut roff = Roff::page(
                "journal-ship.yaml",
                "5",
                "configuration of journal-ship, /etc/journal-ship/config.yaml",
            );
            roff.section("DESCRIPTION");
            roff.markdown(REFERENCE);
            roff.section("SEE ALSO");
            roff.text("**journal-ship**(8), **systemd.time**(7), **systemd.journal-fields**(7)");
            roff.finish()
        }
    }
}

fn program() -> String {
    let mut cli = Cli::command();
    // Arguments of all commands, and values of `help`, are known only then.
    cli.build();
    let about = "ships the systemd journal to Grafana Loki, alerts on it, and answers queries of it";
    let mut roff = Roff::page("journal-ship", "8", about);
    roff.markdown(BEFORE);
    roff.section("OPTIONS");
    cli.get_arguments()
        .filter(|arg| arg.get_help_heading().is_none())
        .for_each(|arg| argument(&mut roff, arg));
    roff.section("OPTIONS OF --dry-run");
    cli.get_arguments()
        .filter(|arg| arg.get_help_heading().is_some())
        .for_each(|arg| argument(&mut roff, arg));
    roff.section("COMMANDS");
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(&mut roff, command, "");
    }
    roff.markdown(BEHIND);
    roff.finish()
}

/// A command with its options, and the commands in it.
fn describe(roff: &mut Roff, command: &Command, before: &str) {
    let mut inner = command.get_subcommands().filter(|command| command.get_name() != "help").peekable();
    let name = format!("{before}{}", command.get_name());
    if inner.peek().is_some() {
        return inner.for_each(|inner| describe(roff, inner, &format!("{name} ")));
    }
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
    let words: String =
        own().filter(|arg| arg.is_positional()).map(|arg| format!(" {}", shown(arg))).collect();
    roff.subsection(&format!("{name}{words}"));
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        roff.text(&format!("{about}."));
    }
    own().for_each(|arg| argument(roff, arg));
}

/// `-n, --lines <N>`, or `[NAME]`
fn shown(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_value_names().into_iter().flatten().map(|name| format!("<{name}>")).collect();
    let values = values.join(" ");
    if arg.is_positional() {
        let text = values.trim_matches(['<', '>']);
        return if arg.is_required_set() { text.to_owned() } else { format!("[{text}]") };
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let names = names.join(", ");
    match arg.get_action().takes_values() {
        true => format!("{names} {values}"),
        false => names,
    }
}

fn argument(roff: &mut Roff, arg: &Arg) {
    if arg.is_hide_set() {
        return;
    }
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match defaults.is_empty() || !arg.get_action().takes_values() {
        true => String::new(),
        false => format!(" (default `{}`)", defaults.join(" ")),
    };
    roff.tagged(&shown(arg), &format!("{help}{default}"));
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && values.iter().any(|value| value.get_help().is_some()) {
        roff.request(".RS");
        for value in values.iter().filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            roff.tagged(value.get_name(), &help);
        }
        roff.request(".RE");
    }
}
