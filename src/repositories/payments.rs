//! The payment ledger: append-only.

pub mod actions;
pub mod credit;
pub mod customers;
pub mod saved_methods;

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{orders, payments};
use crate::db::types::sql;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::events::PaymentEvent;
use crate::domain::ids::{Id, OrderId, PaymentId, RefundId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::credit::CreditKind;
use crate::domain::payments::{self as ledger, Authorization, LedgerEntry, LedgerTotals, PaymentKind};
use crate::domain::time::Timestamp;

/// Prefix of the ids of entries by which credit is given back because an order is not completed.
pub const RELEASED_PREFIX: &str = "released:";

/// An entry of the ledger.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, Identifiable)]
#[diesel(table_name = payments, treat_none_as_default_value = false)]
pub struct Payment {
    /// Assigned by the server.
    pub id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the event, so that a repeated event is stored once.
    pub provider_event_id: String,
    /// The kind of entry.
    pub kind: PaymentKind,
    /// Minor units.
    pub amount: i64,
    /// The provider's id of the payment.
    pub reference: Option<String>,
    /// The provider's message, for staff.
    pub message: Option<String>,
    /// The refund that it belongs to, if any.
    pub refund_id: Option<RefundId>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The attempt that it belongs to: the id of its `requested` entry. `None` for payments that
    /// the shop has not asked for.
    pub attempt_id: Option<PaymentId>,
}

impl Payment {
    /// The part of the entry that totals are computed from.
    #[must_use]
    pub fn entry(&self) -> LedgerEntry {
        LedgerEntry {
            kind: self.kind,
            amount: self.amount,
            refund_id: self.refund_id,
            attempt_id: self.attempt_id,
            is_credit: CreditKind::of_provider(&self.provider).is_some(),
            is_release: self.is_release(),
        }
    }

    /// Whether the entry gives credit back because the order was not completed.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.provider_event_id.starts_with(RELEASED_PREFIX)
    }

    /// The payment that the entry is about: its attempt, or itself if the shop has not asked for
    /// it.
    #[must_use]
    pub fn attempt(&self) -> PaymentId {
        self.attempt_id.unwrap_or(self.id)
    }

    /// Whether the entry is about an attempt. Some providers' events don't name theirs.
    #[must_use]
    pub fn is_about(&self, attempt: &Self) -> bool {
        match self.attempt_id {
            Some(id) => id == attempt.attempt(),
            None => self.provider == attempt.provider,
        }
    }

    /// The content of the event that reports the entry.
    #[must_use]
    pub fn event(&self) -> PaymentEvent {
        PaymentEvent {
            order_id: self.order_id,
            provider: self.provider.clone(),
            kind: self.kind,
            amount: self.amount,
            message: self.message.clone(),
            refund_id: self.refund_id,
        }
    }
}

/// Sums up the ledger of one order.
#[must_use]
pub fn ledger_totals(ledger: &[Payment]) -> LedgerTotals {
    ledger::ledger_totals(ledger.iter().map(Payment::entry))
}

/// The authorized payments in the ledger of one order.
#[must_use]
pub fn authorizations(ledger: &[Payment]) -> Vec<Authorization> {
    ledger::authorizations(ledger.iter().map(Payment::entry))
}

/// Returns the ledgers of these orders, each order's in order.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Payment>, DbError> {
    load!(
        conn,
        payments::table
            .filter(in_ids(payments::order_id, ids))
            .order_by((payments::order_id, payments::id))
            .select(Payment::as_select())
    )
}

/// Inserts an entry unless the provider's event is in the ledger already; returns whether it was
/// inserted.
pub async fn insert_missing(conn: &mut Conn, row: &Payment) -> Result<bool, DbError> {
    let added = on_conn!(conn, |c| {
        diesel::insert_into(payments::table).values(row).on_conflict_do_nothing().execute(c).await
    })?;
    Ok(added > 0)
}

/// Inserts an entry for an event of our own, which can't be in the ledger yet.
pub async fn insert(conn: &mut Conn, row: &Payment) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(payments::table).values(row).execute(c).await)?;
    Ok(())
}

/// A kind as a literal in the statement: a plan made before the parameters are known could not use
/// the partial indexes on kinds.
fn literal(kind: PaymentKind) -> SqlLiteral<sql::Text> {
    diesel::dsl::sql(&format!("'{}'", kind.as_str()))
}

/// Returns the refunds that were requested before `before` and of which a part has neither
/// succeeded nor failed, oldest first, starting after the entry `after` if it is given.
pub async fn open_refunds(
    conn: &mut Conn,
    before: Timestamp,
    after: Option<PaymentId>,
    limit: i64,
) -> Result<Vec<Payment>, DbError> {
    const IS_OPEN: &str = "payments.amount > coalesce((SELECT sum(answers.amount)
        FROM payments answers
        WHERE answers.order_id = payments.order_id AND answers.provider = payments.provider
            AND answers.refund_id = payments.refund_id
            AND (answers.attempt_id = payments.attempt_id OR answers.attempt_id IS NULL
                OR payments.attempt_id IS NULL)
            AND answers.kind IN ('refunded', 'refund_failed')), 0)";
    let after = after.unwrap_or(PaymentId::from_uuid(uuid::Uuid::nil()));
    load!(
        conn,
        payments::table
            .filter(payments::id.gt(after))
            .filter(payments::kind.eq(literal(PaymentKind::RefundRequested)))
            .filter(payments::occurred_at.lt(before))
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(IS_OPEN))
            .order_by(payments::id)
            .limit(limit)
            .select(Payment::as_select())
    )
}

/// Returns a provider's authorizations that were made by `before` and were neither voided nor fully
/// captured, oldest first, starting after the entry `after`.
pub async fn open_authorizations(
    conn: &mut Conn,
    provider: &'static str,
    after: PaymentId,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Payment>, DbError> {
    let ends = diesel::alias!(payments as ends);
    let end = ends
        .filter(ends.field(payments::order_id).eq(payments::order_id))
        .filter(ends.field(payments::attempt_id).eq(payments::attempt_id))
        .filter(
            ends.field(payments::kind).eq(PaymentKind::Voided).or(ends
                .field(payments::kind)
                .eq(PaymentKind::Captured)
                .and(ends.field(payments::amount).ge(payments::amount))),
        );
    load!(
        conn,
        payments::table
            .filter(payments::id.gt(after))
            .filter(payments::kind.eq(literal(PaymentKind::Authorized)))
            .filter(payments::provider.eq(provider))
            .filter(payments::attempt_id.is_not_null())
            .filter(payments::occurred_at.le(before))
            .filter(diesel::dsl::not(diesel::dsl::exists(end)))
            .order_by(payments::id)
            .limit(limit)
            .select(Payment::as_select())
    )
}

/// Returns orders with captures that were requested between `since` and `before` and have no
/// result, in the order of their ids, starting after the order `after` if it is given.
pub async fn open_captures(
    conn: &mut Conn,
    since: Timestamp,
    before: Timestamp,
    after: Option<OrderId>,
    limit: i64,
) -> Result<Vec<OrderId>, DbError> {
    // More was requested of the payment since then than has a result.
    const IS_OPEN: &str = "(SELECT sum(CASE WHEN results.kind = 'capture_requested'
            THEN results.amount ELSE -results.amount END)
        FROM payments results
        WHERE results.order_id = payments.order_id AND results.attempt_id = payments.attempt_id
            AND results.id >= payments.id
            AND results.kind IN ('capture_requested', 'captured', 'capture_failed', 'voided')) > 0";
    let after = after.unwrap_or(OrderId::from_uuid(uuid::Uuid::nil()));
    load!(
        conn,
        payments::table
            .filter(payments::id.gt(PaymentId::first_at(since)))
            .filter(payments::occurred_at.lt(before))
            .filter(payments::kind.eq(literal(PaymentKind::CaptureRequested)))
            .filter(payments::order_id.gt(after))
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(IS_OPEN))
            .order_by(payments::order_id)
            .limit(limit)
            .select(payments::order_id)
            .distinct()
    )
}

/// Returns payments that were requested from these providers before `before` and neither captured
/// nor voided, although their orders no longer wait for a payment: oldest first, starting after the
/// entry `after`, each with its order.
pub async fn open_requests_of_settled(
    conn: &mut Conn,
    after: PaymentId,
    before: Timestamp,
    providers: &[&'static str],
    limit: i64,
) -> Result<Vec<(PaymentId, OrderId)>, DbError> {
    let ends = diesel::alias!(payments as ends);
    let end = ends.filter(ends.field(payments::order_id).eq(payments::order_id)).filter(
        ends.field(payments::kind)
            .eq_any([PaymentKind::Captured, PaymentKind::Voided])
            .and(ends.field(payments::attempt_id).eq(payments::attempt_id)),
    );
    load!(
        conn,
        payments::table
            .inner_join(orders::table)
            // Ids are in order of time, which makes it a range of the primary key.
            .filter(payments::id.gt(after))
            .filter(payments::kind.eq(PaymentKind::Requested))
            .filter(payments::occurred_at.lt(before))
            .filter(payments::provider.eq_any(providers.to_vec()))
            .filter(orders::status.ne(OrderStatus::PendingPayment))
            .filter(diesel::dsl::not(diesel::dsl::exists(end)))
            .order_by(payments::id)
            .limit(limit)
            .select((payments::id, payments::order_id))
    )
}
