//! Decides when batches are read: as soon as the request can't continue without them.
//!
//! The HTTP layer runs an operation through [`BatchScheduler::drive`], which detects when the
//! operation stalls: it was polled, is pending, and has not been woken since. Once it has stalled
//! and no earlier batch is still being read, all open batches are read concurrently. This makes
//! batches as large as possible without timers or counting yields. While batches are read, the
//! request itself is not polled until one of them has its result. A batch that is added outside of
//! `drive` is never read, so loaders check [`BatchScheduler::is_driving`].
//!
//! A request that computes for long yields its thread after each [`TIME_SLICE`]: the code that
//! resolves objects calls [`BatchScheduler::yield_if_due`] before each of them.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// How long a request may compute before it yields its thread.
const TIME_SLICE: Duration = Duration::from_millis(5);

/// The reference point for the start times of slices.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Schedules the batches of one request. Cheap to clone.
#[derive(Clone, Default)]
pub struct BatchScheduler(Arc<State>);

#[derive(Default)]
struct State {
    pending: Mutex<Vec<Batch>>,
    /// When the current slice began, in nanoseconds since [`EPOCH`].
    slice_began: AtomicU64,
    is_slice_over: AtomicBool,
    is_driving: AtomicBool,
}

/// Reads a batch and distributes its results.
type Batch = BoxFuture<'static, ()>;

impl BatchScheduler {
    /// Adds a batch, to be read when the request stalls.
    pub fn enqueue(&self, batch: Batch) {
        self.0.pending.lock().push(batch);
    }

    /// Checks the clock. If the current slice is over, [`Self::yield_if_due`] will yield.
    pub fn check_time_slice(&self) {
        let began = Duration::from_nanos(self.0.slice_began.load(Ordering::Relaxed));
        if EPOCH.elapsed().saturating_sub(began) > TIME_SLICE {
            self.0.is_slice_over.store(true, Ordering::Relaxed);
        }
    }

    /// Yields the thread if [`Self::check_time_slice`] found the current slice to be over.
    pub async fn yield_if_due(&self) {
        std::future::poll_fn(|context| {
            if self.0.is_slice_over.load(Ordering::Relaxed) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Whether a request is being run.
    #[must_use]
    pub fn is_driving(&self) -> bool {
        self.0.is_driving.load(Ordering::Relaxed)
    }

    fn begin_slice(&self) {
        let now = u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.slice_began.store(now, Ordering::Relaxed);
        self.0.is_slice_over.store(false, Ordering::Relaxed);
    }

    /// Runs a request, and reads the batches of its loaders whenever it stalls.
    pub async fn drive<F: Future>(&self, request: F) -> F::Output {
        self.0.is_driving.store(true, Ordering::Relaxed);
        // Breaks a reference cycle: a pending batch holds its loader's context, which holds this
        // scheduler.
        let _end = EndDriving(&self.0);
        let mut request = pin!(request);
        let mut reading = FuturesUnordered::new();
        let wake_flag = Arc::new(WakeFlag { is_woken: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&wake_flag));
        std::future::poll_fn(|context| {
            wake_flag.task.register(context.waker());
            self.begin_slice();
            loop {
                if self.0.is_slice_over.load(Ordering::Relaxed) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if wake_flag.is_woken.swap(false, Ordering::AcqRel) {
                    if let Poll::Ready(output) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Poll::Ready(output);
                    }
                    continue;
                }
                if reading.is_empty() {
                    let mut pending = self.0.pending.lock();
                    reading.extend(std::mem::take(&mut *pending));
                }
                // A completed batch has woken the request.
                if !matches!(reading.poll_next_unpin(context), Poll::Ready(Some(()))) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Drops the pending batches of a request that ends or is cancelled, and accepts no more.
struct EndDriving<'a>(&'a State);

impl Drop for EndDriving<'_> {
    fn drop(&mut self) {
        self.0.is_driving.store(false, Ordering::Relaxed);
        let pending = std::mem::take(&mut *self.0.pending.lock());
        // Dropped after the lock is released, because dropping a batch runs other code.
        drop(pending);
    }
}

/// Wakes a request's task, and records that it was the request that was woken, not a batch.
struct WakeFlag {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::Notify;

    use super::*;

    /// A batch that holds a reference and never completes.
    fn batch(held: &Arc<()>) -> Batch {
        let held = Arc::clone(held);
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(held);
        })
    }

    #[tokio::test]
    async fn pending_batches_are_dropped_with_their_request() {
        let (scheduler, held) = (BatchScheduler::default(), Arc::new(()));
        scheduler.drive(async { scheduler.enqueue(batch(&held)) }).await;
        assert_eq!(Arc::strong_count(&held), 1, "the request ended first");

        let go_on = Notify::new();
        let mut request = Box::pin(scheduler.drive(async {
            scheduler.enqueue(batch(&held));
            go_on.notified().await;
            scheduler.enqueue(batch(&held));
            std::future::pending::<()>().await;
        }));
        assert!(poll!(request.as_mut()).is_pending());
        go_on.notify_one();
        assert!(poll!(request.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&held), 3, "one is being read, and one is pending");
        drop(request);
        assert_eq!(Arc::strong_count(&held), 1, "the request was cancelled");
    }
}
