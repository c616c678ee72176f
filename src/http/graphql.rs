//! The GraphQL endpoint: from an HTTP request to an operation in its context, and back.
//!
//! A request becomes an [`OpContext`] here: who asks (a bearer token), the request's id, country
//! and language. A token that is not valid is no reason to answer nothing: its sender is nobody we
//! know, has no more rights than that, and is told in `extensions.authorization`. A request runs in
//! a task of its own and leaves one line in the log. A query ends when its client hangs up or its
//! time is over; a mutation is carried out to its end whatever happens.

use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request as GraphQlRequest, Response as GraphQlResponse, Value, Variables};
use poem::endpoint::make;
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, Request, Response};
use serde::Deserialize;
use tokio::task::JoinError;

use super::admission::{Admission, Permit};
use super::client_address::client_address;
use super::documents::{Documents, Opened, Unopened};
use super::large_work::{is_large_document, is_large_query, large_query_work};
use super::public_url::base_url;
use super::refusal::Refusal;
use super::server::unreadable;
use super::upload::{self, Upload};
use super::{documents, introspection, respond, storefront_key};
use crate::app::App;
use crate::auth::{Actor, Credential, Identity};
use crate::context::OpContext;
use crate::db::Statements;
use crate::domain::ids;
use crate::domain::query_limits::CallerLimits;
use crate::error::{Error, ErrorCode, with_causes};
use crate::graphql::document::{Operation as ExecutableOperation, RequestError, response_fields, was_valid};
use crate::graphql::limits::budget::{Budget, Stopped};
use crate::graphql::{self, BaseUrl, SearchHints, Uploads};
use crate::loaders::{Loaders, Turns};
use crate::services::rate_limits::{ThrottleStatus, Throttled};
use crate::telemetry::{self, Metrics};

/// The kind of an operation that can't be read.
const UNREAD: &str = "none";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that is not executed: why, and its code.
pub(super) type Refused = (ErrorCode, String);

/// What a client sends.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    #[serde(default)]
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    #[serde(default)]
    pub(super) variables: Option<Variables>,
    /// Its document, where it was read already.
    #[serde(skip)]
    pub(super) opened: Option<Opened>,
}

/// The answer to a request, and what its log line says.
struct Outcome {
    operation: String,
    /// What it does, for the metrics.
    kind: &'static str,
    /// `ok`, or the code of its first error.
    result: String,
    /// The response as JSON.
    body: Vec<u8>,
    status: StatusCode,
    /// In how many seconds to try again, where all of it was refused for a while.
    retry_after: Option<u64>,
}

impl Outcome {
    /// A response that is the same for all callers: small.
    fn of(operation: &str, kind: &'static str, response: &GraphQlResponse, status: StatusCode) -> Self {
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
        let refusal = Refusal::of(response);
        let status = refusal.map_or(status, |refusal| refusal.status);
        let (operation, result) = (operation.to_owned(), result_of(response));
        Self {
            operation,
            kind,
            result,
            body,
            status,
            retry_after: refusal.map(|refusal| refusal.retry_after),
        }
    }

    /// What a caller is answered who asks for too much.
    fn throttled(throttled: &Throttled, request_id: &str) -> Self {
        Self::of("", UNREAD, &graphql::throttled(throttled, request_id), StatusCode::TOO_MANY_REQUESTS)
    }

    /// The answer to a document, or to variables, that can't be executed.
    fn invalid(error: RequestError, request_id: &str, has_invalid_token: bool) -> Result<Self, Refused> {
        match error {
            RequestError::Refused(code, message) => Err((code, message)),
            RequestError::Document(errors) => {
                let mut response = graphql::error_response(GraphQlResponse::from_errors(errors), request_id);
                note_token(&mut response, has_invalid_token);
                Ok(Self::of("", UNREAD, &response, StatusCode::OK))
            }
        }
    }

    /// The answer to a request that is not executed.
    fn refused((code, message): Refused, request_id: &str, has_invalid_token: bool) -> Self {
        let mut response = graphql::request_error(code, message, request_id);
        note_token(&mut response, has_invalid_token);
        Self::of("", UNREAD, &response, code.table().1)
    }
}

/// Ends a task when whoever waits for it is gone.
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The endpoint: POST with a JSON body, or GET for queries.
pub fn endpoint(
    app: Arc<App>,
    documents: Arc<Documents>,
    admission: Arc<Admission>,
) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let (app, documents, admission) = (Arc::clone(&app), Arc::clone(&documents), Arc::clone(&admission));
        async move { answer(app, &documents, &admission, request).await }
    })
}

async fn answer(app: Arc<App>, documents: &Documents, admission: &Admission, request: Request) -> Response {
    let started = Instant::now();
    let request_id: Arc<str> = ids::request_id().into();
    let metrics = Arc::clone(&app.metrics);
    let signed = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let client = client_address(&request, &app.config.trusted_proxies);
    let key = request.headers().get(storefront_key::HEADER).and_then(|value| value.to_str().ok());
    let identity = identity(&app, signed).await;
    let has_invalid_token = identity.as_ref().is_ok_and(|identity| *identity == Identity::UNRECOGNISED);
    let identified = match identity {
        Ok(identity) => storefront_key::admit(&app, &identity, key).await.map(|()| identity),
        Err(refused) => Err(refused),
    };
    let (name, statements, outcome) = match identified {
        Ok(identity) => {
            let op = OpContext::asked_by(identity, Arc::clone(&request_id), Arc::clone(&app.clock))
                .from_address(client);
            let (name, statements) = (logged_name(&op), op.statements.clone());
            let outcome = match pay_for_token(&app, &op).await {
                Ok(()) => run(app, documents, admission, op, request).await,
                Err(throttled) => Ok(Outcome::throttled(&throttled, &request_id)),
            };
            (name, statements, outcome)
        }
        Err(refused) => {
            // Whoever guesses keys is somebody at this address.
            let op = OpContext::asked_by(Identity::NOBODY, Arc::clone(&request_id), Arc::clone(&app.clock))
                .from_address(client);
            let outcome = match app.rate_limits.spend(&op, 1).await {
                Ok(_) => Err(refused),
                Err(throttled) => Ok(Outcome::throttled(&throttled, &request_id)),
            };
            ("unknown".to_owned(), Statements::default(), outcome)
        }
    };
    let outcome = outcome.unwrap_or_else(|refused| Outcome::refused(refused, &request_id, has_invalid_token));
    log(&metrics, &outcome, &name, &statements, started, &request_id);
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
fn result_of(response: &GraphQlResponse) -> String {
    let Some(error) = response.errors.first() else { return "ok".to_owned() };
    match error.extensions.as_ref().and_then(|values| values.get("code")) {
        Some(Value::String(code)) => code.clone(),
        _ => "error".to_owned(),
    }
}

/// The line that an operation leaves in the log.
fn log(
    metrics: &Metrics,
    outcome: &Outcome,
    actor: &str,
    statements: &Statements,
    started: Instant,
    request_id: &str,
) {
    metrics.operation(outcome.kind, &outcome.result, started.elapsed());
    tracing::info!(
        operation = telemetry::bounded(&outcome.operation),
        actor,
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        statements = statements.count(),
        outcome = outcome.result,
        request_id,
        "request"
    );
}

/// How the log calls who asks. A member of staff is called by their e-mail address otherwise, which is nothing for it.
fn logged_name(op: &OpContext) -> String {
    match op.credential {
        Credential::Staff(..) => op.caller(),
        _ => op.actor.name().to_owned(),
    }
}

/// The token in a value such as `Bearer <token>`.
pub(super) fn bearer(signed: &str) -> Option<&str> {
    let (kind, token) = signed.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Who asks, by what the request is signed with.
pub(super) async fn identity(app: &App, signed: Option<&str>) -> Result<Identity, Refused> {
    let Some(signed) = signed else { return Ok(Identity::NOBODY) };
    let Some(token) = bearer(signed) else { return Ok(Identity::UNRECOGNISED) };
    let identity = app.auth.identify(token).await.map_err(|error| {
        let error = Error::from(error);
        tracing::warn!("a token can't be checked: {}", with_causes(&error));
        (error.code(), error.to_string())
    })?;
    Ok(identity.unwrap_or(Identity::UNRECOGNISED))
}

/// Has the sender of a token that is not valid pay a point for it, beside what they ask for:
/// whether it is one took a look into the database, and they may be guessing.
pub(super) async fn pay_for_token(app: &App, op: &OpContext) -> Result<(), Throttled> {
    match op.has_invalid_token() {
        true => app.rate_limits.spend(op, 1).await.map(drop),
        false => Ok(()),
    }
}

/// Has a response say that the token is not valid, if it is not.
fn note_token(response: &mut GraphQlResponse, has_invalid_token: bool) {
    if has_invalid_token {
        response.extensions.insert(graphql::AUTHORIZATION.to_owned(), graphql::invalid_token());
    }
}

async fn run(
    app: Arc<App>,
    documents: &Documents,
    admission: &Admission,
    op: OpContext,
    mut request: Request,
) -> Result<Outcome, Refused> {
    let is_get = request.method() == Method::GET;
    let base_url = base_url(&request, &app.config);
    let body = request.take_body();
    let sent = if is_get {
        (from_query(&request)?, Vec::new())
    } else {
        from_body(&app, &op, &request, body).await?
    };
    run_sent(app, documents, admission, op, sent, base_url, is_get).await
}

/// Executes an operation that came another way than by a request of its own, and leaves a line in
/// the log; its response as JSON.
pub(super) async fn execute(
    app: Arc<App>,
    documents: &Documents,
    admission: &Admission,
    op: OpContext,
    sent: Operation,
    base_url: String,
) -> Result<String, Refused> {
    let started = Instant::now();
    let (name, statements, request_id) =
        (logged_name(&op), op.statements.clone(), Arc::clone(&op.request_id));
    let metrics = Arc::clone(&app.metrics);
    let outcome = run_sent(app, documents, admission, op, (sent, Vec::new()), base_url, false).await?;
    log(&metrics, &outcome, &name, &statements, started, &request_id);
    Ok(String::from_utf8(outcome.body).unwrap_or_default())
}

async fn run_sent(
    app: Arc<App>,
    documents: &Documents,
    admission: &Admission,
    op: OpContext,
    (sent, uploads): (Operation, Vec<Upload>),
    base_url: String,
    is_get: bool,
) -> Result<Outcome, Refused> {
    let (mut variables, files) = (sent.variables.unwrap_or_default(), Uploads::default());
    for (file, paths) in uploads {
        files.put(&mut variables, file, &paths).map_err(|path| {
            let message =
                format!("`map` says `{path}`, and there is no such variable: set it to null in `operations`");
            (ErrorCode::BadUserInput, message)
        })?;
    }
    let limits = app.config.query_limits.of(op.caller_kind());
    let request_id = Arc::clone(&op.request_id);
    let opened = match sent.opened {
        Some(opened) => Ok(opened),
        None => documents.open(&sent.query, &op, &limits, &app.rate_limits, admission).await,
    };
    let Opened { document, is_new } = match opened {
        Ok(opened) => opened,
        Err(Unopened::Throttled(throttled)) => return Ok(Outcome::throttled(&throttled, &request_id)),
        Err(Unopened::Refused(refused)) => return Err(refused),
        Err(Unopened::Invalid(error)) => return Outcome::invalid(error, &request_id, op.has_invalid_token()),
    };
    let operation = document.operation(sent.operation_name.as_deref(), variables, &limits);
    // What can't be executed costs something as well.
    let cost = operation.as_ref().map_or(1, |operation| operation.cost);
    let spent = match app.rate_limits.spend(&op, cost).await {
        Ok(status) => status,
        Err(throttled) => return Ok(Outcome::throttled(&throttled, &request_id)),
    };
    let operation = match operation {
        Ok(operation) => operation,
        Err(error) => return Outcome::invalid(error, &request_id, op.has_invalid_token()),
    };
    introspection::check(app.config.exposure.introspection, &op, operation.document())?;
    if is_get && operation.kind != OperationType::Query {
        return Err((ErrorCode::BadUserInput, "GET is for queries: send this by POST".to_owned()));
    }
    let is_large = operation.kind == OperationType::Query
        && (is_large_query(cost) || is_new && is_large_document(&sent.query));
    // A document that is new is validated as well.
    let mut work = cost + if is_new { documents::cost(&sent.query) } else { 0 };
    if is_large {
        work = large_query_work(work, limits.max_concurrent_cost);
    }
    let permit = match admission.admit(&op, work, &limits).await {
        Ok(permit) => permit,
        Err(refused) => {
            app.rate_limits.refund(&op, cost).await;
            return Err(refused);
        }
    };
    let document = Arc::clone(operation.document());
    let admitted = AdmittedOperation { op, operation, files, base_url, limits, spent, permit };
    let answering = execute_admitted(app, admitted);
    let (outcome, was_valid) = if is_large {
        admission.large_work.run(answering).await.map_err(|error| ended_unexpectedly(&error, &request_id))?
    } else {
        answering.await
    };
    if is_new && was_valid {
        documents.keep(&sent.query, &document);
    }
    outcome
}

/// An operation that was paid for and admitted, with all that it needs.
struct AdmittedOperation {
    op: OpContext,
    operation: ExecutableOperation,
    files: Uploads,
    base_url: String,
    limits: CallerLimits,
    /// What is left to its caller after paying for it.
    spent: ThrottleStatus,
    permit: Permit,
}

/// Executes an operation and writes its response; also whether its document turned out to be valid.
async fn execute_admitted(app: Arc<App>, admitted: AdmittedOperation) -> (Result<Outcome, Refused>, bool) {
    let AdmittedOperation { op, operation, files, base_url, limits, spent, permit } = admitted;
    let request = operation.request().data(files).data(BaseUrl(base_url)).data(permit);
    let mut response = match run_operation(&app, op.clone(), &operation, request, &limits).await {
        Ok(response) => response,
        Err(refused) => return (Err(refused), false),
    };
    let (cost, actual) = (operation.cost, response_fields(&response.data));
    let throttle = match cost.saturating_sub(actual) {
        // What failed half-way may have cost all of it.
        _ if response.is_err() => spent,
        0 => spent,
        excess => app.rate_limits.refund(&op, excess).await,
    };
    response.extensions.insert("cost".to_owned(), graphql::cost(cost, Some(actual), &throttle));
    note_token(&mut response, op.has_invalid_token());
    let was_valid = was_valid(&response);
    let finished = operation.finish(response, app.config.dialect.id_namespace, limits.max_errors);
    let response = graphql::error_response(finished, &op.request_id);
    (write(&operation, response, &limits, &op.request_id), was_valid)
}

/// Executes an operation within its limits.
async fn run_operation(
    app: &App,
    mut op: OpContext,
    operation: &ExecutableOperation,
    request: GraphQlRequest,
    limits: &CallerLimits,
) -> Result<GraphQlResponse, Refused> {
    op.locale = operation.locale;
    let (request_id, hints, turns) = (Arc::clone(&op.request_id), SearchHints::default(), Turns::default());
    let budget = Budget::new(limits, &app.response_memory, &turns);
    let loaders = Loaders::new(&app.db, &app.catalog_reads, &app.auth.keys, &op, &turns);
    let request = request.data(op).data(loaders).data(hints.clone()).data(budget.clone());
    let schema = app.schema.clone();
    // Unconstrained: tokio's budget would stop the resolvers of a long list in the middle, and `drive` would go on in vain.
    let executed =
        tokio::spawn(tokio::task::unconstrained(async move { turns.drive(schema.execute(request)).await }));
    let is_mutation = operation.kind == OperationType::Mutation;
    let _aborted = (!is_mutation).then(|| AbortOnDrop(executed.abort_handle()));
    let mut response = match tokio::time::timeout(limits.timeout, executed).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(ended_unexpectedly(&error, &request_id)),
        Err(_) if is_mutation => {
            let message = format!(
                "the mutation takes longer than {} ms (QUERY_TIMEOUT_MS) and goes on without you: send it again \
                 with the same `idempotencyKey` to learn what became of it",
                limits.timeout.as_millis()
            );
            return Err((ErrorCode::Timeout, message));
        }
        Err(_) => return Err(refused_by(&Stopped::TooSlow(limits.timeout))),
    };
    // What a mutation has done is done: its response says how much of it can be told.
    if let (false, Some(stopped)) = (is_mutation, budget.stopped()) {
        return Err(refused_by(&stopped));
    }
    if let Some(hints) = hints.take() {
        response.extensions.insert("search".to_owned(), hints);
    }
    Ok(response)
}

/// Logs that the task of an operation panicked, which is a bug of ours.
fn ended_unexpectedly(error: &JoinError, request_id: &str) -> Refused {
    tracing::error!(request_id, "an operation ended unexpectedly: {error}");
    (ErrorCode::Internal, "internal error".to_owned())
}

fn refused_by(stopped: &Stopped) -> Refused {
    let code = match stopped {
        Stopped::TooLarge(_) => ErrorCode::LimitExceeded,
        Stopped::TooSlow(_) => ErrorCode::Timeout,
        Stopped::Busy => ErrorCode::ServiceUnavailable,
    };
    (code, stopped.to_string())
}

/// Writes a response, unless it is longer than its caller may ask for.
fn write(
    operation: &ExecutableOperation,
    response: GraphQlResponse,
    limits: &CallerLimits,
    request_id: &str,
) -> Result<Outcome, Refused> {
    let kind = match operation.kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    let name = operation.logged_name();
    if let Some(body) = respond::to_json(&response, limits.max_response_bytes) {
        return Ok(Outcome::with_body(name, kind, &response, body, StatusCode::OK));
    }
    let done = match operation.kind {
        OperationType::Mutation => "; the mutation was carried out",
        _ => "",
    };
    let message = format!(
        "The response is longer than {} bytes (RESPONSE_MAX_BYTES): ask for smaller pages or fewer fields{done}",
        limits.max_response_bytes
    );
    let code = ErrorCode::LimitExceeded;
    Ok(Outcome::of(name, kind, &graphql::request_error(code, message, request_id), code.table().1))
}

fn from_query(request: &Request) -> Result<Operation, Refused> {
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
                .map_err(|error| bad(format!("`variables` is no JSON object: {error}")))?,
        ),
    };
    Ok(Operation { query: sent.query, operation_name: sent.operation_name, variables, opened: None })
}

/// The largest body of whoever asks, in bytes. Variables are most of it: they are kept while the operation runs.
fn body_limit(app: &App, op: &OpContext) -> usize {
    let limit = app.config.body_limit;
    if op.actor == Actor::Anonymous { limit.min(app.config.guests.body_limit) } else { limit }
}

async fn from_body(
    app: &App,
    op: &OpContext,
    request: &Request,
    body: Body,
) -> Result<(Operation, Vec<Upload>), Refused> {
    let bad = |message: String| (ErrorCode::BadUserInput, message);
    if request.method() != Method::POST {
        return Err(bad("send POST, or GET for queries".to_owned()));
    }
    let kind = request.content_type().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("multipart/form-data") {
        return upload::from_multipart(app, op, request, body).await;
    }
    let is_document = kind.eq_ignore_ascii_case("application/graphql");
    // A page of another origin can send any body without asking first, but not this content type: it guards against that.
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
        return Ok((Operation { query, ..Operation::default() }, Vec::new()));
    }
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(bad("batches are not served: send one operation a request".to_owned()));
    }
    let operation = serde_json::from_slice(&bytes);
    Ok((operation.map_err(|error| bad(format!("the body is no JSON request: {error}")))?, Vec::new()))
}
