//! An order that is locked for a change, with what most changes depend on: its lines and its
//! ledger. Opened by the writes of `services::orders`, and when an order is settled
//! (`services::payments`). It does not decide anything: the rules are in `domain::orders`.

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::ids::OrderId;
use crate::domain::orders::{IllegalTransition, OrderSnapshot, OrderStatus, Transition};
use crate::domain::payments::DeferredCapture;
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, authorizations, ledger_totals};

/// A locked order. Change its fields, then call [`LockedOrder::store`].
pub(super) struct LockedOrder {
    pub order: Order,
    pub lines: Vec<OrderLine>,
    pub ledger: Vec<Payment>,
    /// The lines as they are in the database.
    stored_lines: Vec<OrderLine>,
}

impl LockedOrder {
    /// Locks an order until the transaction ends, and reads its lines and ledger.
    pub(super) async fn find(tx: &mut Tx, id: OrderId) -> Result<Option<Self>, DbError> {
        let Some(order) = orders::lock(tx.conn(), id).await? else { return Ok(None) };
        let lines = orders::lines(tx.conn(), &[id]).await?;
        let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
        Ok(Some(Self { order, stored_lines: lines.clone(), lines, ledger }))
    }

    /// The state that transitions depend on.
    pub(super) fn snapshot(&self) -> OrderSnapshot {
        let lines = self.lines.iter().map(OrderLine::count);
        let totals = ledger_totals(&self.ledger);
        let authorizations = authorizations(&self.ledger);
        let deferred = DeferredCapture::of(self.order.total, totals.received(), &authorizations);
        OrderSnapshot { deferred, ..OrderSnapshot::of(self.order.total, lines, totals) }
    }

    /// The status after a transition.
    pub(super) fn next_status(&self, step: Transition) -> Result<OrderStatus, IllegalTransition> {
        self.order.status.transition(step, self.snapshot())
    }

    /// The lines that were changed since they were read.
    pub(super) fn changed_lines(&self) -> Vec<&OrderLine> {
        let both = self.lines.iter().zip(&self.stored_lines);
        both.filter(|(line, stored)| line != stored).map(|(line, _)| line).collect()
    }

    /// Stores the order and the changed lines. The ledger only ever gets new entries, which callers
    /// insert themselves.
    pub(super) async fn store(&mut self, tx: &mut Tx, op: &OpContext) -> Result<(), DbError> {
        self.order.updated_at = op.now();
        orders::update(tx.conn(), &self.order).await?;
        orders::update_lines(tx.conn(), &self.changed_lines()).await
    }
}
