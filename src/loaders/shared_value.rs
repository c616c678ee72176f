//! A value that is set once and awaited by many, within a request. A hundred items of a list wait
//! for the same batch and are polled by the same task, so equal wakers are stored only once.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

/// A value to wait for. Cheap to clone; clones share the value.
pub(super) struct SharedValue<T>(Arc<State<T>>);

struct State<T> {
    value: OnceLock<T>,
    wakers: Mutex<Vec<Waker>>,
}

impl<T> Clone for SharedValue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for SharedValue<T> {
    fn default() -> Self {
        Self(Arc::new(State { value: OnceLock::new(), wakers: Mutex::default() }))
    }
}

impl<T> SharedValue<T> {
    /// Waits for the value.
    pub(super) async fn get(&self) -> &T {
        std::future::poll_fn(|context| {
            if let Some(value) = self.0.value.get() {
                return Poll::Ready(value);
            }
            let mut wakers = self.wakers();
            // The value may have been set while this task waited for the lock.
            if let Some(value) = self.0.value.get() {
                return Poll::Ready(value);
            }
            if !wakers.last().is_some_and(|last| last.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Sets the value and wakes all who wait for it. Has no effect if it is already set.
    pub(super) fn set(&self, value: T) {
        let _ = self.0.value.set(value);
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_iter().for_each(Waker::wake);
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
