//! What resolvers take from the request's context. The HTTP layer puts it there, one for each request.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, Name, Value};

use crate::auth::Keys;
use crate::context::OpContext;
use crate::domain::search::Warning;
use crate::loaders::Loaders;
use crate::services::{Services, Shop};

/// Where this server is, as the client sees it: `https://shop.example`. Makes paths of our own into addresses.
pub struct BaseUrl(pub String);

/// Terms of searches that were ignored, for `extensions.search` of the response.
#[derive(Clone, Default)]
pub struct SearchHints(Arc<Mutex<Vec<Value>>>);

impl SearchHints {
    /// Notes what a search at this place in the document did not understand.
    pub fn note(&self, ctx: &Context<'_>, warnings: &[Warning]) {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Value::Object(hint.into_iter().collect()));
    }

    /// What was noted, once the operation has ended.
    pub fn take(&self) -> Option<Value> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (!noted.is_empty()).then_some(Value::List(noted))
    }
}

/// The request, for resolvers.
pub trait RequestContext {
    /// Who asks, and how.
    fn op(&self) -> &OpContext;
    /// Use cases.
    fn services(&self) -> &Services;
    /// Edges.
    fn loaders(&self) -> &Loaders;
    /// Where ignored terms of searches are noted.
    fn search_hints(&self) -> &SearchHints;
    /// The shop.
    fn shop(&self) -> &Shop;
    /// What cursors are encrypted with and tokens of carts and orders are made of.
    fn keys(&self) -> &Keys;
    /// An address as a client can use it.
    fn absolute(&self, url: &str) -> String;
}

impl RequestContext for Context<'_> {
    fn op(&self) -> &OpContext {
        self.data_unchecked::<OpContext>()
    }

    fn services(&self) -> &Services {
        self.data_unchecked::<Arc<Services>>()
    }

    fn loaders(&self) -> &Loaders {
        self.data_unchecked::<Loaders>()
    }

    fn search_hints(&self) -> &SearchHints {
        self.data_unchecked::<SearchHints>()
    }

    fn shop(&self) -> &Shop {
        self.data_unchecked::<Arc<Shop>>()
    }

    fn keys(&self) -> &Keys {
        self.data_unchecked::<Arc<Keys>>()
    }

    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') {
            format!("{}{url}", self.data_unchecked::<BaseUrl>().0)
        } else {
            url.to_owned()
        }
    }
}
