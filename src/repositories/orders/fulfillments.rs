//! Fulfillments: what was shipped of an order, when, and from where.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::fulfillments;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{FulfillmentId, OrderId};
use crate::domain::orders::fulfillments::{FulfilledLine, FulfillmentState};
use crate::domain::time::Timestamp;

/// A fulfillment as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = fulfillments, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Fulfillment {
    /// Assigned by the server.
    pub id: FulfillmentId,
    /// The order.
    pub order_id: OrderId,
    /// Whether it was shipped or canceled.
    pub status: FulfillmentState,
    /// The carrier.
    pub tracking_company: Option<String>,
    /// The carrier's tracking number.
    pub tracking_number: Option<String>,
    /// The tracking page.
    pub tracking_url: Option<String>,
    /// The shipped units.
    pub lines: Json<Vec<FulfilledLine>>,
    /// When it was shipped.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns a fulfillment.
pub async fn find(conn: &mut Conn, id: FulfillmentId) -> Result<Option<Fulfillment>, DbError> {
    on_conn!(conn, |c| {
        fulfillments::table.find(id).select(Fulfillment::as_select()).first(c).await.optional()
    })
}

/// Returns the fulfillments of these orders, each order's in the order of their creation.
pub async fn by_order_ids(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<Fulfillment>, DbError> {
    load!(
        conn,
        fulfillments::table
            .filter(in_ids(fulfillments::order_id, ids))
            .order_by((fulfillments::order_id, fulfillments::id))
            .select(Fulfillment::as_select())
    )
}

/// Inserts a fulfillment.
pub async fn insert(conn: &mut Conn, row: &Fulfillment) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(fulfillments::table).values(row).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a fulfillment.
pub async fn update(conn: &mut Conn, row: &Fulfillment) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(fulfillments::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}
