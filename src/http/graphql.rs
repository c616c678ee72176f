//! The GraphQL endpoint over HTTP: turns a request into an operation, and its outcome into a
//! response.
//!
//! The request's bearer token, id, country and language become an [`OpContext`]; the id may be that
//! of a gateway in front of the server. A request with an invalid token is executed as anonymous,
//! and `extensions.authorization` tells the client so.
//!
//! Requests are not extracted by `async-graphql-poem`: from a query string, it does not read
//! `operationName`; from a body, it accepts any content type, which would open the endpoint to
//! cross-site requests; and it knows no limit per caller. Responses are not written by it, because
//! they are limited in size while they are written.

use std::sync::Arc;
use std::time::Instant;

use poem::endpoint::make;
use poem::http::{HeaderValue, Method, header};
use poem::{Body, Endpoint, Request, Response};
use serde::Deserialize;
use tracing::{Instrument, Span};

use super::admission::Admission;
use super::client_address::client_address;
use super::document_cache::DocumentCache;
use super::operation::{
    OperationRequest, OperationResponse, Upload, caller_label, log_request, run_operation,
};
use super::public_cache::CacheValidation;
use super::public_url::base_url;
use super::server::unreadable;
use super::trace_context::{self, REQUEST_ID};
use super::{Rejection, storefront_key, upload};
use crate::app::App;
use crate::context::OpContext;
use crate::db::StatementCounter;
use crate::domain::access::actors::{Actor, Identity};
use crate::error::{Error, ErrorCode, with_causes};
use crate::services::access::rate_limits::Throttled;
use crate::telemetry;

/// The endpoint. Accepts POST with a JSON body, and GET for queries.
pub(super) fn endpoint(
    app: Arc<App>,
    documents: Arc<DocumentCache>,
    admission: Arc<Admission>,
) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let (app, documents, admission) = (Arc::clone(&app), Arc::clone(&documents), Arc::clone(&admission));
        async move { handle(app, &documents, &admission, request).await }
    })
}

async fn handle(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    request: Request,
) -> Response {
    let proxies = &app.config.trusted_proxies;
    let request_id = trace_context::request_id(&request, proxies);
    let span = telemetry::operation_span(&request_id);
    if let Some(trace_id) = trace_context::trace_id(&request, proxies) {
        span.record(telemetry::TRACE_ID, trace_id);
    }
    handle_in_span(app, documents, admission, request, request_id).instrument(span).await
}

async fn handle_in_span(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    request: Request,
    request_id: Arc<str>,
) -> Response {
    let started = Instant::now();
    let metrics = Arc::clone(&app.metrics);
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
    let client = client_address(&request, &app.config.trusted_proxies);
    let validation = CacheValidation::new(&app, &request);
    let key = request.headers().get(storefront_key::HEADER).and_then(|value| value.to_str().ok());
    let identity = authenticate(&app, authorization).await;
    let has_invalid_token = identity.as_ref().is_ok_and(|identity| *identity == Identity::INVALID_TOKEN);
    let authorized = match identity {
        Ok(identity) => storefront_key::authorize(&app, &identity, key).await.map(|()| identity),
        Err(rejection) => Err(rejection),
    };
    let (statements, outcome) = match authorized {
        Ok(identity) => {
            let op = OpContext::for_identity(identity, Arc::clone(&request_id), Arc::clone(&app.clock))
                .with_client_address(client);
            Span::current().record(telemetry::ACTOR, caller_label(&op));
            let statements = op.statements.clone();
            let outcome = match charge_for_invalid_token(&app, &op).await {
                Ok(()) => handle_operation(app, documents, admission, op, request).await,
                Err(throttled) => Ok(OperationResponse::throttled(&throttled, &request_id)),
            };
            (statements, outcome)
        }
        Err(rejection) => {
            // Charged to the client's address, since the client may be guessing keys.
            let op =
                OpContext::for_identity(Identity::ANONYMOUS, Arc::clone(&request_id), Arc::clone(&app.clock))
                    .with_client_address(client);
            let outcome = match app.rate_limits.spend(&op, 1).await {
                Ok(_) => Err(rejection),
                Err(throttled) => Ok(OperationResponse::throttled(&throttled, &request_id)),
            };
            (StatementCounter::default(), outcome)
        }
    };
    let outcome = outcome
        .unwrap_or_else(|rejection| OperationResponse::rejected(rejection, &request_id, has_invalid_token));
    log_request(&metrics, &outcome, &statements, started);
    let (retry_after, mut response) = (outcome.retry_after, validation.respond(outcome));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

async fn handle_operation(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    op: OpContext,
    mut request: Request,
) -> Result<OperationResponse, Rejection> {
    let is_get = request.method() == Method::GET;
    let base_url = base_url(&request, &app.config);
    let body = request.take_body();
    let input = if is_get {
        (parse_query_string(&request)?, Vec::new())
    } else {
        parse_body(&app, &op, &request, body).await?
    };
    run_operation(app, documents, admission, op, input, base_url, is_get).await
}

/// Parses a header value such as `Bearer <token>`, and returns the token.
pub(super) fn parse_bearer(authorization: &str) -> Option<&str> {
    let (kind, token) = authorization.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Identifies the caller by the value of the `Authorization` header.
pub(super) async fn authenticate(app: &App, authorization: Option<&str>) -> Result<Identity, Rejection> {
    let Some(authorization) = authorization else { return Ok(Identity::ANONYMOUS) };
    let Some(token) = parse_bearer(authorization) else { return Ok(Identity::INVALID_TOKEN) };
    let identity = app.auth.identify(token).await.map_err(|error| {
        let error = Error::from(error);
        tracing::warn!("a token can't be checked: {}", with_causes(&error));
        (error.code(), error.to_string())
    })?;
    Ok(identity.unwrap_or(Identity::INVALID_TOKEN))
}

/// Charges the caller one extra point for an invalid token: the check took a database query, and
/// the caller may be guessing tokens.
pub(super) async fn charge_for_invalid_token(app: &App, op: &OpContext) -> Result<(), Throttled> {
    if op.has_invalid_token() { app.rate_limits.spend(op, 1).await.map(drop) } else { Ok(()) }
}

fn parse_query_string(request: &Request) -> Result<OperationRequest, Rejection> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Query {
        #[serde(default)]
        query: String,
        operation_name: Option<String>,
        variables: Option<String>,
    }
    let bad = |message: String| (ErrorCode::BadUserInput, message);
    let parameters: Query =
        request.params().map_err(|error| bad(format!("the query string can't be read: {error}")))?;
    let variables = match parameters.variables.filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            serde_json::from_str(&text)
                .map_err(|error| bad(format!("`variables` is not a JSON object: {error}")))?,
        ),
    };
    Ok(OperationRequest {
        query: parameters.query,
        operation_name: parameters.operation_name,
        variables,
        document: None,
    })
}

/// The maximum body size for the caller, in bytes. A body consists mostly of variables, which stay
/// in memory while the operation runs.
fn body_limit(app: &App, op: &OpContext) -> usize {
    let limit = app.config.body_limit;
    if op.actor == Actor::Anonymous { limit.min(app.config.guests.body_limit) } else { limit }
}

async fn parse_body(
    app: &App,
    op: &OpContext,
    request: &Request,
    body: Body,
) -> Result<(OperationRequest, Vec<Upload>), Rejection> {
    let bad = |message: String| (ErrorCode::BadUserInput, message);
    if request.method() != Method::POST {
        return Err(bad("send POST, or GET for queries".to_owned()));
    }
    let kind = request.content_type().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("multipart/form-data") {
        // Boxed, so that the futures of other requests are not as large as this one.
        return Box::pin(upload::parse_multipart(app, op, request, body)).await;
    }
    let is_document = kind.eq_ignore_ascii_case("application/graphql");
    // Guards against cross-site requests: browsers send this content type only after a preflight.
    if !is_document && !kind.eq_ignore_ascii_case("application/json") {
        return Err(bad("send `Content-Type: application/json`".to_owned()));
    }
    let limit = body_limit(app, op);
    let bytes = body.into_bytes_limit(limit).await.map_err(|error| match error {
        poem::error::ReadBodyError::PayloadTooLarge => bad(format!("the body is larger than {limit} bytes")),
        poem::error::ReadBodyError::Io(error) => unreadable(&error),
        other => bad(format!("the body can't be read: {other}")),
    })?;
    if is_document {
        let query =
            String::from_utf8(bytes.to_vec()).map_err(|_error| bad("the body is not UTF-8".to_owned()))?;
        return Ok((OperationRequest { query, ..OperationRequest::default() }, Vec::new()));
    }
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(bad("batches are not supported: send one operation per request".to_owned()));
    }
    let operation = serde_json::from_slice(&bytes);
    Ok((operation.map_err(|error| bad(format!("the body is not a JSON request: {error}")))?, Vec::new()))
}
