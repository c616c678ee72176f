//! `/metrics`: what the process counts and measures, for Prometheus. It shows no names and no secrets, but how busy the shop is, so in
//! production it is served at an address of its own ([`serve`]) and not beside the shop.

use std::sync::Arc;

use poem::endpoint::{EndpointExt, make};
use poem::http::{StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Endpoint, IntoResponse, Response, Route, Server, get};
use tokio::net::TcpListener;

use super::{headers, respond};
use crate::app::App;

/// What the text format of OpenMetrics is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves metrics alone, until it is dropped.
///
/// # Errors
/// What the system says when connections can't be accepted.
pub async fn serve(app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let routes = Route::new().at("/metrics", endpoint(Arc::clone(&app)));
    let routes = headers::protected(app, routes.catch_all_error(respond::plain_error).map_to_response());
    Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?).run(routes).await
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
