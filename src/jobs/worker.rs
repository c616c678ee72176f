//! The worker, which runs jobs. Any number of processes may each run a worker over the same
//! database.
//!
//! Handlers run outside of any transaction, each in its own task, so a panic is just a failed
//! attempt. One transaction records the results of all jobs that have ended and reserves the next
//! ones, so that a queue of short jobs costs a fraction of a transaction per job. While a handler
//! runs, the lease of its job is renewed; a worker that has lost the lease stops the handler. On
//! shutdown, running jobs get some time to finish, and those that take longer are released.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::{Handler, Job, JobContext, JobError, JobMetrics, JobResult, Policy};
use crate::concurrency::AbortOnDrop;
use crate::context::OpContext;
use crate::db::{Db, DbError, StatementCounter, Tx};
use crate::domain::ids::{Id, JobId, WorkerId};
use crate::domain::jobs::{JobStatus, backoff};
use crate::domain::time::{Clock, Timestamp};
use crate::error::with_causes;
use crate::repositories::jobs::{self, FreeCapacity, JobUpdate};

/// How long a job stays reserved for a worker that does not renew its lease.
const LEASE_TTL: Duration = Duration::from_secs(30);
/// How often a worker renews the leases of its jobs.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// How often the queue is checked without a commit signal: for jobs of other processes, and jobs
/// that have become due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long jobs that end or are committed are gathered, to be recorded and reserved together.
const GATHER_TIME: Duration = Duration::from_millis(5);
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
    /// The jobs that have ended and whose results are not recorded yet.
    ended: Mutex<Vec<EndedJob>>,
    job_ended: Notify,
    /// When the last turn of [`Worker::run`] began.
    last_turn: Mutex<Option<Timestamp>>,
    /// Counts the attempts.
    pub metrics: JobMetrics,
}

/// A job that has ended, with the result to record.
struct EndedJob {
    job: Job,
    update: JobUpdate,
}

/// Which jobs to reserve.
struct Reservation {
    free: FreeCapacity,
    /// The maximum number.
    limit: i64,
    /// Whether to include jobs whose worker's lease has ended.
    with_expired: bool,
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
        let (running, ended, last_turn) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (job_ended, metrics) = (Notify::new(), JobMetrics::default());
        Arc::new(Self { db, clock, handlers, running, ended, job_ended, last_turn, metrics })
    }

    /// Runs jobs until `shutdown` completes. Running jobs then have `grace` to finish; those that
    /// take longer are aborted and released.
    pub async fn run(self: &Arc<Self>, shutdown: impl Future<Output = ()>, grace: Duration) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut committed = self.db.commit_signals().jobs.subscribe();
        let mut tasks = JoinSet::new();
        let mut leases_checked_at = None::<Instant>;
        loop {
            *self.last_turn.lock() = Some(self.clock.now());
            let with_expired = leases_checked_at.is_none_or(|at| at.elapsed() >= POLL_INTERVAL);
            if with_expired {
                leases_checked_at = Some(Instant::now());
            }
            let reserved = self.record_and_reserve(with_expired).await.unwrap_or_else(|error| {
                tracing::error!("jobs can't be reserved: {}", with_causes(&error));
                Vec::new()
            });
            // If there are some, there may be more.
            let pause = if reserved.is_empty() { POLL_INTERVAL } else { GATHER_TIME };
            for job in reserved {
                self.spawn(&mut tasks, job);
            }
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                () = &mut shutdown => break,
                _ = committed.changed() => tokio::time::sleep(GATHER_TIME).await,
                () = self.job_ended.notified() => tokio::time::sleep(GATHER_TIME).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let deadline = tokio::time::sleep(grace);
        self.finish(&mut tasks, deadline).await;
    }

    /// Runs the jobs that are due now, and waits for them. For commands and tests.
    ///
    /// # Errors
    /// [`DbError`] when the queue can't be read.
    pub async fn run_due(self: &Arc<Self>) -> Result<RunSummary, DbError> {
        self.run_due_until(std::future::pending()).await
    }

    /// Like [`Self::run_due`], but releases the jobs that are still running when `deadline`
    /// completes. For processes that may run for a limited time only.
    ///
    /// # Errors
    /// [`DbError`] when the queue can't be read.
    pub async fn run_due_until(
        self: &Arc<Self>,
        deadline: impl Future<Output = ()>,
    ) -> Result<RunSummary, DbError> {
        let mut tasks = JoinSet::new();
        let reserved = self.record_and_reserve(true).await?;
        let attempts = reserved.len();
        for job in reserved {
            self.spawn(&mut tasks, job);
        }
        let dead = self.finish(&mut tasks, deadline).await;
        Ok(RunSummary { attempts, dead })
    }

    /// Waits for running jobs and records their results. Jobs that are still running when
    /// `deadline` completes are aborted and released. Returns the number of jobs that are dead now.
    async fn finish(
        &self,
        tasks: &mut JoinSet<Option<JobStatus>>,
        deadline: impl Future<Output = ()>,
    ) -> usize {
        let mut deadline = std::pin::pin!(deadline);
        let mut dead = 0;
        loop {
            let ended = tokio::select! {
                biased;
                ended = tasks.join_next() => ended,
                () = &mut deadline => break,
            };
            let Some(ended) = ended else { break };
            dead += usize::from(matches!(ended, Ok(Some(JobStatus::Dead))));
            self.record_ended().await;
        }
        if !tasks.is_empty() {
            tracing::warn!(jobs = tasks.len(), "releasing jobs that are still running");
            tasks.shutdown().await;
            self.release_all().await;
        }
        self.record_ended().await;
        dead
    }

    /// Whether a job will be due after `delay`, if not before.
    ///
    /// # Errors
    /// [`DbError`] when the queue can't be read.
    pub async fn is_any_due_in(&self, delay: Duration) -> Result<bool, DbError> {
        let kinds: Vec<_> = self.kinds().map(str::to_owned).collect();
        let mut conn = self.db.read(&StatementCounter::default()).await?;
        jobs::is_any_due(&mut conn, &kinds, self.clock.now().plus(delay)).await
    }

    /// When [`Self::run`] last began to look for jobs; `None` if it has not been called.
    #[must_use]
    pub fn last_turn(&self) -> Option<Timestamp> {
        *self.last_turn.lock()
    }

    /// The kinds of jobs that this worker runs.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.handlers.keys().copied()
    }

    fn spawn(self: &Arc<Self>, tasks: &mut JoinSet<Option<JobStatus>>, job: Job) {
        let Some((&kind, handler)) = self.handlers.get_key_value(job.kind.as_str()) else { return };
        let Some(reserved_for) = job.worker else { return };
        let id = job.id;
        self.running.lock().insert(id, (kind, reserved_for));
        let (worker, handler) = (Arc::clone(self), handler.clone());
        let span = tracing::info_span!(
            "job",
            mercato.job.kind = kind,
            mercato.job.id = %id.uuid(),
            mercato.job.attempt = job.attempts,
            mercato.request_id = job.request_id,
            traceparent = job.traceparent.as_deref(),
            error.type = Empty,
        );
        let attempt = async move {
            let update = worker.attempt(&handler, &job).await;
            let status = update.as_ref().map(|update| update.status);
            worker.running.lock().remove(&id);
            worker.ended.lock().extend(update.map(|update| EndedJob { job, update }));
            worker.job_ended.notify_one();
            status
        };
        tasks.spawn(attempt.instrument(span));
    }

    /// Which jobs to reserve. `None` if there is no capacity.
    fn reservation(&self, with_expired: bool) -> Option<Reservation> {
        let running = self.running.lock();
        let limit = i64::try_from(MAX_RUNNING_JOBS.saturating_sub(running.len())).unwrap_or(1);
        let free = self.handlers.iter().map(|(kind, handler)| {
            let used = running.values().filter(|(known, _)| known == kind).count();
            (*kind, handler.policy.concurrency.saturating_sub(used))
        });
        let free: FreeCapacity = free.filter(|(_, free)| *free > 0).collect();
        (limit > 0 && !free.is_empty()).then_some(Reservation { free, limit, with_expired })
    }

    /// Records the results of the jobs that have ended, and reserves the next ones. If that fails,
    /// the jobs whose results are lost run again when their leases have expired.
    async fn record_and_reserve(&self, with_expired: bool) -> Result<Vec<Job>, DbError> {
        let (statements, reservation) = (StatementCounter::default(), self.reservation(with_expired));
        let ended = mem::take(&mut *self.ended.lock());
        if ended.is_empty() {
            let Some(wanted) = &reservation else { return Ok(Vec::new()) };
            // Usually there is nothing to do, and a read does not block writers.
            let mut conn = self.db.read(&statements).await?;
            let kinds: Vec<_> = wanted.free.keys().map(|kind| (*kind).to_owned()).collect();
            if !jobs::is_any_due(&mut conn, &kinds, self.clock.now()).await? {
                return Ok(Vec::new());
            }
        }
        let exchanged = self.db.transaction(&statements, async |tx: &mut Tx| {
            self.write_results(tx, &ended).await?;
            match &reservation {
                Some(wanted) => self.reserve(tx, wanted).await,
                None => Ok(Vec::new()),
            }
        });
        let exchanged = exchanged.await;
        if exchanged.is_err() {
            // A single result may be the cause, so each one is recorded separately.
            for job in ended {
                self.record(&[job]).await;
            }
        }
        exchanged
    }

    async fn reserve(&self, tx: &mut Tx, wanted: &Reservation) -> Result<Vec<Job>, DbError> {
        let (now, limit) = (self.clock.now(), wanted.limit);
        // A new id each time: a handler whose job was cancelled and retried must not affect the new
        // attempt.
        let worker = WorkerId::generate();
        let mut reserved = Vec::new();
        if wanted.with_expired {
            reserved = jobs::reserve_expired(tx.conn(), &wanted.free, worker, now, LEASE_TTL, limit).await?;
        }
        let left = limit.saturating_sub(i64::try_from(reserved.len()).unwrap_or(limit));
        let mut free = wanted.free.clone();
        for job in &reserved {
            if let Some(of_kind) = free.get_mut(job.kind.as_str()) {
                *of_kind = of_kind.saturating_sub(1);
            }
        }
        if left > 0 {
            reserved.extend(jobs::reserve(tx.conn(), &free, worker, now, LEASE_TTL, left).await?);
        }
        Ok(reserved)
    }

    /// Records the results of the jobs that have ended.
    async fn record_ended(&self) {
        let ended = mem::take(&mut *self.ended.lock());
        self.record(&ended).await;
    }

    /// Records results. Jobs whose results can't be recorded run again when their leases have
    /// expired.
    async fn record(&self, ended: &[EndedJob]) {
        if ended.is_empty() {
            return;
        }
        let statements = StatementCounter::default();
        let recorded =
            self.db.transaction(&statements, async |tx: &mut Tx| self.write_results(tx, ended).await);
        if let Err(error) = recorded.await {
            let ids: Vec<_> = ended.iter().map(|ended| ended.job.id.uuid()).collect();
            tracing::error!(?ids, "results of jobs can't be recorded: {}", with_causes(&error));
        }
    }

    /// Writes results, except of jobs that another worker has taken over.
    async fn write_results(&self, tx: &mut Tx, ended: &[EndedJob]) -> Result<(), DbError> {
        let (completed, others): (Vec<&EndedJob>, Vec<&EndedJob>) =
            ended.iter().partition(|ended| ended.update.status == JobStatus::Completed);
        let completed: Vec<&Job> = completed.iter().map(|ended| &ended.job).collect();
        jobs::complete(tx.conn(), &completed, self.clock.now()).await?;
        for ended in others {
            self.write_result(tx, &ended.job, &ended.update).await?;
        }
        Ok(())
    }

    async fn write_result(&self, tx: &mut Tx, job: &Job, update: &JobUpdate) -> Result<(), DbError> {
        let mut update = update.clone();
        if update.status == JobStatus::Queued
            && let Some(key) = &job.unique_key
            && jobs::is_key_queued(tx.conn(), key).await?
        {
            // The queued job does the same work.
            update.status = JobStatus::Cancelled;
            update.finished_at = Some(self.clock.now());
        }
        match jobs::finish_attempt(tx.conn(), job, &update).await {
            // Another job with the key has just been queued.
            Err(DbError::Unique(_, error)) => Err(DbError::Conflict(error)),
            result => result,
        }
    }

    /// Makes one attempt at a job. Returns the result to record, or `None` if another worker has
    /// taken over.
    async fn attempt(&self, handler: &Handler, job: &Job) -> Option<JobUpdate> {
        let (policy, started) = (handler.policy, Instant::now());
        let request_id: Arc<str> = job.request_id.as_str().into();
        let op = OpContext::system_for_request(request_id, Arc::clone(&self.clock));
        let result = if job.attempts > job.max_attempts {
            Err(JobError::GiveUp("its worker was lost too often".to_owned()))
        } else {
            let (handler, ctx) = (handler.clone(), JobContext::new(op, job.clone(), self.db.clone()));
            // Called within the task, so that a panic of the handler ends only that task.
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
                () = self.renew_lease(job) => None,
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
        let update = self.update(job, policy, &result);
        let outcome = outcome_of(&result, update.status);
        if matches!(outcome, "retried" | "dead") {
            Span::current().record("error.type", outcome);
        }
        self.metrics.record(handler.kind, outcome, started.elapsed());
        let ms = started.elapsed().as_micros() as f64 / 1000.0;
        match (&result, update.status) {
            (Ok(()), _) => tracing::debug!(ms, "the job is completed"),
            (Err(JobError::Wait { why, .. }), _) => tracing::debug!(ms, "the job waits: {why}"),
            (Err(error), JobStatus::Dead) => tracing::error!(ms, "the job is dead: {error}"),
            (Err(error), _) => tracing::warn!(ms, "the job failed: {error}"),
        }
        Some(update)
    }

    /// Renews a job's lease periodically; completes when another worker has taken over the job.
    async fn renew_lease(&self, job: &Job) {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            let renewed = async {
                let mut conn = self.db.write(&StatementCounter::default()).await?;
                let is_held = jobs::extend_lease(&mut conn, job, self.clock.now().plus(LEASE_TTL)).await?;
                conn.commit().await?;
                Ok::<_, DbError>(is_held)
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease may still be valid when the database is back.
                Err(error) => tracing::warn!("the job's lease can't be renewed: {}", with_causes(&error)),
            }
        }
    }

    /// The changes that the result of an attempt makes to its job.
    fn update(&self, job: &Job, policy: Policy, result: &Result<(), JobError>) -> JobUpdate {
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
        match result {
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
        }
    }

    /// Releases all running jobs, as if they had not been started.
    async fn release_all(&self) {
        let reserved: Vec<(JobId, WorkerId)> =
            self.running.lock().drain().map(|(job, (_, reserved_for))| (job, reserved_for)).collect();
        let released = async {
            let mut conn = self.db.write(&StatementCounter::default()).await?;
            for (job, reserved_for) in reserved {
                jobs::release(&mut conn, job, reserved_for, self.clock.now()).await?;
            }
            conn.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!("jobs can't be released: {}", with_causes(&error));
        }
    }
}

/// How an attempt has ended, in traces and metrics.
fn outcome_of(result: &JobResult, status: JobStatus) -> &'static str {
    match (result, status) {
        (Ok(()), _) => "completed",
        (Err(JobError::Wait { .. }), _) => "waiting",
        (Err(_), JobStatus::Dead) => "dead",
        (Err(_), _) => "retried",
    }
}
