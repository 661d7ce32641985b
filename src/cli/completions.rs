//! Completions for shells: clap's, and what the journal has to ask for, which the program tells the shell.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::args::Cli;

const NAME: &str = env!("CARGO_PKG_NAME");
const BASH: &str = include_str!("completions/bash.sh");
const ZSH: &str = include_str!("completions/zsh.sh");
/// The name of the words for zsh.
const WORDS: &str = "matches";
/// How completions in zsh begin to describe what the program takes.
const ARGUMENTS: &str = "_arguments \"${_arguments_options[@]}\"";
const FISH: &str = include_str!("completions/fish.fish");

/// The script for a shell.
pub(super) fn of(shell: Shell) -> String {
    let generated = |mut command: Command| {
        let mut out = Vec::new();
        clap_complete::generate(shell, &mut command, NAME, &mut out);
        String::from_utf8(out).unwrap_or_default()
    };
    let command = Cli::command();
    match shell {
        // Of a name with a hyphen, clap_complete writes the names of commands in two ways (4.6), so that none is found.
        Shell::Bash => generated(command).replace("journal__subcmd__ship", "journal__ship") + BASH,
        Shell::Zsh => zsh(&generated(command.mut_arg("words", |words| words.long(WORDS)))),
        Shell::Fish => generated(command) + FISH,
        _ => generated(command),
    }
}

/// zsh takes a word in front of the subcommands for one of them. So it is generated as an option, and taken out again.
fn zsh(generated: &str) -> String {
    let is_words = |line: &&str| line.contains(&format!("--{WORDS}="));
    let lines: String =
        generated.lines().filter(|line| !is_words(line)).flat_map(|line| [line, "\n"]).collect();
    let text = lines
        // Options behind a subcommand are the subcommand's, also where the program has some of the same name.
        .replacen(ARGUMENTS, &format!("{ARGUMENTS} -A '-*'"), 1)
        .replace(&format!(" --{WORDS}"), "")
        .replace(":UNIT:_default", ":UNIT:_journal-ship_units")
        .replace("autoload -U is-at-least\n", &format!("autoload -U is-at-least\n{ZSH}"));
    completed(&text, &[("name", "_labels"), ("selector", "_streams"), ("words", "_streams")])
}

/// Lets functions of ours complete words of zsh, each by its name.
fn completed(text: &str, words: &[(&str, &str)]) -> String {
    let line = |line: &str| {
        let function = words.iter().find(|(word, _)| {
            line.trim_start_matches(['\'', ':', '*'])
                .strip_prefix(word)
                .is_some_and(|rest| rest.starts_with(" -- "))
        });
        match function {
            Some((_, function)) => line.replace(":_default'", &format!(":_journal-ship{function}'")),
            None => line.to_owned(),
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}
