//! Refunds: how much of an order's money is to be refunded, and for what. Whether a refund
//! succeeded is recorded in the payment ledger.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::refunds;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{OrderId, RefundId};
use crate::domain::orders::fulfillments::{RefundState, RefundedLine};
use crate::domain::payments::ledger_totals as sum_up;
use crate::domain::time::Timestamp;
use crate::repositories::payments::{Payment, ledger_totals};

/// A refund as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, Identifiable)]
#[diesel(table_name = refunds, treat_none_as_default_value = false)]
pub struct Refund {
    /// Assigned by the server.
    pub id: RefundId,
    /// The order.
    pub order_id: OrderId,
    /// Total in minor units, lines and delivery together.
    pub amount: i64,
    /// The reason, for staff.
    pub note: String,
    /// The refunded units.
    pub lines: Json<Vec<RefundedLine>>,
    /// When it was requested.
    pub created_at: Timestamp,
    /// The part for delivery, including taxes.
    pub delivery: i64,
    /// The taxes in `delivery`.
    pub delivery_tax: i64,
}

impl Refund {
    /// The part that is not for lines: for delivery, including taxes, or as goodwill.
    #[must_use]
    pub fn shipping_amount(&self) -> i64 {
        self.amount.saturating_sub(self.lines.0.iter().map(|line| line.amount).sum())
    }

    /// The refund's status according to its order's ledger.
    #[must_use]
    pub fn state(&self, ledger: &[Payment]) -> RefundState {
        RefundState::from_ledger(self.id, self.amount, ledger.iter().map(Payment::entry))
    }

    /// What of it was not refused, according to its order's ledger: it was paid back, or may still
    /// be. All of it before it is requested.
    #[must_use]
    pub fn paid_or_pending(&self, ledger: &[Payment]) -> i64 {
        let mut own = ledger.iter().filter(|row| row.refund_id == Some(self.id)).peekable();
        if own.peek().is_none() {
            return self.amount;
        }
        let totals = sum_up(own.map(Payment::entry));
        totals.refunded.saturating_add(totals.refunding)
    }

    /// What counts as refunded of one of its amounts, such as that of a line. If it failed but some
    /// of it was paid nevertheless, each amount counts in proportion to that. Rounded up, so that
    /// together they are never less than what was paid.
    #[must_use]
    pub fn standing_part(&self, part: i64, ledger: &[Payment]) -> i64 {
        if self.state(ledger) != RefundState::Failure || self.amount <= 0 {
            return part;
        }
        let (paid, total) = (i128::from(self.paid_or_pending(ledger)), i128::from(self.amount));
        let share = (i128::from(part) * paid + total - 1) / total;
        i64::try_from(share).unwrap_or(part).min(part)
    }
}

/// The amount of an order that can still be refunded according to its ledger and its refunds. A
/// refund that is not in the ledger yet counts as refunded.
#[must_use]
pub fn refundable(ledger: &[Payment], refunds: &[Refund]) -> i64 {
    let is_new = |refund: &&Refund| ledger.iter().all(|row| row.refund_id != Some(refund.id));
    let waiting: i64 = refunds.iter().filter(is_new).map(|refund| refund.amount).sum();
    ledger_totals(ledger).refundable().saturating_sub(waiting).max(0)
}

/// Returns the refunds of these orders, each order's in the order of their creation.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Refund>, DbError> {
    load!(
        conn,
        refunds::table
            .filter(in_ids(refunds::order_id, ids))
            .order_by((refunds::order_id, refunds::id))
            .select(Refund::as_select())
    )
}

/// Inserts a refund.
pub async fn insert(conn: &mut Conn, row: &Refund) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(refunds::table).values(row).execute(c).await)?;
    Ok(())
}
