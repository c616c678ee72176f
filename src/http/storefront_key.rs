//! The public key of a storefront, in the header that the Storefront API has for it.
//!
//! A key is known to everybody who looks at the storefront's pages, so it permits nothing that a
//! buyer without one may not do, and limits go on to count by address: a bucket of the key's own
//! would be emptied for all buyers by one of them. Only a shop that wants to be called by its own
//! storefronts alone asks for it (`REQUIRE_STOREFRONT_KEY`); otherwise it is not even looked at.

use poem::http::HeaderName;

use super::graphql::Refused;
use crate::app::App;
use crate::auth::Identity;
use crate::error::{Error, ErrorCode, with_causes};

/// The header, as it is written in requests.
const NAME: &str = "X-Shopify-Storefront-Access-Token";

/// The header that carries a key.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-shopify-storefront-access-token");

/// Lets somebody in: staff and services by what they were recognised by, buyers with a storefront's
/// key where keys are required.
pub(super) async fn admit(app: &App, identity: &Identity, key: Option<&str>) -> Result<(), Refused> {
    if identity.actor.is_staff() || !app.config.dialect.requires_storefront_key {
        return Ok(());
    }
    let known = match key {
        Some(key) => app.auth.knows_storefront_key(key).await.map_err(|error| {
            let error = Error::from(error);
            tracing::warn!("a storefront's key can't be checked: {}", with_causes(&error));
            (error.code(), error.to_string())
        })?,
        None => false,
    };
    if known {
        return Ok(());
    }
    let message = format!(
        "only the shop's own storefronts are served: send their key in `{NAME}` \
         (`mercato apikey create --storefront` makes one)"
    );
    Err((ErrorCode::Unauthenticated, message))
}

/// The key in what a live client says of itself: as the header that it would send over HTTP.
pub(super) fn key_in(payload: &serde_json::Value) -> Option<&str> {
    [Some(payload), payload.get("headers")].into_iter().flatten().find_map(|headers| {
        let mut headers = headers.as_object()?.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(NAME)).and_then(|(_, key)| key.as_str())
    })
}
