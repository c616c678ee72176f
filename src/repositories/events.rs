//! The event log's rows: written in the transaction of their cause, read by whoever follows the shop.

use diesel::prelude::*;

use crate::db::expr::in_ids;
use crate::db::schema::events;
use crate::db::types::{AnyId, Json};
use crate::db::{Conn, DbError, insert_all, load};
use crate::domain::ids::{EventId, Id};
use crate::domain::time::Timestamp;

/// An event as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = events)]
pub struct EventRow {
    /// Made by us.
    pub id: EventId,
    /// What happened: `product.created`.
    pub kind: String,
    /// The version of the payload's shape.
    pub version: i32,
    /// The type of what it happened to: `Product`.
    pub aggregate_type: String,
    /// The id of what it happened to.
    pub aggregate_id: AnyId,
    /// The particulars.
    pub payload: Json<serde_json::Value>,
    /// Who caused it.
    pub actor: String,
    /// The request that caused it.
    pub request_id: String,
    /// When.
    pub occurred_at: Timestamp,
}

/// Adds events. In the transaction of their cause.
pub async fn insert(conn: &mut Conn, rows: Vec<EventRow>) -> Result<(), DbError> {
    insert_all!(conn, events::table, rows)?;
    Ok(())
}

/// The newest events, newest first.
pub async fn latest(conn: &mut Conn, limit: i64) -> Result<Vec<EventRow>, DbError> {
    load!(conn, events::table.order_by(events::id.desc()).limit(limit).select(EventRow::as_select()))
}

/// The histories of these things of one type, each thing's as it happened.
pub async fn of_aggregates<I: Id>(conn: &mut Conn, ids: &[I]) -> Result<Vec<EventRow>, DbError> {
    load!(
        conn,
        events::table
            .filter(events::aggregate_type.eq(I::TYPE))
            .filter(in_ids(events::aggregate_id, ids))
            .order_by((events::aggregate_id, events::id))
            .select(EventRow::as_select())
    )
}
