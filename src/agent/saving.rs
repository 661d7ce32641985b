//! Saving the checkpoint: a task for each destination.
//!
//! Acknowledgements that come while one is being written are written together, so a slow disk does not slow the
//! pushing. A disk that is full does not stop it either: saving is tried again until there is room.

use std::time::Duration;

use tokio::sync::watch;

use super::metrics::Account;
use crate::loki::checkpoint::Checkpoint;
use journald_reader::Resume;

/// A checkpoint that could not be saved is tried again this often, though nothing new is acknowledged.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the checkpoint file up with the acknowledgements, until no more can come and the last is saved or
/// cannot be.
pub(super) async fn save(account: Account, checkpoint: Checkpoint, mut latest: watch::Receiver<Resume>) {
    let name = account.destination();
    let (mut failing, mut ended) = (false, false);
    while !ended {
        match failing {
            false => ended = latest.changed().await.is_err(),
            true => {
                // The time only says that it is worth another try.
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
            // The runtime is going down.
            Err(_) => return,
        }
    }
}
