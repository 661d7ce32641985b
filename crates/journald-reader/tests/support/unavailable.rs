//! How a test says that a part cannot run here.

use std::io::Write;
use std::path::Path;

/// The top of the project, from whichever of its packages the tests are.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).expect("the top of the project")
}

/// Why a real part cannot run on this machine: no root, no namespaces, a program missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says, past the harness's capture, that a test did not run: `SKIPPED <test>: <reason>`, on one line.
/// `./test` counts these lines, so a machine that cannot run a test never looks like one that passed it.
pub fn skipped(test: &str, why: &Unavailable) {
    // On one core the harness leaves "test NAME ... " open, hence the newline before it.
    let line = format!("\nSKIPPED {test}: {}\n", why.0.trim().replace('\n', " "));
    // One write: lines of parallel tests do not mix. print! and eprint! would be captured.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The value, or the end of the test with a `SKIPPED` line: `let j = or_skip!(Journald::start());`
macro_rules! or_skip {
    ($what:expr) => {
        match $what {
            Ok(value) => value,
            Err(why) => {
                let thread = std::thread::current();
                $crate::support::skipped(thread.name().unwrap_or(module_path!()), &why);
                return;
            }
        }
    };
}
pub(crate) use or_skip;
