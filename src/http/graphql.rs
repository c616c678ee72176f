//! The GraphQL endpoint: turns an HTTP request into an operation, executes it, and writes the
//! response.
//!
//! The request's bearer token, id, country and language become an [`OpContext`]. A request with an
//! invalid token is executed as anonymous, and `extensions.authorization` tells the client so. Each
//! request runs in its own task and writes one log line. A query is cancelled when its client
//! disconnects or its timeout expires; a mutation always runs to completion.

use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request as GraphQlRequest, Response as GraphQlResponse, Value, Variables};
use poem::endpoint::make;
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, Request, Response};
use serde::Deserialize;
use tokio::task::JoinError;

use super::admission::{Admission, Permit, Workload, is_large_document, is_large_query};
use super::client_address::client_address;
use super::document_cache::{DocumentCache, DocumentError, ResolvedDocument};
use super::public_url::base_url;
use super::retry_hint::RetryHint;
use super::server::unreadable;
use super::upload::{self, Upload};
use super::{document_cache, introspection, respond, storefront_key};
use crate::app::App;
use crate::auth::{Actor, Credential, Identity};
use crate::concurrency::AbortOnDrop;
use crate::context::OpContext;
use crate::db::StatementCounter;
use crate::domain::ids;
use crate::domain::query_limits::CallerLimits;
use crate::error::{Error, ErrorCode, with_causes};
use crate::graphql::document::{ExecutableOperation, RequestError, count_response_fields, passed_validation};
use crate::graphql::limits::budget::{Budget, StopReason};
use crate::graphql::{self, BaseUrl, SearchHints, Uploads};
use crate::loaders::{BatchScheduler, Loaders};
use crate::services::rate_limits::{ThrottleStatus, Throttled};
use crate::telemetry::{self, Metrics};

/// The metric label for the kind of an operation that could not be parsed.
const UNKNOWN_KIND: &str = "none";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request is not executed: an error code and a message.
pub(super) type Rejection = (ErrorCode, String);

/// A GraphQL request as sent by a client.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationRequest {
    #[serde(default)]
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    #[serde(default)]
    pub(super) variables: Option<Variables>,
    /// The parsed document, if it was parsed before.
    #[serde(skip)]
    pub(super) resolved: Option<ResolvedDocument>,
}

/// The response to a request, and the values for its log line and metrics.
struct OperationResponse {
    /// The operation's name.
    operation: String,
    /// `query`, `mutation` or `subscription`, as a metric label.
    kind: &'static str,
    /// `ok`, or the code of the first error.
    result: String,
    /// The response as JSON.
    body: Vec<u8>,
    status: StatusCode,
    /// After how many seconds to retry, if the request was throttled.
    retry_after: Option<u64>,
}

impl OperationResponse {
    /// Serializes a response without a size limit; for errors, which are small.
    fn from_response(
        operation: &str,
        kind: &'static str,
        response: &GraphQlResponse,
        status: StatusCode,
    ) -> Self {
        let body = respond::to_json(response, u64::MAX).unwrap_or_default();
        Self::with_body(operation, kind, response, body, status)
    }

    fn with_body(
        operation: &str,
        kind: &'static str,
        response: &GraphQlResponse,
        body: Vec<u8>,
        status: StatusCode,
    ) -> Self {
        let retry = RetryHint::from_response(response);
        let status = retry.map_or(status, |retry| retry.status);
        let (operation, result) = (operation.to_owned(), result_label(response));
        let retry_after = retry.map(|retry| retry.retry_after);
        Self { operation, kind, result, body, status, retry_after }
    }

    /// The response to a throttled request.
    fn throttled(throttled: &Throttled, request_id: &str) -> Self {
        let response = graphql::throttled_response(throttled, request_id);
        Self::from_response("", UNKNOWN_KIND, &response, StatusCode::TOO_MANY_REQUESTS)
    }

    /// The response to an invalid document or invalid variables.
    fn invalid(error: RequestError, request_id: &str, has_invalid_token: bool) -> Result<Self, Rejection> {
        match error {
            RequestError::Rejected(code, message) => Err((code, message)),
            RequestError::Document(errors) => {
                let mut response = graphql::complete_errors(GraphQlResponse::from_errors(errors), request_id);
                note_invalid_token(&mut response, has_invalid_token);
                Ok(Self::from_response("", UNKNOWN_KIND, &response, StatusCode::OK))
            }
        }
    }

    /// The response to a rejected request.
    fn rejected((code, message): Rejection, request_id: &str, has_invalid_token: bool) -> Self {
        let mut response = graphql::request_error(code, message, request_id);
        note_invalid_token(&mut response, has_invalid_token);
        Self::from_response("", UNKNOWN_KIND, &response, code.properties().1)
    }
}

/// The endpoint. Accepts POST with a JSON body, and GET for queries.
pub fn endpoint(
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
    let started = Instant::now();
    let request_id: Arc<str> = ids::request_id().into();
    let metrics = Arc::clone(&app.metrics);
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
    let client = client_address(&request, &app.config.trusted_proxies);
    let key = request.headers().get(storefront_key::HEADER).and_then(|value| value.to_str().ok());
    let identity = authenticate(&app, authorization).await;
    let has_invalid_token = identity.as_ref().is_ok_and(|identity| *identity == Identity::INVALID_TOKEN);
    let authorized = match identity {
        Ok(identity) => storefront_key::authorize(&app, &identity, key).await.map(|()| identity),
        Err(rejection) => Err(rejection),
    };
    let (name, statements, outcome) = match authorized {
        Ok(identity) => {
            let op = OpContext::for_identity(identity, Arc::clone(&request_id), Arc::clone(&app.clock))
                .with_client_address(client);
            let (name, statements) = (caller_label(&op), op.statements.clone());
            let outcome = match charge_for_invalid_token(&app, &op).await {
                Ok(()) => handle_operation(app, documents, admission, op, request).await,
                Err(throttled) => Ok(OperationResponse::throttled(&throttled, &request_id)),
            };
            (name, statements, outcome)
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
            ("unknown".to_owned(), StatementCounter::default(), outcome)
        }
    };
    let outcome = outcome
        .unwrap_or_else(|rejection| OperationResponse::rejected(rejection, &request_id, has_invalid_token));
    log_request(&metrics, &outcome, &name, &statements, started, &request_id);
    let mut response = respond::json_bytes(outcome.status, outcome.body);
    if let Some(seconds) = outcome.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// `ok`, or the code of a response's first error.
fn result_label(response: &GraphQlResponse) -> String {
    let Some(error) = response.errors.first() else { return "ok".to_owned() };
    match error.extensions.as_ref().and_then(|values| values.get("code")) {
        Some(Value::String(code)) => code.clone(),
        _ => "error".to_owned(),
    }
}

/// Writes an operation's log line and records its metrics.
fn log_request(
    metrics: &Metrics,
    outcome: &OperationResponse,
    actor: &str,
    statements: &StatementCounter,
    started: Instant,
    request_id: &str,
) {
    metrics.record_operation(outcome.kind, &outcome.result, started.elapsed());
    tracing::info!(
        operation = telemetry::sanitize(&outcome.operation),
        actor,
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        statements = statements.count(),
        outcome = outcome.result,
        request_id,
        "request"
    );
}

/// The caller's name in the log: for staff their id, not their email address.
fn caller_label(op: &OpContext) -> String {
    match op.credential {
        Credential::Staff(..) => op.caller_key(),
        _ => op.actor.name().to_owned(),
    }
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
    match op.has_invalid_token() {
        true => app.rate_limits.spend(op, 1).await.map(drop),
        false => Ok(()),
    }
}

/// Adds a note about an invalid token to a response.
fn note_invalid_token(response: &mut GraphQlResponse, has_invalid_token: bool) {
    if has_invalid_token {
        response.extensions.insert(graphql::AUTHORIZATION.to_owned(), graphql::invalid_token_extension());
    }
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
    let sent = if is_get {
        (parse_query_string(&request)?, Vec::new())
    } else {
        parse_body(&app, &op, &request, body).await?
    };
    run_operation(app, documents, admission, op, sent, base_url, is_get).await
}

/// Executes an operation received over WebSocket, and logs it. Returns the response as JSON.
pub(super) async fn execute(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    op: OpContext,
    sent: OperationRequest,
    base_url: String,
) -> Result<String, Rejection> {
    let started = Instant::now();
    let (name, statements, request_id) =
        (caller_label(&op), op.statements.clone(), Arc::clone(&op.request_id));
    let metrics = Arc::clone(&app.metrics);
    let outcome = run_operation(app, documents, admission, op, (sent, Vec::new()), base_url, false).await?;
    log_request(&metrics, &outcome, &name, &statements, started, &request_id);
    Ok(String::from_utf8(outcome.body).unwrap_or_default())
}

async fn run_operation(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    op: OpContext,
    (sent, uploads): (OperationRequest, Vec<Upload>),
    base_url: String,
    is_get: bool,
) -> Result<OperationResponse, Rejection> {
    let (mut variables, files) = (sent.variables.unwrap_or_default(), Uploads::default());
    for (file, paths) in uploads {
        files.attach(&mut variables, file, &paths).map_err(|path| {
            let message = format!(
                "`map` refers to `{path}`, but there is no such variable: set it to null in `operations`"
            );
            (ErrorCode::BadUserInput, message)
        })?;
    }
    let limits = app.config.query_limits.of(op.caller_kind());
    let request_id = Arc::clone(&op.request_id);
    let resolved = match sent.resolved {
        Some(resolved) => Ok(resolved),
        None => documents.get_or_parse(&sent.query, &op, &limits, &app.rate_limits, admission).await,
    };
    let ResolvedDocument { document, is_new } = match resolved {
        Ok(resolved) => resolved,
        Err(DocumentError::Throttled(throttled)) => {
            return Ok(OperationResponse::throttled(&throttled, &request_id));
        }
        Err(DocumentError::Rejected(rejection)) => return Err(rejection),
        Err(DocumentError::Invalid(error)) => {
            return OperationResponse::invalid(error, &request_id, op.has_invalid_token());
        }
    };
    let operation = document.operation(sent.operation_name.as_deref(), variables, &limits);
    // Operations that can't be executed are charged as well.
    let cost = operation.as_ref().map_or(1, |operation| operation.cost);
    let throttle_status = match app.rate_limits.spend(&op, cost).await {
        Ok(status) => status,
        Err(throttled) => return Ok(OperationResponse::throttled(&throttled, &request_id)),
    };
    let operation = match operation {
        Ok(operation) => operation,
        Err(error) => return OperationResponse::invalid(error, &request_id, op.has_invalid_token()),
    };
    introspection::check(app.config.exposure.introspection, &op, operation.document())?;
    if is_get && operation.kind != OperationType::Query {
        return Err((ErrorCode::BadUserInput, "GET is for queries: send this by POST".to_owned()));
    }
    let workload = match operation.kind {
        OperationType::Query if is_large_query(cost) || is_new && is_large_document(&sent.query) => {
            Workload::LargeQuery
        }
        OperationType::Query => Workload::Query,
        _ => Workload::Mutation,
    };
    // A new document is also validated.
    let work = cost + if is_new { document_cache::parse_cost(&sent.query) } else { 0 };
    let permit = match admission.admit(&op, work, workload, &limits).await {
        Ok(permit) => permit,
        Err(rejection) => {
            app.rate_limits.refund(&op, cost).await;
            return Err(rejection);
        }
    };
    let (document, is_low_priority) = (Arc::clone(operation.document()), permit.is_low_priority());
    let admitted = AdmittedOperation { op, operation, files, base_url, limits, throttle_status, permit };
    // Boxed, because it is large and moved several times.
    let execution = Box::pin(execute_admitted(app, admitted));
    let (outcome, passed_validation) = if is_low_priority {
        admission.low_priority_pool.run(execution).await.map_err(|error| report_panic(&error, &request_id))?
    } else {
        execution.await
    };
    if is_new && passed_validation {
        documents.insert(&sent.query, &document);
    }
    outcome
}

/// An operation that was charged and admitted, with everything needed to execute it.
struct AdmittedOperation {
    op: OpContext,
    operation: ExecutableOperation,
    files: Uploads,
    base_url: String,
    limits: CallerLimits,
    /// The caller's bucket after the operation was charged.
    throttle_status: ThrottleStatus,
    permit: Permit,
}

/// Executes an operation and serializes its response. Also returns whether its document passed
/// validation.
async fn execute_admitted(
    app: Arc<App>,
    admitted: AdmittedOperation,
) -> (Result<OperationResponse, Rejection>, bool) {
    let AdmittedOperation { op, operation, files, base_url, limits, throttle_status, permit } = admitted;
    let request = operation.request().data(files).data(BaseUrl(base_url)).data(permit);
    let mut response = match execute_with_limits(&app, op.clone(), &operation, request, &limits).await {
        Ok(response) => response,
        Err(rejection) => return (Err(rejection), false),
    };
    let (cost, actual) = (operation.cost, count_response_fields(&response.data));
    let throttle = match cost.saturating_sub(actual) {
        // A failed operation may have done all of its work.
        _ if response.is_err() => throttle_status,
        0 => throttle_status,
        excess => app.rate_limits.refund(&op, excess).await,
    };
    response.extensions.insert("cost".to_owned(), graphql::cost_extension(cost, Some(actual), &throttle));
    note_invalid_token(&mut response, op.has_invalid_token());
    let passed_validation = passed_validation(&response);
    let finished = operation.finish(response, app.config.dialect.id_namespace, limits.max_errors);
    let response = graphql::complete_errors(finished, &op.request_id);
    (serialize(&operation, response, &limits, &op.request_id), passed_validation)
}

/// Executes an operation within its limits.
async fn execute_with_limits(
    app: &App,
    mut op: OpContext,
    operation: &ExecutableOperation,
    request: GraphQlRequest,
    limits: &CallerLimits,
) -> Result<GraphQlResponse, Rejection> {
    op.locale = operation.locale;
    let (request_id, hints) = (Arc::clone(&op.request_id), SearchHints::default());
    let scheduler = BatchScheduler::default();
    let budget = Budget::new(limits, &app.response_memory, &scheduler);
    let loaders = Loaders::new(&app.db, &app.catalog_reads, &app.auth.keys, &op, &scheduler);
    let request = request.data(op).data(loaders).data(hints.clone()).data(budget.clone());
    let schema = app.schema.clone();
    // Unconstrained, because tokio's cooperative budget would suspend the resolvers of a long list
    // half-way, while `drive` waits for them.
    let execution = Box::pin(async move { scheduler.drive(schema.execute(request)).await });
    let execution = tokio::task::unconstrained(execution);
    let task = tokio::spawn(execution);
    let is_mutation = operation.kind == OperationType::Mutation;
    let _abort_query = (!is_mutation).then(|| AbortOnDrop(task.abort_handle()));
    let mut response = match tokio::time::timeout(limits.timeout, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(report_panic(&error, &request_id)),
        Err(_) if is_mutation => {
            let message = format!(
                "the mutation takes longer than {} ms (QUERY_TIMEOUT_MS) and goes on without you: send it again \
                 with the same `idempotencyKey` to learn what became of it",
                limits.timeout.as_millis()
            );
            return Err((ErrorCode::Timeout, message));
        }
        Err(_) => return Err(stop_rejection(&StopReason::TooSlow(limits.timeout))),
    };
    // A mutation has already taken effect, so its response is sent even if it is incomplete.
    if let (false, Some(reason)) = (is_mutation, budget.stop_reason()) {
        return Err(stop_rejection(&reason));
    }
    if let Some(hints) = hints.take() {
        response.extensions.insert("search".to_owned(), hints);
    }
    Ok(response)
}

/// Logs that an operation's task panicked.
fn report_panic(error: &JoinError, request_id: &str) -> Rejection {
    tracing::error!(request_id, "an operation ended unexpectedly: {error}");
    (ErrorCode::Internal, "internal error".to_owned())
}

fn stop_rejection(reason: &StopReason) -> Rejection {
    let code = match reason {
        StopReason::TooLarge(_) => ErrorCode::LimitExceeded,
        StopReason::TooSlow(_) => ErrorCode::Timeout,
        StopReason::Busy => ErrorCode::ServiceUnavailable,
    };
    (code, reason.to_string())
}

/// Serializes a response, unless it is longer than the caller's limit.
fn serialize(
    operation: &ExecutableOperation,
    response: GraphQlResponse,
    limits: &CallerLimits,
    request_id: &str,
) -> Result<OperationResponse, Rejection> {
    let kind = match operation.kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    let name = operation.logged_name();
    if let Some(body) = respond::to_json(&response, limits.max_response_bytes) {
        return Ok(OperationResponse::with_body(name, kind, &response, body, StatusCode::OK));
    }
    let note = match operation.kind {
        OperationType::Mutation => "; the mutation was carried out",
        _ => "",
    };
    let message = format!(
        "The response is longer than {} bytes (RESPONSE_MAX_BYTES): ask for smaller pages or fewer fields{note}",
        limits.max_response_bytes
    );
    let code = ErrorCode::LimitExceeded;
    let response = graphql::request_error(code, message, request_id);
    Ok(OperationResponse::from_response(name, kind, &response, code.properties().1))
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
    let sent: Query =
        request.params().map_err(|error| bad(format!("the query string can't be read: {error}")))?;
    let variables = match sent.variables.filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            serde_json::from_str(&text)
                .map_err(|error| bad(format!("`variables` is not a JSON object: {error}")))?,
        ),
    };
    Ok(OperationRequest { query: sent.query, operation_name: sent.operation_name, variables, resolved: None })
}

/// The maximum body size for the caller, in bytes. Most of a body are variables, which stay in
/// memory while the operation runs.
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
        let query = String::from_utf8(bytes.to_vec()).map_err(|_| bad("the body is not UTF-8".to_owned()))?;
        return Ok((OperationRequest { query, ..OperationRequest::default() }, Vec::new()));
    }
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(bad("batches are not supported: send one operation per request".to_owned()));
    }
    let operation = serde_json::from_slice(&bytes);
    Ok((operation.map_err(|error| bad(format!("the body is not a JSON request: {error}")))?, Vec::new()))
}
