//! Redirects from old paths.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::url_redirects;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::content::redirects::RedirectQuery;
use crate::domain::ids::UrlRedirectId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A redirect as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = url_redirects, treat_none_as_default_value = false)]
pub struct UrlRedirect {
    /// Assigned by the server.
    pub id: UrlRedirectId,
    /// Normalized by `domain::content::redirects`; unique in the shop.
    pub path: String,
    /// A path, or an absolute URL.
    pub target: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Returns a redirect and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: UrlRedirectId) -> Result<Option<UrlRedirect>, DbError> {
    per_backend!(conn,
        postgres: |c| {
            url_redirects::table.find(id).select(UrlRedirect::as_select()).for_update().first(c).await.optional()
        },
        sqlite: |c| url_redirects::table.find(id).select(UrlRedirect::as_select()).first(c).await.optional(),
    )
}

/// Returns the redirects with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[UrlRedirectId]) -> Result<Vec<UrlRedirect>, DbError> {
    load!(conn, url_redirects::table.filter(in_ids(url_redirects::id, ids)).select(UrlRedirect::as_select()))
}

/// Returns a page of the redirects that match a query, in the order of their creation.
pub async fn page(
    conn: &mut Conn,
    filter: &RedirectQuery,
    is_reversed: bool,
    request: &PageRequest<Cursor>,
) -> Result<Page<UrlRedirect>, DbError> {
    if *filter == RedirectQuery::Invalid {
        return Ok(Page::from_rows(Vec::new(), request));
    }
    let rows = load!(conn, {
        let query = url_redirects::table.into_boxed();
        let query = match filter {
            RedirectQuery::All | RedirectQuery::Invalid => query,
            RedirectQuery::Path(path) => query.filter(url_redirects::path.eq(path.clone())),
            // A range, so that the index can be used.
            RedirectQuery::PathPrefix(start) => query
                .filter(url_redirects::path.ge(start.clone()))
                .filter(url_redirects::path.lt(format!("{start}{}", char::MAX))),
            RedirectQuery::Target(target) => query.filter(url_redirects::target.eq(target.clone())),
        };
        page_by_id!(query, url_redirects::id, request, is_reversed: is_reversed)
            .select(UrlRedirect::as_select())
    })?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a redirect.
pub async fn insert(conn: &mut Conn, redirect: &UrlRedirect) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(url_redirects::table).values(redirect).execute(c).await)?;
    Ok(())
}

/// Deletes a redirect.
pub async fn delete(conn: &mut Conn, id: UrlRedirectId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(url_redirects::table.find(id)).execute(c).await)?;
    Ok(())
}
