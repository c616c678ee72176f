//! Finds the `PaymentIntent` of an attempt whose id at Stripe is unknown, because the process died
//! before it was recorded.

use reqwest::StatusCode;

use super::INTENTS;
use super::api::{self, Api, Page};
use super::intents::Intent;
use super::owner::ATTEMPT_ID;
use crate::domain::ids::{Id, PaymentId};
use crate::integrations::payments::ProviderError;

/// Time until Stripe's search finds a new object, in seconds: a minute, but an hour during
/// incidents. Until then, the list is looked through.
const SEARCH_DELAY: i64 = 3_600;
/// The most by which the time of an attempt and that of its intent at Stripe differ, in seconds:
/// clocks differ, and earlier attempts are voided first.
const MAX_DIFFERENCE: i64 = 300;
/// Maximum number of pages of the list that are looked through: 500 payments in ten minutes.
const MAX_PAGES: usize = 5;

/// Returns the id of an attempt's `PaymentIntent`. `now` is in seconds since 1970.
///
/// # Errors
/// [`ProviderError::Failed`] also if there are too many payments to look through for a new one.
pub(super) async fn find(
    api: &Api,
    attempt_id: PaymentId,
    now: i64,
) -> Result<Option<String>, ProviderError> {
    let query = format!("metadata['{ATTEMPT_ID}']:'{}'", attempt_id.uuid());
    let query = [("query", query.as_str()), ("limit", "1")];
    let reply = api.get(&format!("{INTENTS}/search"), &query).await?;
    // Stripe offers no search in some countries.
    let is_searchable = !matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND);
    if is_searchable {
        let page: Page<Intent> = api::read(reply)?;
        if let Some(intent) = page.data.into_iter().next() {
            return Ok(Some(intent.id));
        }
        if !is_recent(attempt_id, now) {
            return Ok(None);
        }
    }
    find_in_list(api, attempt_id).await
}

/// Whether an attempt is so new that its intent may not be found yet, or may not even exist: the
/// call that creates it may still be under way. `now` is in seconds since 1970.
pub(super) fn is_recent(attempt_id: PaymentId, now: i64) -> bool {
    now.saturating_sub(requested_at(attempt_id)) <= SEARCH_DELAY
}

/// Looks through the intents created at about the time of the attempt. Unlike the search, a list is
/// always up to date.
async fn find_in_list(api: &Api, attempt_id: PaymentId) -> Result<Option<String>, ProviderError> {
    let (earliest, latest) = creation_times(attempt_id);
    let filter = [("created[gte]", earliest.as_str()), ("created[lte]", latest.as_str())];
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page: Page<Intent> = api.page(INTENTS, &filter, after.as_deref()).await?;
        let is_wanted =
            |intent: &&Intent| intent.owner().is_some_and(|owner| owner.attempt_id == Some(attempt_id));
        if let Some(intent) = page.data.iter().find(is_wanted) {
            return Ok(Some(intent.id.clone()));
        }
        let Some(last) = page.data.last().filter(|_| page.has_more) else { return Ok(None) };
        after = Some(last.id.clone());
    }
    Err(ProviderError::Failed("too many payments were made at the time of this one".to_owned()))
}

/// The earliest and the latest time at which the intent of an attempt may have been created.
fn creation_times(attempt_id: PaymentId) -> (String, String) {
    let time = requested_at(attempt_id);
    let bounds = (time.saturating_sub(MAX_DIFFERENCE), time.saturating_add(MAX_DIFFERENCE));
    (bounds.0.to_string(), bounds.1.to_string())
}

/// When an attempt began, in seconds since 1970: its id contains the time.
fn requested_at(attempt_id: PaymentId) -> i64 {
    let time = attempt_id.uuid().get_timestamp();
    time.and_then(|time| i64::try_from(time.to_unix().0).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// An attempt of 2026-01-01T12:00:00.5Z.
    fn attempt() -> PaymentId {
        let millis = 1_767_268_800_500_u128;
        PaymentId::from_uuid(Uuid::from_u128((millis << 80) | (7 << 76) | (2 << 62)))
    }

    #[test]
    fn a_payment_is_looked_for_around_the_time_of_its_attempt() {
        assert_eq!(requested_at(attempt()), 1_767_268_800);
        let expected = ("1767268500".to_owned(), "1767269100".to_owned());
        assert_eq!(creation_times(attempt()), expected);
    }

    #[test]
    fn an_attempt_is_recent_for_an_hour() {
        for (age, expected) in [(-60, true), (0, true), (3_600, true), (3_601, false)] {
            assert_eq!(is_recent(attempt(), 1_767_268_800 + age), expected, "{age}");
        }
    }
}
