//! Own passwords, and members who leave.

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::sign_in_mutation::StaffAccessToken;
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_staff};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{gid, parse_gid};

/// Own passwords, and members who leave.
#[derive(Default)]
pub struct StaffLeaveMutation;

/// Whether the password changed.
#[derive(SimpleObject)]
pub struct StaffPasswordChangePayload {
    /// The token of a new session; null if the password stays as it was.
    staff_access_token: Option<StaffAccessToken>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the member.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct StaffMemberDeletePayload {
    /// The id that they had; null if they are still there.
    deleted_staff_member_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffLeaveMutation {
    /// Changes the password of the member of staff who asks. It ends all their sessions and opens a
    /// new one.
    async fn staff_password_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password that they have.")] old_password: String,
        #[graphql(desc = "The one that they want, of 8 characters or more.")] new_password: String,
    ) -> Result<StaffPasswordChangePayload> {
        let changed = ctx.services().staff.change_password(ctx.op(), &old_password, &new_password).await;
        let (tokens, user_errors) = payload(changed)?;
        Ok(StaffPasswordChangePayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Deletes a member of staff. Not one whose API keys or webhooks still work, nor one who may do
    /// more than you; and somebody must be left who can manage staff.
    #[graphql(guard = "Requires(Permission::ManageStaff)", visible = "manages_staff")]
    async fn staff_member_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their global id.")] id: ID,
    ) -> Result<StaffMemberDeletePayload> {
        let id = parse_gid(&id)?;
        let (gone, user_errors) = payload(ctx.services().staff.delete(ctx.op(), id).await)?;
        Ok(StaffMemberDeletePayload { deleted_staff_member_id: gone.map(|()| gid(id)), user_errors })
    }
}
