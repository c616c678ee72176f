//! How answers are written.

use async_graphql::Response as GraphQlResponse;
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};

use crate::error::ErrorCode;

/// A GraphQL answer to a request that was not executed, with the status of its error.
pub fn graphql(response: &GraphQlResponse, code: ErrorCode) -> Response {
    json(code.table().1, response)
}

/// A JSON document.
pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
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
