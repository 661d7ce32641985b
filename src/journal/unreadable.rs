//! Why no journal can be read, in the reader's words, and which of our keys and options choose one.

use std::fmt;

use journald_reader::OpenError;

/// Shows the error, and what else can be read.
pub(crate) fn told(error: &OpenError) -> impl fmt::Display {
    Told(error)
}

struct Told<'e>(&'e OpenError);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if matches!(self.0, OpenError::Unreadable(_)) && !self.0.is_denied() {
            write!(f, " A copy of a journal is read with `--path FOLDER` or `journal.paths`")?;
        }
        Ok(())
    }
}
