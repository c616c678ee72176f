//! A value that many wait for and one gives, within a request. A hundred items of a list wait for one batch and are polled by
//! one task: the same waker is kept once.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

/// The value and those who wait for it. Cheap to clone.
pub(super) struct Awaited<T>(Arc<State<T>>);

struct State<T> {
    value: OnceLock<T>,
    waiting: Mutex<Vec<Waker>>,
}

impl<T> Clone for Awaited<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Awaited<T> {
    fn default() -> Self {
        Self(Arc::new(State { value: OnceLock::new(), waiting: Mutex::default() }))
    }
}

impl<T> Awaited<T> {
    /// Waits for the value.
    pub(super) async fn get(&self) -> &T {
        std::future::poll_fn(|context| {
            if let Some(value) = self.0.value.get() {
                return Poll::Ready(value);
            }
            let mut waiting = self.waiting();
            // It may have come while the lock was waited for.
            if let Some(value) = self.0.value.get() {
                return Poll::Ready(value);
            }
            if !waiting.last().is_some_and(|last| last.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Gives the value to all who wait, and to all who come later.
    pub(super) fn give(&self, value: T) {
        // It is given once; a second one would change nothing.
        let _second = self.0.value.set(value);
        let waiting = std::mem::take(&mut *self.waiting());
        waiting.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
