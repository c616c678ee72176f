//! Overload: how many operations run at once, how many wait, and who is turned away first.
//!
//! `http::graphql` and live connections ask for a [`Permit`] once they know who asks and what,
//! before anything is executed. Nothing but operations is counted: `/health` is never turned away.
//! A permit is part of its operation and ends with it, not with the request: a client that hangs up
//! frees nothing that is still at work.
//!
//! Each kind of caller shares what it may use with those that come after it and leaves a part to
//! those that come before: anonymous callers may use 60 % of all places, with customers and API
//! keys 85 %, and staff all of them. So whatever the others do, staff find a place, and a crowd of
//! strangers leaves room for customers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::graphql::Refused;
use crate::config::AdmissionConfig;
use crate::context::OpContext;
use crate::domain::caller::CallerKind;
use crate::error::ErrorCode;
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
            max_operations: config.max_operations,
            max_queued: config.max_queued,
            queue_timeout: config.queue_timeout,
            metrics,
        }
    }

    /// Lets an operation run: at once, or after a short wait.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when too many run and wait already.
    pub(super) async fn admit(&self, op: &OpContext) -> Result<Permit, Refused> {
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
        Ok(Permit { _places: places, metrics: Arc::clone(&self.metrics) })
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

    async fn admit_all(admission: &Admission, op: &OpContext) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Ok(permit) = admission.admit(op).await {
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
        let mut customers = vec![admission.admit(&key).await.ok().unwrap()];
        customers.extend(admit_all(&admission, &customer).await);
        assert_eq!(customers.len(), 5);
        let system = OpContext::system(Arc::new(SystemClock));
        assert_eq!(admit_all(&admission, &system).await.len(), 3);
        assert!(admission.admit(&anonymous).await.is_err());
        drop((strangers, customers));
        assert!(admission.admit(&anonymous).await.is_ok(), "places are given back");
    }

    #[tokio::test]
    async fn one_that_waits_runs_when_another_has_ended() {
        let admission = Admission::new(
            &AdmissionConfig { max_operations: 4, max_queued: 1, queue_timeout: Duration::from_secs(60) },
            Arc::default(),
        );
        let [anonymous, ..] = callers();
        let first = [admission.admit(&anonymous).await.ok(), admission.admit(&anonymous).await.ok()];
        let mut waiting = std::pin::pin!(admission.admit(&anonymous));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let (code, message) = admission.admit(&anonymous).await.err().unwrap();
        assert_eq!(code, ErrorCode::ServiceUnavailable);
        assert!(message.contains("MAX_OPERATIONS is 4"), "the queue is full: {message}");
        drop(first);
        assert!(waiting.await.is_ok());
    }
}
