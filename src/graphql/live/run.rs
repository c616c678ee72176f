//! Executes a subscription's document for one occasion: with a context, loaders and batches of its own.
//!
//! Live connections call it, and what shapes webhooks, whose messages are what a live client would have got.

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection};
use async_graphql::{Name, Request, Response, Variables};
use futures_util::StreamExt;

use super::Occasion;
use crate::context::{Locale, OpContext};
use crate::graphql::{BaseUrl, Schema, SearchHints, error_response, locale, operation};
use crate::loaders::{Loaders, Turns};

/// What makes the loaders of an occasion.
type MakeLoaders = Box<dyn Fn(&OpContext, &Turns) -> Loaders + Send + Sync>;

/// A subscription that somebody sent.
#[derive(Clone)]
pub struct Subscribed {
    document: Arc<ExecutableDocument>,
    operation_name: Option<String>,
    variables: Variables,
    base_url: String,
    /// What it is marked with.
    locale: Locale,
}

impl Subscribed {
    /// The subscription that a document's operation is; `None` if it is none. Paths become addresses under `base_url`.
    ///
    /// # Errors
    /// A sentence about what it is marked with.
    pub fn read(
        document: Arc<ExecutableDocument>,
        operation_name: Option<&str>,
        variables: &Variables,
        base_url: &str,
    ) -> Result<Option<Self>, String> {
        let found = operation(&document, operation_name).map(|(_, found)| found);
        let Some(found) = found.filter(|found| found.ty == OperationType::Subscription) else {
            return Ok(None);
        };
        let locale = locale(found, variables)?;
        let (operation_name, variables) = (operation_name.map(str::to_owned), variables.clone());
        Ok(Some(Self { document, operation_name, variables, base_url: base_url.to_owned(), locale }))
    }

    /// The variable that says from where on its field is followed, if it has one.
    #[must_use]
    pub fn resumed_by(&self) -> Option<Name> {
        let (_, operation) = operation(&self.document, self.operation_name.as_deref())?;
        let [field] = operation.selection_set.node.items.as_slice() else { return None };
        let Selection::Field(field) = &field.node else { return None };
        let after = field.node.get_argument("after")?.node.clone();
        after.into_const_with(Err).err()
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
    loaders: MakeLoaders,
}

impl Subscriptions {
    /// Over a schema; `loaders` makes those of an occasion.
    #[must_use]
    pub fn new(
        schema: Schema,
        loaders: impl Fn(&OpContext, &Turns) -> Loaders + Send + Sync + 'static,
    ) -> Self {
        Self { schema, loaders: Box::new(loaders) }
    }

    /// What a subscription gives whoever has the context, for an occasion; nothing if it is none of its own.
    pub async fn run(&self, sent: &Subscribed, mut op: OpContext, occasion: Occasion) -> Option<Response> {
        op.locale = sent.locale;
        let (turns, request_id) = (Turns::default(), Arc::clone(&op.request_id));
        let loaders = (self.loaders)(&op, &turns);
        let mut request = Request::new("").variables(sent.variables.clone());
        request.operation_name.clone_from(&sent.operation_name);
        request.set_parsed_query(ExecutableDocument::clone(&sent.document));
        let request = request
            .data(op)
            .data(loaders)
            .data(BaseUrl(sent.base_url.clone()))
            .data(SearchHints::default())
            .data(occasion);
        let mut responses = self.schema.execute_stream(request);
        // Unconstrained: tokio's budget would stop the resolvers of a long list in the middle, and `drive` would go on in vain.
        let response = tokio::task::unconstrained(turns.drive(responses.next())).await;
        response.map(|response| error_response(response, &request_id))
    }
}
