//! Executes a subscription's document for one occasion: with a context, loaders and batches of its own.
//!
//! Live connections call it, and what shapes webhooks, whose messages are what a live client would have got.

use std::sync::Arc;

use async_graphql::parser::types::{OperationType, Selection};
use async_graphql::{Name, Response, Variables};
use futures_util::StreamExt;

use super::Occasion;
use super::size::variables_bytes;
use crate::context::OpContext;
use crate::domain::ids::Namespace;
use crate::domain::query_limits::CallerLimits;
use crate::graphql::document::Operation;
use crate::graphql::limits::budget::{Budget, ResponseMemory};
use crate::graphql::{BaseUrl, Schema, SearchHints, error_response};
use crate::loaders::{Loaders, Turns};

/// What makes the loaders of an occasion.
type MakeLoaders = Box<dyn Fn(&OpContext, &Turns) -> Loaders + Send + Sync>;

/// A subscription that somebody sent.
#[derive(Clone)]
pub struct Subscribed {
    operation: Operation,
    base_url: String,
    limits: CallerLimits,
}

impl Subscribed {
    /// The subscription that an operation is; `None` if it is none. Paths become addresses under
    /// `base_url`, and each event is executed within `limits`.
    #[must_use]
    pub fn read(operation: Operation, base_url: &str, limits: CallerLimits) -> Option<Self> {
        let is_subscription = operation.kind == OperationType::Subscription;
        is_subscription.then(|| Self { operation, base_url: base_url.to_owned(), limits })
    }

    /// Its variables: those that it declares.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.operation.variables
    }

    /// The variable that says from where on its field is followed, if it has one.
    #[must_use]
    pub fn resumed_by(&self) -> Option<Name> {
        let (_, operation) = self.operation.definition()?;
        let [field] = operation.selection_set.node.items.as_slice() else { return None };
        let Selection::Field(field) = &field.node else { return None };
        let after = field.node.get_argument("after")?.node.clone();
        after.into_const_with(Err).err()
    }

    /// The bytes that it keeps, near enough.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let document = usize::try_from(self.operation.document().weight()).unwrap_or(usize::MAX);
        let rest = size_of::<Self>() + variables_bytes(self.variables()) + self.base_url.len();
        document.saturating_add(rest)
    }

    /// Where its sender finds this server.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }
}

/// Executes subscriptions.
pub struct Subscriptions {
    schema: Schema,
    memory: ResponseMemory,
    namespace: Namespace,
    loaders: MakeLoaders,
}

impl Subscriptions {
    /// Over a schema; ids are given in a namespace, and `loaders` makes those of an occasion.
    #[must_use]
    pub fn new(
        schema: Schema,
        memory: ResponseMemory,
        namespace: Namespace,
        loaders: impl Fn(&OpContext, &Turns) -> Loaders + Send + Sync + 'static,
    ) -> Self {
        Self { schema, memory, namespace, loaders: Box::new(loaders) }
    }

    /// What a subscription gives whoever has the context, for an occasion; nothing if it is none of its own.
    pub async fn run(&self, sent: &Subscribed, mut op: OpContext, occasion: Occasion) -> Option<Response> {
        op.locale = sent.operation.locale;
        let (turns, request_id) = (Turns::default(), Arc::clone(&op.request_id));
        let budget = Budget::new(&sent.limits, &self.memory, &turns);
        let loaders = (self.loaders)(&op, &turns);
        let request = sent
            .operation
            .request()
            .data(op)
            .data(loaders)
            .data(BaseUrl(sent.base_url.clone()))
            .data(SearchHints::default())
            .data(budget)
            .data(occasion);
        let mut responses = self.schema.execute_stream(request);
        // Unconstrained: tokio's budget would stop the resolvers of a long list in the middle, and `drive` would go on in vain.
        let response = tokio::task::unconstrained(turns.drive(responses.next())).await?;
        let finished = sent.operation.finish(response, self.namespace, sent.limits.max_errors);
        Some(error_response(finished, &request_id))
    }
}
