//! Durable work: how it is kept and run. What it is, the handlers in `listeners` know.
//!
//! A job is put into the queue in the transaction of its cause. A worker reserves it and commits that, runs its handler outside of
//! any transaction with a lease that it keeps extending, and finishes it. Whoever is killed in between loses the lease, and another
//! worker begins the job again: so a handler runs once or, when something broke, more often, and whatever it does must come out the
//! same. A job that fails is tried again after a while, twice as long each time; one that fails too often stays, dead, to be looked
//! at. Of jobs with one unique key, one waits and one runs at most.

mod handler;
mod schedule;
mod worker;

pub use handler::{Follows, Handler, JobError, Policy, Work};
pub use schedule::{Due, Schedule, Task};
pub use worker::{Drained, GRACE, Worker};

pub use crate::repositories::jobs::{Depth, Job};

use std::time::Duration;

use serde::Serialize;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, Statements, Tx};
use crate::domain::ids::{EventId, JobId};
use crate::domain::job::JobStatus;
use crate::repositories::jobs;

/// How often a job is tried again unless its handler says otherwise.
pub const USUAL_RETRIES: u32 = 3;

/// A job that is to be put into the queue.
#[derive(Clone, PartialEq, Debug)]
pub struct NewJob {
    /// Its id, made already.
    pub id: JobId,
    kind: String,
    payload: serde_json::Value,
    unique_key: Option<String>,
    event_id: Option<EventId>,
    request_id: Option<String>,
    priority: i32,
    retries: u32,
    delay: Duration,
}

impl NewJob {
    /// A job of a kind, with what its handler is to know.
    ///
    /// # Errors
    /// When the payload can't be written as JSON.
    pub fn new(kind: &str, payload: &(impl Serialize + ?Sized)) -> Result<Self, DbError> {
        let payload = serde_json::to_value(payload).map_err(DbError::corrupt)?;
        Ok(Self::with_value(kind, payload))
    }

    pub(crate) fn with_value(kind: &str, payload: serde_json::Value) -> Self {
        Self {
            id: JobId::generate(),
            kind: kind.to_owned(),
            payload,
            unique_key: None,
            event_id: None,
            request_id: None,
            priority: 0,
            retries: USUAL_RETRIES,
            delay: Duration::ZERO,
        }
    }

    /// Has this id: one that is there already is left out, so that what is begun again is not done twice.
    #[must_use]
    pub fn with_id(self, id: JobId) -> Self {
        Self { id, ..self }
    }

    /// Left out if a job with this key waits already, and run by itself among those that have it.
    #[must_use]
    pub fn unique(self, key: impl Into<String>) -> Self {
        Self { unique_key: Some(key.into()), ..self }
    }

    /// Follows from an event, in whose request it is done.
    #[must_use]
    pub fn of_event(self, event: EventId, request_id: &str) -> Self {
        Self { event_id: Some(event), request_id: Some(request_id.to_owned()), ..self }
    }

    /// Runs before others, where the number is higher than theirs; the usual one is 0.
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }

    /// Is tried again so often when it fails.
    #[must_use]
    pub fn retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Does not run before some time has passed.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn row(self, op: &OpContext) -> Job {
        Job {
            id: self.id,
            kind: self.kind,
            payload: Json(self.payload),
            status: JobStatus::Queued,
            unique_key: self.unique_key,
            event_id: self.event_id,
            request_id: self.request_id.unwrap_or_else(|| op.request_id.to_string()),
            priority: self.priority,
            attempts: 0,
            max_attempts: i32::try_from(self.retries.saturating_add(1)).unwrap_or(i32::MAX),
            run_at: op.now().plus(self.delay),
            worker: None,
            lease_until: None,
            progress: 0,
            error: None,
            created_at: op.now(),
            finished_at: None,
        }
    }
}

/// Puts jobs into the queue, in the transaction of their cause.
///
/// # Errors
/// [`DbError`] of the insert; the transaction is to be dropped then.
pub async fn enqueue(
    tx: &mut Tx,
    op: &OpContext,
    new: impl IntoIterator<Item = NewJob>,
) -> Result<(), DbError> {
    let rows: Vec<Job> = new.into_iter().map(|job| job.row(op)).collect();
    if !rows.is_empty() {
        jobs::insert(tx.conn(), rows).await?;
        tx.announce_jobs();
    }
    Ok(())
}

/// How many jobs of each kind are in each state, but for those that are done.
///
/// # Errors
/// [`DbError`] of the read.
pub async fn depths(db: &Db) -> Result<Vec<Depth>, DbError> {
    jobs::depths(&mut db.read(&Statements::default()).await?).await
}

/// Lets the job that waits under a unique key run now, whenever it was to run.
///
/// # Errors
/// [`DbError`] of the update; the transaction is to be dropped then.
pub async fn hasten(tx: &mut Tx, op: &OpContext, key: &str) -> Result<(), DbError> {
    jobs::hasten(tx.conn(), key, op.now()).await?;
    tx.announce_jobs();
    Ok(())
}
