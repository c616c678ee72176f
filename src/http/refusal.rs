//! Answers that say no for a while, because of a limit or because the server is busy: their status and `Retry-After`.

use async_graphql::{Response as GraphQlResponse, Value};
use poem::http::StatusCode;

use crate::error::ErrorCode;
use crate::graphql::RETRY_AFTER;

/// A request of which nothing was done, and that can be sent again later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Refusal {
    /// In how many seconds.
    pub(super) retry_after: u64,
    /// For clients and proxies that don't look into the body.
    pub(super) status: StatusCode,
}

impl Refusal {
    /// The refusal that a response is; `None` when something was done, or went wrong for another reason.
    pub(super) fn of(response: &GraphQlResponse) -> Option<Self> {
        if response.data != Value::Null {
            return None;
        }
        let refusals = response.errors.iter().map(|error| {
            let extensions = error.extensions.as_ref()?;
            let Value::Number(seconds) = extensions.get(RETRY_AFTER)? else { return None };
            let code = ErrorCode::Throttled;
            let is_limit = extensions.get("code").is_some_and(|value| *value == Value::from(code.as_str()));
            let code = if is_limit { code } else { ErrorCode::ServiceUnavailable };
            Some(Self { retry_after: seconds.as_u64()?, status: code.table().1 })
        });
        refusals.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}
