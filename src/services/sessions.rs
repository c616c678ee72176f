//! Sessions of customers and staff: opened at sign-in, carried on with refresh tokens, ended.
//!
//! A session is a family of refresh tokens of which one at a time can be exchanged. One that was exchanged and comes again was
//! copied: by whom can't be told, so the session ends for everybody. Services of customers and staff call this; who may sign in
//! is theirs to say.

use std::sync::Arc;

use crate::auth::{Affected, Authenticator, Holder, Session, hash_secret, later, new_secret};
use crate::context::OpContext;
use crate::db::{Db, Tx, retrying};
use crate::domain::event::{CustomerEvent, Event, StaffSessionEvent};
use crate::domain::ids::{FamilyId, RefreshTokenId};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::events;
use crate::repositories::refresh_tokens::{self, RefreshToken};
use crate::repositories::{customers, staff};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// How long a customer's access token lives, in seconds.
const CUSTOMER_ACCESS: i64 = 60 * MINUTE;
/// How long a customer's refresh token lives.
const CUSTOMER_REFRESH: i64 = 30 * DAY;
/// How long a staff member's access token lives.
const STAFF_ACCESS: i64 = 15 * MINUTE;
/// How long a staff member's refresh token lives.
const STAFF_REFRESH: i64 = 7 * DAY;

/// Opens, carries on and ends sessions.
pub struct Sessions {
    db: Db,
    auth: Arc<Authenticator>,
}

/// What somebody signs their requests with.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTokens {
    /// The access token.
    pub access_token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it is exchanged for the next one with; `None` where the session's refresh token is still the one.
    pub refresh_token: Option<String>,
}

/// Whose session is to be carried on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    Customers,
    Staff,
}

impl Sessions {
    /// Sessions in a database.
    #[must_use]
    pub fn new(db: Db, auth: Arc<Authenticator>) -> Self {
        Self { db, auth }
    }

    /// Opens a session, or puts the next tokens into one. In a transaction.
    pub(super) async fn open(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        holder: Holder,
        family: FamilyId,
    ) -> Result<SessionTokens, Error> {
        let refresh_token = new_secret()?;
        let lives = if matches!(holder, Holder::Customer(_)) { CUSTOMER_REFRESH } else { STAFF_REFRESH };
        let row = RefreshToken {
            id: RefreshTokenId::generate(),
            family_id: family,
            customer_id: if let Holder::Customer(id) = holder { Some(id) } else { None },
            staff_id: if let Holder::Staff(id) = holder { Some(id) } else { None },
            token_hash: hash_secret(&refresh_token),
            expires_at: later(op.now(), lives),
            spent_at: None,
            revoked_at: None,
            created_at: op.now(),
        };
        refresh_tokens::insert(tx.conn(), &row).await?;
        let mut tokens = self.access(op, holder, family, row.expires_at)?;
        tokens.refresh_token = Some(refresh_token);
        Ok(tokens)
    }

    /// An access token of a session, which does not outlive it.
    fn access(
        &self,
        op: &OpContext,
        holder: Holder,
        family: FamilyId,
        until: Timestamp,
    ) -> Result<SessionTokens, Error> {
        let lives = if matches!(holder, Holder::Customer(_)) { CUSTOMER_ACCESS } else { STAFF_ACCESS };
        let end = later(op.now(), lives).min(until);
        // A token's end is told in whole seconds.
        let expires_at = Timestamp::from_micros(end.micros().div_euclid(1_000_000).saturating_mul(1_000_000))
            .unwrap_or(end);
        let access_token = self.auth.keys.sign(&Session { holder, family, expires_at }, op.now())?;
        Ok(SessionTokens { access_token, expires_at, refresh_token: None })
    }

    /// Exchanges a refresh token for the next tokens; `None` if it is none, or its session is over.
    pub(super) async fn exchange(
        &self,
        op: &OpContext,
        refresh_token: &str,
        of: Of,
    ) -> Result<Option<SessionTokens>, Error> {
        let hash = hash_secret(refresh_token);
        retrying(|| self.exchange_once(op, &hash, of)).await
    }

    async fn exchange_once(
        &self,
        op: &OpContext,
        hash: &str,
        of: Of,
    ) -> Result<Option<SessionTokens>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut row = refresh_tokens::find_by_hash(tx.conn(), hash).await?;
        if let Some(found) = &row {
            // Whoever ends all sessions of somebody holds their row: a token that is made meanwhile would escape that.
            row = match lock_holder(&mut tx, found).await? {
                true => refresh_tokens::find_by_hash(tx.conn(), hash).await?,
                false => None,
            };
        }
        let row = row.filter(|row| row.revoked_at.is_none() && op.now() < row.expires_at);
        let holder = row.as_ref().and_then(|row| match of {
            Of::Customers => row.customer_id.map(Holder::Customer),
            Of::Staff => row.staff_id.map(Holder::Staff),
        });
        let (Some(row), Some(holder)) = (row, holder) else {
            tx.rollback().await?;
            return Ok(None);
        };
        if !refresh_tokens::spend(tx.conn(), row.id, op.now()).await? {
            refresh_tokens::revoke_family(tx.conn(), row.family_id, op.now()).await?;
            events::append(&mut tx, op, [revoked(holder)]).await?;
            tx.commit().await?;
            self.auth.forget(Affected::Session(row.family_id));
            tracing::warn!(
                request_id = &*op.request_id,
                "a spent refresh token was sent again: its session ended"
            );
            return Ok(None);
        }
        let tokens = self.open(&mut tx, op, holder, row.family_id).await?;
        tx.commit().await?;
        Ok(Some(tokens))
    }

    /// A new access token for one that still holds; `None` if it does not. It does not make the session last any longer.
    pub(super) async fn renew(
        &self,
        op: &OpContext,
        access_token: &str,
    ) -> Result<Option<SessionTokens>, Error> {
        let Some(session) = self.auth.keys.read(access_token, op.now()) else { return Ok(None) };
        if matches!(session.holder, Holder::Staff(_)) {
            return Ok(None);
        }
        let mut conn = self.db.read(&op.statements).await?;
        let current = refresh_tokens::current(&mut conn, session.family).await?;
        match current.filter(|row| op.now() < row.expires_at) {
            None => Ok(None),
            Some(row) => Ok(Some(self.access(op, session.holder, session.family, row.expires_at)?)),
        }
    }

    /// Ends a session.
    pub(super) async fn end(&self, op: &OpContext, family: FamilyId) -> Result<bool, Error> {
        let ended = retrying(|| self.end_once(op, family)).await?;
        self.auth.forget(Affected::Session(family));
        Ok(ended)
    }

    async fn end_once(&self, op: &OpContext, family: FamilyId) -> Result<bool, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        if let Some(current) = refresh_tokens::current(tx.conn(), family).await? {
            // Or a token that is made meanwhile would escape.
            lock_holder(&mut tx, &current).await?;
        }
        let ended = refresh_tokens::revoke_family(tx.conn(), family, op.now()).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

/// Keeps whose session a token is of from change by others; whether they may still sign in.
async fn lock_holder(tx: &mut Tx, token: &RefreshToken) -> Result<bool, Error> {
    Ok(match (token.customer_id, token.staff_id) {
        (Some(id), _) => {
            customers::lock(tx.conn(), id).await?.is_some_and(|customer| customer.erased_at.is_none())
        }
        (None, Some(id)) => staff::lock(tx.conn(), id).await?.is_some_and(|member| member.is_active),
        (None, None) => false,
    })
}

fn revoked(holder: Holder) -> Event {
    match holder {
        Holder::Customer(customer_id) => Event::CustomerSessionRevoked(CustomerEvent { customer_id }),
        Holder::Staff(staff_id) => Event::StaffSessionRevoked(StaffSessionEvent { staff_id }),
    }
}
