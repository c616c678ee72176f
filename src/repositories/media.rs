//! Pictures and videos of products on their way, and the sizes and formats that pictures are kept in.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{in_ids, in_texts};
use crate::db::schema::{media, media_renditions, product_images};
use crate::db::{Conn, DbError, insert_all, load, on_conn};
use crate::domain::ids::{MediaId, ProductId};
use crate::domain::media::{ContentHash, MediaFormat, MediaKind, MediaStatus, StoredFile};
use crate::domain::time::Timestamp;

/// A picture or video as it is stored. A picture that is ready is one of `product_images` too, with the same id.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = media, treat_none_as_null = true)]
pub struct Media {
    /// Made by us.
    pub id: MediaId,
    /// The product it shows.
    pub product_id: ProductId,
    /// What it is.
    pub kind: MediaKind,
    /// How far it is.
    pub status: MediaStatus,
    /// Its place among the product's images and videos.
    pub position: i64,
    /// Where it is fetched from; `None` when it was uploaded.
    pub source_url: Option<String>,
    /// What it shows, in words.
    pub alt: Option<String>,
    /// What is served as the thing itself, once it is ready.
    pub hash: Option<ContentHash>,
    /// In which format.
    pub format: Option<MediaFormat>,
    /// How large it is.
    pub bytes: Option<i64>,
    /// Pixels, where known.
    pub width: Option<i64>,
    /// Pixels, where known.
    pub height: Option<i64>,
    /// The path on this server of the picture that stands for a video.
    pub poster_url: Option<String>,
    /// Why it failed, or what was left undone, in words for staff.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A picture in another size or format.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = media_renditions)]
pub struct Rendition {
    /// The picture.
    pub source_hash: ContentHash,
    /// In which format.
    pub format: MediaFormat,
    /// Pixels across.
    pub width: i64,
    /// Pixels upwards.
    pub height: i64,
    /// The file.
    pub hash: ContentHash,
    /// How large that is.
    pub bytes: i64,
}

impl Media {
    /// What is served as the thing itself, once it is ready.
    #[must_use]
    pub fn file(&self) -> Option<StoredFile> {
        let pixels = |side: Option<i64>| side.and_then(|side| u32::try_from(side).ok()).unwrap_or(0);
        let (width, height) = (pixels(self.width), pixels(self.height));
        Some(StoredFile { hash: self.hash.clone()?, format: self.format?, width, height })
    }
}

impl Rendition {
    /// The file.
    #[must_use]
    pub fn file(&self) -> StoredFile {
        let pixels = |side: i64| u32::try_from(side).unwrap_or(0);
        let (width, height) = (pixels(self.width), pixels(self.height));
        StoredFile { hash: self.hash.clone(), format: self.format, width, height }
    }
}

/// One of them.
pub async fn find(conn: &mut Conn, id: MediaId) -> Result<Option<Media>, DbError> {
    on_conn!(conn, |c| media::table.find(id).select(Media::as_select()).first(c).await.optional())
}

/// Those with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[MediaId]) -> Result<Vec<Media>, DbError> {
    load!(conn, media::table.filter(in_ids(media::id, ids)).select(Media::as_select()))
}

/// What these products have besides `product_images`: videos, and pictures that are not ready; each product's in their order.
pub async fn besides_images(conn: &mut Conn, ids: &[ProductId]) -> Result<Vec<Media>, DbError> {
    load!(
        conn,
        media::table
            .filter(in_ids(media::product_id, ids))
            .filter(media::kind.eq(MediaKind::Video).or(media::status.ne(MediaStatus::Ready)))
            .order_by((media::product_id, media::position, media::id))
            .select(Media::as_select())
    )
}

/// How many a product has, `product_images` included, and the last place that is taken.
pub async fn places(conn: &mut Conn, id: ProductId) -> Result<(i64, i64), DbError> {
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

/// Adds some. In a transaction.
pub async fn insert(conn: &mut Conn, rows: Vec<Media>) -> Result<(), DbError> {
    insert_all!(conn, media::table, rows)?;
    Ok(())
}

/// Stores the fields of one, all of them; false where it is gone.
pub async fn update(conn: &mut Conn, row: &Media) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| diesel::update(media::table.find(row.id)).set(row).execute(c).await)?;
    Ok(changed > 0)
}

/// Removes some.
pub async fn delete(conn: &mut Conn, ids: &[MediaId]) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(media::table.filter(in_ids(media::id, ids))).execute(c).await)?;
    Ok(())
}

/// The other sizes and formats of these pictures.
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

/// Keeps other sizes and formats of a picture, in place of what there was of the same. In a transaction.
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
