//! Fair shares: limits how much work one caller has running at a time.
//!
//! Work is measured by its cost, so dozens of small operations run in parallel, but large ones one
//! after another. Work that costs more than the whole share takes all of it. Because cost says
//! nothing about waiting for something external, such as a payment, each work item takes a minimum
//! part of the share, which also limits the number of items a caller has running.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::services::rate_limits::Caller;

/// The largest supported share.
const MAX_COST: u32 = u32::MAX >> 4;

/// The maximum number of running work items per caller, however little they cost.
const MAX_WORK_ITEMS: u32 = 32;

/// The running work of all callers.
pub(super) struct FairShares {
    callers: Mutex<HashMap<Caller, CallerWork>>,
    max_waiting: usize,
}

/// One caller's running and waiting work.
struct CallerWork {
    /// The remaining share, in points of cost. First come, first served.
    available: Arc<Semaphore>,
    /// Number of items that are running or waiting.
    items: usize,
    /// Number of items that are waiting.
    waiting: usize,
}

/// A part of a caller's share; released when dropped.
pub(in crate::http) struct Share {
    _cost: OwnedSemaphorePermit,
    _item: WorkItem,
}

/// Counts a work item while it runs or waits.
struct WorkItem {
    shares: Arc<FairShares>,
    caller: Caller,
}

impl FairShares {
    /// Creates the state without any work. Up to `max_waiting` items per caller may wait.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self { callers: Mutex::default(), max_waiting }
    }

    /// Waits for a part of a caller's share; `None` if too many of the caller's items are waiting.
    pub(super) async fn acquire(self: &Arc<Self>, caller: Caller, cost: u64, max_cost: u64) -> Option<Share> {
        let max_cost = u32::try_from(max_cost).unwrap_or(MAX_COST).min(MAX_COST);
        let cost =
            u32::try_from(cost).unwrap_or(MAX_COST).max(max_cost.div_ceil(MAX_WORK_ITEMS)).min(max_cost);
        let (item, available) = self.add_item(caller, max_cost);
        let permit = match Arc::clone(&available).try_acquire_many_owned(cost) {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = item.start_waiting()?;
                available.acquire_many_owned(cost).await.ok()?
            }
        };
        Some(Share { _cost: permit, _item: item })
    }

    fn add_item(self: &Arc<Self>, caller: Caller, max_cost: u32) -> (WorkItem, Arc<Semaphore>) {
        let mut callers = self.callers();
        let work = callers.entry(caller).or_insert_with(|| CallerWork {
            available: Arc::new(Semaphore::new(max_cost as usize)),
            items: 0,
            waiting: 0,
        });
        work.items += 1;
        (WorkItem { shares: Arc::clone(self), caller }, Arc::clone(&work.available))
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Caller, CallerWork>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkItem {
    /// Counts the item as waiting until the guard is dropped; `None` if too many are waiting.
    fn start_waiting(&self) -> Option<WaitGuard<'_>> {
        let mut callers = self.shares.callers();
        let work = callers.get_mut(&self.caller)?;
        if work.waiting >= self.shares.max_waiting {
            return None;
        }
        work.waiting += 1;
        Some(WaitGuard(self))
    }
}

/// Counts a work item as waiting.
struct WaitGuard<'a>(&'a WorkItem);

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.0.shares.callers().get_mut(&self.0.caller) {
            work.waiting -= 1;
        }
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        let mut callers = self.shares.callers();
        if let Some(work) = callers.get_mut(&self.caller) {
            work.items -= 1;
            if work.items == 0 {
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
        let shares = Arc::new(FairShares::new(8));
        let large = shares.acquire(caller(1), 1_000_000, 100).await.unwrap();
        let mut waiting = Box::pin(shares.acquire(caller(1), 1, 100));
        assert!((&mut waiting).now_or_never().is_none(), "the large one has all of the share");
        assert!(shares.acquire(caller(2), 100, 100).now_or_never().flatten().is_some());
        drop(large);
        assert!(waiting.now_or_never().flatten().is_some());
        assert!(shares.callers().is_empty(), "nothing is kept of callers who have nothing running");
    }

    #[tokio::test]
    async fn small_work_runs_together_and_what_waits_is_bounded() {
        let shares = Arc::new(FairShares::new(2));
        let take = |cost| Box::pin(shares.acquire(caller(1), cost, 100));
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
    async fn a_caller_has_so_many_items_however_little_they_cost() {
        let shares = Arc::new(FairShares::new(1));
        let take = || Box::pin(shares.acquire(caller(1), 0, 100_000));
        let running: Vec<_> = (0..MAX_WORK_ITEMS).map(|_| take().now_or_never().flatten().unwrap()).collect();
        assert!(take().now_or_never().is_none());
        drop(running);
        assert!(take().now_or_never().flatten().is_some());
    }
}
