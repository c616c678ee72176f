//! Calls to Stripe's API: form-encoded requests, and responses in JSON.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::integrations::payments::ProviderError;
use crate::integrations::payments::http::{ProviderHttp, ProviderReply};

/// The version of the API that this module is written for. Without it, the account's default would
/// apply, which differs between shops.
const VERSION: &str = "2024-06-20";
/// Number of objects on a page of a list; the most that Stripe allows.
const PAGE_SIZE: &str = "100";
/// Maximum number of pages read of a list.
const MAX_PAGES: usize = 10;
/// Maximum length of a message of Stripe, in characters.
const MAX_MESSAGE_CHARS: usize = 500;
/// Characters that need no escaping anywhere in a URL or a form.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The fields of a form.
pub(super) type Form = Vec<(&'static str, String)>;

/// A client for Stripe's API.
pub(super) struct Api {
    http: ProviderHttp,
    url: String,
    secret_key: SecretString,
}

/// A page of a list or of a search's results.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

/// An object of a list.
pub(super) trait Listed {
    /// Stripe's id.
    fn id(&self) -> &str;
}

/// A reference to another object, which Stripe sometimes replaces with the object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Expandable {
    Id(String),
    Object { id: String },
}

/// Why Stripe refuses a request.
#[derive(Default, Deserialize)]
pub(super) struct ApiError {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// The `PaymentIntent` that the request was about.
    pub(super) payment_intent: Option<Value>,
}

impl Api {
    /// Creates a client; `url` has no trailing slash.
    pub(super) fn new(
        url: String,
        secret_key: SecretString,
        timeout: Duration,
    ) -> Result<Self, ProviderError> {
        Ok(Self { http: ProviderHttp::new(timeout)?, url, secret_key })
    }

    /// Sends a GET request.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<ProviderReply, ProviderError> {
        let url = format!("{}{path}?{}", self.url, encode(query));
        self.http.send(self.authorized(self.http.get(&url))).await
    }

    /// Sends a POST request. Requests with the same idempotency key take effect once, and get the
    /// response to the first one, even if that was a refusal. A request that has no effect when it
    /// is repeated needs no key.
    pub(super) async fn post(
        &self,
        path: &str,
        form: &[(&'static str, String)],
        idempotency_key: Option<&str>,
    ) -> Result<ProviderReply, ProviderError> {
        let request = self.http.post(&format!("{}{path}", self.url));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encode(form));
        let request = match idempotency_key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        self.http.send(self.authorized(request)).await
    }

    /// Sends a DELETE request.
    pub(super) async fn delete(&self, path: &str) -> Result<ProviderReply, ProviderError> {
        self.http.send(self.authorized(self.http.delete(&format!("{}{path}", self.url)))).await
    }

    /// Reads a page of a list, newest first: the one after the object with the id `after`.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &[(&str, &str)],
        after: Option<&str>,
    ) -> Result<Page<T>, ProviderError> {
        let mut query = vec![("limit", PAGE_SIZE)];
        query.extend(filter.iter().copied());
        query.extend(after.map(|last| ("starting_after", last)));
        read(self.get(path, &query).await?)
    }

    /// Reads a whole list.
    pub(super) async fn list<T: DeserializeOwned + Listed>(
        &self,
        path: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<T>, ProviderError> {
        let mut objects: Vec<T> = Vec::new();
        for _ in 0..MAX_PAGES {
            let last = objects.last().map(|object| object.id().to_owned());
            let page: Page<T> = self.page(path, filter, last.as_deref()).await?;
            objects.extend(page.data);
            if !page.has_more {
                return Ok(objects);
            }
        }
        Err(ProviderError::Failed(format!("Stripe's list at {path} has more than {MAX_PAGES} pages")))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.secret_key.expose_secret()).header("Stripe-Version", VERSION)
    }
}

impl Expandable {
    /// The object's id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

impl ApiError {
    /// Reads the error in a response; empty if there is none.
    pub(super) fn of(reply: &ProviderReply) -> Self {
        let error = reply.body.get("error");
        error.and_then(|error| Self::deserialize(error).ok()).unwrap_or_default()
    }
}

/// Reads the object in a response.
///
/// # Errors
/// Those of [`failure`]; [`ProviderError::Failed`] if the response is not such an object.
pub(super) fn read<T: DeserializeOwned>(reply: ProviderReply) -> Result<T, ProviderError> {
    if !reply.status.is_success() {
        return Err(failure(&reply));
    }
    object(reply.body)
}

/// Reads an object. Errors don't quote it.
pub(super) fn object<T: DeserializeOwned>(value: Value) -> Result<T, ProviderError> {
    match serde_json::from_value(value) {
        Ok(object) => Ok(object),
        Err(_) => Err(ProviderError::Failed("a field is missing in Stripe's response".to_owned())),
    }
}

/// The error of a request that did not succeed. Stripe's messages contain no complete key.
pub(super) fn failure(reply: &ProviderReply) -> ProviderError {
    let ApiError { kind, code, message, .. } = ApiError::of(reply);
    // An earlier request with the same key may have had an effect.
    let is_repeated = kind.as_deref() == Some("idempotency_error");
    let reasons: Vec<String> = [kind, code].into_iter().flatten().collect();
    let reasons = if reasons.is_empty() { "no reason".to_owned() } else { reasons.join(", ") };
    let message: String = message.unwrap_or_default().chars().take(MAX_MESSAGE_CHARS).collect();
    let message = format!("Stripe responded with {} ({reasons}): {message}", reply.status.as_u16());
    if is_repeated { ProviderError::Failed(message) } else { reply.error(message) }
}

/// Escapes a part of a URL or a form.
pub(super) fn escape(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

fn encode<V: AsRef<str>>(fields: &[(&str, V)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value.as_ref())));
    fields.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_are_escaped() {
        let form = [("metadata[order_id]", "a b&c=d".to_owned()), ("return_url", "https://x/?é".to_owned())];
        assert_eq!(
            encode(&form),
            "metadata%5Border_id%5D=a%20b%26c%3Dd&return_url=https%3A%2F%2Fx%2F%3F%C3%A9"
        );
        assert_eq!(escape("pi_1-2/../x").to_string(), "pi_1-2%2F..%2Fx");
    }

    #[test]
    fn errors_say_what_stripe_says() {
        let body = json!({"error": {
            "type": "invalid_request_error",
            "code": "parameter_missing",
            "message": "Missing required param: amount.",
            "param": "amount",
        }});
        let error = failure(&ProviderReply { status: StatusCode::BAD_REQUEST, body });
        let expected = "Stripe responded with 400 (invalid_request_error, parameter_missing): \
            Missing required param: amount.";
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, ProviderError::Refused(_)), "{error:?}");
        let body = json!({"error": {"type": "idempotency_error"}});
        let error = failure(&ProviderReply { status: StatusCode::BAD_REQUEST, body });
        assert!(matches!(error, ProviderError::Failed(_)), "{error:?}");
        let reply = ProviderReply { status: StatusCode::BAD_GATEWAY, body: Value::Null };
        assert_eq!(failure(&reply).to_string(), "Stripe responded with 502 (no reason): ");
    }
}
