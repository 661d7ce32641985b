//! Messages to the person who called, and the exit status of the program.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::os::text::{Block, clip, without_codes};
use crate::yaml::Diagnostics;

/// Exit status when the configuration is invalid (sysexits.h, `EX_CONFIG`): a unit does not restart on it.
const EXIT_CONFIG: u8 = 78;
/// Exit status when the arguments do not go together; clap ends with the same.
const EXIT_USAGE: u8 = 2;
/// The longest message to the person who called (bytes).
const MESSAGE_MAX: usize = 16 << 10;

/// Writes to standard output. When nobody reads it any more, that is not a failure.
pub(super) fn print(text: &str) -> ExitCode {
    quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))
}

/// The status after writing to standard output. When nobody reads it any more, that is not a failure.
pub(super) fn quiet_pipe(result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: standard output cannot be written: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

pub(super) fn invalid(diagnostics: &Diagnostics) -> ExitCode {
    show(diagnostics);
    ExitCode::from(EXIT_CONFIG)
}

pub(super) fn show(diagnostics: &Diagnostics) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // The status is the same if standard error is closed.
    let _ = io::stderr().write_all(diagnostics.render(colour).as_bytes());
}

pub(super) fn usage(message: &str) -> ExitCode {
    say(&format!("error: {message}"));
    ExitCode::from(EXIT_USAGE)
}

pub(super) fn fail(error: &dyn std::error::Error) -> ExitCode {
    say(&format!("error: {error}"));
    ExitCode::FAILURE
}

/// Shows a message to the person who called. It may repeat the content of a file, so it is made safe, and cut if it is too
/// long.
pub(super) fn say(message: &str) {
    let text = clip(&without_codes(message), MESSAGE_MAX);
    let _ = writeln!(io::stderr(), "journal-ship: {}", Block { text: &text, indent: "    " });
}
