//! Deletes staff members.

use super::{Staff, count_managers, ensure_manager_remains, holds_all_permissions, staff_event};
use crate::auth::Invalidation;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::actors::Credential;
use crate::domain::access::owners::Owner;
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::StaffId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::access::api_keys;
use crate::repositories::staff::{self, roles};
use crate::repositories::webhooks;

impl Staff {
    /// Deletes a member with their sessions. The history keeps their actions under their name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such member, they are the actor or have more
    /// permissions, an API key or webhook depends on their permissions, or no member would be left
    /// to manage staff.
    pub async fn delete(&self, op: &OpContext, id: StaffId) -> Result<(), Error> {
        op.authorize(Permission::ManageStaff)?;
        if matches!(op.credential, Credential::Staff(own, _) if own == id) {
            return Err(not_allowed("You can't delete yourself: have a colleague do it"));
        }
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_in(tx, op, id).await).await?;
        self.auth.invalidate(Invalidation::Staff);
        Ok(())
    }
}

async fn delete_in(tx: &mut Tx, op: &OpContext, id: StaffId) -> Result<(), Error> {
    let before = count_managers(tx).await?;
    let mut member = staff::lock(tx.conn(), id)
        .await?
        .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Staff member does not exist"))?;
    let held = roles::of_staff(tx.conn(), &[id]).await?;
    if let Some((_, role)) = held.iter().find(|(_, role)| !holds_all_permissions(op, role)) {
        return Err(not_allowed(format!(
            "They have the role '{}', which has permissions that you don't have yourself",
            role.name
        )));
    }
    let keys = api_keys::names_of_owner(tx.conn(), Owner::Staff(id)).await?;
    if !keys.is_empty() {
        let names = keys.join(", ");
        return Err(not_allowed(format!(
            "API keys that they created would stop working: revoke these first: {names}"
        )));
    }
    let urls = webhooks::urls_of_owner(tx.conn(), Owner::Staff(id)).await?;
    if !urls.is_empty() {
        let urls = urls.join(", ");
        return Err(not_allowed(format!(
            "Webhooks that they created or last changed would stop: change or delete these first: {urls}"
        )));
    }
    staff::delete(tx.conn(), id).await?;
    ensure_manager_remains(tx, before, &["id"]).await?;
    member.is_active = false;
    let role_ids = held.into_iter().map(|(_, role)| role.id).collect();
    events::append(tx, op, [Event::StaffMemberDeleted(staff_event(&member, role_ids))]).await?;
    Ok(())
}

fn not_allowed(message: impl Into<String>) -> Error {
    Error::invalid(&["id"], UserErrorCode::NotAllowed, message)
}
