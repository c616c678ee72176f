//! Settles orders: what happens to an order when it is paid, when it is not, and when money goes
//! back. Called inside of the transactions of `services::payments`, `services::orders` and
//! `services::checkout`, which append the returned events with their own. Calls no provider.

use std::collections::HashMap;
use std::sync::Arc;

use super::credit;
use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::catalog::inventory::LowStockThreshold;
use crate::domain::events::{CartEvent, Event, OrderExpiredEvent};
use crate::domain::ids::{DiscountId, OrderId, OrderLineId};
use crate::domain::orders::fulfillments::RefundState;
use crate::domain::orders::{IllegalTransition, OrderSnapshot, Transition};
use crate::error::Error;
use crate::repositories::catalog::variants;
use crate::repositories::checkout::discounts;
use crate::repositories::orders::refunds::{self, Refund};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::Payment;
use crate::services::catalog::inventory::stock::{self, Demand};
use crate::services::locked_order::LockedOrder;

/// Marks an order as paid. The caller stores it, and reinstates it if it had expired.
pub(crate) fn pay(op: &OpContext, order: &mut Order) -> Result<(), IllegalTransition> {
    order.status = order.status.transition(Transition::Pay, OrderSnapshot::default())?;
    order.expires_at = None;
    order.updated_at = op.now();
    Ok(())
}

/// Expires a pending order, releases its stock and discounts, and gives back the credit that was
/// spent on it. The caller stores the order.
pub(crate) async fn expire(
    tx: &mut Tx,
    op: &OpContext,
    order: &mut Order,
    reason: &str,
) -> Result<Vec<Event>, Error> {
    // Only a bug could have it refused: callers have checked that the order is pending.
    order.status = order
        .status
        .transition(Transition::Expire, OrderSnapshot::default())
        .map_err(|error| Error::Internal(Arc::new(error)))?;
    order.expires_at = None;
    order.updated_at = op.now();
    if order.number.is_none() {
        // The order will never get a number: make it findable by its buyer.
        orders::add_words(tx.conn(), order).await?;
    }
    let lines = orders::lines(tx.conn(), &[order.id]).await?;
    orders::clear_reserved(tx.conn(), order.id).await?;
    let mut events =
        vec![Event::OrderExpired(OrderExpiredEvent { order_id: order.id, reason: reason.to_owned() })];
    events.extend(credit::release(tx, op, order.id).await?);
    discounts::release_uses(tx.conn(), order.id).await?;
    let total_quantity = lines.iter().map(|line| line.quantity).sum();
    // The cart can be used again.
    events.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity })));
    let reserved = lines.iter().flat_map(|line| stock::pair_with_variant(line.variant_id, &line.reserved.0));
    events.extend(stock::release(tx, op, reserved).await?);
    Ok(events)
}

/// Takes the stock and discounts of an expired order again and returns the events, or `None` if
/// they are no longer available. In that case the caller must roll back.
pub(crate) async fn reinstate(
    tx: &mut Tx,
    op: &OpContext,
    order: &Order,
    low: LowStockThreshold,
) -> Result<Option<Vec<Event>>, Error> {
    let mut lines = orders::lines(tx.conn(), &[order.id]).await?;
    let Some(ids) = lines.iter().map(|line| line.variant_id).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let delivery = order.delivery.0.iter().flat_map(|delivery| &delivery.discounts);
    let allocations = lines.iter().flat_map(|line| &line.discounts.0).chain(delivery);
    let mut used: Vec<DiscountId> = allocations.filter_map(|allocation| allocation.discount_id).collect();
    used.sort_unstable();
    used.dedup();
    if !used.is_empty() {
        let known = discounts::by_ids(tx.conn(), &used).await?;
        let is_uncounted = |id: &DiscountId| known.iter().any(|row| row.id == *id && !row.is_counted());
        used.retain(|id| !is_uncounted(id));
        if discounts::use_up(tx.conn(), &used, order.id, order.buyer(), op.now()).await?.is_some() {
            return Ok(None);
        }
    }
    let variants: HashMap<_, _> =
        variants::by_ids(tx.conn(), &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    let demand = |line: &OrderLine| Some(Demand::of(variants.get(&line.variant_id?)?, line.quantity));
    let Some(demands) = lines.iter().map(demand).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let Ok(reserved) = stock::reserve(tx, op, &demands, low).await? else { return Ok(None) };
    for (line, units) in lines.iter_mut().zip(reserved.lines) {
        line.reserved.0 = units;
    }
    orders::update_lines(tx.conn(), &lines.iter().collect::<Vec<_>>()).await?;
    let mut events = reserved.events;
    // The cart is ordered again.
    events.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity: 0 })));
    Ok(Some(events))
}

/// Updates an order from its ledger: its status, and the refunded quantity of each line.
/// Idempotent.
pub(crate) async fn sync_with_ledger(tx: &mut Tx, op: &OpContext, id: OrderId) -> Result<(), DbError> {
    let Some(mut locked) = LockedOrder::find(tx, id).await? else { return Ok(()) };
    let refunds = refunds::by_order_ids(tx.conn(), &[id]).await?;
    for line in &mut locked.lines {
        line.refunded_quantity = count_refunded_units(line.id, &refunds, &locked.ledger).min(line.quantity);
    }
    let status = locked.order.status.for_snapshot(locked.snapshot());
    if status != locked.order.status || !locked.changed_lines().is_empty() {
        locked.order.status = status;
        locked.store(tx, op).await?;
    }
    Ok(())
}

/// Units of a line that were refunded, or whose refund is pending.
fn count_refunded_units(line: OrderLineId, refunds: &[Refund], ledger: &[Payment]) -> i64 {
    let counts = refunds.iter().filter(|refund| refund.state(ledger) != RefundState::Failure);
    let of_line = counts.flat_map(|refund| &refund.lines.0).filter(|refunded| refunded.line_id == line);
    of_line.map(|refunded| refunded.quantity).sum()
}
