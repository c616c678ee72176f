//! Content pages of the shop.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{constant, in_ids, lower};
use crate::db::schema::pages;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::ids::PageId;
use crate::domain::page::{Cursor, CursorKey, CursorKeyKind, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;
use crate::repositories::conditions::handle_like;
use crate::repositories::keyset::{after_id, after_key};

/// A page as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = pages, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Page {
    /// Assigned by the server.
    pub id: PageId,
    /// Unique in the shop.
    pub handle: String,
    /// Never empty.
    pub title: String,
    /// HTML, as written by staff.
    pub body: String,
    /// The beginning of the body as plain text.
    pub body_summary: String,
    /// Overrides the title for search engines.
    pub seo_title: Option<String>,
    /// Overrides the summary for search engines.
    pub seo_description: Option<String>,
    /// Whether it is public.
    pub is_published: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The sort key of a list of pages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PageSort {
    /// By creation, oldest first.
    Id,
    /// Title, A to Z.
    Title,
    /// Oldest change first.
    UpdatedAt,
}

impl PageSort {
    /// The type of the cursor key in this order.
    #[must_use]
    pub fn key_kind(self) -> CursorKeyKind {
        match self {
            Self::Id => CursorKeyKind::None,
            Self::Title => CursorKeyKind::Text,
            Self::UpdatedAt => CursorKeyKind::Integer,
        }
    }
}

/// A filtered and sorted list of pages.
#[derive(Clone, Debug)]
pub struct PageList<'a> {
    /// The pages that the reader may see.
    pub visibility: Visibility,
    /// A text that titles must contain, ignoring case.
    pub title: Option<&'a str>,
    /// The sort key.
    pub sort: PageSort,
    /// Whether to reverse the order.
    pub is_reversed: bool,
}

/// Returns a page and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: PageId) -> Result<Option<Page>, DbError> {
    per_backend!(conn,
        postgres: |c| pages::table.find(id).select(Page::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| pages::table.find(id).select(Page::as_select()).first(c).await.optional(),
    )
}

/// Returns the visible pages with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, visibility: Visibility, ids: &[PageId]) -> Result<Vec<Page>, DbError> {
    load!(
        conn,
        pages::table
            .filter(in_ids(pages::id, ids))
            .filter(pages::is_published.or(constant(visibility.is_all())))
            .select(Page::as_select())
    )
}

/// Returns the visible pages with these handles, in no particular order.
pub async fn by_handles(
    conn: &mut Conn,
    visibility: Visibility,
    handles: &[String],
) -> Result<Vec<Page>, DbError> {
    load!(
        conn,
        pages::table
            .filter(pages::handle.eq_any(handles.to_vec()))
            .filter(pages::is_published.or(constant(visibility.is_all())))
            .select(Page::as_select())
    )
}

/// Returns the handles that equal `stem` or start with `stem` and a hyphen.
pub async fn handles_like(conn: &mut Conn, stem: &str) -> Result<Vec<String>, DbError> {
    load!(conn, pages::table.filter(handle_like!(pages, stem)).select(pages::handle))
}

/// Returns a page of pages, each with its sort key.
pub async fn page(
    conn: &mut Conn,
    list: &PageList<'_>,
    request: &PageRequest<Cursor>,
) -> Result<crate::domain::page::Page<(Page, CursorKey)>, DbError> {
    let is_descending = request.is_descending(list.is_reversed);
    let after = request.position();
    let rows: Vec<Page> = load!(conn, {
        let mut query = pages::table.into_boxed();
        if !list.visibility.is_all() {
            query = query.filter(pages::is_published);
        }
        if let Some(title) = list.title {
            let title =
                title.to_ascii_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            query = query.filter(lower(pages::title).like(format!("%{title}%")).escape('\\'));
        }
        let after = after.as_ref();
        let sorted = match list.sort {
            PageSort::Title => {
                after_key!(query, lower(pages::title), CursorKey::text, pages::id, after, is_descending)
            }
            PageSort::UpdatedAt => {
                after_key!(query, pages::updated_at, CursorKey::moment, pages::id, after, is_descending)
            }
            PageSort::Id => after_id!(query, pages::id, after, is_descending),
        };
        sorted.limit(request.row_limit()).select(Page::as_select())
    })?;
    Ok(crate::domain::page::Page::from_rows(rows, request).with_keys(|page| match list.sort {
        PageSort::Title => CursorKey::Text(page.title.to_ascii_lowercase()),
        PageSort::UpdatedAt => CursorKey::Integer(page.updated_at.micros()),
        PageSort::Id => CursorKey::None,
    }))
}

/// Inserts a page.
pub async fn insert(conn: &mut Conn, page: &Page) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(pages::table).values(page).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a page.
pub async fn update(conn: &mut Conn, page: &Page) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(pages::table.find(page.id)).set(page).execute(c).await)?;
    Ok(())
}

/// Deletes a page.
pub async fn delete(conn: &mut Conn, id: PageId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(pages::table.find(id)).execute(c).await)?;
    Ok(())
}
