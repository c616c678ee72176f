//! Runs jobs. Any number of processes have a worker each over one database.
//!
//! A job is reserved in a statement of its own and its handler runs outside of any transaction, in a task of its own: a panic is a failed
//! attempt. While it runs the lease is extended; whoever finds that the lease is another's stops. When the process is told to end, running
//! jobs may end first; those that take longer are handed back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::{Handler, Job, JobError, Policy, Work};
use crate::context::{Clock, OpContext};
use crate::db::{Db, DbError, Statements, retrying};
use crate::domain::ids::{JobId, WorkerId};
use crate::domain::job::{JobStatus, backoff};
use crate::error::with_causes;
use crate::repositories::jobs::{self, Ended};

/// How long a worker need not say that it still runs a job.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often it says so.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often the queue is looked at when nothing is announced: jobs of other processes, and jobs whose time has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many jobs run at once in a process.
const MOST: usize = 16;
/// How long running jobs may take to end when the process is told to, usually.
pub const GRACE: Duration = Duration::from_secs(20);

/// Runs the jobs of some handlers.
pub struct Worker {
    db: Db,
    clock: Arc<dyn Clock>,
    handlers: HashMap<&'static str, Arc<dyn Handler>>,
    /// What runs: of which kind, and who it is reserved for.
    running: Mutex<HashMap<JobId, (&'static str, WorkerId)>>,
    ended: Notify,
}

/// Stops a handler when nobody waits for it any more: it took too long, its job is another's, or the process is about to end.
struct StopOnDrop(AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What [`Worker::run_due`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drained {
    /// How many attempts were made.
    pub attempts: usize,
    /// How many jobs died.
    pub dead: usize,
}

impl Worker {
    /// A worker over a database.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, handlers: &[Arc<dyn Handler>]) -> Arc<Self> {
        let handlers = handlers.iter().map(|handler| (handler.kind(), Arc::clone(handler))).collect();
        Arc::new(Self { db, clock, handlers, running: Mutex::default(), ended: Notify::new() })
    }

    /// Runs jobs until `shutdown` is ready. Those that run then may end within `grace`; what still runs is stopped and handed back.
    pub async fn run(self: &Arc<Self>, shutdown: impl Future<Output = ()>, grace: Duration) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut announced = self.db.announcements().jobs.listen();
        let mut tasks = JoinSet::new();
        loop {
            match self.reserve().await {
                Ok(reserved) if reserved.is_empty() => {}
                Ok(reserved) => {
                    for job in reserved {
                        self.begin(&mut tasks, job);
                    }
                    // There may be more.
                    if self.room() > 0 {
                        continue;
                    }
                }
                Err(error) => tracing::error!("jobs can't be reserved: {}", with_causes(&error)),
            }
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                () = &mut shutdown => break,
                _ = announced.changed() => {}
                () = self.ended.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let ending = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ending).await.is_err() {
            tracing::warn!(jobs = tasks.len(), "jobs that still run are handed back");
            tasks.shutdown().await;
            self.hand_back_all().await;
        }
    }

    /// Runs what is due, and waits for the end of it. For commands and tests.
    ///
    /// # Errors
    /// [`DbError`] when the queue can't be read.
    pub async fn run_due(self: &Arc<Self>) -> Result<Drained, DbError> {
        let mut drained = Drained::default();
        let mut tasks = JoinSet::new();
        for job in self.reserve().await? {
            drained.attempts += 1;
            self.begin(&mut tasks, job);
        }
        while let Some(ended) = tasks.join_next().await {
            drained.dead += usize::from(matches!(ended, Ok(Some(JobStatus::Dead))));
        }
        Ok(drained)
    }

    /// The kinds that it runs.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.handlers.keys().copied()
    }

    fn begin(self: &Arc<Self>, tasks: &mut JoinSet<Option<JobStatus>>, job: Job) {
        let Some((&kind, handler)) = self.handlers.get_key_value(job.kind.as_str()) else { return };
        let Some(reserved_for) = job.worker else { return };
        let id = job.id;
        self.running().insert(id, (kind, reserved_for));
        let (worker, handler) = (Arc::clone(self), Arc::clone(handler));
        tasks.spawn(async move {
            let status = worker.attempt(&handler, job).await;
            worker.running().remove(&id);
            worker.ended.notify_one();
            status
        });
    }

    fn running(&self) -> MutexGuard<'_, HashMap<JobId, (&'static str, WorkerId)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many jobs more may run.
    fn room(&self) -> usize {
        MOST.saturating_sub(self.running().len())
    }

    /// Reserves jobs of the kinds that there is room for: no more than there is room for of any of them.
    async fn reserve(&self) -> Result<Vec<Job>, DbError> {
        let (mut room, mut kinds) = (self.room(), Vec::new());
        {
            let running = self.running();
            for (kind, handler) in &self.handlers {
                let used = running.values().filter(|(known, _)| known == kind).count();
                let left = handler.policy().concurrency.saturating_sub(used);
                if left > 0 {
                    room = room.min(left);
                    kinds.push((*kind).to_owned());
                }
            }
        }
        if room == 0 || kinds.is_empty() {
            return Ok(Vec::new());
        }
        let (statements, limit) = (Statements::default(), i64::try_from(room).unwrap_or(1));
        // Mostly there is nothing, and a look at it keeps no writer waiting.
        if !jobs::is_any_due(&mut self.db.read(&statements).await?, &kinds, self.clock.now()).await? {
            return Ok(Vec::new());
        }
        retrying(|| async {
            let now = self.clock.now();
            // Another one each time: whoever still runs a job that was called off and begun again has no say in it.
            let worker = WorkerId::generate();
            let mut conn = self.db.write(&statements).await?;
            let mut reserved = jobs::take_over(&mut conn, &kinds, worker, now, LEASE, limit).await?;
            let left = limit.saturating_sub(i64::try_from(reserved.len()).unwrap_or(limit));
            if left > 0 {
                reserved.extend(jobs::reserve(&mut conn, &kinds, worker, now, LEASE, left).await?);
            }
            Ok(reserved)
        })
        .await
    }

    /// One attempt at a job; its state since, or nothing if it is another worker's.
    async fn attempt(&self, handler: &Arc<dyn Handler>, job: Job) -> Option<JobStatus> {
        let (policy, started) = (handler.policy(), Instant::now());
        let request_id: Arc<str> = job.request_id.as_str().into();
        let op = OpContext::system_in(request_id, Arc::clone(&self.clock));
        let result = if job.attempts > job.max_attempts {
            Err(JobError::GiveUp("its worker was lost too often".to_owned()))
        } else {
            let work = Work { op, job: job.clone(), db: self.db.clone() };
            let handler = Arc::clone(handler);
            let mut running = tokio::spawn(async move { handler.run(&work).await });
            let _stop = StopOnDrop(running.abort_handle());
            let outcome = tokio::select! {
                ended = &mut running => Some(match ended {
                    Ok(result) => result,
                    Err(error) if error.is_panic() => Err(JobError::Retry("its handler panicked".to_owned())),
                    Err(_) => Err(JobError::Retry("its handler was stopped".to_owned())),
                }),
                () = tokio::time::sleep(policy.timeout) => {
                    Some(Err(JobError::Retry(format!("it took longer than {:?}", policy.timeout))))
                }
                () = self.hold(&job) => None,
            };
            if !running.is_finished() {
                // It has ended before anybody begins the job again.
                running.abort();
                drop((&mut running).await);
            }
            let Some(result) = outcome else {
                tracing::warn!(kind = job.kind, job = ?job.id, "another worker has taken a job over");
                return None;
            };
            result
        };
        let status = self.end(&job, policy, &result).await;
        let ms = started.elapsed().as_micros() as f64 / 1000.0;
        match (&result, status) {
            (Ok(()), _) => {
                tracing::debug!(
                    kind = job.kind,
                    ms,
                    attempt = job.attempts,
                    request_id = job.request_id,
                    "job"
                );
            }
            (Err(JobError::Wait { why, .. }), _) => {
                tracing::debug!(kind = job.kind, job = ?job.id, "a job waits: {why}");
            }
            (Err(error), Some(JobStatus::Dead)) => {
                tracing::error!(kind = job.kind, job = ?job.id, attempt = job.attempts, "a job is dead: {error}");
            }
            (Err(error), _) => {
                tracing::warn!(kind = job.kind, job = ?job.id, attempt = job.attempts, "a job failed: {error}");
            }
        }
        status
    }

    /// Extends a job's lease for as long as this is polled; ready when the job is another's.
    async fn hold(&self, job: &Job) {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let extended = async {
                let mut conn = self.db.write(&Statements::default()).await?;
                jobs::extend(&mut conn, job, self.clock.now().plus(LEASE)).await
            };
            match extended.await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease may still hold when the database is back.
                Err(error) => tracing::warn!("a job's lease can't be extended: {}", with_causes(&error)),
            }
        }
    }

    /// Writes down how an attempt ended; the job's state since, or nothing if it is another worker's or the database does not answer.
    async fn end(&self, job: &Job, policy: Policy, result: &Result<(), JobError>) -> Option<JobStatus> {
        let now = self.clock.now();
        let finished = |status: JobStatus, error: Option<String>| Ended {
            status,
            run_at: job.run_at,
            attempts: job.attempts,
            error,
            finished_at: Some(now),
            worker: None,
            lease_until: None,
            progress: if status == JobStatus::Completed { 100 } else { job.progress },
            unique_key: job.unique_key.clone(),
        };
        let again = |attempts: i32, delay: Duration, why: &str| Ended {
            status: JobStatus::Queued,
            run_at: now.plus(delay),
            attempts,
            finished_at: None,
            ..finished(JobStatus::Queued, Some(why.to_owned()))
        };
        let ended = match result {
            Ok(()) => finished(JobStatus::Completed, None),
            Err(JobError::GiveUp(why)) => finished(JobStatus::Dead, Some(why.clone())),
            Err(JobError::Wait { why, delay }) => again(job.attempts.saturating_sub(1), *delay, why),
            Err(JobError::Retry(why)) if job.attempts >= job.max_attempts => {
                finished(JobStatus::Dead, Some(why.clone()))
            }
            Err(JobError::Retry(why)) => {
                let failed = u32::try_from(job.attempts).unwrap_or(1);
                again(job.attempts, backoff(policy.backoff, failed), why)
            }
        };
        match retrying(|| self.write_end(job, &ended)).await {
            Ok(status) => status,
            Err(error) => {
                // Its lease will lapse, and it is begun again.
                tracing::error!(kind = job.kind, "a job's end can't be written: {}", with_causes(&error));
                None
            }
        }
    }

    async fn write_end(&self, job: &Job, ended: &Ended) -> Result<Option<JobStatus>, DbError> {
        let statements = Statements::default();
        let Some(key) = job.unique_key.as_ref().filter(|_| ended.status == JobStatus::Queued) else {
            let is_ours = jobs::end(&mut self.db.write(&statements).await?, job, ended).await?;
            return Ok(is_ours.then_some(ended.status));
        };
        let mut tx = self.db.begin(&statements).await?;
        let mut ended = ended.clone();
        if jobs::is_key_waiting(tx.conn(), key).await? {
            // The one that waits does the same work.
            ended.status = JobStatus::Cancelled;
            ended.finished_at = Some(self.clock.now());
        }
        let is_ours = match jobs::end(tx.conn(), job, &ended).await {
            // Another one came to wait a moment ago.
            Err(DbError::Unique(_, error)) => return Err(DbError::Clash(error)),
            result => result?,
        };
        tx.commit().await?;
        Ok(is_ours.then_some(ended.status))
    }

    /// Gives back the jobs that this worker ran, as if they had not been begun.
    async fn hand_back_all(&self) {
        let held: Vec<(JobId, WorkerId)> =
            self.running().drain().map(|(job, (_, reserved_for))| (job, reserved_for)).collect();
        let handed = async {
            let mut conn = self.db.write(&Statements::default()).await?;
            for (job, reserved_for) in held {
                jobs::hand_back(&mut conn, job, reserved_for, self.clock.now()).await?;
            }
            Ok::<_, DbError>(())
        };
        if let Err(error) = handed.await {
            tracing::warn!("jobs can't be handed back: {}", with_causes(&error));
        }
    }
}
