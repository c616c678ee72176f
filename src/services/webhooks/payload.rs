//! The payload of a message: the event as a CloudEvent, or the result of a GraphQL subscription
//! document.

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Webhooks;
use crate::context::OpContext;
use crate::domain::access::actors::Actor;
use crate::domain::access::permissions::Permission;
use crate::error::Error;
use crate::events::{LoggedEvent, cloud_event};
use crate::loaders::WebhookSubscription;

/// Executes subscription documents. Implemented by `graphql`, and passed in by callers, since
/// services don't depend on GraphQL.
pub trait RenderPayload: Send + Sync + 'static {
    /// Validates a document for events of these kinds: it must be a subscription with one root
    /// field that follows events of each kind, and that the caller may subscribe to.
    ///
    /// # Errors
    /// A sentence for the author of the document.
    fn check<'a>(
        &'a self,
        document: &'a str,
        topics: &'a [String],
        op: OpContext,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Renders an event for the caller as a subscription would: `{"data": …}`; `None` when the
    /// subscription does not match the event.
    fn render<'a>(
        &'a self,
        document: &'a str,
        event: &'a LoggedEvent,
        op: OpContext,
    ) -> BoxFuture<'a, Result<Option<Value>, Error>>;
}

impl Webhooks {
    /// Renders the payload of an event for an endpoint, with the current permissions of its owner;
    /// `None` when there is nothing to send.
    pub(super) async fn render_payload(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        webhook: &WebhookSubscription,
        permitted: Vec<Permission>,
        event: &LoggedEvent,
    ) -> Result<Option<Value>, Error> {
        let Some(document) = &webhook.query else {
            return Ok(Some(cloud_event(event, &self.source)));
        };
        let owner = Actor::Staff { name: webhook.created_by.clone(), permissions: permitted };
        renderer.render(document, event, op.acting_as(owner)).await
    }
}
