//! What a worker runs: a handler for each kind of job, what it is told, and what it may answer.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Job;
use crate::context::OpContext;
use crate::db::{Db, DbError};
use crate::error::{Error, with_causes};
use crate::repositories::events::{self, Recorded};
use crate::repositories::jobs;

/// Does the jobs of one kind. It may be begun again after it was killed half-way: what it does must come out the same.
pub trait Handler: Send + Sync + 'static {
    /// The kind's name: `mail.order_confirmation`.
    fn kind(&self) -> &'static str;

    /// How its jobs are run.
    fn policy(&self) -> Policy {
        Policy::default()
    }

    /// Which events it follows, if any.
    fn follows(&self) -> Follows {
        Follows::Nothing
    }

    /// Does a job.
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<(), JobError>>;
}

/// How jobs of a kind are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How many run at once in a process.
    pub concurrency: usize,
    /// How often a job that follows from an event is tried again.
    pub retries: u32,
    /// How long it waits after its first failure; twice as long after each further one.
    pub backoff: Duration,
    /// Which goes first: the higher.
    pub priority: i32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            concurrency: 5,
            retries: super::USUAL_RETRIES,
            backoff: Duration::from_secs(5),
            priority: 0,
        }
    }
}

/// Which events a handler has jobs for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follows {
    /// None: its jobs come from elsewhere.
    Nothing,
    /// Events of these kinds: a job for each.
    Each(&'static [&'static str]),
    /// The log itself, in its order, from its own position on (`events::follow`): one job, for as many events as there are by then. Events
    /// of other kinds than these are no reason to look; none named means that all are.
    Log(&'static [&'static str]),
}

/// A job that did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JobError {
    /// It may succeed later.
    #[error("{0}")]
    Retry(String),
    /// It never will.
    #[error("{0}")]
    GiveUp(String),
    /// It was not tried, since what it needs is known not to be there. That is no attempt.
    #[error("{why}")]
    Wait {
        /// What is not there.
        why: String,
        /// When to look again.
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

/// A job that runs, and what its handler works with.
pub struct Work {
    /// The shop itself, in the request that caused the job.
    pub op: OpContext,
    /// The job.
    pub job: Job,
    pub(super) db: Db,
}

impl Work {
    /// What the job's payload says.
    ///
    /// # Errors
    /// [`JobError::GiveUp`] when it is none of the kind.
    pub fn payload<T: serde::de::DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_value(self.job.payload.0.clone())
            .map_err(|error| JobError::GiveUp(format!("the payload can't be read: {error}")))
    }

    /// The event that the job follows from.
    ///
    /// # Errors
    /// [`JobError::GiveUp`] when there is none.
    pub async fn event(&self) -> Result<Recorded, JobError> {
        let none = || JobError::GiveUp("there is no such event".to_owned());
        let id = self.job.event_id.ok_or_else(none)?;
        events::find(&mut self.db.read(&self.op.statements).await?, id).await?.ok_or_else(none)
    }

    /// Tells how far the job is, in percent. The end is told by the worker.
    ///
    /// # Errors
    /// [`JobError::Retry`] when the job is not this worker's any more: another one has begun it again.
    pub async fn progress(&self, percent: u8) -> Result<(), JobError> {
        let percent = i32::from(percent.min(99));
        let mut conn = self.db.write(&self.op.statements).await?;
        if jobs::set_progress(&mut conn, &self.job, percent).await? {
            Ok(())
        } else {
            Err(JobError::Retry("another worker has taken the job over".to_owned()))
        }
    }
}
