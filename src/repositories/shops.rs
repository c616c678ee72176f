//! The shop itself: one row.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::shops;
use crate::db::types::Json;
use crate::db::{Conn, DbError, on_conn, on_each};
use crate::domain::ids::ShopId;
use crate::domain::shop_profile::ShopProfile;
use crate::domain::time::Timestamp;

/// The shop as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shops, treat_none_as_null = true)]
pub struct Shop {
    /// Made by us.
    pub id: ShopId,
    /// Always true: what keeps a second row out.
    pub singleton: bool,
    /// The name buyers know.
    pub name: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// ISO 4217: what all prices are in.
    pub currency: String,
    /// ISO 3166-1 alpha-2: where it is.
    pub country: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether prices contain the taxes.
    pub taxes_included: bool,
    /// Its language and its brand.
    pub profile: Json<ShopProfile>,
}

/// The shop, once there is one.
pub async fn find(conn: &mut Conn) -> Result<Option<Shop>, DbError> {
    on_conn!(conn, |c| shops::table.select(Shop::as_select()).first(c).await.optional())
}

/// The shop, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn) -> Result<Option<Shop>, DbError> {
    on_each!(conn,
        postgres: |c| shops::table.select(Shop::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| shops::table.select(Shop::as_select()).first(c).await.optional(),
    )
}

/// Stores the shop's fields, all of them.
pub async fn update(conn: &mut Conn, shop: &Shop) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shops::table.find(shop.id)).set(shop).execute(c).await)?;
    Ok(())
}

/// Makes the shop, unless another process was first; whether it was made.
pub async fn insert(conn: &mut Conn, shop: &Shop) -> Result<bool, DbError> {
    let made = on_conn!(conn, |c| diesel::insert_into(shops::table)
        .values(shop)
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(made > 0)
}
