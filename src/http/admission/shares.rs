//! Fair shares: how much work one caller has running at a time.
//!
//! Work is measured by its cost, so small operations run together by the dozen and large ones one
//! after another. Work that alone costs more than its caller's share takes all of it. Cost is no
//! measure of what waits for something, such as a payment, so each piece of work takes at least
//! some of the share, and a caller has so many of them at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::services::rate_limits::Caller;

/// The largest share that can be counted.
const MAX_COST: u32 = u32::MAX >> 4;

/// How many pieces of work one caller has running at most, however little they cost.
const MAX_PIECES: u32 = 32;

/// What all callers have running.
pub(super) struct Shares {
    callers: Mutex<HashMap<Caller, CallerWork>>,
    max_waiting: usize,
}

/// What one caller has running and waiting.
struct CallerWork {
    /// The cost that is left to it. First come, first served.
    left: Arc<Semaphore>,
    /// How many pieces of work run or wait.
    count: usize,
    /// How many of them wait.
    waiting: usize,
}

/// A part of what one caller may have running, until it is dropped.
pub(in crate::http) struct Share {
    _cost: OwnedSemaphorePermit,
    _piece: Piece,
}

/// A piece of work that is counted while it runs or waits.
struct Piece {
    shares: Arc<Shares>,
    caller: Caller,
}

impl Shares {
    /// Nothing runs yet. So many pieces of a caller's work may wait.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self { callers: Mutex::default(), max_waiting }
    }

    /// Takes a part of a caller's share, once it is free; `None` when too much waits for it already.
    pub(super) async fn take(self: &Arc<Self>, caller: Caller, cost: u64, max_cost: u64) -> Option<Share> {
        let max_cost = u32::try_from(max_cost).unwrap_or(MAX_COST).min(MAX_COST);
        let cost = u32::try_from(cost).unwrap_or(MAX_COST).max(max_cost.div_ceil(MAX_PIECES)).min(max_cost);
        let (piece, left) = self.enter(caller, max_cost);
        let taken = match Arc::clone(&left).try_acquire_many_owned(cost) {
            Ok(taken) => taken,
            Err(_) => {
                let _waiting = piece.wait()?;
                left.acquire_many_owned(cost).await.ok()?
            }
        };
        Some(Share { _cost: taken, _piece: piece })
    }

    fn enter(self: &Arc<Self>, caller: Caller, max_cost: u32) -> (Piece, Arc<Semaphore>) {
        let mut callers = self.callers();
        let work = callers.entry(caller).or_insert_with(|| CallerWork {
            left: Arc::new(Semaphore::new(max_cost as usize)),
            count: 0,
            waiting: 0,
        });
        work.count += 1;
        (Piece { shares: Arc::clone(self), caller }, Arc::clone(&work.left))
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Caller, CallerWork>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Piece {
    /// Counts among those that wait, until what this gives is dropped; `None` when too many do.
    fn wait(&self) -> Option<Waiting<'_>> {
        let mut callers = self.shares.callers();
        let work = callers.get_mut(&self.caller)?;
        if work.waiting >= self.shares.max_waiting {
            return None;
        }
        work.waiting += 1;
        Some(Waiting(self))
    }
}

/// A piece of work that waits.
struct Waiting<'a>(&'a Piece);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.0.shares.callers().get_mut(&self.0.caller) {
            work.waiting -= 1;
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut callers = self.shares.callers();
        if let Some(work) = callers.get_mut(&self.caller) {
            work.count -= 1;
            if work.count == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::FutureExt;

    use super::*;

    fn caller(last: u8) -> Caller {
        Caller::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[tokio::test]
    async fn large_work_waits_for_its_own_caller_and_for_nobody_else() {
        let shares = Arc::new(Shares::new(8));
        let large = shares.take(caller(1), 1_000_000, 100).await.unwrap();
        let mut waiting = Box::pin(shares.take(caller(1), 1, 100));
        assert!((&mut waiting).now_or_never().is_none(), "the large one has all of the share");
        assert!(shares.take(caller(2), 100, 100).now_or_never().flatten().is_some());
        drop(large);
        assert!(waiting.now_or_never().flatten().is_some());
        assert!(shares.callers().is_empty(), "nothing is kept of callers who have nothing running");
    }

    #[tokio::test]
    async fn small_work_runs_together_and_what_waits_is_bounded() {
        let shares = Arc::new(Shares::new(2));
        let take = |cost| Box::pin(shares.take(caller(1), cost, 100));
        let running: Vec<_> = (0..10).map(|_| take(10).now_or_never().flatten().unwrap()).collect();
        let mut waiting = [take(10), take(10)];
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert!(matches!(take(10).now_or_never(), Some(None)), "two wait already");
        let [given_up, mut waiting] = waiting;
        drop(given_up);
        assert!(take(10).now_or_never().is_none(), "one that is given up waits no more");
        drop(running);
        assert!((&mut waiting).now_or_never().flatten().is_some());
        drop(waiting);
        assert!(shares.callers().is_empty());
    }

    #[tokio::test]
    async fn a_caller_has_so_many_pieces_however_little_they_cost() {
        let shares = Arc::new(Shares::new(1));
        let take = || Box::pin(shares.take(caller(1), 0, 100_000));
        let running: Vec<_> = (0..MAX_PIECES).map(|_| take().now_or_never().flatten().unwrap()).collect();
        assert!(take().now_or_never().is_none());
        drop(running);
        assert!(take().now_or_never().flatten().is_some());
    }
}
