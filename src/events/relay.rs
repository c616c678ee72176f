//! Gives committed events their places in the log.
//!
//! A number that is taken inside a transaction is no place: a later one may commit first, and whoever reads by it misses the other. So
//! events wait without a place until they are committed, and the relay gives them the next ones, one relay at a time: it holds the row
//! of `event_head`. Every process has a relay; it does not matter which one is first.
//!
//! The jobs of an event's listeners are written with its place, in one transaction, rather than with the event: a mutation then writes
//! one row an event however many listen, and what is committed with an event is not lost either way. Whoever follows the log itself
//! gets one job for as many events as there are, a moment later.

use std::sync::Arc;
use std::time::Duration;

use super::bus::EventBus;
use crate::context::{Clock, OpContext};
use crate::db::{Db, DbError, Statements, retrying};
use crate::error::with_causes;
use crate::jobs::{self, Follows, Handler, NewJob};
use crate::repositories::events::{self, Placed};

/// How many events get their places at once.
const BATCH: i64 = 500;
/// How often it looks when nothing is announced: for what processes without a relay have written.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it leaves the database to others after a batch, so that under load a batch has many events: each takes a turn as a writer,
/// of which SQLite has one.
const BREATH: Duration = Duration::from_millis(5);
/// How long the job of a follower of the log waits for more events.
const GATHER: Duration = Duration::from_millis(100);
/// How long it waits when the database does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Puts the log in order.
pub struct Relay {
    db: Db,
    clock: Arc<dyn Clock>,
    bus: Arc<dyn EventBus>,
    handlers: Vec<Arc<dyn Handler>>,
}

impl Relay {
    /// A relay over a database: it tells the bus, and writes the jobs of handlers that follow events.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, bus: Arc<dyn EventBus>, handlers: &[Arc<dyn Handler>]) -> Self {
        Self { db, clock, bus, handlers: handlers.to_vec() }
    }

    /// Relays until `shutdown` is ready.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut announced = self.db.announcements().events.listen();
        loop {
            let pause = match self.relay().await {
                Ok(0) => LOOK_EVERY,
                Ok(count) if i64::try_from(count).is_ok_and(|count| count == BATCH) => continue,
                Ok(_) => {
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!("events can't be relayed: {}", with_causes(&error));
                    PAUSE
                }
            };
            tokio::select! {
                () = &mut shutdown => return,
                _ = announced.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Gives waiting events their places, and tells of them; how many there were. There may be more.
    ///
    /// # Errors
    /// [`DbError`]; nothing was written then.
    pub async fn relay(&self) -> Result<usize, DbError> {
        let statements = Statements::default();
        // Mostly there is nothing, and a look at it keeps no writer waiting.
        if !events::is_any_pending(&mut self.db.read(&statements).await?).await? {
            return Ok(0);
        }
        let placed = retrying(|| self.place(&statements)).await?;
        if !placed.is_empty() {
            self.bus.publish().await;
        }
        Ok(placed.len())
    }

    async fn place(&self, statements: &Statements) -> Result<Vec<Placed>, DbError> {
        let op = OpContext::system(Arc::clone(&self.clock));
        let mut tx = self.db.begin(statements).await?;
        let head = events::lock_head(tx.conn()).await?;
        let placed = events::place(tx.conn(), head.position, BATCH).await?;
        if placed.is_empty() {
            // Another relay was a moment faster.
            tx.rollback().await?;
            return Ok(placed);
        }
        jobs::enqueue(&mut tx, &op, self.jobs_of(&placed)).await?;
        if let Some(channel) = self.bus.notified_at() {
            events::notify(tx.conn(), channel).await?;
        }
        tx.commit().await?;
        Ok(placed)
    }

    fn jobs_of(&self, placed: &[Placed]) -> Vec<NewJob> {
        let mut new = Vec::new();
        for handler in &self.handlers {
            let (kind, policy) = (handler.kind(), handler.policy());
            match handler.follows() {
                Follows::Nothing => {}
                Follows::Each(kinds) => {
                    let events = placed.iter().filter(|event| kinds.contains(&event.kind.as_str()));
                    new.extend(events.map(|event| {
                        NewJob::with_value(kind, serde_json::Value::Null)
                            .of_event(event.id, &event.request_id)
                            .retries(policy.retries)
                            .priority(policy.priority)
                    }));
                }
                Follows::Log(kinds) => {
                    let concerns = |event: &Placed| kinds.is_empty() || kinds.contains(&event.kind.as_str());
                    if placed.iter().any(concerns) {
                        new.push(
                            NewJob::with_value(kind, serde_json::Value::Null)
                                .unique(kind)
                                .after(GATHER)
                                .retries(policy.retries)
                                .priority(policy.priority),
                        );
                    }
                }
            }
        }
        new
    }
}
