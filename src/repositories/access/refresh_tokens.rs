//! Refresh tokens, stored as hashes. All tokens descended from one sign-in form a session.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::refresh_tokens;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{CustomerId, RefreshTokenId, SessionId, StaffId};
use crate::domain::time::Timestamp;

/// A refresh token as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens, treat_none_as_default_value = false)]
pub struct RefreshToken {
    /// Assigned by the server.
    pub id: RefreshTokenId,
    /// The session.
    pub family_id: SessionId,
    /// The customer who is signed in; `None` for staff.
    pub customer_id: Option<CustomerId>,
    /// The staff member who is signed in; `None` for customers.
    pub staff_id: Option<StaffId>,
    /// SHA-256 of the token.
    pub token_hash: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was exchanged for the next one.
    pub spent_at: Option<Timestamp>,
    /// When the session was ended.
    pub revoked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Returns the token with this hash.
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

/// Returns the token of a session that can still be exchanged.
pub async fn current_token(conn: &mut Conn, family: SessionId) -> Result<Option<RefreshToken>, DbError> {
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

/// Returns which of these sessions exist and have not ended.
pub async fn active_sessions(conn: &mut Conn, families: &[SessionId]) -> Result<Vec<SessionId>, DbError> {
    load!(
        conn,
        refresh_tokens::table
            .filter(in_ids(refresh_tokens::family_id, families))
            .filter(refresh_tokens::revoked_at.is_null())
            .select(refresh_tokens::family_id)
            .distinct()
    )
}

/// Inserts a token.
pub async fn insert(conn: &mut Conn, token: &RefreshToken) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(refresh_tokens::table).values(token).execute(c).await)?;
    Ok(())
}

/// Marks a token as exchanged; returns `false` if it was exchanged before.
pub async fn mark_spent(conn: &mut Conn, id: RefreshTokenId, now: Timestamp) -> Result<bool, DbError> {
    let updated = on_conn!(conn, |c| {
        diesel::update(refresh_tokens::table.find(id).filter(refresh_tokens::spent_at.is_null()))
            .set(refresh_tokens::spent_at.eq(Some(now)))
            .execute(c)
            .await
    })?;
    Ok(updated > 0)
}

/// Ends the sessions that meet a condition; evaluates to the number of their tokens.
macro_rules! revoke {
    ($conn:expr, $condition:expr, $now:expr) => {
        on_conn!($conn, |c| {
            diesel::update(
                refresh_tokens::table.filter($condition).filter(refresh_tokens::revoked_at.is_null()),
            )
            .set(refresh_tokens::revoked_at.eq(Some($now)))
            .execute(c)
            .await
        })
    };
}

/// Ends a session; returns whether it was active.
pub async fn revoke_session(conn: &mut Conn, family: SessionId, now: Timestamp) -> Result<bool, DbError> {
    Ok(revoke!(conn, refresh_tokens::family_id.eq(family), now)? > 0)
}

/// Ends all sessions of a customer.
pub async fn revoke_customer(conn: &mut Conn, customer: CustomerId, now: Timestamp) -> Result<(), DbError> {
    revoke!(conn, refresh_tokens::customer_id.eq(customer), now).map(drop)
}

/// Ends all sessions of a customer except `own`, if given.
pub async fn revoke_others(
    conn: &mut Conn,
    customer: CustomerId,
    own: Option<SessionId>,
    now: Timestamp,
) -> Result<(), DbError> {
    let Some(own) = own else { return revoke_customer(conn, customer, now).await };
    let others = refresh_tokens::customer_id.eq(customer).and(refresh_tokens::family_id.ne(own));
    revoke!(conn, others, now).map(drop)
}

/// Ends all sessions of a staff member.
pub async fn revoke_staff(conn: &mut Conn, staff: StaffId, now: Timestamp) -> Result<(), DbError> {
    revoke!(conn, refresh_tokens::staff_id.eq(staff), now).map(drop)
}

/// Deletes up to `limit` tokens that expired before a time; returns their number.
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
