//! What staff do by hand: they mark an order as paid, and note things on it.

use super::{Orders, check_note, illegal, lock};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::event::{Event, OrderNoteEvent, PaymentEvent};
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::order::{Facts, Move, OrderStatus};
use crate::domain::payment::PaymentKind;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::integrations::payments::Manual;
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, paid};
use crate::services::idempotency::Once;
use crate::services::payments::revive;
use crate::services::validate::Problems;

/// The argument that names the order that is paid for.
const ID: &[&str] = &["id"];

impl Orders {
    /// Marks an order as paid: what is missing of its total came by a way of its own. An order that was given up by the clock gets
    /// its stock and discounts again, if they can still be had.
    ///
    /// # Errors
    /// [`Error::Invalid`] when its state does not allow it; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn mark_as_paid(&self, op: &OpContext, id: OrderId, key: Option<&str>) -> Result<Order, Error> {
        op.authorize(Permission::WriteOrders)?;
        let once = Once::new(key, "orderMarkAsPaid", &id)?;
        in_tx!(self, op, |tx| self.pay_in(tx, op, id, once.as_ref()))?;
        self.reload(op, id).await
    }

    /// Notes something on an order's timeline, for staff.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such order or nothing to note; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn add_note(
        &self,
        op: &OpContext,
        id: OrderId,
        note: &str,
        key: Option<&str>,
    ) -> Result<Order, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut problems = Problems::default();
        if note.trim().is_empty() {
            problems.add(&["note"], UserErrorCode::Blank, "Note can't be blank");
        }
        check_note(&mut problems, &["note"], note);
        problems.check()?;
        let once = Once::new(key, "orderNoteAdd", &(id, note))?;
        in_tx!(self, op, |tx| note_in(tx, op, id, note, once.as_ref()))?;
        self.reload(op, id).await
    }

    async fn pay_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: OrderId,
        once: Option<&Once<'_>>,
    ) -> Result<OrderId, Error> {
        let mut order = lock(tx, id, ID).await?;
        if let Some(once) = once
            && let Some(answer) = once.answer(tx, op).await?
        {
            return Ok(answer);
        }
        let was_given_up = order.status == OrderStatus::Expired;
        order.status = order.status.after(Move::Pay, Facts::default()).map_err(illegal(ID))?;
        order.expires_at = None;
        order.updated_at = op.now();
        orders::update(tx.conn(), &order).await?;
        let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
        let missing = order.total.saturating_sub(paid(&ledger).net()).max(0);
        let payment = by_hand(op, &order, missing);
        if missing > 0 {
            payments::insert(tx.conn(), &payment).await?;
        }
        if let Some(once) = once {
            once.keep(tx, op, &id).await?;
        }
        let mut happened = vec![Event::OrderPaid(event(&payment))];
        if was_given_up {
            let reserved = revive(tx, op, &order, self.shop.low_stock).await?;
            happened.extend(reserved.ok_or_else(|| {
                let message = "The order was given up, and its stock or a discount of it can't be had any more: place a new one";
                Error::invalid(ID, UserErrorCode::InsufficientStock, message)
            })?);
        }
        events::append(tx, op, happened).await?;
        Ok(id)
    }
}

async fn note_in(
    tx: &mut Tx,
    op: &OpContext,
    id: OrderId,
    note: &str,
    once: Option<&Once<'_>>,
) -> Result<OrderId, Error> {
    lock(tx, id, &["orderId"]).await?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    let event = OrderNoteEvent { order_id: id, note: note.to_owned() };
    events::append(tx, op, [Event::OrderNoteAdded(event)]).await?;
    if let Some(once) = once {
        once.keep(tx, op, &id).await?;
    }
    Ok(id)
}

/// The ledger's row of money that came by a way of its own.
pub(super) fn by_hand(op: &OpContext, order: &Order, amount: i64) -> Payment {
    let id = PaymentId::generate();
    Payment {
        id,
        order_id: order.id,
        provider: Manual::NAME.to_owned(),
        provider_event_id: format!("marked_as_paid:{}", id.uuid()),
        kind: PaymentKind::Captured,
        amount,
        reference: None,
        message: Some(format!("marked as paid by {}", op.actor.name())),
        refund_id: None,
        occurred_at: op.now(),
    }
}

/// What the log tells of it.
pub(super) fn event(payment: &Payment) -> PaymentEvent {
    PaymentEvent {
        order_id: payment.order_id,
        provider: payment.provider.clone(),
        kind: payment.kind,
        amount: payment.amount,
        message: payment.message.clone(),
        refund_id: None,
    }
}
