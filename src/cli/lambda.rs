//! `mercato lambda`.

use std::sync::Arc;

use super::CommandError;
use super::serve::warn_about_exposure;
use crate::app::App;
use crate::config::{Config, Overrides};
use crate::http;
use crate::telemetry;

/// Answers the invocations of an AWS Lambda function until Lambda ends the process. Everything is
/// opened here, once, and reused by all invocations.
pub(super) async fn run(overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    config.check_for_lambda()?;
    telemetry::start(&config);
    let app = Arc::new(App::start(config).await?);
    warn_about_exposure(&app.config);
    tracing::info!(database = app.config.database.backend.name(), "answering invocations");
    let answered = Box::pin(http::serve_invocations(app)).await;
    answered.map_err(|error| CommandError::Failed(format!("the runtime of AWS Lambda failed: {error}")))
}
