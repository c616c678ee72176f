//! Writes of roles.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{Permission, Role, held};
use crate::domain::permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_staff};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::services::staff::RolePatch;

/// Writes of roles.
#[derive(Default)]
pub struct RoleMutation;

/// A role to be made.
#[derive(InputObject)]
pub struct RoleCreateInput {
    /// Its name, unique in the shop.
    name: String,
    /// What it permits: nothing that you may not do yourself.
    permissions: Vec<Permission>,
}

/// A change of a role; what is not given stays as it is.
#[derive(InputObject)]
pub struct RoleUpdateInput {
    /// Its name, unique in the shop.
    name: Option<String>,
    /// All that it permits, in place of what it did: nothing that you may not do yourself.
    permissions: Option<Vec<Permission>>,
}

/// What became of the role.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct RoleCreatePayload {
    /// The role; null if it could not be made.
    role: Option<Role>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the role.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct RoleUpdatePayload {
    /// The role; null if it could not be changed.
    role: Option<Role>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the role.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct RoleDeletePayload {
    /// The global id of the role that is gone.
    deleted_role_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl RoleMutation {
    /// Makes a role.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn role_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role.")] role: RoleCreateInput,
    ) -> Result<RoleCreatePayload> {
        let new = RolePatch { name: Some(role.name), permissions: Some(held(role.permissions)) };
        let (made, user_errors) = payload(ctx.services().staff.create_role(ctx.op(), &new).await)?;
        Ok(RoleCreatePayload { role: made.map(Role::of), user_errors })
    }

    /// Changes a role, for all who have it. Not the built-in one, nor one that permits more than you may do.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn role_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role's global id.")] id: ID,
        #[graphql(desc = "The changes.")] role: RoleUpdateInput,
    ) -> Result<RoleUpdatePayload> {
        let patch = RolePatch { name: role.name, permissions: role.permissions.map(held) };
        let changed = ctx.services().staff.update_role(ctx.op(), parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(RoleUpdatePayload { role: changed.map(Role::of), user_errors })
    }

    /// Deletes a role that nobody has.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn role_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role's global id.")] id: ID,
    ) -> Result<RoleDeletePayload> {
        let (gone, user_errors) = payload(ctx.services().staff.delete_role(ctx.op(), parse_gid(&id)?).await)?;
        Ok(RoleDeletePayload { deleted_role_id: gone.map(|()| id), user_errors })
    }
}
