//! `mercato worker`.

use super::CommandError;
use super::serve::ensure_jwt_secret;
use super::stop::stop_signal;
use crate::app::App;
use crate::config::{Config, Overrides};
use crate::telemetry;

/// Runs jobs and scheduled tasks until it is stopped.
pub(super) async fn run(overrides: &Overrides) -> Result<(), CommandError> {
    let mut config = Config::from_env(overrides)?;
    telemetry::start(&config);
    // Mails contain tokens that `serve` verifies.
    ensure_jwt_secret(&mut config)?;
    let stop = stop_signal(config.network.shutdown_timeout);
    let app = App::start(config).await?;
    tracing::info!(database = app.config.database.backend.name(), bus = app.bus.name(), "working");
    Box::pin(app.run_workers(true, stop)).await;
    tracing::info!("stopped");
    Ok(())
}
