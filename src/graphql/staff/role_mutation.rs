//! Role mutations.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{Permission, Role, into_domain_permissions};
use crate::domain::access::permissions;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_staff};
use crate::graphql::types::scalars::parse_gid;
use crate::services::staff::RolePatch;

/// Role mutations.
#[derive(Default)]
pub(crate) struct RoleMutation;

/// The input fields of a new role.
#[derive(InputObject)]
pub(super) struct RoleCreateInput {
    /// The name, unique in the shop.
    name: String,
    /// The permissions that the role grants. You must have all of them yourself.
    permissions: Vec<Permission>,
}

/// The changes to a role. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct RoleUpdateInput {
    /// The name, unique in the shop.
    name: Option<String>,
    /// The permissions that the role grants. Replaces the existing permissions. You must have all
    /// of them yourself.
    permissions: Option<Vec<Permission>>,
}

/// The result of `roleCreate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct RoleCreatePayload {
    /// The new role. Null if the mutation failed.
    role: Option<Role>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `roleUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct RoleUpdatePayload {
    /// The updated role. Null if the mutation failed.
    role: Option<Role>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `roleDelete`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct RoleDeletePayload {
    /// The ID of the deleted role. Null if the mutation failed.
    deleted_role_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl RoleMutation {
    /// Creates a role.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn role_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role to create.")] role: RoleCreateInput,
    ) -> Result<RoleCreatePayload> {
        let new =
            RolePatch { name: Some(role.name), permissions: Some(into_domain_permissions(role.permissions)) };
        let (created, user_errors) = payload(ctx.services().staff.create_role(ctx.op(), &new).await)?;
        Ok(RoleCreatePayload { role: created.map(Role::new), user_errors })
    }

    /// Updates a role, for everyone who has it. Fails for the built-in role, and for a role that
    /// grants permissions you don't have.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn role_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the role.")] id: ID,
        #[graphql(desc = "The fields to change.")] role: RoleUpdateInput,
    ) -> Result<RoleUpdatePayload> {
        let patch = RolePatch { name: role.name, permissions: role.permissions.map(into_domain_permissions) };
        let changed = ctx.services().staff.update_role(ctx.op(), parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(RoleUpdatePayload { role: changed.map(Role::new), user_errors })
    }

    /// Deletes a role. Fails if the role is still assigned to a staff member.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn role_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the role.")] id: ID,
    ) -> Result<RoleDeletePayload> {
        let (deleted, user_errors) =
            payload(ctx.services().staff.delete_role(ctx.op(), parse_gid(&id)?).await)?;
        Ok(RoleDeletePayload { deleted_role_id: deleted.map(|()| id), user_errors })
    }
}
