//! While something takes long: how far it is, on standard error, and Ctrl-C.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::query::Progress;

/// Nothing is shown of what takes less than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// The exit status after a second Ctrl-C (128 and the signal's number, as shells have it).
const EXIT_INTERRUPTED: i32 = 130;
/// The parts of a bar (count).
const PARTS: u64 = 1000;

/// A bar on standard error, if that is a terminal. It is gone when the work is done.
pub(super) struct Bar {
    begin: Instant,
    bar: Option<ProgressBar>,
}

impl Bar {
    pub(super) fn new() -> Bar {
        Bar { begin: Instant::now(), bar: None }
    }

    /// Shows how far reading is.
    pub(super) fn show(&mut self, progress: &Progress) {
        let elapsed = self.begin.elapsed();
        let Some(bar) = self.bar() else { return };
        let (from, to) = progress.span;
        let share = progress.at.saturating_sub(from) as f64 / to.saturating_sub(from).max(1) as f64;
        // A span without a beginning says nothing of how far reading is.
        let share = if from == 0 { 0.0 } else { share.clamp(0.0, 1.0) };
        bar.set_position((share * PARTS as f64) as u64);
        let rate = (progress.entries as f64 / elapsed.as_secs_f64()) as u64;
        let left = left(share, elapsed).map(|left| format!(", {left}")).unwrap_or_default();
        bar.set_message(format!("{} entries, {rate} a second{left}", progress.entries));
    }

    /// Shows what is being done where reading stands.
    pub(super) fn tell(&mut self, message: String) {
        if let Some(bar) = self.bar() {
            bar.set_message(message);
        }
    }

    /// The bar, once it is time for one.
    fn bar(&mut self) -> Option<&ProgressBar> {
        if self.begin.elapsed() < PATIENCE {
            return None;
        }
        Some(self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                bar.set_style(style);
            }
            bar
        }))
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How long the rest will take, if a share of the work took so long; `None` while too little is done to tell.
fn left(share: f64, elapsed: Duration) -> Option<String> {
    /// With less than this done, what is left may be anything.
    const SHARE_MIN: f64 = 0.02;
    if share < SHARE_MIN {
        return None;
    }
    let seconds = (elapsed.as_secs_f64() * (1.0 - share) / share).ceil() as u64;
    Some(match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s left"),
        (minutes, seconds) => format!("{minutes} min {seconds} s left"),
    })
}

/// A flag that the first Ctrl-C sets; the second ends the program.
///
/// # Errors
/// When the system refuses a thread or a signal handler.
pub(super) fn interrupt() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut interrupts = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        runtime.block_on(async {
            interrupts.recv().await;
            flag.store(true, Relaxed);
            interrupts.recv().await;
        });
        std::process::exit(EXIT_INTERRUPTED);
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_what_is_done() {
        let rows = [
            (0.0, 5, None),
            (0.01, 5, None),
            (0.5, 5, Some("5 s left")),
            (0.25, 60, Some("3 min 0 s left")),
            (0.1, 10, Some("1 min 30 s left")),
            (1.0, 10, Some("0 s left")),
        ];
        for (share, elapsed, expected) in rows {
            assert_eq!(left(share, Duration::from_secs(elapsed)).as_deref(), expected, "{share}");
        }
    }
}
