//! Writing responses.

use std::io::{ErrorKind, Write};

use async_graphql::Response as GraphQlResponse;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};

use super::server::ResponseSize;
use crate::error::ErrorCode;

/// The initial buffer size of a response. Few responses are longer.
const INITIAL_CAPACITY: usize = 16 * 1024;
/// The usual maximum number of headers, with those that middleware adds.
const MAX_HEADERS: usize = 12;
/// The `Retry-After` of a temporary error, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A GraphQL response to a request that was not executed, with the HTTP status of its error.
pub(super) fn graphql_error(response: &GraphQlResponse, code: ErrorCode) -> Response {
    json(status(code), response)
}

/// The HTTP status of a request that fails as a whole with an error of this code.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::BadUserInput | ErrorCode::LimitExceeded | ErrorCode::MaxCostExceeded => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::Throttled => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Timeout | ErrorCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Serializes a value as a JSON response.
pub(super) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match to_json(body, u64::MAX) {
        Some(bytes) => json_bytes(status, bytes),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A response with a body that is already serialized as JSON.
pub(super) fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let size = ResponseSize(body.capacity());
    let mut response = Response::builder().status(status).extension(size).body(body);
    let headers = response.headers_mut();
    // Growing step by step would hash all names again at each step.
    headers.reserve(MAX_HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

/// Serializes a value as JSON; `None` if the result would be longer than `max_bytes`.
pub(super) fn to_json(value: &impl serde::Serialize, max_bytes: u64) -> Option<Vec<u8>> {
    let mut writer = BoundedWriter { bytes: Vec::with_capacity(INITIAL_CAPACITY), max: max_bytes };
    match serde_json::to_writer(&mut writer, value) {
        Ok(()) => Some(writer.bytes),
        Err(error) if error.is_io() => None,
        Err(error) => {
            tracing::error!("a response can't be serialized: {error}");
            None
        }
    }
}

/// A buffer of limited size.
struct BoundedWriter {
    bytes: Vec<u8>,
    max: u64,
}

impl Write for BoundedWriter {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() as u64 + bytes.len() as u64 > self.max {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Called by the serializer for each token, so the default loop would cost too much.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The response to an error of poem's own, such as an unknown path or a method not allowed.
pub(super) async fn plain_error(error: poem::Error) -> Response {
    let status = error.status();
    let reason = status.canonical_reason().unwrap_or("error").to_lowercase();
    json(status, &serde_json::json!({ "error": reason }))
}
