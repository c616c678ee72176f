//! Executes an operation, whichever way it was sent: charges its caller, waits for admission, runs
//! it within its limits, and serializes its response. Called by `graphql` and by live connections.
//!
//! A query is cancelled when its client disconnects or its timeout expires; a mutation always runs
//! to completion. Each operation writes one log line.

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::OperationType;
use async_graphql::{Response as GraphQlResponse, Value, Variables};
use futures_util::FutureExt;
use poem::http::StatusCode;
use serde::Deserialize;
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::admission::{Admission, Permit, Workload, is_large_query};
use super::document_cache::{DocumentCache, DocumentError};
use super::retry_hint::RetryHint;
use super::{Rejection, introspection, respond};
use crate::app::App;
use crate::concurrency::BatchScheduler;
use crate::context::OpContext;
use crate::db::StatementCounter;
use crate::domain::access::actors::Credential;
use crate::domain::access::query_limits::CallerLimits;
use crate::error::ErrorCode;
use crate::graphql::request::document::{Document, ExecutableOperation, RequestError, count_response_fields};
use crate::graphql::request::limits::budget::{Budget, StopReason};
use crate::graphql::request::response_cache::{CachedResponse, Lookup, PendingResponse};
use crate::graphql::{
    self, CostExtension, ExtensionsWithCost, RequestData, ResponseWithCost, SearchHints, Uploads,
};
use crate::loaders::Loaders;
use crate::services::access::rate_limits::{ThrottleStatus, Throttled};
use crate::telemetry::{self, Metrics};

/// The metric label for the kind of an operation that could not be parsed.
const UNKNOWN_KIND: &str = "none";

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
    pub(super) document: Option<Arc<Document>>,
}

/// An uploaded file and the paths of its variables, such as `variables.media.0.file`.
pub(super) type Upload = (std::fs::File, Vec<String>);

/// The response to a request, and the values for its log line and metrics.
pub(super) struct OperationResponse {
    /// `query`, `mutation` or `subscription`, as a metric label.
    kind: &'static str,
    /// `ok`, or the code of the first error.
    result: Cow<'static, str>,
    /// The response as JSON.
    pub(super) body: Vec<u8>,
    pub(super) status: StatusCode,
    /// After how many seconds to retry, if the request was throttled.
    pub(super) retry_after: Option<u64>,
    /// The data, if it is the same for all callers of a kind until the catalog changes.
    pub(super) cached: Option<Arc<CachedResponse>>,
}

impl OperationResponse {
    /// Serializes a response without a size limit; for errors, which are small.
    fn from_response(kind: &'static str, response: &GraphQlResponse, status: StatusCode) -> Self {
        let body = respond::to_json(response, u64::MAX).unwrap_or_default();
        Self::with_body(kind, response, body, status)
    }

    fn with_body(kind: &'static str, response: &GraphQlResponse, body: Vec<u8>, status: StatusCode) -> Self {
        let retry = RetryHint::from_response(response);
        let status = retry.map_or(status, |retry| retry.status);
        let retry_after = retry.map(|retry| retry.retry_after);
        Self { kind, result: result_label(response), body, status, retry_after, cached: None }
    }

    /// The response to a query whose data is in the cache.
    fn from_cached(cached: Arc<CachedResponse>, cost: CostExtension) -> Self {
        let extensions = respond::to_json(&ExtensionsWithCost { cost }, u64::MAX).unwrap_or_default();
        let body = [br#"{"data":"#, &*cached.data, br#","extensions":"#, &extensions, b"}"].concat();
        let (kind, result) = (type_name(OperationType::Query), Cow::Borrowed("ok"));
        Self { kind, result, body, status: StatusCode::OK, retry_after: None, cached: Some(cached) }
    }

    /// The response to a throttled request.
    pub(super) fn throttled(throttled: &Throttled, request_id: &str) -> Self {
        let response = graphql::throttled_response(throttled, request_id);
        Self::from_response(UNKNOWN_KIND, &response, StatusCode::TOO_MANY_REQUESTS)
    }

    /// The response to a request without a document that can be executed.
    fn without_document(error: DocumentError, op: &OpContext) -> Result<Self, Rejection> {
        match error {
            DocumentError::Throttled(throttled) => Ok(Self::throttled(&throttled, &op.request_id)),
            DocumentError::Rejected(rejection) => Err(rejection),
            DocumentError::Invalid(error) => Self::invalid(error, &op.request_id, op.has_invalid_token()),
        }
    }

    /// The response to an invalid document or invalid variables.
    fn invalid(error: RequestError, request_id: &str, has_invalid_token: bool) -> Result<Self, Rejection> {
        match error {
            RequestError::Rejected(code, message) => Err((code, message)),
            RequestError::Document(errors) => {
                let mut response = graphql::complete_errors(GraphQlResponse::from_errors(errors), request_id);
                note_invalid_token(&mut response, has_invalid_token);
                Ok(Self::from_response(UNKNOWN_KIND, &response, StatusCode::OK))
            }
        }
    }

    /// The response to a rejected request.
    pub(super) fn rejected((code, message): Rejection, request_id: &str, has_invalid_token: bool) -> Self {
        let mut response = graphql::request_error(code, message, request_id);
        note_invalid_token(&mut response, has_invalid_token);
        Self::from_response(UNKNOWN_KIND, &response, respond::status(code))
    }
}

/// Executes an operation received over WebSocket, and logs it. Returns the response as JSON.
pub(super) async fn execute(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    op: OpContext,
    request: OperationRequest,
    base_url: String,
) -> Result<String, Rejection> {
    let started = Instant::now();
    let span = telemetry::operation_span(&op.request_id);
    span.record(telemetry::ACTOR, caller_label(&op));
    let (statements, metrics) = (op.statements.clone(), Arc::clone(&app.metrics));
    let request_id = Arc::clone(&op.request_id);
    async move {
        let input = (request, Vec::new());
        let result = run_operation(app, documents, admission, op, input, base_url, false).await;
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(rejection) => {
                let outcome = OperationResponse::rejected(rejection.clone(), &request_id, false);
                log_request(&metrics, &outcome, &statements, started);
                return Err(rejection);
            }
        };
        log_request(&metrics, &outcome, &statements, started);
        Ok(String::from_utf8(outcome.body).unwrap_or_default())
    }
    .instrument(span)
    .await
}

/// Executes an operation. `is_get`: it was sent by GET, so it must be a query.
pub(super) async fn run_operation(
    app: Arc<App>,
    documents: &DocumentCache,
    admission: &Admission,
    op: OpContext,
    (request, uploads): (OperationRequest, Vec<Upload>),
    base_url: String,
    is_get: bool,
) -> Result<OperationResponse, Rejection> {
    let mut variables = request.variables.unwrap_or_default();
    let files = attach_uploads(&mut variables, uploads)?;
    let limits = app.config.query_limits.of(op.caller_kind());
    let request_id = Arc::clone(&op.request_id);
    let document = match request.document {
        Some(document) => Ok(document),
        None => documents.get_or_parse(&request.query, &op, &limits, &app.rate_limits, admission).await,
    };
    let document = match document {
        Ok(document) => document,
        Err(error) => return OperationResponse::without_document(error, &op),
    };
    let started = Instant::now();
    let operation = document.operation(request.operation_name.as_deref(), variables, &limits);
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
    telemetry::record_operation(&Span::current(), type_name(operation.kind), operation.name());
    introspection::check(&app.config.exposure, &op, operation.document())?;
    if is_get && operation.kind != OperationType::Query {
        return Err((ErrorCode::BadUserInput, "GET is for queries: send this by POST".to_owned()));
    }
    let pending = match app.responses.find(&op, &operation, &base_url) {
        Lookup::Found(response) => {
            return Ok(from_cache(&app, &op, response, cost, throttle_status).await);
        }
        Lookup::Missing(pending) => Some(pending),
        Lookup::NotCached => None,
    };
    let charged =
        ChargedOperation { op, operation, files, base_url, limits, throttle_status, pending, started };
    execute_when_admitted(app, admission, charged).await
}

/// Executes an operation as soon as it is admitted.
async fn execute_when_admitted(
    app: Arc<App>,
    admission: &Admission,
    charged: ChargedOperation,
) -> Result<OperationResponse, Rejection> {
    let ChargedOperation { op, operation, limits, .. } = &charged;
    let permit = match admission.admit(op, operation.cost, workload(operation), limits).await {
        Ok(permit) => permit,
        Err(rejection) => {
            app.rate_limits.refund(op, operation.cost).await;
            return Err(rejection);
        }
    };
    let is_low_priority = permit.is_low_priority();
    // Boxed, because it is large and moved several times.
    let execution = Box::pin(execute_admitted(app, charged, permit));
    if is_low_priority {
        admission.low_priority_pool.run(execution).await.map_err(report_failed_task)?
    } else {
        execution.await
    }
}

/// The response to an operation whose data is in the cache.
async fn from_cache(
    app: &App,
    op: &OpContext,
    response: Arc<CachedResponse>,
    cost: u64,
    throttle_status: ThrottleStatus,
) -> OperationResponse {
    let throttle = match cost.saturating_sub(response.fields) {
        0 => throttle_status,
        excess => app.rate_limits.refund(op, excess).await,
    };
    let cost = CostExtension::new(cost, Some(response.fields), &throttle);
    OperationResponse::from_cached(response, cost)
}

/// Makes files the values of their variables.
fn attach_uploads(variables: &mut Variables, uploads: Vec<Upload>) -> Result<Uploads, Rejection> {
    let files = Uploads::default();
    for (file, paths) in uploads {
        files.attach(variables, file, &paths).map_err(|path| {
            let message = format!(
                "`map` refers to `{path}`, but there is no such variable: set it to null in `operations`"
            );
            (ErrorCode::BadUserInput, message)
        })?;
    }
    Ok(files)
}

/// The kind of work that an operation is.
fn workload(operation: &ExecutableOperation) -> Workload {
    match operation.kind {
        OperationType::Query if is_large_query(operation.cost) => Workload::LargeQuery,
        OperationType::Query => Workload::Query,
        _ => Workload::Mutation,
    }
}

/// An operation that was charged, with everything needed to execute it.
struct ChargedOperation {
    op: OpContext,
    operation: ExecutableOperation,
    files: Uploads,
    base_url: String,
    limits: CallerLimits,
    /// The caller's bucket after the operation was charged.
    throttle_status: ThrottleStatus,
    /// Where its response is stored, if it may be cached.
    pending: Option<PendingResponse>,
    /// When its document was available.
    started: Instant,
}

/// Executes an operation and serializes its response. Logs it if it was slow.
async fn execute_admitted(
    app: Arc<App>,
    charged: ChargedOperation,
    permit: Permit,
) -> Result<OperationResponse, Rejection> {
    let ChargedOperation { mut op, operation, files, base_url, limits, throttle_status, pending, started } =
        charged;
    let already_sent = op.statements.count();
    if let Some(pending) = &pending {
        op.statements = op.statements.tracking(Arc::clone(pending.reads()));
    }
    let result = async {
        let mut response =
            execute_with_limits(&app, op.clone(), &operation, (files, base_url), permit, &limits).await?;
        let (cost, actual) = (operation.cost, count_response_fields(&response.data));
        let throttle = match cost.saturating_sub(actual) {
            // A failed operation may have done all of its work.
            _ if response.is_err() => throttle_status,
            0 => throttle_status,
            excess => app.rate_limits.refund(&op, excess).await,
        };
        note_invalid_token(&mut response, op.has_invalid_token());
        let finished = operation.finish(response, app.config.dialect.id_namespace, limits.max_errors);
        let response = graphql::complete_errors(finished, &op.request_id);
        let cost = CostExtension::new(cost, Some(actual), &throttle);
        if let Some(pending) = pending.filter(|_| response.is_ok() && response.extensions.is_empty())
            && let Some(data) = respond::to_json(&response.data, limits.max_response_bytes)
        {
            let statements = op.statements.count() - already_sent;
            let response = app.responses.store(pending, statements, data, actual);
            return Ok(OperationResponse::from_cached(response, cost));
        }
        Ok(serialize(&operation, &response, cost, &limits, &op.request_id))
    };
    let result: Result<OperationResponse, Rejection> = result.await;
    log_if_slow(&app, &op, &operation, started.elapsed());
    result
}

/// Logs and counts an operation that took too long.
fn log_if_slow(app: &App, op: &OpContext, operation: &ExecutableOperation, duration: Duration) {
    if app.config.telemetry.slow_operation.is_some_and(|limit| duration >= limit) {
        app.metrics.record_slow_operation();
        let statements = &op.statements;
        telemetry::log_slow_operation(operation.digest(), duration, statements.count(), statements.time());
    }
}

/// Executes an operation within its limits.
async fn execute_with_limits(
    app: &App,
    mut op: OpContext,
    operation: &ExecutableOperation,
    (uploads, base_url): (Uploads, String),
    permit: Permit,
    limits: &CallerLimits,
) -> Result<GraphQlResponse, Rejection> {
    op.locale = operation.locale;
    let may_lag = operation.is_catalog_query() && op.caller_kind().is_buyer();
    if may_lag {
        op.statements = op.statements.allowing_replica();
    }
    if (may_lag || operation.is_order_query()) && app.log_follower.is_current() {
        op.statements = op.statements.allowing_cache();
    }
    let hints = SearchHints::default();
    let scheduler = BatchScheduler::default();
    let budget = Budget::new(limits, &app.response_memory, &scheduler);
    let loaders = Loaders::new(&app.db, &app.catalog_reads, &app.auth.keys, &op, &scheduler);
    let is_mutation = operation.kind == OperationType::Mutation;
    let data = RequestData {
        op,
        loaders,
        base_url,
        budget: budget.clone(),
        search_hints: hints.clone(),
        uploads,
        payload_renderer: is_mutation.then(|| Arc::clone(&app.payload_renderer)),
    };
    let request = operation.request().data(data);
    let schema = app.schema.clone();
    // Unconstrained, because tokio's cooperative budget would suspend the resolvers of a long list
    // half-way, while `drive` waits for them.
    let execution = async move {
        // The operation, unlike its request, may go on after its client has disconnected.
        let _permit = permit;
        scheduler.drive(schema.execute(request)).await
    };
    let execution = Box::pin(tokio::task::unconstrained(execution));
    let mut response = if is_mutation {
        run_mutation(execution, limits.timeout).await?
    } else {
        run_query(execution, limits.timeout).await?
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

/// Runs a query in the current task, so that it ends with its request.
async fn run_query(
    execution: impl Future<Output = GraphQlResponse>,
    limit: Duration,
) -> Result<GraphQlResponse, Rejection> {
    match timeout(limit, AssertUnwindSafe(execution).catch_unwind()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => Err(report_panic(panic.as_ref())),
        Err(_) => Err(stop_rejection(&StopReason::TooSlow(limit))),
    }
}

/// Runs a mutation in a task of its own, so that it completes even if its client disconnects.
async fn run_mutation(
    execution: impl Future<Output = GraphQlResponse> + Send + 'static,
    limit: Duration,
) -> Result<GraphQlResponse, Rejection> {
    match timeout(limit, tokio::spawn(execution.in_current_span())).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(report_failed_task(error)),
        Err(_) => {
            let message = format!(
                "the mutation takes longer than {} ms (QUERY_TIMEOUT_MS) and goes on without you: send it again \
                 with the same `idempotencyKey` to learn what became of it",
                limit.as_millis()
            );
            Err((ErrorCode::Timeout, message))
        }
    }
}

/// Serializes a response, unless it is longer than the caller's limit.
fn serialize(
    operation: &ExecutableOperation,
    response: &GraphQlResponse,
    cost: CostExtension,
    limits: &CallerLimits,
    request_id: &str,
) -> OperationResponse {
    let kind = type_name(operation.kind);
    let with_cost = ResponseWithCost::new(response, cost);
    if let Some(body) = respond::to_json(&with_cost, limits.max_response_bytes) {
        return OperationResponse::with_body(kind, response, body, StatusCode::OK);
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
    OperationResponse::from_response(kind, &response, respond::status(code))
}

/// Writes an operation's log line and records its metrics. Called in the operation's span, which
/// has its name, its caller and its request id.
pub(super) fn log_request(
    metrics: &Metrics,
    outcome: &OperationResponse,
    statements: &StatementCounter,
    started: Instant,
) {
    let duration = started.elapsed();
    metrics.record_operation(outcome.kind, outcome.result.clone(), duration);
    telemetry::record_outcome(&outcome.result);
    tracing::info!(
        ms = duration.as_micros() as f64 / 1000.0,
        statements = statements.count(),
        outcome = &*outcome.result,
        "request"
    );
}

/// The caller in the log: for staff their id, not their email address.
pub(super) fn caller_label(op: &OpContext) -> String {
    match op.credential {
        Credential::Staff(..) => op.caller_key(),
        _ => op.actor.name().to_owned(),
    }
}

/// `ok`, or the code of a response's first error.
fn result_label(response: &GraphQlResponse) -> Cow<'static, str> {
    let Some(error) = response.errors.first() else { return Cow::Borrowed("ok") };
    match error.extensions.as_ref().and_then(|values| values.get("code")) {
        Some(Value::String(code)) => Cow::Owned(code.clone()),
        _ => Cow::Borrowed("error"),
    }
}

/// The name of an operation's type, in the log and in metrics.
fn type_name(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// Adds a note about an invalid token to a response.
fn note_invalid_token(response: &mut GraphQlResponse, has_invalid_token: bool) {
    if has_invalid_token {
        response.extensions.insert(graphql::AUTHORIZATION.to_owned(), graphql::invalid_token_extension());
    }
}

/// Logs that the task of an operation failed, which only happens if it panicked or the process is
/// shutting down.
pub(super) fn report_failed_task(error: JoinError) -> Rejection {
    match error.try_into_panic() {
        Ok(panic) => report_panic(panic.as_ref()),
        Err(error) => {
            tracing::error!("an operation was not completed: {error}");
            (ErrorCode::Internal, "internal error".to_owned())
        }
    }
}

/// Logs that an operation panicked.
fn report_panic(panic: &(dyn Any + Send)) -> Rejection {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!("an operation panicked: {}", text.unwrap_or("no message"));
    (ErrorCode::Internal, "internal error".to_owned())
}

fn stop_rejection(reason: &StopReason) -> Rejection {
    (reason.code(), reason.to_string())
}
