//! Assigns positions in the log to committed events.
//!
//! A number assigned by the writing transaction can't be the position: a transaction with a
//! higher number may commit first, and a reader that has seen it would miss the other. So events
//! are committed without a position, and the relay assigns the next ones. Every process runs a
//! relay; a lock on the row of `event_head` ensures that only one works at a time.
//!
//! The jobs of an event's listeners are inserted together with its position, not with the event: so
//! a mutation writes one row per event, however many listeners there are, and still no job is lost.
//! Handlers that subscribe to the log itself get one job for all new events, a moment later.
//!
//! An event whose trace is recorded gets a span in that trace, which lasts until the event is
//! published and is the parent of the jobs that it causes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{Instrument, Span};

use super::EventMetrics;
use super::bus::EventBus;
use crate::context::OpContext;
use crate::db::{Db, DbError, StatementCounter, Tx};
use crate::domain::events::Event;
use crate::domain::ids::Id;
use crate::domain::time::{Clock, Timestamp};
use crate::domain::traces::TraceContext;
use crate::error::with_causes;
use crate::jobs::{self, EventSubscription, Handler, NewJob};
use crate::repositories::events::{self, SequencedEvent};
use crate::trace;

/// How many events are relayed in one transaction.
const MAX_BATCH: i64 = 500;
/// How often the relay looks for events that no commit signal announced: those of other processes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a batch. Under load it makes batches larger and fewer, since each of them
/// occupies a writer, and SQLite has only one.
const BATCH_COOLDOWN: Duration = Duration::from_millis(5);
/// How long the job of a log subscription is delayed, to cover more events.
const COALESCE_DELAY: Duration = Duration::from_millis(100);
/// The delay after a database error.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// An event that has got its position, with its span.
struct Relayed {
    event: SequencedEvent,
    span: Span,
}

/// Moves committed events into the log.
pub struct Relay {
    db: Db,
    clock: Arc<dyn Clock>,
    bus: Arc<dyn EventBus>,
    handlers: Vec<Handler>,
    /// When the last turn began.
    last_turn: Mutex<Option<Timestamp>>,
    /// Counts the events.
    pub metrics: EventMetrics,
}

impl Relay {
    /// Creates a relay that publishes to `bus` and inserts the jobs of `handlers`.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, bus: Arc<dyn EventBus>, handlers: &[Handler]) -> Self {
        let (last_turn, metrics) = (Mutex::default(), EventMetrics::default());
        Self { db, clock, bus, handlers: handlers.to_vec(), last_turn, metrics }
    }

    /// Relays events until `shutdown` completes.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut committed = self.db.commit_signals().events.subscribe();
        loop {
            *self.last_turn.lock() = Some(self.clock.now());
            let delay = match self.relay().await {
                Ok(0) => POLL_INTERVAL,
                Ok(count) if i64::try_from(count).is_ok_and(|count| count == MAX_BATCH) => continue,
                Ok(_) => {
                    tokio::time::sleep(BATCH_COOLDOWN).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!("events can't be relayed: {}", with_causes(&error));
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = &mut shutdown => return,
                _ = committed.changed() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// When [`Self::run`] last began to look for events; `None` if it has not been called.
    #[must_use]
    pub fn last_turn(&self) -> Option<Timestamp> {
        *self.last_turn.lock()
    }

    /// Relays one batch of events and returns its size. There may be more.
    ///
    /// # Errors
    /// [`DbError`]; nothing was written then.
    pub async fn relay(&self) -> Result<usize, DbError> {
        let statements = StatementCounter::default();
        // Usually there is nothing to do, and a read does not block writers.
        if !events::has_unsequenced(&mut self.db.read(&statements).await?).await? {
            return Ok(0);
        }
        let span = tracing::debug_span!("event_relay", mercato.events = tracing::field::Empty);
        async {
            let relayed =
                self.db.transaction(&statements, async |tx: &mut Tx| self.relay_batch(tx).await).await?;
            Span::current().record("mercato.events", relayed.len());
            for one in &relayed {
                self.metrics.record(&one.event);
            }
            if !relayed.is_empty() {
                self.bus.publish().await;
            }
            Ok(relayed.len())
        }
        .instrument(span)
        .await
    }

    async fn relay_batch(&self, tx: &mut Tx) -> Result<Vec<Relayed>, DbError> {
        let op = OpContext::system(Arc::clone(&self.clock));
        let head = events::lock_head(tx.conn()).await?;
        let sequenced = events::assign_positions(tx.conn(), head.position, MAX_BATCH).await?;
        let relayed: Vec<Relayed> = sequenced.into_iter().map(Relayed::new).collect();
        if relayed.is_empty() {
            // Another relay was faster.
            return Ok(relayed);
        }
        jobs::enqueue(tx, &op, self.jobs_for(&relayed)).await?;
        if let Some(channel) = self.bus.notify_channel() {
            events::notify(tx.conn(), channel).await?;
        }
        Ok(relayed)
    }

    fn jobs_for(&self, relayed: &[Relayed]) -> Vec<NewJob> {
        let mut jobs = Vec::new();
        for handler in &self.handlers {
            match handler.subscription {
                EventSubscription::None => {}
                EventSubscription::PerEvent { kinds, condition } => {
                    let of_kinds = relayed.iter().filter(|one| kinds.contains(&one.event.kind.as_str()));
                    let relevant = of_kinds.filter(|one| meets(condition, &one.event));
                    jobs.extend(relevant.map(|one| {
                        let job = handler.new_job().with_event(one.event.id, &one.event.request_id);
                        job.with_traceparent(one.traceparent())
                    }));
                }
                EventSubscription::Log(kinds) => {
                    let is_relevant =
                        |one: &Relayed| kinds.is_empty() || kinds.contains(&one.event.kind.as_str());
                    if relayed.iter().any(is_relevant) {
                        jobs.push(handler.new_job().with_unique_key(handler.kind).with_delay(COALESCE_DELAY));
                    }
                }
            }
        }
        jobs
    }
}

impl Relayed {
    fn new(event: SequencedEvent) -> Self {
        let context = event.traceparent.as_deref().and_then(TraceContext::parse);
        let span = if context.is_some_and(|context| context.is_sampled) {
            tracing::debug_span!(
                "event",
                mercato.event.kind = event.kind,
                mercato.event.id = %event.id.uuid(),
                mercato.event.position = event.position,
                mercato.request_id = event.request_id,
                traceparent = event.traceparent.as_deref(),
            )
        } else {
            Span::none()
        };
        Self { event, span }
    }

    /// The trace of the jobs that the event causes.
    fn traceparent(&self) -> Option<String> {
        let own = trace::of(&self.span).map(|context| context.to_string());
        own.or_else(|| self.event.traceparent.clone())
    }
}

/// Whether an event meets a condition. Also true for an event that this version can't read, so that
/// its job reports the problem.
fn meets(condition: Option<fn(&Event) -> bool>, event: &SequencedEvent) -> bool {
    condition.is_none_or(|condition| event.event().map_or(true, |event| condition(&event)))
}
