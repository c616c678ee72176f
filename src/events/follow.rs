//! Following the log by oneself: with a position of one's own, that moves in the transaction in which the events have their effect. So
//! the effect happens once, in the log's order, whatever is killed when.
//!
//! Handlers with `Follows::Log` call it.

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::event::Topic;
use crate::domain::time::Timestamp;
use crate::repositories::events::{self, Recorded};

/// Events that a follower has not had yet, and the follower's position, which is its own until the transaction ends.
pub struct Unread {
    name: &'static str,
    now: Timestamp,
    /// Up to where it has come once it has had these.
    position: i64,
    /// What comes next, in order.
    pub events: Vec<Recorded>,
}

/// How far a follower of a name has come. Whoever else follows by that name waits for the end of the transaction.
///
/// # Errors
/// [`DbError`] of the read.
pub async fn position(tx: &mut Tx, op: &OpContext, name: &'static str) -> Result<i64, DbError> {
    events::lock_consumer(tx.conn(), name, op.now()).await
}

/// Up to `limit` events of a topic that a follower of a name has not had. Whoever else follows by that name waits for the end of
/// the transaction.
///
/// # Errors
/// [`DbError`] of the reads.
pub async fn unread(
    tx: &mut Tx,
    op: &OpContext,
    name: &'static str,
    topic: &Topic,
    limit: i64,
) -> Result<Unread, DbError> {
    let had = events::lock_consumer(tx.conn(), name, op.now()).await?;
    // Read before the events: up to here, none can appear any more.
    let head = events::head(tx.conn()).await?.position;
    let found = events::after(tx.conn(), topic, had, limit).await?;
    let is_all = i64::try_from(found.len()).is_ok_and(|count| count < limit);
    let last = found.last().map_or(had, |event| event.position);
    let position = if is_all { last.max(head) } else { last };
    Ok(Unread { name, now: op.now(), position, events: found })
}

/// Lets a follower of a name begin again with the first event, in the transaction that undoes what it made of them.
///
/// # Errors
/// [`DbError`] of the update.
pub async fn restart(tx: &mut Tx, op: &OpContext, name: &str) -> Result<(), DbError> {
    events::lock_consumer(tx.conn(), name, op.now()).await?;
    events::advance_consumer(tx.conn(), name, 0, op.now()).await
}

impl Unread {
    /// Notes that the follower has had all of them. Before the commit of what follows from them.
    ///
    /// # Errors
    /// [`DbError`] of the update.
    pub async fn read(&self, tx: &mut Tx) -> Result<(), DbError> {
        events::advance_consumer(tx.conn(), self.name, self.position, self.now).await
    }
}
