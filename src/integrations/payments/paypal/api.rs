//! Calls of PayPal's API with a token, and what its errors say.

use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::token::TokenCache;
use crate::integrations::payments::ProviderError;
use crate::integrations::payments::http::{ProviderHttp, ProviderReply};

/// PayPal's API.
pub(super) struct Api {
    http: ProviderHttp,
    tokens: TokenCache,
    url: String,
}

impl Api {
    /// The API at a URL without a trailing slash.
    pub(super) fn new(http: ProviderHttp, tokens: TokenCache, url: String) -> Self {
        Self { http, tokens, url }
    }

    /// The API's URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Gets a token, so that wrong keys are found.
    pub(super) async fn authenticate(&self) -> Result<(), ProviderError> {
        self.tokens.get(&self.http).await.map(drop)
    }

    /// Gets a resource; `None` if PayPal knows no such resource.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ProviderError> {
        let url = self.url_of(path);
        let reply = self.send(|| self.http.get(&url)).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        read(reply).map(Some)
    }

    /// Posts a JSON document. PayPal carries out the calls with the same request id once.
    pub(super) async fn post(
        &self,
        path: &str,
        request_id: Option<&str>,
        body: &str,
    ) -> Result<ProviderReply, ProviderError> {
        let url = self.url_of(path);
        self.send(|| {
            // Otherwise a response has neither amounts nor custom ids.
            let request = with_body(self.http.post(&url), body).header("Prefer", "return=representation");
            match request_id {
                Some(request_id) => request.header("PayPal-Request-Id", request_id),
                None => request,
            }
        })
        .await
    }

    fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<ProviderReply, ProviderError> {
        let token = self.tokens.get(&self.http).await?;
        let reply = self.http.send(request().bearer_auth(token.expose_secret())).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        // PayPal may revoke a token before it expires.
        let token = self.tokens.replace(&self.http, &token).await?;
        self.http.send(request().bearer_auth(token.expose_secret())).await
    }
}

fn with_body(request: RequestBuilder, body: &str) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_owned())
}

/// The path of the resource with this id, which can't lead anywhere else.
///
/// # Errors
/// [`ProviderError::Failed`] if it is not an id.
pub(super) fn path_to(collection: &str, id: &str) -> Result<String, ProviderError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || !id.bytes().all(is_allowed) {
        return Err(ProviderError::Failed("PayPal's id contains unexpected characters".to_owned()));
    }
    Ok(format!("{collection}/{id}"))
}

/// Reads the response of a call that succeeded.
///
/// # Errors
/// Those of [`failure`] if it did not; [`ProviderError::Failed`] if the response has another shape.
pub(super) fn read<T: DeserializeOwned>(reply: ProviderReply) -> Result<T, ProviderError> {
    if !reply.status.is_success() {
        return Err(failure(&reply));
    }
    // The error of serde would quote the response.
    let parsed = serde_json::from_value(reply.body).ok();
    parsed.ok_or_else(|| ProviderError::Failed("PayPal's response has an unexpected shape".to_owned()))
}

/// Why PayPal refused a call: a code such as `INSTRUMENT_DECLINED`.
pub(super) fn issue(reply: &ProviderReply) -> &str {
    let issue = reply.body.pointer("/details/0/issue").or_else(|| reply.body.get("name"));
    issue.and_then(Value::as_str).unwrap_or("no reason given")
}

/// The error of a call that did not succeed.
pub(super) fn failure(reply: &ProviderReply) -> ProviderError {
    reply.error(format!("PayPal responded with {}, {}", reply.status, issue(reply)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_the_first_issue() {
        let refused = |body: Value| {
            failure(&ProviderReply { status: StatusCode::UNPROCESSABLE_ENTITY, body }).to_string()
        };
        // The example of https://developer.paypal.com/api/rest/reference/orders/v2/errors/.
        let body = json!({
            "name": "UNPROCESSABLE_ENTITY",
            "details": [{ "issue": "ORDER_NOT_APPROVED", "description": "Payer has not yet approved" }],
            "message": "The requested action could not be performed.",
        });
        assert_eq!(refused(body), "PayPal responded with 422 Unprocessable Entity, ORDER_NOT_APPROVED");
        let body = json!({ "name": "INTERNAL_SERVER_ERROR", "details": [] });
        assert!(refused(body).ends_with(", INTERNAL_SERVER_ERROR"));
        assert!(refused(Value::Null).ends_with(", no reason given"));
        for (status, is_refused) in [(StatusCode::UNPROCESSABLE_ENTITY, true), (StatusCode::CONFLICT, false)]
        {
            let error = failure(&ProviderReply { status, body: Value::Null });
            assert_eq!(matches!(error, ProviderError::Refused(_)), is_refused, "{error:?}");
        }
    }

    #[test]
    fn ids_can_not_lead_elsewhere() {
        assert_eq!(
            path_to("/v2/checkout/orders", "5O190127TN364715T").unwrap(),
            "/v2/checkout/orders/5O190127TN364715T"
        );
        for id in ["", "..", "a/b", "a?b", "a%2fb", "a b"] {
            assert!(path_to("/v2/checkout/orders", id).is_err(), "{id}");
        }
    }
}
