//! Renders webhook payloads with subscription documents: the payload for an event is what the
//! subscription would have sent to the owner of the webhook.
//!
//! The webhooks service calls it through [`RenderPayload`]. A document is executed with a context
//! and loaders of its own for each event, so a payload contains only what the owner may see.

use std::sync::Arc;

use async_graphql::{Value as GraphQlValue, Variables};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::context::OpContext;
use crate::domain::access::query_limits::QueryLimits;
use crate::domain::events::{Event, Topic, TopicScope};
use crate::domain::webhooks::topic_name;
use crate::error::{Error, ErrorCode, UserErrorCode};
use crate::events::LoggedEvent;
use crate::graphql::live::{EventSource, PreparedSubscription, SubscriptionExecutor, Trigger};
use crate::graphql::request::document::{Document, RequestError};
use crate::services::webhooks::RenderPayload;

/// Renders payloads by executing a subscription document for one event at a time.
pub struct PayloadRenderer {
    subscriptions: Arc<SubscriptionExecutor>,
    limits: QueryLimits,
    base_url: String,
}

/// Errors that were caused by the server rather than by the document.
const SERVER_ERRORS: [ErrorCode; 3] =
    [ErrorCode::Internal, ErrorCode::ServiceUnavailable, ErrorCode::Timeout];

/// The document could not be executed, through no fault of its author.
#[derive(Debug, thiserror::Error)]
#[error("rendering a payload failed: {0}")]
struct RenderError(String);

impl PayloadRenderer {
    /// Documents are executed within the limits of their owners. Paths in payloads become absolute
    /// URLs below `base_url`.
    #[must_use]
    pub fn new(subscriptions: Arc<SubscriptionExecutor>, limits: QueryLimits, base_url: String) -> Self {
        Self { subscriptions, limits, base_url }
    }

    /// Prepares a document for its owner.
    ///
    /// # Errors
    ///
    /// A message about what is wrong with the document: it doesn't match the schema or exceeds a
    /// limit.
    fn prepare(&self, document: &str, op: &OpContext) -> Result<PreparedSubscription, String> {
        let limits = self.limits.of(op.caller_kind());
        let parsed = Document::parse(document, &limits).map(Arc::new);
        let operation = parsed.and_then(|parsed| parsed.operation(None, Variables::default(), &limits));
        let operation = operation.map_err(|error| match error {
            RequestError::Document(_) => format!("The document is invalid: {}", error.message()),
            RequestError::Rejected(_, message) => message,
        })?;
        let prepared = PreparedSubscription::from_operation(operation, &self.base_url, limits);
        prepared.ok_or_else(|| "The document must be one subscription".to_owned())
    }
}

impl RenderPayload for PayloadRenderer {
    fn check<'a>(
        &'a self,
        document: &'a str,
        topics: &'a [String],
        op: OpContext,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let prepared = self.prepare(document, &op)?;
            let started = self.subscriptions.run(&prepared, op, Trigger::Start).await;
            if let Some(error) = started.and_then(|response| response.errors.into_iter().next()) {
                return Err(error.message);
            }
            let (Ok(EventSource::Log(topic)), Ok(after)) = (prepared.source(), prepared.after()) else {
                return Err("The document must have one field, which follows events".to_owned());
            };
            if after.is_some() {
                return Err("Leave `after` out: each message is about one event".to_owned());
            }
            match topics.iter().find(|kind| !may_contain(&topic, kind)) {
                Some(kind) => Err(format!("The document does not follow {}", topic_name(kind))),
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn render<'a>(
        &'a self,
        document: &'a str,
        event: &'a LoggedEvent,
        op: OpContext,
    ) -> BoxFuture<'a, Result<Option<Value>, Error>> {
        async move {
            let render_error = |reason: String| Error::Internal(Arc::new(RenderError(reason)));
            let prepared = self.prepare(document, &op).map_err(|reason| outdated_query_error(&reason))?;
            if !follows(&prepared, event) {
                return Ok(None);
            }
            let trigger = Trigger::Event(Arc::new(event.clone()));
            let Some(response) = self.subscriptions.run(&prepared, op, trigger).await else {
                return Ok(None);
            };
            if let Some(error) = response.errors.iter().find(|error| has_code(error, &SERVER_ERRORS)) {
                return Err(render_error(error.message.clone()));
            }
            let mut errors = response.errors.iter();
            if let Some(error) = errors.find(|error| has_code(error, &[ErrorCode::LimitExceeded])) {
                return Err(Error::invalid(&["id"], UserErrorCode::TooMany, error.message.clone()));
            }
            if matches!(response.data, GraphQlValue::Null) {
                // The requested object doesn't exist, or the owner may no longer see it.
                return Ok(None);
            }
            serde_json::to_value(&response).map(Some).map_err(|error| render_error(error.to_string()))
        }
        .boxed()
    }
}

/// The error for a document that was valid when the webhook was created, but no longer is, because
/// the schema has changed.
fn outdated_query_error(reason: &str) -> Error {
    let message =
        format!("The subscription's query is no longer valid: {}; update it", reason.trim_end_matches('.'));
    Error::invalid(&["id"], UserErrorCode::Invalid, message)
}

/// Whether an event belongs to what a subscription follows.
fn follows(subscription: &PreparedSubscription, event: &LoggedEvent) -> bool {
    let row = &event.row;
    matches!(subscription.source(), Ok(EventSource::Log(topic))
        if topic.contains(&row.aggregate_type, row.aggregate_id.0, &row.kind))
}

/// Whether a topic can contain events of a kind.
fn may_contain(topic: &Topic, kind: &str) -> bool {
    let is_matching_aggregate = match topic.scope {
        TopicScope::Ids(of, _) | TopicScope::Type(of) => Event::aggregate_type(kind) == Some(of),
        TopicScope::All => true,
    };
    is_matching_aggregate
        && (topic.kinds.is_empty() || topic.kinds.iter().any(|topic_kind| topic_kind == kind))
}

fn has_code(error: &async_graphql::ServerError, codes: &[ErrorCode]) -> bool {
    let code = error.extensions.as_ref().and_then(|values| values.get("code"));
    matches!(code, Some(GraphQlValue::String(code)) if codes.iter().any(|known| known.as_str() == code))
}
