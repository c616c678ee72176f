//! The payment ledger: rows are added, never changed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::payments;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{OrderId, PaymentId, RefundId};
use crate::domain::payment::{self, Entry, Paid, PaymentKind};
use crate::domain::time::Timestamp;

/// A row of the ledger.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, Identifiable)]
#[diesel(table_name = payments)]
pub struct Payment {
    /// Made by us.
    pub id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// The provider's name.
    pub provider: String,
    /// The provider's name for what it told us: told twice, it is kept once.
    pub provider_event_id: String,
    /// What the row says.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The provider's name for the payment.
    pub reference: Option<String>,
    /// What the provider said, for staff.
    pub message: Option<String>,
    /// The refund it is of.
    pub refund_id: Option<RefundId>,
    /// When it happened.
    pub occurred_at: Timestamp,
}

impl Payment {
    /// The row as the sums need it.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry { kind: self.kind, amount: self.amount, refund_id: self.refund_id }
    }
}

/// What rows of one order's ledger add up to.
#[must_use]
pub fn paid(ledger: &[Payment]) -> Paid {
    payment::paid(ledger.iter().map(Payment::entry))
}

/// The ledgers of these orders, each order's as it was written.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Payment>, DbError> {
    load!(
        conn,
        payments::table
            .filter(in_ids(payments::order_id, ids))
            .order_by((payments::order_id, payments::id))
            .select(Payment::as_select())
    )
}

/// Adds a row unless the provider's event is in the ledger already; whether it was added.
pub async fn insert_missing(conn: &mut Conn, row: &Payment) -> Result<bool, DbError> {
    let added = on_conn!(conn, |c| {
        diesel::insert_into(payments::table).values(row).on_conflict_do_nothing().execute(c).await
    })?;
    Ok(added > 0)
}

/// Adds a row whose event can't be in the ledger yet: it is our own.
pub async fn insert(conn: &mut Conn, row: &Payment) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(payments::table).values(row).execute(c).await)?;
    Ok(())
}

/// Refunds that a provider was asked for before a moment, and that it has neither made nor refused, oldest first.
pub async fn open_refunds(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<Vec<Payment>, DbError> {
    let answers = diesel::alias!(payments as answers);
    let answered = answers
        .filter(answers.field(payments::order_id).eq(payments::order_id))
        .filter(answers.field(payments::provider).eq(payments::provider))
        .filter(answers.field(payments::refund_id).eq(payments::refund_id))
        .filter(
            answers
                .field(payments::kind)
                .eq(PaymentKind::Refunded)
                .or(answers.field(payments::kind).eq(PaymentKind::RefundFailed)),
        );
    load!(
        conn,
        payments::table
            .filter(payments::kind.eq(PaymentKind::RefundRequested))
            .filter(payments::occurred_at.lt(before))
            .filter(diesel::dsl::not(diesel::dsl::exists(answered)))
            .order_by(payments::id)
            .limit(limit)
            .select(Payment::as_select())
    )
}
