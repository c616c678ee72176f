//! The shop's policies: at most one of each kind.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::shop_policies;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::PolicyId;
use crate::domain::policy::PolicyKind;
use crate::domain::time::Timestamp;

/// A policy as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shop_policies)]
pub struct ShopPolicy {
    /// Made by us.
    pub id: PolicyId,
    /// Unique in the shop.
    pub kind: PolicyKind,
    /// What it is called.
    pub title: String,
    /// As staff wrote it, with HTML; never empty.
    pub body: String,
    /// When it was written first.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// All policies, in no order.
pub async fn all(conn: &mut Conn) -> Result<Vec<ShopPolicy>, DbError> {
    load!(conn, shop_policies::table.select(ShopPolicy::as_select()))
}

/// The policies with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[PolicyId]) -> Result<Vec<ShopPolicy>, DbError> {
    load!(conn, shop_policies::table.filter(in_ids(shop_policies::id, ids)).select(ShopPolicy::as_select()))
}

/// Adds a policy.
pub async fn insert(conn: &mut Conn, policy: &ShopPolicy) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(shop_policies::table).values(policy).execute(c).await)?;
    Ok(())
}

/// Stores a policy's fields, all of them.
pub async fn update(conn: &mut Conn, policy: &ShopPolicy) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shop_policies::table.find(policy.id)).set(policy).execute(c).await)?;
    Ok(())
}

/// Removes a policy.
pub async fn delete(conn: &mut Conn, id: PolicyId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(shop_policies::table.find(id)).execute(c).await)?;
    Ok(())
}
