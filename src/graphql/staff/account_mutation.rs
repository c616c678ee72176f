//! Password changes, and deletion of staff members.

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::sign_in_mutation::StaffAccessToken;
use crate::domain::access::permissions::Permission;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_staff};
use crate::graphql::types::scalars::{gid, parse_gid};

/// Mutations that change one's own password and delete staff members.
#[derive(Default)]
pub(crate) struct StaffAccountMutation;

/// The result of `staffPasswordChange`.
#[derive(SimpleObject)]
pub(super) struct StaffPasswordChangePayload {
    /// The access token of a new session. Null if the mutation failed.
    staff_access_token: Option<StaffAccessToken>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffMemberDelete`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct StaffMemberDeletePayload {
    /// The ID of the deleted staff member. Null if the mutation failed.
    deleted_staff_member_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffAccountMutation {
    /// Changes the password of the signed-in staff member. Ends all of their sessions and starts a
    /// new one.
    async fn staff_password_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The current password.")] old_password: String,
        #[graphql(desc = "The new password, at least 8 characters long.")] new_password: String,
    ) -> Result<StaffPasswordChangePayload> {
        let changed = ctx.services().staff.change_password(ctx.op(), &old_password, &new_password).await;
        let (tokens, user_errors) = payload(changed)?;
        Ok(StaffPasswordChangePayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Deletes a staff member. Fails if they have active API keys or webhook subscriptions, or
    /// permissions that you don't have. At least one staff member who can manage staff must remain.
    #[graphql(guard = "PermissionGuard(Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn staff_member_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the staff member.")] id: ID,
    ) -> Result<StaffMemberDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().staff.delete(ctx.op(), id).await)?;
        Ok(StaffMemberDeletePayload { deleted_staff_member_id: deleted.map(|()| gid(id)), user_errors })
    }
}
