//! HTTP calls to payment providers: what Stripe and PayPal have in common. URLs come from the
//! shop's configuration, so any address may be reached.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::ProviderError;
use crate::integrations::http_client;
use crate::integrations::outgoing;

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// Client errors that don't refuse a request for good: they are about our keys, about another
/// request under way, about somebody else whom the provider depends on, or about the load.
const INCONCLUSIVE: [StatusCode; 6] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::CONFLICT,
    StatusCode::FAILED_DEPENDENCY,
    StatusCode::TOO_MANY_REQUESTS,
];

/// A client for a provider's API.
pub(super) struct ProviderHttp(Client);

/// A provider's response: its status, and its JSON body. `Null` if the body is empty.
pub(super) struct ProviderReply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl ProviderReply {
    /// The error of a request that did not succeed.
    pub(super) fn error(&self, message: String) -> ProviderError {
        if self.status.is_client_error() && !INCONCLUSIVE.contains(&self.status) {
            ProviderError::Refused(message)
        } else {
            ProviderError::Failed(message)
        }
    }
}

impl ProviderHttp {
    /// Creates a client with a timeout for each call.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if the machine has no trusted certificates.
    pub(super) fn new(timeout: Duration) -> Result<Self, ProviderError> {
        let builder = http_client::builder().map_err(ProviderError::Failed)?;
        builder.timeout(timeout).build().map(Self).map_err(|error| ProviderError::Failed(error.to_string()))
    }

    /// A request to be sent with [`Self::send`].
    pub(super) fn get(&self, url: &str) -> RequestBuilder {
        self.0.get(url)
    }

    /// A request to be sent with [`Self::send`].
    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.0.post(url)
    }

    /// A request to be sent with [`Self::send`].
    pub(super) fn delete(&self, url: &str) -> RequestBuilder {
        self.0.delete(url)
    }

    /// Sends a request and reads the response, whatever its status is.
    ///
    /// # Errors
    /// [`ProviderError::TimedOut`]; [`ProviderError::Failed`] if the provider is unreachable, or
    /// answers with something other than JSON.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<ProviderReply, ProviderError> {
        let mut response = outgoing::send(request).await.map_err(|error| transport_error(&error))?;
        let status = response.status();
        let body = read_body(&mut response).await?;
        if body.is_empty() {
            return Ok(ProviderReply { status, body: Value::Null });
        }
        match serde_json::from_slice(&body) {
            Ok(body) => Ok(ProviderReply { status, body }),
            Err(_) => Err(ProviderError::Failed(format!("the response ({status}) is not JSON"))),
        }
    }
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport_error(&error))? {
        if body.len().saturating_add(chunk.len()) > MAX_RESPONSE_BYTES {
            return Err(ProviderError::Failed(format!(
                "the response is larger than {MAX_RESPONSE_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The message is for the log; it leaves out the URL, which may contain a payment's id.
fn transport_error(error: &reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        return ProviderError::TimedOut;
    }
    let what = if error.is_connect() { "can't connect" } else { "the connection broke" };
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    ProviderError::Failed(format!("{what}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_failures() {
        let is_refused = |status: u16| {
            let reply = ProviderReply { status: StatusCode::from_u16(status).unwrap(), body: Value::Null };
            matches!(reply.error(String::new()), ProviderError::Refused(_))
        };
        for status in [400, 402, 404, 405, 413, 422] {
            assert!(is_refused(status), "{status}");
        }
        for status in [301, 401, 403, 408, 409, 424, 429, 500, 502, 503] {
            assert!(!is_refused(status), "{status}");
        }
    }
}
