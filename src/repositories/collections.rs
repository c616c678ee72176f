//! Collections, and which products are in them.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

#[cfg(feature = "postgres")]
use crate::db::expr::array_agg;
use crate::db::expr::in_ids;
#[cfg(feature = "sqlite")]
use crate::db::expr::{hex, json_group_array};
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::{collection_products, collections};
use crate::db::types::Json;
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::catalog::CollectionSortOrder;
use crate::domain::collection_rules::CollectionRules;
use crate::domain::ids::{CollectionId, Id, ProductId};
use crate::domain::page::{Cursor, CursorKey, Direction, KeyKind, Page, PageRequest};
use crate::domain::search::{ListTerm, Node};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::conditions::{list_condition, text_condition};
use crate::repositories::words::{self, Field, Words};

/// How many members one statement may add.
const MAX_ROWS: usize = 5_000;

/// A collection as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = collections, treat_none_as_null = true)]
pub struct Collection {
    /// Made by us.
    pub id: CollectionId,
    /// Unique in the shop.
    pub handle: String,
    /// Never empty.
    pub title: String,
    /// `description_html` without its tags.
    pub description: String,
    /// As staff wrote it.
    pub description_html: String,
    /// The order its products are shown in.
    pub sort_order: CollectionSortOrder,
    /// `None`: products are put in by hand.
    pub rules: Option<Json<CollectionRules>>,
    /// Absolute, or a path on this server.
    pub image_url: Option<String>,
    /// What the image shows, in words.
    pub image_alt_text: Option<String>,
    /// Overrides the title for search engines.
    pub seo_title: Option<String>,
    /// Overrides the description for search engines.
    pub seo_description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its list of products last changed.
    pub updated_at: Timestamp,
}

#[derive(Insertable)]
#[diesel(table_name = collection_products)]
struct Member {
    collection_id: CollectionId,
    product_id: ProductId,
    position: i64,
}

/// What a list of collections is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CollectionSort {
    /// Title, A to Z.
    Title,
    /// Oldest change first.
    UpdatedAt,
    /// In the order they were made.
    Id,
}

impl CollectionSort {
    /// The kind of key that collections have in this order.
    #[must_use]
    pub fn key_kind(self) -> KeyKind {
        match self {
            Self::Title => KeyKind::Text,
            Self::UpdatedAt => KeyKind::Integer,
            Self::Id => KeyKind::None,
        }
    }
}

/// One collection, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: CollectionId) -> Result<Option<Collection>, DbError> {
    on_each!(conn,
        postgres: |c| collections::table.find(id).select(Collection::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| collections::table.find(id).select(Collection::as_select()).first(c).await.optional(),
    )
}

/// The collections with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[CollectionId]) -> Result<Vec<Collection>, DbError> {
    load!(conn, collections::table.filter(in_ids(collections::id, ids)).select(Collection::as_select()))
}

/// The collections with these handles, in no order.
pub async fn by_handles(conn: &mut Conn, handles: &[String]) -> Result<Vec<Collection>, DbError> {
    load!(
        conn,
        collections::table
            .filter(collections::handle.eq_any(handles.to_vec()))
            .select(Collection::as_select())
    )
}

/// The handles that are `stem` or begin with `stem` and a hyphen.
pub async fn handles_like(conn: &mut Conn, stem: &str) -> Result<Vec<String>, DbError> {
    let (from, to) = (format!("{stem}-"), format!("{stem}."));
    load!(
        conn,
        collections::table
            .filter(
                collections::handle
                    .eq(stem.to_owned())
                    .or(collections::handle.ge(from.clone()).and(collections::handle.lt(to.clone()))),
            )
            .select(collections::handle)
    )
}

/// The collections that are kept by rule.
pub async fn with_rules(conn: &mut Conn) -> Result<Vec<Collection>, DbError> {
    load!(conn, collections::table.filter(collections::rules.is_not_null()).select(Collection::as_select()))
}

/// The collections these products are in, by title: each once, with those of the products that are in it.
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
    on_each!(conn,
        postgres: |c| query!(array_agg(collection_products::product_id)).load(c).await,
        sqlite: |c| {
            let rows = load_sqlite!(c, query!(json_group_array(hex(collection_products::product_id))));
            rows.map(|rows: Vec<(Collection, Json<Vec<ProductId>>)>| {
                rows.into_iter().map(|(collection, members)| (collection, members.0)).collect()
            })
        },
    )
}

/// Which collections these products are in: a pair for each.
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

#[cfg(feature = "postgres")]
list_condition!(postgres_condition, postgres_found, diesel::pg::Pg, collections, CollectionId,
words: &[Field::Collection], title: &[Field::Collection], Handle: |value| {
    text_condition!(collections::handle, collections::handle, text::lower, value, |meets| meets)
});
#[cfg(feature = "sqlite")]
list_condition!(sqlite_condition, sqlite_found, diesel::sqlite::Sqlite, collections, CollectionId,
words: &[Field::Collection], title: &[Field::Collection], Handle: |value| {
    text_condition!(collections::handle, collections::handle, text::lower, value, |meets| meets)
});

/// How many collections a search finds.
pub async fn count(conn: &mut Conn, filter: &Node<ListTerm>) -> Result<i64, DbError> {
    let counted: Vec<i64> = on_each!(conn,
        postgres: |c| postgres_found(filter).select(count_star()).load(c).await,
        sqlite: |c| load_sqlite!(c, sqlite_found(filter).select(count_star())),
    )?;
    Ok(counted.into_iter().sum())
}

/// A page of the collections that a search finds, each with the key it has in the order.
pub async fn page(
    conn: &mut Conn,
    filter: &Node<ListTerm>,
    sort: CollectionSort,
    reverse: bool,
    request: &PageRequest<Cursor>,
) -> Result<Page<(Collection, CursorKey)>, DbError> {
    let falls = reverse ^ (request.direction == Direction::Backward);
    let id = request.cursor.as_ref().map(|cursor| CollectionId::from_uuid(cursor.id));
    macro_rules! sorted {
        ($query:ident, $key:expr, $value:expr) => {{
            if let (Some(value), Some(id)) = ($value, id) {
                $query = if falls {
                    $query.filter($key.le(value.clone()).and($key.lt(value).or(collections::id.lt(id))))
                } else {
                    $query.filter($key.ge(value.clone()).and($key.gt(value).or(collections::id.gt(id))))
                };
            }
            if falls {
                $query.order_by(($key.desc(), collections::id.desc()))
            } else {
                $query.order_by(($key.asc(), collections::id.asc()))
            }
        }};
    }
    let text = request.cursor.as_ref().and_then(|cursor| match &cursor.key {
        CursorKey::Text(text) => Some(text.clone()),
        _ => None,
    });
    let moment = request.cursor.as_ref().and_then(|cursor| match cursor.key {
        CursorKey::Integer(micros) => Timestamp::from_micros(micros),
        _ => None,
    });
    macro_rules! query {
        ($found:ident) => {{
            let mut query = $found(filter);
            query = match sort {
                CollectionSort::Title => sorted!(query, collections::title_key, text),
                CollectionSort::UpdatedAt => sorted!(query, collections::updated_at, moment),
                CollectionSort::Id => sorted!(query, collections::id, id),
            };
            query.limit(request.rows()).select(Collection::as_select())
        }};
    }
    let rows: Vec<Collection> = on_each!(conn,
        postgres: |c| query!(postgres_found).load(c).await,
        sqlite: |c| load_sqlite!(c, query!(sqlite_found)),
    )?;
    Ok(Page::of_rows(rows, request).map(|collection| {
        let key = match sort {
            CollectionSort::Title => CursorKey::Text(text::key(&collection.title)),
            CollectionSort::UpdatedAt => CursorKey::Integer(collection.updated_at.micros()),
            CollectionSort::Id => CursorKey::None,
        };
        (collection, key)
    }))
}

/// Notes that the lists of products of these collections changed.
pub async fn touch(conn: &mut Conn, ids: &[CollectionId], at: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(collections::table.filter(in_ids(collections::id, ids)))
            .set(collections::updated_at.eq(at))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Adds a collection.
pub async fn insert(conn: &mut Conn, collection: &Collection) -> Result<(), DbError> {
    let keyed = (collection, collections::title_key.eq(text::key(&collection.title)));
    on_conn!(conn, |c| diesel::insert_into(collections::table).values(keyed).execute(c).await)?;
    words::add(conn, &[words_of(collection)]).await
}

/// Stores a collection's fields, all of them.
pub async fn update(conn: &mut Conn, collection: &Collection) -> Result<(), DbError> {
    let keyed = (collection, collections::title_key.eq(text::key(&collection.title)));
    on_conn!(conn, |c| diesel::update(collections::table.find(collection.id)).set(keyed).execute(c).await)?;
    words::set(conn, &collection.id, &[words_of(collection)]).await
}

/// Lets a collection be found, and sorted, by its title as it is.
pub async fn refresh_words(conn: &mut Conn, collection: &Collection) -> Result<(), DbError> {
    let key = collections::title_key.eq(text::key(&collection.title));
    on_conn!(conn, |c| diesel::update(collections::table.find(collection.id)).set(key).execute(c).await)?;
    words::set(conn, &collection.id, &[words_of(collection)]).await
}

fn words_of(collection: &Collection) -> Words {
    Words::of(&collection.id, Field::Collection, &[&collection.title])
}

/// Removes a collection; its products stay.
pub async fn delete(conn: &mut Conn, id: CollectionId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(collections::table.find(id)).execute(c).await)?;
    words::remove(conn, &[id]).await
}

/// The products in a collection, in the order staff gave.
pub async fn members(conn: &mut Conn, id: CollectionId) -> Result<Vec<ProductId>, DbError> {
    load!(
        conn,
        collection_products::table
            .filter(collection_products::collection_id.eq(id))
            .order_by((collection_products::position, collection_products::product_id))
            .select(collection_products::product_id)
    )
}

/// Which of these products are in which of the collections.
pub async fn memberships(conn: &mut Conn, product: ProductId) -> Result<Vec<CollectionId>, DbError> {
    load!(
        conn,
        collection_products::table
            .filter(collection_products::product_id.eq(product))
            .select(collection_products::collection_id)
    )
}

/// Puts products at the end of a collection. In a transaction; none of them is in it yet.
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

/// Gives all products of a collection their places anew, in this order. In a transaction that holds
/// the collection.
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

/// Takes products out of a collection.
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
