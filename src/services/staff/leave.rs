//! Members of staff who leave for good.

use super::{Staff, check_managers, holds_all, managers, told};
use crate::auth::{Affected, Credential};
use crate::context::OpContext;
use crate::db::{Tx, retrying};
use crate::domain::event::Event;
use crate::domain::ids::StaffId;
use crate::domain::owner::Owner;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::{api_keys, roles, staff, webhooks};

impl Staff {
    /// Deletes a member with their sessions. What they did stays in the shop's history under their
    /// name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such member, they are whoever asks or may do more than
    /// that, something that they made works by their permissions, or nobody would be left to manage
    /// staff.
    pub async fn delete(&self, op: &OpContext, id: StaffId) -> Result<(), Error> {
        op.authorize(Permission::ManageStaff)?;
        if matches!(op.credential, Credential::Staff(own, _) if own == id) {
            return Err(refused("You can't delete yourself: have a colleague do it"));
        }
        retrying(|| self.delete_once(op, id)).await?;
        self.auth.forget(Affected::Staff);
        Ok(())
    }

    async fn delete_once(&self, op: &OpContext, id: StaffId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        match delete_in(&mut tx, op, id).await {
            Ok(()) => Ok(tx.commit().await?),
            Err(error) => {
                tx.rollback().await?;
                Err(error)
            }
        }
    }
}

async fn delete_in(tx: &mut Tx, op: &OpContext, id: StaffId) -> Result<(), Error> {
    let before = managers(tx).await?;
    let mut member = staff::lock(tx.conn(), id)
        .await?
        .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Staff member does not exist"))?;
    let held = roles::of_staff(tx.conn(), &[id]).await?;
    if let Some((_, role)) = held.iter().find(|(_, role)| !holds_all(op, role)) {
        return Err(refused(format!(
            "They have the role '{}', which permits more than you may do yourself",
            role.name
        )));
    }
    let keys = api_keys::names_of_owner(tx.conn(), Owner::Staff(id)).await?;
    if !keys.is_empty() {
        let names = keys.join(", ");
        return Err(refused(format!(
            "API keys that they made would stop working, so revoke them first: {names}"
        )));
    }
    let urls = webhooks::urls_of_owner(tx.conn(), Owner::Staff(id)).await?;
    if !urls.is_empty() {
        let urls = urls.join(", ");
        return Err(refused(format!(
            "Webhooks that they made or changed last would stop, so change or delete them first: {urls}"
        )));
    }
    staff::delete(tx.conn(), id).await?;
    check_managers(tx, before, &["id"]).await?;
    member.is_active = false;
    let role_ids = held.into_iter().map(|(_, role)| role.id).collect();
    events::append(tx, op, [Event::StaffMemberDeleted(told(&member, role_ids))]).await?;
    Ok(())
}

fn refused(message: impl Into<String>) -> Error {
    Error::invalid(&["id"], UserErrorCode::NotAllowed, message)
}
