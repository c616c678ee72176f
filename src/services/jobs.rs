//! What staff see of jobs and the schedule, and how they steer them.

use std::sync::Arc;

use crate::context::OpContext;
use crate::db::{Db, retrying};
use crate::domain::ids::JobId;
use crate::domain::job::JobStatus;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::jobs::{self as queue, NewJob, Schedule};
use crate::repositories::jobs::{self, Ended, JobFilter};

pub use crate::jobs::{Due, Job};

/// The input's field that names the job.
const ID: &[&str] = &["id"];

/// Reads and steers jobs.
pub struct Jobs {
    db: Db,
    schedule: Arc<Schedule>,
}

impl Jobs {
    /// The service over a database, with what is done by the clock.
    #[must_use]
    pub fn new(db: Db, schedule: Arc<Schedule>) -> Self {
        Self { db, schedule }
    }

    /// A page of jobs, the newest first. The query has terms such as `status:dead` and `kind:mail.receipt`; of each kind of term one must
    /// be met.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a term that there is not; [`Error`] for those who may not manage the shop's settings.
    pub async fn page(
        &self,
        op: &OpContext,
        query: Option<&str>,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<Job>, Error> {
        op.authorize(Permission::ManageSettings)?;
        let filter = filter(query.unwrap_or_default())?;
        Ok(jobs::page(&mut self.db.read(&op.statements).await?, &filter, request).await?)
    }

    /// The job with an id, for any member of staff and any service that knows it.
    ///
    /// # Errors
    /// [`Error`] for others.
    pub async fn find(&self, op: &OpContext, id: JobId) -> Result<Option<Job>, Error> {
        op.authorize_staff()?;
        Ok(jobs::find(&mut self.db.read(&op.statements).await?, id).await?)
    }

    /// Puts a job that is dead or was called off into the queue again, with all its attempts before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, or it waits, runs or is done.
    pub async fn retry(&self, op: &OpContext, id: JobId) -> Result<Job, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.change(op, id, |job| match job.status {
            JobStatus::Dead | JobStatus::Cancelled => Ok(Ended {
                attempts: 0,
                run_at: op.now(),
                finished_at: None,
                ..state(job, JobStatus::Queued)
            }),
            status => Err(not_allowed(status, "A job that is dead or canceled can be tried again")),
        })
        .await
    }

    /// Calls a job off. One that runs is stopped within some seconds, wherever it is; what it did stays done.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, or it has ended.
    pub async fn cancel(&self, op: &OpContext, id: JobId) -> Result<Job, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.change(op, id, |job| match job.status {
            JobStatus::Queued | JobStatus::Running => {
                Ok(Ended { finished_at: Some(op.now()), ..state(job, JobStatus::Cancelled) })
            }
            status => Err(not_allowed(status, "A job that waits or runs can be canceled")),
        })
        .await
    }

    async fn change(
        &self,
        op: &OpContext,
        id: JobId,
        change: impl Fn(&Job) -> Result<Ended, Error>,
    ) -> Result<Job, Error> {
        let none = || Error::invalid(ID, UserErrorCode::NotFound, "Job does not exist");
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            let job = jobs::lock(tx.conn(), id).await?.ok_or_else(none)?;
            let changed = change(&job)?;
            if changed.status == JobStatus::Queued
                && let Some(key) = &job.unique_key
                && jobs::is_key_waiting(tx.conn(), key).await?
            {
                let message = "Another job that waits does the same";
                return Err(Error::invalid(ID, UserErrorCode::Taken, message));
            }
            jobs::update(tx.conn(), id, &changed).await?;
            let job = jobs::find(tx.conn(), id).await?.ok_or_else(none)?;
            tx.announce_jobs();
            tx.commit().await?;
            Ok(job)
        })
        .await
    }

    /// What is done by the clock.
    ///
    /// # Errors
    /// [`Error`] for those who may not manage the shop's settings.
    pub async fn tasks(&self, op: &OpContext) -> Result<Vec<Due>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(self.schedule.list(op).await?)
    }

    /// Does at once what is done by the clock otherwise; gives the job, or the one that waits already.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such task.
    pub async fn run_task(&self, op: &OpContext, name: &str) -> Result<Job, Error> {
        op.authorize(Permission::ManageSettings)?;
        let Some(task) = self.schedule.find(name) else {
            return Err(Error::invalid(&["name"], UserErrorCode::NotFound, "There is no such task"));
        };
        let job = NewJob::new(task.name, &serde_json::json!({ "dueAt": op.now() }))?.unique(task.name);
        let mut tx = self.db.begin(&op.statements).await?;
        let id = job.id;
        queue::enqueue(&mut tx, op, [job]).await?;
        let job = match jobs::find(tx.conn(), id).await? {
            Some(job) => Some(job),
            None => jobs::waiting(tx.conn(), task.name).await?,
        };
        tx.commit().await?;
        job.ok_or_else(|| Error::Conflict("the task is being done at this moment: try again".to_owned()))
    }
}

fn state(job: &Job, status: JobStatus) -> Ended {
    Ended {
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
    Error::invalid(ID, UserErrorCode::NotAllowed, message)
}

/// Reads a query: `status:dead kind:mail.receipt`.
fn filter(query: &str) -> Result<JobFilter, Error> {
    let mut filter = JobFilter::default();
    for term in query.split_whitespace() {
        match term.split_once(':') {
            Some(("status", status)) => match JobStatus::named(status) {
                Some(status) => filter.statuses.push(status),
                None => {
                    let all: Vec<&str> = JobStatus::ALL.iter().map(|status| status.public_name()).collect();
                    let message = format!("query: a status is one of {}", all.join(", "));
                    return Err(Error::BadInput(message));
                }
            },
            Some(("kind", kind)) if !kind.contains('\0') => filter.kinds.push(kind.to_owned()),
            _ => {
                return Err(Error::BadInput(
                    "query: write terms such as `status:dead` and `kind:mail.receipt`".to_owned(),
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
    fn queries_are_terms() {
        let read = filter("status:dead  kind:a kind:b status:QUEUED").unwrap();
        assert_eq!(read.statuses, [JobStatus::Dead, JobStatus::Queued]);
        assert_eq!(read.kinds, ["a", "b"]);
        assert_eq!(filter("").unwrap(), JobFilter::default());
        assert!(filter("status:lost").is_err() && filter("mail").is_err());
    }
}
