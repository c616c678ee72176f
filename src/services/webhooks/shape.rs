//! What a message holds: the event as CloudEvents has it, or what a GraphQL subscription would have sent of it.

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Webhooks;
use crate::auth::Actor;
use crate::context::OpContext;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::events::{Recorded, cloud_event};
use crate::loaders::WebhookSubscription;

/// Executes subscription documents: the schema, given by `app.rs`, since services know no GraphQL.
pub trait PayloadShaper: Send + Sync + 'static {
    /// Says what is wrong with a document for messages about events of these kinds: it must be a subscription with one root field, which
    /// follows events of each of these kinds, and which whoever has the context may follow.
    ///
    /// # Errors
    /// A sentence for whoever wrote it.
    fn check<'a>(
        &'a self,
        document: &'a str,
        topics: &'a [String],
        op: OpContext,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// What a subscription sends for an event to whoever has the context: `{"data": …}`; nothing, if the event is none for it.
    fn shape<'a>(
        &'a self,
        document: &'a str,
        event: &'a Recorded,
        op: OpContext,
    ) -> BoxFuture<'a, Result<Option<Value>, Error>>;
}

impl Webhooks {
    fn shaper(&self) -> Option<Arc<dyn PayloadShaper>> {
        self.shaper.get().and_then(Weak::upgrade)
    }

    pub(super) async fn check_document(
        &self,
        op: &OpContext,
        document: &str,
        topics: &[String],
    ) -> Result<(), String> {
        match self.shaper() {
            Some(shaper) => shaper.check(document, topics, op.clone()).await,
            None => Err("Messages can't be shaped by a document here".to_owned()),
        }
    }

    /// What a message to an endpoint about an event holds, of what its owner is permitted to see now; nothing, if it is none for the
    /// endpoint.
    pub(super) async fn shape(
        &self,
        op: &OpContext,
        webhook: &WebhookSubscription,
        permitted: Vec<Permission>,
        event: &Recorded,
    ) -> Result<Option<Value>, Error> {
        let (Some(document), Some(shaper)) = (&webhook.query, self.shaper()) else {
            return Ok(Some(cloud_event(event, &self.source)));
        };
        let owner = Actor::Staff { name: webhook.created_by.clone(), permissions: permitted };
        shaper.shape(document, event, op.acting_as(owner)).await
    }
}
