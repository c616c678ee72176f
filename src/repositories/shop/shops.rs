//! The shop's only row.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::shops;
use crate::db::types::Json;
use crate::db::{Conn, DbError, on_conn, per_backend};
use crate::domain::ids::ShopId;
use crate::domain::shop::ShopProfile;
use crate::domain::time::Timestamp;

/// The shop as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shops, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Shop {
    /// Assigned by the server.
    pub id: ShopId,
    /// Always true; a unique constraint on it prevents a second row.
    pub singleton: bool,
    /// The name shown to buyers.
    pub name: String,
    /// A short description.
    pub description: Option<String>,
    /// ISO 4217 code of the currency of all prices.
    pub currency: String,
    /// ISO 3166-1 alpha-2 code of the shop's country.
    pub country: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// The language and the brand.
    pub profile: Json<ShopProfile>,
}

/// Returns the shop, if it exists.
pub async fn find(conn: &mut Conn) -> Result<Option<Shop>, DbError> {
    on_conn!(conn, |c| shops::table.select(Shop::as_select()).first(c).await.optional())
}

/// Returns the shop and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn) -> Result<Option<Shop>, DbError> {
    per_backend!(conn,
        postgres: |c| shops::table.select(Shop::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| shops::table.select(Shop::as_select()).first(c).await.optional(),
    )
}

/// Updates all fields of the shop.
pub async fn update(conn: &mut Conn, shop: &Shop) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shops::table.find(shop.id)).set(shop).execute(c).await)?;
    Ok(())
}

/// Inserts the shop unless another process did; returns whether it was inserted.
pub async fn insert(conn: &mut Conn, shop: &Shop) -> Result<bool, DbError> {
    let made = on_conn!(conn, |c| diesel::insert_into(shops::table)
        .values(shop)
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(made > 0)
}
