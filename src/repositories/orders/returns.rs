//! Returns: units that buyers send back.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::returns;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{OrderId, ReturnId};
use crate::domain::orders::fulfillments::{ReturnStatus, ReturnedLine};
use crate::domain::time::Timestamp;

/// A return as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = returns, treat_none_as_default_value = false)]
pub struct Return {
    /// Assigned by the server.
    pub id: ReturnId,
    /// The order.
    pub order_id: OrderId,
    /// Whether it is open or received.
    pub status: ReturnStatus,
    /// The buyer's reason.
    pub reason: String,
    /// The returned units.
    pub lines: Json<Vec<ReturnedLine>>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns a return.
pub async fn find(conn: &mut Conn, id: ReturnId) -> Result<Option<Return>, DbError> {
    on_conn!(conn, |c| returns::table.find(id).select(Return::as_select()).first(c).await.optional())
}

/// Returns the returns of these orders, each order's in the order of their creation.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Return>, DbError> {
    load!(
        conn,
        returns::table
            .filter(in_ids(returns::order_id, ids))
            .order_by((returns::order_id, returns::id))
            .select(Return::as_select())
    )
}

/// Inserts a return.
pub async fn insert(conn: &mut Conn, row: &Return) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(returns::table).values(row).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a return.
pub async fn update(conn: &mut Conn, row: &Return) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(returns::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}
