//! The places of queries: some run, others wait for their turn, and what is more is refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::api::Reply;

/// Queries that wait for a place (count): a large dashboard asks for about so many at once. Each holds a connection and its
/// parameters, and half of a listener's connections have to be left to those who need no place. Loki has 2,048
/// (grafana/loki, `pkg/lokifrontend/frontend/v1/frontend.go`, `max-outstanding-requests-per-tenant`).
const WAITING_MAX: usize = 32;
/// What Loki says of one more (`frontend.go`, too, `errTooManyRequest`).
const TOO_MANY: &str = "too many outstanding requests";

/// The places of queries.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: Semaphore,
    /// How long one waits at most.
    patience: Duration,
}

impl Places {
    /// So many places, for each of which others wait so long.
    pub(super) fn new(count: usize, patience: Duration) -> Places {
        Places { free: Arc::new(Semaphore::new(count)), waiting: Semaphore::new(WAITING_MAX), patience }
    }

    /// Takes a place, at once or when its turn comes. Whoever asks no more leaves the queue: nothing of it is kept when this is
    /// dropped.
    ///
    /// # Errors
    /// The reply to one that may not wait, or has waited in vain.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, Reply> {
        // Those who wait come before: a place that gets free is theirs.
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Ok(place);
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(Reply::text(429, TOO_MANY));
        };
        match timeout(self.patience, self.free.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Reply::text(
                504,
                format!(
                    "no query before this one ended within {:?}: ask for less at a time, or raise query.concurrent",
                    self.patience
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{FutureExt, join_all};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn status<T>(taken: Result<T, Reply>) -> u16 {
        taken.err().map_or(200, |reply| reply.status)
    }

    #[tokio::test(start_paused = true)]
    async fn some_wait_and_one_more_is_refused_at_once() {
        let places = Places::new(1, PATIENCE);
        let held = places.take().await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(places.take())).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert_eq!(places.take().now_or_never().map(status), Some(429));
        // One goes, and another may wait.
        waiting.pop();
        let mut late = Box::pin(places.take());
        assert!(late.as_mut().now_or_never().is_none());
        assert_eq!(places.take().now_or_never().map(status), Some(429));
        // The places are taken in turn; nobody comes before those who wait.
        drop(held);
        assert_eq!(places.take().now_or_never().map(status), Some(429));
        let first = waiting.remove(0).now_or_never().map(status);
        assert_eq!(first, Some(200));
        assert!(late.as_mut().now_or_never().is_none());
        let all = join_all(waiting.into_iter().map(|one| one.map(status))).await;
        assert_eq!(all, [200; WAITING_MAX - 2]);
        assert_eq!(late.now_or_never().map(status), Some(200));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let places = Places::new(1, PATIENCE);
        let held = places.take().await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(status(places.take().await), 504);
        assert_eq!(begun.elapsed(), PATIENCE);
        drop(held);
        assert_eq!(status(places.take().await), 200);
    }
}
