//! How soon an entry is there: a real journald writes, a tail follows it. Shown are, in milliseconds, the time from
//! when journald received an entry until it was handed on, while the journal is busy; and, for lonely entries, the time from
//! journald's announcement, which comes up to 250 ms after it has written. Then the built program ships a thousand entries a
//! second as they are written: shown are its share of a core, its memory, and the time from journald's receipt to the request.
//!
//! `cargo bench --bench follow` (as root); nothing fails here: on a busy machine these are times of the machine.
//! `JOURNAL_SHIP_BENCH_SECONDS` says how long the program is watched (60), `JOURNAL_SHIP_BENCH_BINARY` names another build of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a benchmark stops at the first surprise

#[path = "support/mod.rs"]
#[allow(dead_code)] // what other benches use
mod bench;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use journald_reader::{Keys, Scope, Start, Tail, Waker};
use rustix::fs::inotify;

use bench::process::Process;
use bench::sink::Sink;
use support::agent::PROGRAM;
use support::journald::{Bulk, Journald, Transport};

/// Entries while the journal is busy, and how many of them come in a second.
const BUSY: (u64, u32) = (2_000, 200);
/// The first of them, which do not count (count): that the journal is busy is known from journald's first announcement.
const BEGINNING: usize = 100;
/// Lonely entries, and the pause between them: longer than a file counts as being written to.
const LONELY: (u32, Duration) = (20, Duration::from_millis(900));

/// Entries of each unit in a second, and the units, while the program is watched.
const STEADY: (u32, u64) = (200, 5);
/// So long after its start it is not watched yet: its first requests are small.
const WARMING: Duration = Duration::from_secs(5);

fn main() {
    let mut out = io::stdout().lock();
    if std::env::args().all(|argument| argument != "--bench") {
        let _ = writeln!(io::stderr(), "nothing measured: run this with `cargo bench --bench follow`");
        return;
    }
    let journald = match Journald::start() {
        Ok(journald) => journald,
        Err(missing) => {
            let _ = writeln!(io::stderr(), "SKIPPED: {}", missing.0);
            return;
        }
    };
    let open = || {
        let mut keys = Keys::default();
        keys.add_all();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let start = Start::Realtime(now.as_micros() as u64);
        Tail::open(&Scope::of([journald.dir()]), keys, start, Waker::new().unwrap()).unwrap()
    };

    // One that waits is there, so that the file is.
    journald.send(&Bulk::new(Transport::Native, 1, 0).unit("bench.service"));
    journald.sync();
    let mut tail = open();
    let writer = journald
        .spawn_bulk(&Bulk::new(Transport::Native, BUSY.0, 1).unit("bench.service").per_second(BUSY.1));
    let mut times = Vec::new();
    while times.len() < BUSY.0 as usize {
        while let Some(entry) = tail.next_entry() {
            let written = Duration::from_micros(entry.cursor().realtime);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            times.push(now.saturating_sub(written));
        }
        tail.wait(Some(Instant::now() + Duration::from_secs(1))).unwrap();
    }
    drop(writer);
    times.drain(..BEGINNING);
    show(&mut out, "busy: from its writing to its handing on", times);

    let announcements = announcements(&journald);
    let mut times = Vec::new();
    let mut tail = open();
    for n in 0..LONELY.0 {
        std::thread::sleep(LONELY.1);
        let _ = announcements.try_iter().count();
        journald.send_native(&[("MESSAGE", format!("lonely {n}").as_bytes())]);
        while tail.next_entry().is_none() {
            tail.wait(Some(Instant::now() + Duration::from_secs(1))).unwrap();
        }
        let handed_on = Instant::now();
        let told = announcements.recv_timeout(Duration::from_secs(1)).unwrap();
        times.push(handed_on.saturating_duration_since(told));
    }
    show(&mut out, "lonely: from its announcement to its handing on", times);
    drop(tail);
    steady(&mut out, &journald);
}

/// The program, with its defaults, while units write at a steady pace.
fn steady(out: &mut impl Write, journald: &Journald) {
    let seconds = std::env::var("JOURNAL_SHIP_BENCH_SECONDS").map_or(60, |text| text.parse().unwrap());
    let watched = Duration::from_secs(seconds);
    let sink = Sink::start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.yaml");
    let text = format!(
        "journal: {{paths: [{:?}], backfill: 0}}\nloki: [{{url: {:?}}}]\nstate_directory: {:?}\nhttp: {{listen: null}}\n",
        journald.dir(),
        sink.url(),
        home.path().join("state"),
    );
    std::fs::write(&config, text).unwrap();
    let binary = std::env::var_os("JOURNAL_SHIP_BENCH_BINARY").unwrap_or_else(|| PROGRAM.into());
    let mut process =
        Process::start(Command::new(binary).arg("--config").arg(&config).stdin(Stdio::null())).unwrap();
    let (rate, units) = STEADY;
    let entries = (watched + 2 * WARMING).as_secs() * u64::from(rate);
    let writers = (0..units).map(|n| {
        let bulk = Bulk::new(Transport::Native, entries, n).unit(&format!("steady-{n}.service"));
        journald.spawn_bulk(&bulk.per_second(rate))
    });
    let writers = writers.collect::<Vec<_>>();
    std::thread::sleep(WARMING); // what is looked at is what happens in a time
    let before = process.sample().unwrap().unwrap();
    sink.delays();
    std::thread::sleep(watched);
    let after = process.sample().unwrap().unwrap();
    let times = sink.delays();
    drop(writers);
    let share = (after.cpu - before.cpu).as_secs_f64() / (after.wall - before.wall).as_secs_f64();
    writeln!(
        out,
        "steady: {:.0} entries a second, {:.2} % of a core, {:.1} MB at most",
        times.len() as f64 / watched.as_secs_f64(),
        100.0 * share,
        after.peak_bytes as f64 / 1e6
    )
    .unwrap();
    show(out, "steady: from its writing to its request", times);
}

/// When journald tells of writes.
fn announcements(journald: &Journald) -> mpsc::Receiver<Instant> {
    let (sender, receiver) = mpsc::channel();
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, journald.files_dir(), inotify::WatchFlags::MODIFY).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&watch, &mut buffer);
        while reader.next().is_ok() && sender.send(Instant::now()).is_ok() {}
    });
    receiver
}

fn show(out: &mut impl Write, what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1000].as_secs_f64() * 1000.0;
    writeln!(
        out,
        "{what}: {} entries, median {:.1} ms, 99 % {:.1} ms, highest {:.1} ms",
        times.len(),
        at(500),
        at(990),
        at(1000)
    )
    .unwrap();
}
