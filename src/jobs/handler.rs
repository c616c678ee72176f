//! Job handlers: one for each kind of job, the context they run in, and their errors.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Job;
use crate::context::OpContext;
use crate::db::{Db, DbError};
use crate::error::{Error, with_causes};
use crate::repositories::events::{self, LoggedEvent};
use crate::repositories::jobs;

/// Runs the jobs of one kind. A job may run again after it was interrupted, so handlers must be
/// idempotent.
pub trait Handler: Send + Sync + 'static {
    /// The name of the kind, such as `mail.order_confirmation`.
    fn kind(&self) -> &'static str;

    /// How the jobs are run.
    fn policy(&self) -> Policy {
        Policy::default()
    }

    /// The events that cause a job.
    fn subscription(&self) -> EventSubscription {
        EventSubscription::None
    }

    /// Runs a job.
    fn run<'a>(&'a self, ctx: &'a JobContext) -> BoxFuture<'a, Result<(), JobError>>;
}

/// How jobs of a kind are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How long an attempt may take. The default is 60 seconds.
    pub timeout: Duration,
    /// How many run at the same time in a process. The default is 5.
    pub concurrency: usize,
    /// How often a job that was caused by an event is retried. The default is
    /// [`super::DEFAULT_RETRIES`].
    pub max_retries: u32,
    /// The delay after the first failure; it doubles with each further one. The default is 5
    /// seconds.
    pub backoff: Duration,
    /// Jobs with a higher number run first. The default is 0.
    pub priority: i32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            concurrency: 5,
            max_retries: super::DEFAULT_RETRIES,
            backoff: Duration::from_secs(5),
            priority: 0,
        }
    }
}

/// The events that cause jobs of a handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventSubscription {
    /// No events: the jobs are enqueued by services or the schedule.
    None,
    /// One job for each event of these kinds.
    PerEvent(&'static [&'static str]),
    /// One job for all new events, which the handler reads in the order of the log from its own
    /// position (`events::consumer`). Only events of these kinds cause a job; an empty list means
    /// all kinds.
    Log(&'static [&'static str]),
}

/// Why a job did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JobError {
    /// It failed, and may succeed later.
    #[error("{0}")]
    Retry(String),
    /// It failed, and retrying is pointless.
    #[error("{0}")]
    GiveUp(String),
    /// It can't run yet. This does not count as an attempt.
    #[error("{why}")]
    Wait {
        /// What it waits for.
        why: String,
        /// The delay before the next attempt.
        delay: Duration,
    },
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Internal(_) | Error::Conflict(_) => {
                Self::Retry(with_causes(&error))
            }
            _ => Self::GiveUp(with_causes(&error)),
        }
    }
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        Error::from(error).into()
    }
}

/// The context in which a job runs.
pub struct JobContext {
    /// The context for service calls: the shop itself acts, under the id of the request that caused
    /// the job.
    pub op: OpContext,
    /// The running job.
    pub job: Job,
    pub(super) db: Db,
}

impl JobContext {
    /// Deserializes the job's payload.
    ///
    /// # Errors
    /// [`JobError::GiveUp`] when it has another shape.
    pub fn payload<T: serde::de::DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_value(self.job.payload.0.clone())
            .map_err(|error| JobError::GiveUp(format!("the payload can't be read: {error}")))
    }

    /// Loads the event that caused the job.
    ///
    /// # Errors
    /// [`JobError::GiveUp`] when there is none.
    pub async fn event(&self) -> Result<LoggedEvent, JobError> {
        let none = || JobError::GiveUp("there is no such event".to_owned());
        let id = self.job.event_id.ok_or_else(none)?;
        events::find(&mut self.db.read(&self.op.statements).await?, id).await?.ok_or_else(none)
    }

    /// Records the job's progress, in percent, at most 99. The worker records its completion.
    ///
    /// # Errors
    /// [`JobError::Retry`] when another worker has taken over the job.
    pub async fn set_progress(&self, percent: u8) -> Result<(), JobError> {
        let percent = i32::from(percent.min(99));
        let mut conn = self.db.write(&self.op.statements).await?;
        if jobs::set_progress(&mut conn, &self.job, percent).await? {
            Ok(())
        } else {
            Err(JobError::Retry("another worker has taken the job over".to_owned()))
        }
    }
}
