//! How staff members set their password: with a token that is mailed to them when they are
//! invited or ask for it.
//!
//! Tokens are not stored. A token is valid until it expires, and only while the member has the
//! address and password they had when it was created: so it can be used once.

use super::{Staff, staff_event};
use crate::auth::{Invalidation, Lane, Principal, add_seconds};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::events::Event;
use crate::domain::ids::{self, Id, JobId, SessionId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::jobs::{self, NewJob};
use crate::loaders::StaffMember;
use crate::repositories::access::refresh_tokens;
use crate::repositories::staff::{self, roles as role_rows};
use crate::services::access::attempts::{Attempt, AttemptKind};
use crate::services::access::credentials;
use crate::services::access::sessions::SessionTokens;
use crate::services::input::Problems;
use crate::services::mails::StaffAccess;

/// Lifetime of an invitation, in seconds.
const INVITATION_TTL_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Lifetime of a recovery token, in seconds.
const RECOVERY_TTL_SECONDS: i64 = 60 * 60;

impl Staff {
    /// Mails a member a token to set a new password with. The caller does not learn whether there
    /// is such a member.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the e-mail address is malformed.
    pub async fn recover(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let mut problems = Problems::default();
        let email = credentials::check_email(&mut problems, &["email"], email);
        problems.check()?;
        let attempt = self.attempts.check(op, AttemptKind::Recovery, &email).await?;
        self.attempts.count(op, &attempt, None).await?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.recover_in(tx, op, &email).await).await
    }

    async fn recover_in(&self, tx: &mut Tx, op: &OpContext, email: &str) -> Result<(), Error> {
        let member = staff::find_by_email(tx.conn(), email).await?.filter(|member| member.is_active);
        let Some(member) = member else { return Ok(()) };
        let mail = StaffAccess {
            staff_id: member.id,
            is_invitation: false,
            expires_micros: add_seconds(op.now(), RECOVERY_TTL_SECONDS).micros(),
        };
        // One mail per interval: within it, the job has the same id and is not enqueued again.
        let interval = i64::try_from(self.attempts.mail_interval().as_micros()).unwrap_or(i64::MAX).max(1);
        let period = op.now().micros().div_euclid(interval).unsigned_abs();
        let id = JobId::from_uuid(ids::derive(member.id.uuid(), uuid::Uuid::from_u128(period.into())));
        Ok(jobs::enqueue(tx, op, [NewJob::new(&mail)?.with_id(id)]).await?)
    }

    /// Mails a new member a token to set their first password with, in the transaction that creates
    /// them.
    pub(super) async fn invite(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        member: &StaffMember,
    ) -> Result<(), Error> {
        let mail = StaffAccess {
            staff_id: member.id,
            is_invitation: true,
            expires_micros: add_seconds(op.now(), INVITATION_TTL_SECONDS).micros(),
        };
        Ok(jobs::enqueue(tx, op, [NewJob::new(&mail)?]).await?)
    }

    /// Sets a new password with a mailed token, ends all sessions of the member, and opens a new
    /// one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the password or the token is not valid.
    pub async fn reset_password(
        &self,
        op: &OpContext,
        token: &str,
        password: &str,
    ) -> Result<SessionTokens, Error> {
        let mut problems = Problems::default();
        credentials::check_password(&mut problems, &["password"], password);
        problems.check()?;
        let token = token.trim();
        let attempt = self.attempts.check(op, AttemptKind::MailedToken, "").await?;
        // Checked before the password is hashed, and again when the token is used.
        let member = match self.auth.keys.staff_token_owner(token, op.now()) {
            Some(id) => staff::find(&mut self.db.read(&op.statements).await?, id).await?,
            None => None,
        };
        let Some(member) = member.filter(|member| self.is_token_valid(member, token)) else {
            self.attempts.count(op, &attempt, None).await?;
            return Err(invalid_token());
        };
        let hash = self.passwords.queue(Lane::Public, op.client_network())?.hash(password).await?;
        let tokens = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.reset_in(tx, op, &member, token, &hash).await
            })
            .await?;
        self.auth.invalidate(Invalidation::Staff);
        Ok(tokens)
    }

    async fn reset_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        checked: &StaffMember,
        token: &str,
        hash: &str,
    ) -> Result<SessionTokens, Error> {
        let member = staff::lock(tx.conn(), checked.id).await?;
        let Some(mut member) = member.filter(|member| self.is_token_valid(member, token)) else {
            return Err(invalid_token());
        };
        member.password_hash = Some(hash.to_owned());
        member.updated_at = op.now();
        staff::update(tx.conn(), &member).await?;
        refresh_tokens::revoke_staff(tx.conn(), member.id, op.now()).await?;
        let owner = Attempt::for_owner(op, AttemptKind::StaffSignIn, &member.email);
        self.attempts.trust(tx, op, &owner).await?;
        let tokens = self.sessions.open(tx, op, Principal::Staff(member.id), SessionId::generate()).await?;
        let roles = role_rows::of_staff(tx.conn(), &[member.id]).await?;
        let roles = roles.into_iter().map(|(_, role)| role.id).collect();
        events::append(tx, op, [Event::StaffMemberUpdated(staff_event(&member, roles))]).await?;
        Ok(tokens)
    }

    fn is_token_valid(&self, member: &StaffMember, token: &str) -> bool {
        let hash = member.password_hash.as_deref();
        member.is_active && self.auth.keys.is_staff_token(token, member.id, &member.email, hash)
    }
}

fn invalid_token() -> Error {
    let message = "The token is wrong, was already used or has expired: request another with `staffRecover`";
    Error::invalid(&["token"], UserErrorCode::TokenInvalid, message)
}
