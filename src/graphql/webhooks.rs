//! Webhook subscriptions, and the deliveries to their endpoints.

mod mutation;
mod payload_renderer;
mod topics;

pub(super) use mutation::WebhookMutation;
pub use payload_renderer::PayloadRenderer;
use topics::WebhookTopic;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use super::request::RequestContext;
use super::staff::Permission;
use super::types::connection::{ConnectionPage, PageArgs, connection};
use super::types::guard::{PermissionGuard, may_manage_settings};
use super::types::inline_object::InlineObject;
use super::types::scalars::{DateTime, gid, parse_gid};
use crate::domain::access::permissions;
use crate::domain::ids::{Id, WebhookSubscriptionId};
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::domain::webhooks;
use crate::loaders;

connection!(
    WebhookSubscriptionConnection,
    WebhookSubscriptionEdge,
    WebhookSubscription,
    "webhook subscriptions"
);
connection!(WebhookDeliveryConnection, WebhookDeliveryEdge, WebhookDelivery, "webhook deliveries");

/// The status of a webhook subscription.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "webhooks::WebhookStatus", visible = "may_manage_settings")]
pub enum WebhookSubscriptionStatus {
    /// Events are delivered to the endpoint.
    Active,
    /// Nothing is delivered until the subscription is activated again. It was paused manually,
    /// or because the endpoint accepted no delivery for a day, or because its owner can no longer
    /// see its topics. Events are retained meanwhile.
    Paused,
}

/// The status of a webhook delivery.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "webhooks::DeliveryStatus", visible = "may_manage_settings")]
pub enum WebhookDeliveryStatus {
    /// The delivery is waiting to be sent.
    Pending,
    /// The endpoint accepted the delivery.
    Delivered,
    /// The delivery was abandoned: the endpoint accepted nothing for a day.
    Failed,
}

/// A subscription that sends events to an HTTP endpoint.
#[derive(Clone)]
pub(super) struct WebhookSubscription(Arc<loaders::WebhookSubscription>);

impl WebhookSubscription {
    /// A webhook subscription that was loaded or saved.
    pub(super) fn new(row: loaders::WebhookSubscription) -> Self {
        Self(Arc::new(row))
    }

    /// Finds a webhook subscription by ID. `None` unless the actor may manage settings.
    pub(super) async fn find(ctx: &Context<'_>, id: WebhookSubscriptionId) -> Result<Option<Self>> {
        if !ctx.op().may(permissions::Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().staff.webhook_subscriptions.load(id).await?.map(Self))
    }
}

/// A subscription that sends events to the HTTP endpoint of another service. Each event is sent as
/// a `POST` request, at least once and in the order of events. The request is signed with the
/// secret of the subscription: `Mercato-Signature: t=<Unix time>,v1=<hexadecimal HMAC-SHA256 of
/// "<t>.<body>">`. Any status from 200 to 299 counts as success. A failed delivery is retried after
/// 5 seconds, 10 seconds, 20 seconds and so on up to one hour, with the same `Idempotency-Key`;
/// later events wait for it.
#[Object(visible = "may_manage_settings")]
impl WebhookSubscription {
    /// The ID of the webhook subscription.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When the subscription was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The name of the staff member or API key that created it.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When deliveries started to fail. Null if the last delivery succeeded. The subscription is
    /// paused once deliveries have failed for a day.
    async fn first_failed_at(&self) -> Option<DateTime> {
        self.0.failing_since.map(DateTime)
    }

    /// When the subscription was paused. Null while it is active.
    async fn paused_at(&self) -> Option<DateTime> {
        self.0.paused_at.map(DateTime)
    }

    /// The permissions that the owner had when they created or last updated the subscription. The
    /// endpoint receives only events that these permissions cover and that the owner may still see.
    /// If the owner no longer has the permissions for its topics, the subscription is paused.
    async fn permissions(&self) -> Vec<Permission> {
        self.0.permissions.0.iter().copied().map(Into::into).collect()
    }

    /// The GraphQL subscription document that defines the payloads. Null for the default payload, a
    /// CloudEvent.
    async fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// Whether events are delivered to the endpoint.
    async fn status(&self) -> WebhookSubscriptionStatus {
        self.0.status.into()
    }

    /// The topics that the endpoint receives events of.
    async fn topics(&self) -> Vec<WebhookTopic> {
        self.0.topics.0.iter().filter_map(|kind| WebhookTopic::from_kind(kind)).collect()
    }

    /// When the subscription was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// The URL of the endpoint.
    async fn url(&self) -> &str {
        &self.0.url
    }
}

/// A delivery of an event to an endpoint.
#[derive(Clone)]
pub(super) struct WebhookDelivery(Arc<loaders::WebhookDelivery>);

impl WebhookDelivery {
    /// A webhook delivery that was loaded or saved.
    pub(super) fn new(row: loaders::WebhookDelivery) -> Self {
        Self(Arc::new(row))
    }

    /// Whether the actor may see everything that the endpoint receives.
    async fn may_see_payload(&self, ctx: &Context<'_>) -> Result<bool> {
        let webhook = WebhookSubscription::find(ctx, self.0.subscription_id).await?;
        Ok(webhook
            .is_some_and(|webhook| ctx.op().first_missing_permission(&webhook.0.permissions.0).is_none()))
    }
}

/// A delivery of an event to the endpoint of a webhook subscription.
#[Object(visible = "may_manage_settings")]
impl WebhookDelivery {
    /// The ID of the delivery. Its UUID is sent in the `Mercato-Delivery` header.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The attempts to send the delivery, oldest first.
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<WebhookAttempt>> {
        let is_response_visible = self.may_see_payload(ctx).await?;
        let attempts = ctx.loaders().staff.attempts_of_delivery.load(self.0.id).await?;
        Ok(attempts.iter().cloned().map(|row| WebhookAttempt { row, is_response_visible }).collect())
    }

    /// When the delivery was queued.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When the endpoint accepted the delivery. Null if it hasn't.
    async fn delivered_at(&self) -> Option<DateTime> {
        self.0.delivered_at.map(DateTime)
    }

    /// The ID of the event, whose UUID is sent in the `Idempotency-Key` header. Null for a test
    /// delivery.
    async fn event_id(&self) -> Option<ID> {
        self.0.event_id.map(gid)
    }

    /// Whether it is a test delivery.
    async fn is_test(&self) -> bool {
        self.0.event_id.is_none()
    }

    /// The earliest time of the next attempt. Null if there won't be another attempt.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.0.next_attempt_at.map(DateTime)
    }

    /// The payload, as JSON. Null before the first attempt, and for readers with fewer permissions
    /// than the endpoint.
    async fn payload(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let may_see = self.may_see_payload(ctx).await?;
        Ok(self.0.payload.as_deref().filter(|_| may_see))
    }

    /// The status of the delivery.
    async fn status(&self) -> WebhookDeliveryStatus {
        self.0.status.into()
    }

    /// The topic of the event. Null if the topic no longer exists.
    async fn topic(&self) -> Option<WebhookTopic> {
        WebhookTopic::from_kind(&self.0.topic)
    }

    /// The webhook subscription that the delivery belongs to.
    async fn webhook_subscription(&self, ctx: &Context<'_>) -> Result<Option<WebhookSubscription>> {
        WebhookSubscription::find(ctx, self.0.subscription_id).await
    }
}

/// An attempt to send a delivery.
pub(super) struct WebhookAttempt {
    row: Arc<loaders::WebhookAttempt>,
    is_response_visible: bool,
}

/// An attempt to send a webhook delivery.
#[Object(visible = "may_manage_settings")]
impl WebhookAttempt {
    /// When the attempt started.
    async fn attempted_at(&self) -> DateTime {
        DateTime(self.row.at)
    }

    /// The duration of the attempt, in milliseconds.
    async fn duration_milliseconds(&self) -> i64 {
        self.row.duration_ms
    }

    /// Why the attempt failed. Null if it succeeded.
    async fn error(&self) -> Option<&str> {
        self.row.error.as_deref()
    }

    /// The number of the attempt, starting at 1.
    async fn number(&self) -> i32 {
        self.row.number
    }

    /// The first kilobyte of the response body. Null if there was no response, and for readers with
    /// fewer permissions than the endpoint.
    async fn response_body(&self) -> Option<&str> {
        self.row.response_body.as_deref().filter(|_| self.is_response_visible)
    }

    /// The HTTP status code of the response. Null if there was no response.
    async fn response_status(&self) -> Option<i32> {
        self.row.response_status
    }
}

/// Queries for webhook subscriptions and deliveries.
#[derive(Default)]
pub(super) struct WebhookQuery;

#[Object]
impl WebhookQuery {
    /// Returns the deliveries of a webhook subscription, newest first. Deliveries are kept for 30
    /// days.
    #[graphql(
        guard = "PermissionGuard(permissions::Permission::ManageSettings)",
        visible = "may_manage_settings"
    )]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection in addition to its own")]
    async fn webhook_deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the webhook subscription.")] webhook_subscription_id: ID,
        #[graphql(desc = "Returns only deliveries with this status.")] status: Option<WebhookDeliveryStatus>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<WebhookDeliveryConnection>> {
        const LIST: &str = "webhookDeliveries";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let (id, status) = (parse_gid(&webhook_subscription_id)?, status.map(Into::into));
        let page = ctx.services().webhooks.deliveries(ctx.op(), id, status, &request).await?;
        let page = page.map(|row| (WebhookDelivery::new(row), CursorKey::None));
        Ok(InlineObject(WebhookDeliveryConnection(ConnectionPage::new(LIST, page, |delivery| {
            delivery.0.id.uuid()
        }))))
    }

    /// Returns a webhook subscription by ID.
    #[graphql(
        guard = "PermissionGuard(permissions::Permission::ManageSettings)",
        visible = "may_manage_settings"
    )]
    async fn webhook_subscription(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the webhook subscription.")] id: ID,
    ) -> Result<Option<WebhookSubscription>> {
        WebhookSubscription::find(ctx, parse_gid(&id)?).await
    }

    /// Returns the shop's webhook subscriptions, in order of creation.
    #[graphql(
        guard = "PermissionGuard(permissions::Permission::ManageSettings)",
        visible = "may_manage_settings"
    )]
    async fn webhook_subscriptions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<WebhookSubscriptionConnection>> {
        const LIST: &str = "webhookSubscriptions";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().webhooks.page(ctx.op(), &request).await?;
        let page = page.map(|row| (WebhookSubscription::new(row), CursorKey::None));
        Ok(InlineObject(WebhookSubscriptionConnection(ConnectionPage::new(LIST, page, |webhook| {
            webhook.0.id.uuid()
        }))))
    }
}
