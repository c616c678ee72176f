//! When batches are read: once the request that asks can't go on without them.
//!
//! The HTTP layer runs an operation through [`Turns::drive`], which sees when it stands still: it was polled, waits, and
//! nothing woke it meanwhile. Only then, and when no earlier batch is being read, the open batches are read, all at once. So a
//! batch is as large as it can be, and nobody waits by the clock or by counting yields. While batches are read, the request
//! itself is left alone: it is polled again when one of them has its answer. A loader that is asked outside of `drive` never
//! answers.
//!
//! A request that computes for long lets others have its thread after each [`SLICE`]: whoever
//! resolves objects asks [`Turns::slice`] before each of them.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::AtomicWaker;

/// How long a request may compute before it lets others have its thread.
const SLICE: Duration = Duration::from_millis(5);

/// The moment that slices are measured from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The turns of one request's batches. Cheap to clone.
#[derive(Clone, Default)]
pub struct Turns(Arc<State>);

#[derive(Default)]
struct State {
    waiting: Mutex<Vec<Batch>>,
    /// When the present slice began, in nanoseconds since [`EPOCH`].
    slice_began: AtomicU64,
    is_slice_over: AtomicBool,
}

/// The work of reading a batch and of handing out what was read.
type Batch = BoxFuture<'static, ()>;

impl Turns {
    /// Has a batch read when its turn comes.
    pub(super) fn enqueue(&self, batch: Batch) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }

    /// Looks at the clock: whether the present slice is over.
    pub fn check_slice(&self) {
        let began = Duration::from_nanos(self.0.slice_began.load(Ordering::Relaxed));
        if EPOCH.elapsed().saturating_sub(began) > SLICE {
            self.0.is_slice_over.store(true, Ordering::Relaxed);
        }
    }

    /// Ready at once, or after others have had the thread where the slice was found to be over.
    pub async fn slice(&self) {
        std::future::poll_fn(|context| {
            if self.0.is_slice_over.load(Ordering::Relaxed) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn begin_slice(&self) {
        let now = u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.slice_began.store(now, Ordering::Relaxed);
        self.0.is_slice_over.store(false, Ordering::Relaxed);
    }

    /// Runs what asks the loaders, and gives their batches their turns.
    pub async fn drive<F: Future>(&self, request: F) -> F::Output {
        // A batch holds what it reads from, which holds these turns: it would keep itself alive.
        let _unread = DropUnread(&self.0);
        let mut request = pin!(request);
        let mut reading = FuturesUnordered::new();
        let pulse = Arc::new(Pulse { woken: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&pulse));
        std::future::poll_fn(|context| {
            pulse.task.register(context.waker());
            self.begin_slice();
            loop {
                if self.0.is_slice_over.load(Ordering::Relaxed) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if pulse.woken.swap(false, Ordering::AcqRel) {
                    if let Poll::Ready(output) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Poll::Ready(output);
                    }
                    continue;
                }
                if reading.is_empty() {
                    let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    reading.extend(std::mem::take(&mut *waiting));
                }
                // A batch that was read has woken the request.
                if !matches!(reading.poll_next_unpin(context), Poll::Ready(Some(()))) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Drops the batches of a request that ends, or is given up, before they are read.
struct DropUnread<'a>(&'a State);

impl Drop for DropUnread<'_> {
    fn drop(&mut self) {
        let unread = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // After the lock is released: a batch may have others wait for it.
        drop(unread);
    }
}

/// Wakes a request's task, and remembers that it is the request that was woken.
struct Pulse {
    woken: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Pulse {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::Notify;

    use super::*;

    /// A batch that holds something, and is never done.
    fn batch(held: &Arc<()>) -> Batch {
        let held = Arc::clone(held);
        Box::pin(async move {
            let _held = held;
            std::future::pending().await
        })
    }

    #[tokio::test]
    async fn what_is_not_read_goes_with_its_request() {
        let (turns, held) = (Turns::default(), Arc::new(()));
        turns.drive(async { turns.enqueue(batch(&held)) }).await;
        assert_eq!(Arc::strong_count(&held), 1, "the request ended first");

        let go_on = Notify::new();
        let mut request = Box::pin(turns.drive(async {
            turns.enqueue(batch(&held));
            go_on.notified().await;
            turns.enqueue(batch(&held));
            std::future::pending::<()>().await;
        }));
        assert!(poll!(request.as_mut()).is_pending());
        go_on.notify_one();
        assert!(poll!(request.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&held), 3, "one is being read, and one waits for that");
        drop(request);
        assert_eq!(Arc::strong_count(&held), 1, "the request was given up");
    }
}
