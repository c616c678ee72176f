//! Finds the `PaymentIntent` of an attempt whose id at Stripe is unknown, because the process died
//! before it was recorded.

use reqwest::StatusCode;

use super::api::{self, Api, MAX_PAGES, Page};
use super::intents::Intent;
use super::owner::ATTEMPT_ID;
use crate::domain::ids::{Id, PaymentId};
use crate::integrations::payments::ProviderError;

/// Time until Stripe's search finds a new object, in seconds: a minute, but an hour during
/// incidents. Until then, the newest objects are looked through.
const SEARCH_DELAY: i64 = 3_600;
/// The most by which our clock and Stripe's differ, in seconds.
const CLOCK_DIFFERENCE: i64 = 300;

/// Returns the id of an attempt's `PaymentIntent`. `now` is in seconds since 1970.
///
/// # Errors
/// [`ProviderError::Failed`] also if there are too many payments to be sure that there is none.
pub(super) async fn find(
    api: &Api,
    attempt_id: PaymentId,
    now: i64,
) -> Result<Option<String>, ProviderError> {
    let query = format!("metadata['{ATTEMPT_ID}']:'{}'", attempt_id.uuid());
    let query = [("query", query.as_str()), ("limit", "1")];
    let reply = api.get("/v1/payment_intents/search", &query).await?;
    // Stripe offers no search in some countries.
    let is_searchable = !matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND);
    let requested_at = requested_at(attempt_id);
    if is_searchable {
        let page: Page<Intent> = api::read(reply)?;
        if let Some(intent) = page.data.into_iter().next() {
            return Ok(Some(intent.id));
        }
        if now.saturating_sub(requested_at) > SEARCH_DELAY {
            return Ok(None);
        }
    }
    find_in_list(api, attempt_id, requested_at.saturating_sub(CLOCK_DIFFERENCE)).await
}

/// Looks through the intents created since `start`, newest first. Unlike the search, a list is
/// always up to date.
async fn find_in_list(api: &Api, attempt_id: PaymentId, start: i64) -> Result<Option<String>, ProviderError> {
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page: Page<Intent> = api.page("/v1/payment_intents", &[], after.as_deref()).await?;
        let is_wanted =
            |intent: &&Intent| intent.owner().is_some_and(|owner| owner.attempt_id == Some(attempt_id));
        if let Some(intent) = page.data.iter().find(is_wanted) {
            return Ok(Some(intent.id.clone()));
        }
        let Some(last) = page.data.last().filter(|_| page.has_more) else { return Ok(None) };
        if last.created.is_some_and(|created| created < start) {
            return Ok(None);
        }
        after = Some(last.id.clone());
    }
    Err(ProviderError::Failed("there are too many recent payments to look for this one".to_owned()))
}

/// When an attempt began, in seconds since 1970: its id contains the time.
fn requested_at(attempt_id: PaymentId) -> i64 {
    let time = attempt_id.uuid().get_timestamp();
    time.and_then(|time| i64::try_from(time.to_unix().0).ok()).unwrap_or_default()
}
