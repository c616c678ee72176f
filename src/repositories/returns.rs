//! Returns: pieces that a buyer sends back.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::returns;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::fulfillment::{ReturnStatus, ReturnedLine};
use crate::domain::ids::{OrderId, ReturnId};
use crate::domain::time::Timestamp;

/// A return as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = returns)]
pub struct Return {
    /// Made by us.
    pub id: ReturnId,
    /// The order.
    pub order_id: OrderId,
    /// Whether it is on its way, or received.
    pub status: ReturnStatus,
    /// Why the buyer sends it back.
    pub reason: String,
    /// What comes back.
    pub lines: Json<Vec<ReturnedLine>>,
    /// When it was agreed on.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One return.
pub async fn find(conn: &mut Conn, id: ReturnId) -> Result<Option<Return>, DbError> {
    on_conn!(conn, |c| returns::table.find(id).select(Return::as_select()).first(c).await.optional())
}

/// The returns of these orders, each order's as they were made.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Return>, DbError> {
    load!(
        conn,
        returns::table
            .filter(in_ids(returns::order_id, ids))
            .order_by((returns::order_id, returns::id))
            .select(Return::as_select())
    )
}

/// Adds a return.
pub async fn insert(conn: &mut Conn, row: &Return) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(returns::table).values(row).execute(c).await)?;
    Ok(())
}

/// Stores a return's fields, all of them.
pub async fn update(conn: &mut Conn, row: &Return) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(returns::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}
