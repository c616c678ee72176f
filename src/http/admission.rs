//! Overload protection: limits how many operations run and wait, and decides who is turned away
//! first.
//!
//! `http::operation` and `http::pages` acquire a [`Permit`] once the caller and the cost are known,
//! before anything is executed. Only operations and pages for buyers are counted; `/health` is
//! never turned away.
//! A permit lives as long as its operation, not its request: a client that disconnects does not
//! free what is still in use.
//!
//! Callers of lower priority leave some slots to those of higher priority: anonymous callers may
//! use 60 % of all slots, all callers except staff together 85 %, and staff all of them. So staff
//! always find a slot, and a crowd of anonymous visitors leaves room for customers.
//!
//! Callers of the same priority share the processors fairly: the total cost of what one of them has
//! running at a time is limited ([`FairShares`]). An operation that waits for its caller's other
//! operations takes no slot meanwhile.

mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::shares::FairShares;
pub(super) use self::shares::Share;
use super::Rejection;
use crate::concurrency::{FairPermit, FairSemaphore, LowPriorityPool, processors};
use crate::config::AdmissionConfig;
use crate::context::OpContext;
use crate::domain::access::callers::{Caller, CallerKind};
use crate::domain::access::query_limits::CallerLimits;
use crate::error::ErrorCode;
use crate::telemetry::Metrics;

/// Percentage of the slots that anonymous callers may use.
const ANONYMOUS_SHARE: usize = 60;
/// Percentage of the slots that all callers except staff may use.
const PUBLIC_SHARE: usize = 85;

/// The cost from which a query is large, corresponding to a few milliseconds of processor time.
const MIN_LARGE_QUERY_COST: u64 = 4_000;
/// The number of large queries that one caller may have running.
const MAX_LARGE_QUERIES_PER_CALLER: u64 = 4;

/// Decides which operations run, wait or are turned away.
pub(super) struct Admission {
    /// Free slots for anonymous callers.
    anonymous: Arc<Semaphore>,
    /// Free slots for all callers except staff.
    public: Arc<Semaphore>,
    /// Free slots for all callers.
    all: Arc<Semaphore>,
    queued: [AtomicUsize; 3],
    shares: Arc<FairShares>,
    /// Free slots for queries of low priority: one for every two processors. Each holds a database
    /// connection, and PostgreSQL works for it at normal priority.
    low_priority: Arc<FairSemaphore<Caller>>,
    /// The threads for expensive work.
    pub(super) low_priority_pool: Arc<LowPriorityPool>,
    max_operations: usize,
    max_queued: usize,
    queue_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// The priorities of callers. Those of low priority, first in this list, are turned away first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Priority {
    Anonymous,
    /// Customers and API keys.
    Known,
    Staff,
}

/// The kind of work that an operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Workload {
    /// A query that costs little.
    Query,
    /// Any other query.
    LargeQuery,
    /// A mutation. It always runs at normal priority, because others may wait for its locks.
    Mutation,
}

/// The right to run an operation; released when dropped.
pub(super) struct Permit {
    _slots: Vec<OwnedSemaphorePermit>,
    _mutation: Option<OwnedSemaphorePermit>,
    _share: Option<Share>,
    /// The slot of a query that runs at low priority.
    low_priority: Option<FairPermit<Caller>>,
    metrics: Arc<Metrics>,
}

/// The number of queries that may run at low priority at a time.
fn max_low_priority_queries() -> usize {
    processors().div_ceil(2)
}

/// Whether a query of the given cost is large.
pub(super) fn is_large_query(cost: u64) -> bool {
    cost >= MIN_LARGE_QUERY_COST
}

impl Admission {
    /// Creates the state without any running operations.
    pub(super) fn new(
        config: &AdmissionConfig,
        metrics: Arc<Metrics>,
        low_priority_pool: Arc<LowPriorityPool>,
    ) -> Self {
        let slots = |share: usize| Arc::new(Semaphore::new((config.max_operations * share / 100).max(1)));
        Self {
            anonymous: slots(ANONYMOUS_SHARE),
            public: slots(PUBLIC_SHARE),
            all: slots(100),
            queued: Default::default(),
            shares: Arc::new(FairShares::new(config.max_queued)),
            low_priority: FairSemaphore::new(max_low_priority_queries()),
            low_priority_pool,
            max_operations: config.max_operations,
            max_queued: config.max_queued,
            queue_timeout: config.queue_timeout,
            metrics,
        }
    }

    /// Admits an operation of the given cost, after a wait if necessary. Large queries run at low
    /// priority, and so do further queries of a caller with much work running. Queries of staff
    /// always run at normal priority.
    ///
    /// # Errors
    /// `THROTTLED` if the caller itself has too many operations running and waiting,
    /// `SERVICE_UNAVAILABLE` if all callers together have too many.
    pub(super) async fn admit(
        &self,
        op: &OpContext,
        cost: u64,
        workload: Workload,
        limits: &CallerLimits,
    ) -> Result<Permit, Rejection> {
        let priority = Priority::for_caller(op);
        let is_large = workload == Workload::LargeQuery && priority != Priority::Staff;
        let min_share = if is_large { limits.max_concurrent_cost / MAX_LARGE_QUERIES_PER_CALLER } else { 0 };
        let share = self.acquire_share(op, cost.max(min_share), limits).await?;
        let may_be_low = workload != Workload::Mutation && priority != Priority::Staff;
        let low_priority = match &share {
            Some(share) if may_be_low && (is_large || share.is_excess()) => {
                Some(self.acquire_low_priority(share.caller(), priority, limits).await?)
            }
            _ => None,
        };
        let mutation = match &share {
            Some(share) if workload == Workload::Mutation && op.caller_kind().is_buyer() => {
                self.acquire_mutation_slot(share, priority, limits).await?
            }
            _ => None,
        };
        let slots = match self.try_acquire_slots(priority) {
            Some(slots) => Some(slots),
            None => self.wait_in_queue(priority).await,
        };
        let Some(slots) = slots else {
            self.metrics.record_shed_operation(priority.name());
            return Err((ErrorCode::ServiceUnavailable, self.busy_message()));
        };
        self.metrics.operations_running.inc();
        let metrics = Arc::clone(&self.metrics);
        Ok(Permit { _slots: slots, _mutation: mutation, _share: share, low_priority, metrics })
    }

    /// Waits until a caller may run a further mutation.
    ///
    /// # Errors
    /// `THROTTLED` if the wait takes too long.
    async fn acquire_mutation_slot(
        &self,
        share: &Share,
        priority: Priority,
        limits: &CallerLimits,
    ) -> Result<Option<OwnedSemaphorePermit>, Rejection> {
        if let Ok(permit) = timeout(limits.timeout, share.acquire_mutation_slot()).await {
            return Ok(permit);
        }
        self.metrics.record_shed_operation(priority.name());
        let message = "too many of your own mutations are running: send fewer at once, and this one again";
        Err((ErrorCode::Throttled, message.to_owned()))
    }

    /// Acquires a slot for a query of low priority. Callers take turns.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` if none is free within the time that a query may take.
    async fn acquire_low_priority(
        &self,
        caller: Caller,
        priority: Priority,
        limits: &CallerLimits,
    ) -> Result<FairPermit<Caller>, Rejection> {
        if let Ok(slot) = timeout(limits.timeout, self.low_priority.acquire(caller)).await {
            return Ok(slot);
        }
        self.metrics.record_shed_operation(priority.name());
        let message = "the server is busy with other large queries: try again in a second, or ask for less";
        Err((ErrorCode::ServiceUnavailable, message.to_owned()))
    }

    /// Acquires a part of the caller's share of the processors for work of the given cost, first
    /// come, first served; `None` for callers without a limit.
    ///
    /// # Errors
    /// `THROTTLED` if too much of the caller's work is waiting, or the wait takes too long.
    pub(super) async fn acquire_share(
        &self,
        op: &OpContext,
        cost: u64,
        limits: &CallerLimits,
    ) -> Result<Option<Share>, Rejection> {
        let Some(caller) = op.caller() else { return Ok(None) };
        let share = self.shares.acquire(caller, cost, limits.max_concurrent_cost);
        match timeout(limits.timeout, share).await {
            Ok(Some(share)) => Ok(Some(share)),
            Ok(None) | Err(_) => {
                self.metrics.record_shed_operation(Priority::for_caller(op).name());
                let message = format!(
                    "too many of your own operations are running: together they may cost {} at a time \
                     (MAX_CONCURRENT_COST), and others wait already; send fewer at once, and this one again",
                    limits.max_concurrent_cost
                );
                Err((ErrorCode::Throttled, message))
            }
        }
    }

    /// The semaphores from which a caller needs a permit, always in the same order.
    fn semaphores(&self, priority: Priority) -> Vec<&Arc<Semaphore>> {
        match priority {
            Priority::Anonymous => vec![&self.anonymous, &self.public, &self.all],
            Priority::Known => vec![&self.public, &self.all],
            Priority::Staff => vec![&self.all],
        }
    }

    fn try_acquire_slots(&self, priority: Priority) -> Option<Vec<OwnedSemaphorePermit>> {
        let semaphores = self.semaphores(priority).into_iter();
        semaphores.map(|slots| Arc::clone(slots).try_acquire_owned().ok()).collect()
    }

    /// Waits for slots, in a queue of limited length and for a limited time.
    async fn wait_in_queue(&self, priority: Priority) -> Option<Vec<OwnedSemaphorePermit>> {
        let _queue_slot = QueueSlot::take(self.queued.get(priority as usize)?, self.max_queued)?;
        let acquire = async {
            let mut acquired = Vec::new();
            for slots in self.semaphores(priority) {
                acquired.push(Arc::clone(slots).acquire_owned().await.ok()?);
            }
            Some(acquired)
        };
        timeout(self.queue_timeout, acquire).await.ok().flatten()
    }

    fn busy_message(&self) -> String {
        format!(
            "the server is busy with as many operations as it runs at once (MAX_OPERATIONS is {}): try again in a second",
            self.max_operations
        )
    }
}

impl Permit {
    /// Whether the operation is to run in the low-priority pool.
    pub(super) fn is_low_priority(&self) -> bool {
        self.low_priority.is_some()
    }
}

impl Priority {
    fn for_caller(op: &OpContext) -> Self {
        match op.caller_kind() {
            CallerKind::Anonymous => Self::Anonymous,
            CallerKind::Customer | CallerKind::ApiKey => Self::Known,
            CallerKind::Staff => Self::Staff,
        }
    }

    /// The metric label.
    fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Known => "known",
            Self::Staff => "staff",
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.metrics.operations_running.dec();
    }
}

/// A slot in the queue; released when dropped.
struct QueueSlot<'a>(&'a AtomicUsize);

impl<'a> QueueSlot<'a> {
    fn take(queued: &'a AtomicUsize, max_queued: usize) -> Option<Self> {
        // Created first, so that dropping it undoes the increment if the queue is full.
        let slot = Self(queued);
        (queued.fetch_add(1, Ordering::Relaxed) < max_queued).then_some(slot)
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::actors::{Actor, Credential, Identity};
    use crate::domain::access::query_limits::QueryLimits;
    use crate::domain::ids::{ApiKeyId, CustomerId};
    use crate::domain::time::SystemClock;

    fn admission(max_operations: usize, max_queued: usize) -> Admission {
        let queue_timeout = Duration::from_millis(1);
        let config = AdmissionConfig { max_operations, max_queued, queue_timeout };
        Admission::new(&config, Arc::default(), Arc::default())
    }

    fn op(actor: Actor, credential: Credential) -> OpContext {
        let identity = Identity { actor, credential };
        OpContext::for_identity(identity, "test".into(), Arc::new(SystemClock))
    }

    fn callers() -> [OpContext; 3] {
        let id = CustomerId::generate();
        let key = Actor::Staff { name: "a service".to_owned(), permissions: Vec::new() };
        [
            op(Actor::Anonymous, Credential::None),
            op(Actor::Customer(id), Credential::Customer(id, None)),
            op(key, Credential::ApiKey(ApiKeyId::generate())),
        ]
    }

    async fn admit(admission: &Admission, op: &OpContext) -> Result<Permit, Rejection> {
        admission.admit(op, 1, Workload::Query, &QueryLimits::default().of(op.caller_kind())).await
    }

    async fn admit_all(admission: &Admission, op: &OpContext) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Ok(permit) = admit(admission, op).await {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test]
    async fn large_queries_are_limited_unless_sent_by_staff() {
        let admission = admission(100, 0);
        let [_, customer, key] = callers();
        let limits = CallerLimits {
            timeout: Duration::ZERO,
            max_concurrent_cost: 1_000_000,
            ..QueryLimits::default().of(CallerKind::Customer)
        };
        let admit = |op| admission.admit(op, 5_000, Workload::LargeQuery, &limits);
        let mut running = Vec::new();
        while let Ok(permit) = admit(&key).await {
            assert!(permit.is_low_priority());
            running.push(permit);
        }
        assert_eq!(
            running.len(),
            max_low_priority_queries().min(usize::try_from(MAX_LARGE_QUERIES_PER_CALLER).unwrap())
        );
        if running.len() == max_low_priority_queries() {
            let (code, message) = admit(&customer).await.err().unwrap();
            assert_eq!(code, ErrorCode::ServiceUnavailable);
            assert!(message.contains("large queries"), "{message}");
        }
        let staff = OpContext::system(Arc::new(SystemClock));
        assert!(!admit(&staff).await.ok().unwrap().is_low_priority());
        drop(running);
        assert!(admit(&customer).await.is_ok(), "slots are released");
    }

    #[tokio::test]
    async fn slots_are_reserved_for_customers_and_staff() {
        let admission = admission(20, 0);
        let [anonymous, customer, key] = callers();
        let anonymous_permits = admit_all(&admission, &anonymous).await;
        assert_eq!(anonymous_permits.len(), 12);
        let mut customer_permits = vec![admit(&admission, &key).await.ok().unwrap()];
        customer_permits.extend(admit_all(&admission, &customer).await);
        assert_eq!(customer_permits.len(), 5);
        let system = OpContext::system(Arc::new(SystemClock));
        assert_eq!(admit_all(&admission, &system).await.len(), 3);
        assert!(admit(&admission, &anonymous).await.is_err());
        drop((anonymous_permits, customer_permits));
        assert!(admit(&admission, &anonymous).await.is_ok(), "slots are released");
    }

    #[tokio::test]
    async fn queued_operations_run_when_a_slot_is_released() {
        let admission = Admission::new(
            &AdmissionConfig { max_operations: 4, max_queued: 1, queue_timeout: Duration::from_mins(1) },
            Arc::default(),
            Arc::default(),
        );
        let [anonymous, ..] = callers();
        let first = [admit(&admission, &anonymous).await.ok(), admit(&admission, &anonymous).await.ok()];
        let mut waiting = std::pin::pin!(admit(&admission, &anonymous));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let (code, message) = admit(&admission, &anonymous).await.err().unwrap();
        assert_eq!(code, ErrorCode::ServiceUnavailable);
        assert!(message.contains("MAX_OPERATIONS is 4"), "the queue is full: {message}");
        drop(first);
        assert!(waiting.await.is_ok());
    }
}
