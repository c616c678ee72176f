//! Reconciles pending orders with their providers, and expires orders that are not paid in time.
//! Runs periodically, on any number of nodes at once.

use std::collections::HashMap;
use std::time::Duration;

use super::attempts::{Attempts, OpenAttempt};
use super::authorized::is_awaiting_shipment;
use super::next_actions::StoredActions;
use super::refund::refund_requests;
use super::{Payments, settle};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, OrderId, PaymentId, RefundId};
use crate::domain::orders::OrderStatus;
use crate::domain::time::Timestamp;
use crate::error::{Error, with_causes};
use crate::events;
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, actions, ledger_totals};

/// Number of orders per batch.
const BATCH_SIZE: i64 = 100;
/// Minimum age of a request before its provider is asked for the result, in multiples of the
/// provider's timeout: until then the original call may still return.
const MIN_AGE_IN_TIMEOUTS: u32 = 3;
/// How long after it was placed an order waits for a payment that its provider is processing, such
/// as a bank debit.
const MAX_PROCESSING: Duration = Duration::from_hours(14 * 24);
/// Maximum age of a payment that is voided because its order was settled otherwise.
const SETTLED_WINDOW: Duration = Duration::from_hours(48);

/// What providers have reported about an order's payments.
#[derive(Default)]
pub(super) struct Refreshed {
    /// The updated order, if anything was reported.
    pub order: Option<Order>,
    /// Whether the provider is processing the latest payment: the buyer has done their part.
    pub is_processing: bool,
}

impl Payments {
    /// Expires the orders that were not paid in time, and returns their number. Before that, their
    /// providers are asked whether the orders have been paid, and told to void the payments. Stock
    /// is released even if a provider does not respond; money that arrives later is handled then.
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
        self.repeat_refunds(op, before).await?;
        self.repeat_captures(op, before).await?;
        self.void_lapsing(op).await?;
        self.void_settled(op, before).await?;
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
        Ok(paid)
    }

    /// Sends refunds again that have no complete result yet. All of them, because some may stay
    /// without one for long, which must not keep others waiting.
    async fn repeat_refunds(&self, op: &OpContext, before: Timestamp) -> Result<(), Error> {
        let mut after = None;
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let open = payments::open_refunds(&mut conn, before, after, BATCH_SIZE).await?;
            let Some(last) = open.last() else { return Ok(()) };
            after = Some(last.id);
            let ids: Vec<OrderId> = open.iter().map(|row| row.order_id).collect();
            let orders = orders::by_ids(&mut conn, &ids).await?;
            drop(conn);
            for request in &open {
                let Some(order) = orders.iter().find(|order| order.id == request.order_id) else { continue };
                if let Err(error) = self.send_refund(op, order, request).await {
                    tracing::error!(order = ?order.id, "a refund can't be checked: {}", with_causes(&error));
                }
            }
        }
    }

    /// Reconciles one pending order; returns whether it is paid. If the charge was interrupted
    /// before it reached the provider, the order gets its number and stays pending. An order that
    /// waits for a step of its buyer gets none. One that waits for its shipment needs no other
    /// payment.
    async fn check_order(&self, op: &OpContext, order: &Order, attempts: &Attempts) -> Result<bool, Error> {
        if is_awaiting_shipment(order, &attempts.ledger) {
            self.void_attempts(op, order, attempts, None).await?;
            return Ok(false);
        }
        let mut now = self.refresh_from_providers(op, order, attempts).await?.order;
        if order.number.is_none() && !attempts.is_awaiting_buyer(self) {
            self.assign_number(op, order.id).await?;
        }
        if attempts.count() > 1 {
            // An earlier attempt may have paid it, and the buyer must not pay it again.
            now = orders::find(&mut self.db.read(&op.statements).await?, order.id).await?;
            if let Some(now) = &now {
                self.void_leftovers(op, now).await?;
            }
        }
        Ok(now.is_some_and(|now| now.status == OrderStatus::Paid))
    }

    /// A batch of pending orders with the attempts to pay them: those that are due, or those after
    /// an id.
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
    /// voids earlier attempts that may still succeed.
    pub(super) async fn refresh_from_providers(
        &self,
        op: &OpContext,
        order: &Order,
        attempts: &Attempts,
    ) -> Result<Refreshed, Error> {
        let mut refreshed = Refreshed::default();
        let latest = attempts.latest().map(payments::Payment::attempt);
        self.void_attempts(op, order, attempts, latest).await?;
        for OpenAttempt { provider, payment } in self.open_attempts(order, attempts) {
            let Some(provider) = provider.filter(|provider| provider.flow().is_charged_at_checkout()) else {
                continue;
            };
            if Some(payment.attempt_id) != latest {
                continue;
            }
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
            if !state.events.is_empty() {
                refreshed.order = self.record(op, provider.name(), order.id, &state.events).await?;
            }
            // After the events: what the payment waits for is newer than any decline.
            if let Some(pending) = &state.pending {
                refreshed.is_processing = !pending.next_action.is_of_buyer();
                self.store_action(op, order.id, payment.attempt_id, pending).await?;
            }
        }
        Ok(refreshed)
    }

    /// Expires an order unless it turns out to be paid; returns whether it was expired.
    async fn expire_unless_paid(
        &self,
        op: &OpContext,
        order: &Order,
        attempts: &Attempts,
    ) -> Result<bool, Error> {
        let refreshed = self.refresh_from_providers(op, order, attempts).await?;
        if refreshed.order.is_some_and(|updated| updated.status != order.status) {
            return Ok(false);
        }
        let processed_until = order.placed_at.plus(MAX_PROCESSING);
        if refreshed.is_processing && op.now() < processed_until {
            self.extend(op, order.id, processed_until).await?;
            return Ok(false);
        }
        self.void_attempts(op, order, attempts, None).await?;
        let expired = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| expire_in(tx, op, order.id).await)
            .await?;
        let Some(refund_requests) = expired else { return Ok(false) };
        for request in &refund_requests {
            self.send_refund(op, order, request).await?;
        }
        Ok(true)
    }

    /// Lets an order wait longer, for a payment that its provider is processing.
    async fn extend(&self, op: &OpContext, id: OrderId, until: Timestamp) -> Result<(), Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(mut order) = orders::lock(tx.conn(), id).await? else { return Ok(()) };
                if order.status == OrderStatus::PendingPayment {
                    order.expires_at = Some(until);
                    order.updated_at = op.now();
                    orders::update(tx.conn(), &order).await?;
                }
                Ok(())
            })
            .await
    }

    /// Voids payments that may still succeed although their orders were settled otherwise: their
    /// provider did not respond when they were to be voided. Each check continues after the batch
    /// of the last one: those that can't be voided must not keep others waiting.
    async fn void_settled(&self, op: &OpContext, before: Timestamp) -> Result<(), Error> {
        let since = PaymentId::first_at(op.now().minus(SETTLED_WINDOW));
        let after = self.settled_cursor.lock().map_or(since, |last| last.max(since));
        let charged = self.all().filter(|provider| provider.flow().is_charged_at_checkout());
        let names: Vec<&'static str> = charged.map(|provider| provider.name()).collect();
        let mut conn = self.db.read(&op.statements).await?;
        let open = payments::open_requests_of_settled(&mut conn, after, before, &names, BATCH_SIZE).await?;
        let ids: Vec<OrderId> = open.iter().map(|(_, order)| *order).collect();
        let orders = orders::by_ids(&mut conn, &ids).await?;
        drop(conn);
        let has_more = i64::try_from(open.len()).unwrap_or(BATCH_SIZE) >= BATCH_SIZE;
        *self.settled_cursor.lock() = open.last().filter(|_| has_more).map(|(last, _)| *last);
        for order in &orders {
            if let Err(error) = self.void(op, order).await {
                tracing::error!(order = ?order.id, "a payment can't be voided: {}", with_causes(&error));
            }
        }
        Ok(())
    }
}

/// Expires an order that is due. Returns the refunds to send for what was already paid, or `None`
/// if the order is no longer due.
async fn expire_in(tx: &mut Tx, op: &OpContext, id: OrderId) -> Result<Option<Vec<Payment>>, Error> {
    let order = orders::lock(tx.conn(), id).await?;
    let is_due = |order: &Order| {
        order.status == OrderStatus::PendingPayment && order.expires_at.is_some_and(|at| at <= op.now())
    };
    let Some(mut order) = order.filter(is_due) else { return Ok(None) };
    let expired = settle::expire(tx, op, &mut order, "not_paid_in_time").await?;
    orders::update(tx.conn(), &order).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
    let amount = ledger_totals(&ledger).refundable();
    let refunds = refund_requests(op, &ledger, RefundId::generate(), amount, None);
    for request in &refunds {
        payments::insert(tx.conn(), request).await?;
    }
    events::append(tx, op, expired).await?;
    Ok(Some(refunds))
}
