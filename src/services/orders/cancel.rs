//! Cancelling: what was reserved and used up goes back, and so does the money.

use serde::{Deserialize, Serialize};

use super::{Orders, check_note, facts, illegal, lock, of_variant};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::event::{CartEvent, Event, OrderCancelledEvent};
use crate::domain::fulfillment::RefundState;
use crate::domain::ids::{OrderId, RefundId};
use crate::domain::order::{CancelReason, Move, OrderStatus, share};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::events;
use crate::repositories::discounts;
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments;
use crate::repositories::refunds::{self, Refund, refundable};
use crate::services::idempotency::Once;
use crate::services::orders::refund::{DeliveryShare, event, line_price, priced_line};
use crate::services::stock;
use crate::services::validate::Problems;

/// An order that is to be cancelled.
#[derive(Clone, Debug, Serialize)]
pub struct CancelOrder {
    /// Which.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancelReason,
    /// Whether its pieces can be sold again; if not, they are off the shelf.
    pub restock: bool,
    /// Whether what was paid goes back.
    pub refund: bool,
    /// For its timeline.
    pub note: Option<String>,
}

/// What follows once an order is cancelled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Followed {
    /// Money that goes back.
    refund: Option<RefundId>,
    /// Whether a payment is to be let go.
    void: bool,
}

impl Orders {
    /// Cancels an order of which nothing is sent: its stock and discounts go back, and so does its money, or what was only kept
    /// ready of it is let go. Cancelled while it is being paid for, what comes of that goes back as well.
    ///
    /// # Errors
    /// [`Error::Invalid`] when its state does not allow it; [`Error::Conflict`] for a key that was used otherwise.
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
        let once = Once::new(key, "orderCancel", input)?;
        let followed = in_tx!(self, op, |tx| cancel_in(tx, op, input, once.as_ref()))?;
        let order = self.reload(op, input.order_id).await?;
        if let Some(refund) = followed.refund {
            self.give_back(op, &order, refund).await?;
        }
        if followed.void {
            // A provider that does not answer now is asked again: `order.money_back` follows the cancellation.
            self.payments.void(op, &order).await?;
        }
        self.reload(op, order.id).await
    }
}

async fn cancel_in(
    tx: &mut Tx,
    op: &OpContext,
    input: &CancelOrder,
    once: Option<&Once<'_>>,
) -> Result<Followed, Error> {
    let mut order = lock(tx, input.order_id, &["id"]).await?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    let mut lines = orders::lines(tx.conn(), &[order.id]).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
    // Its payment may be under way, or kept ready.
    let void = order.status == OrderStatus::PendingPayment;
    order.status =
        order.status.after(Move::Cancel, facts(&order, &lines, &ledger)).map_err(illegal(&["id"]))?;
    order.cancelled_at = Some(op.now());
    order.cancel_reason = Some(input.reason.as_str().to_owned());
    order.expires_at = None;
    order.updated_at = op.now();
    orders::update(tx.conn(), &order).await?;
    if order.number.is_none() {
        // It gets none any more; staff find it by its buyer.
        orders::add_words(tx.conn(), &order).await?;
    }

    let known = refunds::by_order_ids(tx.conn(), &[order.id]).await?;
    // By what was paid: an order that is paid for in part gets that part back.
    let left = refundable(&ledger, &known);
    let standing: Vec<&Refund> =
        known.iter().filter(|refund| refund.state(&ledger) != RefundState::Failure).collect();
    let refund = (input.refund && left > 0).then(|| whole_refund(op, &order, &lines, &standing, left));
    let (mut reserved, mut picked) = (Vec::new(), Vec::new());
    for line in &mut lines {
        reserved.extend(of_variant(line.variant_id, &std::mem::take(&mut line.reserved.0)));
        picked.extend(of_variant(line.variant_id, &std::mem::take(&mut line.picked.0)));
        if refund.is_some() {
            line.refunded_quantity = line.quantity;
        }
        orders::update_line(tx.conn(), line).await?;
    }
    let mut happened = vec![Event::OrderCancelled(OrderCancelledEvent {
        order_id: order.id,
        reason: input.reason.as_str().to_owned(),
        restocked: input.restock,
        note: input.note.clone(),
    })];
    let total_quantity = lines.iter().map(|line| line.quantity).sum();
    // Its cart can be used again.
    happened.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity })));
    if let Some(refund) = &refund {
        refunds::insert(tx.conn(), refund).await?;
        happened.push(Event::RefundCreated(event(refund)));
    }
    let followed = Followed { refund: refund.map(|refund| refund.id), void };
    if let Some(once) = once {
        once.keep(tx, op, &followed).await?;
    }
    discounts::give_back(tx.conn(), order.id).await?;
    if input.restock {
        if !reserved.is_empty() && !picked.is_empty() {
            // All levels are locked in the order of their ids before the first is changed.
            let all: Vec<_> = reserved.iter().chain(&picked).map(|(variant, _)| *variant).collect();
            stock::lock_levels(tx, &all).await?;
        }
        happened.extend(stock::release(tx, op, reserved).await?);
        happened.extend(stock::restock(tx, op, "cancelled", picked).await?);
    } else {
        // What is picked is off the shelf already.
        happened.extend(stock::take(tx, op, "cancelled", reserved).await?);
    }
    events::append(tx, op, happened).await?;
    Ok(followed)
}

/// A refund of all that is left of an order's money, for all pieces that are left.
fn whole_refund(
    op: &OpContext,
    order: &Order,
    lines: &[OrderLine],
    standing: &[&Refund],
    amount: i64,
) -> Refund {
    let mut left = amount;
    let lines = lines.iter().filter(|line| line.count().refundable() > 0).map(|line| {
        let quantity = line.count().refundable();
        let part = line_price(order, line, line.refunded_quantity, quantity).min(left);
        left = left.saturating_sub(part);
        let of_line = standing.iter().flat_map(|refund| &refund.lines.0).filter(|one| one.line_id == line.id);
        let before = of_line.map(|one| one.amount).sum();
        let price = line_price(order, line, 0, line.quantity);
        priced_line(line.id, quantity, part, share(line.tax_total, price, before, part))
    });
    let lines = Json(lines.collect());
    let delivery = DeliveryShare::of(order, standing.iter().copied(), left);
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
