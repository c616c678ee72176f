//! Refresh tokens, by their hashes. All that came of one sign-in are a family, and a family is a session.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::refresh_tokens;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{CustomerId, FamilyId, RefreshTokenId, StaffId};
use crate::domain::time::Timestamp;

/// A refresh token as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub struct RefreshToken {
    /// Made by us.
    pub id: RefreshTokenId,
    /// The session.
    pub family_id: FamilyId,
    /// The customer who is signed in, or
    pub customer_id: Option<CustomerId>,
    /// the member of staff.
    pub staff_id: Option<StaffId>,
    /// SHA-256 of the token.
    pub token_hash: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was exchanged for the next one.
    pub spent_at: Option<Timestamp>,
    /// When its session was ended.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The token with a hash.
pub async fn find_by_hash(conn: &mut Conn, hash: &str) -> Result<Option<RefreshToken>, DbError> {
    on_conn!(conn, |c| {
        refresh_tokens::table
            .filter(refresh_tokens::token_hash.eq(hash))
            .select(RefreshToken::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// The token of a session that can still be exchanged.
pub async fn current(conn: &mut Conn, family: FamilyId) -> Result<Option<RefreshToken>, DbError> {
    on_conn!(conn, |c| {
        refresh_tokens::table
            .filter(refresh_tokens::family_id.eq(family))
            .filter(refresh_tokens::spent_at.is_null())
            .filter(refresh_tokens::revoked_at.is_null())
            .select(RefreshToken::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Those of these sessions that are there and not ended.
pub async fn alive(conn: &mut Conn, families: &[FamilyId]) -> Result<Vec<FamilyId>, DbError> {
    load!(
        conn,
        refresh_tokens::table
            .filter(in_ids(refresh_tokens::family_id, families))
            .filter(refresh_tokens::revoked_at.is_null())
            .select(refresh_tokens::family_id)
            .distinct()
    )
}

/// Adds a token.
pub async fn insert(conn: &mut Conn, token: &RefreshToken) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(refresh_tokens::table).values(token).execute(c).await)?;
    Ok(())
}

/// Exchanges a token; false if it was exchanged before.
pub async fn spend(conn: &mut Conn, id: RefreshTokenId, now: Timestamp) -> Result<bool, DbError> {
    let spent = on_conn!(conn, |c| {
        diesel::update(refresh_tokens::table.find(id).filter(refresh_tokens::spent_at.is_null()))
            .set(refresh_tokens::spent_at.eq(Some(now)))
            .execute(c)
            .await
    })?;
    Ok(spent > 0)
}

/// Ends a session; whether it stood until now.
pub async fn revoke_family(conn: &mut Conn, family: FamilyId, now: Timestamp) -> Result<bool, DbError> {
    let revoked = on_conn!(conn, |c| {
        diesel::update(
            refresh_tokens::table
                .filter(refresh_tokens::family_id.eq(family))
                .filter(refresh_tokens::revoked_at.is_null()),
        )
        .set(refresh_tokens::revoked_at.eq(Some(now)))
        .execute(c)
        .await
    })?;
    Ok(revoked > 0)
}

/// Ends all sessions of a customer.
pub async fn revoke_customer(conn: &mut Conn, customer: CustomerId, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            refresh_tokens::table
                .filter(refresh_tokens::customer_id.eq(customer))
                .filter(refresh_tokens::revoked_at.is_null()),
        )
        .set(refresh_tokens::revoked_at.eq(Some(now)))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Ends all sessions of a customer but one, or all where `own` is `None`.
pub async fn revoke_others(
    conn: &mut Conn,
    customer: CustomerId,
    own: Option<FamilyId>,
    now: Timestamp,
) -> Result<(), DbError> {
    let Some(own) = own else { return revoke_customer(conn, customer, now).await };
    on_conn!(conn, |c| {
        diesel::update(
            refresh_tokens::table
                .filter(refresh_tokens::customer_id.eq(customer))
                .filter(refresh_tokens::family_id.ne(own))
                .filter(refresh_tokens::revoked_at.is_null()),
        )
        .set(refresh_tokens::revoked_at.eq(Some(now)))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Ends all sessions of a member of staff.
pub async fn revoke_staff(conn: &mut Conn, staff: StaffId, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            refresh_tokens::table
                .filter(refresh_tokens::staff_id.eq(staff))
                .filter(refresh_tokens::revoked_at.is_null()),
        )
        .set(refresh_tokens::revoked_at.eq(Some(now)))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Removes up to `limit` tokens whose time was over before a moment; how many.
pub async fn delete_expired(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<RefreshTokenId> = load!(
        conn,
        refresh_tokens::table
            .filter(refresh_tokens::expires_at.lt(before))
            .limit(limit)
            .select(refresh_tokens::id)
    )?;
    on_conn!(conn, |c| diesel::delete(refresh_tokens::table.filter(in_ids(refresh_tokens::id, &ids)))
        .execute(c)
        .await)
}
