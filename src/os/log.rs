//! The program's own log: to the journal when it runs as a service, to standard error for a person.
//!
//! The agent ships its own lines, too. So nothing is ever logged for each entry or each batch: shipping a line would make
//! the next line.

use std::io::{IsTerminal, Write};

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;

use crate::os::text::{Block, clip, without_codes};

/// The longest message that is written (bytes). Some messages repeat what a file or a server says; all that a person needs
/// stands at their beginning.
const MESSAGE_MAX: usize = 16 << 10;
/// Every line of a message but the first begins with this.
const GOES_ON: &str = "    ";

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
/// For [`Reader::Journal`], journald gets the lines with their level, if its socket exists and standard error is not a
/// terminal. Returns who will read the log.
pub fn init(reader: Reader, level: LevelFilter) -> Reader {
    let at_terminal = std::io::stderr().is_terminal();
    let journal = (reader == Reader::Journal && !at_terminal).then(JournalLog::new).and_then(Result::ok);
    let reader = if journal.is_some() { Reader::Journal } else { Reader::Person };
    let sink: Box<dyn Log> = match journal {
        Some(journal) => Box::new(journal),
        None => Box::new(StandardError),
    };
    // Only a second call can fail. Then the choice of the first call stays.
    if log::set_boxed_logger(Box::new(OwnOnly(sink))).is_ok() {
        log::set_max_level(level);
    }
    reader
}

/// The packages of this program, as they name themselves in a log record's target.
const OWN_PACKAGES: [&str; 3] = [env!("CARGO_CRATE_NAME"), "journald_reader", "logql"];

/// Lets only the lines of this program through. Libraries report their failures to us as errors; some of them also log
/// each request, and the agent would ship those lines. Messages may repeat what strangers wrote, so they are made safe
/// here, and cut at [`MESSAGE_MAX`].
struct OwnOnly(Box<dyn Log>);

impl Log for OwnOnly {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let package = metadata.target().split("::").next().unwrap_or_default();
        OWN_PACKAGES.contains(&package) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = clip(&without_codes(&record.args().to_string()), MESSAGE_MAX);
        let message = Block { text: &text, indent: GOES_ON };
        self.0.log(&record.to_builder().args(format_args!("{message}")).build());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Keeps messages.
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Log for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    #[test]
    fn messages_are_safe_and_bounded_and_only_ours() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let log = OwnOnly(Box::new(Kept(kept.clone())));
        let long = "x".repeat(250_000);
        for (target, message) in [
            (module_path!(), "a server says \u{1b}[2J\u{202e}\njournal-ship: all is well"),
            (module_path!(), &long),
            ("hyper::client", "not ours"),
        ] {
            log.log(&Record::builder().target(target).args(format_args!("{message}")).build());
        }
        let kept = kept.lock().unwrap();
        assert_eq!(kept[0], "a server says \\u{1b}[2J\\u{202e}\n    journal-ship: all is well");
        assert_eq!(kept[1].len(), MESSAGE_MAX + "…".len());
        assert_eq!(kept.len(), 2);
    }
}
