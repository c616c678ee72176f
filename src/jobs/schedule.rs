//! Tasks of the clock: each becomes a job when it is due, in one process however many there are.
//!
//! When a task was last due stands in the database; whoever writes the next time down first puts the job into the queue, in the same
//! transaction. What was due while no process ran is done once, not as often as it was due.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;

use super::{NewJob, enqueue};
use crate::context::{Clock, OpContext};
use crate::db::{Db, DbError, retrying};
use crate::domain::ids::JobId;
use crate::domain::time::Timestamp;
use crate::error::with_causes;
use crate::repositories::jobs::{self, ScheduledTask};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that is done by the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Task {
    /// Its name, which is the kind of its jobs.
    pub name: &'static str,
    /// When: five fields of cron, in UTC.
    pub cron: &'static str,
    /// What it does, for people.
    pub description: &'static str,
}

/// The tasks of a shop.
pub struct Schedule {
    db: Db,
    clock: Arc<dyn Clock>,
    tasks: Vec<(Task, Cron)>,
}

/// A task, when it was last due and when it is next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The task.
    pub task: Task,
    /// When it was last due; `None`: not since the shop knows it.
    pub last_due_at: Option<Timestamp>,
    /// The job that it became then.
    pub last_job_id: Option<JobId>,
    /// When it is due next; `None`: never.
    pub next_due_at: Option<Timestamp>,
}

impl Schedule {
    /// A schedule over a database.
    ///
    /// # Errors
    /// When a task's times can't be read.
    pub fn new(db: Db, clock: Arc<dyn Clock>, tasks: &[Task]) -> Result<Self, CronError> {
        let read = |task: &Task| Ok((*task, Cron::from_str(task.cron)?));
        Ok(Self { db, clock, tasks: tasks.iter().map(read).collect::<Result<_, CronError>>()? })
    }

    /// Looks at the clock until `shutdown` is ready.
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
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Puts the tasks that are due into the queue. A task that was never seen is due from now on, not at once.
    ///
    /// # Errors
    /// [`DbError`]; tasks before the one that failed are in the queue.
    pub async fn tick(&self) -> Result<(), DbError> {
        let op = OpContext::system(Arc::clone(&self.clock));
        let known = jobs::tasks(&mut self.db.read(&op.statements).await?).await?;
        for (task, cron) in &self.tasks {
            let Some(due) = previous(cron, op.now()) else { continue };
            let last = known.iter().find(|known| known.name == task.name);
            if last.is_none_or(|last| last.last_due_at < due) {
                retrying(|| self.note(&op, *task, due, last.is_some())).await?;
            }
        }
        Ok(())
    }

    async fn note(&self, op: &OpContext, task: Task, due: Timestamp, runs: bool) -> Result<(), DbError> {
        let job = NewJob::new(task.name, &serde_json::json!({ "dueAt": due }))?.unique(task.name);
        let mut tx = self.db.begin(&op.statements).await?;
        let row = ScheduledTask {
            name: task.name.to_owned(),
            last_due_at: due,
            last_job_id: runs.then_some(job.id),
        };
        let is_news = jobs::note_due(tx.conn(), &row).await?;
        if is_news && runs {
            enqueue(&mut tx, op, [job]).await?;
        }
        tx.commit().await
    }

    /// The first moment after another at which a task is due.
    fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.tasks.iter().filter_map(|(_, cron)| next(cron, moment)).min()
    }

    /// All tasks.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn list(&self, op: &OpContext) -> Result<Vec<Due>, DbError> {
        let known = jobs::tasks(&mut self.db.read(&op.statements).await?).await?;
        let due = |(task, cron): &(Task, Cron)| {
            let last = known.iter().find(|known| known.name == task.name);
            Due {
                task: *task,
                last_due_at: last.map(|last| last.last_due_at),
                last_job_id: last.and_then(|last| last.last_job_id),
                next_due_at: next(cron, op.now()),
            }
        };
        Ok(self.tasks.iter().map(due).collect())
    }

    /// The task of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Task> {
        self.tasks.iter().map(|(task, _)| *task).find(|task| task.name == name)
    }
}

fn next(cron: &Cron, after: Timestamp) -> Option<Timestamp> {
    cron.find_next_occurrence(&after.utc(), false).ok().map(Into::into)
}

fn previous(cron: &Cron, until: Timestamp) -> Option<Timestamp> {
    cron.find_previous_occurrence(&until.utc(), true).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        let midnight = Cron::from_str("0 0 * * *").unwrap();
        let noon = Timestamp::from(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(12));
        assert_eq!(previous(&midnight, noon), Some(Timestamp::EPOCH));
        assert_eq!(previous(&midnight, Timestamp::EPOCH), Some(Timestamp::EPOCH));
        assert_eq!(next(&midnight, noon), Some(noon.plus(Duration::from_secs(12 * 3600))));
    }
}
