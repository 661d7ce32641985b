//! The program's own log: to the journal when it runs as a service, to standard error for a person.
//!
//! The agent ships its own lines, too. So nothing is ever logged for each entry or each batch: shipping a line would make
//! the next line.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;

use crate::os::text::{Block, clip, without_codes};

/// The longest message that is written (bytes). Some messages repeat what a file or a server says; all that a person needs
/// stands at their beginning.
const MESSAGE_MAX: usize = 16 << 10;
/// Messages that are remembered so that none is told again (count). Past it, they may be.
const TOLD_MAX: usize = 10_000;
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
/// terminal. For [`Reader::Person`], a message is told once. Returns who will read the log.
pub fn init(asked: Reader, level: LevelFilter) -> Reader {
    let at_terminal = std::io::stderr().is_terminal();
    let journal = (asked == Reader::Journal && !at_terminal).then(JournalLog::new).and_then(Result::ok);
    let reader = if journal.is_some() { Reader::Journal } else { Reader::Person };
    let sink: Box<dyn Log> = match journal {
        Some(journal) => Box::new(journal),
        None => Box::new(StandardError),
    };
    // What a person calls looks at the journal several times, and meets the same each time. A service may have to say again
    // what has come back.
    let told = (asked == Reader::Person).then(Mutex::default);
    // Only a second call can fail. Then the choice of the first call stays.
    if log::set_boxed_logger(Box::new(OwnOnly { sink, told })).is_ok() {
        log::set_max_level(level);
    }
    reader
}

/// The packages of this program, as they name themselves in a log record's target.
const OWN_PACKAGES: [&str; 3] = [env!("CARGO_CRATE_NAME"), "journald_reader", "logql"];

/// Lets only the lines of this program through. Libraries report their failures to us as errors; some of them also log
/// each request, and the agent would ship those lines. Messages may repeat what strangers wrote, so they are made safe
/// here, and cut at [`MESSAGE_MAX`].
struct OwnOnly {
    sink: Box<dyn Log>,
    /// The messages that were told, if none is told again.
    told: Option<Mutex<HashSet<u64, foldhash::fast::RandomState>>>,
}

impl OwnOnly {
    /// Whether this is to be told: it is new, or messages are told again.
    fn is_news(&self, text: &str) -> bool {
        let Some(told) = &self.told else { return true };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = told.hasher().hash_one(text);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert(hash)
    }
}

impl Log for OwnOnly {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let package = metadata.target().split("::").next().unwrap_or_default();
        OWN_PACKAGES.contains(&package) && self.sink.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = clip(&without_codes(&record.args().to_string()), MESSAGE_MAX);
        if !self.is_news(&text) {
            return;
        }
        let message = Block { text: &text, indent: GOES_ON };
        self.sink.log(&record.to_builder().args(format_args!("{message}")).build());
    }

    fn flush(&self) {
        self.sink.flush();
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
    use std::sync::Arc;

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
        let log = OwnOnly { sink: Box::new(Kept(kept.clone())), told: None };
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
    #[test]
    fn a_person_is_told_once_and_the_journal_each_time() {
        for (told, count) in [(Some(Mutex::default()), 2), (None, 4)] {
            let kept = Arc::new(Mutex::new(Vec::new()));
            let log = OwnOnly { sink: Box::new(Kept(kept.clone())), told };
            for message in ["a: no such file", "b: no such file", "a: no such file", "a: no such file"] {
                log.log(&Record::builder().target(module_path!()).args(format_args!("{message}")).build());
            }
            assert_eq!(kept.lock().unwrap().len(), count);
        }
    }
}
