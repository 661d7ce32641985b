//! What is said when nothing was found: where it was looked for, and how much was read.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::cli::answer::{fail, say};
use crate::os::when;
use crate::query::{Progress, QueryError};
use journald_reader::{Keys, OpenError, Scope, Start, Tail, Waker};

/// Places that are named (count); of others it is said only how many there are.
const PLACES_MAX: usize = 3;

/// Says that nothing was found, where, and what was read. `of_them` says how many of the entries that were read were chosen, and
/// what else helps. Where there is no journal at all, that is said instead.
pub(super) fn nothing(scope: &Scope, read: &Progress, of_them: &str) -> ExitCode {
    let entries = entries(read.entries);
    said(scope, |last| {
        let ended = last.filter(|last| *last < read.span.0).and_then(time);
        let ended = ended.map_or(String::new(), |last| format!("; the last entry there is of {last}"));
        format!(" {}: {entries} read{of_them}{ended}", span(read))
    })
}

/// As [`nothing`], of what has no span.
pub(super) fn nothing_at_all(scope: &Scope) -> ExitCode {
    said(scope, |_| ": there is no entry".to_owned())
}

/// Says where nothing was found, and the rest, which may depend on when the last entry there was written.
fn said(scope: &Scope, rest: impl FnOnce(Option<u64>) -> String) -> ExitCode {
    match files(scope) {
        Ok((files, last)) => {
            let rest = rest(last);
            say(&format!("nothing found in {}{rest}", place(scope, files)));
        }
        Err(error) => return fail(&error),
    }
    ExitCode::FAILURE
}

/// How many files there are to read, and when their last entry was written (realtime, microseconds).
fn files(scope: &Scope) -> Result<(usize, Option<u64>), QueryError> {
    let scope = Scope { matches: Vec::new(), ..scope.clone() };
    // The end is enough to see that they are there.
    let mut tail = Tail::open(&scope, Keys::default(), Start::Realtime(u64::MAX), Waker::none())?;
    let files = tail.files();
    match files.growing + files.finished {
        0 => Err(OpenError::nothing(&scope, Vec::new()).into()),
        files => Ok((files, tail.time_of_last(1, None))),
    }
}

/// The places that were searched, and how many files they have.
fn place(scope: &Scope, files: usize) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let names: Vec<_> = scope.paths.iter().take(PLACES_MAX).map(|path| path.display().to_string()).collect();
    match (names.is_empty(), scope.paths.len() - names.len()) {
        (true, _) => format!("this machine's journal ({files})"),
        (false, 0) => format!("{} ({files})", names.join(", ")),
        (false, more) => format!("{} and {more} more ({files})", names.join(", ")),
    }
}

/// So many entries, with their verb.
fn entries(count: u64) -> String {
    if count == 1 { "1 entry was".to_owned() } else { format!("{count} entries were") }
}

/// The time that was searched.
fn span(read: &Progress) -> String {
    let (from, to) = read.span;
    match (from, time(from), time(to)) {
        (0, _, Some(to)) => format!("up to {to}"),
        (_, Some(from), Some(to)) => format!("from {from} to {to}"),
        _ => "at any time".to_owned(),
    }
}

/// A time (realtime, microseconds) for a person. `None` where no calendar has it.
fn time(micros: u64) -> Option<String> {
    let time = Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()?;
    Some(time.to_zoned_datetime(when::local_zone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_and_counted() {
        let of = |paths: &[&str], files| {
            place(&Scope::of(paths.iter().map(Into::into).collect::<Vec<_>>()), files)
        };
        assert_eq!(of(&[], 12), "this machine's journal (12 files)");
        assert_eq!(of(&["/a/x.journal"], 1), "/a/x.journal (1 file)");
        assert_eq!(of(&["/a", "/b", "/c", "/d", "/e"], 7), "/a, /b, /c and 2 more (7 files)");
        assert_eq!([entries(0), entries(1), entries(2)], ["0 entries were", "1 entry was", "2 entries were"]);
    }
}
