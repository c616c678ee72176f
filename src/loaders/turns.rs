//! When batches are read: once the request that asks can't go on without them.
//!
//! The HTTP layer runs an operation through [`Turns::drive`], which sees when it stands still: it was polled, waits, and
//! nothing woke it meanwhile. Only then, and when no earlier batch is being read, the open batches are let go, all at once.
//! So a batch is as large as it can be, and nobody waits by the clock or by counting yields. A loader that is asked outside
//! of `drive` never answers.

use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

/// The turns of one request's batches. Cheap to clone.
#[derive(Clone, Default)]
pub struct Turns(Arc<State>);

#[derive(Default)]
struct State {
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
    reading: AtomicUsize,
}

/// A batch that is being read; gone when it has been, or when nobody wants it any more.
pub(super) struct Turn(Arc<State>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Ordering::Release);
    }
}

impl Turns {
    /// Waits until the request stands still.
    pub(super) async fn next(&self) -> Turn {
        let (go, turn) = oneshot::channel();
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(go);
        // An error would mean that the request has ended, and with it whoever waits here.
        let _ended = turn.await;
        self.0.reading.fetch_add(1, Ordering::Release);
        Turn(Arc::clone(&self.0))
    }

    /// Runs what asks the loaders, and gives their batches their turns.
    pub async fn drive<F: Future>(&self, request: F) -> F::Output {
        let mut request = pin!(request);
        let pulse = Arc::new(Pulse::default());
        let waker = Waker::from(Arc::clone(&pulse));
        std::future::poll_fn(|context| {
            pulse.task.register(context.waker());
            loop {
                pulse.state.store(POLLED, Ordering::Release);
                if let Poll::Ready(output) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(output);
                }
                let woken = pulse.state.load(Ordering::Acquire) == WOKEN;
                if !woken && !self.let_go() && pulse.rests() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Lets the waiting batches go unless others are being read; whether any went.
    fn let_go(&self) -> bool {
        if self.0.reading.load(Ordering::Acquire) > 0 {
            return false;
        }
        let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().filter_map(|go| go.send(()).ok()).count() > 0
    }
}

/// Wakes a request's task, and tells whether the request was woken while it was polled.
#[derive(Default)]
struct Pulse {
    state: AtomicU8,
    task: AtomicWaker,
}

/// The request waits to be woken.
const RESTS: u8 = 0;
/// The request is being polled.
const POLLED: u8 = 1;
/// The request was woken since its last poll began.
const WOKEN: u8 = 2;

impl Pulse {
    /// Whether the request rests now: not if it was woken in between.
    fn rests(&self) -> bool {
        self.state.compare_exchange(POLLED, RESTS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Pulse {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == RESTS {
            self.task.wake();
        }
    }
}
