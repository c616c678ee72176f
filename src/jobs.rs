//! The job queue: durable work, run by the handlers in `listeners`.
//!
//! A job is enqueued in the transaction of its cause. A worker reserves it, runs its handler
//! outside of any transaction under a lease that it keeps renewing, and records the result. If the
//! worker is killed, the lease expires and another worker runs the job again. So delivery is at
//! least once, and handlers must be idempotent. A failed job is retried with exponential backoff;
//! after its last attempt it is dead and stays in the queue for inspection. Of the jobs with the
//! same unique key, at most one is queued and one is running.

mod handler;
mod metrics;
mod schedule;
mod worker;

pub use handler::{EventSubscription, Handler, JobContext, JobError, JobPayload, JobResult, Policy};
pub use metrics::JobMetrics;
pub use schedule::{Schedule, Task, TaskStatus};
pub use worker::{RunSummary, SHUTDOWN_TIMEOUT, Worker};

pub use crate::repositories::jobs::{Job, QueueDepth};

use std::time::Duration;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, StatementCounter, Tx};
use crate::domain::ids::{EventId, JobId};
use crate::domain::jobs::JobStatus;
use crate::repositories::jobs;
use crate::trace;

/// A job to enqueue.
#[derive(Clone, PartialEq, Debug)]
pub struct NewJob {
    /// The id that the job will have.
    pub id: JobId,
    kind: &'static str,
    payload: serde_json::Value,
    unique_key: Option<String>,
    event_id: Option<EventId>,
    request_id: Option<String>,
    traceparent: Option<String>,
    priority: i32,
    max_retries: u32,
    delay: Duration,
}

impl NewJob {
    /// Creates a job with a payload, which determines its handler.
    ///
    /// # Errors
    /// When the payload can't be serialized as JSON.
    pub fn new<P: JobPayload>(payload: &P) -> Result<Self, DbError> {
        let payload = serde_json::to_value(payload).map_err(DbError::corrupt)?;
        Ok(Self::with_value(P::KIND, P::POLICY, payload))
    }

    fn with_value(kind: &'static str, policy: Policy, payload: serde_json::Value) -> Self {
        Self {
            id: JobId::generate(),
            kind,
            payload,
            unique_key: None,
            event_id: None,
            request_id: None,
            traceparent: None,
            priority: policy.priority,
            max_retries: policy.max_retries,
            delay: Duration::ZERO,
        }
    }

    /// Sets the id. If the queue already has a job with this id, enqueuing does nothing, so that
    /// repeating the operation does not duplicate the job.
    #[must_use]
    pub fn with_id(self, id: JobId) -> Self {
        Self { id, ..self }
    }

    /// Sets a unique key. If a job with this key is already queued, enqueuing does nothing, and
    /// jobs with the same key never run at the same time.
    #[must_use]
    pub fn with_unique_key(self, key: impl Into<String>) -> Self {
        Self { unique_key: Some(key.into()), ..self }
    }

    /// Sets the event that the job handles, and the request that the event was caused by.
    #[must_use]
    pub fn with_event(self, event: EventId, request_id: &str) -> Self {
        Self { event_id: Some(event), request_id: Some(request_id.to_owned()), ..self }
    }

    /// Sets the trace that the job belongs to, instead of the current one.
    #[must_use]
    pub fn with_traceparent(self, traceparent: Option<String>) -> Self {
        Self { traceparent, ..self }
    }

    /// Sets the priority, instead of that of the kind: jobs with a higher number run first.
    #[must_use]
    pub fn with_priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }

    /// Sets how often the job is retried when it fails, instead of what its kind's policy says.
    #[must_use]
    pub fn with_max_retries(self, max_retries: u32) -> Self {
        Self { max_retries, ..self }
    }

    /// Sets the delay before the first attempt.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn into_row(self, op: &OpContext) -> Job {
        Job {
            id: self.id,
            kind: self.kind.to_owned(),
            payload: Json(self.payload),
            status: JobStatus::Queued,
            unique_key: self.unique_key,
            event_id: self.event_id,
            request_id: self.request_id.unwrap_or_else(|| op.request_id.to_string()),
            priority: self.priority,
            attempts: 0,
            max_attempts: i32::try_from(self.max_retries.saturating_add(1)).unwrap_or(i32::MAX),
            run_at: op.now().plus(self.delay),
            worker: None,
            lease_until: None,
            progress: 0,
            error: None,
            created_at: op.now(),
            finished_at: None,
            traceparent: self.traceparent.or_else(trace::current_traceparent),
        }
    }
}

/// Enqueues jobs in the transaction of their cause.
///
/// # Errors
/// [`DbError`] of the insert; the transaction must fail with it.
pub async fn enqueue(
    tx: &mut Tx,
    op: &OpContext,
    jobs: impl IntoIterator<Item = NewJob>,
) -> Result<(), DbError> {
    let rows: Vec<Job> = jobs.into_iter().map(|job| job.into_row(op)).collect();
    if !rows.is_empty() {
        jobs::insert(tx.conn(), rows).await?;
        tx.notify_jobs_on_commit();
    }
    Ok(())
}

/// Counts unfinished jobs by kind and state.
///
/// # Errors
/// [`DbError`] of the read.
pub async fn queue_depths(db: &Db) -> Result<Vec<QueueDepth>, DbError> {
    jobs::queue_depths(&mut db.read(&StatementCounter::default()).await?).await
}

/// Makes the queued job with a unique key run now, before its scheduled time.
///
/// # Errors
/// [`DbError`] of the update; the transaction must fail with it.
pub async fn expedite(tx: &mut Tx, op: &OpContext, key: &str) -> Result<(), DbError> {
    jobs::expedite(tx.conn(), key, op.now()).await?;
    tx.notify_jobs_on_commit();
    Ok(())
}
