//! The shop's policies, at most one of each kind.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::shop_policies;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::content::policies::PolicyKind;
use crate::domain::ids::PolicyId;
use crate::domain::time::Timestamp;

/// A policy as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shop_policies, treat_none_as_default_value = false)]
pub struct ShopPolicy {
    /// Assigned by the server.
    pub id: PolicyId,
    /// Unique in the shop.
    pub kind: PolicyKind,
    /// The title.
    pub title: String,
    /// HTML, as written by staff; never empty.
    pub body: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns all policies, in no particular order.
pub async fn all(conn: &mut Conn) -> Result<Vec<ShopPolicy>, DbError> {
    load!(conn, shop_policies::table.select(ShopPolicy::as_select()))
}

/// Returns the policies with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[PolicyId]) -> Result<Vec<ShopPolicy>, DbError> {
    load!(conn, shop_policies::table.filter(in_ids(shop_policies::id, ids)).select(ShopPolicy::as_select()))
}

/// Inserts a policy.
pub async fn insert(conn: &mut Conn, policy: &ShopPolicy) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(shop_policies::table).values(policy).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a policy.
pub async fn update(conn: &mut Conn, policy: &ShopPolicy) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shop_policies::table.find(policy.id)).set(policy).execute(c).await)?;
    Ok(())
}

/// Deletes a policy.
pub async fn delete(conn: &mut Conn, id: PolicyId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(shop_policies::table.find(id)).execute(c).await)?;
    Ok(())
}
