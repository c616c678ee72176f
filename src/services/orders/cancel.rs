//! Cancellation: releases or restocks units, returns discounts, and refunds or voids payments.

use serde::{Deserialize, Serialize};

use super::{Orders, check_note, open, transition_error};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::events::{CartEvent, Event, OrderCancelledEvent};
use crate::domain::ids::{OrderId, RefundId, VariantId};
use crate::domain::orders::{CancelReason, OrderStatus, Transition, allocate_share};
use crate::error::Error;
use crate::events;
use crate::repositories::checkout::discounts;
use crate::repositories::orders::refunds::{self, Refund, refundable};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, authorizations};
use crate::services::catalog::inventory::stock;
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;
use crate::services::locked_order::LockedOrder;
use crate::services::orders::refund::{
    DeliveryShare, line_price, priced_line, refund_event, refunded_of_delivery, refunded_of_line,
};
use crate::services::payments::credit;

/// The input of a cancellation.
#[derive(Clone, Debug, Serialize)]
pub struct CancelOrder {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub reason: CancelReason,
    /// Whether its units become available again; otherwise they are removed from stock.
    pub restock: bool,
    /// Whether payments are refunded.
    pub refund: bool,
    /// A note for the order's timeline.
    pub note: Option<String>,
}

/// What is left to do after the transaction.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct CancelFollowUp {
    /// The refund to pay out.
    refund: Option<RefundId>,
    /// Whether a payment has to be voided.
    void: bool,
}

impl Orders {
    /// Cancels an order of which nothing has been shipped. Its stock and discounts are released,
    /// captured payments are refunded if `refund` is set, and authorized ones are voided. If a
    /// charge is still in progress, its result is reverted as well.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the status does not allow it; [`Error::Conflict`] when the key was
    /// used for a different request.
    pub async fn cancel(
        &self,
        op: &OpContext,
        input: &CancelOrder,
        key: Option<&str>,
    ) -> Result<Order, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut problems = Problems::default();
        check_note(&mut problems, &["input", "staffNote"], input.note.as_deref().unwrap_or_default());
        problems.check()?;
        let call = IdempotentCall::new(key, "orderCancel", input)?;
        let follow_up =
            run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| cancel_order_in(tx, op, input).await)
                .await?;
        let order = self.reload(op, input.order_id).await?;
        if let Some(refund) = follow_up.refund {
            self.execute_refund(op, &order, refund).await?;
        }
        if follow_up.void {
            // If the provider does not respond now, the listener `order.money_back` tries again.
            self.payments.void(op, &order).await?;
        }
        self.reload(op, order.id).await
    }
}

async fn cancel_order_in(tx: &mut Tx, op: &OpContext, input: &CancelOrder) -> Result<CancelFollowUp, Error> {
    let mut locked = open(tx, input.order_id, &["id"]).await?;
    // A payment may be in progress or authorized.
    let is_authorized = authorizations(&locked.ledger).iter().any(|one| one.left() > 0);
    let is_unpaid = locked.order.status == OrderStatus::PendingPayment;
    let void = is_unpaid || is_authorized;
    // Of an order that is not completed, credit goes back whether or not payments are refunded.
    let released = if is_unpaid { credit::release(tx, op, input.order_id).await? } else { Vec::new() };
    if !released.is_empty() {
        locked.ledger = payments::by_order_ids(tx.conn(), &[input.order_id]).await?;
    }
    locked.order.status = locked.next_status(Transition::Cancel).map_err(transition_error(&["id"]))?;
    let LockedOrder { order, lines, ledger, .. } = &mut locked;
    order.cancelled_at = Some(op.now());
    order.cancel_reason = Some(input.reason.as_str().to_owned());
    order.expires_at = None;
    if order.number.is_none() {
        // The order will never get a number: make it findable by its buyer.
        orders::add_words(tx.conn(), order).await?;
    }

    let known = refunds::by_order_ids(tx.conn(), &[order.id]).await?;
    // Limited to what was paid: a partly paid order gets that part refunded.
    let left = refundable(ledger, &known);
    let refund = (input.refund && left > 0).then(|| whole_refund(op, order, lines, &known, ledger, left));
    let (mut reserved, mut picked) = (Vec::new(), Vec::new());
    for line in lines.iter_mut() {
        reserved.extend(stock::pair_with_variant(line.variant_id, &std::mem::take(&mut line.reserved.0)));
        picked.extend(stock::pair_with_variant(line.variant_id, &std::mem::take(&mut line.picked.0)));
        if refund.is_some() {
            line.refunded_quantity = line.quantity;
        }
    }
    let mut events = vec![Event::OrderCancelled(OrderCancelledEvent {
        order_id: order.id,
        reason: input.reason.as_str().to_owned(),
        restocked: input.restock,
        note: input.note.clone(),
    })];
    let total_quantity = lines.iter().map(|line| line.quantity).sum();
    // The cart can be used again.
    events.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity })));
    if let Some(refund) = &refund {
        refunds::insert(tx.conn(), refund).await?;
        events.push(Event::RefundCreated(refund_event(refund)));
    }
    events.extend(released);
    let follow_up = CancelFollowUp { refund: refund.map(|refund| refund.id), void };
    discounts::release_uses(tx.conn(), order.id).await?;
    locked.store(tx, op).await?;
    events.extend(give_up_units(tx, op, input.restock, reserved, picked).await?);
    events::append(tx, op, events).await?;
    Ok(follow_up)
}

/// Releases reserved units and puts picked ones back, or removes them all from the stock. Returns
/// the events.
async fn give_up_units(
    tx: &mut Tx,
    op: &OpContext,
    restock: bool,
    reserved: Vec<(VariantId, UnitsAtLocation)>,
    picked: Vec<(VariantId, UnitsAtLocation)>,
) -> Result<Vec<Event>, Error> {
    if !restock {
        // Picked units are no longer part of the stock.
        return stock::take(tx, op, "cancelled", reserved).await;
    }
    if !reserved.is_empty() && !picked.is_empty() {
        // Locks all levels in the order of their ids before changing any.
        let all: Vec<_> = reserved.iter().chain(&picked).map(|(variant, _)| *variant).collect();
        stock::lock_levels(tx, &all).await?;
    }
    let mut events = stock::release(tx, op, reserved).await?;
    events.extend(stock::restock(tx, op, "cancelled", picked).await?);
    Ok(events)
}

/// A refund of the remaining amount, for all units that are not refunded yet.
fn whole_refund(
    op: &OpContext,
    order: &Order,
    lines: &[OrderLine],
    known: &[Refund],
    ledger: &[Payment],
    amount: i64,
) -> Refund {
    let mut left = amount;
    let lines = lines.iter().filter(|line| line.count().refundable() > 0).map(|line| {
        let quantity = line.count().refundable();
        let before = refunded_of_line(line.id, known, ledger);
        let price = line_price(order, line, 0, line.quantity);
        // Money that was refunded without units reduces what is left for the units.
        let max = left.min(price.saturating_sub(before).max(0));
        let part = line_price(order, line, line.refunded_quantity, quantity).min(max);
        left = left.saturating_sub(part);
        priced_line(line.id, quantity, part, allocate_share(line.tax_total, price, before, part))
    });
    let lines = Json(lines.collect());
    let delivery = DeliveryShare::of(order, refunded_of_delivery(order, known, ledger), left);
    Refund {
        id: RefundId::generate(),
        order_id: order.id,
        amount,
        note: String::new(),
        lines,
        created_at: op.now(),
        delivery: delivery.money(order).min(left),
        delivery_tax: delivery.tax.min(left),
    }
}
