//! The program's own log: to the journal when it runs as a service, to standard error for a person.
//!
//! The agent ships its own lines like everyone's. So nothing is ever logged per entry or per batch: one
//! line would beget the next.

use std::io::{IsTerminal, Write};

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;

/// Who will read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever looks after the service.
    Journal,
    /// The person who called the program.
    Person,
}

/// Starts logging. Messages above `level` in verbosity are not written.
///
/// For [`Reader::Journal`] journald gets the lines with their level, when its socket is there and no
/// person sits at the terminal.
pub fn init(reader: Reader, level: LevelFilter) {
    let at_terminal = std::io::stderr().is_terminal();
    let journal = (reader == Reader::Journal && !at_terminal).then(JournalLog::new).and_then(Result::ok);
    let installed = match journal {
        Some(journal) => journal.install(),
        None => log::set_logger(&StandardError),
    };
    // Only a second call can fail, and then the first one's choice stands.
    if installed.is_ok() {
        log::set_max_level(level);
    }
}

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries' chatter is of no use to whoever runs this program.
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            // There is nowhere to complain to when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "journal-ship: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}
