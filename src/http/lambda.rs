//! AWS Lambda: answers invocations instead of connections, one at a time. Called by `cli::lambda`.
//!
//! An HTTP request, by an HTTP API of API Gateway or a function URL, goes to the same routes as
//! over a connection. The event of a schedule does the background work of a server: it relays
//! events, and runs jobs and scheduled tasks. Between invocations the process is frozen, so nothing
//! may be left to a background task, not even the writing of log lines.
//!
//! This module knows nothing about the routes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use lambda_http::request::RequestContext;
use parking_lot::Mutex;
use poem::endpoint::make;
use poem::http::uri::Scheme;
use poem::http::{Request as HttpRequest, StatusCode, Uri};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Body, Endpoint, Request, RequestParts, Response};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::respond;
use crate::app::App;
use crate::db::DbError;
use crate::domain::time::Timestamp;
use crate::error::with_causes;
use crate::telemetry;

/// How old the shop's settings may be, which staff may have changed through another process.
const SHOP_MAX_AGE: Duration = Duration::from_secs(2);
/// How long the database may take to answer before its connection is considered lost: a firewall
/// may have forgotten one that was idle for long, and then nothing answers or refuses.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to look for a connection to the database that works.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The part of an invocation that is kept for releasing jobs that are still running.
const RELEASE_TIME: Duration = Duration::from_secs(5);
/// The maximum size of the event of a schedule, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024;
/// The type of the events of `EventBridge` schedules.
const SCHEDULED_EVENT: &str = "Scheduled Event";

/// An event of `EventBridge`, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BridgeEvent {
    detail_type: String,
}

/// Why an invocation fails. The cause has been logged.
struct FailedInvocation;

/// Answers invocations with an endpoint.
struct InvocationHandler<E> {
    app: Arc<App>,
    endpoint: E,
    shop_loaded_at: Mutex<Timestamp>,
}

/// Answers invocations until the runtime API fails.
///
/// # Errors
/// The error of the runtime API.
pub(super) async fn serve(
    app: Arc<App>,
    endpoint: impl Endpoint<Output = Response> + 'static,
) -> Result<(), poem_lambda::Error> {
    let shop_loaded_at = Mutex::new(app.clock.now());
    let handler = Arc::new(InvocationHandler { app, endpoint, shop_loaded_at });
    let invocations = make(move |request: Request| {
        let handler = Arc::clone(&handler);
        async move { handler.handle(request).await }
    });
    Box::pin(poem_lambda::run(invocations)).await
}

impl<E: Endpoint<Output = Response> + 'static> InvocationHandler<E> {
    async fn handle(&self, mut request: Request) -> Response {
        self.refresh_shop().await;
        let response = match request.extensions_mut().remove::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                let client = context.http.source_ip.as_deref().and_then(|address| address.parse().ok());
                Ok(self.endpoint.get_response(with_peer(request, client)).await)
            }
            Some(RequestContext::PassThrough) => self.handle_event(request).await,
            _ => {
                let remedy = "use an HTTP API of API Gateway or a function URL";
                tracing::error!("requests of this kind of gateway are not supported: {remedy}");
                Err(FailedInvocation)
            }
        };
        // Takes no longer than to write the lines: nothing else runs on this thread meanwhile.
        telemetry::flush();
        response.unwrap_or_else(|FailedInvocation| unreadable_response())
    }

    /// Reloads the shop's settings, as servers do periodically.
    ///
    /// After a long pause, the database may have closed all connections of the pool, or the network
    /// may have lost them. Each attempt to use one removes it, so that the invocation itself gets a
    /// new one.
    async fn refresh_shop(&self) {
        let (now, started) = (self.app.clock.now(), Instant::now());
        if self.shop_loaded_at.lock().until(now) < SHOP_MAX_AGE {
            return;
        }
        let mut attempts_left = self.app.config.database.pool_size;
        loop {
            let refreshed = timeout(ANSWER_TIMEOUT, self.app.shop.refresh(&self.app.db)).await;
            match refreshed.unwrap_or_else(|elapsed| Err(DbError::Unavailable(elapsed.into()))) {
                Ok(()) => {
                    *self.shop_loaded_at.lock() = now;
                    return;
                }
                // Not only if it is unavailable: a server that closed the connection may have said
                // why, which looks like any other error of a query.
                Err(_) if attempts_left > 0 && started.elapsed() < RECONNECT_TIMEOUT => {
                    attempts_left -= 1;
                }
                Err(error) => {
                    tracing::error!("the shop's settings can't be read: {}", with_causes(&error));
                    return;
                }
            }
        }
    }

    /// Handles an event that is not an HTTP request.
    async fn handle_event(&self, mut request: Request) -> Result<Response, FailedInvocation> {
        let body = request.take_body().into_bytes_limit(MAX_EVENT_BYTES).await.unwrap_or_default();
        let event = serde_json::from_slice::<BridgeEvent>(&body);
        if !event.is_ok_and(|event| event.detail_type == SCHEDULED_EVENT) {
            tracing::error!("the event is neither an HTTP request nor one of an EventBridge schedule");
            return Err(FailedInvocation);
        }
        let now = self.app.clock.now();
        let invocation = request.extensions().get::<poem_lambda::Context>();
        let ends_at = invocation
            .map_or(now, |invocation| Timestamp::EPOCH.plus(Duration::from_millis(invocation.deadline)));
        let deadline = Instant::now() + working_time(now.until(ends_at));
        match Box::pin(self.app.work_until_idle(deadline)).await {
            Ok(summary) => {
                let (events, attempts) = (summary.relayed_events, summary.attempts);
                let (dead, is_idle) = (summary.dead, summary.is_idle);
                tracing::info!(events, attempts, dead, is_idle, "relayed events and ran jobs");
                Ok(respond::json(StatusCode::OK, &summary))
            }
            Err(error) => {
                tracing::error!("events and jobs can't be processed: {}", with_causes(&error));
                Err(FailedInvocation)
            }
        }
    }
}

/// How much of the remaining time may be spent on work.
fn working_time(remaining: Duration) -> Duration {
    remaining.saturating_sub(RELEASE_TIME).max(remaining / 2)
}

/// Sets the request's peer to the address of the client that connected to the gateway.
fn with_peer(request: Request, peer: Option<IpAddr>) -> Request {
    let (parts, body) = request.into_parts();
    let (mut head, ()) = HttpRequest::new(()).into_parts();
    head.method = parts.method;
    // As in a request over a connection, without the host.
    head.uri = parts.uri.into_parts().path_and_query.map(Uri::from).unwrap_or_default();
    head.version = parts.version;
    head.headers = parts.headers;
    head.extensions = parts.extensions;
    let peer = peer.map(|peer| RemoteAddr(Addr::SocketAddr(SocketAddr::new(peer, 0)))).unwrap_or_default();
    // Clients reach gateways over TLS only.
    Request::from_parts(RequestParts::from((head, LocalAddr::default(), peer, Scheme::HTTPS)), body)
}

/// A response that makes the invocation fail: `poem_lambda` reports an error to Lambda only if the
/// body of a response can't be read, and then without the cause.
fn unreadable_response() -> Response {
    let error: Result<Vec<u8>, io::Error> = Err(io::Error::other("the invocation failed"));
    Response::builder().body(Body::from_bytes_stream(stream::iter([error])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_time_is_kept_for_releasing_jobs() {
        assert_eq!(working_time(Duration::from_mins(1)), Duration::from_secs(55));
        assert_eq!(working_time(Duration::from_secs(6)), Duration::from_secs(3));
        assert_eq!(working_time(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_peer_is_the_client_of_the_gateway() {
        let url = "https://shop.example/graphql?query=x";
        let request = || Request::builder().uri_str(url).header("x-a", "b").finish();
        let with = with_peer(request(), "198.51.100.7".parse().ok());
        assert_eq!(with.remote_addr().as_socket_addr().unwrap().ip().to_string(), "198.51.100.7");
        assert_eq!((with.uri().to_string().as_str(), with.header("x-a")), ("/graphql?query=x", Some("b")));
        assert!(with_peer(request(), None).remote_addr().as_socket_addr().is_none());
    }
}
