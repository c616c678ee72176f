//! Redirects from old paths.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::url_redirects;
use crate::db::{Conn, DbError, load, on_conn, on_each};
use crate::domain::ids::{Id, UrlRedirectId};
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::redirect::RedirectQuery;
use crate::domain::time::Timestamp;

/// A redirect as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = url_redirects)]
pub struct UrlRedirect {
    /// Made by us.
    pub id: UrlRedirectId,
    /// As `domain::redirect` has it; unique in the shop.
    pub path: String,
    /// A path, or an address elsewhere.
    pub target: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// One redirect, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: UrlRedirectId) -> Result<Option<UrlRedirect>, DbError> {
    on_each!(conn,
        postgres: |c| {
            url_redirects::table.find(id).select(UrlRedirect::as_select()).for_update().first(c).await.optional()
        },
        sqlite: |c| url_redirects::table.find(id).select(UrlRedirect::as_select()).first(c).await.optional(),
    )
}

/// The redirects with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[UrlRedirectId]) -> Result<Vec<UrlRedirect>, DbError> {
    load!(conn, url_redirects::table.filter(in_ids(url_redirects::id, ids)).select(UrlRedirect::as_select()))
}

/// A page of the redirects that are asked for, in the order they were created.
pub async fn page(
    conn: &mut Conn,
    wanted: &RedirectQuery,
    is_reversed: bool,
    request: &PageRequest<Cursor>,
) -> Result<Page<UrlRedirect>, DbError> {
    if *wanted == RedirectQuery::Nothing {
        return Ok(Page::of_rows(Vec::new(), request));
    }
    let is_descending = is_reversed ^ (request.direction == Direction::Backward);
    let cursor = request.cursor.as_ref().map(|cursor| UrlRedirectId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = url_redirects::table.into_boxed();
        query = match wanted {
            RedirectQuery::All | RedirectQuery::Nothing => query,
            RedirectQuery::Path(path) => query.filter(url_redirects::path.eq(path.clone())),
            // A range, which the index answers.
            RedirectQuery::PathPrefix(start) => query
                .filter(url_redirects::path.ge(start.clone()))
                .filter(url_redirects::path.lt(format!("{start}{}", char::MAX))),
            RedirectQuery::Target(target) => query.filter(url_redirects::target.eq(target.clone())),
        };
        query = match (is_descending, cursor) {
            (false, Some(id)) => query.filter(url_redirects::id.gt(id)),
            (true, Some(id)) => query.filter(url_redirects::id.lt(id)),
            (_, None) => query,
        };
        query = if is_descending {
            query.order_by(url_redirects::id.desc())
        } else {
            query.order_by(url_redirects::id.asc())
        };
        query.limit(request.rows()).select(UrlRedirect::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// Adds a redirect.
pub async fn insert(conn: &mut Conn, redirect: &UrlRedirect) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(url_redirects::table).values(redirect).execute(c).await)?;
    Ok(())
}

/// Removes a redirect.
pub async fn delete(conn: &mut Conn, id: UrlRedirectId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(url_redirects::table.find(id)).execute(c).await)?;
    Ok(())
}
