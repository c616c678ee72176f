//! An order as its buyer sees it: with its lines, its payment and its shipments.

use super::Orders;
use crate::context::OpContext;
use crate::domain::ids::OrderId;
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{LedgerTotals, ledger_totals as sum_up};
use crate::error::Error;
use crate::repositories::orders::fulfillments::{self, Fulfillment};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, actions, ledger_totals};
use crate::services::payments::{OrderPayment, credit};

/// An order and what belongs to it.
#[derive(Clone, Debug)]
pub struct OrderView {
    /// The order.
    pub order: Order,
    /// Its lines, in order.
    pub lines: Vec<OrderLine>,
    /// Its ledger, oldest first.
    pub ledger: Vec<Payment>,
    /// Its payment.
    pub payment: OrderPayment,
    /// Its fulfillments, oldest first.
    pub fulfillments: Vec<Fulfillment>,
}

impl OrderView {
    /// The totals of its ledger.
    #[must_use]
    pub fn paid(&self) -> LedgerTotals {
        ledger_totals(&self.ledger)
    }

    /// What gift cards and store credit have paid, and will pay if the order is paid in another
    /// way, in minor units.
    #[must_use]
    pub fn credit(&self) -> i64 {
        let by_credit = self.ledger.iter().filter(|row| credit::is_of_credit(row));
        sum_up(by_credit.map(Payment::entry)).refundable().saturating_add(self.credit_to_take())
    }

    /// What is left to pay, in minor units.
    #[must_use]
    pub fn due(&self) -> i64 {
        let paid = self.paid().refundable().saturating_add(self.credit_to_take());
        self.order.total.saturating_sub(paid).max(0)
    }

    /// What gift cards and store credit got back when the order expired.
    fn credit_to_take(&self) -> i64 {
        if self.order.status == OrderStatus::Expired { credit::released_total(&self.ledger) } else { 0 }
    }
}

impl Orders {
    /// The order with this id, if the token is correct.
    ///
    /// # Errors
    /// Database errors.
    pub async fn view_by_token(
        &self,
        op: &OpContext,
        id: OrderId,
        token: &str,
    ) -> Result<Option<OrderView>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let order = orders::find(&mut conn, id).await?;
        let Some(order) = order.filter(|order| self.keys.may_open_order(order, token)) else {
            return Ok(None);
        };
        let lines = orders::lines(&mut conn, &[id]).await?;
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        let actions = actions::by_order_ids(&mut conn, &[id]).await?;
        let fulfillments = fulfillments::by_order_ids(&mut conn, &[id]).await?;
        let payment = self.payments.payment_of(&order, &ledger, actions);
        Ok(Some(OrderView { order, lines, ledger, payment, fulfillments }))
    }
}
