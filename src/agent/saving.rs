//! Saving the checkpoint: a task for each destination.
//!
//! While a checkpoint is being written, further acknowledgements are collected and written together. So a slow disk does
//! not slow down pushing. A full disk does not stop it either: saving is tried again until there is room.

use std::time::Duration;

use tokio::sync::watch;

use super::metrics::Account;
use crate::loki::checkpoint::Checkpoint;
use journald_reader::Resume;

/// If a checkpoint could not be saved, this is how long it takes until the next attempt, even if nothing new is acknowledged.
const AGAIN: Duration = Duration::from_secs(5);

/// Writes acknowledgements to the checkpoint file. Ends when no more can come, and the last one is saved or cannot be
/// saved.
pub(super) async fn save(account: Account, checkpoint: Checkpoint, mut latest: watch::Receiver<Resume>) {
    let name = account.destination();
    let (mut failing, mut ended) = (false, false);
    while !ended {
        match failing {
            false => ended = latest.changed().await.is_err(),
            true => {
                // When the time is up, it is worth another attempt.
                let changed = tokio::time::timeout(AGAIN, latest.changed()).await;
                ended = matches!(changed, Ok(Err(_)));
            }
        }
        if ended && !failing {
            return;
        }
        let resume = latest.borrow_and_update().clone();
        if let Some(cursor) = &resume.cursor {
            account.reached(cursor);
        }
        let file = checkpoint.clone();
        match tokio::task::spawn_blocking(move || file.save(&resume)).await {
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
