//! Reconciles pending orders with their providers, and expires orders that are not paid in time.
//! Runs periodically, on any number of nodes at once.

use std::collections::HashMap;

use super::attempts::{Attempts, OpenAttempt};
use super::next_actions::StoredActions;
use super::{Payments, settle};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::OrderId;
use crate::domain::orders::OrderStatus;
use crate::error::{Error, with_causes};
use crate::events;
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, actions};

/// Number of orders per batch.
const BATCH_SIZE: i64 = 100;
/// Minimum age of a request before its provider is asked for the result, in multiples of the
/// provider's timeout: until then the original call may still return.
const MIN_AGE_IN_TIMEOUTS: u32 = 3;

impl Payments {
    /// Expires the orders that were not paid in time, and returns their number. Their providers are
    /// asked first whether they have been paid, and told to cancel the payment. A provider that
    /// does not respond does not block the stock any longer: money that arrives later is handled
    /// then.
    ///
    /// # Errors
    /// Database errors. Problems with a single order are logged, and do not affect others.
    pub async fn expire_due(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut expired = 0;
        loop {
            let (due, mut attempts) = self.read_batch(op, None, true).await?;
            let mut changed = 0_u64;
            for order in &due {
                let attempts = attempts.remove(&order.id).unwrap_or_default();
                match self.expire_unless_paid(op, order, &attempts).await {
                    Ok(is_expired) => {
                        changed += 1;
                        expired += u64::from(is_expired);
                    }
                    Err(error) => {
                        tracing::error!(
                            order = ?order.id,
                            "an order can't be expired: {}",
                            with_causes(&error)
                        );
                    }
                }
            }
            if changed == 0 || i64::try_from(due.len()).unwrap_or(BATCH_SIZE) < BATCH_SIZE {
                return Ok(expired);
            }
        }
    }

    /// Asks providers for the state of pending payments and refunds, and returns the number of
    /// orders that turned out to be paid.
    ///
    /// # Errors
    /// Database errors. Problems with a single order are logged, and do not affect others.
    pub async fn check_pending(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::WriteOrders)?;
        let before = op.now().minus(self.timeout.saturating_mul(MIN_AGE_IN_TIMEOUTS));
        let (mut paid, mut after) = (0, None);
        loop {
            let (pending, mut attempts) = self.read_batch(op, after, false).await?;
            let Some(last) = pending.last() else { break };
            after = Some(last.id);
            for order in pending.iter().filter(|order| order.placed_at < before) {
                let attempts = attempts.remove(&order.id).unwrap_or_default();
                match self.check_order(op, order, &attempts).await {
                    Ok(is_paid) => paid += u64::from(is_paid),
                    Err(error) => {
                        tracing::error!(
                            order = ?order.id,
                            "a payment can't be checked: {}",
                            with_causes(&error)
                        );
                    }
                }
            }
        }
        let mut conn = self.db.read(&op.statements).await?;
        let open = payments::open_refunds(&mut conn, before, BATCH_SIZE).await?;
        let ids: Vec<OrderId> = open.iter().map(|row| row.order_id).collect();
        let orders = orders::by_ids(&mut conn, &ids).await?;
        drop(conn);
        for request in &open {
            let Some(order) = orders.iter().find(|order| order.id == request.order_id) else { continue };
            if let Err(error) = self.send_refund(op, order, request).await {
                tracing::error!(order = ?order.id, "a refund can't be checked: {}", with_causes(&error));
            }
        }
        Ok(paid)
    }

    /// Reconciles one pending order; returns whether it is paid. If the charge was interrupted
    /// before it reached the provider, the order gets its number and stays pending. An order that
    /// waits for a step of its buyer gets none.
    async fn check_order(&self, op: &OpContext, order: &Order, attempts: &Attempts) -> Result<bool, Error> {
        let now = self.refresh_from_providers(op, order, attempts).await?;
        if order.number.is_none() && !attempts.is_awaiting_buyer(self) {
            self.assign_number(op, order.id).await?;
        }
        Ok(now.is_some_and(|now| now.status == OrderStatus::Paid))
    }

    /// A batch of pending orders with the attempts to pay them: those that are due, or those after an id.
    async fn read_batch(
        &self,
        op: &OpContext,
        after: Option<OrderId>,
        is_due: bool,
    ) -> Result<(Vec<Order>, HashMap<OrderId, Attempts>), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let orders = if is_due {
            orders::due(&mut conn, op.now(), BATCH_SIZE).await?
        } else {
            orders::pending(&mut conn, after, BATCH_SIZE).await?
        };
        let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
        let mut attempts: HashMap<OrderId, Attempts> = HashMap::new();
        for row in payments::by_order_ids(&mut conn, &ids).await? {
            attempts.entry(row.order_id).or_default().ledger.push(row);
        }
        let mut stored: HashMap<OrderId, Vec<actions::PaymentAction>> = HashMap::new();
        for row in actions::by_order_ids(&mut conn, &ids).await? {
            stored.entry(row.order_id).or_default().push(row);
        }
        for (id, rows) in stored {
            attempts.entry(id).or_default().actions = StoredActions::open(&self.keys, rows);
        }
        Ok((orders, attempts))
    }

    /// Asks the provider of the latest attempt to pay an order for its state and records it, and
    /// voids earlier attempts that may still succeed. Returns the updated order if anything was
    /// reported.
    pub(super) async fn refresh_from_providers(
        &self,
        op: &OpContext,
        order: &Order,
        attempts: &Attempts,
    ) -> Result<Option<Order>, Error> {
        let mut updated = None;
        let latest = attempts.latest().map(payments::Payment::attempt);
        self.void_attempts(op, order, attempts, latest).await?;
        let mut open = self.open_attempts(order, attempts);
        open.retain(|attempt| {
            Some(attempt.payment.attempt_id) == latest && attempt.provider.flow().is_charged_at_checkout()
        });
        for OpenAttempt { provider, payment } in open {
            let state = match self.call_provider(&provider, || provider.fetch(&payment)).await {
                Ok(state) => self.capture_authorized(&provider, order, state).await,
                Err(error) => {
                    tracing::warn!(
                        order = ?order.id,
                        provider = provider.name(),
                        "a payment's state can't be read: {error}"
                    );
                    continue;
                }
            };
            if let Some(pending) = &state.pending {
                self.store_action(op, order.id, payment.attempt_id, pending).await?;
            }
            if !state.events.is_empty() {
                updated = self.record(op, provider.name(), order.id, &state.events).await?;
            }
        }
        Ok(updated)
    }

    /// Expires an order unless it turns out to be paid; returns whether it was expired.
    async fn expire_unless_paid(
        &self,
        op: &OpContext,
        order: &Order,
        attempts: &Attempts,
    ) -> Result<bool, Error> {
        let updated = self.refresh_from_providers(op, order, attempts).await?;
        if updated.is_some_and(|updated| updated.status != order.status) {
            return Ok(false);
        }
        self.void_attempts(op, order, attempts, None).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let order = orders::lock(tx.conn(), order.id).await?;
                let is_due = |order: &Order| {
                    order.status == OrderStatus::PendingPayment
                        && order.expires_at.is_some_and(|at| at <= op.now())
                };
                let Some(mut order) = order.filter(is_due) else { return Ok(false) };
                let expired = settle::expire(tx, op, &mut order, "not_paid_in_time").await?;
                orders::update(tx.conn(), &order).await?;
                events::append(tx, op, expired).await?;
                Ok(true)
            })
            .await
    }
}
