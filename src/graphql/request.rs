//! A request from its text to its execution: parsing, limits, uploads, and the context for
//! resolvers, which the HTTP layer provides for each request.
//!
//! Called by `http` and by live updates. It knows the schema, but no area of the shop.

mod catalog_queries;
pub(super) mod conformance;
pub mod document;
pub(super) mod in_context;
pub mod limits;
pub mod response_cache;
mod response_shape;
pub(super) mod syntax;
pub(super) mod throttle;
pub(super) mod type_system;
pub(super) mod upload;
mod validation;

use std::sync::Arc;

use async_graphql::{Context, Name, Value};
use parking_lot::Mutex;

use self::limits::budget::Budget;
use self::upload::Uploads;
use crate::auth::Keys;
use crate::context::OpContext;
use crate::domain::catalog::search::Warning;
use crate::loaders::Loaders;
use crate::services::webhooks::RenderPayload;
use crate::services::{Services, Shop};

/// What resolvers need of their request. It is one value because async-graphql keeps each in an
/// allocation of its own.
pub struct RequestData {
    /// The operation's context: the caller, request id and locale.
    pub op: OpContext,
    /// The batching loaders.
    pub loaders: Loaders,
    /// The base URL of this server as the client sees it, such as `https://shop.example`.
    pub base_url: String,
    /// What the response may still take.
    pub budget: Budget,
    /// Collects warnings about ignored search terms.
    pub search_hints: SearchHints,
    /// The uploaded files.
    pub uploads: Uploads,
    /// Renders the payloads of webhooks. Only mutations have it.
    pub payload_renderer: Option<Arc<dyn RenderPayload>>,
}

impl RequestData {
    /// The data of the request that is being executed; `None` while the schema is printed.
    pub(super) fn of<'a>(ctx: &Context<'a>) -> Option<&'a Self> {
        ctx.data_opt::<Self>()
    }
}

/// Warnings about ignored search terms, for `extensions.search` of the response.
#[derive(Clone, Default)]
pub struct SearchHints(Arc<Mutex<Vec<Value>>>);

impl SearchHints {
    /// Adds the warnings of a search at the current path of the response.
    pub fn add(&self, ctx: &Context<'_>, warnings: &[Warning]) {
        if warnings.is_empty() {
            return;
        }
        let text = |text: &str| Value::String(text.to_owned());
        let warnings = warnings.iter().map(|warning| {
            let fields =
                [("code", warning.code.as_str()), ("field", &warning.field), ("message", &warning.message)];
            Value::Object(fields.into_iter().map(|(name, value)| (Name::new(name), text(value))).collect())
        });
        let path = ctx.path_node.iter().flat_map(|node| node.to_string_vec()).map(Value::String).collect();
        let hint = [
            (Name::new("path"), Value::List(path)),
            (Name::new("warnings"), Value::List(warnings.collect())),
        ];
        self.0.lock().push(Value::Object(hint.into_iter().collect()));
    }

    /// Takes all warnings, once the operation has ended.
    #[must_use]
    pub fn take(&self) -> Option<Value> {
        let hints = std::mem::take(&mut *self.0.lock());
        (!hints.is_empty()).then_some(Value::List(hints))
    }
}

/// Typed access to the request's context.
pub trait RequestContext {
    /// The operation's context: the caller, request id and locale.
    fn op(&self) -> &OpContext;
    /// The services.
    fn services(&self) -> &Services;
    /// The batching loaders.
    fn loaders(&self) -> &Loaders;
    /// Collects warnings about ignored search terms.
    fn search_hints(&self) -> &SearchHints;
    /// The shop.
    fn shop(&self) -> &Shop;
    /// The keys that encrypt cursors, and from which keys of carts and tokens of orders are
    /// derived.
    fn keys(&self) -> &Keys;
    /// Renders the payloads of webhooks. Only mutations have it.
    ///
    /// # Errors
    /// The operation is not a mutation.
    fn payload_renderer(&self) -> async_graphql::Result<&dyn RenderPayload>;
    /// Turns a path on this server into an absolute URL; other URLs are returned unchanged.
    fn absolute_url(&self, url: &str) -> String;
}

impl RequestContext for Context<'_> {
    fn op(&self) -> &OpContext {
        &self.data_unchecked::<RequestData>().op
    }

    fn services(&self) -> &Services {
        self.data_unchecked::<Arc<Services>>()
    }

    fn payload_renderer(&self) -> async_graphql::Result<&dyn RenderPayload> {
        let renderer = self.data_unchecked::<RequestData>().payload_renderer.as_deref();
        renderer.ok_or_else(|| async_graphql::Error::new("only mutations render payloads"))
    }

    fn loaders(&self) -> &Loaders {
        &self.data_unchecked::<RequestData>().loaders
    }

    fn search_hints(&self) -> &SearchHints {
        &self.data_unchecked::<RequestData>().search_hints
    }

    fn shop(&self) -> &Shop {
        self.data_unchecked::<Arc<Shop>>()
    }

    fn keys(&self) -> &Keys {
        self.data_unchecked::<Arc<Keys>>()
    }

    fn absolute_url(&self, url: &str) -> String {
        if url.starts_with('/') {
            format!("{}{url}", self.data_unchecked::<RequestData>().base_url)
        } else {
            url.to_owned()
        }
    }
}
