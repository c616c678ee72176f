//! Orders that are not charged when they are placed: the caller that they count towards, and the
//! stock that guests hold with them. A row counts as long as its order is pending; rows of other
//! orders are cleaned up later.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids};
use crate::db::schema::{orders, unpaid_order_stock, unpaid_orders};
use crate::db::types::sql::Int8;
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::ids::{OrderId, VariantId};
use crate::domain::orders::OrderStatus;

/// A pending order as stored.
#[derive(Clone, PartialEq, Debug, Insertable)]
#[diesel(table_name = unpaid_orders, treat_none_as_default_value = false)]
pub struct UnpaidOrder {
    /// The order.
    pub order_id: OrderId,
    /// The caller that it counts towards.
    pub caller: String,
}

/// Stock held by a guest's pending order, as stored.
#[derive(Clone, PartialEq, Debug, Insertable)]
#[diesel(table_name = unpaid_order_stock, treat_none_as_default_value = false)]
pub struct HeldStock {
    /// The order.
    pub order_id: OrderId,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units, above zero.
    pub quantity: i64,
}

/// Serializes counting and inserting orders of one caller until the transaction ends. A no-op on
/// SQLite, which has a single writer.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite has one writer"))]
pub async fn lock_caller(conn: &mut Conn, caller: &str) -> Result<(), DbError> {
    per_backend!(conn,
        postgres: |c| {
            diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('unpaid ' || $1, 0))")
                .bind::<diesel::sql_types::Text, _>(caller)
                .keep_prepared()
                .execute(c)
                .await
        }.map(drop),
        sqlite: |_c| Ok::<_, diesel::result::Error>(()),
    )
}

/// Counts the pending orders of a caller.
pub async fn count(conn: &mut Conn, caller: &str) -> Result<i64, DbError> {
    on_conn!(conn, |c| {
        unpaid_orders::table
            .inner_join(orders::table)
            .filter(unpaid_orders::caller.eq(caller))
            .filter(orders::status.eq(OrderStatus::PendingPayment))
            .count()
            .get_result(c)
            .await
    })
}

/// Returns the units of these variants held by pending orders of guests; variants without any are
/// left out.
pub async fn held_stock(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<(VariantId, i64)>, DbError> {
    load!(
        conn,
        unpaid_order_stock::table
            .inner_join(orders::table)
            .filter(in_ids(unpaid_order_stock::variant_id, ids))
            .filter(orders::status.eq(OrderStatus::PendingPayment))
            .group_by(unpaid_order_stock::variant_id)
            // PostgreSQL's sum of bigints is numeric.
            .select((unpaid_order_stock::variant_id, sql::<Int8>("CAST(sum(quantity) AS bigint)")))
            .keep_prepared()
    )
}

/// Inserts a pending order, and the stock it holds if it is a guest's. Call it in a transaction.
pub async fn insert(conn: &mut Conn, order: &UnpaidOrder, stock: Vec<HeldStock>) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(unpaid_orders::table).values(order).execute(c).await)?;
    insert_all!(conn, unpaid_order_stock::table, stock)?;
    Ok(())
}

/// Deletes the rows of an order.
pub async fn delete(conn: &mut Conn, id: OrderId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(unpaid_order_stock::table.filter(unpaid_order_stock::order_id.eq(id))).execute(c).await
    })?;
    on_conn!(conn, |c| {
        diesel::delete(unpaid_orders::table.filter(unpaid_orders::order_id.eq(id))).execute(c).await
    })?;
    Ok(())
}

/// Deletes the rows of up to `limit` orders that are no longer pending; returns the number of
/// orders.
pub async fn delete_settled(conn: &mut Conn, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<OrderId> = load!(
        conn,
        unpaid_orders::table
            .inner_join(orders::table)
            .filter(orders::status.ne(OrderStatus::PendingPayment))
            .limit(limit)
            .select(unpaid_orders::order_id)
    )?;
    on_conn!(conn, |c| {
        diesel::delete(unpaid_order_stock::table.filter(in_ids(unpaid_order_stock::order_id, &ids)))
            .execute(c)
            .await
    })?;
    on_conn!(conn, |c| {
        diesel::delete(unpaid_orders::table.filter(in_ids(unpaid_orders::order_id, &ids))).execute(c).await
    })
}
