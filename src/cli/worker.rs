//! `mercato worker`.

use super::CommandError;
use super::stop::stop_signal;
use crate::app::App;
use crate::config::{Config, Overrides};
use crate::telemetry;

/// Runs jobs and the schedule until it is told to stop.
pub(super) async fn run(overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    telemetry::start(&config);
    let app = App::start(config).await?;
    tracing::info!(database = app.config.database.backend.name(), bus = app.bus.name(), "working");
    app.work(true, stop_signal()).await;
    tracing::info!("stopped");
    Ok(())
}
