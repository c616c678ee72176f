//! Overload: how many operations run at once, how many wait, and who is turned away first.
//!
//! `http::graphql` and live connections ask for a [`Permit`] once they know who asks and for how
//! much, before anything is executed. Nothing but operations is counted: `/health` is never turned away.
//! A permit is part of its operation and ends with it, not with the request: a client that hangs up
//! frees nothing that is still at work.
//!
//! Each kind of caller shares what it may use with those that come after it and leaves a part to
//! those that come before: anonymous callers may use 60 % of all places, with customers and API
//! keys 85 %, and staff all of them. So whatever the others do, staff find a place, and a crowd of
//! strangers leaves room for customers.
//!
//! Callers of one kind share the processors fairly: how much one of them has running at a time is
//! bounded by its cost ([`Shares`]). Whoever waits for their own operations takes no place meanwhile.

mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) use self::shares::Share;
use self::shares::Shares;
use super::graphql::Refused;
use super::large_work::LargeWork;
use crate::config::AdmissionConfig;
use crate::context::OpContext;
use crate::domain::caller::CallerKind;
use crate::domain::query_limits::CallerLimits;
use crate::error::ErrorCode;
use crate::services::rate_limits::Caller;
use crate::telemetry::Metrics;

/// How much of all places anonymous callers may use, in per cent.
const ANONYMOUS_SHARE: usize = 60;
/// How much of all places everybody but staff may use, in per cent.
const PUBLIC_SHARE: usize = 85;

/// Decides who runs, who waits and who is turned away.
pub struct Admission {
    /// Places that are left, for each kind of caller together with those whose places it shares.
    anonymous: Arc<Semaphore>,
    public: Arc<Semaphore>,
    all: Arc<Semaphore>,
    queued: [AtomicUsize; 3],
    shares: Arc<Shares>,
    /// The threads for what is large.
    pub(super) large_work: LargeWork,
    max_operations: usize,
    max_queued: usize,
    queue_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// The kinds of callers, the first to be turned away first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Priority {
    Anonymous,
    /// Customers and API keys.
    Known,
    Staff,
}

/// The right to run an operation, until it is dropped.
pub(super) struct Permit {
    _places: Vec<OwnedSemaphorePermit>,
    _share: Option<Share>,
    metrics: Arc<Metrics>,
}

impl Admission {
    /// Nobody runs yet.
    pub fn new(config: &AdmissionConfig, metrics: Arc<Metrics>) -> Self {
        let places = |share: usize| Arc::new(Semaphore::new((config.max_operations * share / 100).max(1)));
        Self {
            anonymous: places(ANONYMOUS_SHARE),
            public: places(PUBLIC_SHARE),
            all: places(100),
            queued: Default::default(),
            shares: Arc::new(Shares::new(config.max_queued)),
            large_work: LargeWork::default(),
            max_operations: config.max_operations,
            max_queued: config.max_queued,
            queue_timeout: config.queue_timeout,
            metrics,
        }
    }

    /// Lets an operation of some cost run: at once, or after a wait.
    ///
    /// # Errors
    /// `THROTTLED` when too many of the caller's own operations run and wait already,
    /// `SERVICE_UNAVAILABLE` when too many of all callers' do.
    pub(super) async fn admit(
        &self,
        op: &OpContext,
        cost: u64,
        limits: &CallerLimits,
    ) -> Result<Permit, Refused> {
        let share = self.share(op, cost, limits).await?;
        let priority = Priority::of(op);
        let places = match self.try_acquire(priority) {
            Some(places) => Some(places),
            None => self.wait(priority).await,
        };
        let Some(places) = places else {
            self.metrics.operation_shed(priority.name());
            return Err((ErrorCode::ServiceUnavailable, self.explanation()));
        };
        self.metrics.operations_running.inc();
        Ok(Permit { _places: places, _share: share, metrics: Arc::clone(&self.metrics) })
    }

    /// The caller's share of the processors for work of some cost, after what it asked for before;
    /// `None` for whom nothing limits.
    ///
    /// # Errors
    /// `THROTTLED` when too much of what it asked for waits already, or for too long.
    pub(super) async fn share(
        &self,
        op: &OpContext,
        cost: u64,
        limits: &CallerLimits,
    ) -> Result<Option<Share>, Refused> {
        let Some(caller) = Caller::of(op) else { return Ok(None) };
        let taken = self.shares.take(caller, cost, limits.max_concurrent_cost);
        match tokio::time::timeout(limits.timeout, taken).await {
            Ok(Some(share)) => Ok(Some(share)),
            Ok(None) | Err(_) => {
                self.metrics.operation_shed(Priority::of(op).name());
                let message = format!(
                    "too many of your own operations are running: together they may cost {} at a time \
                     (MAX_CONCURRENT_COST), and others wait already; send fewer at once, and this one again",
                    limits.max_concurrent_cost
                );
                Err((ErrorCode::Throttled, message))
            }
        }
    }

    /// The semaphores that a caller needs a place of, always in the same order.
    fn semaphores(&self, priority: Priority) -> Vec<&Arc<Semaphore>> {
        match priority {
            Priority::Anonymous => vec![&self.anonymous, &self.public, &self.all],
            Priority::Known => vec![&self.public, &self.all],
            Priority::Staff => vec![&self.all],
        }
    }

    fn try_acquire(&self, priority: Priority) -> Option<Vec<OwnedSemaphorePermit>> {
        let semaphores = self.semaphores(priority).into_iter();
        semaphores.map(|places| Arc::clone(places).try_acquire_owned().ok()).collect()
    }

    /// Waits in a queue of bounded length, for a bounded time.
    async fn wait(&self, priority: Priority) -> Option<Vec<OwnedSemaphorePermit>> {
        let _place = QueuePlace::take(self.queued.get(priority as usize)?, self.max_queued)?;
        let acquire = async {
            let mut acquired = Vec::new();
            for places in self.semaphores(priority) {
                acquired.push(Arc::clone(places).acquire_owned().await.ok()?);
            }
            Some(acquired)
        };
        tokio::time::timeout(self.queue_timeout, acquire).await.ok().flatten()
    }

    fn explanation(&self) -> String {
        format!(
            "the server is busy with as many operations as it runs at once (MAX_OPERATIONS is {}): try again in a second",
            self.max_operations
        )
    }
}

impl Priority {
    fn of(op: &OpContext) -> Self {
        match op.caller_kind() {
            CallerKind::Anonymous => Self::Anonymous,
            CallerKind::Customer | CallerKind::ApiKey => Self::Known,
            CallerKind::Staff => Self::Staff,
        }
    }

    /// How metrics call it.
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

/// A place in a queue, until it is dropped.
struct QueuePlace<'a>(&'a AtomicUsize);

impl<'a> QueuePlace<'a> {
    fn take(queued: &'a AtomicUsize, max_queued: usize) -> Option<Self> {
        let place = Self(queued);
        (queued.fetch_add(1, Ordering::Relaxed) < max_queued).then_some(place)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Actor, Credential, Identity};
    use crate::context::SystemClock;
    use crate::domain::ids::{ApiKeyId, CustomerId};
    use crate::domain::query_limits::QueryLimits;

    fn admission(max_operations: usize, max_queued: usize) -> Admission {
        let queue_timeout = Duration::from_millis(1);
        let config = AdmissionConfig { max_operations, max_queued, queue_timeout };
        Admission::new(&config, Arc::default())
    }

    fn op(actor: Actor, credential: Credential) -> OpContext {
        let identity = Identity { actor, credential };
        OpContext::asked_by(identity, "test".into(), Arc::new(SystemClock))
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

    async fn admit(admission: &Admission, op: &OpContext) -> Result<Permit, Refused> {
        admission.admit(op, 1, &QueryLimits::default().of(op.caller_kind())).await
    }

    async fn admit_all(admission: &Admission, op: &OpContext) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Ok(permit) = admit(admission, op).await {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test]
    async fn strangers_leave_room_for_customers_and_both_for_staff() {
        let admission = admission(20, 0);
        let [anonymous, customer, key] = callers();
        let strangers = admit_all(&admission, &anonymous).await;
        assert_eq!(strangers.len(), 12);
        let mut customers = vec![admit(&admission, &key).await.ok().unwrap()];
        customers.extend(admit_all(&admission, &customer).await);
        assert_eq!(customers.len(), 5);
        let system = OpContext::system(Arc::new(SystemClock));
        assert_eq!(admit_all(&admission, &system).await.len(), 3);
        assert!(admit(&admission, &anonymous).await.is_err());
        drop((strangers, customers));
        assert!(admit(&admission, &anonymous).await.is_ok(), "places are given back");
    }

    #[tokio::test]
    async fn one_that_waits_runs_when_another_has_ended() {
        let admission = Admission::new(
            &AdmissionConfig { max_operations: 4, max_queued: 1, queue_timeout: Duration::from_secs(60) },
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
