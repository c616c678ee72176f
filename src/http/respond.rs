//! How answers are written.

use std::io::{ErrorKind, Write};

use async_graphql::Response as GraphQlResponse;
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};

use super::server::AnswerSize;
use crate::error::ErrorCode;

/// The room an answer is given at first: few need more.
const USUAL_BYTES: usize = 16 * 1024;
/// When a client may come again that was turned away for the moment, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A GraphQL answer to a request that was not executed, with the status of its error.
pub fn graphql(response: &GraphQlResponse, code: ErrorCode) -> Response {
    json(code.table().1, response)
}

/// A JSON document.
pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match to_json(body, u64::MAX) {
        Some(bytes) => json_bytes(status, bytes),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The same, of what is written already.
pub fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response = response.header(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response.extension(AnswerSize(body.capacity())).body(body)
}

/// Writes a value as JSON; `None` when that is longer than `max_bytes`.
pub fn to_json(value: &impl serde::Serialize, max_bytes: u64) -> Option<Vec<u8>> {
    let mut writer = Bounded { bytes: Vec::with_capacity(USUAL_BYTES), max: max_bytes };
    match serde_json::to_writer(&mut writer, value) {
        Ok(()) => Some(writer.bytes),
        Err(error) if error.is_io() => None,
        Err(error) => {
            tracing::error!("an answer can't be written: {error}");
            None
        }
    }
}

/// Takes no more than a number of bytes.
struct Bounded {
    bytes: Vec<u8>,
    max: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() as u64 + bytes.len() as u64 > self.max {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What poem itself refuses: an unknown path, a method that a path has not.
pub async fn plain_error(error: poem::Error) -> Response {
    let status = error.status();
    let reason = status.canonical_reason().unwrap_or("error").to_lowercase();
    json(status, &serde_json::json!({ "error": reason }))
}
