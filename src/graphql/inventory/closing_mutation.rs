//! Locations that are given up.

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{gid, parse_gid};

/// Locations that are given up.
#[derive(Default)]
pub struct ClosingMutation;

/// What became of the location.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct LocationDeletePayload {
    /// The id that it had; null if it is still there.
    deleted_location_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl ClosingMutation {
    /// Deletes a location at which nothing lies and from which nothing was ever sent. Others can be
    /// made inactive.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn location_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<LocationDeletePayload> {
        let id = parse_gid(&id)?;
        let (gone, user_errors) = payload(ctx.services().inventory.delete_location(ctx.op(), id).await)?;
        Ok(LocationDeletePayload { deleted_location_id: gone.map(|()| gid(id)), user_errors })
    }
}
