//! Job handlers: one for each kind of job, their input, the context they run in, and their errors.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schedule::TaskPayload;
use super::{Job, NewJob, Task};
use crate::context::OpContext;
use crate::db::{Db, DbError};
use crate::domain::events::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::error::{Error, with_causes};
use crate::repositories::{events, jobs};

/// The payload of the jobs of one kind, as JSON in the queue. Jobs of earlier versions must stay
/// readable: a kind is never renamed, and a new field has a default.
pub trait JobPayload: Serialize + DeserializeOwned + Send + 'static {
    /// The name of the kind, such as `mail.staff`.
    const KIND: &'static str;
    /// How the jobs are run.
    const POLICY: Policy = Policy::DEFAULT;
}

/// Runs the jobs of one kind with a function. Its arguments are the state that handlers share, the
/// job's context and the job's decoded input. A job whose input can't be decoded is dead. The
/// function must be idempotent, since an interrupted job runs again.
#[derive(Clone)]
pub struct Handler {
    /// The name of the kind, such as `mail.order_confirmation`.
    pub kind: &'static str,
    /// How the jobs are run.
    pub policy: Policy,
    /// The events that cause a job.
    pub subscription: EventSubscription,
    run: Arc<Run>,
}

type Run = dyn Fn(JobContext) -> BoxFuture<'static, JobResult> + Send + Sync;

impl Handler {
    /// Runs the jobs that are enqueued with a payload, which is their input.
    pub fn new<S, P, F>(
        state: &Arc<S>,
        run: impl Fn(Arc<S>, JobContext, P) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        P: JobPayload,
        F: Future<Output = JobResult> + Send + 'static,
    {
        Self::decoding(P::KIND, state, run).with_policy(P::POLICY)
    }

    /// Runs the jobs of a scheduled task. Their input is when the task was due.
    pub fn task<S, F>(
        task: Task,
        state: &Arc<S>,
        run: impl Fn(Arc<S>, JobContext, Timestamp) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        Self::decoding(task.name, state, move |state, ctx, payload: TaskPayload| {
            run(state, ctx, payload.due_at)
        })
    }

    fn decoding<S, P, F>(
        kind: &'static str,
        state: &Arc<S>,
        run: impl Fn(Arc<S>, JobContext, P) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        P: DeserializeOwned,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let state = Arc::clone(state);
        let run = move |ctx: JobContext| match ctx.payload() {
            Ok(payload) => run(Arc::clone(&state), ctx, payload).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        };
        let subscription = EventSubscription::None;
        Self { kind, policy: Policy::DEFAULT, subscription, run: Arc::new(run) }
    }

    /// Runs a job for each event of a kind. Its input is the event's payload.
    pub fn on_event<S, E, F>(
        kind: &'static str,
        _: E,
        state: &Arc<S>,
        run: impl Fn(Arc<S>, JobContext, E::Payload) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        E: EventKind,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let run = Arc::new(run);
        Self::on_events(kind, const { &[E::NAME] }, state, move |state, ctx, event| {
            let run = Arc::clone(&run);
            async move {
                let payload = E::payload(event);
                let payload =
                    payload.ok_or_else(|| JobError::GiveUp("the event is of another kind".to_owned()))?;
                run(state, ctx, payload).await
            }
        })
    }

    /// Runs a job for each event of several kinds. Its input is the event.
    pub fn on_events<S, F>(
        kind: &'static str,
        kinds: &'static [&'static str],
        state: &Arc<S>,
        run: impl Fn(Arc<S>, JobContext, Event) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let (state, run) = (Arc::clone(state), Arc::new(run));
        let run = move |mut ctx: JobContext| {
            let (state, run) = (Arc::clone(&state), Arc::clone(&run));
            async move {
                let event = ctx.load_event().await?;
                run(state, ctx, event).await
            }
            .boxed()
        };
        let subscription = EventSubscription::PerEvent { kinds, condition: None };
        Self { kind, policy: Policy::DEFAULT, subscription, run: Arc::new(run) }
    }

    /// Runs one job for all new events of some kinds, or of all kinds if `kinds` is empty. The
    /// function reads the events from the log as the consumer called `name` (`events::consumer`).
    pub fn consumer<S, F>(
        name: &'static str,
        kinds: &'static [&'static str],
        state: &Arc<S>,
        run: impl Fn(Arc<S>, JobContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let state = Arc::clone(state);
        let run = move |ctx: JobContext| run(Arc::clone(&state), ctx).boxed();
        let subscription = EventSubscription::Log(kinds);
        Self { kind: name, policy: Policy::DEFAULT, subscription, run: Arc::new(run) }
    }

    /// Limits the events that cause a job to those that meet a condition.
    #[must_use]
    pub fn with_condition(mut self, only_if: fn(&Event) -> bool) -> Self {
        if let EventSubscription::PerEvent { condition, .. } = &mut self.subscription {
            *condition = Some(only_if);
        }
        self
    }

    /// Sets how the jobs are run.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Runs a job.
    pub(super) fn run(&self, ctx: JobContext) -> BoxFuture<'static, JobResult> {
        (self.run)(ctx)
    }

    /// Creates a job without a payload, for an event or for the log.
    pub(crate) fn new_job(&self) -> NewJob {
        NewJob::with_value(self.kind, self.policy, serde_json::Value::Null)
    }
}

/// How jobs of a kind are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How long an attempt may take. The default is 60 seconds.
    pub timeout: Duration,
    /// How many run at the same time in a process. The default is 5.
    pub concurrency: usize,
    /// How often a failed job is retried. The default is 3.
    pub max_retries: u32,
    /// The delay after the first failure; it doubles with each further one. The default is 5
    /// seconds.
    pub backoff: Duration,
    /// Jobs with a higher number run first. The default is 0.
    pub priority: i32,
}

impl Policy {
    /// The policy of most kinds.
    pub const DEFAULT: Self = Self {
        timeout: Duration::from_mins(1),
        concurrency: 5,
        max_retries: 3,
        backoff: Duration::from_secs(5),
        priority: 0,
    };
}

/// The events that cause jobs of a handler.
#[derive(Clone, Copy, Debug)]
pub enum EventSubscription {
    /// No events: the jobs are enqueued by services or the schedule.
    None,
    /// One job for each event of these kinds that meets the condition, if there is one.
    PerEvent {
        /// The kinds of events.
        kinds: &'static [&'static str],
        /// Prevents jobs that would do nothing.
        condition: Option<fn(&Event) -> bool>,
    },
    /// One job for all new events, which the handler reads in the order of the log from its own
    /// position (`events::consumer`). Only events of these kinds cause a job; an empty list means
    /// all kinds.
    Log(&'static [&'static str]),
}

/// The result of an attempt.
pub type JobResult = Result<(), JobError>;

/// Why a job did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JobError {
    /// It failed, and may succeed later.
    #[error("{0}")]
    Retry(String),
    /// It failed, and retrying is pointless.
    #[error("{0}")]
    GiveUp(String),
    /// It can't run yet. This does not count as an attempt.
    #[error("{why}")]
    Wait {
        /// What it waits for.
        why: String,
        /// The delay before the next attempt.
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

/// The context in which a job runs.
pub struct JobContext {
    /// The context for service calls: the shop itself acts, under the id of the request that caused
    /// the job.
    pub op: OpContext,
    /// The running job.
    pub job: Job,
    /// When the event happened that caused the job; for other jobs, when they were enqueued.
    pub occurred_at: Timestamp,
    db: Db,
}

impl JobContext {
    pub(super) fn new(op: OpContext, job: Job, db: Db) -> Self {
        Self { op, occurred_at: job.created_at, job, db }
    }

    /// Deserializes the job's payload.
    fn payload<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_value(self.job.payload.0.clone())
            .map_err(|error| JobError::GiveUp(format!("the payload can't be read: {error}")))
    }

    /// Loads the event that caused the job.
    async fn load_event(&mut self) -> Result<Event, JobError> {
        let none = || JobError::GiveUp("there is no such event".to_owned());
        let id = self.job.event_id.ok_or_else(none)?;
        let mut conn = self.db.read(&self.op.statements).await?;
        let logged = events::find(&mut conn, id).await?.ok_or_else(none)?;
        self.occurred_at = logged.row.occurred_at;
        logged
            .event()
            .map_err(|error| JobError::GiveUp(format!("the event can't be read: {}", with_causes(&error))))
    }

    /// Records the job's progress, in percent, at most 99. The worker records its completion.
    ///
    /// # Errors
    /// [`JobError::Retry`] when another worker has taken over the job.
    pub async fn set_progress(&self, percent: u8) -> Result<(), JobError> {
        let percent = i32::from(percent.min(99));
        let mut conn = self.db.write(&self.op.statements).await?;
        if jobs::set_progress(&mut conn, &self.job, percent).await? {
            Ok(conn.commit().await?)
        } else {
            Err(JobError::Retry("another worker has taken the job over".to_owned()))
        }
    }
}
