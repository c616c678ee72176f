//! How members of staff get a password of their own: by a token that is mailed to them when they
//! are made without one, or when they ask.
//!
//! A token is kept nowhere. It is good for as long as it says, and while its member has the address
//! and the password that they had when it was made: so it is used once.

use super::{Staff, told};
use crate::auth::{Affected, Holder, Lane, later};
use crate::context::OpContext;
use crate::db::{Tx, retrying};
use crate::domain::event::Event;
use crate::domain::ids::{self, FamilyId, Id, JobId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::jobs;
use crate::loaders::StaffMember;
use crate::repositories::{refresh_tokens, roles as role_rows, staff};
use crate::services::attempts::{Attempt, Purpose};
use crate::services::credentials;
use crate::services::mails::StaffAccess;
use crate::services::sessions::SessionTokens;
use crate::services::validate::Problems;

/// How long an invitation is good, in seconds.
const INVITATION_LIVES: i64 = 7 * 24 * 60 * 60;
/// How long a token for a new password is good, in seconds.
const RECOVERY_LIVES: i64 = 60 * 60;

impl Staff {
    /// Has a member mailed a token to set a new password with. Who asks learns nothing of whether
    /// there is such a member.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is no e-mail address.
    pub async fn recover(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let mut problems = Problems::default();
        let email = credentials::email(&mut problems, &["email"], email);
        problems.check()?;
        let attempt = self.attempts.check(op, Purpose::Recovery, &email).await?;
        self.attempts.count(op, &attempt, None).await?;
        retrying(|| self.recover_once(op, &email)).await
    }

    async fn recover_once(&self, op: &OpContext, email: &str) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let member = staff::find_by_email(tx.conn(), email).await?.filter(|member| member.is_active);
        let Some(member) = member else { return Ok(tx.rollback().await?) };
        let mail = StaffAccess {
            staff_id: member.id,
            is_invitation: false,
            expires_micros: later(op.now(), RECOVERY_LIVES).micros(),
        };
        // One in so long a time: the job of the next one has the same id, and is there already.
        let interval = i64::try_from(self.attempts.mail_interval().as_micros()).unwrap_or(i64::MAX).max(1);
        let turn = op.now().micros().div_euclid(interval).unsigned_abs();
        let id = JobId::from_uuid(ids::derived(member.id.uuid(), uuid::Uuid::from_u128(turn.into())));
        jobs::enqueue(&mut tx, op, [mail.job()?.with_id(id)]).await?;
        Ok(tx.commit().await?)
    }

    /// Has a member who has no password yet mailed a token to set one with, in the transaction that
    /// makes them.
    pub(super) async fn invite(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        member: &StaffMember,
    ) -> Result<(), Error> {
        let mail = StaffAccess {
            staff_id: member.id,
            is_invitation: true,
            expires_micros: later(op.now(), INVITATION_LIVES).micros(),
        };
        Ok(jobs::enqueue(tx, op, [mail.job()?]).await?)
    }

    /// Sets a new password with a mailed token, ends all sessions of the member, and opens a new
    /// one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the password or the token is not good.
    pub async fn reset_password(
        &self,
        op: &OpContext,
        token: &str,
        password: &str,
    ) -> Result<SessionTokens, Error> {
        let mut problems = Problems::default();
        credentials::password(&mut problems, &["password"], password);
        problems.check()?;
        let token = token.trim();
        let attempt = self.attempts.check(op, Purpose::MailedToken, "").await?;
        // Seen before the work of a hash is spent on it, and again when it is used up.
        let member = match self.auth.keys.staff_of_token(token, op.now()) {
            Some(id) => staff::find(&mut self.db.read(&op.statements).await?, id).await?,
            None => None,
        };
        let Some(member) = member.filter(|member| self.is_good(member, token)) else {
            self.attempts.count(op, &attempt, None).await?;
            return Err(wrong_token());
        };
        let hash = self.passwords.queue(Lane::Public, op.site())?.hash(password).await?;
        let tokens = retrying(|| self.reset_once(op, &member, token, &hash)).await?;
        self.auth.forget(Affected::Staff);
        Ok(tokens)
    }

    async fn reset_once(
        &self,
        op: &OpContext,
        known: &StaffMember,
        token: &str,
        hash: &str,
    ) -> Result<SessionTokens, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let member = staff::lock(tx.conn(), known.id).await?;
        let Some(mut member) = member.filter(|member| self.is_good(member, token)) else {
            tx.rollback().await?;
            return Err(wrong_token());
        };
        member.password_hash = Some(hash.to_owned());
        member.updated_at = op.now();
        staff::update(tx.conn(), &member).await?;
        refresh_tokens::revoke_staff(tx.conn(), member.id, op.now()).await?;
        let owner = Attempt::of_owner(op, Purpose::StaffSignIn, &member.email);
        self.attempts.trust(&mut tx, op, &owner).await?;
        let tokens = self.sessions.open(&mut tx, op, Holder::Staff(member.id), FamilyId::generate()).await?;
        let roles = role_rows::of_staff(tx.conn(), &[member.id]).await?;
        let roles = roles.into_iter().map(|(_, role)| role.id).collect();
        events::append(&mut tx, op, [Event::StaffMemberUpdated(told(&member, roles))]).await?;
        tx.commit().await?;
        Ok(tokens)
    }

    fn is_good(&self, member: &StaffMember, token: &str) -> bool {
        let hash = member.password_hash.as_deref();
        member.is_active && self.auth.keys.is_staff_token(token, member.id, &member.email, hash)
    }
}

fn wrong_token() -> Error {
    let message = "The token is wrong, was used already or has expired: ask for another with `staffRecover`";
    Error::invalid(&["token"], UserErrorCode::TokenInvalid, message)
}
