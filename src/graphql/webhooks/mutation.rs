//! Webhook mutations.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{WebhookDelivery, WebhookSubscription, WebhookSubscriptionStatus, WebhookTopic};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::WebhookSubscriptionId;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::{gid, parse_gid};
use crate::services::webhooks::{NewWebhook, WebhookPatch};

/// Webhook mutations.
#[derive(Default)]
pub(crate) struct WebhookMutation;

/// The input fields of a new webhook subscription.
#[derive(InputObject)]
pub(super) struct WebhookSubscriptionCreateInput {
    /// The URL of the endpoint. It must be an `https://` URL on the public internet, unless the
    /// server's configuration allows others.
    url: String,
    /// The topics to receive events of. You must be permitted to see them yourself.
    topics: Vec<WebhookTopic>,
    /// A GraphQL subscription document that defines the payloads: each payload is the response that
    /// this subscription would have sent you for the event. Defaults to the event itself, as a
    /// CloudEvent.
    query: Option<String>,
}

/// The changes to a webhook subscription. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct WebhookSubscriptionUpdateInput {
    /// The URL of the endpoint.
    url: Option<String>,
    /// The topics to receive events of. Replaces the existing topics.
    topics: Option<Vec<WebhookTopic>>,
    /// A GraphQL subscription document that defines the payloads. Null restores the default, a
    /// CloudEvent.
    query: MaybeUndefined<String>,
    /// Whether events are delivered to the endpoint. When a paused subscription is activated, the
    /// events since it was paused are delivered, up to 30 days back.
    status: Option<WebhookSubscriptionStatus>,
}

/// The result of `webhookSubscriptionCreate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct WebhookSubscriptionCreatePayload {
    /// The secret that requests are signed with, shown only once.
    secret: Option<String>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
    /// The new webhook subscription. Null if the mutation failed.
    webhook_subscription: Option<WebhookSubscription>,
}

/// The result of `webhookSubscriptionUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct WebhookSubscriptionUpdatePayload {
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
    /// The updated webhook subscription. Null if the mutation failed.
    webhook_subscription: Option<WebhookSubscription>,
}

/// The result of `webhookSubscriptionDelete`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct WebhookSubscriptionDeletePayload {
    /// The ID of the deleted webhook subscription. Null if the mutation failed.
    deleted_webhook_subscription_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `webhookDeliveryRetry`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct WebhookDeliveryRetryPayload {
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
    /// The delivery. Null if it can't be sent again.
    webhook_delivery: Option<WebhookDelivery>,
}

/// The result of `webhookSubscriptionTest`.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
pub(super) struct WebhookSubscriptionTestPayload {
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
    /// The test delivery with its attempt. Null if nothing was sent.
    webhook_delivery: Option<WebhookDelivery>,
}

#[Object]
impl WebhookMutation {
    /// Sends a failed or accepted delivery again, or a pending one immediately. It is sent before
    /// all deliveries of later events.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn webhook_delivery_retry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the delivery.")] id: ID,
    ) -> Result<WebhookDeliveryRetryPayload> {
        let (delivery, user_errors) =
            payload(ctx.services().webhooks.retry(ctx.op(), parse_gid(&id)?).await)?;
        Ok(WebhookDeliveryRetryPayload { user_errors, webhook_delivery: delivery.map(WebhookDelivery::new) })
    }

    /// Creates a webhook subscription, which delivers events from now on, as long as you are
    /// permitted to see them.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn webhook_subscription_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook subscription to create.")]
        webhook_subscription: WebhookSubscriptionCreateInput,
    ) -> Result<WebhookSubscriptionCreatePayload> {
        let new = NewWebhook {
            url: webhook_subscription.url,
            topics: to_event_kinds(&webhook_subscription.topics),
            query: webhook_subscription.query,
        };
        let (created, user_errors) =
            payload(ctx.services().webhooks.create(ctx.op(), ctx.payload_renderer()?, &new).await)?;
        let (webhook, secret) = created.unzip();
        let webhook_subscription = webhook.map(WebhookSubscription::new);
        Ok(WebhookSubscriptionCreatePayload { secret, user_errors, webhook_subscription })
    }

    /// Deletes a webhook subscription. Pending deliveries are not sent.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn webhook_subscription_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the webhook subscription.")] id: ID,
    ) -> Result<WebhookSubscriptionDeletePayload> {
        let id: WebhookSubscriptionId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().webhooks.delete(ctx.op(), id).await)?;
        let deleted_webhook_subscription_id = deleted.map(|()| gid(id));
        Ok(WebhookSubscriptionDeletePayload { deleted_webhook_subscription_id, user_errors })
    }

    /// Updates a webhook subscription. You become its owner: the endpoint receives events that you
    /// are permitted to see, for as long as you are permitted to see them.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn webhook_subscription_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the webhook subscription.")] id: ID,
        #[graphql(desc = "The fields to change.")] webhook_subscription: WebhookSubscriptionUpdateInput,
    ) -> Result<WebhookSubscriptionUpdatePayload> {
        let patch = WebhookPatch {
            url: webhook_subscription.url,
            topics: webhook_subscription.topics.as_deref().map(to_event_kinds),
            query: webhook_subscription.query.into(),
            status: webhook_subscription.status.map(Into::into),
        };
        let changed =
            ctx.services().webhooks.update(ctx.op(), ctx.payload_renderer()?, parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(changed)?;
        let webhook_subscription = changed.map(WebhookSubscription::new);
        Ok(WebhookSubscriptionUpdatePayload { user_errors, webhook_subscription })
    }

    /// Sends a test delivery immediately and only once, with the most recent event of the
    /// subscription's topics, or with a fictitious one if there is none.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn webhook_subscription_test(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the webhook subscription.")] id: ID,
    ) -> Result<WebhookSubscriptionTestPayload> {
        let (delivery, user_errors) =
            payload(ctx.services().webhooks.test(ctx.op(), ctx.payload_renderer()?, parse_gid(&id)?).await)?;
        Ok(WebhookSubscriptionTestPayload {
            user_errors,
            webhook_delivery: delivery.map(WebhookDelivery::new),
        })
    }
}

fn to_event_kinds(topics: &[WebhookTopic]) -> Vec<String> {
    topics.iter().map(|topic| topic.kind().to_owned()).collect()
}
