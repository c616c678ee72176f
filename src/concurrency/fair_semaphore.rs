//! A semaphore for which callers take turns: a permit that becomes free goes to the caller whose
//! last turn is the longest ago. However many permits one caller waits for, each of the others
//! waits for at most one of them.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A number of permits, which callers with keys of type `K` acquire and release.
pub struct FairSemaphore<K: Eq + Hash + Copy>(Mutex<State<K>>);

/// Some permits are free only while nobody waits.
struct State<K: Eq + Hash + Copy> {
    free: usize,
    /// Who waits, by caller; the first of each is served first. No queue is empty.
    queues: HashMap<K, VecDeque<oneshot::Sender<FairPermit<K>>>>,
    /// The callers who wait, in the order of their turns.
    turns: VecDeque<K>,
}

/// A permit, released when dropped.
pub struct FairPermit<K: Eq + Hash + Copy>(Option<Arc<FairSemaphore<K>>>);

impl<K: Eq + Hash + Copy> FairSemaphore<K> {
    /// Creates a semaphore with this many free permits.
    #[must_use]
    pub fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { free: permits, queues: HashMap::new(), turns: VecDeque::new() })))
    }

    /// Waits for a permit.
    pub async fn acquire(self: &Arc<Self>, caller: K) -> FairPermit<K> {
        let waiter = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return FairPermit(Some(Arc::clone(self)));
            }
            state.enqueue(caller)
        };
        match waiter.await {
            Ok(permit) => permit,
            // Unreachable: unused senders are dropped only with the semaphore, which is borrowed.
            Err(_) => FairPermit(None),
        }
    }

    /// The number of callers that wait for a permit.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state();
        state.queues.values().flatten().filter(|waiter| !waiter.is_closed()).count()
    }

    /// Whether anybody waits for a permit.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        let state = self.state();
        state.queues.values().flatten().any(|waiter| !waiter.is_closed())
    }

    /// Passes a permit on to the next waiter, or frees it.
    fn release(self: &Arc<Self>) {
        let mut state = self.state();
        let mut permit = FairPermit(Some(Arc::clone(self)));
        while let Some(waiter) = state.next() {
            match waiter.send(permit) {
                Ok(()) => return,
                // This one has given up.
                Err(returned) => permit = returned,
            }
        }
        state.free += 1;
        // Not to be released again.
        permit.0 = None;
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock()
    }
}

impl<K: Eq + Hash + Copy> State<K> {
    fn enqueue(&mut self, caller: K) -> oneshot::Receiver<FairPermit<K>> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.queues.entry(caller).or_default();
        if queue.is_empty() {
            self.turns.push_back(caller);
        }
        queue.push_back(sender);
        receiver
    }

    /// Removes the next waiter.
    fn next(&mut self) -> Option<oneshot::Sender<FairPermit<K>>> {
        let caller = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&caller)?;
        let waiter = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        waiter
    }
}

impl<K: Eq + Hash + Copy> Drop for FairPermit<K> {
    fn drop(&mut self) {
        if let Some(semaphore) = self.0.take() {
            semaphore.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    type Semaphore = FairSemaphore<&'static str>;

    fn wait(
        semaphore: &Arc<Semaphore>,
        caller: &'static str,
    ) -> BoxFuture<'static, FairPermit<&'static str>> {
        let semaphore = Arc::clone(semaphore);
        let mut waiting = async move { semaphore.acquire(caller).await }.boxed();
        assert!((&mut waiting).now_or_never().is_none(), "no permit is free");
        waiting
    }

    #[test]
    fn callers_take_turns() {
        let semaphore = Semaphore::new(1);
        let mut held = semaphore.acquire("crowd").now_or_never();
        let mut waiting: Vec<_> = ["crowd", "crowd", "crowd", "guest", "staff", "guest"]
            .map(|caller| (caller, wait(&semaphore, caller)))
            .into();
        assert_eq!(semaphore.waiting(), 6);
        let mut served = Vec::new();
        while !waiting.is_empty() {
            drop(held.take());
            let next = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(index, (caller, waiting))| Some((index, *caller, waiting.now_or_never()?)));
            let (index, caller, permit) = next.unwrap();
            drop(waiting.remove(index));
            held = Some(permit);
            served.push(caller);
        }
        assert_eq!(served, ["crowd", "guest", "staff", "crowd", "guest", "crowd"]);
        drop(held);
        assert!(semaphore.state().queues.is_empty() && semaphore.state().turns.is_empty());
        assert!(semaphore.acquire("guest").now_or_never().is_some());
    }

    #[test]
    fn cancelled_waiters_do_not_lose_permits() {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire("guest").now_or_never();
        let (cancelled, mut waiting) = (wait(&semaphore, "crowd"), wait(&semaphore, "guest"));
        drop(cancelled);
        drop(held);
        // A waiter that was never polled returns the permit that was passed to it.
        let passed = (&mut waiting).now_or_never().unwrap();
        let never_polled = wait(&semaphore, "crowd");
        drop(passed);
        drop(never_polled);
        assert_eq!(semaphore.state().free, 1);
    }
}
