//! Published resources in pages, for sitemaps.
//!
//! Sitemaps are requested by page number, so their pages can't start at a cursor. A covering index
//! finds the row at which a page starts; only rows from there on are read.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::schema::{collections, pages, products};
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::catalog::ProductStatus;
use crate::domain::ids::{CollectionId, Id, PageId, ProductId};
use crate::domain::time::Timestamp;

/// A published resource.
#[derive(Clone, PartialEq, Debug)]
pub struct SitemapEntry {
    /// Its id.
    pub id: Uuid,
    /// Its handle.
    pub handle: String,
    /// Its title.
    pub title: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// URL and alternative text of its image; those of products are read elsewhere.
    pub image: Option<(String, Option<String>)>,
}

/// Counts the rows of a query.
macro_rules! count {
    ($conn:expr, $query:expr) => {
        on_conn!($conn, |c| $query.count().get_result::<i64>(c).await)
    };
}

/// Returns the id of the row at an offset.
macro_rules! id_at {
    ($conn:expr, $query:expr, $id:expr, $offset:expr) => {
        on_conn!($conn, |c| { $query.order_by($id).offset($offset).select($id).first(c).await.optional() })
    };
}

/// Counts the published products.
pub async fn count_products(conn: &mut Conn) -> Result<i64, DbError> {
    count!(conn, products::table.filter(products::status.eq(ProductStatus::Active)))
}

/// Counts the collections.
pub async fn count_collections(conn: &mut Conn) -> Result<i64, DbError> {
    count!(conn, collections::table)
}

/// Counts the published pages.
pub async fn count_pages(conn: &mut Conn) -> Result<i64, DbError> {
    count!(conn, pages::table.filter(pages::is_published.eq(true)))
}

/// Returns published products in the order of their creation, from an offset.
pub async fn products(conn: &mut Conn, offset: i64, limit: i64) -> Result<Vec<SitemapEntry>, DbError> {
    let published = || products::table.filter(products::status.eq(ProductStatus::Active));
    let first: Option<ProductId> = id_at!(conn, published(), products::id, offset)?;
    let Some(first) = first else { return Ok(Vec::new()) };
    let rows: Vec<(ProductId, String, String, Timestamp)> = load!(
        conn,
        published().filter(products::id.ge(first)).order_by(products::id).limit(limit).select((
            products::id,
            products::handle,
            products::title,
            products::updated_at
        ))
    )?;
    let entry = |(id, handle, title, updated_at): (ProductId, _, _, _)| SitemapEntry {
        id: id.uuid(),
        handle,
        title,
        updated_at,
        image: None,
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// Returns collections in the order of their creation, from an offset.
pub async fn collections(conn: &mut Conn, offset: i64, limit: i64) -> Result<Vec<SitemapEntry>, DbError> {
    type Row = (CollectionId, String, String, Timestamp, Option<String>, Option<String>);
    let first: Option<CollectionId> = id_at!(conn, collections::table, collections::id, offset)?;
    let Some(first) = first else { return Ok(Vec::new()) };
    let rows: Vec<Row> = load!(
        conn,
        collections::table.filter(collections::id.ge(first)).order_by(collections::id).limit(limit).select((
            collections::id,
            collections::handle,
            collections::title,
            collections::updated_at,
            collections::image_url,
            collections::image_alt_text
        ))
    )?;
    let entry = |(id, handle, title, updated_at, url, alt): Row| SitemapEntry {
        id: id.uuid(),
        handle,
        title,
        updated_at,
        image: url.map(|url| (url, alt)),
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// Returns published pages in the order of their creation, from an offset.
pub async fn pages(conn: &mut Conn, offset: i64, limit: i64) -> Result<Vec<SitemapEntry>, DbError> {
    let published = || pages::table.filter(pages::is_published.eq(true));
    let first: Option<PageId> = id_at!(conn, published(), pages::id, offset)?;
    let Some(first) = first else { return Ok(Vec::new()) };
    let rows: Vec<(PageId, String, String, Timestamp)> = load!(
        conn,
        published().filter(pages::id.ge(first)).order_by(pages::id).limit(limit).select((
            pages::id,
            pages::handle,
            pages::title,
            pages::updated_at
        ))
    )?;
    let entry = |(id, handle, title, updated_at): (PageId, _, _, _)| SitemapEntry {
        id: id.uuid(),
        handle,
        title,
        updated_at,
        image: None,
    };
    Ok(rows.into_iter().map(entry).collect())
}
