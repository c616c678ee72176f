//! Executes a subscription's document for one occasion: with a context, loaders and batches of its own.
//!
//! Live connections call it, and webhooks, whose payloads are what a live client would have got.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, Response, Variables};
use futures_util::StreamExt;

use crate::auth::Identity;
use crate::context::{Clock, Locale, OpContext};
use crate::db::Db;
use crate::domain::ids;
use crate::graphql::live::Occasion;
use crate::graphql::{self, BaseUrl, Schema, SearchHints};
use crate::loaders::{CatalogReads, Loaders, Turns};

/// A subscription that somebody sent.
#[derive(Clone)]
pub struct Subscribed {
    /// The document.
    pub document: Arc<ExecutableDocument>,
    /// Which of its operations.
    pub operation_name: Option<String>,
    /// Its variables.
    pub variables: Variables,
    /// What it is marked with.
    pub locale: Locale,
    /// Where its sender finds this server.
    pub base_url: String,
}

/// Executes documents.
pub struct Subscriptions {
    pub(super) schema: Schema,
    pub(super) db: Db,
    pub(super) catalog_reads: Arc<CatalogReads>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Subscriptions {
    /// What somebody's document gives for an occasion; nothing if it is none of its own.
    pub async fn run(&self, sent: &Subscribed, identity: &Identity, occasion: Occasion) -> Option<Response> {
        let request_id: Arc<str> = ids::request_id().into();
        let op = OpContext::new(identity.actor.clone(), Arc::clone(&request_id), Arc::clone(&self.clock));
        let mut op = op.of(identity.clone());
        op.locale = sent.locale;
        let turns = Turns::default();
        let loaders = Loaders::new(&self.db, &self.catalog_reads, &op, &turns);
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
        response.map(|response| graphql::error_response(response, &request_id))
    }
}
