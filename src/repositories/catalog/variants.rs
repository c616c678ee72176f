//! Product variants.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{products, variants};
use crate::db::types::Json;
use crate::db::{Conn, DbError, impl_weigh, insert_all, load, on_conn};
use crate::domain::catalog::{InventoryPolicy, WeightUnit};
use crate::domain::ids::{ImageId, ProductId, VariantId};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::catalog::products::Product;

/// A variant as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = variants, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Variant {
    /// Assigned by the server.
    pub id: VariantId,
    /// The product.
    pub product_id: ProductId,
    /// Position among the product's variants, from 1.
    pub position: i64,
    /// The option values, joined.
    pub title: String,
    /// The SKU; need not be unique.
    pub sku: Option<String>,
    /// EAN, UPC or ISBN.
    pub barcode: Option<String>,
    /// Price in minor units.
    pub price: i64,
    /// Compare-at price in minor units.
    pub compare_at_price: Option<i64>,
    /// One value per product option.
    pub option_values: Json<Vec<String>>,
    /// Weight in milligrams: precise enough to show any weight as it was entered.
    pub weight_milligrams: i64,
    /// The unit the weight is shown in.
    pub weight_unit: WeightUnit,
    /// Whether it is taxed.
    pub taxable: bool,
    /// Whether it is shipped.
    pub requires_shipping: bool,
    /// Whether its stock is tracked.
    pub inventory_tracked: bool,
    /// What happens when it is out of stock.
    pub inventory_policy: InventoryPolicy,
    /// The product image that shows it.
    pub image_id: Option<ImageId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Whether a price was set; until then the price is 0, and it can't be bought.
    pub is_priced: bool,
}

impl_weigh!(Variant, title, sku, barcode, option_values);

/// The keys by which variants are compared.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = variants, treat_none_as_default_value = false, treat_none_as_null = true)]
struct Keys {
    sku_key: Option<String>,
    barcode_key: Option<String>,
}

#[derive(Insertable)]
#[diesel(table_name = variants, treat_none_as_default_value = false)]
struct Keyed {
    #[diesel(embed)]
    variant: Variant,
    #[diesel(embed)]
    keys: Keys,
}

impl Keys {
    fn of(variant: &Variant) -> Self {
        let key = |text: &Option<String>| text.as_deref().map(text::key);
        Self { sku_key: key(&variant.sku), barcode_key: key(&variant.barcode) }
    }
}

/// Returns the variants with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<Variant>, DbError> {
    load!(conn, variants::table.filter(in_ids(variants::id, ids)).select(Variant::as_select()))
}

/// Returns the variants of these products, each product's in order.
pub async fn by_product_ids(conn: &mut Conn, ids: &[ProductId]) -> Result<Vec<Variant>, DbError> {
    load!(
        conn,
        variants::table
            .filter(in_ids(variants::product_id, ids))
            .order_by((variants::product_id, variants::position, variants::id))
            .select(Variant::as_select())
    )
}

/// Returns the variants with these ids and their products, in no particular order.
pub async fn with_products(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<(Variant, Product)>, DbError> {
    load!(
        conn,
        variants::table
            .inner_join(products::table)
            .filter(in_ids(variants::id, ids))
            .select((Variant::as_select(), Product::as_select()))
    )
}

/// Inserts variants. Call it in a transaction.
pub async fn insert(conn: &mut Conn, rows: Vec<Variant>) -> Result<(), DbError> {
    let keyed = |variant: Variant| Keyed { keys: Keys::of(&variant), variant };
    let rows: Vec<Keyed> = rows.into_iter().map(keyed).collect();
    insert_all!(conn, variants::table, rows)?;
    Ok(())
}

/// Updates all fields of a variant.
pub async fn update(conn: &mut Conn, variant: &Variant) -> Result<(), DbError> {
    let keyed = (variant, Keys::of(variant));
    on_conn!(conn, |c| diesel::update(variants::table.find(variant.id)).set(keyed).execute(c).await)?;
    Ok(())
}

/// Recomputes the keys of variants that a migration could not compute.
pub async fn refresh_keys(conn: &mut Conn, rows: &[Variant]) -> Result<(), DbError> {
    let is_plain = |text: &Option<String>| text.as_deref().is_none_or(str::is_ascii);
    for variant in rows.iter().filter(|variant| !(is_plain(&variant.sku) && is_plain(&variant.barcode))) {
        let keys = Keys::of(variant);
        on_conn!(conn, |c| diesel::update(variants::table.find(variant.id)).set(keys).execute(c).await)?;
    }
    Ok(())
}

/// Starts tracking the stock of variants.
pub async fn track(conn: &mut Conn, ids: &[VariantId], at: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(variants::table.filter(in_ids(variants::id, ids)))
        .set((variants::inventory_tracked.eq(true), variants::updated_at.eq(at)))
        .execute(c)
        .await)?;
    Ok(())
}

/// Removes variants.
pub async fn delete(conn: &mut Conn, ids: &[VariantId]) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(variants::table.filter(in_ids(variants::id, ids))).execute(c).await)?;
    Ok(())
}
