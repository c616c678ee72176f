//! `/metrics`: what the process counts and measures, for Prometheus. It shows no names and no secrets, but how busy the shop is:
//! keep it from the public where that matters.

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::{StatusCode, header};
use poem::{Endpoint, IntoResponse, Response, get};

use crate::app::App;

/// What the text format of OpenMetrics is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
