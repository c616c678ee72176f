//! Staff member mutations.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::StaffMember;
use crate::domain::access::permissions::Permission;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_staff};
use crate::graphql::types::scalars::{parse_gid, parse_gids};
use crate::services::staff::StaffPatch;

/// Staff member mutations.
#[derive(Default)]
pub(crate) struct StaffMemberMutation;

/// The input fields of a new staff member.
#[derive(InputObject)]
pub(super) struct StaffMemberCreateInput {
    /// The email address used to sign in, unique in the shop.
    email: String,
    /// The name of the staff member.
    name: String,
    /// The initial password, at least 8 characters long. If omitted, the staff member is sent an
    /// email with a token for `staffPasswordReset`.
    password: Option<String>,
    /// The IDs of the roles to assign. They can't grant permissions that you don't have.
    #[graphql(default)]
    role_ids: Vec<ID>,
    /// Whether the staff member can sign in. Defaults to true.
    is_active: Option<bool>,
}

/// The changes to a staff member. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct StaffMemberUpdateInput {
    /// The email address used to sign in, unique in the shop.
    email: Option<String>,
    /// The name of the staff member.
    name: Option<String>,
    /// The new password, at least 8 characters long. Changing it ends all of the staff member's
    /// sessions.
    password: Option<String>,
    /// The IDs of the roles to assign. Replaces the existing roles.
    role_ids: Option<Vec<ID>>,
    /// Whether the staff member can sign in. Deactivating a staff member ends all of their
    /// sessions.
    is_active: Option<bool>,
}

/// The result of `staffMemberCreate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct StaffMemberCreatePayload {
    /// The new staff member. Null if the mutation failed.
    staff_member: Option<StaffMember>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffMemberUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct StaffMemberUpdatePayload {
    /// The updated staff member. Null if the mutation failed.
    staff_member: Option<StaffMember>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffMemberMutation {
    /// Creates a staff member.
    #[graphql(guard = "PermissionGuard(Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn staff_member_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The staff member to create.")] staff_member: StaffMemberCreateInput,
    ) -> Result<StaffMemberCreatePayload> {
        let new = StaffPatch {
            email: Some(staff_member.email),
            name: Some(staff_member.name),
            password: staff_member.password,
            role_ids: Some(parse_gids(&staff_member.role_ids)?),
            is_active: staff_member.is_active,
        };
        let (created, user_errors) = payload(ctx.services().staff.create(ctx.op(), &new).await)?;
        Ok(StaffMemberCreatePayload { staff_member: created.map(StaffMember::new), user_errors })
    }

    /// Updates a staff member. Fails if they have permissions that you don't have. At least one
    /// staff member who can manage staff must remain.
    #[graphql(guard = "PermissionGuard(Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn staff_member_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the staff member.")] id: ID,
        #[graphql(desc = "The fields to change.")] staff_member: StaffMemberUpdateInput,
    ) -> Result<StaffMemberUpdatePayload> {
        let patch = StaffPatch {
            email: staff_member.email,
            name: staff_member.name,
            password: staff_member.password,
            role_ids: staff_member.role_ids.as_deref().map(parse_gids).transpose()?,
            is_active: staff_member.is_active,
        };
        let changed = ctx.services().staff.update(ctx.op(), parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(StaffMemberUpdatePayload { staff_member: changed.map(StaffMember::new), user_errors })
    }
}
