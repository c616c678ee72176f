//! The pages for buyers over HTTP: `/checkout/:cart`, `/orders/:order`, and the files that they
//! load, at `/pages/:name`. Turns requests into [`PageRequest`]s; what the pages show is in
//! `pages`.
//!
//! Each request costs a fixed number of points of the caller's rate limit, and is admitted or
//! turned away like an operation of an anonymous caller: a page like a query, a form like a
//! mutation. It runs in a task of its own, so that a buyer who closes the tab does not interrupt it
//! half-way. A form sent from another site is refused. Most sites could not send one anyway, since
//! they don't know the secret in its URL; the check also stops those that do from sending one in
//! the buyer's browser.

use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::endpoint::make;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response, RouteMethod, get};
use tracing::{Instrument, Span};

use super::Rejection;
use super::admission::{Admission, Permit, Workload};
use super::client_address::client_address;
use super::public_url::base_url;
use crate::app::App;
use crate::context::OpContext;
use crate::domain::access::actors::Identity;
use crate::domain::ids;
use crate::error::{Error, ErrorCode};
use crate::pages::{Fields, PageBody, PageRequest, PageResponse};
use crate::telemetry;

/// The points of the caller's rate limit that a request costs: as many as an average operation.
const PAGE_COST: u64 = 1_000;
/// When a request that is turned away may be sent again.
const BUSY_DELAY: Duration = Duration::from_secs(1);
/// Maximum size of a form in bytes.
const MAX_FORM_BYTES: usize = 32 * 1024;
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A kind of page, with the UUID in its path.
enum Target {
    Checkout(String),
    Order(String),
}

/// The pages of carts, and their forms.
pub(super) fn checkout(app: &Arc<App>, admission: &Arc<Admission>) -> RouteMethod {
    let target = |request: &Request| Target::Checkout(path_param(request, "cart"));
    get(page(app, admission, target)).post(page(app, admission, target))
}

/// The pages of orders, and their forms.
pub(super) fn order(app: &Arc<App>, admission: &Arc<Admission>) -> RouteMethod {
    let target = |request: &Request| Target::Order(path_param(request, "order"));
    get(page(app, admission, target)).post(page(app, admission, target))
}

/// The files that pages load.
pub(super) fn assets(app: Arc<App>) -> impl Endpoint<Output = Response> {
    get(make(move |request: Request| {
        let app = Arc::clone(&app);
        async move {
            match app.pages.asset(request.raw_path_param("name").unwrap_or_default()) {
                Some((content_type, content)) => Response::builder()
                    .content_type(content_type)
                    .header(header::CACHE_CONTROL, CACHE_FOREVER)
                    .body(content.to_owned()),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    }))
}

fn page<F>(app: &Arc<App>, admission: &Arc<Admission>, target: F) -> impl Endpoint<Output = Response> + use<F>
where
    F: Fn(&Request) -> Target + Send + Sync + 'static,
{
    let (app, admission) = (Arc::clone(app), Arc::clone(admission));
    make(move |request: Request| {
        let (app, admission, target) = (Arc::clone(&app), Arc::clone(&admission), target(&request));
        async move {
            let request_id: Arc<str> = ids::request_id().into();
            let span = telemetry::operation_span(&request_id);
            handle(app, &admission, target, request, request_id).instrument(span).await
        }
    })
}

async fn handle(
    app: Arc<App>,
    admission: &Admission,
    target: Target,
    request: Request,
    request_id: Arc<str>,
) -> Response {
    let started = Instant::now();
    let op = OpContext::for_identity(Identity::ANONYMOUS, Arc::clone(&request_id), Arc::clone(&app.clock))
        .with_client_address(client_address(&request, &app.config.trusted_proxies));
    Span::current().record(telemetry::ACTOR, op.actor.name());
    let statements = op.statements.clone();
    let response = answer(app, admission, op, target, request).await;
    tracing::info!(
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        statements = statements.count(),
        outcome = response.status,
        "page"
    );
    to_response(response, &request_id)
}

/// Reads the request, charges for it, and has the page rendered once it is admitted.
async fn answer(
    app: Arc<App>,
    admission: &Admission,
    op: OpContext,
    target: Target,
    mut request: Request,
) -> PageResponse {
    let mut page_request = PageRequest {
        query: Fields::parse(request.uri().query().unwrap_or_default()),
        form: None,
        accept_language: header_text(request.headers(), &header::ACCEPT_LANGUAGE),
        base_url: base_url(&request, &app.config),
    };
    if let Err(throttled) = app.rate_limits.spend(&op, PAGE_COST).await {
        let error = Error::Throttled { retry_after: throttled.retry_after.max(BUSY_DELAY) };
        return app.pages.fail(op, &page_request, error);
    }
    if request.method() == Method::POST {
        if is_foreign(request.headers(), &page_request.base_url) {
            return app.pages.refuse_foreign_form(op, &page_request);
        }
        match read_form(&mut request).await {
            Some(form) => page_request.form = Some(form),
            None => return app.pages.refuse_unreadable_form(op, &page_request),
        }
    }
    match admit(&app, admission, &op, &page_request).await {
        Ok(permit) => render(app, admission, permit, op, (target, page_request)).await,
        Err(error) => app.pages.fail(op, &page_request, error),
    }
}

/// Waits until the request may be handled. One that is turned away costs nothing.
async fn admit(
    app: &App,
    admission: &Admission,
    op: &OpContext,
    request: &PageRequest,
) -> Result<Permit, Error> {
    let workload = if request.form.is_some() { Workload::Mutation } else { Workload::Query };
    let limits = app.config.query_limits.of(op.caller_kind());
    let admitted = admission.admit(op, PAGE_COST, workload, &limits).await;
    if admitted.is_err() {
        app.rate_limits.refund(op, PAGE_COST).await;
    }
    admitted.map_err(|(code, _): Rejection| match code {
        ErrorCode::Throttled => Error::Throttled { retry_after: BUSY_DELAY },
        _ => Error::Overloaded { retry_after: BUSY_DELAY },
    })
}

/// Renders a page or handles a form, and keeps the permit as long.
async fn render(
    app: Arc<App>,
    admission: &Admission,
    permit: Permit,
    op: OpContext,
    (target, request): (Target, PageRequest),
) -> PageResponse {
    let (pages, known) = (Arc::clone(&app), (op.clone(), request.clone()));
    let is_low_priority = permit.is_low_priority();
    let work = Box::pin(async move {
        let response = match &target {
            Target::Checkout(cart) => pages.pages.checkout(op, cart, &request).await,
            Target::Order(order) => pages.pages.order(op, order, &request).await,
        };
        drop(permit);
        response
    });
    let pool = Arc::clone(&admission.low_priority_pool);
    let task = async move { if is_low_priority { pool.run(work).await } else { Ok(work.await) } };
    // It only fails if it panicked, or if the process is shutting down.
    match tokio::spawn(task.in_current_span()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) | Err(error) => app.pages.fail(known.0, &known.1, Error::Internal(Arc::new(error))),
    }
}

/// Reads a form. `None` if it is too large, or not encoded as forms are.
async fn read_form(request: &mut Request) -> Option<Fields> {
    let kind = request.content_type().unwrap_or_default().split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let body = request.take_body().into_bytes_limit(MAX_FORM_BYTES).await.ok()?;
    std::str::from_utf8(&body).ok().map(Fields::parse)
}

/// Whether a form comes from another site. Browsers that send `Sec-Fetch-Site` send `Origin: null`
/// with our forms, because of our referrer policy.
fn is_foreign(headers: &HeaderMap, base_url: &str) -> bool {
    match header_text(headers, &SEC_FETCH_SITE).as_deref() {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => header_text(headers, &header::ORIGIN)
            .is_some_and(|origin| origin != "null" && !origin.eq_ignore_ascii_case(base_url)),
    }
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn path_param(request: &Request, name: &str) -> String {
    request.raw_path_param(name).unwrap_or_default().to_owned()
}

fn to_response(page: PageResponse, request_id: &str) -> Response {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = Response::builder().status(status);
    let mut response = match page.body {
        PageBody::Html { html, policy } => response
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, policy)
            .body(html),
        PageBody::Redirect(path) => response.header(header::LOCATION, path).finish(),
    };
    let headers = response.headers_mut();
    if let Some(seconds) = page.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_of_our_own_pages_are_accepted() {
        let ours = "https://shop.example";
        for (site, origin, expected) in [
            (Some("same-origin"), Some("null"), false),
            (Some("none"), None, false),
            (Some("cross-site"), None, true),
            (Some("same-site"), Some("https://blog.shop.example"), true),
            (None, Some(ours), false),
            (None, Some("null"), false),
            (None, Some("https://evil.example"), true),
            (None, Some("http://shop.example"), true),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_foreign(&headers, ours), expected, "{site:?} {origin:?}");
        }
    }
}
