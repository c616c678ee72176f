//! The public access token of a storefront, in the Storefront API's header.
//!
//! The key is visible to every visitor of the storefront. It therefore grants no permissions, and
//! rate limits still apply per address: with a bucket per key, one visitor could exhaust it for
//! all. It is only checked if the shop requires it (`REQUIRE_STOREFRONT_KEY`).

use poem::http::HeaderName;

use super::Rejection;
use crate::app::App;
use crate::domain::access::actors::Identity;
use crate::error::{Error, ErrorCode, with_causes};

/// The header's name in its usual spelling.
const HEADER_NAME: &str = "X-Shopify-Storefront-Access-Token";

/// The header that carries a key.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-shopify-storefront-access-token");

/// Checks that the caller is staff, a service or, if keys are required, sends a storefront's key.
pub(super) async fn authorize(app: &App, identity: &Identity, key: Option<&str>) -> Result<(), Rejection> {
    if identity.actor.is_staff() || !app.config.dialect.requires_storefront_key {
        return Ok(());
    }
    let is_known = match key {
        Some(key) => app.auth.is_storefront_key(key).await.map_err(|error| {
            let error = Error::from(error);
            tracing::warn!("a storefront's key can't be checked: {}", with_causes(&error));
            (error.code(), error.to_string())
        })?,
        None => false,
    };
    if is_known {
        return Ok(());
    }
    let message = format!(
        "only the shop's own storefronts are served: send their key in `{HEADER_NAME}` \
         (`mercato apikey create --storefront` creates one)"
    );
    Err((ErrorCode::Unauthenticated, message))
}

/// The key in the payload of `connection_init`, which clients name like the HTTP header.
pub(super) fn key_from_payload(payload: &serde_json::Value) -> Option<&str> {
    [Some(payload), payload.get("headers")].into_iter().flatten().find_map(|headers| {
        let mut headers = headers.as_object()?.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(HEADER_NAME)).and_then(|(_, key)| key.as_str())
    })
}
