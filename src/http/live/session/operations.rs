//! The operations of a connection: each is opened, begun, and then tells what comes of it.
//!
//! One document is read at a time. Meanwhile the session goes on with all else but messages: what
//! waits for its turn must not keep what runs from its client.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use futures_util::StreamExt;
use futures_util::stream::{AbortHandle, Abortable, once};

use super::{Close, Out, OutStream, Outs, Session, json_text, out_of, refusal, refused, unread};
use crate::context::OpContext;
use crate::domain::ids;
use crate::domain::query_limits::CallerLimits;
use crate::error::ErrorCode;
use crate::graphql::document::RequestError;
use crate::graphql::live::{Subscribed, variables_bytes};
use crate::http::documents::{Opened, Unopened};
use crate::http::graphql::{self, AbortOnDrop, Operation, Refused};
use crate::http::live::groups::Asked;
use crate::http::live::member::follow;

/// An operation whose document was read, or is wrong.
pub(super) struct Opening {
    id: Arc<str>,
    sent: Operation,
    op: OpContext,
    limits: CallerLimits,
    opened: Result<Opened, Unopened>,
}

impl Session {
    /// Takes an operation, and has its document read.
    pub(super) fn open(&mut self, id: &str, payload: serde_json::Value) -> Result<(), Close> {
        let id: Arc<str> = json_text(id).into();
        if self.running.contains_key(&id) {
            return Err((4409, format!("Subscriber for {id} already exists")));
        }
        let sent = match serde_json::from_value::<Operation>(payload) {
            Ok(sent) => sent,
            Err(error) => {
                let message = format!("the payload is no operation: {error}");
                self.start(id, refused(&(ErrorCode::BadUserInput, message)));
                return Ok(());
            }
        };
        let (live, op) = (Arc::clone(&self.live), self.context());
        self.opening = Some(Box::pin(async move {
            let limits = live.app.config.query_limits.of(op.caller_kind());
            let (documents, rates) = (&live.documents, &live.app.rate_limits);
            let opened = documents.open(&sent.query, &op, &limits, rates, &live.admission).await;
            Opening { id, sent, op, limits, opened }
        }));
        Ok(())
    }

    /// Begins an operation whose document was read.
    pub(super) fn begin(&mut self, opening: Opening) {
        let id = Arc::clone(&opening.id);
        let outs = self.outs_of(opening);
        self.start(id, outs);
    }

    fn start(&mut self, id: Arc<str>, outs: OutStream) {
        let (handle, registration) = AbortHandle::new_pair();
        let ended = once(std::future::ready(Out::Complete));
        let name = Arc::clone(&id);
        let outs: Outs = Box::pin(outs.chain(ended).map(move |out| (Arc::clone(&name), out)));
        self.outs.push(Abortable::new(outs, registration));
        self.running.insert(id, handle);
    }

    /// The context of an operation.
    pub(super) fn context(&self) -> OpContext {
        let (identity, clock) = (self.identity.clone(), Arc::clone(&self.live.app.clock));
        OpContext::asked_by(identity, ids::request_id().into(), clock).from_address(self.client)
    }

    /// What comes of an operation.
    fn outs_of(&self, opening: Opening) -> OutStream {
        let Opening { mut sent, op, limits, opened, .. } = opening;
        let opened = match opened {
            Ok(opened) => opened,
            Err(unopened) => return once(std::future::ready(unread(unopened, &op))).boxed(),
        };
        let (subscribed, cost) = match self.subscribed(&sent, &opened, limits) {
            Ok(Some(subscribed)) => subscribed,
            // Queries and mutations are executed as they are over HTTP.
            Ok(None) => {
                sent.opened = Some(opened);
                return self.executed(sent, op);
            }
            Err(refusal) => return refused(&refusal),
        };
        let kept = match self.guard.keep(self.running.len(), subscribed.kept_bytes()) {
            Ok(kept) => kept,
            Err(message) => return refused(&(ErrorCode::LimitExceeded, message)),
        };
        let asked = Asked::new(&sent.query, sent.operation_name.as_deref(), subscribed, &op);
        let (app, groups) = (Arc::clone(&self.live.app), self.live.groups.clone());
        let admitted = once(async move {
            let spent = app.rate_limits.spend(&op, cost).await;
            spent.map(|_| asked).map_err(|refused| crate::graphql::throttled(&refused, &op.request_id))
        });
        let outs = admitted.flat_map(move |admitted| match admitted {
            Ok(asked) => follow(groups.clone(), asked).map(out_of).left_stream(),
            Err(refused) => once(std::future::ready(Out::Refused(json_text(&refused.errors)))).right_stream(),
        });
        Box::pin(outs.map(move |out| {
            let _kept = &kept;
            out
        }))
    }

    /// What comes of a query or a mutation. It runs in a task of its own: others may wait for what it
    /// holds while this socket is busy with its client.
    fn executed(&self, sent: Operation, op: OpContext) -> OutStream {
        let bytes = sent.query.len() + sent.variables.as_ref().map_or(0, variables_bytes);
        let kept = match self.guard.keep(self.running.len(), bytes) {
            Ok(kept) => kept,
            Err(message) => return refused(&(ErrorCode::LimitExceeded, message)),
        };
        let (live, base_url) = (Arc::clone(&self.live), self.base_url.clone());
        Box::pin(once(async move {
            let _kept = kept;
            let running = tokio::spawn(async move {
                let app = Arc::clone(&live.app);
                graphql::execute(app, &live.documents, &live.admission, op, sent, base_url).await
            });
            let _aborted = AbortOnDrop(running.abort_handle());
            match running.await {
                Ok(Ok(body)) => Out::Next(body.into()),
                Ok(Err(refused)) => refusal(&refused),
                Err(error) => {
                    tracing::error!("an operation ended unexpectedly: {error}");
                    refusal(&(ErrorCode::Internal, "internal error".to_owned()))
                }
            }
        }))
    }

    /// The subscription that was sent, and its cost; `None` if it is another operation, or can't be
    /// executed.
    fn subscribed(
        &self,
        sent: &Operation,
        opened: &Opened,
        limits: CallerLimits,
    ) -> Result<Option<(Subscribed, u64)>, Refused> {
        let name = sent.operation_name.as_deref();
        // What is executed as over HTTP is made ready there.
        if opened.document.kind(name) != Some(OperationType::Subscription) {
            return Ok(None);
        }
        let variables = sent.variables.clone().unwrap_or_default();
        let operation = match opened.document.operation(name, variables, &limits) {
            Ok(operation) => operation,
            Err(RequestError::Refused(code, message)) => return Err((code, message)),
            Err(RequestError::Document(_)) => return Ok(None),
        };
        let cost = operation.cost;
        Ok(Subscribed::read(operation, &self.base_url, limits).map(|subscribed| (subscribed, cost)))
    }
}
