//! What is left to do outside of the shop when whoever cancelled an order or made a refund died before it was done: the provider is
//! asked after all. Called by the listener of their events. A provider that was asked already is asked for the same once more, which
//! comes to the same.

use super::Orders;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::event::{Event, OrderMailFailedEvent};
use crate::domain::fulfillment::RefundState;
use crate::domain::ids::{OrderId, RefundId};
use crate::domain::order::OrderStatus;
use crate::domain::payment::PaymentKind;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::events;
use crate::repositories::orders;
use crate::repositories::payments::{self, Payment};
use crate::repositories::refunds;

impl Orders {
    /// Whether it is not known yet what became of a refund.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn is_refund_open(
        &self,
        op: &OpContext,
        order: OrderId,
        refund: RefundId,
    ) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut conn = self.db.read(&op.statements).await?;
        let known = refunds::by_order_ids(&mut conn, &[order]).await?;
        let ledger = payments::by_order_ids(&mut conn, &[order]).await?;
        let refund = known.iter().find(|row| row.id == refund);
        Ok(refund.is_some_and(|refund| refund.state(&ledger) == RefundState::Pending))
    }

    /// Asks for the money of a refund, as whoever made it would have done next.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn ask_refund(&self, op: &OpContext, order: OrderId, refund: RefundId) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        let order = self.reload(op, order).await?;
        self.give_back(op, &order, refund).await
    }

    /// Notes on an order's timeline that a mail to its buyer could not be sent.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn note_unsent_mail(
        &self,
        op: &OpContext,
        order_id: OrderId,
        mail: &str,
        reason: &str,
    ) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        let event = OrderMailFailedEvent { order_id, mail: mail.to_owned(), reason: reason.to_owned() };
        in_tx!(self, op, |tx| append(tx, op, Event::OrderMailFailed(event.clone())))
    }

    /// Whether an order is cancelled and a payment of it has not ended.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn is_payment_open(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut conn = self.db.read(&op.statements).await?;
        let order = orders::find(&mut conn, id).await?;
        let is_cancelled = order.is_some_and(|order| order.status == OrderStatus::Cancelled);
        Ok(is_cancelled && is_open(&payments::by_order_ids(&mut conn, &[id]).await?))
    }

    /// Lets the payment of a cancelled order go, as whoever cancelled it would have done next; whether its providers answered.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn let_payment_go(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let order = self.reload(op, id).await?;
        self.payments.void(op, &order).await
    }
}

async fn append(tx: &mut Tx, op: &OpContext, event: Event) -> Result<(), Error> {
    Ok(events::append(tx, op, [event]).await?)
}

/// Whether a provider was asked for money and has neither taken it nor let it go.
fn is_open(ledger: &[Payment]) -> bool {
    let has_ended = |asked: &Payment| {
        let ends = [PaymentKind::Captured, PaymentKind::Declined, PaymentKind::Voided];
        ledger.iter().any(|row| row.provider == asked.provider && ends.contains(&row.kind))
    };
    ledger.iter().any(|row| row.kind == PaymentKind::Requested && !has_ended(row))
}
