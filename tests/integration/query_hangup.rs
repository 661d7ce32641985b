//! A query whose client has gone: it ends within 100 ms of its own work, whatever it was busy with.
//!
//! Processor time is measured, and not the clock on the wall, because other tests run beside this one.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::query_api::Asked;
use crate::query_hostile::{RANGE, begin, bulky, form, long_logs, long_metric};
use crate::support::fixtures::ExportEntry;
use crate::support::journald::wait_until;
use crate::support::or_skip;

/// What a query may still do when nobody waits for its answer any more.
const STILL: Duration = Duration::from_millis(100);

/// The thread of a query, as a folder of proc(5).
pub(crate) fn thread_of_a_query(agent: u32) -> Option<String> {
    let tasks = fs::read_dir(format!("/proc/{agent}/task")).ok()?.flatten();
    let mut folders = tasks.map(|task| task.path().display().to_string());
    folders.find(|folder| fs::read_to_string(format!("{folder}/comm")).is_ok_and(|name| name == "query\n"))
}

/// The processor time of a thread; `None`: it has ended.
fn spent(thread: &str) -> Option<Duration> {
    let text = fs::read_to_string(format!("{thread}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Long lines, which are looked through for a word that names a level.
fn long_lines() -> Vec<ExportEntry> {
    let now = 1_795_240_800_000_000;
    let line = "a".repeat(100 << 10);
    (0..400).map(|n| ExportEntry::new(now + n).message(&line).field("_HOSTNAME", "h")).collect()
}

#[test]
fn a_query_ends_with_its_client() {
    let bulky = or_skip!(Asked::over(&bulky(), "concurrent: 1"));
    let recorded = or_skip!(Asked::start("concurrent: 1"));
    let long_lines = or_skip!(Asked::over(&long_lines(), "concurrent: 1"));
    for (what, asked, query) in [
        ("lines that do not pass", &bulky, long_logs()),
        ("evaluations", &recorded, long_metric()),
        ("long lines", &long_lines, form(r#"{job=~".+"} != `b`"#, "limit=1")),
    ] {
        let agent = asked.agent.pid();
        // Bytes behind a request keep hyper from noticing that its client has gone.
        for (after, behind) in
            [(100, ""), (300, ""), (100, "\r\n"), (100, "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")]
        {
            let after = Duration::from_millis(after);
            let mut stream = begin(asked, RANGE, &query);
            stream.write_all(behind.as_bytes()).unwrap();
            let mut thread = String::new();
            wait_until("the query runs", || {
                thread = thread_of_a_query(agent).unwrap_or_default();
                spent(&thread).is_some_and(|spent| spent >= after)
            });
            let (before, begun) = (spent(&thread).unwrap_or_default(), Instant::now());
            drop(stream);
            let mut last = before;
            wait_until("it ends", || spent(&thread).inspect(|now| last = *now).is_none());
            let still = last.saturating_sub(before);
            println!(
                "{what}, after {after:?} and {behind:?}: {still:?} of work, {:?} of time",
                begun.elapsed()
            );
            assert!(still <= STILL, "{what}, after {after:?} and {behind:?}: {still:?}");
        }
    }
}
