//! A caller's turn to use a connection of the pool.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::concurrency::FairPermit;
use crate::domain::access::callers::Caller;

/// The longest pause after a turn.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// A turn, which ends when it is dropped, or after a pause.
pub(super) struct Turn {
    permit: Option<FairPermit<Option<Caller>>>,
    /// When it began, if a pause follows.
    pauses_since: Option<Instant>,
}

impl Turn {
    /// Begins a turn.
    pub(super) fn new(permit: FairPermit<Option<Caller>>) -> Self {
        Self { permit: Some(permit), pauses_since: None }
    }

    /// Begins a turn of low priority: the next one can begin only after a pause of the same length,
    /// at most [`MAX_PAUSE`]. PostgreSQL does not know priorities, so it is left to others for half
    /// of the time.
    #[cfg(feature = "postgres")]
    pub(super) fn with_pause(permit: FairPermit<Option<Caller>>) -> Self {
        Self { permit: Some(permit), pauses_since: Some(Instant::now()) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let (Some(begin), Some(permit), Ok(runtime)) =
            (self.pauses_since, self.permit.take(), Handle::try_current())
        {
            let pause = begin.elapsed().min(MAX_PAUSE);
            runtime.spawn(async move {
                sleep(pause).await;
                drop(permit);
            });
        }
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::concurrency::FairSemaphore;

    #[tokio::test]
    async fn only_a_turn_of_low_priority_is_followed_by_a_pause() {
        let semaphore = FairSemaphore::new(1);
        drop(Turn::new(semaphore.acquire(None).await));
        let permit = semaphore.acquire(None).now_or_never().unwrap();
        drop(Turn::with_pause(permit));
        assert!(semaphore.acquire(None).now_or_never().is_none());
        semaphore.acquire(None).await;
    }
}
