//! How long events are kept.
//!
//! What happened to orders is their history and what reports are made of: it is kept for good. Of everything else events are removed
//! after a while, once every follower has had them and no unfinished job follows from them; the newest event of each thing stays,
//! unless that is a cart that is gone.

use std::sync::Arc;
use std::time::Duration;

use crate::context::OpContext;
use crate::db::{Db, DbError, retrying};
use crate::domain::ids::{DraftOrderId, Id, OrderId};
use crate::jobs::{Follows, Handler};
use crate::repositories::events;

/// How many are removed in one transaction.
const BATCH: i64 = 1_000;
/// What is kept for good.
const KEPT: [&str; 2] = [OrderId::TYPE, DraftOrderId::TYPE];

/// Removes old events.
pub struct Retention {
    db: Db,
    keep: Duration,
    followers: Vec<String>,
}

impl Retention {
    /// Keeps events for so long, and until these handlers have had them.
    #[must_use]
    pub fn new(db: Db, keep: Duration, handlers: &[Arc<dyn Handler>]) -> Self {
        let follows = |handler: &&Arc<dyn Handler>| matches!(handler.follows(), Follows::Log(_));
        let followers = handlers.iter().filter(follows).map(|handler| handler.kind().to_owned()).collect();
        Self { db, keep, followers }
    }

    /// Whether the events of a type of thing may be removed at all.
    #[must_use]
    pub fn removes(aggregate_type: &str) -> bool {
        !KEPT.contains(&aggregate_type)
    }

    /// Removes what need not be kept any longer; how many events that were.
    ///
    /// # Errors
    /// [`DbError`]; what was removed before stays removed.
    pub async fn prune(&self, op: &OpContext) -> Result<usize, DbError> {
        let (cutoff, kept) = (op.now().minus(self.keep), KEPT.map(str::to_owned));
        let mut removed = 0;
        loop {
            let gone = retrying(|| async {
                let mut tx = self.db.begin(&op.statements).await?;
                let head = events::lock_head(tx.conn()).await?;
                let had = events::had_by_all(tx.conn(), &self.followers, head.position).await?;
                let gone = events::prune(tx.conn(), cutoff, had, &kept, BATCH).await?;
                tx.commit().await?;
                Ok::<_, DbError>(gone)
            });
            match gone.await? {
                0 => return Ok(removed),
                gone => removed += gone,
            }
        }
    }
}
