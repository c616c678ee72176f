//! How answers are written.

use async_graphql::Response as GraphQlResponse;
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};

use crate::error::ErrorCode;

/// The room an answer is given at first: few need more.
const USUAL_BYTES: usize = 16 * 1024;

/// A GraphQL answer to a request that was not executed, with the status of its error.
pub fn graphql(response: &GraphQlResponse, code: ErrorCode) -> Response {
    json(code.table().1, response)
}

/// A JSON document.
pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => {
            Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(bytes)
        }
        Err(error) => {
            tracing::error!("an answer can't be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What poem itself refuses: an unknown path, a method that a path has not.
pub async fn plain_error(error: poem::Error) -> Response {
    let status = error.status();
    let reason = status.canonical_reason().unwrap_or("error").to_lowercase();
    json(status, &serde_json::json!({ "error": reason }))
}
