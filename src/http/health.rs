//! `/health`: whether the server can do its work, for load balancers and people.

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{Endpoint, Response, get};
use serde::Serialize;

use super::respond;
use crate::app::App;
use crate::db::Statements;

/// How long the database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health<B> {
    status: &'static str,
    version: &'static str,
    database: Check,
    /// What stands before everything outside. One that is open makes the server none the worse: what needs it waits.
    breakers: B,
}

#[derive(Serialize)]
struct Check {
    status: &'static str,
    kind: &'static str,
}

/// 200 when the database answers, else 503.
pub fn endpoint(app: Arc<App>) -> impl Endpoint<Output = Response> {
    get(make(move |_| {
        let app = Arc::clone(&app);
        async move { check(&app).await }
    }))
}

async fn check(app: &App) -> Response {
    let ping = tokio::time::timeout(TIMEOUT, app.db.ping(&Statements::default())).await;
    let (status, word) = match ping {
        Ok(Ok(())) => (StatusCode::OK, "ok"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let kind = app.config.database.backend.name();
    let database = Check { status: word, kind };
    let (version, breakers) = (env!("CARGO_PKG_VERSION"), app.breakers.reports());
    respond::json(status, &Health { status: word, version, database, breakers })
}
