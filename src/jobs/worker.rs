//! The worker, which runs jobs. Any number of processes may each run a worker over the same
//! database.
//!
//! Jobs are reserved in a transaction, and their handlers run outside of any, each in its own task,
//! so a panic is just a failed attempt. While a handler runs, the lease of its job is renewed; a
//! worker that has lost the lease stops the handler. On shutdown, running jobs get some time to
//! finish, and those that take longer are released.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::{Handler, Job, JobContext, JobError, Policy};
use crate::concurrency::AbortOnDrop;
use crate::context::OpContext;
use crate::db::{Db, DbError, StatementCounter, Tx};
use crate::domain::ids::{Id, JobId, WorkerId};
use crate::domain::jobs::{JobStatus, backoff};
use crate::domain::time::Clock;
use crate::error::with_causes;
use crate::repositories::jobs::{self, JobUpdate};

/// How long a job stays reserved for a worker that does not renew its lease.
const LEASE_TTL: Duration = Duration::from_secs(30);
/// How often a worker renews the leases of its jobs.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// How often the queue is checked without a commit signal: for jobs of other processes, and jobs
/// that have become due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many jobs run at the same time in a process.
const MAX_RUNNING_JOBS: usize = 16;
/// How long running jobs may take to finish on shutdown.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the jobs of a set of handlers.
pub struct Worker {
    db: Db,
    clock: Arc<dyn Clock>,
    handlers: HashMap<&'static str, Handler>,
    /// The running jobs, with their kind and the worker id they are reserved for.
    running: Mutex<HashMap<JobId, (&'static str, WorkerId)>>,
    job_ended: Notify,
}

/// The result of [`Worker::run_due`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RunSummary {
    /// Number of attempts made.
    pub attempts: usize,
    /// Number of jobs that are dead now.
    pub dead: usize,
}

impl Worker {
    /// Creates a worker for the jobs of `handlers`.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, handlers: &[Handler]) -> Arc<Self> {
        let handlers = handlers.iter().map(|handler| (handler.kind, handler.clone())).collect();
        Arc::new(Self { db, clock, handlers, running: Mutex::default(), job_ended: Notify::new() })
    }

    /// Runs jobs until `shutdown` completes. Running jobs then have `grace` to finish; those that
    /// take longer are aborted and released.
    pub async fn run(self: &Arc<Self>, shutdown: impl Future<Output = ()>, grace: Duration) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut committed = self.db.commit_signals().jobs.subscribe();
        let mut tasks = JoinSet::new();
        loop {
            match self.reserve().await {
                Ok(reserved) if reserved.is_empty() => {}
                Ok(reserved) => {
                    for job in reserved {
                        self.spawn(&mut tasks, job);
                    }
                    // There may be more.
                    if self.capacity() > 0 {
                        continue;
                    }
                }
                Err(error) => tracing::error!("jobs can't be reserved: {}", with_causes(&error)),
            }
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                () = &mut shutdown => break,
                _ = committed.changed() => {}
                () = self.job_ended.notified() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
        let ending = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ending).await.is_err() {
            tracing::warn!(jobs = tasks.len(), "releasing jobs that are still running");
            tasks.shutdown().await;
            self.release_all().await;
        }
    }

    /// Runs the jobs that are due now, and waits for them. For commands and tests.
    ///
    /// # Errors
    /// [`DbError`] when the queue can't be read.
    pub async fn run_due(self: &Arc<Self>) -> Result<RunSummary, DbError> {
        let mut summary = RunSummary::default();
        let mut tasks = JoinSet::new();
        for job in self.reserve().await? {
            summary.attempts += 1;
            self.spawn(&mut tasks, job);
        }
        while let Some(ended) = tasks.join_next().await {
            summary.dead += usize::from(matches!(ended, Ok(Some(JobStatus::Dead))));
        }
        Ok(summary)
    }

    /// The kinds of jobs that this worker runs.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.handlers.keys().copied()
    }

    fn spawn(self: &Arc<Self>, tasks: &mut JoinSet<Option<JobStatus>>, job: Job) {
        let Some((&kind, handler)) = self.handlers.get_key_value(job.kind.as_str()) else { return };
        let Some(reserved_for) = job.worker else { return };
        let id = job.id;
        self.running().insert(id, (kind, reserved_for));
        let (worker, handler) = (Arc::clone(self), handler.clone());
        let span = tracing::info_span!(
            "job",
            mercato.job.kind = kind,
            mercato.job.id = %id.uuid(),
            mercato.job.attempt = job.attempts,
            mercato.request_id = job.request_id,
        );
        let attempt = async move {
            let status = worker.attempt(&handler, job).await;
            worker.running().remove(&id);
            worker.job_ended.notify_one();
            status
        };
        tasks.spawn(attempt.instrument(span));
    }

    fn running(&self) -> MutexGuard<'_, HashMap<JobId, (&'static str, WorkerId)>> {
        self.running.lock()
    }

    /// How many more jobs may run.
    fn capacity(&self) -> usize {
        MAX_RUNNING_JOBS.saturating_sub(self.running().len())
    }

    /// Reserves due jobs of the kinds that have free capacity, no more than the kind with the
    /// least.
    async fn reserve(&self) -> Result<Vec<Job>, DbError> {
        let (mut capacity, mut kinds) = (self.capacity(), Vec::new());
        {
            let running = self.running();
            for (kind, handler) in &self.handlers {
                let used = running.values().filter(|(known, _)| known == kind).count();
                let free = handler.policy.concurrency.saturating_sub(used);
                if free > 0 {
                    capacity = capacity.min(free);
                    kinds.push((*kind).to_owned());
                }
            }
        }
        if capacity == 0 || kinds.is_empty() {
            return Ok(Vec::new());
        }
        let (statements, limit) = (StatementCounter::default(), i64::try_from(capacity).unwrap_or(1));
        // Usually there is nothing to do, and a read does not block writers.
        if !jobs::is_any_due(&mut self.db.read(&statements).await?, &kinds, self.clock.now()).await? {
            return Ok(Vec::new());
        }
        self.db
            .transaction(&statements, async |tx: &mut Tx| {
                let now = self.clock.now();
                // A new id each time: a handler whose job was cancelled and retried must not affect
                // the new attempt.
                let worker = WorkerId::generate();
                let mut reserved =
                    jobs::reserve_expired(tx.conn(), &kinds, worker, now, LEASE_TTL, limit).await?;
                let left = limit.saturating_sub(i64::try_from(reserved.len()).unwrap_or(limit));
                if left > 0 {
                    reserved.extend(jobs::reserve(tx.conn(), &kinds, worker, now, LEASE_TTL, left).await?);
                }
                Ok(reserved)
            })
            .await
    }

    /// Makes one attempt at a job. Returns its new state, or `None` if another worker has taken
    /// over.
    async fn attempt(&self, handler: &Handler, job: Job) -> Option<JobStatus> {
        let (policy, started) = (handler.policy, Instant::now());
        let request_id: Arc<str> = job.request_id.as_str().into();
        let op = OpContext::system_for_request(request_id, Arc::clone(&self.clock));
        let result = if job.attempts > job.max_attempts {
            Err(JobError::GiveUp("its worker was lost too often".to_owned()))
        } else {
            let (handler, ctx) = (handler.clone(), JobContext::new(op, job.clone(), self.db.clone()));
            // Within the task, so that a panic of the handler is its own.
            let attempt = async move { handler.run(ctx).await };
            let mut running = tokio::spawn(attempt.in_current_span());
            let _abort_on_drop = AbortOnDrop(running.abort_handle());
            let outcome = tokio::select! {
                ended = &mut running => Some(match ended {
                    Ok(result) => result,
                    Err(error) if error.is_panic() => Err(JobError::Retry("its handler panicked".to_owned())),
                    Err(_) => Err(JobError::Retry("its handler was stopped".to_owned())),
                }),
                () = tokio::time::sleep(policy.timeout) => {
                    Some(Err(JobError::Retry(format!("it took longer than {:?}", policy.timeout))))
                }
                () = self.renew_lease(&job) => None,
            };
            if !running.is_finished() {
                // It must have stopped before the job is run again.
                running.abort();
                drop((&mut running).await);
            }
            let Some(result) = outcome else {
                tracing::warn!("another worker has taken over the job");
                return None;
            };
            result
        };
        let status = self.finish(&job, policy, &result).await;
        let ms = started.elapsed().as_micros() as f64 / 1000.0;
        match (&result, status) {
            (Ok(()), _) => tracing::debug!(ms, "the job is completed"),
            (Err(JobError::Wait { why, .. }), _) => tracing::debug!(ms, "the job waits: {why}"),
            (Err(error), Some(JobStatus::Dead)) => tracing::error!(ms, "the job is dead: {error}"),
            (Err(error), _) => tracing::warn!(ms, "the job failed: {error}"),
        }
        status
    }

    /// Renews a job's lease periodically; completes when another worker has taken over the job.
    async fn renew_lease(&self, job: &Job) {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            let renewed = async {
                let mut conn = self.db.write(&StatementCounter::default()).await?;
                jobs::extend_lease(&mut conn, job, self.clock.now().plus(LEASE_TTL)).await
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease may still be valid when the database is back.
                Err(error) => tracing::warn!("the job's lease can't be renewed: {}", with_causes(&error)),
            }
        }
    }

    /// Records the result of an attempt. Returns the job's new state, or `None` if another worker
    /// has taken over or the database does not answer.
    async fn finish(&self, job: &Job, policy: Policy, result: &Result<(), JobError>) -> Option<JobStatus> {
        let now = self.clock.now();
        let finished = |status: JobStatus, error: Option<String>| JobUpdate {
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
        let requeued = |attempts: i32, delay: Duration, why: &str| JobUpdate {
            run_at: now.plus(delay),
            attempts,
            finished_at: None,
            ..finished(JobStatus::Queued, Some(why.to_owned()))
        };
        let update = match result {
            Ok(()) => finished(JobStatus::Completed, None),
            Err(JobError::GiveUp(why)) => finished(JobStatus::Dead, Some(why.clone())),
            Err(JobError::Wait { why, delay }) => requeued(job.attempts.saturating_sub(1), *delay, why),
            Err(JobError::Retry(why)) if job.attempts >= job.max_attempts => {
                finished(JobStatus::Dead, Some(why.clone()))
            }
            Err(JobError::Retry(why)) => {
                let failures = u32::try_from(job.attempts).unwrap_or(1);
                requeued(job.attempts, backoff(policy.backoff, failures), why)
            }
        };
        let statements = StatementCounter::default();
        let written = self
            .db
            .transaction(&statements, async |tx: &mut Tx| self.write_result(tx, job, &update).await)
            .await;
        match written {
            Ok(status) => status,
            Err(error) => {
                // Its lease will expire, and the job will run again.
                tracing::error!("the result of the job can't be recorded: {}", with_causes(&error));
                None
            }
        }
    }

    async fn write_result(
        &self,
        tx: &mut Tx,
        job: &Job,
        update: &JobUpdate,
    ) -> Result<Option<JobStatus>, DbError> {
        let mut update = update.clone();
        if update.status == JobStatus::Queued
            && let Some(key) = &job.unique_key
            && jobs::is_key_queued(tx.conn(), key).await?
        {
            // The queued job does the same work.
            update.status = JobStatus::Cancelled;
            update.finished_at = Some(self.clock.now());
        }
        let is_ours = match jobs::finish_attempt(tx.conn(), job, &update).await {
            // Another job with the key has just been queued.
            Err(DbError::Unique(_, error)) => return Err(DbError::Conflict(error)),
            result => result?,
        };
        Ok(is_ours.then_some(update.status))
    }

    /// Releases all running jobs, as if they had not been started.
    async fn release_all(&self) {
        let reserved: Vec<(JobId, WorkerId)> =
            self.running().drain().map(|(job, (_, reserved_for))| (job, reserved_for)).collect();
        let released = async {
            let mut conn = self.db.write(&StatementCounter::default()).await?;
            for (job, reserved_for) in reserved {
                jobs::release(&mut conn, job, reserved_for, self.clock.now()).await?;
            }
            Ok::<_, DbError>(())
        };
        if let Err(error) = released.await {
            tracing::warn!("jobs can't be released: {}", with_causes(&error));
        }
    }
}
