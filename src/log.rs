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
/// person sits at the terminal. Returns who will read them.
pub fn init(reader: Reader, level: LevelFilter) -> Reader {
    let at_terminal = std::io::stderr().is_terminal();
    let journal = (reader == Reader::Journal && !at_terminal).then(JournalLog::new).and_then(Result::ok);
    let reader = if journal.is_some() { Reader::Journal } else { Reader::Person };
    let sink: Box<dyn Log> = match journal {
        Some(journal) => Box::new(journal),
        None => Box::new(StandardError),
    };
    // Only a second call can fail, and then the first one's choice stands.
    if log::set_boxed_logger(Box::new(OwnOnly(sink))).is_ok() {
        log::set_max_level(level);
    }
    reader
}

/// Lets only this program's own lines through. What libraries have to say comes back to us as errors;
/// some of them log each request, and the agent would ship that.
struct OwnOnly(Box<dyn Log>);

impl Log for OwnOnly {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_ascii_lowercase();
        // There is nowhere to complain to when standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "journal-ship: {level}: {}", record.args());
    }

    fn flush(&self) {}
}
