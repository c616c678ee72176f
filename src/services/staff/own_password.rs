//! A member of staff changes their own password, whatever their roles permit.

use super::{Staff, told};
use crate::auth::{Affected, Credential, Holder, Lane};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::event::Event;
use crate::domain::ids::FamilyId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::StaffMember;
use crate::repositories::{refresh_tokens, roles, staff};
use crate::services::attempts::{Attempt, Purpose};
use crate::services::credentials;
use crate::services::sessions::SessionTokens;
use crate::services::validate::Problems;

impl Staff {
    /// Changes the password of the member who asks. It ends all their sessions and opens a new one,
    /// whose tokens are given. A wrong old password counts as a sign-in that failed.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no member asks, the old password is wrong, or the new one is not
    /// good enough.
    pub async fn change_password(
        &self,
        op: &OpContext,
        old_password: &str,
        new_password: &str,
    ) -> Result<SessionTokens, Error> {
        let Credential::Staff(id, _) = op.credential else { return Err(nobody()) };
        let mut problems = Problems::default();
        credentials::password(&mut problems, &["newPassword"], new_password);
        problems.check()?;
        let wrong = || Error::invalid(&["oldPassword"], UserErrorCode::Invalid, "The old password is wrong");
        if !credentials::could_be_password(old_password) {
            return Err(wrong());
        }
        let member = staff::find(&mut self.db.read(&op.statements).await?, id).await?.ok_or_else(nobody)?;
        let attempt = self.attempts.check(op, Purpose::StaffSignIn, &member.email).await?;
        let place = self.passwords.queue(Lane::Staff, op.site())?;
        self.attempts.count(op, &attempt, Some(Holder::Staff(id))).await?;
        if !place.verify(old_password, member.password_hash.as_deref()).await? {
            return Err(wrong());
        }
        let hash = self.passwords.queue(Lane::Staff, op.site())?.hash(new_password).await?;
        let tokens = retrying(|| self.set_password(op, &attempt, &member, &hash)).await?;
        self.auth.forget(Affected::Staff);
        tokens.ok_or_else(wrong)
    }

    /// Stores a new password, unless the old one has changed since it was checked.
    async fn set_password(
        &self,
        op: &OpContext,
        attempt: &Attempt,
        known: &StaffMember,
        hash: &str,
    ) -> Result<Option<SessionTokens>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let member = staff::lock(tx.conn(), known.id).await?;
        let is_as_known =
            |member: &StaffMember| member.is_active && member.password_hash == known.password_hash;
        let Some(mut member) = member.filter(is_as_known) else {
            tx.rollback().await?;
            return Ok(None);
        };
        self.attempts.succeed(&mut tx, op, attempt).await?;
        member.password_hash = Some(hash.to_owned());
        member.updated_at = op.now();
        staff::update(tx.conn(), &member).await?;
        refresh_tokens::revoke_staff(tx.conn(), member.id, op.now()).await?;
        let holder = Holder::Staff(member.id);
        let tokens = self.sessions.open(&mut tx, op, holder, FamilyId::generate()).await?;
        let role_ids = roles::of_staff(tx.conn(), &[member.id]).await?;
        let role_ids = role_ids.into_iter().map(|(_, role)| role.id).collect();
        events::append(&mut tx, op, [Event::StaffMemberUpdated(told(&member, role_ids))]).await?;
        tx.commit().await?;
        Ok(Some(tokens))
    }
}

fn nobody() -> Error {
    let message = "Sign in as a member of staff first: services and customers have no such password";
    Error::invalid(&[], UserErrorCode::TokenInvalid, message)
}
