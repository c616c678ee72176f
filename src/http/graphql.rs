//! The GraphQL endpoint: from an HTTP request to an operation in its context, and back.
//!
//! A request becomes an [`OpContext`] here: who asks (a bearer token), the request's id, country and language. It runs in a
//! task of its own, so that a client who hangs up cancels nothing half-way, and leaves one line in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request as GraphQlRequest, Response as GraphQlResponse, Value, Variables};
use poem::endpoint::make;
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, Request, Response};
use serde::Deserialize;

use super::documents::Documents;
use super::respond;
use super::upload::{self, Upload};
use crate::app::App;
use crate::auth::{Credential, Identity};
use crate::context::OpContext;
use crate::db::Statements;
use crate::domain::ids;
use crate::error::{Error, ErrorCode, with_causes};
use crate::graphql::{self, BaseUrl, SearchHints, Uploads};
use crate::loaders::{Loaders, Turns};
use crate::telemetry::Metrics;

/// How long an operation may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a document may be, in bytes: a longer one is no storefront's.
const MAX_QUERY_BYTES: usize = 64 * 1024;

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
}

/// What the log line of a request says.
struct Outcome {
    operation: String,
    /// What it does, for the metrics.
    kind: &'static str,
    response: GraphQlResponse,
    status: StatusCode,
}

/// The endpoint: POST with a JSON body, or GET for queries.
pub fn endpoint(app: Arc<App>, documents: Arc<Documents>) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let (app, documents) = (Arc::clone(&app), Arc::clone(&documents));
        async move { answer(app, &documents, request).await }
    })
}

async fn answer(app: Arc<App>, documents: &Documents, request: Request) -> Response {
    let started = Instant::now();
    let request_id: Arc<str> = ids::request_id().into();
    let metrics = Arc::clone(&app.metrics);
    let signed = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let (op, outcome) = match identity(&app, signed).await {
        Ok(identity) => {
            let identity = identity.unwrap_or(Identity::NOBODY);
            let op = OpContext::asked_by(identity, Arc::clone(&request_id), Arc::clone(&app.clock));
            let statements = op.statements.clone();
            let name = logged_name(&op);
            ((name, statements), run(app, documents, op, request).await)
        }
        Err(refused) => (("unknown".to_owned(), Statements::default()), Err(refused)),
    };
    let outcome = outcome.unwrap_or_else(|(code, message)| Outcome {
        operation: String::new(),
        kind: UNREAD,
        response: graphql::request_error(code, message, &request_id),
        status: code.table().1,
    });
    log(&metrics, &outcome, &op.0, &op.1, started, &request_id);
    let mut response = respond::json(outcome.status, &outcome.response);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn error_code(error: &async_graphql::ServerError) -> &str {
    match error.extensions.as_ref().and_then(|values| values.get("code")) {
        Some(Value::String(code)) => code,
        _ => "error",
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
    let result = match outcome.response.errors.first() {
        None => "ok",
        Some(error) => error_code(error),
    };
    metrics.operation(outcome.kind, result, started.elapsed());
    tracing::info!(
        operation = outcome.operation,
        actor,
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        statements = statements.count(),
        outcome = result,
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

/// Who asks, by what the request is signed with; `None` is nobody. A token that is none of ours is refused, not taken for nobody's.
pub(super) async fn identity(app: &App, signed: Option<&str>) -> Result<Option<Identity>, Refused> {
    let Some(signed) = signed else { return Ok(None) };
    let token = bearer(signed);
    let identity = match token {
        None => None,
        Some(token) => app.auth.identify(token).await.map_err(|error| {
            let error = Error::from(error);
            tracing::warn!("a token can't be checked: {}", with_causes(&error));
            (error.code(), error.to_string())
        })?,
    };
    match identity {
        Some(identity) => Ok(Some(identity)),
        None => Err((
            ErrorCode::Unauthenticated,
            "the Authorization header has no valid `Bearer` token, or one that has expired".to_owned(),
        )),
    }
}

async fn run(
    app: Arc<App>,
    documents: &Documents,
    op: OpContext,
    mut request: Request,
) -> Result<Outcome, Refused> {
    let is_get = request.method() == Method::GET;
    let base_url = base_url(&request);
    let body = request.take_body();
    let (sent, uploads) = if is_get {
        (from_query(&request)?, Vec::new())
    } else {
        from_body(&app, &op, &request, body).await?
    };
    run_sent(app, documents, op, sent, uploads, base_url, is_get).await
}

/// Executes an operation that came another way than by a request of its own, and leaves a line in the log.
pub(super) async fn execute(
    app: Arc<App>,
    documents: &Documents,
    op: OpContext,
    sent: Operation,
    base_url: String,
) -> Result<GraphQlResponse, Refused> {
    let started = Instant::now();
    let (name, statements, request_id) =
        (logged_name(&op), op.statements.clone(), Arc::clone(&op.request_id));
    let metrics = Arc::clone(&app.metrics);
    let outcome = run_sent(app, documents, op, sent, Vec::new(), base_url, false).await?;
    log(&metrics, &outcome, &name, &statements, started, &request_id);
    Ok(outcome.response)
}

async fn run_sent(
    app: Arc<App>,
    documents: &Documents,
    mut op: OpContext,
    sent: Operation,
    uploads: Vec<Upload>,
    base_url: String,
    is_get: bool,
) -> Result<Outcome, Refused> {
    if sent.query.trim().is_empty() {
        return Err((ErrorCode::BadUserInput, "send a document in `query`".to_owned()));
    }
    if sent.query.len() > MAX_QUERY_BYTES {
        return Err((ErrorCode::BadUserInput, format!("`query` is larger than {MAX_QUERY_BYTES} bytes")));
    }

    let (mut variables, files) = (sent.variables.unwrap_or_default(), Uploads::default());
    for (file, paths) in uploads {
        files.put(&mut variables, file, &paths).map_err(|path| {
            let message =
                format!("`map` says `{path}`, and there is no such variable: set it to null in `operations`");
            (ErrorCode::BadUserInput, message)
        })?;
    }
    let mut operation = GraphQlRequest::new("").variables(variables).data(files);
    let (mut name, mut kind) = (String::new(), UNREAD);
    match documents.parse(&sent.query) {
        Ok(document) => {
            if let Some((known, found)) = graphql::operation(&document, sent.operation_name.as_deref()) {
                if is_get && found.ty != OperationType::Query {
                    return Err((
                        ErrorCode::BadUserInput,
                        "GET is for queries: send this by POST".to_owned(),
                    ));
                }
                kind = match found.ty {
                    OperationType::Query => "query",
                    OperationType::Mutation => "mutation",
                    OperationType::Subscription => "subscription",
                };
                known.unwrap_or("anonymous").clone_into(&mut name);
                let locale = graphql::locale(found, &operation.variables);
                op.locale = locale.map_err(|message| (ErrorCode::BadUserInput, message))?;
            }
            operation.set_parsed_query(ExecutableDocument::clone(&document));
        }
        // The schema refuses it as well, and tells where.
        Err(_) => operation.query = sent.query,
    }
    operation.operation_name = sent.operation_name;

    let request_id = Arc::clone(&op.request_id);
    let hints = SearchHints::default();
    let turns = Turns::default();
    let loaders = Loaders::new(&app.db, &app.catalog_reads, &op, &turns);
    let operation = operation.data(op).data(loaders).data(BaseUrl(base_url)).data(hints.clone());
    // Unconstrained: tokio's budget would stop the resolvers of a long list in the middle, and `drive` would go on in vain.
    let executed =
        tokio::spawn(tokio::task::unconstrained(
            async move { turns.drive(app.schema.execute(operation)).await },
        ));
    let mut response = match tokio::time::timeout(TIMEOUT, executed).await {
        Ok(Ok(response)) => graphql::error_response(response, &request_id),
        Ok(Err(panicked)) => {
            tracing::error!(request_id = &*request_id, "an operation ended unexpectedly: {panicked}");
            return Err((ErrorCode::Internal, "internal error".to_owned()));
        }
        Err(_) => {
            let message = format!("the operation took longer than {} s", TIMEOUT.as_secs());
            return Err((ErrorCode::ServiceUnavailable, message));
        }
    };
    if let Some(hints) = hints.take() {
        response.extensions.insert("search".to_owned(), hints);
    }
    Ok(Outcome { operation: name, kind, response, status: StatusCode::OK })
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
    Ok(Operation { query: sent.query, operation_name: sent.operation_name, variables })
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
    let limit = app.config.body_limit;
    let bytes = body.into_bytes_limit(limit).await.map_err(|error| match error {
        poem::error::ReadBodyError::PayloadTooLarge => bad(format!("the body is larger than {limit} bytes")),
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

/// Where the client finds this server.
pub(super) fn base_url(request: &Request) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let is_host = |host: &&str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
    };
    format!("{scheme}://{}", header("host").filter(is_host).unwrap_or("localhost"))
}
