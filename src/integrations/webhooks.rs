//! Sends webhooks: signed HTTP requests to the endpoints of other services.
//!
//! Called by the webhooks service, once per attempt, outside of any transaction and without holding
//! a connection. Retries are not decided here. Each host has its own circuit breaker, so that one
//! that is down does not delay the others.
//!
//! A webhook is a POST of JSON (events as `application/cloudevents+json`) with these headers:
//!
//! | header | content |
//! |---|---|
//! | `Mercato-Signature` | `t=<Unix time>,v1=<signature>` |
//! | `Idempotency-Key` | the event's id, the same for every attempt |
//! | `Mercato-Topic` | what happened, such as `ORDER_PLACED` |
//! | `Mercato-Delivery` | the delivery's id |
//!
//! The signature is the HMAC-SHA256 of `<t>.<body>` under the subscription's secret, in
//! hexadecimal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode, Url, header};

use super::outgoing;
use super::public_http::{HttpError, PublicHttp};
use crate::concurrency::breaker::{BreakerGroup, CallError};
use crate::domain::time::Timestamp;
use crate::signatures::SigningKey;

/// Maximum number of bytes of a response that are kept.
const MAX_RESPONSE_BYTES: usize = 1024;
/// Timeout of reading a response's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// A webhook request.
#[derive(Clone, Copy, Debug)]
pub struct WebhookMessage<'a> {
    /// The endpoint's URL.
    pub url: &'a str,
    /// The secret that signs it.
    pub secret: &'a str,
    /// Identifies the event or message; the same for every attempt.
    pub idempotency_key: &'a str,
    /// What happened.
    pub topic: &'a str,
    /// The delivery's id.
    pub delivery: &'a str,
    /// The JSON document.
    pub body: &'a str,
    /// Whether the body is a CloudEvent.
    pub is_cloud_event: bool,
}

/// The result of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// How long the attempt took.
    pub duration: Duration,
    /// The response's status, if there was one.
    pub status: Option<u16>,
    /// The first kilobyte of the response.
    pub body: Option<String>,
    /// Why the attempt failed; `None` for a status from 200 to 299.
    pub error: Option<String>,
}

/// Nothing was sent: too many recent calls to the host failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostUnavailable {
    /// When a retry makes sense.
    pub retry_in: Duration,
}

/// Why an attempt failed.
enum Failure {
    /// The host responded with a server error.
    ServerError(Response),
    /// There was no response.
    NoResponse(HttpError),
}

/// Sends webhooks.
pub struct WebhookSender {
    http: PublicHttp,
    breakers: Arc<BreakerGroup>,
}

impl WebhookSender {
    /// Creates a sender with a client for user-given URLs and a breaker for each host.
    #[must_use]
    pub fn new(http: PublicHttp, breakers: Arc<BreakerGroup>) -> Self {
        Self { http, breakers }
    }

    /// Checks a URL without resolving its host name.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`], [`HttpError::NotPublic`].
    pub fn check(&self, url: &str) -> Result<(), HttpError> {
        self.http.check(url).map(drop)
    }

    /// Makes one attempt to send a message.
    ///
    /// # Errors
    /// [`HostUnavailable`] if nothing was sent, which does not count as an attempt.
    pub async fn send(
        &self,
        message: &WebhookMessage<'_>,
        now: Timestamp,
    ) -> Result<Attempt, HostUnavailable> {
        let started = Instant::now();
        let url = match self.http.check(message.url) {
            Ok(url) => url,
            // An invalid URL says nothing about the host and does not get better with time.
            Err(error) => return Ok(Attempt::failed(started.elapsed(), error.to_string())),
        };
        // Requests to private addresses are refused here, which says nothing about the host.
        let is_host_failure =
            |failure: &Failure| !matches!(failure, Failure::NoResponse(HttpError::NotPublic(_)));
        let breaker = self.breakers.member(&host(&url));
        let result = breaker.call(is_host_failure, self.post(message, now)).await;
        let duration = started.elapsed();
        match result {
            Ok(response) | Err(CallError::Failed(Failure::ServerError(response))) => {
                let status = response.status();
                Ok(Attempt::from_response(duration, status, read_start(response).await))
            }
            Err(CallError::Failed(Failure::NoResponse(error))) => {
                Ok(Attempt::failed(duration, error.to_string()))
            }
            Err(CallError::TimedOut) => Ok(Attempt::failed(duration, HttpError::TimedOut.to_string())),
            Err(CallError::Open { retry_in }) => Err(HostUnavailable { retry_in }),
        }
    }

    /// Sends the request and returns the response's head; its status counts even if the body can't
    /// be read.
    async fn post(&self, message: &WebhookMessage<'_>, now: Timestamp) -> Result<Response, Failure> {
        let signature = signature(message.secret, now.utc().timestamp(), message.body);
        let request = self.http.request(Method::POST, message.url).map_err(Failure::NoResponse)?;
        let content_type =
            if message.is_cloud_event { "application/cloudevents+json" } else { "application/json" };
        let request = request
            .header(header::CONTENT_TYPE, content_type)
            .header("Mercato-Signature", signature)
            .header("Idempotency-Key", message.idempotency_key)
            .header("Mercato-Topic", message.topic)
            .header("Mercato-Delivery", message.delivery)
            .body(message.body.to_owned());
        let response = outgoing::send(request).await.map_err(|error| Failure::NoResponse(error.into()))?;
        if response.status().is_server_error() { Err(Failure::ServerError(response)) } else { Ok(response) }
    }
}

impl Attempt {
    fn from_response(duration: Duration, status: StatusCode, body: String) -> Self {
        let error = match status {
            status if status.is_success() => None,
            status if status.is_redirection() => {
                Some(format!("the answer is {status}; redirects are not followed"))
            }
            status => Some(format!("the answer is {status}")),
        };
        Self { duration, status: Some(status.as_u16()), body: Some(body), error }
    }

    /// An attempt without a response.
    #[must_use]
    pub fn failed(duration: Duration, error: String) -> Self {
        Self { duration, status: None, body: None, error: Some(error) }
    }

    /// Whether the endpoint accepted the webhook.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }
}

/// The host and port: what a breaker is kept for.
fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// The first kilobyte of a response, as far as it arrives in time.
async fn read_start(mut response: Response) -> String {
    let mut kept = Vec::new();
    let reading = async {
        while kept.len() < MAX_RESPONSE_BYTES {
            let Ok(Some(chunk)) = response.chunk().await else { break };
            kept.extend(chunk.iter().take(MAX_RESPONSE_BYTES - kept.len()));
        }
    };
    // What arrived before the timeout is kept.
    drop(tokio::time::timeout(BODY_TIMEOUT, reading).await);
    // PostgreSQL text can't contain NUL.
    String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}")
}

/// Signs a body at a point in time.
#[must_use]
pub fn signature(secret: &str, unix_seconds: i64, body: &str) -> String {
    let signature = SigningKey::new(secret.as_bytes()).sign(format!("{unix_seconds}.{body}").as_bytes());
    format!("t={unix_seconds},v1={}", base16ct::lower::encode_string(signature.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_cover_the_time_and_the_body() {
        // Computed by `openssl dgst -sha256 -hmac secret` of `1700000000.{"a":1}`.
        let expected = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature("secret", 1_700_000_000, r#"{"a":1}"#), expected);
        assert_ne!(signature("secret", 1_700_000_001, r#"{"a":1}"#), expected);
        assert_ne!(signature("other", 1_700_000_000, r#"{"a":1}"#), expected);
    }
}
