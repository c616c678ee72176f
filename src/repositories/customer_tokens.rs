//! Tokens that are mailed to customers to prove that the address is theirs, by their hashes.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::customer_tokens;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{CustomerId, CustomerTokenId};
use crate::domain::time::Timestamp;

/// A mailed token as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = customer_tokens)]
pub struct CustomerToken {
    /// Made by us; the token itself is made of it.
    pub id: CustomerTokenId,
    /// Whose address it is sent to.
    pub customer_id: CustomerId,
    /// `recover` or `verify_email`.
    pub purpose: String,
    /// SHA-256 of the token.
    pub token_hash: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used; it is good for one use.
    pub used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The address that it is sent to: it proves that one and no other.
    pub email: String,
}

/// One token.
pub async fn find(conn: &mut Conn, id: CustomerTokenId) -> Result<Option<CustomerToken>, DbError> {
    on_conn!(conn, |c| {
        customer_tokens::table.find(id).select(CustomerToken::as_select()).first(c).await.optional()
    })
}

/// The token with a hash.
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

/// When the last token of a customer for a purpose was made.
pub async fn last_made_at(
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

/// Adds a token.
pub async fn insert(conn: &mut Conn, token: &CustomerToken) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(customer_tokens::table).values(token).execute(c).await)?;
    Ok(())
}

/// Uses a token up; false if it was used before.
pub async fn spend(conn: &mut Conn, id: CustomerTokenId, now: Timestamp) -> Result<bool, DbError> {
    let spent = on_conn!(conn, |c| {
        diesel::update(customer_tokens::table.find(id).filter(customer_tokens::used_at.is_null()))
            .set(customer_tokens::used_at.eq(Some(now)))
            .execute(c)
            .await
    })?;
    Ok(spent > 0)
}

/// Uses up all tokens of a customer for these purposes.
pub async fn spend_all(
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

/// Removes up to `limit` tokens whose time was over before a moment; how many.
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
