//! Collections and their products.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
#[cfg(feature = "postgres")]
use crate::db::expr::{KeepPrepared, array_agg};
#[cfg(feature = "sqlite")]
use crate::db::expr::{hex, json_group_array};
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::{collection_products, collections};
use crate::db::types::Json;
use crate::db::{Conn, DbError, impl_weigh, insert_all, load, on_conn, per_backend};
use crate::domain::catalog::collection_rules::{CollectionRules, Rule};
use crate::domain::catalog::search::{ListTerm, Node};
use crate::domain::catalog::{CollectionSortOrder, Description};
use crate::domain::ids::{CollectionId, Id, ProductId};
use crate::domain::page::{Cursor, CursorKey, CursorKeyKind, Page, PageRequest};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::catalog::words::{self, SearchField, SearchWords};
use crate::repositories::conditions::{handle_like, list_condition, text_condition};
use crate::repositories::keyset::{after_id, after_key};

/// Maximum number of rows per insert statement.
const MAX_ROWS: usize = 5_000;

/// A collection as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = collections, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Collection {
    /// Assigned by the server.
    pub id: CollectionId,
    /// Unique in the shop.
    pub handle: String,
    /// Never empty.
    pub title: String,
    /// The default order of its products.
    pub sort_order: CollectionSortOrder,
    /// The rules; `None` for a manual collection.
    pub rules: Option<Json<CollectionRules>>,
    /// An absolute URL, or a path on this server.
    pub image_url: Option<String>,
    /// The image's alternative text.
    pub image_alt_text: Option<String>,
    /// Overrides the title for search engines.
    pub seo_title: Option<String>,
    /// Overrides the description for search engines.
    pub seo_description: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its list of products was last changed.
    pub updated_at: Timestamp,
}

impl_weigh!(Collection, handle, title, rules, image_url, image_alt_text, seo_title, seo_description);
impl_weigh!(CollectionRules, rules);
impl_weigh!(Rule, condition);

#[derive(Insertable)]
#[diesel(table_name = collection_products, treat_none_as_default_value = false)]
struct Member {
    collection_id: CollectionId,
    product_id: ProductId,
    position: i64,
}

/// The sort key of a list of collections.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CollectionSort {
    /// Title, A to Z.
    Title,
    /// Oldest change first.
    UpdatedAt,
    /// By creation, oldest first.
    Id,
}

impl CollectionSort {
    /// The type of the cursor key in this order.
    #[must_use]
    pub fn key_kind(self) -> CursorKeyKind {
        match self {
            Self::Title => CursorKeyKind::Text,
            Self::UpdatedAt => CursorKeyKind::Integer,
            Self::Id => CursorKeyKind::None,
        }
    }
}

/// A filtered and sorted list of collections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CollectionList {
    /// The filter.
    pub filter: Node<ListTerm>,
    /// The sort key.
    pub sort: CollectionSort,
    /// Whether to reverse the order.
    pub reverse: bool,
}

/// Returns a collection and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: CollectionId) -> Result<Option<Collection>, DbError> {
    per_backend!(conn,
        postgres: |c| collections::table.find(id).select(Collection::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| collections::table.find(id).select(Collection::as_select()).first(c).await.optional(),
    )
}

/// Returns the collections with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[CollectionId]) -> Result<Vec<Collection>, DbError> {
    load!(conn, collections::table.filter(in_ids(collections::id, ids)).select(Collection::as_select()))
}

/// Returns the collections with these handles, in no particular order.
pub async fn by_handles(conn: &mut Conn, handles: &[String]) -> Result<Vec<Collection>, DbError> {
    load!(
        conn,
        collections::table
            .filter(collections::handle.eq_any(handles.to_vec()))
            .select(Collection::as_select())
    )
}

/// Returns the descriptions of these collections, in no particular order.
pub async fn descriptions(
    conn: &mut Conn,
    ids: &[CollectionId],
) -> Result<Vec<(CollectionId, Description)>, DbError> {
    let rows: Vec<(CollectionId, String, String)> = load!(
        conn,
        collections::table.filter(in_ids(collections::id, ids)).select((
            collections::id,
            collections::description,
            collections::description_html
        ))
    )?;
    Ok(rows.into_iter().map(|(id, text, html)| (id, Description { text, html })).collect())
}

/// Returns the handles that equal `stem` or start with `stem` and a hyphen.
pub async fn handles_like(conn: &mut Conn, stem: &str) -> Result<Vec<String>, DbError> {
    load!(conn, collections::table.filter(handle_like!(collections, stem)).select(collections::handle))
}

/// Waits for changes of rules in progress, and lets nobody else change rules until the transaction
/// ends. Call it before locking collections. A no-op on SQLite, which has a single writer.
pub async fn lock_rules(conn: &mut Conn) -> Result<(), DbError> {
    advisory_lock(conn, "SELECT pg_advisory_xact_lock(hashtextextended('rules', 0))").await
}

/// Returns the collections with rules. On PostgreSQL, the rules don't change until the transaction
/// ends, so that no product changes while new rules are applied to it.
pub async fn with_rules(conn: &mut Conn) -> Result<Vec<Collection>, DbError> {
    advisory_lock(conn, "SELECT pg_advisory_xact_lock_shared(hashtextextended('rules', 0))").await?;
    load!(conn, collections::table.filter(collections::rules.is_not_null()).select(Collection::as_select()))
}

#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite has one writer"))]
async fn advisory_lock(conn: &mut Conn, statement: &'static str) -> Result<(), DbError> {
    per_backend!(conn,
        postgres: |c| diesel::sql_query(statement).keep_prepared().execute(c).await.map(drop),
        sqlite: |_c| Ok::<_, diesel::result::Error>(()),
    )
}

/// Returns the collections of these products, sorted by title, each with those of the products that
/// it contains.
pub async fn by_product_ids(
    conn: &mut Conn,
    ids: &[ProductId],
) -> Result<Vec<(Collection, Vec<ProductId>)>, DbError> {
    macro_rules! query {
        ($members:expr) => {
            collection_products::table
                .inner_join(collections::table)
                .filter(in_ids(collection_products::product_id, ids))
                .group_by(collections::id)
                .order_by((collections::title_key, collections::id))
                .select((Collection::as_select(), $members))
        };
    }
    per_backend!(conn,
        postgres: |c| query!(array_agg(collection_products::product_id)).load(c).await,
        sqlite: |c| {
            let rows = load_sqlite!(c, query!(json_group_array(hex(collection_products::product_id))));
            rows.map(|rows: Vec<(Collection, Json<Vec<ProductId>>)>| {
                rows.into_iter().map(|(collection, members)| (collection, members.0)).collect()
            })
        },
    )
}

/// Returns which of these products are in which collections, as pairs.
pub async fn ids_by_product_ids(
    conn: &mut Conn,
    ids: &[ProductId],
) -> Result<Vec<(ProductId, CollectionId)>, DbError> {
    load!(
        conn,
        collection_products::table
            .filter(in_ids(collection_products::product_id, ids))
            .select((collection_products::product_id, collection_products::collection_id))
    )
}

list_condition!(collections, CollectionId,
words: &[SearchField::Collection], title: &[SearchField::Collection], Handle: |value| {
    text_condition!(collections::handle, collections::handle, text::lower, value, |meets| meets)
});

/// Counts the collections that match a filter.
pub async fn count(conn: &mut Conn, filter: &Node<ListTerm>) -> Result<i64, DbError> {
    let counted: Vec<i64> = per_backend!(conn,
        postgres: |c| postgres_found(filter).select(count_star()).load(c).await,
        sqlite: |c| load_sqlite!(c, sqlite_found(filter).select(count_star())),
    )?;
    Ok(counted.into_iter().sum())
}

/// Returns a page of a list of collections, each with its sort key.
pub async fn page(
    conn: &mut Conn,
    list: &CollectionList,
    request: &PageRequest<Cursor>,
) -> Result<Page<(Collection, CursorKey)>, DbError> {
    let CollectionList { filter, sort, reverse } = list;
    let is_descending = request.is_descending(*reverse);
    let after = request.position();
    let after = after.as_ref();
    macro_rules! query {
        ($found:ident) => {{
            let (query, id) = ($found(filter), collections::id);
            let sorted = match sort {
                CollectionSort::Title => {
                    after_key!(query, collections::title_key, CursorKey::text, id, after, is_descending)
                }
                CollectionSort::UpdatedAt => {
                    after_key!(query, collections::updated_at, CursorKey::moment, id, after, is_descending)
                }
                CollectionSort::Id => after_id!(query, id, after, is_descending),
            };
            sorted.limit(request.row_limit()).select(Collection::as_select())
        }};
    }
    let rows: Vec<Collection> = per_backend!(conn,
        postgres: |c| query!(postgres_found).load(c).await,
        sqlite: |c| load_sqlite!(c, query!(sqlite_found)),
    )?;
    Ok(Page::from_rows(rows, request).with_keys(|collection| match sort {
        CollectionSort::Title => CursorKey::Text(text::key(&collection.title)),
        CollectionSort::UpdatedAt => CursorKey::Integer(collection.updated_at.micros()),
        CollectionSort::Id => CursorKey::None,
    }))
}

/// Updates the modification time of collections whose list of products changed.
pub async fn touch(conn: &mut Conn, ids: &[CollectionId], at: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(collections::table.filter(in_ids(collections::id, ids)))
            .set(collections::updated_at.eq(at))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Inserts a collection.
pub async fn insert(
    conn: &mut Conn,
    collection: &Collection,
    description: &Description,
) -> Result<(), DbError> {
    let key = collections::title_key.eq(text::key(&collection.title));
    let texts =
        (collections::description.eq(&description.text), collections::description_html.eq(&description.html));
    let row = (collection, texts, key);
    on_conn!(conn, |c| diesel::insert_into(collections::table).values(row).execute(c).await)?;
    words::add(conn, &[words_of(collection)]).await
}

/// Replaces the description of a collection.
pub async fn set_description(
    conn: &mut Conn,
    id: CollectionId,
    description: &Description,
) -> Result<(), DbError> {
    let texts =
        (collections::description.eq(&description.text), collections::description_html.eq(&description.html));
    on_conn!(conn, |c| diesel::update(collections::table.find(id)).set(texts).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a collection.
pub async fn update(conn: &mut Conn, collection: &Collection) -> Result<(), DbError> {
    let keyed = (collection, collections::title_key.eq(text::key(&collection.title)));
    on_conn!(conn, |c| diesel::update(collections::table.find(collection.id)).set(keyed).execute(c).await)?;
    words::set(conn, &collection.id, &[words_of(collection)]).await
}

/// Updates the search words and sort key of a collection's title.
pub async fn refresh_words(conn: &mut Conn, collection: &Collection) -> Result<(), DbError> {
    let key = collections::title_key.eq(text::key(&collection.title));
    on_conn!(conn, |c| diesel::update(collections::table.find(collection.id)).set(key).execute(c).await)?;
    words::set(conn, &collection.id, &[words_of(collection)]).await
}

fn words_of(collection: &Collection) -> SearchWords {
    SearchWords::of(&collection.id, SearchField::Collection, &[&collection.title])
}

/// Deletes a collection; its products are kept.
pub async fn delete(conn: &mut Conn, id: CollectionId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(collections::table.find(id)).execute(c).await)?;
    words::remove(conn, &[id]).await
}

/// Returns the products of a collection, in the order set by staff.
pub async fn members(conn: &mut Conn, id: CollectionId) -> Result<Vec<ProductId>, DbError> {
    load!(
        conn,
        collection_products::table
            .filter(collection_products::collection_id.eq(id))
            .order_by((collection_products::position, collection_products::product_id))
            .select(collection_products::product_id)
    )
}

/// Returns the collections that contain a product.
pub async fn memberships(conn: &mut Conn, product: ProductId) -> Result<Vec<CollectionId>, DbError> {
    load!(
        conn,
        collection_products::table
            .filter(collection_products::product_id.eq(product))
            .select(collection_products::collection_id)
    )
}

/// Appends products to a collection; none of them may be in it. Call it in a transaction.
pub async fn add(conn: &mut Conn, id: CollectionId, products: &[ProductId]) -> Result<(), DbError> {
    let last: Option<i64> = on_conn!(conn, |c| {
        collection_products::table
            .filter(collection_products::collection_id.eq(id))
            .select(diesel::dsl::max(collection_products::position))
            .first(c)
            .await
    })?;
    let rows: Vec<Member> = (last.unwrap_or(0).saturating_add(1)..)
        .zip(products)
        .map(|(position, &product_id)| Member { collection_id: id, product_id, position })
        .collect();
    insert_all!(conn, collection_products::table, rows)?;
    Ok(())
}

/// Replaces the products of a collection by these, in this order. Call it in a transaction that
/// locks the collection.
pub async fn set_order(conn: &mut Conn, id: CollectionId, members: &[ProductId]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(collection_products::table.filter(collection_products::collection_id.eq(id)))
            .execute(c)
            .await
    })?;
    let mut position = 0;
    for chunk in members.chunks(MAX_ROWS) {
        let rows: Vec<Member> = chunk
            .iter()
            .map(|&product_id| {
                position += 1;
                Member { collection_id: id, product_id, position }
            })
            .collect();
        insert_all!(conn, collection_products::table, rows)?;
    }
    Ok(())
}

/// Removes products from a collection.
pub async fn remove(conn: &mut Conn, id: CollectionId, products: &[ProductId]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(
            collection_products::table
                .filter(collection_products::collection_id.eq(id))
                .filter(in_ids(collection_products::product_id, products)),
        )
        .execute(c)
        .await
    })?;
    Ok(())
}
