//! Removes what nobody needs any more. By the clock; in small transactions, so that nobody waits for it.

use std::fmt;
use std::time::Duration;

use crate::context::OpContext;
use crate::db::{Db, retrying};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::repositories::{
    attempt_counters, carts, customer_tokens, idempotency, jobs, refresh_tokens, unpaid_orders, webhooks,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an answer is kept under its key.
const KEEP_KEYS: Duration = DAY.saturating_mul(7);
/// How long a session or token is kept once its time is over: for whoever wonders.
const KEEP_TOKENS: Duration = DAY;
/// How long a job that is done is kept.
const KEEP_DONE: Duration = DAY.saturating_mul(7);
/// How long a job that is dead or was called off is kept.
const KEEP_DEAD: Duration = DAY.saturating_mul(60);
/// How long a message to another service is kept.
const KEEP_DELIVERIES: Duration = DAY.saturating_mul(30);
/// How many rows are removed at once.
const BATCH: i64 = 1_000;

/// Removes rows batch by batch, until there are none; how many there were.
macro_rules! batches {
    ($self:ident, $op:ident, |$conn:ident| $remove:expr) => {{
        let mut removed = 0;
        loop {
            let gone = retrying(|| async {
                let mut written = $self.db.write(&$op.statements).await?;
                let $conn = &mut written;
                $remove.await
            });
            match gone.await? {
                0 => break removed,
                gone => removed += gone,
            }
        }
    }};
}

/// Removes what nobody needs.
pub struct CleanUp {
    db: Db,
    carts: CartTtl,
}

/// How long carts are kept that nobody touches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CartTtl {
    /// Those without lines.
    pub empty: Duration,
    /// Those with lines.
    pub filled: Duration,
}

/// How much was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// Refresh tokens.
    pub refresh_tokens: usize,
    /// Tokens that were mailed to customers.
    pub customer_tokens: usize,
    /// Counters of attempts.
    pub attempt_counters: usize,
    /// Idempotency keys.
    pub keys: usize,
    /// Carts.
    pub carts: usize,
    /// Notes of orders that wait no longer for their payment.
    pub unpaid_orders: usize,
    /// Jobs.
    pub jobs: usize,
    /// Messages to other services.
    pub deliveries: usize,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refresh_tokens,
            customer_tokens,
            attempt_counters,
            keys,
            carts,
            unpaid_orders,
            jobs,
            deliveries,
        } = self;
        write!(
            f,
            "{refresh_tokens} sessions, {customer_tokens} tokens, {attempt_counters} attempt counters, \
             {keys} idempotency keys, {carts} carts, notes of {unpaid_orders} orders, {jobs} jobs, \
             {deliveries} webhook deliveries"
        )
    }
}

impl CleanUp {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, carts: CartTtl) -> Self {
        Self { db, carts }
    }

    /// Removes all of it; how much that was.
    ///
    /// # Errors
    /// [`Error`] of the database; what was removed before stays removed.
    pub async fn run(&self, op: &OpContext) -> Result<Removed, Error> {
        op.authorize(Permission::ManageSettings)?;
        let ago = |keep: Duration| op.now().minus(keep);
        let (tokens, keys, carts) = (ago(KEEP_TOKENS), ago(KEEP_KEYS), ago(self.carts.filled));
        let (done, dead, deliveries) = (ago(KEEP_DONE), ago(KEEP_DEAD), ago(KEEP_DELIVERIES));
        Ok(Removed {
            refresh_tokens: batches!(self, op, |conn| refresh_tokens::delete_expired(conn, tokens, BATCH)),
            customer_tokens: batches!(self, op, |conn| customer_tokens::delete_expired(conn, tokens, BATCH)),
            attempt_counters: batches!(self, op, |conn| {
                attempt_counters::delete_expired(conn, op.now(), BATCH)
            }),
            keys: batches!(self, op, |conn| idempotency::delete_older(conn, keys, BATCH)),
            carts: batches!(self, op, |conn| carts::delete_idle(conn, carts, BATCH))
                + self.remove_empty_carts(op).await?,
            unpaid_orders: batches!(self, op, |conn| unpaid_orders::delete_settled(conn, BATCH)),
            jobs: batches!(self, op, |conn| jobs::purge(conn, done, dead, BATCH)),
            deliveries: batches!(self, op, |conn| webhooks::prune(conn, deliveries, BATCH)),
        })
    }

    /// Removes carts that nothing lies in. They are looked for by a reader: that takes longer than to remove them, and nobody who
    /// writes is to wait for it.
    async fn remove_empty_carts(&self, op: &OpContext) -> Result<usize, Error> {
        let since = op.now().minus(self.carts.empty);
        let mut removed = 0;
        loop {
            let ids = carts::empty_since(&mut self.db.read(&op.statements).await?, since, BATCH).await?;
            if ids.is_empty() {
                return Ok(removed);
            }
            let gone = retrying(|| async {
                carts::delete_empty(&mut self.db.write(&op.statements).await?, &ids, since).await
            });
            let gone = gone.await?;
            removed += gone;
            // All of them have been touched meanwhile, or a replica does not know yet.
            if gone == 0 {
                return Ok(removed);
            }
        }
    }
}
