//! The OAuth token that every call of PayPal's API needs: requested once, and shared until shortly
//! before it expires.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::domain::time::{Clock, Timestamp};
use crate::integrations::payments::ProviderError;
use crate::integrations::payments::http::ProviderHttp;

/// A token is not used for this long before it expires, so that none expires on its way to PayPal.
const EXPIRY_MARGIN: Duration = Duration::from_mins(1);

/// Requests tokens and keeps the current one.
pub(super) struct TokenCache {
    url: String,
    client_id: String,
    client_secret: SecretString,
    clock: Arc<dyn Clock>,
    /// Locked while a token is requested, so that all calls wait for the same one.
    current: Mutex<Option<Token>>,
}

struct Token {
    secret: SecretString,
    usable_until: Timestamp,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    /// In seconds.
    expires_in: u64,
}

impl TokenCache {
    /// An empty cache.
    pub(super) fn new(
        api_url: &str,
        client_id: String,
        client_secret: SecretString,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let url = format!("{api_url}/v1/oauth2/token");
        Self { url, client_id, client_secret, clock, current: Mutex::default() }
    }

    /// The current token; a new one if there is none.
    pub(super) async fn get(&self, http: &ProviderHttp) -> Result<SecretString, ProviderError> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(token) if self.clock.now() < token.usable_until => Ok(token.secret.clone()),
            _ => self.request(http, &mut current).await,
        }
    }

    /// Replaces a token that PayPal rejected, unless another call has replaced it already.
    pub(super) async fn replace(
        &self,
        http: &ProviderHttp,
        rejected: &SecretString,
    ) -> Result<SecretString, ProviderError> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(token) if token.secret.expose_secret() != rejected.expose_secret() => {
                Ok(token.secret.clone())
            }
            _ => self.request(http, &mut current).await,
        }
    }

    async fn request(
        &self,
        http: &ProviderHttp,
        current: &mut Option<Token>,
    ) -> Result<SecretString, ProviderError> {
        let request = http
            .post(&self.url)
            .basic_auth(&self.client_id, Some(self.client_secret.expose_secret()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let requested_at = self.clock.now();
        let reply = http.send(request).await?;
        if !reply.status.is_success() {
            return Err(ProviderError::Failed(format!(
                "PayPal gives no token for the client id and secret: {}",
                reply.status
            )));
        }
        let Ok(TokenReply { access_token, expires_in }) = serde_json::from_value(reply.body) else {
            return Err(ProviderError::Failed("PayPal's response contains no token".to_owned()));
        };
        let secret = SecretString::from(access_token);
        let usable_until = requested_at.plus(Duration::from_secs(expires_in)).minus(EXPIRY_MARGIN);
        *current = Some(Token { secret: secret.clone(), usable_until });
        Ok(secret)
    }
}
