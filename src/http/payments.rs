//! Webhooks of payment providers: `POST /payments/:provider/webhook`. The provider's integration
//! verifies the signature, and the payments service handles the event.

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{Endpoint, Request, Response};
use tracing::Instrument;

use super::respond;
use crate::app::App;
use crate::error::with_causes;
use crate::services::payments::{Headers, WebhookError};
use crate::telemetry;

/// The endpoint.
pub(super) fn endpoint(app: Arc<App>) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let app = Arc::clone(&app);
        async move { Box::pin(handle(&app, request)).await }
    })
}

async fn handle(app: &App, mut request: Request) -> Response {
    let provider = request.raw_path_param("provider").unwrap_or_default().to_owned();
    let headers: Headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let Ok(body) = request.take_body().into_bytes_limit(app.config.body_limit).await else {
        return error_response(StatusCode::BAD_REQUEST, "the body can't be read, or is too large");
    };
    let op = app.system();
    // Boxed, because it is large. What it causes belongs to the trace of this span.
    let span = tracing::info_span!("payment_webhook", provider);
    match Box::pin(app.services.payments.handle_webhook(&op, &provider, &headers, &body))
        .instrument(span)
        .await
    {
        Ok(()) => respond::json(StatusCode::OK, &serde_json::json!({ "received": true })),
        Err(WebhookError::UnknownProvider) => {
            error_response(StatusCode::NOT_FOUND, "there is no such payment provider")
        }
        Err(WebhookError::BadSignature) => {
            tracing::warn!(provider, "a webhook has a wrong signature");
            error_response(StatusCode::UNAUTHORIZED, "the signature is wrong")
        }
        Err(error @ WebhookError::Unreadable(_)) => {
            tracing::warn!(provider, "a webhook is refused: {}", telemetry::sanitize(&error.to_string()));
            error_response(StatusCode::BAD_REQUEST, "the body is not a webhook of this provider")
        }
        Err(WebhookError::Unverified(error)) => {
            // The provider will retry.
            tracing::warn!(provider, "a webhook can't be verified: {error}");
            error_response(StatusCode::SERVICE_UNAVAILABLE, "try again later")
        }
        Err(WebhookError::Failed(error)) => {
            // The provider will retry.
            tracing::error!(provider, "a webhook can't be recorded: {}", with_causes(&error));
            error_response(StatusCode::SERVICE_UNAVAILABLE, "try again later")
        }
    }
}

fn error_response(status: StatusCode, why: &str) -> Response {
    respond::json(status, &serde_json::json!({ "error": why }))
}
