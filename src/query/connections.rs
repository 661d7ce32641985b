//! The connections of a listener: who has shown that they may ask keeps a place, and who has not gives way.
//!
//! Anybody may connect. A stranger who took all places and said nothing would keep everybody out until the time for headers is
//! over, and could do so again and again.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// Connections at a time (count).
const CONNECTIONS_MAX: usize = 64;
/// How long a connection keeps its place without a request that is allowed, when all places are taken. A client sends its
/// request at once; a handshake of TLS takes two ways there and back.
const SILENT_MAX: Duration = Duration::from_secs(1);

/// Whether a connection has sent a request that is allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    /// It has.
    pub(super) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

/// The connections that are open, oldest first. Dropping it ends them, and their queries.
#[derive(Debug, Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: VecDeque<(AbortHandle, Known, Instant)>,
}

impl Connections {
    /// Waits until there is a place for one more.
    pub(super) async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.open.retain(|(task, ..)| !task.is_finished());
            if self.open.len() < CONNECTIONS_MAX {
                return;
            }
            let mut silent = self.open.iter().enumerate().filter(|(_, (_, known, _))| !known.0.load(Relaxed));
            let Some((index, until)) = silent.next().map(|(index, (.., since))| (index, *since + SILENT_MAX))
            else {
                self.tasks.join_next().await;
                continue;
            };
            if until <= Instant::now() {
                if let Some((task, ..)) = self.open.remove(index) {
                    task.abort();
                }
                return;
            }
            // One may end before.
            drop(tokio::time::timeout_at(until, self.tasks.join_next()).await);
        }
    }

    /// Adds a connection: what it does, given the word by which it becomes known.
    pub(super) fn add<F>(&mut self, talk: impl FnOnce(Known) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let known = Known::default();
        let task = self.tasks.spawn(talk(known.clone()));
        self.open.push_back((task, known, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens connections that say nothing, and says whether there is room for one more before this much time has passed.
    async fn has_room(count: usize, known: bool, within: Duration) -> bool {
        let mut connections = Connections::default();
        for _ in 0..count {
            connections.add(|word| {
                if known {
                    word.set();
                }
                std::future::pending()
            });
        }
        tokio::time::timeout(within, connections.make_room()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_give_way_and_the_known_stay() {
        let (soon, late) = (SILENT_MAX / 2, SILENT_MAX * 2);
        for (count, known, within, room) in [
            (CONNECTIONS_MAX - 1, true, soon, true),
            (CONNECTIONS_MAX, false, soon, false),
            (CONNECTIONS_MAX, false, late, true),
            (CONNECTIONS_MAX, true, Duration::from_secs(3600), false),
        ] {
            assert_eq!(has_room(count, known, within).await, room, "{count}, known: {known}, {within:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_ends_makes_room_for_others() {
        let mut connections = Connections::default();
        for n in 0..CONNECTIONS_MAX as u64 {
            connections.add(|word| async move {
                word.set();
                tokio::time::sleep(Duration::from_secs(10 + n)).await;
            });
        }
        let begun = Instant::now();
        connections.make_room().await;
        assert_eq!(begun.elapsed().as_secs(), 10);
    }
}
