//! Observes HTTP requests: their metrics by route, and, while traces are exported, their spans.
//!
//! [`requests`] wraps all routes. [`labeled`] endpoints add their route to the response, which is
//! used as the label instead of the path: a path may contain the secret of a cart or an order, and
//! clients can request any number of different paths.

use std::sync::Arc;
use std::time::Instant;

use poem::http::Method;
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::Instrument;

use super::respond;
use crate::app::App;
use crate::telemetry::{self, Metrics};
use crate::trace::TRACEPARENT;

/// The label of requests that no route has answered.
const NO_ROUTE: &str = "none";

/// The route that has answered, among the extensions of a response.
#[derive(Clone, Copy)]
struct MatchedRoute(&'static str);

/// Wraps the endpoint of a route. `route` is its pattern, such as `/checkout/:cart`.
pub(super) fn labeled<E: Endpoint>(route: &'static str, endpoint: E) -> impl Endpoint<Output = Response> {
    Labeled { route, endpoint }
}

/// Wraps an endpoint, and observes all of its requests.
pub(super) fn requests<E: Endpoint<Output = Response>>(
    app: Arc<App>,
    endpoint: E,
) -> impl Endpoint<Output = Response> {
    Observed { app, endpoint }
}

/// An endpoint whose responses, including those to errors, say which route they are of.
struct Labeled<E> {
    route: &'static str,
    endpoint: E,
}

impl<E: Endpoint> Endpoint for Labeled<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let result = self.endpoint.call(request).await.map(IntoResponse::into_response);
        let mut response = match result {
            Ok(response) => response,
            Err(error) => respond::plain_error(error).await,
        };
        response.extensions_mut().insert(MatchedRoute(self.route));
        Ok(response)
    }
}

/// An endpoint whose requests are observed. All requests pass through it, so it borrows what it
/// needs: if it cloned `Arc`s, all threads would contend for the same reference counts.
struct Observed<E> {
    app: Arc<App>,
    endpoint: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let (started, method) = (Instant::now(), method_label(request.method()));
        let (trace_id, span) = telemetry::begin_request(method, || traceparent(&request));
        let responding = self.endpoint.get_response(request).instrument(span.clone());
        let response = telemetry::in_new_trace(trace_id, responding).await;
        let route = record(&self.app.metrics, method, &response, started);
        telemetry::record_response(&span, route, response.status().as_u16());
        Ok(response)
    }
}

/// Records the metrics of a request. Returns the label of its route.
pub(super) fn record(
    metrics: &Metrics,
    method: &'static str,
    response: &Response,
    started: Instant,
) -> &'static str {
    let route = response.extensions().get::<MatchedRoute>().map_or(NO_ROUTE, |matched| matched.0);
    metrics.record_request(route, method, response.status().as_u16(), started.elapsed());
    route
}

/// The method as a label: clients may make up others.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// The caller's trace. If there are several, none is valid.
fn traceparent(request: &Request) -> Option<&str> {
    let mut values = request.headers().get_all(TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}
