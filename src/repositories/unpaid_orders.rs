//! Orders that wait for a payment nobody is asked for at once: for whom they count, and the stock that guests hold by them. A row
//! counts as long as its order waits; what is left of others is removed by the clean-up.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{orders, unpaid_order_stock, unpaid_orders};
use crate::db::types::sql::Int8;
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::ids::{OrderId, VariantId};
use crate::domain::order::OrderStatus;

/// An order that waits, as it is stored.
#[derive(Clone, PartialEq, Debug, Insertable)]
#[diesel(table_name = unpaid_orders)]
pub struct UnpaidOrder {
    /// The order.
    pub order_id: OrderId,
    /// For whom it counts.
    pub caller: String,
}

/// Stock that a guest's order holds, as it is stored.
#[derive(Clone, PartialEq, Debug, Insertable)]
#[diesel(table_name = unpaid_order_stock)]
pub struct HeldStock {
    /// The order.
    pub order_id: OrderId,
    /// Of which variant.
    pub variant_id: VariantId,
    /// Units, above zero.
    pub quantity: i64,
}

/// Lets one order of a caller at a time be counted and added, until the transaction ends. SQLite has one writer anyway.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite has one writer"))]
pub async fn lock_caller(conn: &mut Conn, caller: &str) -> Result<(), DbError> {
    on_each!(conn,
        postgres: |c| {
            diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('unpaid ' || $1, 0))")
                .bind::<diesel::sql_types::Text, _>(caller)
                .execute(c)
                .await
        }.map(drop),
        sqlite: |_c| Ok::<_, diesel::result::Error>(()),
    )
}

/// How many orders of a caller wait.
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

/// Units of these variants that orders of guests hold; a variant of which none are held is left out.
pub async fn held_stock(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<(VariantId, i64)>, DbError> {
    load!(
        conn,
        unpaid_order_stock::table
            .inner_join(orders::table)
            .filter(in_ids(unpaid_order_stock::variant_id, ids))
            .filter(orders::status.eq(OrderStatus::PendingPayment))
            .group_by(unpaid_order_stock::variant_id)
            // PostgreSQL's sum of large integers is no integer.
            .select((unpaid_order_stock::variant_id, sql::<Int8>("CAST(sum(quantity) AS bigint)")))
    )
}

/// Adds an order that waits, with the stock that it holds if it is a guest's. In a transaction.
pub async fn insert(conn: &mut Conn, order: &UnpaidOrder, stock: Vec<HeldStock>) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(unpaid_orders::table).values(order).execute(c).await)?;
    insert_all!(conn, unpaid_order_stock::table, stock)?;
    Ok(())
}

/// Removes what was noted of up to `limit` orders that wait no longer; of how many.
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
