//! Refunds: what is to go back of an order's money, and for what. Whether it went back, the payment ledger says.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::refunds;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::fulfillment::{RefundState, RefundedLine};
use crate::domain::ids::{OrderId, RefundId};
use crate::domain::time::Timestamp;
use crate::repositories::payments::{Payment, paid};

/// A refund as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, Identifiable)]
#[diesel(table_name = refunds)]
pub struct Refund {
    /// Made by us.
    pub id: RefundId,
    /// The order.
    pub order_id: OrderId,
    /// Minor units, of lines and delivery together.
    pub amount: i64,
    /// Why, for staff.
    pub note: String,
    /// The pieces it is for.
    pub lines: Json<Vec<RefundedLine>>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What of it is for delivery, with the taxes on that.
    pub delivery: i64,
    /// The taxes in `delivery`.
    pub delivery_tax: i64,
}

impl Refund {
    /// What of it is for delivery with the taxes on that, or for nothing in particular.
    #[must_use]
    pub fn shipping_amount(&self) -> i64 {
        self.amount.saturating_sub(self.lines.0.iter().map(|line| line.amount).sum())
    }

    /// What the ledger of its order says of it.
    #[must_use]
    pub fn state(&self, ledger: &[Payment]) -> RefundState {
        RefundState::of(self.id, self.amount, ledger.iter().map(Payment::entry))
    }
}

/// What of an order's money can still go back, by its ledger and its refunds: one that has not reached the ledger yet counts as
/// given.
#[must_use]
pub fn refundable(ledger: &[Payment], refunds: &[Refund]) -> i64 {
    let is_new = |refund: &&Refund| ledger.iter().all(|row| row.refund_id != Some(refund.id));
    let waiting: i64 = refunds.iter().filter(is_new).map(|refund| refund.amount).sum();
    paid(ledger).refundable().saturating_sub(waiting).max(0)
}

/// The refunds of these orders, each order's as they were made.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Refund>, DbError> {
    load!(
        conn,
        refunds::table
            .filter(in_ids(refunds::order_id, ids))
            .order_by((refunds::order_id, refunds::id))
            .select(Refund::as_select())
    )
}

/// Adds a refund.
pub async fn insert(conn: &mut Conn, row: &Refund) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(refunds::table).values(row).execute(c).await)?;
    Ok(())
}
