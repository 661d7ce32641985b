//! How a benchmark of the built program begins: only `cargo bench` measures, and what went wrong is said in a line.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::support::Error;

/// Runs a benchmark of this name.
pub(crate) fn main(name: &str, run: impl FnOnce() -> Result<ExitCode, Error>) -> ExitCode {
    // `cargo test --all-targets` runs benchmarks too, unoptimised and without this argument.
    if env::args().all(|argument| argument != "--bench") {
        let _ = writeln!(io::stderr(), "nothing measured: run this with `cargo bench --bench {name}`");
        return ExitCode::SUCCESS;
    }
    run().unwrap_or_else(|error| {
        // Nothing is left to be done when standard error is closed too.
        let _ = writeln!(io::stderr(), "{name}: {error}");
        ExitCode::FAILURE
    })
}

/// The program that is measured: the one just built, or the one that `JOURNAL_SHIP_BENCH_BINARY` names.
pub(crate) fn program() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_journal-ship"));
    env::var_os("JOURNAL_SHIP_BENCH_BINARY").map_or_else(built, PathBuf::from)
}

/// The folder in which journals of benchmarks are kept.
pub(crate) fn journals() -> Result<PathBuf, Error> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no path")?;
    Ok(target.join("bench-journal"))
}
