//! API key mutations.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{ApiKey, Permission, into_domain_permissions};
use crate::domain::access::permissions;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_staff};
use crate::graphql::types::scalars::{DateTime, parse_gid};
use crate::services::access::api_keys::NewApiKey;

/// API key mutations.
#[derive(Default)]
pub(crate) struct ApiKeyMutation;

/// The input fields of a new API key.
#[derive(InputObject)]
pub(super) struct ApiKeyCreateInput {
    /// The name of the key, also used in logs and events.
    name: String,
    /// The permissions that the key grants. You must have all of them yourself. Must be empty for a
    /// storefront key.
    permissions: Vec<Permission>,
    /// When the key expires. By default, it doesn't expire.
    expires_at: Option<DateTime>,
    /// Whether to create a storefront key: a public key for `X-Shopify-Storefront-Access-Token`,
    /// with which anyone can read the catalog and buy, but nothing else.
    #[graphql(default)]
    is_storefront: bool,
}

/// The result of `apiKeyCreate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct ApiKeyCreatePayload {
    /// The new API key. Null if the mutation failed.
    api_key: Option<ApiKey>,
    /// The secret of the key, shown only once. Send it in the `Authorization: Bearer` header or,
    /// for a storefront key, in `X-Shopify-Storefront-Access-Token`.
    secret: Option<String>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `apiKeyRevoke`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_staff")]
pub(super) struct ApiKeyRevokePayload {
    /// The revoked API key. Null if the mutation failed.
    api_key: Option<ApiKey>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl ApiKeyMutation {
    /// Creates an API key for another service. The key never grants more than your own current
    /// permissions, and stops working when you can no longer sign in. To create a key that is
    /// independent of a staff member, run `mercato apikey create` on the server.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The API key to create.")] api_key: ApiKeyCreateInput,
    ) -> Result<ApiKeyCreatePayload> {
        let new = NewApiKey {
            name: api_key.name,
            permissions: into_domain_permissions(api_key.permissions),
            expires_at: api_key.expires_at.map(|end| end.0),
            is_storefront: api_key.is_storefront,
        };
        let (created, user_errors) = payload(ctx.services().api_keys.create(ctx.op(), &new).await)?;
        let (key, secret) = created.unzip();
        Ok(ApiKeyCreatePayload { api_key: key.map(ApiKey::new), secret, user_errors })
    }

    /// Permanently revokes an API key. Requests with the key, or with keys created by it, are
    /// refused from now on (on other server nodes within five seconds), and webhook subscriptions
    /// created by it are paused. You can't revoke a key that grants permissions you don't have.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the API key.")] id: ID,
    ) -> Result<ApiKeyRevokePayload> {
        let (key, user_errors) = payload(ctx.services().api_keys.revoke(ctx.op(), parse_gid(&id)?).await)?;
        Ok(ApiKeyRevokePayload { api_key: key.map(ApiKey::new), user_errors })
    }
}
