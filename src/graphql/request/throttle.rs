//! Rate limits in responses: `extensions.cost`, in the format of the Shopify APIs.

use std::sync::LazyLock;

use async_graphql::{Name, Response, ServerError, Value};

use crate::error::ErrorCode;
use crate::graphql::types::errors::{RETRY_AFTER, complete_errors};
use crate::services::access::rate_limits::{ThrottleStatus, Throttled};

/// The names in `extensions.cost`, allocated once: every response has them.
static COST_NAMES: LazyLock<[Name; 3]> =
    LazyLock::new(|| ["requestedQueryCost", "actualQueryCost", "throttleStatus"].map(Name::new));
static THROTTLE_NAMES: LazyLock<[Name; 3]> =
    LazyLock::new(|| ["maximumAvailable", "currentlyAvailable", "restoreRate"].map(Name::new));

/// The value of `extensions.cost`: the requested cost, the actual cost of the response, and the
/// state of the caller's bucket.
#[must_use]
pub fn cost_extension(requested: u64, actual: Option<u64>, status: &ThrottleStatus) -> Value {
    let object =
        |names: &[Name; 3], values: [Value; 3]| Value::Object(names.iter().cloned().zip(values).collect());
    let points = [status.maximum_available, status.currently_available, status.restore_rate];
    let throttle_status = object(&THROTTLE_NAMES, points.map(Value::from));
    let actual = actual.map_or(Value::Null, Value::from);
    object(&COST_NAMES, [Value::from(requested), actual, throttle_status])
}

/// The response to a request for which its caller has too few points.
#[must_use]
pub fn throttled_response(throttled: &Throttled, request_id: &str) -> Response {
    let mut error = ServerError::new(throttled.to_string(), None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", ErrorCode::Throttled.as_str());
    extensions.set(RETRY_AFTER, throttled.retry_after.as_secs());
    let mut response = Response::from_errors(vec![error]);
    response.extensions.insert("cost".to_owned(), cost_extension(throttled.cost, None, &throttled.status));
    complete_errors(response, request_id)
}
