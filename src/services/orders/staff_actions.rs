//! Manual actions of staff: marking an order as paid, and adding notes.

use super::{Orders, check_note, lock, transition_error};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, OrderNoteEvent};
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::orders::{OrderStatus, Transition};
use crate::domain::payments::{PaymentKind, is_unpaid};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::integrations::payments::Manual;
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, authorizations, ledger_totals};
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;
use crate::services::payments::settle;

/// The argument that identifies the order.
const ID: &[&str] = &["id"];

impl Orders {
    /// Marks an order as paid by recording the missing amount as a manual payment. Also possible if
    /// the order was shipped before its payment could be captured. An expired order takes its stock
    /// and discounts again, if they are still available.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the status does not allow it; [`Error::Conflict`] when the key was
    /// used for a different request.
    pub async fn mark_as_paid(&self, op: &OpContext, id: OrderId, key: Option<&str>) -> Result<Order, Error> {
        op.authorize(Permission::WriteOrders)?;
        let call = IdempotentCall::new(key, "orderMarkAsPaid", &id)?;
        run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| self.mark_as_paid_in(tx, op, id).await)
            .await?;
        let order = self.reload(op, id).await?;
        // The buyer must not pay again. If a provider does not respond, the check of payments asks
        // it again.
        self.payments.void(op, &order).await?;
        Ok(order)
    }

    /// Adds a note for staff to an order's timeline.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown order or an empty note; [`Error::Conflict`] when the key
    /// was used for a different request.
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
        let call = IdempotentCall::new(key, "orderNoteAdd", &(id, note))?;
        run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            lock(tx, id, &["orderId"]).await?;
            let event = OrderNoteEvent { order_id: id, note: note.to_owned() };
            events::append(tx, op, [Event::OrderNoteAdded(event)]).await?;
            Ok(id)
        })
        .await?;
        self.reload(op, id).await
    }

    async fn mark_as_paid_in(&self, tx: &mut Tx, op: &OpContext, id: OrderId) -> Result<OrderId, Error> {
        let mut order = lock(tx, id, ID).await?;
        let was_expired = order.status == OrderStatus::Expired;
        let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
        let totals = ledger_totals(&ledger);
        let paid = if is_shipped_unpaid(&order, &ledger) {
            // What was shipped has been paid for, even if some of it was refunded since.
            totals.received()
        } else {
            settle::pay(op, &mut order).map_err(transition_error(ID))?;
            orders::update(tx.conn(), &order).await?;
            // What is about to be refunded, or is disputed, does not pay for the order.
            totals.refundable()
        };
        let missing = order.total.saturating_sub(paid).max(0);
        let payment = manual_payment(op, &order, missing);
        if missing > 0 {
            payments::insert(tx.conn(), &payment).await?;
        }
        let mut events = vec![Event::OrderPaid(payment.event())];
        if was_expired {
            let reserved = settle::reinstate(tx, op, &order, self.shop.low_stock).await?;
            events.extend(reserved.ok_or_else(|| {
                let message = "The order has expired, and its stock or a discount is no longer available: place a new one";
                Error::invalid(ID, UserErrorCode::InsufficientStock, message)
            })?);
        }
        events::append(tx, op, events).await?;
        orders::assign_number(tx.conn(), &mut order).await?;
        Ok(id)
    }
}

/// Whether an order was shipped before its payment was captured, and is not paid in full.
fn is_shipped_unpaid(order: &Order, ledger: &[Payment]) -> bool {
    let is_shipped = order.status.allows(Transition::CancelFulfillment);
    is_shipped && is_unpaid(order.total, ledger_totals(ledger).received(), &authorizations(ledger))
}

/// The ledger entry of a manual payment.
pub(super) fn manual_payment(op: &OpContext, order: &Order, amount: i64) -> Payment {
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
        attempt_id: None,
    }
}
