//! Security and caching headers for every response, unless its endpoint has set its own: no
//! caching, no content type sniffing, no framing, no referrer, and HSTS for clients that connect
//! over TLS. Also matches the entity tags of conditional requests.
//!
//! API responses must not be cached, not even those to anonymous callers: a query can name a cart
//! or an order by its secret. Those that may be (`public_cache`), and public content such as
//! images, set their own headers.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Endpoint, Request, Response};

use super::public_url::is_secure;
use crate::app::App;

/// Allows nothing, since API responses are not pages. Pages set their own policy.
const DEFAULT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// One year, the minimum for browsers' preload lists. Subdomains are not included, since this
/// server can't speak for them.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// The request headers that responses depend on.
pub(super) const VARY: HeaderValue = HeaderValue::from_static("Authorization, Accept-Encoding, Origin");

/// Wraps an endpoint and adds the headers that it has not set itself.
pub(super) fn with_security_headers(
    app: Arc<App>,
    endpoint: impl Endpoint<Output = Response>,
) -> impl Endpoint<Output = Response> {
    WithSecurityHeaders { app, endpoint }
}

struct WithSecurityHeaders<E> {
    app: Arc<App>,
    endpoint: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for WithSecurityHeaders<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let is_secure = is_secure(&request, &self.app.config);
        let mut response = self.endpoint.get_response(request).await;
        set_security_headers(response.headers_mut(), is_secure);
        Ok(response)
    }
}

fn set_security_headers(headers: &mut HeaderMap, is_secure: bool) {
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, VARY);
    }
    let mut set = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    set(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    set(header::CONTENT_SECURITY_POLICY, DEFAULT_POLICY);
    if is_secure {
        set(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

/// Whether the client has the version with this entity tag.
pub(super) fn matches_etag(if_none_match: Option<&HeaderValue>, tag: &str) -> bool {
    let tags = if_none_match.and_then(|tags| tags.to_str().ok());
    // A proxy that compresses makes the tag weak.
    tags.is_some_and(|tags| tags.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
}
