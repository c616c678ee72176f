//! When batches are read: once the request that asks can't go on without them.
//!
//! The HTTP layer runs an operation through [`Turns::drive`], which sees when it stands still: it was polled, waits, and
//! nothing woke it meanwhile. Only then, and when no earlier batch is being read, the open batches are read, all at once. So a
//! batch is as large as it can be, and nobody waits by the clock or by counting yields. While batches are read, the request
//! itself is left alone: it is polled again when one of them has its answer. A loader that is asked outside of `drive` never
//! answers.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::AtomicWaker;

/// The turns of one request's batches. Cheap to clone.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<Vec<Batch>>>);

/// The work of reading a batch and of handing out what was read.
type Batch = BoxFuture<'static, ()>;

impl Turns {
    /// Has a batch read when its turn comes.
    pub(super) fn enqueue(&self, batch: Batch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }

    /// Runs what asks the loaders, and gives their batches their turns.
    pub async fn drive<F: Future>(&self, request: F) -> F::Output {
        let mut request = pin!(request);
        let mut reading = FuturesUnordered::new();
        let pulse = Arc::new(Pulse { woken: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&pulse));
        std::future::poll_fn(|context| {
            pulse.task.register(context.waker());
            loop {
                if pulse.woken.swap(false, Ordering::AcqRel) {
                    if let Poll::Ready(output) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Poll::Ready(output);
                    }
                    continue;
                }
                if reading.is_empty() {
                    reading
                        .extend(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)));
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
