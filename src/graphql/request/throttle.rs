//! Rate limits in responses: `extensions.cost`, in the format of the Shopify APIs.

use std::collections::BTreeMap;

use async_graphql::{Response, ServerError, Value, to_value};
use serde::Serialize;

use crate::error::ErrorCode;
use crate::graphql::types::errors::{RETRY_AFTER, complete_errors};
use crate::services::access::rate_limits::{ThrottleStatus, Throttled};

/// The value of `extensions.cost`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostExtension {
    requested_query_cost: u64,
    /// That of the response; `None` if nothing was executed.
    actual_query_cost: Option<u64>,
    throttle_status: Bucket,
}

/// The state of the caller's bucket.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    maximum_available: u64,
    currently_available: u64,
    restore_rate: u64,
}

impl CostExtension {
    /// The requested cost, the actual cost of the response, and the state of the caller's bucket.
    #[must_use]
    pub fn new(requested: u64, actual: Option<u64>, status: &ThrottleStatus) -> Self {
        let ThrottleStatus { maximum_available, currently_available, restore_rate } = *status;
        let throttle_status = Bucket { maximum_available, currently_available, restore_rate };
        Self { requested_query_cost: requested, actual_query_cost: actual, throttle_status }
    }
}

/// A response with its cost, as JSON. Every response has one, and as a [`Value`] it would take a
/// dozen allocations.
#[derive(Serialize)]
pub struct ResponseWithCost<'a> {
    data: &'a Value,
    extensions: Extensions<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

#[derive(Serialize)]
struct Extensions<'a> {
    cost: CostExtension,
    #[serde(flatten)]
    others: &'a BTreeMap<String, Value>,
}

/// The end of a response that has neither errors nor other extensions, after its data.
#[derive(Serialize)]
pub struct ExtensionsWithCost {
    /// The cost.
    pub cost: CostExtension,
}

impl<'a> ResponseWithCost<'a> {
    /// Adds the cost to a response.
    #[must_use]
    pub fn new(response: &'a Response, cost: CostExtension) -> Self {
        let extensions = Extensions { cost, others: &response.extensions };
        Self { data: &response.data, extensions, errors: &response.errors }
    }
}

/// The response to a request for which its caller has too few points.
#[must_use]
pub fn throttled_response(throttled: &Throttled, request_id: &str) -> Response {
    let mut error = ServerError::new(throttled.to_string(), None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", ErrorCode::Throttled.as_str());
    extensions.set(RETRY_AFTER, throttled.retry_after.as_secs());
    let mut response = Response::from_errors(vec![error]);
    let cost = CostExtension::new(throttled.cost, None, &throttled.status);
    response.extensions.insert("cost".to_owned(), to_value(cost).unwrap_or_default());
    complete_errors(response, request_id)
}
