//! Regular maintenance of the database: deletes rows that are no longer needed, in small
//! transactions that block nobody, and refreshes the statistics of the query planner.

use std::fmt;
use std::time::Duration;

use crate::context::OpContext;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::error::Error;
use crate::repositories::access::{attempt_counters, refresh_tokens};
use crate::repositories::checkout::carts;
use crate::repositories::customers::tokens;
use crate::repositories::orders::unpaid;
use crate::repositories::payments::actions;
use crate::repositories::{idempotency, jobs, webhooks};

const DAY: Duration = Duration::from_hours(24);
/// How long the result of an idempotent call is kept.
const IDEMPOTENCY_KEY_TTL: Duration = DAY.saturating_mul(7);
/// How long an expired session or token is kept, for inspection.
const EXPIRED_TOKEN_TTL: Duration = DAY;
/// How long a completed job is kept.
const DONE_JOB_TTL: Duration = DAY.saturating_mul(7);
/// How long a dead or cancelled job is kept.
const DEAD_JOB_TTL: Duration = DAY.saturating_mul(60);
/// How long a webhook delivery is kept.
const WEBHOOK_DELIVERY_TTL: Duration = DAY.saturating_mul(30);
/// Maximum number of rows deleted in one transaction.
const BATCH_SIZE: i64 = 1_000;

/// Deletes rows in batches until there are none; evaluates to their number.
macro_rules! delete_in_batches {
    ($self:ident, $op:ident, |$conn:ident| $delete:expr) => {{
        let mut total = 0;
        loop {
            let deleted = $self.db.transaction(&$op.statements, async |tx: &mut Tx| {
                let $conn = tx.conn();
                $delete.await
            });
            match deleted.await? {
                0 => break total,
                deleted => total += deleted,
            }
        }
    }};
}

/// Deletes rows that are no longer needed.
pub struct CleanUp {
    db: Db,
    carts: CartTtl,
}

/// How long carts are kept after their last change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CartTtl {
    /// Carts without lines.
    pub empty: Duration,
    /// Carts with lines.
    pub filled: Duration,
}

/// Number of deleted rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CleanUpReport {
    /// Refresh tokens.
    pub refresh_tokens: usize,
    /// Mailed tokens of customers.
    pub customer_tokens: usize,
    /// Attempt counters.
    pub attempt_counters: usize,
    /// Idempotency keys.
    pub keys: usize,
    /// Carts.
    pub carts: usize,
    /// Markers of orders that no longer await payment.
    pub unpaid_orders: usize,
    /// Next actions of payments that have ended.
    pub payment_actions: usize,
    /// Jobs.
    pub jobs: usize,
    /// Webhook deliveries.
    pub deliveries: usize,
}

impl fmt::Display for CleanUpReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refresh_tokens,
            customer_tokens,
            attempt_counters,
            keys,
            carts,
            unpaid_orders,
            payment_actions,
            jobs,
            deliveries,
        } = self;
        write!(
            f,
            "{refresh_tokens} sessions, {customer_tokens} tokens, {attempt_counters} attempt counters, \
             {keys} idempotency keys, {carts} carts, notes of {unpaid_orders} orders, \
             {payment_actions} next actions of payments, {jobs} jobs, {deliveries} webhook deliveries"
        )
    }
}

impl CleanUp {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, carts: CartTtl) -> Self {
        Self { db, carts }
    }

    /// Deletes everything that is due, and refreshes the statistics of the query planner. Returns
    /// the number of deleted rows.
    ///
    /// # Errors
    /// [`Error`] of the database; earlier batches stay deleted.
    pub async fn run(&self, op: &OpContext) -> Result<CleanUpReport, Error> {
        op.authorize(Permission::ManageSettings)?;
        let ago = |ttl: Duration| op.now().minus(ttl);
        let (tokens, keys, carts) =
            (ago(EXPIRED_TOKEN_TTL), ago(IDEMPOTENCY_KEY_TTL), ago(self.carts.filled));
        let (done, dead, deliveries) = (ago(DONE_JOB_TTL), ago(DEAD_JOB_TTL), ago(WEBHOOK_DELIVERY_TTL));
        let report = CleanUpReport {
            refresh_tokens: delete_in_batches!(self, op, |conn| refresh_tokens::delete_expired(
                conn, tokens, BATCH_SIZE
            )),
            customer_tokens: delete_in_batches!(self, op, |conn| tokens::delete_expired(
                conn, tokens, BATCH_SIZE
            )),
            attempt_counters: delete_in_batches!(self, op, |conn| {
                attempt_counters::delete_expired(conn, op.now(), BATCH_SIZE)
            }),
            keys: delete_in_batches!(self, op, |conn| idempotency::delete_older(conn, keys, BATCH_SIZE)),
            carts: delete_in_batches!(self, op, |conn| carts::delete_idle(conn, carts, BATCH_SIZE))
                + self.delete_empty_carts(op).await?,
            unpaid_orders: delete_in_batches!(self, op, |conn| unpaid::delete_settled(conn, BATCH_SIZE)),
            payment_actions: delete_in_batches!(self, op, |conn| actions::delete_settled(conn, BATCH_SIZE)),
            jobs: delete_in_batches!(self, op, |conn| jobs::purge(conn, done, dead, BATCH_SIZE)),
            deliveries: delete_in_batches!(self, op, |conn| webhooks::prune(conn, deliveries, BATCH_SIZE)),
        };
        self.db.refresh_statistics(&op.statements).await?;
        Ok(report)
    }

    /// Deletes empty carts. They are searched on a read connection, since the search takes longer
    /// than the deletion and writers should not wait for it.
    async fn delete_empty_carts(&self, op: &OpContext) -> Result<usize, Error> {
        let since = op.now().minus(self.carts.empty);
        let mut total = 0;
        loop {
            let ids = carts::find_empty(&mut self.db.read(&op.statements).await?, since, BATCH_SIZE).await?;
            if ids.is_empty() {
                return Ok(total);
            }
            let deleted = self.db.transaction(&op.statements, async |tx: &mut Tx| {
                carts::delete_empty(tx.conn(), &ids, since).await
            });
            let deleted = deleted.await?;
            total += deleted;
            // All of them have been changed since, or a replica lags behind.
            if deleted == 0 {
                return Ok(total);
            }
        }
    }
}
