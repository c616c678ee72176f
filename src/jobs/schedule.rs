//! Scheduled tasks. When a task is due, only one of the running processes enqueues its job.
//!
//! The database stores when each task was last due. The process that first records the next time
//! enqueues the job in the same transaction. A task that was due several times while no process was
//! running is run once.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use serde::{Deserialize, Serialize};

use super::{NewJob, Policy, enqueue};
use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::ids::JobId;
use crate::domain::time::{Clock, Timestamp};
use crate::error::with_causes;
use crate::repositories::jobs::{self, ScheduledTask};

/// How often the schedule checks for due tasks.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A task that runs on a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Task {
    /// The task's name, which is the kind of its jobs.
    pub name: &'static str,
    /// When it is due: a cron expression with five fields, in UTC.
    pub cron: &'static str,
    /// What it does, for staff to read.
    pub description: &'static str,
}

/// The payload of a task's job.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskPayload {
    pub(super) due_at: Timestamp,
}

impl Task {
    /// Creates the job of the task, of which at most one is queued.
    ///
    /// # Errors
    /// When its payload can't be serialized as JSON.
    pub(crate) fn new_job(self, due_at: Timestamp) -> Result<NewJob, DbError> {
        let payload = serde_json::to_value(TaskPayload { due_at }).map_err(DbError::corrupt)?;
        Ok(NewJob::with_value(self.name, Policy::DEFAULT, payload).with_unique_key(self.name))
    }
}

/// Enqueues the tasks of a shop when they are due.
pub struct Schedule {
    db: Db,
    clock: Arc<dyn Clock>,
    tasks: Vec<(Task, Cron)>,
}

/// A task, with when it was last due and when it is due next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskStatus {
    /// The task.
    pub task: Task,
    /// When it was last due; `None` if it has not been due yet.
    pub last_due_at: Option<Timestamp>,
    /// The job that was enqueued then.
    pub last_job_id: Option<JobId>,
    /// When it is due next; `None` if never.
    pub next_due_at: Option<Timestamp>,
}

impl Schedule {
    /// Creates the schedule of `tasks`.
    ///
    /// # Errors
    /// When a task's cron expression is invalid.
    pub fn new(db: Db, clock: Arc<dyn Clock>, tasks: &[Task]) -> Result<Self, CronError> {
        let parse = |task: &Task| Ok((*task, Cron::from_str(task.cron)?));
        Ok(Self { db, clock, tasks: tasks.iter().map(parse).collect::<Result<_, CronError>>()? })
    }

    /// Enqueues due tasks until `shutdown` completes.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut next = None;
        loop {
            if next.is_none_or(|next| next <= self.clock.now()) {
                match self.tick().await {
                    Ok(()) => next = self.next_after(self.clock.now()),
                    Err(error) => tracing::error!("the schedule can't be kept: {}", with_causes(&error)),
                }
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Enqueues the tasks that are due now. A new task is not run at once, but at its next
    /// scheduled time.
    ///
    /// # Errors
    /// [`DbError`]; tasks before the one that failed have been enqueued.
    pub async fn tick(&self) -> Result<(), DbError> {
        let op = OpContext::system(Arc::clone(&self.clock));
        let known = jobs::tasks(&mut self.db.read(&op.statements).await?).await?;
        for (task, cron) in &self.tasks {
            let Some(due_at) = previous_occurrence(cron, op.now()) else { continue };
            let last = known.iter().find(|known| known.name == task.name);
            if last.is_none_or(|last| last.last_due_at < due_at) {
                self.record_due(&op, *task, due_at, last.is_some()).await?;
            }
        }
        Ok(())
    }

    /// Records that a task was due and, if `runs`, enqueues its job.
    async fn record_due(
        &self,
        op: &OpContext,
        task: Task,
        due_at: Timestamp,
        runs: bool,
    ) -> Result<(), DbError> {
        let job = task.new_job(due_at)?;
        let row = ScheduledTask {
            name: task.name.to_owned(),
            last_due_at: due_at,
            last_job_id: runs.then_some(job.id),
        };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let is_new = jobs::record_due(tx.conn(), &row).await?;
                if is_new && runs {
                    enqueue(tx, op, [job.clone()]).await?;
                }
                Ok(())
            })
            .await
    }

    /// The first time after `moment` at which a task is due.
    fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.tasks.iter().filter_map(|(_, cron)| next_occurrence(cron, moment)).min()
    }

    /// Lists all tasks.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn list(&self, op: &OpContext) -> Result<Vec<TaskStatus>, DbError> {
        let known = jobs::tasks(&mut self.db.read(&op.statements).await?).await?;
        let status = |(task, cron): &(Task, Cron)| {
            let last = known.iter().find(|known| known.name == task.name);
            TaskStatus {
                task: *task,
                last_due_at: last.map(|last| last.last_due_at),
                last_job_id: last.and_then(|last| last.last_job_id),
                next_due_at: next_occurrence(cron, op.now()),
            }
        };
        Ok(self.tasks.iter().map(status).collect())
    }

    /// Finds a task by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Task> {
        self.tasks.iter().map(|(task, _)| *task).find(|task| task.name == name)
    }
}

fn next_occurrence(cron: &Cron, after: Timestamp) -> Option<Timestamp> {
    cron.find_next_occurrence(&after.utc(), false).ok().map(Into::into)
}

fn previous_occurrence(cron: &Cron, until: Timestamp) -> Option<Timestamp> {
    cron.find_previous_occurrence(&until.utc(), true).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_in_utc() {
        let midnight = Cron::from_str("0 0 * * *").unwrap();
        let noon = Timestamp::from(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(12));
        assert_eq!(previous_occurrence(&midnight, noon), Some(Timestamp::EPOCH));
        assert_eq!(previous_occurrence(&midnight, Timestamp::EPOCH), Some(Timestamp::EPOCH));
        assert_eq!(next_occurrence(&midnight, noon), Some(noon.plus(Duration::from_hours(12))));
    }
}
