//! The headers that every response carries unless its endpoint has set its own: caches keep nothing, browsers guess no content types,
//! put nothing into a frame and tell other sites nothing, and come back by TLS where they came by it.
//!
//! Answers of the API are never to be kept by anybody, those to callers without a token included: a query can name a cart or an order by
//! its secret. What is the same for everybody, such as pictures, says so itself.

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Endpoint, Request, Response};

use super::public_url::is_secure;
use crate::app::App;

/// Nothing is run, loaded or framed: these are answers of an API. Pages bring their own policy.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A year, as the lists of browsers want it. Other hosts of the domain are not this server's to speak for.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// What answers depend on beside the address.
const VARY: HeaderValue = HeaderValue::from_static("Authorization, Accept-Encoding, Origin");

/// Whatever the endpoint answers, with the headers that it has not set itself.
pub(super) fn protected(
    app: Arc<App>,
    endpoint: impl Endpoint<Output = Response>,
) -> impl Endpoint<Output = Response> {
    let endpoint = Arc::new(endpoint);
    make(move |request: Request| {
        let (app, endpoint) = (Arc::clone(&app), Arc::clone(&endpoint));
        async move {
            let is_secure = is_secure(&request, &app.config);
            let mut response = endpoint.get_response(request).await;
            protect(response.headers_mut(), is_secure);
            response
        }
    })
}

fn protect(headers: &mut HeaderMap, is_secure: bool) {
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
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    if is_secure {
        set(header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
}
