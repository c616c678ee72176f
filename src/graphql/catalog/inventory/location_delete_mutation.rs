//! Deletion of locations.

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use crate::domain::access::permissions::Permission;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::{gid, parse_gid};

/// The mutation that deletes locations.
#[derive(Default)]
pub(crate) struct LocationDeleteMutation;

/// The result of `locationDelete`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct LocationDeletePayload {
    /// The ID of the deleted location. Null if the mutation failed.
    deleted_location_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl LocationDeleteMutation {
    /// Deletes a location. It must have no inventory, and no order can have been fulfilled from it.
    /// Other locations can be deactivated with `locationUpdate`.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn location_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the location.")] id: ID,
    ) -> Result<LocationDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().inventory.delete_location(ctx.op(), id).await)?;
        Ok(LocationDeletePayload { deleted_location_id: deleted.map(|()| gid(id)), user_errors })
    }
}
