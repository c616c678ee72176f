//! Draft orders created by staff.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::draft_orders;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::ids::{DraftOrderId, OrderId};
use crate::domain::orders::drafts::Draft;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A draft as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = draft_orders, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct DraftOrder {
    /// Assigned by the server.
    pub id: DraftOrderId,
    /// The contents.
    pub draft: Json<Draft>,
    /// The order created from it.
    pub order_id: Option<OrderId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns a draft.
pub async fn find(conn: &mut Conn, id: DraftOrderId) -> Result<Option<DraftOrder>, DbError> {
    on_conn!(conn, |c| {
        draft_orders::table.find(id).select(DraftOrder::as_select()).first(c).await.optional()
    })
}

/// Returns a draft and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: DraftOrderId) -> Result<Option<DraftOrder>, DbError> {
    per_backend!(conn,
        postgres: |c| {
            draft_orders::table.find(id).select(DraftOrder::as_select()).for_update().first(c).await.optional()
        },
        sqlite: |c| draft_orders::table.find(id).select(DraftOrder::as_select()).first(c).await.optional(),
    )
}

/// Returns a page of drafts in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<DraftOrder>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(draft_orders::table.into_boxed(), draft_orders::id, request)
            .select(DraftOrder::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Counts the drafts.
pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
    let counted: Vec<i64> = load!(conn, draft_orders::table.select(count_star()))?;
    Ok(counted.into_iter().sum())
}

/// Inserts a draft.
pub async fn insert(conn: &mut Conn, row: &DraftOrder) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(draft_orders::table).values(row).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a draft.
pub async fn update(conn: &mut Conn, row: &DraftOrder) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(draft_orders::table.find(row.id)).set(row).execute(c).await)?;
    Ok(())
}

/// Deletes a draft.
pub async fn delete(conn: &mut Conn, id: DraftOrderId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(draft_orders::table.find(id)).execute(c).await)?;
    Ok(())
}
