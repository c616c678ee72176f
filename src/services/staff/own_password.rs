//! A staff member changes their own password, whatever their permissions.

use super::{Staff, staff_event};
use crate::auth::{Invalidation, Lane, Principal};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::actors::Credential;
use crate::domain::events::Event;
use crate::domain::ids::SessionId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::StaffMember;
use crate::repositories::access::refresh_tokens;
use crate::repositories::staff::{self, roles};
use crate::services::access::attempts::{Attempt, AttemptKind};
use crate::services::access::credentials;
use crate::services::access::sessions::SessionTokens;
use crate::services::input::Problems;

impl Staff {
    /// Changes the actor's password, ends all their sessions and opens a new one. A wrong old
    /// password counts as a failed sign-in.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the actor is not a member, the old password is wrong, or the new one
    /// is not acceptable.
    pub async fn change_password(
        &self,
        op: &OpContext,
        old_password: &str,
        new_password: &str,
    ) -> Result<SessionTokens, Error> {
        let Credential::Staff(id, _) = op.credential else { return Err(not_signed_in()) };
        let mut problems = Problems::default();
        credentials::check_password(&mut problems, &["newPassword"], new_password);
        problems.check()?;
        let wrong = || Error::invalid(&["oldPassword"], UserErrorCode::Invalid, "The old password is wrong");
        if !credentials::is_plausible_password(old_password) {
            return Err(wrong());
        }
        let member =
            staff::find(&mut self.db.read(&op.statements).await?, id).await?.ok_or_else(not_signed_in)?;
        let attempt = self.attempts.check(op, AttemptKind::StaffSignIn, &member.email).await?;
        let slot = self.passwords.queue(Lane::Staff, op.client_network())?;
        self.attempts.count(op, &attempt, Some(Principal::Staff(id))).await?;
        if !slot.verify(old_password, member.password_hash.as_deref()).await? {
            return Err(wrong());
        }
        let hash = self.passwords.queue(Lane::Staff, op.client_network())?.hash(new_password).await?;
        let tokens = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.set_password(tx, op, &attempt, &member, &hash).await
            })
            .await?;
        self.auth.invalidate(Invalidation::Staff);
        tokens.ok_or_else(wrong)
    }

    /// Stores a new password, unless the old one has changed since it was checked.
    async fn set_password(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        attempt: &Attempt,
        checked: &StaffMember,
        hash: &str,
    ) -> Result<Option<SessionTokens>, Error> {
        let member = staff::lock(tx.conn(), checked.id).await?;
        let is_unchanged =
            |member: &StaffMember| member.is_active && member.password_hash == checked.password_hash;
        let Some(mut member) = member.filter(is_unchanged) else { return Ok(None) };
        self.attempts.succeed(tx, op, attempt).await?;
        member.password_hash = Some(hash.to_owned());
        member.updated_at = op.now();
        staff::update(tx.conn(), &member).await?;
        refresh_tokens::revoke_staff(tx.conn(), member.id, op.now()).await?;
        let principal = Principal::Staff(member.id);
        let tokens = self.sessions.open(tx, op, principal, SessionId::generate()).await?;
        let role_ids = roles::of_staff(tx.conn(), &[member.id]).await?;
        let role_ids = role_ids.into_iter().map(|(_, role)| role.id).collect();
        events::append(tx, op, [Event::StaffMemberUpdated(staff_event(&member, role_ids))]).await?;
        Ok(Some(tokens))
    }
}

fn not_signed_in() -> Error {
    let message = "Sign in as a member of staff first: services and customers have no staff password";
    Error::invalid(&[], UserErrorCode::TokenInvalid, message)
}
