//! The status and `Retry-After` of responses to requests that were throttled, or turned away by a
//! busy server.

use async_graphql::{Response as GraphQlResponse, Value};
use poem::http::StatusCode;

use super::respond;
use crate::error::ErrorCode;
use crate::graphql::RETRY_AFTER;

/// How to retry a request of which nothing was executed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RetryHint {
    /// The delay in seconds.
    pub(super) retry_after: u64,
    /// The HTTP status, for clients and proxies that don't read the body.
    pub(super) status: StatusCode,
}

impl RetryHint {
    /// The hint for a response; `None` if anything was executed, or failed for another reason.
    pub(super) fn from_response(response: &GraphQlResponse) -> Option<Self> {
        if response.data != Value::Null {
            return None;
        }
        let hints = response.errors.iter().map(|error| {
            let extensions = error.extensions.as_ref()?;
            let Value::Number(seconds) = extensions.get(RETRY_AFTER)? else { return None };
            let code = ErrorCode::Throttled;
            let is_throttled =
                extensions.get("code").is_some_and(|value| *value == Value::from(code.as_str()));
            let code = if is_throttled { code } else { ErrorCode::ServiceUnavailable };
            Some(Self { retry_after: seconds.as_u64()?, status: respond::status(code) })
        });
        hints.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}
