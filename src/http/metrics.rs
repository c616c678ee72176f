//! `/metrics`: what the process counts and measures, for Prometheus. It shows no names and no secrets, but how busy the shop is, so in
//! production it is served at an address of its own ([`serve`]) and not beside the shop.

use std::sync::Arc;

use poem::endpoint::{EndpointExt, make};
use poem::http::{StatusCode, header};
use poem::{Endpoint, IntoResponse, Response, Route, get};
use tokio::net::TcpListener;

use super::{headers, respond, server};
use crate::app::App;

/// What the text format of OpenMetrics is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves metrics alone, until it is dropped, within the limits and timeouts that connections to
/// the shop have.
///
/// # Errors
/// What the system says when connections can't be accepted.
pub async fn serve(app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let routes = Route::new().at("/metrics", endpoint(Arc::clone(&app)));
    let routes = routes.catch_all_error(respond::plain_error).map_to_response();
    let routes = Arc::new(headers::protected(Arc::clone(&app), routes));
    // Health is the shop's to tell: here, it is a path like any other.
    server::serve(app, Arc::clone(&routes), routes, listener, std::future::pending()).await
}

/// The endpoint.
pub fn endpoint(app: Arc<App>) -> impl Endpoint<Output = Response> {
    get(make(move |_| {
        let app = Arc::clone(&app);
        async move {
            match app.metrics.read().await {
                Ok(text) => Response::builder().header(header::CONTENT_TYPE, OPEN_METRICS).body(text),
                Err(error) => {
                    tracing::error!("metrics can't be written: {error}");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
    }))
}
