//! The operations of a connection: parsing their documents, starting and executing them.
//!
//! Documents are parsed one at a time. Meanwhile the session reads no further messages, but keeps
//! sending the results of running operations. Like these, parsing runs in a task of its own: it
//! waits for permits that others need, and the session may be blocked on its socket.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use futures_util::StreamExt;
use futures_util::stream::{AbortHandle, Abortable, once};

use super::{
    CloseReason, OperationStream, Outgoing, OutgoingStream, RunningOperation, Session, document_error,
    json_text, outgoing_item, rejected, rejection_stream,
};
use crate::concurrency::AbortOnDrop;
use crate::context::OpContext;
use crate::domain::access::query_limits::CallerLimits;
use crate::domain::ids;
use crate::error::ErrorCode;
use crate::graphql::live::{PreparedSubscription, variables_bytes};
use crate::graphql::request::document::{Document, RequestError};
use crate::http::Rejection;
use crate::http::document_cache::DocumentError;
use crate::http::live::groups::SubscriptionRequest;
use crate::http::live::member::{follow, in_task};
use crate::http::operation::{self, OperationRequest};
use crate::telemetry;

/// An operation whose document was parsed, successfully or not.
pub(super) struct OpenedOperation {
    id: Arc<str>,
    request: OperationRequest,
    op: OpContext,
    limits: CallerLimits,
    document: Result<Arc<Document>, DocumentError>,
}

impl Session {
    /// Accepts an operation and starts parsing its document.
    pub(super) fn open_operation(&mut self, id: &str, payload: serde_json::Value) -> Result<(), CloseReason> {
        let id: Arc<str> = json_text(id).into();
        if self.running.contains_key(&id) {
            return Err((4409, format!("Subscriber for {id} already exists")));
        }
        let request = match serde_json::from_value::<OperationRequest>(payload) {
            Ok(request) => request,
            Err(error) => {
                let rejection =
                    (ErrorCode::BadUserInput, format!("the payload is not an operation: {error}"));
                self.push_stream(id, rejection_stream(&rejection, &ids::request_id()), None);
                return Ok(());
            }
        };
        let (live, op) = (Arc::clone(&self.live), self.context());
        self.opening = Some(Box::pin(in_task(async move {
            let limits = live.app.config.query_limits.of(op.caller_kind());
            let (documents, rates) = (&live.documents, &live.app.rate_limits);
            let document = documents.get_or_parse(&request.query, &op, &limits, rates, &live.admission).await;
            OpenedOperation { id, request, op, limits, document }
        })));
        Ok(())
    }

    /// Starts an operation whose document was parsed.
    pub(super) fn start_operation(&mut self, opening: OpenedOperation) {
        let id = Arc::clone(&opening.id);
        let name = opening.request.operation_name.as_deref();
        let kind = opening.document.as_ref().ok().and_then(|document| document.kind(name));
        let items = self.open_stream(opening);
        self.push_stream(id, items, kind);
    }

    fn push_stream(&mut self, id: Arc<str>, items: OutgoingStream, kind: Option<OperationType>) {
        let (handle, registration) = AbortHandle::new_pair();
        let complete = once(std::future::ready(Outgoing::Complete));
        let operation_id = Arc::clone(&id);
        let items: OperationStream =
            Box::pin(items.chain(complete).map(move |item| (Arc::clone(&operation_id), item)));
        self.streams.push(Abortable::new(items, registration));
        self.running.insert(id, RunningOperation { handle, kind });
    }

    /// Creates the context of an operation.
    pub(super) fn context(&self) -> OpContext {
        let (identity, clock) = (self.identity.clone(), Arc::clone(&self.live.app.clock));
        OpContext::for_identity(identity, ids::request_id().into(), clock).with_client_address(self.client)
    }

    /// The results of an operation.
    fn open_stream(&self, opening: OpenedOperation) -> OutgoingStream {
        let OpenedOperation { mut request, op, limits, document, .. } = opening;
        let document = match document {
            Ok(document) => document,
            Err(error) => return once(std::future::ready(document_error(error, &op))).boxed(),
        };
        let (subscription, cost) = match self.prepare_subscription(&request, &document, limits) {
            Ok(Some(subscription)) => subscription,
            // Queries and mutations are executed as over HTTP.
            Ok(None) => {
                request.document = Some(document);
                return self.execute(request, op);
            }
            Err(rejection) => return rejection_stream(&rejection, &op.request_id),
        };
        let reserved = match self.guard.reserve(self.running.len(), subscription.retained_bytes()) {
            Ok(reserved) => reserved,
            Err(message) => return rejection_stream(&(ErrorCode::LimitExceeded, message), &op.request_id),
        };
        let name = request.operation_name.as_deref();
        let subscription_request = SubscriptionRequest::new(&request.query, name, subscription, &op);
        let (app, groups) = (Arc::clone(&self.live.app), self.live.groups.clone());
        let admitted = once(in_task(async move {
            let spent = app.rate_limits.spend(&op, cost).await;
            spent
                .map(|_| subscription_request)
                .map_err(|throttled| crate::graphql::throttled_response(&throttled, &op.request_id))
        }));
        let items = admitted.flat_map(move |admitted| {
            let ended = match admitted {
                Some(Ok(request)) => return follow(groups.clone(), request).map(outgoing_item).left_stream(),
                Some(Err(response)) => Outgoing::Rejected(json_text(&response.errors)),
                None => Outgoing::Lost,
            };
            once(std::future::ready(ended)).right_stream()
        });
        Box::pin(items.map(move |item| {
            let _reserved = &reserved;
            item
        }))
    }

    /// Executes a query or mutation. It runs in a separate task, because it may hold resources that
    /// others wait for while this session is blocked on its socket.
    fn execute(&self, request: OperationRequest, op: OpContext) -> OutgoingStream {
        let bytes = request.query.len() + request.variables.as_ref().map_or(0, variables_bytes);
        let reserved = match self.guard.reserve(self.running.len(), bytes) {
            Ok(reserved) => reserved,
            Err(message) => return rejection_stream(&(ErrorCode::LimitExceeded, message), &op.request_id),
        };
        let (live, base_url) = (Arc::clone(&self.live), self.base_url.clone());
        Box::pin(once(async move {
            let _reserved = reserved;
            let request_id = Arc::clone(&op.request_id);
            let running = tokio::spawn(async move {
                let app = Arc::clone(&live.app);
                operation::execute(app, &live.documents, &live.admission, op, request, base_url).await
            });
            let _aborted = AbortOnDrop(running.abort_handle());
            match running.await {
                Ok(Ok(body)) => Outgoing::Next(body.into()),
                Ok(Err(rejection)) => rejected(&rejection, &request_id),
                Err(error) => {
                    let span = telemetry::operation_span(&request_id);
                    rejected(&span.in_scope(|| operation::report_failed_task(error)), &request_id)
                }
            }
        }))
    }

    /// Prepares a subscription and computes its cost; `None` if the operation is not a subscription
    /// or its document is invalid.
    fn prepare_subscription(
        &self,
        request: &OperationRequest,
        document: &Arc<Document>,
        limits: CallerLimits,
    ) -> Result<Option<(PreparedSubscription, u64)>, Rejection> {
        let name = request.operation_name.as_deref();
        // Other operations are prepared by `http::operation`.
        if document.kind(name) != Some(OperationType::Subscription) {
            return Ok(None);
        }
        let variables = request.variables.clone().unwrap_or_default();
        let operation = match document.operation(name, variables, &limits) {
            Ok(operation) => operation,
            Err(RequestError::Rejected(code, message)) => return Err((code, message)),
            Err(RequestError::Document(_)) => return Ok(None),
        };
        let cost = operation.cost;
        let subscription = PreparedSubscription::from_operation(operation, &self.base_url, limits);
        Ok(subscription.map(|subscription| (subscription, cost)))
    }
}
