//! Sessions of customers and staff: opened at sign-in, extended with refresh tokens, ended.
//!
//! A session is a family of refresh tokens, of which only the latest can be exchanged. If an older
//! one is used again, it was copied. The thief can't be told from the owner, so the session is
//! ended. Called by the services of customers and staff, which decide who may sign in.

use std::sync::Arc;

use crate::auth::{Authenticator, Invalidation, Principal, Session, add_seconds, hash_secret, new_secret};
use crate::context::OpContext;
use crate::db::{Db, Tx};
use crate::domain::events::{CustomerEvent, Event, StaffSessionEvent};
use crate::domain::ids::{RefreshTokenId, SessionId};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::events;
use crate::repositories::access::refresh_tokens::{self, RefreshToken};
use crate::repositories::{customers, staff};

const MINUTE_SECONDS: i64 = 60;
const DAY_SECONDS: i64 = 24 * 60 * MINUTE_SECONDS;

/// Lifetime of a customer's access token, in seconds.
const CUSTOMER_ACCESS_TTL: i64 = 60 * MINUTE_SECONDS;
/// Lifetime of a customer's refresh token, in seconds.
const CUSTOMER_REFRESH_TTL: i64 = 30 * DAY_SECONDS;
/// Lifetime of a staff member's access token, in seconds.
const STAFF_ACCESS_TTL: i64 = 15 * MINUTE_SECONDS;
/// Lifetime of a staff member's refresh token, in seconds.
const STAFF_REFRESH_TTL: i64 = 7 * DAY_SECONDS;

/// Opens, extends and ends sessions.
pub struct Sessions {
    db: Db,
    auth: Arc<Authenticator>,
}

/// The tokens of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTokens {
    /// The access token.
    pub access_token: String,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// The refresh token; `None` when the session's current one is still valid.
    pub refresh_token: Option<String>,
}

/// The kind of account that a refresh token belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::services) enum AccountKind {
    Customer,
    Staff,
}

/// The result of exchanging a refresh token.
enum Exchanged {
    /// It was exchanged for these tokens.
    Tokens(SessionTokens),
    /// It is unknown, or its session is over.
    Refused,
    /// It had been used before, so its session was ended.
    SessionEnded(SessionId),
}

impl Sessions {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, auth: Arc<Authenticator>) -> Self {
        Self { db, auth }
    }

    /// Issues the first or next tokens of a session, in a transaction of the caller.
    pub(in crate::services) async fn open(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        principal: Principal,
        family: SessionId,
    ) -> Result<SessionTokens, Error> {
        let refresh_token = new_secret()?;
        let ttl = if matches!(principal, Principal::Customer(_)) {
            CUSTOMER_REFRESH_TTL
        } else {
            STAFF_REFRESH_TTL
        };
        let row = RefreshToken {
            id: RefreshTokenId::generate(),
            family_id: family,
            customer_id: if let Principal::Customer(id) = principal { Some(id) } else { None },
            staff_id: if let Principal::Staff(id) = principal { Some(id) } else { None },
            token_hash: hash_secret(&refresh_token),
            expires_at: add_seconds(op.now(), ttl),
            spent_at: None,
            revoked_at: None,
            created_at: op.now(),
        };
        refresh_tokens::insert(tx.conn(), &row).await?;
        let mut tokens = self.issue_access_token(op, principal, family, row.expires_at)?;
        tokens.refresh_token = Some(refresh_token);
        Ok(tokens)
    }

    /// Issues an access token, which does not outlive the session.
    fn issue_access_token(
        &self,
        op: &OpContext,
        principal: Principal,
        family: SessionId,
        session_end: Timestamp,
    ) -> Result<SessionTokens, Error> {
        let ttl =
            if matches!(principal, Principal::Customer(_)) { CUSTOMER_ACCESS_TTL } else { STAFF_ACCESS_TTL };
        let expiry = add_seconds(op.now(), ttl).min(session_end);
        // The expiry of a token is in whole seconds.
        let expires_at =
            Timestamp::from_micros(expiry.micros().div_euclid(1_000_000).saturating_mul(1_000_000))
                .unwrap_or(expiry);
        let access_token = self.auth.keys.sign(&Session { principal, family, expires_at }, op.now())?;
        Ok(SessionTokens { access_token, expires_at, refresh_token: None })
    }

    /// Exchanges a refresh token for new tokens; `None` if it is unknown, or its session is over.
    pub(in crate::services) async fn exchange(
        &self,
        op: &OpContext,
        refresh_token: &str,
        kind: AccountKind,
    ) -> Result<Option<SessionTokens>, Error> {
        let hash = hash_secret(refresh_token);
        let exchanged = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| self.exchange_in(tx, op, &hash, kind).await)
            .await?;
        match exchanged {
            Exchanged::Tokens(tokens) => Ok(Some(tokens)),
            Exchanged::Refused => Ok(None),
            Exchanged::SessionEnded(family) => {
                self.auth.invalidate(Invalidation::Session(family));
                tracing::warn!(
                    request_id = &*op.request_id,
                    "a used refresh token was sent again: its session has been ended"
                );
                Ok(None)
            }
        }
    }

    async fn exchange_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        hash: &str,
        kind: AccountKind,
    ) -> Result<Exchanged, Error> {
        let mut row = refresh_tokens::find_by_hash(tx.conn(), hash).await?;
        if let Some(found) = &row {
            // Ending all sessions of an account locks the account: without this lock, a token
            // issued concurrently would survive that.
            row = if lock_principal(tx, found).await? {
                refresh_tokens::find_by_hash(tx.conn(), hash).await?
            } else {
                None
            };
        }
        let row = row.filter(|row| row.revoked_at.is_none() && op.now() < row.expires_at);
        let principal = row.as_ref().and_then(|row| match kind {
            AccountKind::Customer => row.customer_id.map(Principal::Customer),
            AccountKind::Staff => row.staff_id.map(Principal::Staff),
        });
        let (Some(row), Some(principal)) = (row, principal) else {
            return Ok(Exchanged::Refused);
        };
        if !refresh_tokens::mark_spent(tx.conn(), row.id, op.now()).await? {
            refresh_tokens::revoke_session(tx.conn(), row.family_id, op.now()).await?;
            events::append(tx, op, [session_revoked_event(principal)]).await?;
            return Ok(Exchanged::SessionEnded(row.family_id));
        }
        Ok(Exchanged::Tokens(self.open(tx, op, principal, row.family_id).await?))
    }

    /// Issues a new access token for a customer's valid one; `None` if it is not valid, or a staff
    /// member's. This does not extend the session.
    pub(in crate::services) async fn renew(
        &self,
        op: &OpContext,
        access_token: &str,
    ) -> Result<Option<SessionTokens>, Error> {
        let Some(session) = self.auth.keys.verify(access_token, op.now()) else { return Ok(None) };
        if matches!(session.principal, Principal::Staff(_)) {
            return Ok(None);
        }
        let mut conn = self.db.read(&op.statements).await?;
        let current = refresh_tokens::current_token(&mut conn, session.family).await?;
        match current.filter(|row| op.now() < row.expires_at) {
            None => Ok(None),
            Some(row) => {
                Ok(Some(self.issue_access_token(op, session.principal, session.family, row.expires_at)?))
            }
        }
    }

    /// Ends a session. Returns whether it was still active.
    pub(in crate::services) async fn end(&self, op: &OpContext, family: SessionId) -> Result<bool, Error> {
        let ended = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                if let Some(current) = refresh_tokens::current_token(tx.conn(), family).await? {
                    // Otherwise a token issued concurrently would survive.
                    lock_principal(tx, &current).await?;
                }
                let ended = refresh_tokens::revoke_session(tx.conn(), family, op.now()).await?;
                Ok::<_, Error>(ended)
            })
            .await?;
        self.auth.invalidate(Invalidation::Session(family));
        Ok(ended)
    }
}

/// Locks the account that a token belongs to. Returns whether it may still sign in.
async fn lock_principal(tx: &mut Tx, token: &RefreshToken) -> Result<bool, Error> {
    Ok(match (token.customer_id, token.staff_id) {
        (Some(id), _) => {
            customers::lock(tx.conn(), id).await?.is_some_and(|customer| customer.erased_at.is_none())
        }
        (None, Some(id)) => staff::lock(tx.conn(), id).await?.is_some_and(|member| member.is_active),
        (None, None) => false,
    })
}

fn session_revoked_event(principal: Principal) -> Event {
    match principal {
        Principal::Customer(customer_id) => Event::CustomerSessionRevoked(CustomerEvent { customer_id }),
        Principal::Staff(staff_id) => Event::StaffSessionRevoked(StaffSessionEvent { staff_id }),
    }
}
