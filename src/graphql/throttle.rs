//! How rate limits look to clients: `extensions.cost.throttleStatus`, as the Shopify APIs have it.

use async_graphql::{Name, Response, ServerError, Value};

use super::errors::{RETRY_AFTER, error_response};
use crate::error::ErrorCode;
use crate::services::rate_limits::{ThrottleStatus, Throttled};

/// `extensions.cost`: what was requested, what the response really had, and how full the caller's bucket is since.
#[must_use]
pub fn cost(requested: u64, actual: Option<u64>, status: &ThrottleStatus) -> Value {
    let throttle_status = [
        ("maximumAvailable", status.maximum_available),
        ("currentlyAvailable", status.currently_available),
        ("restoreRate", status.restore_rate),
    ];
    object([
        ("requestedQueryCost", Value::from(requested)),
        ("actualQueryCost", actual.map_or(Value::Null, Value::from)),
        ("throttleStatus", object(throttle_status.map(|(name, points)| (name, Value::from(points))))),
    ])
}

/// The response to a request that its caller has not enough points for.
#[must_use]
pub fn throttled(refused: &Throttled, request_id: &str) -> Response {
    let mut error = ServerError::new(refused.to_string(), None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", ErrorCode::Throttled.as_str());
    extensions.set(RETRY_AFTER, refused.retry_after.as_secs());
    let mut response = Response::from_errors(vec![error]);
    response.extensions.insert("cost".to_owned(), cost(refused.cost, None, &refused.status));
    error_response(response, request_id)
}

/// An object of these fields.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (Name::new(name), value)).collect())
}
