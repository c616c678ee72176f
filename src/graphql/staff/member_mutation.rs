//! Writes of members of staff.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::StaffMember;
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_staff};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{parse_gid, parse_gids};
use crate::services::staff::StaffPatch;

/// Writes of members of staff.
#[derive(Default)]
pub struct StaffMemberMutation;

/// A member of staff to be made.
#[derive(InputObject)]
pub struct StaffMemberCreateInput {
    /// The e-mail address they sign in with, unique in the shop.
    email: String,
    /// How colleagues call them.
    name: String,
    /// The password they begin with, of 8 characters or more. Without one they are mailed a token
    /// to set one with (`staffPasswordReset`).
    password: Option<String>,
    /// The global ids of their roles, none of which may permit more than you may do yourself.
    #[graphql(default)]
    role_ids: Vec<ID>,
    /// Whether they may sign in; true when it is not given.
    is_active: Option<bool>,
}

/// A change of a member of staff; what is not given stays as it is.
#[derive(InputObject)]
pub struct StaffMemberUpdateInput {
    /// The e-mail address they sign in with, unique in the shop.
    email: Option<String>,
    /// How colleagues call them.
    name: Option<String>,
    /// A new password, of 8 characters or more. It ends their sessions.
    password: Option<String>,
    /// The global ids of all their roles, in place of those they had.
    role_ids: Option<Vec<ID>>,
    /// Whether they may sign in. Their sessions end when they may not.
    is_active: Option<bool>,
}

/// What became of the member.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct StaffMemberCreatePayload {
    /// The member; null if they could not be made.
    staff_member: Option<StaffMember>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the member.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct StaffMemberUpdatePayload {
    /// The member; null if they could not be changed.
    staff_member: Option<StaffMember>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffMemberMutation {
    /// Makes a member of staff.
    #[graphql(guard = "Requires(Permission::ManageStaff)", visible = "manages_staff")]
    async fn staff_member_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The member.")] staff_member: StaffMemberCreateInput,
    ) -> Result<StaffMemberCreatePayload> {
        let new = StaffPatch {
            email: Some(staff_member.email),
            name: Some(staff_member.name),
            password: staff_member.password,
            role_ids: Some(parse_gids(&staff_member.role_ids)?),
            is_active: staff_member.is_active,
        };
        let (made, user_errors) = payload(ctx.services().staff.create(ctx.op(), &new).await)?;
        Ok(StaffMemberCreatePayload { staff_member: made.map(StaffMember::of), user_errors })
    }

    /// Changes a member of staff. Not one who may do more than you; and somebody must be left who can manage staff.
    #[graphql(guard = "Requires(Permission::ManageStaff)", visible = "manages_staff")]
    async fn staff_member_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their global id.")] id: ID,
        #[graphql(desc = "The changes.")] staff_member: StaffMemberUpdateInput,
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
        Ok(StaffMemberUpdatePayload { staff_member: changed.map(StaffMember::of), user_errors })
    }
}
