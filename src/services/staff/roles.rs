//! Roles: named sets of permissions. One is built in and has all permissions.

use super::{
    Staff, check_granted_permissions, count_managers, ensure_manager_remains, holds_all_permissions,
};
use crate::auth::Invalidation;
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{DbError, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, RoleEvent};
use crate::domain::ids::RoleId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::Role;
use crate::repositories::staff::roles;
use crate::services::input::Problems;
use crate::services::set;

/// The name of the built-in role.
pub const ADMIN_ROLE: &str = "admin";

/// A new role, or a change of one; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct RolePatch {
    /// Its name, unique in the shop.
    pub name: Option<String>,
    /// All its permissions.
    pub permissions: Option<Vec<Permission>>,
}

impl Staff {
    /// Creates the built-in role, or adds the permissions of a new version to it.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be read or written.
    pub(crate) async fn seed_admin_role(&self, op: &OpContext) -> Result<(), DbError> {
        let known = roles::find_by_name(&mut self.db.read(&op.statements).await?, ADMIN_ROLE).await?;
        let permissions = Json(Permission::ALL.to_vec());
        match known {
            Some(role) if role.permissions == permissions => Ok(()),
            Some(role) => {
                let role = Role { permissions, updated_at: op.now(), ..role };
                let mut conn = self.db.write(&op.statements).await?;
                roles::update(&mut conn, &role).await?;
                conn.commit().await
            }
            None => {
                let role = Role {
                    id: RoleId::generate(),
                    name: ADMIN_ROLE.to_owned(),
                    permissions,
                    created_at: op.now(),
                    updated_at: op.now(),
                };
                // Another process may insert it first.
                let mut conn = self.db.write(&op.statements).await?;
                roles::insert_missing(&mut conn, &role).await?;
                conn.commit().await
            }
        }
    }

    /// All roles, by name.
    ///
    /// # Errors
    /// [`Error`] for those who may not manage staff.
    pub async fn roles(&self, op: &OpContext) -> Result<Vec<Role>, Error> {
        op.authorize(Permission::ManageStaff)?;
        Ok(roles::all(&mut self.db.read(&op.statements).await?).await?)
    }

    /// Creates a role.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, including permissions that the actor does
    /// not hold.
    pub async fn create_role(&self, op: &OpContext, new: &RolePatch) -> Result<Role, Error> {
        op.authorize(Permission::ManageStaff)?;
        let new = check(
            op,
            &RolePatch {
                name: Some(new.name.clone().unwrap_or_default()),
                permissions: Some(new.permissions.clone().unwrap_or_default()),
            },
        )?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let role = Role {
                    id: RoleId::generate(),
                    name: new.name.clone().unwrap_or_default(),
                    permissions: Json(new.permissions.clone().unwrap_or_default()),
                    created_at: op.now(),
                    updated_at: op.now(),
                };
                roles::insert(tx.conn(), &role).await.on_constraint("roles", "name", || name_taken(&role))?;
                events::append(tx, op, [Event::RoleCreated(role_event(&role))]).await?;
                Ok(role)
            })
            .await
    }

    /// Changes a role, for all members who have it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong: permissions that the actor does not hold,
    /// before or after; the built-in role; or that no member would be left to manage staff.
    pub async fn update_role(&self, op: &OpContext, id: RoleId, patch: &RolePatch) -> Result<Role, Error> {
        op.authorize(Permission::ManageStaff)?;
        let patch = check(op, patch)?;
        let role = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let before = count_managers(tx).await?;
                let mut role = lock_changeable(tx, op, id).await?;
                set(&mut role.name, patch.name.as_ref());
                set(&mut role.permissions.0, patch.permissions.as_ref());
                role.updated_at = op.now();
                roles::update(tx.conn(), &role).await.on_constraint("roles", "name", || name_taken(&role))?;
                ensure_manager_remains(tx, before, &["role", "permissions"]).await?;
                events::append(tx, op, [Event::RoleUpdated(role_event(&role))]).await?;
                Ok::<_, Error>(role)
            })
            .await?;
        self.auth.invalidate(Invalidation::Staff);
        Ok(role)
    }

    /// Deletes a role that no member has.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a member has it, or the actor may not change it.
    pub async fn delete_role(&self, op: &OpContext, id: RoleId) -> Result<(), Error> {
        op.authorize(Permission::ManageStaff)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_role_in(tx, op, id).await).await
    }
}

async fn delete_role_in(tx: &mut Tx, op: &OpContext, id: RoleId) -> Result<(), Error> {
    let role = lock_changeable(tx, op, id).await?;
    match roles::delete(tx.conn(), id).await {
        Err(DbError::ForeignKey(..)) => {
            let message = format!("Somebody has the role '{}': give them another one first", role.name);
            return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
        }
        result => result?,
    }
    Ok(events::append(tx, op, [Event::RoleDeleted(role_event(&role))]).await?)
}

/// Locks a role that the actor may change: not the built-in one, and none with more permissions
/// than theirs.
async fn lock_changeable(tx: &mut Tx, op: &OpContext, id: RoleId) -> Result<Role, Error> {
    let refused = |code, message: &str| Err(Error::invalid(&["id"], code, message));
    match roles::lock(tx.conn(), id).await? {
        None => refused(UserErrorCode::NotFound, "Role does not exist"),
        Some(role) if role.name == ADMIN_ROLE => {
            refused(UserErrorCode::NotAllowed, "The role 'admin' is built in and can't be changed")
        }
        Some(role) if !holds_all_permissions(op, &role) => {
            refused(UserErrorCode::NotAllowed, "The role has permissions that you don't have yourself")
        }
        Some(role) => Ok(role),
    }
}

/// Validates and normalizes the input.
fn check(op: &OpContext, patch: &RolePatch) -> Result<RolePatch, Error> {
    let mut problems = Problems::default();
    let mut clean = patch.clone();
    if let Some(name) = &patch.name {
        problems.required(&["role", "name"], name);
        clean.name = Some(name.trim().to_owned());
    }
    if let Some(permissions) = &patch.permissions {
        check_granted_permissions(&mut problems, op, &["role", "permissions"], permissions);
        clean.permissions = Some(sort_permissions(permissions));
    }
    problems.check()?;
    Ok(clean)
}

/// Sorts permissions in the order of their declaration and removes duplicates.
pub(in crate::services) fn sort_permissions(permissions: &[Permission]) -> Vec<Permission> {
    Permission::ALL.iter().copied().filter(|one| permissions.contains(one)).collect()
}

fn role_event(role: &Role) -> RoleEvent {
    RoleEvent { role_id: role.id, name: role.name.clone(), permissions: role.permissions.0.clone() }
}

fn name_taken(role: &Role) -> Error {
    let message = format!("There is a role called '{}' already", role.name);
    Error::invalid(&["role", "name"], UserErrorCode::Taken, message)
}
