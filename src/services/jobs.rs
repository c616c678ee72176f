//! Lets staff inspect and control jobs and scheduled tasks; and the scheduled clean-up.

pub mod clean_up;

pub use clean_up::CleanUp;

use std::sync::Arc;

use crate::context::OpContext;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::JobId;
use crate::domain::jobs::JobStatus;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::jobs::{self as queue, Schedule};
use crate::repositories::jobs::{self, JobFilter, JobUpdate};

pub use crate::jobs::{Job, TaskStatus};

/// Path of the argument that identifies the job.
const ID_FIELD: &[&str] = &["id"];

/// Inspects and controls jobs.
pub struct Jobs {
    db: Db,
    schedule: Arc<Schedule>,
}

impl Jobs {
    /// Creates the service, with the schedule of the process.
    #[must_use]
    pub fn new(db: Db, schedule: Arc<Schedule>) -> Self {
        Self { db, schedule }
    }

    /// Returns a page of jobs, newest first. The query consists of terms such as `status:dead` and
    /// `kind:mail.payment_receipt`; a job must match one term of each kind.
    ///
    /// # Errors
    /// [`Error::BadInput`] for an unknown term; [`Error`] for those who may not manage the shop's
    /// settings.
    pub async fn page(
        &self,
        op: &OpContext,
        query: Option<&str>,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<Job>, Error> {
        op.authorize(Permission::ManageSettings)?;
        let filter = parse_filter(query.unwrap_or_default())?;
        Ok(jobs::page(&mut self.db.read(&op.statements).await?, &filter, request).await?)
    }

    /// Finds a job by id, for any staff member and any service that knows it.
    ///
    /// # Errors
    /// [`Error`] for others.
    pub async fn find(&self, op: &OpContext, id: JobId) -> Result<Option<Job>, Error> {
        op.authorize_staff()?;
        Ok(jobs::find(&mut self.db.read(&op.statements).await?, id).await?)
    }

    /// Enqueues a dead or cancelled job again, with its full number of attempts.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such job, or it is queued, running or completed.
    pub async fn retry(&self, op: &OpContext, id: JobId) -> Result<Job, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.change(op, id, |job| match job.status {
            JobStatus::Dead | JobStatus::Cancelled => Ok(JobUpdate {
                attempts: 0,
                run_at: op.now(),
                finished_at: None,
                ..with_status(job, JobStatus::Queued)
            }),
            status => Err(not_allowed(status, "Only a dead or canceled job can be retried")),
        })
        .await
    }

    /// Cancels a job. A running one is stopped within seconds on whichever node it runs; its
    /// effects so far remain.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such job, or it has ended.
    pub async fn cancel(&self, op: &OpContext, id: JobId) -> Result<Job, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.change(op, id, |job| match job.status {
            JobStatus::Queued | JobStatus::Running => {
                Ok(JobUpdate { finished_at: Some(op.now()), ..with_status(job, JobStatus::Cancelled) })
            }
            status => Err(not_allowed(status, "Only a queued or running job can be canceled")),
        })
        .await
    }

    async fn change(
        &self,
        op: &OpContext,
        id: JobId,
        change: impl Fn(&Job) -> Result<JobUpdate, Error> + Sync,
    ) -> Result<Job, Error> {
        let not_found = || Error::invalid(ID_FIELD, UserErrorCode::NotFound, "Job does not exist");
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let job = jobs::lock(tx.conn(), id).await?.ok_or_else(not_found)?;
                let changed = change(&job)?;
                if changed.status == JobStatus::Queued
                    && let Some(key) = &job.unique_key
                    && jobs::is_key_queued(tx.conn(), key).await?
                {
                    let message = "An equivalent job is already queued";
                    return Err(Error::invalid(ID_FIELD, UserErrorCode::Taken, message));
                }
                jobs::update(tx.conn(), id, &changed).await?;
                let job = jobs::find(tx.conn(), id).await?.ok_or_else(not_found)?;
                tx.notify_jobs_on_commit();
                Ok(job)
            })
            .await
    }

    /// Returns the scheduled tasks.
    ///
    /// # Errors
    /// [`Error`] for those who may not manage the shop's settings.
    pub async fn tasks(&self, op: &OpContext) -> Result<Vec<TaskStatus>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(self.schedule.list(op).await?)
    }

    /// Runs a scheduled task now. Returns its job, or the one that is already queued.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such task.
    pub async fn run_task(&self, op: &OpContext, name: &str) -> Result<Job, Error> {
        op.authorize(Permission::ManageSettings)?;
        let Some(task) = self.schedule.find(name) else {
            return Err(Error::invalid(&["name"], UserErrorCode::NotFound, "There is no such task"));
        };
        let new = task.new_job(op.now())?;
        let job = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                queue::enqueue(tx, op, [new.clone()]).await?;
                match jobs::find(tx.conn(), new.id).await? {
                    Some(job) => Ok(Some(job)),
                    None => jobs::find_queued(tx.conn(), task.name).await,
                }
            })
            .await?;
        job.ok_or_else(|| Error::Conflict("the task is running at the moment: try again".to_owned()))
    }
}

fn with_status(job: &Job, status: JobStatus) -> JobUpdate {
    JobUpdate {
        status,
        run_at: job.run_at,
        attempts: job.attempts,
        error: job.error.clone(),
        finished_at: job.finished_at,
        worker: None,
        lease_until: None,
        progress: job.progress,
        unique_key: job.unique_key.clone(),
    }
}

fn not_allowed(status: JobStatus, rule: &str) -> Error {
    let message = format!("{rule}; this one is {}", status.public_name());
    Error::invalid(ID_FIELD, UserErrorCode::NotAllowed, message)
}

/// Parses a query such as `status:dead kind:mail.payment_receipt`.
fn parse_filter(query: &str) -> Result<JobFilter, Error> {
    let mut filter = JobFilter::default();
    for term in query.split_whitespace() {
        match term.split_once(':') {
            Some(("status", status)) => match JobStatus::from_public_name(status) {
                Some(status) if filter.statuses.contains(&status) => {}
                Some(status) => filter.statuses.push(status),
                None => {
                    let all: Vec<&str> = JobStatus::ALL.iter().map(|status| status.public_name()).collect();
                    let message = format!("query: a status is one of {}", all.join(", "));
                    return Err(Error::BadInput(message));
                }
            },
            Some(("kind", kind)) => filter.kinds.push(kind.to_owned()),
            _ => {
                return Err(Error::BadInput(
                    "query: write terms such as `status:dead` and `kind:mail.payment_receipt`".to_owned(),
                ));
            }
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_filter_by_status_and_kind() {
        let filter = parse_filter("status:dead  kind:a kind:b status:QUEUED").unwrap();
        assert_eq!(filter.statuses, [JobStatus::Dead, JobStatus::Queued]);
        assert_eq!(filter.kinds, ["a", "b"]);
        assert_eq!(parse_filter("").unwrap(), JobFilter::default());
        assert!(parse_filter("status:lost").is_err() && parse_filter("mail").is_err());
    }
}
