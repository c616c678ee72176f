//! Sends HTTP requests to other services: passes the current trace on (`traceparent`), and records
//! the request and its response in the current span, which is that of the call. Used by all clients
//! of this layer; not by the export of traces, which must not be traced.
//!
//! URLs are not recorded, because they may contain ids and secrets.

use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, Response};
use tracing::Span;

use crate::trace::{self, TRACEPARENT};

/// Sends a request.
///
/// # Errors
/// Those of reqwest.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    let (client, request) = request.build_split();
    let (mut request, span) = (request?, Span::current());
    span.record("http.request.method", request.method().as_str());
    if let Some(host) = request.url().host_str() {
        span.record("server.address", host);
    }
    if let Some(traceparent) = trace::current_traceparent()
        && let Ok(value) = HeaderValue::from_str(&traceparent)
    {
        request.headers_mut().insert(TRACEPARENT, value);
    }
    let response = client.execute(request).await?;
    span.record("http.response.status_code", response.status().as_u16());
    Ok(response)
}
