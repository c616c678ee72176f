//! Images of products, by URL.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::product_images;
use crate::db::{Conn, DbError, impl_weigh, load, on_conn};
use crate::domain::ids::{ImageId, ProductId};

/// An image as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = product_images, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Image {
    /// Assigned by the server.
    pub id: ImageId,
    /// The product it shows.
    pub product_id: ProductId,
    /// Position among the product's images, from 1.
    pub position: i64,
    /// An absolute URL, or a path on this server.
    pub url: String,
    /// Alternative text.
    pub alt_text: Option<String>,
    /// Width in pixels, if known.
    pub width: Option<i64>,
    /// Height in pixels, if known.
    pub height: Option<i64>,
}

impl_weigh!(Image, url, alt_text);

/// Returns the images with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[ImageId]) -> Result<Vec<Image>, DbError> {
    load!(conn, product_images::table.filter(in_ids(product_images::id, ids)).select(Image::as_select()))
}

/// Returns the images of these products, each product's in order.
pub async fn by_product_ids(conn: &mut Conn, ids: &[ProductId]) -> Result<Vec<Image>, DbError> {
    load!(
        conn,
        product_images::table
            .filter(in_ids(product_images::product_id, ids))
            .order_by((product_images::product_id, product_images::position, product_images::id))
            .select(Image::as_select())
    )
}

/// Inserts images, or updates existing ones. Call it in a transaction.
pub async fn save(conn: &mut Conn, rows: Vec<Image>) -> Result<(), DbError> {
    for row in rows {
        on_conn!(conn, |c| {
            diesel::insert_into(product_images::table)
                .values(&row)
                .on_conflict(product_images::id)
                .do_update()
                .set(&row)
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

/// Deletes images; variants lose references to them.
pub async fn delete(conn: &mut Conn, ids: &[ImageId]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(product_images::table.filter(in_ids(product_images::id, ids))).execute(c).await
    })?;
    Ok(())
}
