//! Fair shares: limits how much work one caller has running at a time.
//!
//! Work is measured by its cost, so dozens of small operations run in parallel, but large ones one
//! after another. Work that costs more than the whole share takes all of it. Because cost says
//! nothing about waiting for something external, such as a payment, each work item takes a minimum
//! part of the share, which also limits the number of items a caller has running.
//!
//! A caller alone may have all of its share running at normal priority. While others are active,
//! it may have [`MAX_ORDINARY_COST`] of it, and two mutations per processor: further queries are
//! excess, which must not delay others, and further mutations wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::concurrency::processors;
use crate::domain::access::callers::Caller;

/// The largest supported share.
const MAX_COST: u32 = u32::MAX >> 4;

/// The maximum number of running work items per caller, however little they cost.
const MAX_WORK_ITEMS: u32 = 32;

/// The cost of a caller's running work up to which none of it is excess, corresponding to a few
/// tens of milliseconds of processor time.
const MAX_ORDINARY_COST: u32 = 20_000;
/// How long a caller counts as active after an operation has arrived.
const ACTIVE_PERIOD: Duration = Duration::from_secs(1);

/// The number of mutations that a caller may have running while others are active. Some wait for
/// something external most of the time.
fn max_mutations() -> usize {
    2 * processors()
}

/// The running work of all callers.
pub(super) struct FairShares {
    state: Mutex<State>,
    max_waiting: usize,
}

#[derive(Default)]
struct State {
    /// The callers who have running or waiting work.
    callers: HashMap<Caller, CallerWork>,
    /// The caller of the latest operation, and when it arrived.
    latest: Option<(Caller, Instant)>,
    /// The same for the latest operation of any other caller.
    latest_other: Option<(Caller, Instant)>,
}

/// One caller's running and waiting work.
struct CallerWork {
    /// The remaining share, in points of cost. First come, first served.
    available: Arc<Semaphore>,
    /// Free slots for mutations while others are active.
    mutations: Arc<Semaphore>,
    /// Number of items that are running or waiting.
    items: usize,
    /// Number of items that are waiting.
    waiting: usize,
}

/// A part of a caller's share; released when dropped.
pub(in crate::http) struct Share {
    _cost: OwnedSemaphorePermit,
    item: WorkItem,
    is_excess: bool,
}

/// Counts a work item while it runs or waits.
struct WorkItem {
    shares: Arc<FairShares>,
    caller: Caller,
}

impl FairShares {
    /// Creates the state without any work. Up to `max_waiting` items per caller may wait.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self { state: Mutex::default(), max_waiting }
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
                Arc::clone(&available).acquire_many_owned(cost).await.ok()?
            }
        };
        let running = max_cost as usize - available.available_permits().min(max_cost as usize);
        let is_excess = running > MAX_ORDINARY_COST as usize && self.state().has_active_other(caller);
        Some(Share { _cost: permit, item, is_excess })
    }

    fn add_item(self: &Arc<Self>, caller: Caller, max_cost: u32) -> (WorkItem, Arc<Semaphore>) {
        let mut state = self.state();
        state.record(caller);
        let work = state.callers.entry(caller).or_insert_with(|| CallerWork {
            available: Arc::new(Semaphore::new(max_cost as usize)),
            mutations: Arc::new(Semaphore::new(max_mutations())),
            items: 0,
            waiting: 0,
        });
        work.items += 1;
        (WorkItem { shares: Arc::clone(self), caller }, Arc::clone(&work.available))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Records that an operation of a caller has arrived.
    fn record(&mut self, caller: Caller) {
        if let Some((latest, _)) = self.latest
            && latest != caller
        {
            self.latest_other = self.latest;
        }
        self.latest = Some((caller, Instant::now()));
    }

    /// Whether any other caller is active.
    fn has_active_other(&self, caller: Caller) -> bool {
        let others = [self.latest, self.latest_other].into_iter().flatten();
        others.filter(|(other, _)| *other != caller).any(|(_, at)| at.elapsed() < ACTIVE_PERIOD)
    }
}

impl Share {
    /// Whose share it is a part of.
    pub(super) fn caller(&self) -> Caller {
        self.item.caller
    }

    /// Whether the work is to run at low priority, because the caller has more running than others
    /// should have to wait for.
    pub(super) fn is_excess(&self) -> bool {
        self.is_excess
    }

    /// Waits for a slot for a mutation of the same caller; `None` while no others are active.
    pub(super) async fn acquire_mutation_slot(&self) -> Option<OwnedSemaphorePermit> {
        let mutations = {
            let state = self.item.shares.state();
            let work = state.callers.get(&self.item.caller)?;
            state.has_active_other(self.item.caller).then(|| Arc::clone(&work.mutations))?
        };
        mutations.acquire_owned().await.ok()
    }
}

impl WorkItem {
    /// Counts the item as waiting until the guard is dropped; `None` if too many are waiting.
    fn start_waiting(&self) -> Option<WaitGuard<'_>> {
        let mut state = self.shares.state();
        let work = state.callers.get_mut(&self.caller)?;
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
        if let Some(work) = self.0.shares.state().callers.get_mut(&self.0.caller) {
            work.waiting -= 1;
        }
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        let mut state = self.shares.state();
        if let Some(work) = state.callers.get_mut(&self.caller) {
            work.items -= 1;
            if work.items == 0 {
                state.callers.remove(&self.caller);
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
        Caller::Network(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[tokio::test]
    async fn large_work_delays_only_its_own_caller() {
        let shares = Arc::new(FairShares::new(8));
        let large = shares.acquire(caller(1), 1_000_000, 100).await.unwrap();
        let mut waiting = Box::pin(shares.acquire(caller(1), 1, 100));
        assert!((&mut waiting).now_or_never().is_none(), "the large one uses the whole share");
        assert!(shares.acquire(caller(2), 100, 100).now_or_never().flatten().is_some());
        drop(large);
        assert!(waiting.now_or_never().flatten().is_some());
        assert!(shares.state().callers.is_empty(), "idle callers are forgotten");
    }

    #[tokio::test]
    async fn small_work_runs_concurrently_and_the_queue_is_bounded() {
        let shares = Arc::new(FairShares::new(2));
        let acquire = |cost| Box::pin(shares.acquire(caller(1), cost, 100));
        let running: Vec<_> = (0..10).map(|_| acquire(10).now_or_never().flatten().unwrap()).collect();
        let mut waiting = [acquire(10), acquire(10)];
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert!(matches!(acquire(10).now_or_never(), Some(None)), "the queue is full");
        let [cancelled, mut waiting] = waiting;
        drop(cancelled);
        assert!(acquire(10).now_or_never().is_none(), "a cancelled request leaves the queue");
        drop(running);
        assert!((&mut waiting).now_or_never().flatten().is_some());
        drop(waiting);
        assert!(shares.state().callers.is_empty());
    }

    #[tokio::test]
    async fn work_beyond_the_ordinary_cost_is_excess_while_others_are_active() {
        let shares = Arc::new(FairShares::new(8));
        let acquire =
            |last| shares.acquire(caller(last), u64::from(MAX_ORDINARY_COST), 100_000).now_or_never();
        let is_excess = |share: &Option<Option<Share>>| share.as_ref().unwrap().as_ref().unwrap().is_excess();
        let alone = [acquire(1), acquire(1)];
        assert!(!alone.iter().any(is_excess));
        let other = acquire(2);
        assert!(!is_excess(&other), "this caller has no other work");
        assert!(is_excess(&acquire(1)));
        drop(alone);
        assert!(!is_excess(&acquire(1)));
    }

    #[tokio::test]
    async fn concurrent_mutations_are_limited_while_others_are_active() {
        let shares = Arc::new(FairShares::new(8));
        let acquire = |last| shares.acquire(caller(last), 1, 100_000).now_or_never().flatten().unwrap();
        let share = acquire(1);
        let alone = share.acquire_mutation_slot().now_or_never();
        assert!(matches!(alone, Some(None)), "no limit applies");
        let other = acquire(2);
        let slots: Vec<_> = (0..max_mutations())
            .map(|_| share.acquire_mutation_slot().now_or_never().flatten().unwrap())
            .collect();
        assert!(share.acquire_mutation_slot().now_or_never().is_none());
        assert!(
            other.acquire_mutation_slot().now_or_never().flatten().is_some(),
            "each caller has its own slots"
        );
        drop(slots);
        assert!(share.acquire_mutation_slot().now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn the_number_of_work_items_is_limited_regardless_of_cost() {
        let shares = Arc::new(FairShares::new(1));
        let acquire = || Box::pin(shares.acquire(caller(1), 0, 100_000));
        let running: Vec<_> =
            (0..MAX_WORK_ITEMS).map(|_| acquire().now_or_never().flatten().unwrap()).collect();
        assert!(acquire().now_or_never().is_none());
        drop(running);
        assert!(acquire().now_or_never().flatten().is_some());
    }
}
