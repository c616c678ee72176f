//! `mercato worker`.

use super::CommandError;
use super::serve::keep_secret;
use super::stop::stop_signal;
use crate::app::App;
use crate::config::{Config, Overrides};
use crate::telemetry;

/// Runs jobs and the schedule until it is told to stop.
pub(super) async fn run(overrides: &Overrides) -> Result<(), CommandError> {
    let mut config = Config::from_env(overrides)?;
    telemetry::start(&config);
    // Mails hold tokens that `serve` checks.
    keep_secret(&mut config)?;
    let stop = stop_signal(config.network.shutdown_timeout);
    let app = App::start(config).await?;
    tracing::info!(database = app.config.database.backend.name(), bus = app.bus.name(), "working");
    app.work(true, stop).await;
    tracing::info!("stopped");
    Ok(())
}
