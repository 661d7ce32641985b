//! Saving the checkpoint: a task for each destination.
//!
//! While a checkpoint is being written, and for a moment after it, further acknowledgements are collected and written together.
//! So a slow disk does not slow down pushing. A full disk does not stop it either: saving is tried again until there is room.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::metrics::Account;
use crate::loki::checkpoint::Checkpoint;
use journald_reader::Resume;

/// If a checkpoint could not be saved, this is how long it takes until the next attempt, even if nothing new is acknowledged.
const AGAIN: Duration = Duration::from_secs(5);
/// The time between two saves. While a backlog is sent, something is acknowledged every few milliseconds, and each save has the disk
/// write for good. What is acknowledged within this time is sent again after a crash, so it is short.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes acknowledgements to the checkpoint file. Ends when no more can come, and the last one is saved or cannot be
/// saved.
pub(super) async fn save(account: Account, checkpoint: Checkpoint, mut latest: watch::Receiver<Resume>) {
    let name = account.destination();
    let (mut failing, mut ended, mut next) = (false, false, Instant::now());
    while !ended {
        match failing {
            false => ended = latest.changed().await.is_err(),
            true => {
                // When the time is up, it is worth another attempt.
                let changed = timeout(AGAIN, latest.changed()).await;
                ended = matches!(changed, Ok(Err(_)));
            }
        }
        if ended && !failing {
            return;
        }
        // The end comes when all pushing is over.
        let all = async { while latest.changed().await.is_ok() {} };
        ended |= timeout_at(next, all).await.is_ok();
        let resume = latest.borrow_and_update().clone();
        if let Some(cursor) = &resume.cursor {
            account.reached(cursor);
        }
        let file = checkpoint.clone();
        let saved = tokio::task::spawn_blocking(move || file.save(&resume)).await;
        next = Instant::now() + PAUSE;
        match saved {
            Ok(Ok(())) => {
                if std::mem::replace(&mut failing, false) {
                    log::info!("the checkpoint of loki `{name}` can be saved again");
                }
            }
            Ok(Err(error)) => {
                account.unsaved();
                if !std::mem::replace(&mut failing, true) {
                    log::error!(
                        "the checkpoint of loki `{name}` cannot be saved: {error}; shipping goes on and saving is tried \
                         again, but a restart now would send entries again"
                    );
                }
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}
