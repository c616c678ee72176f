//! The shop itself: one row.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::shops;
use crate::db::{Conn, DbError, on_conn};
use crate::domain::ids::ShopId;
use crate::domain::time::Timestamp;

/// The shop as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = shops)]
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
}

/// The shop, once there is one.
pub async fn find(conn: &mut Conn) -> Result<Option<Shop>, DbError> {
    on_conn!(conn, |c| shops::table.select(Shop::as_select()).first(c).await.optional())
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
