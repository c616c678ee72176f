//! Sends webhooks: signed messages to the addresses of other services.
//!
//! Called by the webhooks service, one attempt a call, outside of any transaction and with no connection held. It decides nothing
//! about what is sent again and when. Each host has a breaker of its own, so that one that is down delays nobody else.
//!
//! A message is a POST of JSON, an event as `application/cloudevents+json`, with these headers:
//!
//! | header | what it holds |
//! |---|---|
//! | `Mercato-Signature` | `t=<Unix time>,v1=<HMAC-SHA256 of "<t>.<body>" under the secret, in hexadecimal digits>` |
//! | `Idempotency-Key` | the event's id: the same however often it is sent |
//! | `Mercato-Topic` | what happened, such as `ORDER_PLACED` |
//! | `Mercato-Delivery` | the delivery's id, to look it up by |

use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use reqwest::{Method, Response, StatusCode, Url, header};
use sha2::Sha256;

use super::breaker::{CallError, Family};
use super::public_http::{HttpError, PublicHttp};
use crate::domain::hex::hex;
use crate::domain::time::Timestamp;

/// How much of an answer is kept, in bytes.
const KEPT_BYTES: usize = 1024;
/// How long it may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where to.
    pub url: &'a str,
    /// What it is signed with.
    pub secret: &'a str,
    /// Names what it is about; the same however often it is sent.
    pub idempotency_key: &'a str,
    /// What happened.
    pub topic: &'a str,
    /// The delivery's id.
    pub delivery: &'a str,
    /// JSON.
    pub body: &'a str,
    /// Whether it is an event as CloudEvents has it.
    pub is_cloud_event: bool,
}

/// What came of sending it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// How long it took.
    pub took: Duration,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The first kilobyte of the answer.
    pub body: Option<String>,
    /// Why it failed; `None` is success: a status from 200 to 299.
    pub error: Option<String>,
}

/// It was not sent: its host failed too often lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotNow {
    /// When it is worth to try again.
    pub retry_in: Duration,
}

/// Why an attempt is none that succeeded.
enum Failure {
    /// The host is unwell.
    Unwell(Response),
    /// There is no answer.
    None(HttpError),
}

/// Sends webhooks.
pub struct WebhookSender {
    http: PublicHttp,
    breakers: Arc<Family>,
}

impl WebhookSender {
    /// A sender over a client for addresses that users give, with a breaker for each host.
    #[must_use]
    pub fn new(http: PublicHttp, breakers: Arc<Family>) -> Self {
        Self { http, breakers }
    }

    /// Whether an address may be sent to, as far as it tells by itself.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`], [`HttpError::NotPublic`].
    pub fn check(&self, url: &str) -> Result<(), HttpError> {
        self.http.check(url).map(drop)
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// [`NotNow`] where nothing was sent, and it is no attempt.
    pub async fn send(&self, message: &Message<'_>, now: Timestamp) -> Result<Attempt, NotNow> {
        let started = Instant::now();
        let url = match self.http.check(message.url) {
            Ok(url) => url,
            // That its address is none is no fault of the host, and nothing that time mends.
            Err(error) => return Ok(Attempt::failed(started.elapsed(), error.to_string())),
        };
        // What is not on the public internet is refused, which tells nothing about the host.
        let is_unwell = |failure: &Failure| !matches!(failure, Failure::None(HttpError::NotPublic(_)));
        let breaker = self.breakers.of(&host(&url));
        let sent = breaker.call(is_unwell, self.post(message, now)).await;
        let took = started.elapsed();
        match sent {
            Ok(response) | Err(CallError::Failed(Failure::Unwell(response))) => {
                let status = response.status();
                Ok(Attempt::answered(took, status, beginning(response).await))
            }
            Err(CallError::Failed(Failure::None(error))) => Ok(Attempt::failed(took, error.to_string())),
            Err(CallError::TimedOut) => Ok(Attempt::failed(took, HttpError::TimedOut.to_string())),
            Err(CallError::Open { retry_in }) => Err(NotNow { retry_in }),
        }
    }

    /// The head of the answer: what it says counts, whatever becomes of the rest.
    async fn post(&self, message: &Message<'_>, now: Timestamp) -> Result<Response, Failure> {
        let signature = signature(message.secret, now.utc().timestamp(), message.body);
        let request = self.http.request(Method::POST, message.url).map_err(Failure::None)?;
        let content_type = match message.is_cloud_event {
            true => "application/cloudevents+json",
            false => "application/json",
        };
        let response = request
            .header(header::CONTENT_TYPE, content_type)
            .header("Mercato-Signature", signature)
            .header("Idempotency-Key", message.idempotency_key)
            .header("Mercato-Topic", message.topic)
            .header("Mercato-Delivery", message.delivery)
            .body(message.body.to_owned())
            .send()
            .await
            .map_err(|error| Failure::None(error.into()))?;
        if response.status().is_server_error() { Err(Failure::Unwell(response)) } else { Ok(response) }
    }
}

impl Attempt {
    fn answered(took: Duration, status: StatusCode, body: String) -> Self {
        let error = match status {
            status if status.is_success() => None,
            status if status.is_redirection() => {
                Some(format!("the answer is {status}; redirects are not followed"))
            }
            status => Some(format!("the answer is {status}")),
        };
        Self { took, status: Some(status.as_u16()), body: Some(body), error }
    }

    /// One that had no answer, or was of no use.
    #[must_use]
    pub fn failed(took: Duration, error: String) -> Self {
        Self { took, status: None, body: None, error: Some(error) }
    }

    /// Whether it was taken.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }
}

/// What fails together.
fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// The first kilobyte of an answer, as far as it comes in time; the rest is not read.
async fn beginning(mut response: Response) -> String {
    let mut kept = Vec::new();
    let reading = async {
        while kept.len() < KEPT_BYTES {
            let Ok(Some(chunk)) = response.chunk().await else { break };
            kept.extend(chunk.iter().take(KEPT_BYTES - kept.len()));
        }
    };
    // What came until then is kept.
    drop(tokio::time::timeout(BODY_TIMEOUT, reading).await);
    // PostgreSQL keeps no NUL in a text.
    String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}")
}

/// The signature of a body that is sent at a time.
#[must_use]
pub fn signature(secret: &str, unix_seconds: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes a key of any length.
        return String::new();
    };
    mac.update(unix_seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    format!("t={unix_seconds},v1={}", hex(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_the_time_and_the_body() {
        // By `openssl dgst -sha256 -hmac secret` of `1700000000.{"a":1}`.
        let known = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature("secret", 1_700_000_000, r#"{"a":1}"#), known);
        assert_ne!(signature("secret", 1_700_000_001, r#"{"a":1}"#), known);
        assert_ne!(signature("other", 1_700_000_000, r#"{"a":1}"#), known);
    }
}
