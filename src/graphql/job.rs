//! Background work, for staff.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::connection::{Items, PageArgs, connection};
use super::errors::{UserError, payload};
use super::guard::{Requires, RequiresStaff, is_staff, manages_settings};
use super::in_order::InOrder;
use super::request::RequestContext;
use super::scalars::{DateTime, gid, parse_gid};
use crate::domain::ids::Id;
use crate::domain::job;
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::services::jobs;

/// The state a job is in.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "job::JobStatus", visible = "is_staff")]
pub enum JobStatus {
    /// It waits for its time, or for a worker.
    Queued,
    /// A worker runs it.
    Running,
    /// It is done.
    Completed,
    /// It failed too often, or can't succeed.
    Dead,
    /// Staff called it off.
    #[graphql(name = "CANCELED")]
    Cancelled,
}

/// A piece of background work.
#[derive(Clone)]
pub struct Job(pub Arc<jobs::Job>);

connection!(JobConnection, JobEdge, Job, "jobs");

/// A piece of background work.
#[Object(visible = "is_staff")]
impl Job {
    /// The job's global id.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// What it does: `mail.receipt`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The state it is in.
    async fn status(&self) -> JobStatus {
        self.0.status.into()
    }

    /// How far it is, in percent.
    async fn progress_percentage(&self) -> i32 {
        self.0.progress
    }

    /// How often it was begun.
    async fn attempt_count(&self) -> i32 {
        self.0.attempts
    }

    /// How often it may be begun in vain.
    async fn attempt_limit(&self) -> i32 {
        self.0.max_attempts
    }

    /// Why it failed last.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it may run.
    async fn run_at(&self) -> DateTime {
        DateTime(self.0.run_at)
    }

    /// When it was put into the queue.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(DateTime)
    }
}

impl Job {
    fn of(row: jobs::Job) -> Self {
        Self(Arc::new(row))
    }
}

/// Something that is done by the clock.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct ScheduledTask {
    /// Its name.
    name: &'static str,
    /// What it does.
    description: &'static str,
    /// When: five fields of cron, in UTC.
    cron: &'static str,
    /// When it was last due; null if it never was.
    last_due_at: Option<DateTime>,
    /// When it is due next.
    next_due_at: Option<DateTime>,
    /// The global id of the job that it became last.
    last_job_id: Option<ID>,
}

/// Reads of background work.
#[derive(Default)]
pub struct JobQuery;

#[Object]
impl JobQuery {
    /// Jobs, the newest first.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "Terms such as `status:dead` and `kind:mail.receipt`.")] query: Option<String>,
    ) -> Result<InOrder<JobConnection>> {
        const LIST: &str = "jobs";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().jobs.page(ctx.op(), query.as_deref(), &request).await?;
        let page = page.map(|row| (Job::of(row), CursorKey::None));
        Ok(InOrder(JobConnection(Items::new(LIST, page, |job| job.0.id.uuid()))))
    }

    /// A job, by its id.
    #[graphql(guard = "RequiresStaff", visible = "is_staff")]
    async fn job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<Job>> {
        Ok(ctx.services().jobs.find(ctx.op(), parse_gid(&id)?).await?.map(Job::of))
    }

    /// What is done by the clock.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
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

/// Steers background work.
#[derive(Default)]
pub struct JobMutation;

/// What became of the job.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct JobRetryPayload {
    /// The job; null if it can't be tried again.
    job: Option<Job>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the job.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct JobCancelPayload {
    /// The job; null if it can't be called off.
    job: Option<Job>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the task.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct ScheduledTaskRunPayload {
    /// The job that does it; null if there is no such task.
    job: Option<Job>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl JobMutation {
    /// Puts a job that is dead or was called off into the queue again.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn job_retry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The job's global id.")] id: ID,
    ) -> Result<JobRetryPayload> {
        let (job, user_errors) = payload(ctx.services().jobs.retry(ctx.op(), parse_gid(&id)?).await)?;
        Ok(JobRetryPayload { job: job.map(Job::of), user_errors })
    }

    /// Calls a job off. One that runs is stopped within some seconds; what it did stays done.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn job_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The job's global id.")] id: ID,
    ) -> Result<JobCancelPayload> {
        let (job, user_errors) = payload(ctx.services().jobs.cancel(ctx.op(), parse_gid(&id)?).await)?;
        Ok(JobCancelPayload { job: job.map(Job::of), user_errors })
    }

    /// Does at once what is done by the clock otherwise.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn scheduled_task_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task's name.")] name: String,
    ) -> Result<ScheduledTaskRunPayload> {
        let (job, user_errors) = payload(ctx.services().jobs.run_task(ctx.op(), &name).await)?;
        Ok(ScheduledTaskRunPayload { job: job.map(Job::of), user_errors })
    }
}
