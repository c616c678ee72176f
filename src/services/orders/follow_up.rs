//! Finishes cancellations and refunds that were interrupted after their transaction, by calling the
//! payment provider again. Called by the listener of their events. Providers handle repeated
//! requests idempotently.

use super::Orders;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, OrderMailFailedEvent};
use crate::domain::ids::{OrderId, RefundId};
use crate::domain::orders::OrderStatus;
use crate::domain::orders::fulfillments::RefundState;
use crate::error::Error;
use crate::events;
use crate::repositories::orders::{self, refunds};
use crate::repositories::payments;

impl Orders {
    /// Whether the result of a refund is still unknown.
    ///
    /// # Errors
    /// Database errors.
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

    /// Pays out a refund that was interrupted.
    ///
    /// # Errors
    /// Database errors.
    pub async fn retry_refund(&self, op: &OpContext, order: OrderId, refund: RefundId) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        let order = self.reload(op, order).await?;
        self.execute_refund(op, &order, refund).await
    }

    /// Adds an entry to an order's timeline: a mail to its buyer could not be sent.
    ///
    /// # Errors
    /// Database errors.
    pub async fn record_unsent_mail(
        &self,
        op: &OpContext,
        order_id: OrderId,
        mail: &str,
        reason: &str,
    ) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        let event = OrderMailFailedEvent { order_id, mail: mail.to_owned(), reason: reason.to_owned() };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                Ok(events::append(tx, op, [Event::OrderMailFailed(event.clone())]).await?)
            })
            .await
    }

    /// Whether the order is cancelled but has a payment in progress.
    ///
    /// # Errors
    /// Database errors.
    pub async fn is_payment_open(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        match order.filter(|order| order.status == OrderStatus::Cancelled) {
            Some(order) => self.payments.has_open_attempt(op, &order).await,
            None => Ok(false),
        }
    }

    /// Voids the payment of a cancelled order; returns whether all providers responded.
    ///
    /// # Errors
    /// Database errors.
    pub async fn void_payment(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let order = self.reload(op, id).await?;
        self.payments.void(op, &order).await
    }
}
