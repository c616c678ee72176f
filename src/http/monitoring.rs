//! `/metrics` for Prometheus, which only the operator of the shop should see. Metrics contain no
//! names or secrets, but show how busy the shop is, so in production they are served on a separate
//! address ([`serve`]), together with the health checks. A worker serves nothing else.

use std::sync::Arc;

use poem::endpoint::{EndpointExt, make};
use poem::http::{StatusCode, header};
use poem::{Endpoint, IntoResponse, Response, Route, get};
use tokio::net::TcpListener;

use super::health::{self, Health};
use super::{headers, respond, server};
use crate::app::{App, Role};

/// The content type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves only metrics and the health checks of a process, until dropped, with the same connection
/// limits and timeouts as the shop.
///
/// # Errors
/// Returns the I/O error if connections can't be accepted.
pub async fn serve(app: Arc<App>, listener: TcpListener, role: Role) -> std::io::Result<()> {
    let health = Health::new(Arc::clone(&app), role);
    let routes = Route::new().at("/metrics", metrics(Arc::clone(&app)));
    let routes = health::add_routes(routes, &health);
    let routes = routes.catch_all_error(respond::plain_error).map_to_response();
    let routes = Arc::new(headers::with_security_headers(Arc::clone(&app), routes));
    server::serve(app, Arc::clone(&routes), routes, listener, std::future::pending()).await
}

/// The endpoint of metrics.
pub(super) fn metrics(app: Arc<App>) -> impl Endpoint<Output = Response> {
    get(make(move |_| {
        let app = Arc::clone(&app);
        async move {
            match app.metrics.encode().await {
                Ok(text) => Response::builder().header(header::CONTENT_TYPE, OPEN_METRICS).body(text),
                Err(error) => {
                    tracing::error!("metrics can't be written: {error}");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
    }))
}
