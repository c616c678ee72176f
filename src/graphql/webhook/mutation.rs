//! Writes of webhooks.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{WebhookDelivery, WebhookSubscription, WebhookSubscriptionStatus, WebhookTopic};
use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{gid, parse_gid};
use crate::services::webhooks::{NewWebhook, WebhookPatch};

/// Writes of webhooks.
#[derive(Default)]
pub struct WebhookMutation;

/// An endpoint to be made.
#[derive(InputObject)]
pub struct WebhookSubscriptionCreateInput {
    /// Where messages go: an `https://` address on the public internet, unless the server's configuration allows others.
    url: String,
    /// What it is told of: nothing that you may not see yourself.
    topics: Vec<WebhookTopic>,
    /// A subscription document that shapes its messages: they hold what it would have sent to you. Without one they are the events
    /// themselves, as CloudEvents.
    query: Option<String>,
}

/// A change of an endpoint; what is not given stays as it is.
#[derive(InputObject)]
pub struct WebhookSubscriptionUpdateInput {
    /// Where messages go.
    url: Option<String>,
    /// What it is told of, in place of what it was told of.
    topics: Option<Vec<WebhookTopic>>,
    /// A subscription document that shapes its messages; null: none.
    query: MaybeUndefined<String>,
    /// Whether it is sent messages. One that is set active goes on with what waits for it: what happened while it was paused, of the
    /// last 30 days.
    status: Option<WebhookSubscriptionStatus>,
}

/// What became of the endpoint.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct WebhookSubscriptionCreatePayload {
    /// What its messages are signed with. It is shown this once.
    secret: Option<String>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
    /// The endpoint; null if it could not be made.
    webhook_subscription: Option<WebhookSubscription>,
}

/// What became of the endpoint.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct WebhookSubscriptionUpdatePayload {
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
    /// The endpoint; null if it could not be changed.
    webhook_subscription: Option<WebhookSubscription>,
}

/// What became of the endpoint.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct WebhookSubscriptionDeletePayload {
    /// The global id of the endpoint that is gone.
    deleted_webhook_subscription_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What becomes of the message.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct WebhookDeliveryRetryPayload {
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
    /// The message; null if it can't be sent again.
    webhook_delivery: Option<WebhookDelivery>,
}

/// What became of the message.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
pub struct WebhookSubscriptionTestPayload {
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
    /// The message, with its attempt; null if nothing was sent.
    webhook_delivery: Option<WebhookDelivery>,
}

#[Object]
impl WebhookMutation {
    /// Sends a message again that was given up or taken, or one that waits at once; before all that happened later.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_delivery_retry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The delivery's global id.")] id: ID,
    ) -> Result<WebhookDeliveryRetryPayload> {
        let (delivery, user_errors) =
            payload(ctx.services().webhooks.retry(ctx.op(), parse_gid(&id)?).await)?;
        Ok(WebhookDeliveryRetryPayload { user_errors, webhook_delivery: delivery.map(WebhookDelivery::of) })
    }

    /// Has an endpoint told of what happens from now on, as long as you may see it.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_subscription_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The endpoint.")] webhook_subscription: WebhookSubscriptionCreateInput,
    ) -> Result<WebhookSubscriptionCreatePayload> {
        let new = NewWebhook {
            url: webhook_subscription.url,
            topics: kinds(&webhook_subscription.topics),
            query: webhook_subscription.query,
        };
        let (made, user_errors) = payload(ctx.services().webhooks.create(ctx.op(), &new).await)?;
        let (webhook, secret) = made.unzip();
        let webhook_subscription = webhook.map(WebhookSubscription::of);
        Ok(WebhookSubscriptionCreatePayload { secret, user_errors, webhook_subscription })
    }

    /// Has an endpoint told of nothing any more. What waits for it is not sent.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_subscription_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subscription's global id.")] id: ID,
    ) -> Result<WebhookSubscriptionDeletePayload> {
        let id: WebhookSubscriptionId = parse_gid(&id)?;
        let (gone, user_errors) = payload(ctx.services().webhooks.delete(ctx.op(), id).await)?;
        let deleted_webhook_subscription_id = gone.map(|()| gid(id));
        Ok(WebhookSubscriptionDeletePayload { deleted_webhook_subscription_id, user_errors })
    }

    /// Changes an endpoint. From then on it is yours: it is told of what you may see, as long as you may.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_subscription_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subscription's global id.")] id: ID,
        #[graphql(desc = "The changes.")] webhook_subscription: WebhookSubscriptionUpdateInput,
    ) -> Result<WebhookSubscriptionUpdatePayload> {
        let patch = WebhookPatch {
            url: webhook_subscription.url,
            topics: webhook_subscription.topics.as_deref().map(kinds),
            query: webhook_subscription.query.into(),
            status: webhook_subscription.status.map(Into::into),
        };
        let changed = ctx.services().webhooks.update(ctx.op(), parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(changed)?;
        let webhook_subscription = changed.map(WebhookSubscription::of);
        Ok(WebhookSubscriptionUpdatePayload { user_errors, webhook_subscription })
    }

    /// Sends an endpoint a message at once, to try it out: about the newest event of its topics, or a made-up one. It is sent once.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_subscription_test(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subscription's global id.")] id: ID,
    ) -> Result<WebhookSubscriptionTestPayload> {
        let (delivery, user_errors) = payload(ctx.services().webhooks.test(ctx.op(), parse_gid(&id)?).await)?;
        Ok(WebhookSubscriptionTestPayload {
            user_errors,
            webhook_delivery: delivery.map(WebhookDelivery::of),
        })
    }
}

fn kinds(topics: &[WebhookTopic]) -> Vec<String> {
    topics.iter().map(|topic| topic.kind().to_owned()).collect()
}
