//! Background jobs and scheduled tasks, for staff.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::request::RequestContext;
use super::types::connection::{ConnectionPage, PageArgs, connection};
use super::types::errors::{UserError, payload};
use super::types::guard::{PermissionGuard, StaffGuard, is_staff, may_manage_settings};
use super::types::inline_object::InlineObject;
use super::types::scalars::{DateTime, gid, parse_gid};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::Id;
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::services::jobs;

/// The status of a job.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::jobs::JobStatus", visible = "is_staff")]
pub enum JobStatus {
    /// The job is waiting for its time or for a worker.
    Queued,
    /// A worker is running the job.
    Running,
    /// The job succeeded.
    Completed,
    /// The job failed too often, or can't succeed.
    Dead,
    /// The job was canceled by staff.
    #[graphql(name = "CANCELED")]
    Cancelled,
}

/// A background job.
#[derive(Clone)]
pub(super) struct Job(pub Arc<jobs::Job>);

connection!(JobConnection, JobEdge, Job, "jobs");

/// A background job.
#[Object(visible = "is_staff")]
impl Job {
    /// The ID of the job.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The kind of job, such as `mail.payment_receipt`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The status of the job.
    async fn status(&self) -> JobStatus {
        self.0.status.into()
    }

    /// The progress in percent.
    async fn progress_percentage(&self) -> i32 {
        self.0.progress
    }

    /// The number of attempts so far.
    async fn attempt_count(&self) -> i32 {
        self.0.attempts
    }

    /// The maximum number of attempts.
    async fn attempt_limit(&self) -> i32 {
        self.0.max_attempts
    }

    /// The error of the last failed attempt.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The earliest time at which the job may run.
    async fn run_at(&self) -> DateTime {
        DateTime(self.0.run_at)
    }

    /// When the job was queued.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When the job finished.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(DateTime)
    }
}

impl Job {
    fn new(row: jobs::Job) -> Self {
        Self(Arc::new(row))
    }
}

/// A task that runs on a schedule.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct ScheduledTask {
    /// The name of the task.
    name: &'static str,
    /// What the task does.
    description: &'static str,
    /// The schedule as a cron expression with five fields, in UTC.
    cron: &'static str,
    /// When the task was last due. Null if it never was.
    last_due_at: Option<DateTime>,
    /// When the task is due next.
    next_due_at: Option<DateTime>,
    /// The ID of the most recent job of the task.
    last_job_id: Option<ID>,
}

/// Job queries.
#[derive(Default)]
pub(super) struct JobQuery;

#[Object]
impl JobQuery {
    /// Returns the jobs, newest first.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A search query with terms such as `status:dead` and `kind:mail.payment_receipt`.")]
        query: Option<String>,
    ) -> Result<InlineObject<JobConnection>> {
        const LIST: &str = "jobs";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().jobs.page(ctx.op(), query.as_deref(), &request).await?;
        let page = page.map(|row| (Job::new(row), CursorKey::None));
        Ok(InlineObject(JobConnection(ConnectionPage::new(LIST, page, |job| job.0.id.uuid()))))
    }

    /// Returns a job by its ID.
    #[graphql(guard = "StaffGuard", visible = "is_staff")]
    async fn job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the job.")] id: ID,
    ) -> Result<Option<Job>> {
        Ok(ctx.services().jobs.find(ctx.op(), parse_gid(&id)?).await?.map(Job::new))
    }

    /// Returns the scheduled tasks.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn scheduled_tasks(&self, ctx: &Context<'_>) -> Result<Vec<ScheduledTask>> {
        let tasks = ctx.services().jobs.tasks(ctx.op()).await?;
        let shown = tasks.into_iter().map(|due| ScheduledTask {
            name: due.task.name,
            description: due.task.description,
            cron: due.task.cron,
            last_due_at: due.last_due_at.map(DateTime),
            next_due_at: due.next_due_at.map(DateTime),
            last_job_id: due.last_job_id.map(gid),
        });
        Ok(shown.collect())
    }
}

/// Job mutations.
#[derive(Default)]
pub(super) struct JobMutation;

/// The result of `jobRetry`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct JobRetryPayload {
    /// The queued job. Null if it can't be retried.
    job: Option<Job>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `jobCancel`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct JobCancelPayload {
    /// The canceled job. Null if it can't be canceled.
    job: Option<Job>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `scheduledTaskRun`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct ScheduledTaskRunPayload {
    /// The job that runs the task. Null if there is no such task.
    job: Option<Job>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl JobMutation {
    /// Queues a dead or canceled job again.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn job_retry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the job.")] id: ID,
    ) -> Result<JobRetryPayload> {
        let (job, user_errors) = payload(ctx.services().jobs.retry(ctx.op(), parse_gid(&id)?).await)?;
        Ok(JobRetryPayload { job: job.map(Job::new), user_errors })
    }

    /// Cancels a job. A running job is stopped within a few seconds; what it has done is not
    /// undone.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn job_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the job.")] id: ID,
    ) -> Result<JobCancelPayload> {
        let (job, user_errors) = payload(ctx.services().jobs.cancel(ctx.op(), parse_gid(&id)?).await)?;
        Ok(JobCancelPayload { job: job.map(Job::new), user_errors })
    }

    /// Runs a scheduled task now.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn scheduled_task_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name of the task.")] name: String,
    ) -> Result<ScheduledTaskRunPayload> {
        let (job, user_errors) = payload(ctx.services().jobs.run_task(ctx.op(), &name).await)?;
        Ok(ScheduledTaskRunPayload { job: job.map(Job::new), user_errors })
    }
}
