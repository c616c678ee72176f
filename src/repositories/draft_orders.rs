//! Draft orders: what staff put together before it is an order.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::draft_orders;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, on_each};
use crate::domain::draft::Draft;
use crate::domain::ids::{DraftOrderId, Id, OrderId};
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::time::Timestamp;

/// A draft as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = draft_orders, treat_none_as_null = true)]
pub struct DraftOrder {
    /// Made by us.
    pub id: DraftOrderId,
    /// What staff put together.
    pub draft: Json<Draft>,
    /// The order that came of it.
    pub order_id: Option<OrderId>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One draft.
pub async fn find(conn: &mut Conn, id: DraftOrderId) -> Result<Option<DraftOrder>, DbError> {
    on_conn!(conn, |c| {
        draft_orders::table.find(id).select(DraftOrder::as_select()).first(c).await.optional()
    })
}

/// One draft, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: DraftOrderId) -> Result<Option<DraftOrder>, DbError> {
    on_each!(conn,
        postgres: |c| {
            draft_orders::table.find(id).select(DraftOrder::as_select()).for_update().first(c).await.optional()
        },
        sqlite: |c| draft_orders::table.find(id).select(DraftOrder::as_select()).first(c).await.optional(),
    )
}

/// A page of drafts, in the order they were begun.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<DraftOrder>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| DraftOrderId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = draft_orders::table.into_boxed();
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(draft_orders::id.gt(id)),
            (Direction::Backward, Some(id)) => query.filter(draft_orders::id.lt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(draft_orders::id.asc()),
            Direction::Backward => query.order_by(draft_orders::id.desc()),
        };
        query.limit(request.rows()).select(DraftOrder::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// How many drafts there are.
pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
    let counted: Vec<i64> = load!(conn, draft_orders::table.select(count_star()))?;
    Ok(counted.into_iter().sum())
}

/// Adds a draft.
pub async fn insert(conn: &mut Conn, row: &DraftOrder) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(draft_orders::table).values(row).execute(c).await)?;
    Ok(())
}

/// Stores a draft's fields, all of them.
pub async fn update(conn: &mut Conn, row: &DraftOrder) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(draft_orders::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}

/// Deletes a draft.
pub async fn delete(conn: &mut Conn, id: DraftOrderId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(draft_orders::table.find(id)).execute(c).await)?;
    Ok(())
}
