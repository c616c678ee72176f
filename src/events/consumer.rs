//! Durable consumers of the log. Each has a name and a stored position, which it advances in the
//! transaction in which the events take effect. So each event takes effect exactly once, in the
//! order of the log, even if a process is killed at any point.
//!
//! Called by handlers with `EventSubscription::Log`.

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::events::Topic;
use crate::domain::time::Timestamp;
use crate::repositories::events::{self, LoggedEvent};

/// Events that a consumer has not processed yet. The consumer's position is locked until the
/// transaction ends.
pub struct PendingBatch {
    name: &'static str,
    now: Timestamp,
    /// The consumer's position once it has processed these events.
    position: i64,
    /// The events, in the order of the log.
    pub events: Vec<LoggedEvent>,
}

/// The position of the consumer called `name`, which is locked until the transaction ends.
///
/// # Errors
/// [`DbError`] of the read.
pub async fn position(tx: &mut Tx, op: &OpContext, name: &'static str) -> Result<i64, DbError> {
    events::lock_consumer(tx.conn(), name, op.now()).await
}

/// Reads up to `limit` events of a topic after the position of the consumer called `name`, which is
/// locked until the transaction ends.
///
/// # Errors
/// [`DbError`] of the reads.
pub async fn next_batch(
    tx: &mut Tx,
    op: &OpContext,
    name: &'static str,
    topic: &Topic,
    limit: i64,
) -> Result<PendingBatch, DbError> {
    let after = events::lock_consumer(tx.conn(), name, op.now()).await?;
    // Read before the events: no event can still appear up to this position.
    let head = events::head(tx.conn()).await?.position;
    let found = events::list_after(tx.conn(), topic, after, limit).await?;
    let is_all = i64::try_from(found.len()).is_ok_and(|count| count < limit);
    let last = found.last().map_or(after, |event| event.position);
    let position = if is_all { last.max(head) } else { last };
    Ok(PendingBatch { name, now: op.now(), position, events: found })
}

/// Moves a consumer back to the beginning of the log, in the transaction that discards what it
/// derived from the events.
///
/// # Errors
/// [`DbError`] of the update.
pub async fn restart(tx: &mut Tx, op: &OpContext, name: &str) -> Result<(), DbError> {
    events::lock_consumer(tx.conn(), name, op.now()).await?;
    events::advance_consumer(tx.conn(), name, 0, op.now()).await
}

impl PendingBatch {
    /// Advances the consumer past these events, in the transaction in which they take effect.
    ///
    /// # Errors
    /// [`DbError`] of the update.
    pub async fn acknowledge(&self, tx: &mut Tx) -> Result<(), DbError> {
        events::advance_consumer(tx.conn(), self.name, self.position, self.now).await
    }
}
