//! Executes a subscription's document for one trigger, with its own context and loaders.
//!
//! Called by live connections and for webhook payloads, which equal the messages that a live client
//! would receive.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Name, Response, Variables};
use futures_util::StreamExt;

use super::Trigger;
use super::size::variables_bytes;
use super::source::{Arguments, EventSource, arguments_of, source_of};
use crate::concurrency::BatchScheduler;
use crate::context::OpContext;
use crate::domain::access::query_limits::CallerLimits;
use crate::domain::ids::Namespace;
use crate::error::Error;
use crate::graphql::request::document::ExecutableOperation;
use crate::graphql::request::limits::budget::{Budget, ResponseMemory};
use crate::graphql::{RequestData, Schema, SearchHints, Uploads, complete_errors, request_error};
use crate::loaders::Loaders;

/// The argument with the cursor to resume after.
const AFTER: &str = "after";

/// Creates the loaders for an execution.
type LoaderFactory = Box<dyn Fn(&OpContext, &BatchScheduler) -> Loaders + Send + Sync>;

/// A valid subscription operation, ready to be executed for each event.
#[derive(Clone)]
pub struct PreparedSubscription {
    operation: ExecutableOperation,
    base_url: String,
    limits: CallerLimits,
}

impl PreparedSubscription {
    /// Prepares an operation; `None` if it is not a subscription. URLs in responses start with
    /// `base_url`, and `limits` apply to each execution.
    #[must_use]
    pub fn from_operation(
        operation: ExecutableOperation,
        base_url: &str,
        limits: CallerLimits,
    ) -> Option<Self> {
        let is_subscription = operation.kind == OperationType::Subscription;
        is_subscription.then(|| Self { operation, base_url: base_url.to_owned(), limits })
    }

    /// The operation's name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.operation.name()
    }

    /// The declared variables.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.operation.variables
    }

    /// What it follows.
    ///
    /// # Errors
    /// [`Error::BadInput`] unless it has one field with valid arguments.
    pub fn source(&self) -> Result<EventSource, Error> {
        source_of(&self.arguments()?)
    }

    /// The cursor to resume after, if there is one.
    ///
    /// # Errors
    /// [`Error::BadInput`] unless it has one field with valid arguments.
    pub fn after(&self) -> Result<Option<String>, Error> {
        self.arguments()?.get(AFTER)
    }

    /// The variable in the field's `after` argument, if there is one.
    #[must_use]
    pub fn resume_variable(&self) -> Option<Name> {
        self.arguments().ok()?.variable(AFTER).cloned()
    }

    fn arguments(&self) -> Result<Arguments<'_>, Error> {
        arguments_of(&self.operation)
    }

    /// Its approximate size in memory, in bytes.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        let document = usize::try_from(self.operation.document().weight()).unwrap_or(usize::MAX);
        let rest = size_of::<Self>() + variables_bytes(self.variables()) + self.base_url.len();
        document.saturating_add(rest)
    }

    /// The base URL of this server, as its sender sees it.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }
}

/// Executes subscriptions.
pub struct SubscriptionExecutor {
    schema: Schema,
    memory: ResponseMemory,
    namespace: Namespace,
    loaders: LoaderFactory,
}

impl SubscriptionExecutor {
    /// Creates an executor for a schema. Ids in responses are in `namespace`, and `loaders` creates
    /// the loaders for each execution.
    #[must_use]
    pub fn new(
        schema: Schema,
        memory: ResponseMemory,
        namespace: Namespace,
        loaders: impl Fn(&OpContext, &BatchScheduler) -> Loaders + Send + Sync + 'static,
    ) -> Self {
        Self { schema, memory, namespace, loaders: Box::new(loaders) }
    }

    /// Executes a subscription for a trigger; `None` if the trigger doesn't concern the
    /// subscription.
    pub async fn run(
        &self,
        subscription: &PreparedSubscription,
        mut op: OpContext,
        trigger: Trigger,
    ) -> Option<Response> {
        op.locale = subscription.operation.locale;
        let (scheduler, request_id) = (BatchScheduler::default(), Arc::clone(&op.request_id));
        let budget = Budget::new(&subscription.limits, &self.memory, &scheduler);
        let loaders = (self.loaders)(&op, &scheduler);
        let data = RequestData {
            op,
            loaders,
            base_url: subscription.base_url.clone(),
            budget: budget.clone(),
            search_hints: SearchHints::default(),
            uploads: Uploads::default(),
            payload_renderer: None,
        };
        let request = subscription.operation.request().data(data).data(trigger);
        let mut responses = self.schema.execute_stream(request);
        // Unconstrained, because tokio's cooperative budget would suspend the resolvers of a long
        // list half-way, while `drive` waits for them.
        let response = tokio::task::unconstrained(scheduler.drive(responses.next())).await?;
        if let Some(reason) = budget.stop_reason() {
            return Some(request_error(reason.code(), reason.to_string(), &request_id));
        }
        let max_errors = subscription.limits.max_errors;
        let finished = subscription.operation.finish(response, self.namespace, max_errors);
        Some(complete_errors(finished, &request_id))
    }
}
