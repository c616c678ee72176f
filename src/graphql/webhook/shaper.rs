//! Shapes messages to other services by subscription documents: what such a document would have sent to whoever made the endpoint.
//!
//! The webhooks service calls it, by its trait. A document is executed as for any other subscriber, with a context and loaders of its
//! own for each event, so that nothing gets out that its maker may not see.

use std::sync::Arc;

use async_graphql::{Response, Value as GraphQlValue, Variables};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::context::OpContext;
use crate::domain::event::{Event, Things, Topic};
use crate::domain::query_limits::QueryLimits;
use crate::domain::webhook::topic_name;
use crate::error::{Error, ErrorCode, UserErrorCode};
use crate::events::Recorded;
use crate::graphql::document::{Document, RequestError};
use crate::graphql::live::{Followed, Follows, Occasion, Subscribed, Subscriptions};
use crate::services::webhooks::PayloadShaper;

/// Executes subscription documents for one event at a time.
pub struct Shaper {
    subscriptions: Arc<Subscriptions>,
    limits: QueryLimits,
    base_url: String,
}

/// A document could not be executed, which is not its author's fault.
#[derive(Debug, thiserror::Error)]
#[error("a payload can't be shaped: {0}")]
struct ShapeError(String);

impl Shaper {
    /// A shaper that has documents executed within their makers' limits; paths become addresses
    /// under `base_url`.
    #[must_use]
    pub fn new(subscriptions: Arc<Subscriptions>, limits: QueryLimits, base_url: String) -> Self {
        Self { subscriptions, limits, base_url }
    }

    /// What a document sends on an occasion; nothing, if it has nothing to say. What is told of a
    /// document is its author's to mend: it does not fit the schema, or a limit.
    ///
    /// # Errors
    /// What is wrong with the document, in a sentence.
    async fn execute(
        &self,
        document: &str,
        op: OpContext,
        occasion: Occasion,
    ) -> Result<Option<Response>, String> {
        let limits = self.limits.of(op.caller_kind());
        let parsed = Document::parse(document, &limits).map(Arc::new);
        let operation = parsed.and_then(|parsed| parsed.operation(None, Variables::default(), &limits));
        let operation = operation.map_err(|error| match error {
            RequestError::Document(_) => format!("The document can't be read: {}", error.message()),
            RequestError::Refused(_, message) => message,
        })?;
        let sent = Subscribed::read(operation, &self.base_url, limits);
        let sent = sent.ok_or("The document must be one subscription")?;
        Ok(self.subscriptions.run(&sent, op, occasion).await)
    }
}

impl PayloadShaper for Shaper {
    fn check<'a>(
        &'a self,
        document: &'a str,
        topics: &'a [String],
        op: OpContext,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let follows = Follows::default();
            let started = self.execute(document, op, Occasion::Start(follows.clone())).await?;
            if let Some(error) = started.and_then(|response| response.errors.into_iter().next()) {
                return Err(error.message);
            }
            let followed = follows.take();
            let [Followed::Log(topic, after)] = followed.as_slice() else {
                return Err("The document must have one field, which follows events".to_owned());
            };
            if after.is_some() {
                return Err("Leave `after` out: each message is about one event".to_owned());
            }
            match topics.iter().find(|kind| !may_hold(topic, kind)) {
                Some(kind) => Err(format!("{} is nothing that the document follows", topic_name(kind))),
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn shape<'a>(
        &'a self,
        document: &'a str,
        event: &'a Recorded,
        op: OpContext,
    ) -> BoxFuture<'a, Result<Option<Value>, Error>> {
        async move {
            let broken = |why: String| Error::Internal(Arc::new(ShapeError(why)));
            let occasion = Occasion::Event(Arc::new(event.clone()));
            let executed = self.execute(document, op, occasion).await;
            let Some(response) = executed.map_err(|why| outdated(&why))? else { return Ok(None) };
            if let Some(error) = response.errors.iter().find(|error| is_ours(error)) {
                return Err(broken(error.message.clone()));
            }
            if matches!(response.data, GraphQlValue::Null) {
                // What it asks for is not there, or not for its maker to see any more.
                return Ok(None);
            }
            serde_json::to_value(&response).map(Some).map_err(|error| broken(error.to_string()))
        }
        .boxed()
    }
}

/// A document was valid when the endpoint was made, and is not any more: the schema has changed.
fn outdated(why: &str) -> Error {
    let message =
        format!("The subscription's query is not valid any more: {}; update it", why.trim_end_matches('.'));
    Error::invalid(&["id"], UserErrorCode::Invalid, message)
}

/// Whether events of a kind can be of a topic.
fn may_hold(topic: &Topic, kind: &str) -> bool {
    let of_things = match topic.things {
        Things::These(of, _) | Things::Every(of) => Event::aggregate_type(kind) == Some(of),
        Things::Any => true,
    };
    of_things && (topic.kinds.is_empty() || topic.kinds.iter().any(|known| known == kind))
}

/// Whether an error is the server's.
fn is_ours(error: &async_graphql::ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|values| values.get("code"));
    let ours = [ErrorCode::Internal, ErrorCode::ServiceUnavailable];
    matches!(code, Some(GraphQlValue::String(code)) if ours.iter().any(|known| known.as_str() == code))
}
