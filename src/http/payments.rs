//! Where payment providers tell what happened: `POST /payments/:provider/webhook`. Whether it is theirs, the provider's own check
//! of the signature says; what follows is the payments service's to decide.

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{Endpoint, Request, Response};

use super::respond;
use crate::app::App;
use crate::error::with_causes;
use crate::services::payments::{Headers, WebhookError};
use crate::telemetry;

/// The endpoint.
pub fn endpoint(app: Arc<App>) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let app = Arc::clone(&app);
        async move { answer(&app, request).await }
    })
}

async fn answer(app: &App, mut request: Request) -> Response {
    let provider = request.raw_path_param("provider").unwrap_or_default().to_owned();
    let headers: Headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let Ok(body) = request.take_body().into_bytes_limit(app.config.body_limit).await else {
        return refused(StatusCode::BAD_REQUEST, "the body can't be read, or is too large");
    };
    let op = app.system();
    match app.services.payments.handle_webhook(&op, &provider, &headers, &body).await {
        Ok(()) => respond::json(StatusCode::OK, &serde_json::json!({ "received": true })),
        Err(WebhookError::UnknownProvider) => {
            refused(StatusCode::NOT_FOUND, "there is no such payment provider")
        }
        Err(WebhookError::BadSignature) => {
            tracing::warn!(provider, "a webhook has a wrong signature");
            refused(StatusCode::UNAUTHORIZED, "the signature is wrong")
        }
        Err(error @ WebhookError::Unreadable(_)) => {
            tracing::warn!(provider, "a webhook is refused: {}", telemetry::bounded(&error.to_string()));
            refused(StatusCode::BAD_REQUEST, "the body is no webhook of this provider")
        }
        Err(WebhookError::Failed(error)) => {
            // The provider will send it again.
            tracing::error!(provider, "a webhook can't be recorded: {}", with_causes(&error));
            refused(StatusCode::SERVICE_UNAVAILABLE, "try again later")
        }
    }
}

fn refused(status: StatusCode, why: &str) -> Response {
    respond::json(status, &serde_json::json!({ "error": why }))
}
