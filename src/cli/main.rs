//! journal-ship: the systemd journal to Grafana Loki.

use std::process::ExitCode;

fn main() -> ExitCode {
    journal_ship::cli::main()
}
