//! Removes old events from the log.
//!
//! Events of orders are kept forever: they are the history of the orders, and reports are computed
//! from them. Other events are removed when they are older than the retention time, every log
//! consumer has processed them and no unfinished job refers to them. The newest event of each
//! aggregate stays, except for carts that no longer exist.

use std::time::Duration;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::ids::{DraftOrderId, EventId, Id, OrderId};
use crate::jobs::{EventSubscription, Handler};
use crate::repositories::events;

/// How many events are removed in one transaction.
const MAX_BATCH: i64 = 1_000;
/// The aggregate types whose events are kept forever.
const PERMANENT_TYPES: [&str; 2] = [OrderId::TYPE, DraftOrderId::TYPE];

/// Removes old events.
pub struct Retention {
    db: Db,
    max_age: Duration,
    consumers: Vec<String>,
}

impl Retention {
    /// Keeps events for `max_age`, and until those of `handlers` that subscribe to the log have
    /// processed them.
    #[must_use]
    pub fn new(db: Db, max_age: Duration, handlers: &[Handler]) -> Self {
        let is_consumer = |handler: &&Handler| matches!(handler.subscription, EventSubscription::Log(_));
        let consumers = handlers.iter().filter(is_consumer).map(|handler| handler.kind.to_owned()).collect();
        Self { db, max_age, consumers }
    }

    /// Whether events of an aggregate type may be removed at all.
    #[must_use]
    pub fn may_prune(aggregate_type: &str) -> bool {
        !PERMANENT_TYPES.contains(&aggregate_type)
    }

    /// Removes old events and returns their number.
    ///
    /// # Errors
    /// [`DbError`]; batches before the one that failed stay removed.
    pub async fn prune(&self, op: &OpContext) -> Result<usize, DbError> {
        let (cutoff, permanent) = (op.now().minus(self.max_age), PERMANENT_TYPES.map(str::to_owned));
        let (mut after, mut total) = (0, 0);
        loop {
            let found = {
                // A search takes longer than a deletion, and the relay should not wait for it.
                let mut conn = self.db.read(&op.statements).await?;
                let head = events::head(&mut conn).await?;
                let processed =
                    events::min_consumer_position(&mut conn, &self.consumers, head.position).await?;
                events::find_prunable(&mut conn, after, cutoff, processed, &permanent, MAX_BATCH).await?
            };
            let Some((last, _)) = found.last() else { return Ok(total) };
            after = *last;
            let ids: Vec<EventId> = found.into_iter().map(|(_, id)| id).collect();
            let removed = self.db.transaction(&op.statements, async |tx: &mut Tx| {
                events::lock_head(tx.conn()).await?;
                events::prune(tx.conn(), &ids, after).await
            });
            total += removed.await?;
        }
    }
}
