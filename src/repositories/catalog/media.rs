//! Images and videos of products while they are processed, and renditions of images.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{in_ids, in_texts};
use crate::db::schema::{media, media_renditions, product_images};
use crate::db::{Conn, DbError, insert_all, load, on_conn};
use crate::domain::ids::{MediaId, ProductId};
use crate::domain::media::{ContentHash, MediaFormat, MediaKind, MediaStatus, StoredFile};
use crate::domain::time::Timestamp;

/// An image or video as stored. An image that is ready also has a row in `product_images` with
/// the same id.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = media, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Media {
    /// Assigned by the server.
    pub id: MediaId,
    /// The product it shows.
    pub product_id: ProductId,
    /// Image or video.
    pub kind: MediaKind,
    /// The processing status.
    pub status: MediaStatus,
    /// Position among the product's images and videos.
    pub position: i64,
    /// The URL it is downloaded from; `None` if it was uploaded.
    pub source_url: Option<String>,
    /// Alternative text.
    pub alt: Option<String>,
    /// Hash of the main file, once it is ready.
    pub hash: Option<ContentHash>,
    /// Format of the main file.
    pub format: Option<MediaFormat>,
    /// Size of the main file in bytes.
    pub bytes: Option<i64>,
    /// Width in pixels, if known.
    pub width: Option<i64>,
    /// Height in pixels, if known.
    pub height: Option<i64>,
    /// Path of a video's poster image on this server.
    pub poster_url: Option<String>,
    /// Why it failed, or what could not be done; a message for staff.
    pub note: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A rendition of an image in another size or format.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = media_renditions, treat_none_as_default_value = false)]
pub struct Rendition {
    /// Hash of the original.
    pub source_hash: ContentHash,
    /// Its format.
    pub format: MediaFormat,
    /// Width in pixels.
    pub width: i64,
    /// Height in pixels.
    pub height: i64,
    /// Hash of the rendition.
    pub hash: ContentHash,
    /// Size in bytes.
    pub bytes: i64,
}

impl Media {
    /// The main file, once it is ready.
    #[must_use]
    pub fn file(&self) -> Option<StoredFile> {
        let pixels = |side: Option<i64>| side.and_then(|side| u32::try_from(side).ok()).unwrap_or(0);
        let (width, height) = (pixels(self.width), pixels(self.height));
        Some(StoredFile { hash: self.hash.clone()?, format: self.format?, width, height })
    }
}

impl Rendition {
    /// The rendition's file.
    #[must_use]
    pub fn file(&self) -> StoredFile {
        let pixels = |side: i64| u32::try_from(side).unwrap_or(0);
        let (width, height) = (pixels(self.width), pixels(self.height));
        StoredFile { hash: self.hash.clone(), format: self.format, width, height }
    }
}

/// Returns an image or video.
pub async fn find(conn: &mut Conn, id: MediaId) -> Result<Option<Media>, DbError> {
    on_conn!(conn, |c| media::table.find(id).select(Media::as_select()).first(c).await.optional())
}

/// Returns the images and videos with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[MediaId]) -> Result<Vec<Media>, DbError> {
    load!(conn, media::table.filter(in_ids(media::id, ids)).select(Media::as_select()))
}

/// Returns the media of these products that are not in `product_images`: videos, and images that
/// are not ready; each product's in order.
pub async fn not_in_images(conn: &mut Conn, ids: &[ProductId]) -> Result<Vec<Media>, DbError> {
    load!(
        conn,
        media::table
            .filter(in_ids(media::product_id, ids))
            .filter(media::kind.eq(MediaKind::Video).or(media::status.ne(MediaStatus::Ready)))
            .order_by((media::product_id, media::position, media::id))
            .select(Media::as_select())
    )
}

/// Returns the number of media of a product, including `product_images`, and the highest position.
pub async fn count_and_last_position(conn: &mut Conn, id: ProductId) -> Result<(i64, i64), DbError> {
    let images: (i64, Option<i64>) = on_conn!(conn, |c| {
        product_images::table
            .filter(product_images::product_id.eq(id))
            .select((diesel::dsl::count_star(), diesel::dsl::max(product_images::position)))
            .first(c)
            .await
    })?;
    let others: (i64, Option<i64>) = on_conn!(conn, |c| {
        media::table
            .filter(media::product_id.eq(id))
            .filter(media::kind.eq(MediaKind::Video).or(media::status.ne(MediaStatus::Ready)))
            .select((diesel::dsl::count_star(), diesel::dsl::max(media::position)))
            .first(c)
            .await
    })?;
    Ok((images.0 + others.0, images.1.max(others.1).unwrap_or(0)))
}

/// Inserts media. Call it in a transaction.
pub async fn insert(conn: &mut Conn, rows: Vec<Media>) -> Result<(), DbError> {
    insert_all!(conn, media::table, rows)?;
    Ok(())
}

/// Updates all fields; returns `false` if the row was deleted.
pub async fn update(conn: &mut Conn, row: &Media) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| diesel::update(media::table.find(row.id)).set(row).execute(c).await)?;
    Ok(changed > 0)
}

/// Deletes media.
pub async fn delete(conn: &mut Conn, ids: &[MediaId]) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(media::table.filter(in_ids(media::id, ids))).execute(c).await)?;
    Ok(())
}

/// Returns the renditions of these images.
pub async fn renditions(conn: &mut Conn, of: &[ContentHash]) -> Result<Vec<Rendition>, DbError> {
    let of: Vec<String> = of.iter().map(|hash| hash.as_str().to_owned()).collect();
    load!(
        conn,
        media_renditions::table
            .filter(in_texts(media_renditions::source_hash, &of))
            .order_by((media_renditions::source_hash, media_renditions::format, media_renditions::width))
            .select(Rendition::as_select())
    )
}

/// Inserts renditions, replacing those of the same format and size. Call it in a transaction.
pub async fn save_renditions(conn: &mut Conn, rows: &[Rendition]) -> Result<(), DbError> {
    for row in rows {
        on_conn!(conn, |c| {
            diesel::insert_into(media_renditions::table)
                .values(row)
                .on_conflict((
                    media_renditions::source_hash,
                    media_renditions::format,
                    media_renditions::width,
                ))
                .do_update()
                .set(row)
                .execute(c)
                .await
        })?;
    }
    Ok(())
}
