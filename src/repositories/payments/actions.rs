//! What payments wait for: one row per attempt whose provider has accepted it without completing
//! it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{orders, payment_actions, payments};
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::PaymentKind;
use crate::domain::time::Timestamp;

/// The next action of a payment, as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = payment_actions, primary_key(attempt_id), treat_none_as_default_value = false)]
pub struct PaymentAction {
    /// The attempt.
    pub attempt_id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// The provider's id of the payment.
    pub reference: String,
    /// The encrypted [`crate::domain::payments::NextAction`].
    pub sealed_action: String,
    /// When it was stored.
    pub updated_at: Timestamp,
}

/// Returns the next actions of these orders' payments, oldest first.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<PaymentAction>, DbError> {
    load!(
        conn,
        payment_actions::table
            .filter(in_ids(payment_actions::order_id, ids))
            .order_by((payment_actions::order_id, payment_actions::attempt_id))
            .select(PaymentAction::as_select())
    )
}

/// Inserts the next action of an attempt, or replaces it.
pub async fn upsert(conn: &mut Conn, row: &PaymentAction) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::insert_into(payment_actions::table)
            .values(row)
            .on_conflict(payment_actions::attempt_id)
            .do_update()
            .set(row)
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Deletes up to `limit` rows of attempts that have ended, of orders that no longer wait for a
/// payment; returns their number. The row of an attempt whose reference is not in the ledger yet
/// stays: it may be needed to void or refund the payment.
pub async fn delete_settled(conn: &mut Conn, limit: i64) -> Result<usize, DbError> {
    let end = payments::table
        .filter(payments::order_id.eq(payment_actions::order_id))
        .filter(payments::attempt_id.eq(payment_actions::attempt_id.nullable()))
        .filter(payments::reference.is_not_null())
        .filter(payments::kind.eq_any([PaymentKind::Captured, PaymentKind::Voided]));
    let ids: Vec<PaymentId> = load!(
        conn,
        payment_actions::table
            .inner_join(orders::table)
            .filter(orders::status.ne(OrderStatus::PendingPayment))
            .filter(diesel::dsl::exists(end))
            .limit(limit)
            .select(payment_actions::attempt_id)
    )?;
    on_conn!(conn, |c| {
        diesel::delete(payment_actions::table.filter(in_ids(payment_actions::attempt_id, &ids)))
            .execute(c)
            .await
    })
}
