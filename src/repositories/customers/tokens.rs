//! Tokens mailed to customers to verify an address or reset a password, stored as hashes.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::customer_tokens;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{CustomerId, CustomerTokenId};
use crate::domain::time::Timestamp;

/// A mailed token as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = customer_tokens, treat_none_as_default_value = false)]
pub struct CustomerToken {
    /// Assigned by the server; the token is derived from it.
    pub id: CustomerTokenId,
    /// The customer it is mailed to.
    pub customer_id: CustomerId,
    /// `recover` or `verify_email`.
    pub purpose: String,
    /// SHA-256 of the token.
    pub token_hash: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was used; it can be used only once.
    pub used_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The address it is mailed to, which is the only one it verifies.
    pub email: String,
}

/// Returns a token.
pub async fn find(conn: &mut Conn, id: CustomerTokenId) -> Result<Option<CustomerToken>, DbError> {
    on_conn!(conn, |c| {
        customer_tokens::table.find(id).select(CustomerToken::as_select()).first(c).await.optional()
    })
}

/// Returns the token with this hash.
pub async fn find_by_hash(conn: &mut Conn, hash: &str) -> Result<Option<CustomerToken>, DbError> {
    on_conn!(conn, |c| {
        customer_tokens::table
            .filter(customer_tokens::token_hash.eq(hash))
            .select(CustomerToken::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns when the last token for a customer and purpose was created.
pub async fn last_created_at(
    conn: &mut Conn,
    customer: CustomerId,
    purpose: &str,
) -> Result<Option<Timestamp>, DbError> {
    on_conn!(conn, |c| {
        customer_tokens::table
            .filter(customer_tokens::customer_id.eq(customer))
            .filter(customer_tokens::purpose.eq(purpose))
            .order_by(customer_tokens::created_at.desc())
            .select(customer_tokens::created_at)
            .first(c)
            .await
            .optional()
    })
}

/// Inserts a token.
pub async fn insert(conn: &mut Conn, token: &CustomerToken) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(customer_tokens::table).values(token).execute(c).await)?;
    Ok(())
}

/// Marks a token as used; returns `false` if it was used before.
pub async fn mark_used(conn: &mut Conn, id: CustomerTokenId, now: Timestamp) -> Result<bool, DbError> {
    let updated = on_conn!(conn, |c| {
        diesel::update(customer_tokens::table.find(id).filter(customer_tokens::used_at.is_null()))
            .set(customer_tokens::used_at.eq(Some(now)))
            .execute(c)
            .await
    })?;
    Ok(updated > 0)
}

/// Marks all tokens of a customer for these purposes as used.
pub async fn mark_all_used(
    conn: &mut Conn,
    customer: CustomerId,
    purposes: &[&str],
    now: Timestamp,
) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            customer_tokens::table
                .filter(customer_tokens::customer_id.eq(customer))
                .filter(customer_tokens::purpose.eq_any(purposes))
                .filter(customer_tokens::used_at.is_null()),
        )
        .set(customer_tokens::used_at.eq(Some(now)))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Deletes up to `limit` tokens that expired before a time; returns their number.
pub async fn delete_expired(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<CustomerTokenId> = load!(
        conn,
        customer_tokens::table
            .filter(customer_tokens::expires_at.lt(before))
            .limit(limit)
            .select(customer_tokens::id)
    )?;
    on_conn!(conn, |c| diesel::delete(customer_tokens::table.filter(in_ids(customer_tokens::id, &ids)))
        .execute(c)
        .await)
}
