//! Writes of API keys.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{ApiKey, Permission, held};
use crate::domain::permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_staff};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, parse_gid};
use crate::services::api_keys::NewApiKey;

/// Writes of API keys.
#[derive(Default)]
pub struct ApiKeyMutation;

/// A key to be made.
#[derive(InputObject)]
pub struct ApiKeyCreateInput {
    /// What people, the log and events call it.
    name: String,
    /// What it permits: nothing that you may not do yourself. Empty for a storefront's key.
    permissions: Vec<Permission>,
    /// When it ends; never when it is not given.
    expires_at: Option<DateTime>,
    /// Whether it is a storefront's: a public key for `X-Shopify-Storefront-Access-Token`, with
    /// which anybody may read the catalogue and buy, and do nothing else.
    #[graphql(default)]
    is_storefront: bool,
}

/// What became of the key.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct ApiKeyCreatePayload {
    /// The key; null if it could not be made.
    api_key: Option<ApiKey>,
    /// What requests are signed with, as `Authorization: Bearer`; a storefront's is sent as
    /// `X-Shopify-Storefront-Access-Token`. It is shown this once.
    secret: Option<String>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the key.
#[derive(SimpleObject)]
#[graphql(visible = "manages_staff")]
pub struct ApiKeyRevokePayload {
    /// The key; null if there is none.
    api_key: Option<ApiKey>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl ApiKeyMutation {
    /// Makes a key for a service. It permits nothing that you may not do yourself at the time when it is used, and nothing once you may not
    /// sign in any more; a key that is to outlast its maker is made on the server's machine: `mercato apikey create`.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key.")] api_key: ApiKeyCreateInput,
    ) -> Result<ApiKeyCreatePayload> {
        let new = NewApiKey {
            name: api_key.name,
            permissions: held(api_key.permissions),
            expires_at: api_key.expires_at.map(|end| end.0),
            is_storefront: api_key.is_storefront,
        };
        let (made, user_errors) = payload(ctx.services().api_keys.create(ctx.op(), &new).await)?;
        let (key, secret) = made.unzip();
        Ok(ApiKeyCreatePayload { api_key: key.map(ApiKey::of), secret, user_errors })
    }

    /// Revokes a key, for good. Requests that are signed with it are refused from now on, on other nodes within five seconds, and so
    /// are those of keys that were made with it; webhooks that were made with it are paused. A key that permits more than you may do is not
    /// yours to revoke.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key's global id.")] id: ID,
    ) -> Result<ApiKeyRevokePayload> {
        let (key, user_errors) = payload(ctx.services().api_keys.revoke(ctx.op(), parse_gid(&id)?).await)?;
        Ok(ApiKeyRevokePayload { api_key: key.map(ApiKey::of), user_errors })
    }
}
