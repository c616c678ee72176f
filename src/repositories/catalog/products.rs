//! Products, their tags, and lists of products.

mod filter;
#[cfg(feature = "postgres")]
mod first_matches;
mod in_collections;
mod list;
mod ranking;
mod scan;

pub use in_collections::{CollectionPageQuery, count_in_collections, page_in_collections};
pub use list::{ProductList, ProductSort, count, page, recommendations};

use std::collections::BTreeMap;

use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::db::expr::{constant, in_ids};
use crate::db::schema::{product_tags, products};
use crate::db::types::Json;
use crate::db::{Conn, DbError, impl_weigh, insert_all, load, on_conn, per_backend};
use crate::domain::catalog::{Description, ProductOption, ProductStatus};
use crate::domain::ids::{Id, ProductId};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;
use crate::repositories::conditions::handle_like;

/// A product as stored.
#[derive(
    Clone, PartialEq, Debug, Queryable, QueryableByName, Selectable, Insertable, AsChangeset, Identifiable,
)]
#[diesel(table_name = products, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Product {
    /// Assigned by the server.
    pub id: ProductId,
    /// Unique in the shop.
    pub handle: String,
    /// Never empty.
    pub title: String,
    /// May be empty.
    pub vendor: String,
    /// May be empty.
    pub product_type: String,
    /// Who can see it.
    pub status: ProductStatus,
    /// In display order.
    pub options: Json<Vec<ProductOption>>,
    /// Overrides the title for search engines.
    pub seo_title: Option<String>,
    /// Overrides the description for search engines.
    pub seo_description: Option<String>,
    /// The cheapest variant's price, minor units.
    pub min_price: i64,
    /// The most expensive variant's price, in minor units.
    pub max_price: i64,
    /// Units sold.
    pub units_sold: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it, its variants or its images were last changed.
    pub updated_at: Timestamp,
    /// The tax class, `standard` by default.
    pub tax_class: String,
    /// Whether each unit that is sold is a gift card of its price.
    pub is_gift_card: bool,
}

impl_weigh!(Product, handle, title, vendor, product_type, options, seo_title, seo_description, tax_class);
impl_weigh!(ProductOption, name, values);
impl_weigh!(Description, text, html);

impl Product {
    /// Whether it is for sale, regardless of its stock.
    #[must_use]
    pub fn is_for_sale(&self) -> bool {
        self.status == ProductStatus::Active
    }
}

/// The keys by which products are compared and sorted.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = products, treat_none_as_default_value = false)]
struct Keys {
    title_key: String,
    vendor_key: String,
    type_key: String,
}

impl Keys {
    fn of(product: &Product) -> Self {
        Self {
            title_key: text::key(&product.title),
            vendor_key: text::key(&product.vendor),
            type_key: text::key(&product.product_type),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = product_tags, treat_none_as_default_value = false)]
struct ProductTag {
    product_id: ProductId,
    tag: String,
    tag_key: String,
}

/// The condition that a reader may see a product. One statement text for both kinds of readers.
fn visible(
    visibility: Visibility,
) -> dsl::Or<dsl::Eq<products::status, ProductStatus>, dsl::AsExprOf<bool, Bool>> {
    products::status.eq(ProductStatus::Active).or(constant(visibility.is_all()))
}

/// Returns a product with any status and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: ProductId) -> Result<Option<Product>, DbError> {
    per_backend!(conn,
        // Rows of others may refer to the product meanwhile.
        postgres: |c| {
            let row = products::table.find(id).select(Product::as_select());
            row.for_no_key_update().first(c).await.optional()
        },
        sqlite: |c| products::table.find(id).select(Product::as_select()).first(c).await.optional(),
    )
}

/// Locks products in the order of their ids until the transaction ends.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite has one writer"))]
pub async fn lock_all(conn: &mut Conn, ids: &[ProductId]) -> Result<(), DbError> {
    let _locked: Vec<ProductId> = per_backend!(conn,
        postgres: |c| {
            let rows = products::table.filter(in_ids(products::id, ids)).order_by(products::id);
            rows.select(products::id).for_no_key_update().load(c).await
        },
        sqlite: |_c| Ok::<Vec<ProductId>, diesel::result::Error>(Vec::new()),
    )?;
    Ok(())
}

/// Returns the product with this handle and any status.
pub async fn find_by_handle(conn: &mut Conn, handle: &str) -> Result<Option<Product>, DbError> {
    on_conn!(conn, |c| {
        products::table
            .filter(products::handle.eq(handle))
            .select(Product::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns the visible products with these ids, in no particular order.
pub async fn by_ids(
    conn: &mut Conn,
    visibility: Visibility,
    ids: &[ProductId],
) -> Result<Vec<Product>, DbError> {
    load!(
        conn,
        products::table
            .filter(in_ids(products::id, ids))
            .filter(visible(visibility))
            .select(Product::as_select())
    )
}

/// Returns the visible products with these handles, in no particular order.
pub async fn by_handles(
    conn: &mut Conn,
    visibility: Visibility,
    handles: &[String],
) -> Result<Vec<Product>, DbError> {
    load!(
        conn,
        products::table
            .filter(products::handle.eq_any(handles.to_vec()))
            .filter(visible(visibility))
            .select(Product::as_select())
    )
}

/// Returns the descriptions of the visible products with these ids, in no particular order.
pub async fn descriptions(
    conn: &mut Conn,
    visibility: Visibility,
    ids: &[ProductId],
) -> Result<Vec<(ProductId, Description)>, DbError> {
    let rows: Vec<(ProductId, String, String)> = load!(
        conn,
        products::table.filter(in_ids(products::id, ids)).filter(visible(visibility)).select((
            products::id,
            products::description,
            products::description_html
        ))
    )?;
    Ok(rows.into_iter().map(|(id, text, html)| (id, Description { text, html })).collect())
}

/// Returns the handles that equal `stem` or start with `stem` and a hyphen; a new handle must
/// differ from them.
pub async fn handles_like(conn: &mut Conn, stem: &str) -> Result<Vec<String>, DbError> {
    load!(conn, products::table.filter(handle_like!(products, stem)).select(products::handle))
}

/// Returns products after `last` in the order of their ids, for batch jobs over the whole shop.
pub async fn list_after(
    conn: &mut Conn,
    last: Option<ProductId>,
    limit: i64,
) -> Result<Vec<Product>, DbError> {
    load!(conn, {
        let mut query = products::table.into_boxed();
        if let Some(last) = last {
            query = query.filter(products::id.gt(last));
        }
        query.order_by(products::id).limit(limit).select(Product::as_select())
    })
}

/// Whether there are no products.
pub async fn is_empty(conn: &mut Conn) -> Result<bool, DbError> {
    let any: Option<ProductId> =
        on_conn!(conn, |c| products::table.select(products::id).first(c).await.optional())?;
    Ok(any.is_none())
}

/// Inserts a product.
pub async fn insert(conn: &mut Conn, product: &Product, description: &Description) -> Result<(), DbError> {
    let texts =
        (products::description.eq(&description.text), products::description_html.eq(&description.html));
    let row = (product, texts, Keys::of(product));
    on_conn!(conn, |c| diesel::insert_into(products::table).values(row).execute(c).await)?;
    Ok(())
}

/// Replaces the description of a product.
pub async fn set_description(
    conn: &mut Conn,
    id: ProductId,
    description: &Description,
) -> Result<(), DbError> {
    let texts =
        (products::description.eq(&description.text), products::description_html.eq(&description.html));
    on_conn!(conn, |c| diesel::update(products::table.find(id)).set(texts).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a product.
pub async fn update(conn: &mut Conn, product: &Product) -> Result<(), DbError> {
    let keyed = (product, Keys::of(product));
    on_conn!(conn, |c| diesel::update(products::table.find(product.id)).set(keyed).execute(c).await)?;
    Ok(())
}

/// Recomputes the keys of a product and its tags that a migration could not compute.
pub async fn refresh_keys(conn: &mut Conn, product: &Product, tags: &[String]) -> Result<(), DbError> {
    if ![&product.title, &product.vendor, &product.product_type].iter().all(|text| text.is_ascii()) {
        let keys = Keys::of(product);
        on_conn!(conn, |c| diesel::update(products::table.find(product.id)).set(keys).execute(c).await)?;
    }
    for tag in tags.iter().filter(|tag| !tag.is_ascii()) {
        on_conn!(conn, |c| {
            diesel::update(product_tags::table.find((product.id, tag)))
                .set(product_tags::tag_key.eq(text::key(tag)))
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

/// Deletes a product and everything that belongs to it; returns whether it existed.
pub async fn delete(conn: &mut Conn, id: ProductId) -> Result<bool, DbError> {
    let deleted = on_conn!(conn, |c| diesel::delete(products::table.find(id)).execute(c).await)?;
    Ok(deleted > 0)
}

/// Returns the tags of these products, sorted, as pairs.
pub async fn tags(conn: &mut Conn, ids: &[ProductId]) -> Result<Vec<(ProductId, String)>, DbError> {
    load!(
        conn,
        product_tags::table
            .filter(in_ids(product_tags::product_id, ids))
            .order_by((product_tags::product_id, product_tags::tag))
            .select((product_tags::product_id, product_tags::tag))
    )
}

/// Replaces the tags of a product.
pub async fn set_tags(conn: &mut Conn, id: ProductId, tags: &[String]) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(product_tags::table.filter(product_tags::product_id.eq(id)))
        .execute(c)
        .await)?;
    add_tags(conn, id, tags).await
}

/// Adds tags that a product does not have yet. Call it in a transaction.
pub async fn add_tags(conn: &mut Conn, id: ProductId, tags: &[String]) -> Result<(), DbError> {
    let row = |tag: &String| ProductTag { product_id: id, tag: tag.clone(), tag_key: text::key(tag) };
    let rows: Vec<ProductTag> = tags.iter().map(row).collect();
    insert_all!(conn, product_tags::table, rows)?;
    Ok(())
}

/// Returns the first distinct tags of visible products, sorted.
pub async fn distinct_tags(
    conn: &mut Conn,
    visibility: Visibility,
    limit: i64,
) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String, String)> = load!(
        conn,
        product_tags::table
            .inner_join(products::table)
            .filter(visible(visibility))
            .select((product_tags::tag_key, product_tags::tag))
            .distinct()
            .order_by((product_tags::tag_key, product_tags::tag))
            .limit(limit)
    )?;
    Ok(rows.into_iter().map(|(_, tag)| tag).collect())
}

/// Returns the first distinct types of visible products, sorted.
pub async fn distinct_types(
    conn: &mut Conn,
    visibility: Visibility,
    limit: i64,
) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String, String)> = load!(
        conn,
        products::table
            .filter(visible(visibility))
            .filter(products::product_type.ne(""))
            .select((products::type_key, products::product_type))
            .distinct()
            .order_by((products::type_key, products::product_type))
            .limit(limit)
    )?;
    Ok(rows.into_iter().map(|(_, kind)| kind).collect())
}

/// Adds to the products' numbers of units sold, or subtracts if a number is negative. Deleted
/// products are ignored.
pub async fn add_units_sold(conn: &mut Conn, sold: &BTreeMap<ProductId, i64>) -> Result<(), DbError> {
    if sold.is_empty() {
        return Ok(());
    }
    per_backend!(conn,
        postgres: |c| {
            let update = "UPDATE products SET units_sold = units_sold + sold.pieces \
                FROM (SELECT unnest($1) AS id, unnest($2) AS pieces) AS sold WHERE products.id = sold.id";
            let ids: Vec<uuid::Uuid> = sold.keys().map(|id| id.uuid()).collect();
            let pieces: Vec<i64> = sold.values().copied().collect();
            diesel::sql_query(update)
                .bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(ids)
                .bind::<diesel::sql_types::Array<diesel::sql_types::BigInt>, _>(pieces)
                .execute(c)
                .await
        },
        sqlite: |c| {
            let update = "UPDATE products SET units_sold = units_sold + sold.pieces \
                FROM (SELECT unhex(json_extract(value, '$[0]')) AS id, json_extract(value, '$[1]') AS pieces \
                FROM json_each(?)) AS sold WHERE products.id = sold.id";
            let rows: Vec<_> = sold.iter().map(|(id, pieces)| (id.uuid().simple().to_string(), *pieces)).collect();
            let json: serde_json::Value = rows.into_iter().map(|(id, pieces)| serde_json::json!([id, pieces])).collect();
            c.spawn_blocking(move |c| {
                let query = diesel::sql_query(update).bind::<diesel::sql_types::Text, _>(json.to_string());
                diesel::RunQueryDsl::execute(query, c)
            }).await
        },
    )?;
    Ok(())
}
