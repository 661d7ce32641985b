//! How soon an entry is there: a real journald writes, a tail follows it. Shown are, in milliseconds, the time from
//! when journald received an entry until it was handed on, while the journal is busy; and, for lonely entries, the time from
//! journald's announcement, which comes up to 250 ms after it has written.
//!
//! `cargo bench --bench follow` (as root); nothing fails here: on a busy machine these are times of the machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a benchmark stops at the first surprise

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use journald_reader::{Keys, Scope, Start, Tail, Waker};
use rustix::fs::inotify;

use support::journald::{Bulk, Journald, Transport};

/// Entries while the journal is busy, and how many of them come in a second.
const BUSY: (u64, u32) = (2_000, 200);
/// The first of them, which do not count (count): that the journal is busy is known from journald's first announcement.
const BEGINNING: usize = 100;
/// Lonely entries, and the pause between them: longer than a file counts as being written to.
const LONELY: (u32, Duration) = (20, Duration::from_millis(900));

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
