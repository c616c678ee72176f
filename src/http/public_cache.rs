//! Lets caches between the clients and this server, such as a CDN, keep the responses that
//! `response_cache` keeps, if anonymous callers request them by GET: they are the same for all
//! anonymous callers until the catalog changes.
//!
//! `Cache-Tag` lists the parts of the catalog that a response was computed from. The events sent to
//! webhooks list the parts that they change, so that a receiver can purge a CDN.

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use super::headers::{VARY, matches_etag};
use super::operation::OperationResponse;
use super::respond;
use crate::app::App;

/// The maximum length of `Cache-Tag`: what CDNs accept is more.
const MAX_TAGS_BYTES: usize = 8 * 1024;

/// A request whose response may be kept, and the entity tags of those that the client has.
pub(super) struct CacheValidation {
    is_allowed: bool,
    known: Option<HeaderValue>,
    /// For how many seconds a shared cache may use a response without asking.
    max_age: u32,
}

impl CacheValidation {
    /// Reads a request's headers.
    pub(super) fn new(app: &App, request: &Request) -> Self {
        let headers = request.headers();
        let is_public =
            !headers.contains_key(header::AUTHORIZATION) && !app.config.dialect.requires_storefront_key;
        let known = headers.get(header::IF_NONE_MATCH).cloned();
        let max_age = app.config.exposure.cdn_max_age;
        Self { is_allowed: is_public && request.method() == Method::GET, known, max_age }
    }

    /// The response to an operation; without its body if the client has it.
    pub(super) fn respond(&self, outcome: OperationResponse) -> Response {
        let cached = outcome.cached.filter(|_| self.is_allowed);
        let Some((cached, tag)) = cached.and_then(|cached| Some((cached.clone(), cached.etag.clone()?)))
        else {
            return respond::json_bytes(outcome.status, outcome.body);
        };
        let mut response = if matches_etag(self.known.as_ref(), &tag) {
            Response::builder().status(StatusCode::NOT_MODIFIED).finish()
        } else {
            respond::json_bytes(outcome.status, outcome.body)
        };
        let headers = response.headers_mut();
        // Weak, because the response also has the caller's own limits.
        if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
            headers.insert(header::ETAG, tag);
        }
        let mut cache_control = HeaderValue::from_static("public, no-cache");
        let tags = cached.tags();
        if let (1.., 0..=MAX_TAGS_BYTES, Ok(tags)) = (self.max_age, tags.len(), HeaderValue::from_str(&tags))
        {
            headers.insert("cache-tag", tags);
            let value = format!("public, max-age=0, s-maxage={}", self.max_age);
            cache_control = HeaderValue::from_str(&value).unwrap_or(cache_control);
        }
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(header::VARY, VARY);
        response
    }
}
