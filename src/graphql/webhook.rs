//! Webhooks: the endpoints of other services, and the messages to them.

mod mutation;
mod shaper;
mod topic;

pub use mutation::WebhookMutation;
pub use shaper::Shaper;
use topic::WebhookTopic;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use super::connection::{Items, PageArgs, connection};
use super::guard::{Requires, manages_settings};
use super::in_order::InOrder;
use super::request::RequestContext;
use super::scalars::{DateTime, gid, parse_gid};
use super::staff::Permission;
use crate::domain::ids::{Id, WebhookSubscriptionId};
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::{permission, webhook};
use crate::loaders;

connection!(
    WebhookSubscriptionConnection,
    WebhookSubscriptionEdge,
    WebhookSubscription,
    "webhook subscriptions"
);
connection!(WebhookDeliveryConnection, WebhookDeliveryEdge, WebhookDelivery, "webhook deliveries");

/// Whether an endpoint is sent messages.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "webhook::WebhookStatus", visible = "manages_settings")]
pub enum WebhookSubscriptionStatus {
    /// It is.
    Active,
    /// It is not, until it is set active again: somebody paused it, it took no message for a day, or its owner may not hear of its topics
    /// any more. What happens meanwhile waits.
    Paused,
}

/// The state of a message to an endpoint.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "webhook::DeliveryStatus", visible = "manages_settings")]
pub enum WebhookDeliveryStatus {
    /// It is to be sent.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It was given up: the endpoint took nothing for a day.
    Failed,
}

/// An endpoint of another service that is told of what happens.
#[derive(Clone)]
pub struct WebhookSubscription(Arc<loaders::WebhookSubscription>);

impl WebhookSubscription {
    /// An endpoint that was read or written.
    pub fn of(row: loaders::WebhookSubscription) -> Self {
        Self(Arc::new(row))
    }

    /// The endpoint with an id.
    pub async fn find(ctx: &Context<'_>, id: WebhookSubscriptionId) -> Result<Option<Self>> {
        if !ctx.op().may(permission::Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().webhook_subscriptions.load(id).await?.map(Self))
    }
}

/// An endpoint of another service that is told of what happens. Each event is sent to it by POST, at least once and in the order in which
/// it happened, signed with its secret: `Mercato-Signature: t=<Unix time>,v1=<HMAC-SHA256 of "<t>.<body>", hexadecimal>`. Any status
/// from 200 to 299 is success. What is not taken is sent again after 5 seconds, 10, 20 and so on up to an hour, with the same
/// `Idempotency-Key`, and what is behind it waits.
#[Object(visible = "manages_settings")]
impl WebhookSubscription {
    /// The subscription's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Who made it.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When the first message failed since it last took one; null while it takes them. After a day it is paused.
    async fn first_failed_at(&self) -> Option<DateTime> {
        self.0.failing_since.map(DateTime)
    }

    /// When it was paused; null while it is active.
    async fn paused_at(&self) -> Option<DateTime> {
        self.0.paused_at.map(DateTime)
    }

    /// What its owner, who made it or changed it last, might see then. Nothing else is sent, and of this nothing that they may not see any
    /// more; once that is less than its topics need, it is paused.
    async fn permissions(&self) -> Vec<Permission> {
        self.0.permissions.0.iter().copied().map(Into::into).collect()
    }

    /// The subscription document that shapes its messages; null where they are the events themselves, as CloudEvents.
    async fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// Whether it is sent messages.
    async fn status(&self) -> WebhookSubscriptionStatus {
        self.0.status.into()
    }

    /// What it is told of.
    async fn topics(&self) -> Vec<WebhookTopic> {
        self.0.topics.0.iter().filter_map(|kind| WebhookTopic::of(kind)).collect()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Where messages go.
    async fn url(&self) -> &str {
        &self.0.url
    }
}

/// A message to an endpoint.
#[derive(Clone)]
pub struct WebhookDelivery(Arc<loaders::WebhookDelivery>);

impl WebhookDelivery {
    /// A message that was read or written.
    pub fn of(row: loaders::WebhookDelivery) -> Self {
        Self(Arc::new(row))
    }

    /// Whether the actor may see all that the endpoint may hear.
    async fn may_see(&self, ctx: &Context<'_>) -> Result<bool> {
        let webhook = WebhookSubscription::find(ctx, self.0.subscription_id).await?;
        Ok(webhook.is_some_and(|webhook| ctx.op().lacks(&webhook.0.permissions.0).is_none()))
    }
}

/// A message to an endpoint.
#[Object(visible = "manages_settings")]
impl WebhookDelivery {
    /// The delivery's global id; its UUID is the message's `Mercato-Delivery`.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The attempts to send it, in order.
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<WebhookAttempt>> {
        let is_answer_shown = self.may_see(ctx).await?;
        let attempts = ctx.loaders().attempts_of_delivery.load(self.0.id).await?;
        Ok(attempts.iter().cloned().map(|row| WebhookAttempt { row, is_answer_shown }).collect())
    }

    /// When it was put into the queue.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was taken.
    async fn delivered_at(&self) -> Option<DateTime> {
        self.0.delivered_at.map(DateTime)
    }

    /// The event's global id, whose UUID is the message's `Idempotency-Key`; null for a test.
    async fn event_id(&self) -> Option<ID> {
        self.0.event_id.map(gid)
    }

    /// Whether it was sent to try the endpoint out.
    async fn is_test(&self) -> bool {
        self.0.event_id.is_none()
    }

    /// When it may be sent; null if it is not to be sent any more.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.0.next_attempt_at.map(DateTime)
    }

    /// What it holds, JSON; null before it was first sent, and for those who may see less than the endpoint.
    async fn payload(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let may_see = self.may_see(ctx).await?;
        Ok(self.0.payload.as_deref().filter(|_| may_see))
    }

    /// Its state.
    async fn status(&self) -> WebhookDeliveryStatus {
        self.0.status.into()
    }

    /// What it tells of; null where there is no such topic any more.
    async fn topic(&self) -> Option<WebhookTopic> {
        WebhookTopic::of(&self.0.topic)
    }

    /// Whom it is for.
    async fn webhook_subscription(&self, ctx: &Context<'_>) -> Result<Option<WebhookSubscription>> {
        WebhookSubscription::find(ctx, self.0.subscription_id).await
    }
}

/// An attempt to send a message.
pub struct WebhookAttempt {
    row: Arc<loaders::WebhookAttempt>,
    is_answer_shown: bool,
}

/// An attempt to send a message.
#[Object(visible = "manages_settings")]
impl WebhookAttempt {
    /// When it began.
    async fn attempted_at(&self) -> DateTime {
        DateTime(self.row.at)
    }

    /// How long it took.
    async fn duration_milliseconds(&self) -> i64 {
        self.row.duration_ms
    }

    /// Why it failed; null if the message was taken.
    async fn error(&self) -> Option<&str> {
        self.row.error.as_deref()
    }

    /// Its number among the attempts to send the message, from 1 on.
    async fn number(&self) -> i32 {
        self.row.number
    }

    /// The first kilobyte of the answer; null if there was none, and for those who may see less than the endpoint.
    async fn response_body(&self) -> Option<&str> {
        self.row.response_body.as_deref().filter(|_| self.is_answer_shown)
    }

    /// The status of the answer; null if there was none.
    async fn response_status(&self) -> Option<i32> {
        self.row.response_status
    }
}

/// Reads of webhooks.
#[derive(Default)]
pub struct WebhookQuery;

#[Object]
impl WebhookQuery {
    /// The messages to an endpoint, the newest first. They are kept for 30 days.
    #[graphql(guard = "Requires(permission::Permission::ManageSettings)", visible = "manages_settings")]
    #[expect(clippy::too_many_arguments, reason = "the four arguments of a connection beside its own")]
    async fn webhook_deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subscription's global id.")] webhook_subscription_id: ID,
        #[graphql(desc = "Those in this state alone.")] status: Option<WebhookDeliveryStatus>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<WebhookDeliveryConnection>> {
        const LIST: &str = "webhookDeliveries";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let (id, status) = (parse_gid(&webhook_subscription_id)?, status.map(Into::into));
        let page = ctx.services().webhooks.deliveries(ctx.op(), id, status, &request).await?;
        let page = page.map(|row| (WebhookDelivery::of(row), CursorKey::None));
        Ok(InOrder(WebhookDeliveryConnection(Items::new(LIST, page, |delivery| delivery.0.id.uuid()))))
    }

    /// An endpoint, by its id.
    #[graphql(guard = "Requires(permission::Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_subscription(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subscription's global id.")] id: ID,
    ) -> Result<Option<WebhookSubscription>> {
        WebhookSubscription::find(ctx, parse_gid(&id)?).await
    }

    /// Endpoints of other services, in the order they were made.
    #[graphql(guard = "Requires(permission::Permission::ManageSettings)", visible = "manages_settings")]
    async fn webhook_subscriptions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<WebhookSubscriptionConnection>> {
        const LIST: &str = "webhookSubscriptions";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().webhooks.page(ctx.op(), &request).await?;
        let page = page.map(|row| (WebhookSubscription::of(row), CursorKey::None));
        Ok(InOrder(WebhookSubscriptionConnection(Items::new(LIST, page, |webhook| webhook.0.id.uuid()))))
    }
}
