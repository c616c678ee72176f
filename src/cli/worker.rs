//! `mercato worker`.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::CommandError;
use super::notify::{READY, STOPPING, notify};
use super::serve::ensure_jwt_secret;
use super::stop::stop_signal;
use crate::app::{App, Role, StartError};
use crate::config::{Config, Overrides};
use crate::http;
use crate::telemetry;

/// Runs jobs and scheduled tasks until it is stopped.
pub(super) async fn run(overrides: &Overrides) -> Result<(), CommandError> {
    let mut config = Config::from_env(overrides)?;
    telemetry::start(&config);
    // Before the secret is read, which a restore replaces, too.
    let _in_use = config.database.backend.lock(true).map_err(StartError::from)?;
    // Mails contain tokens that `serve` verifies.
    ensure_jwt_secret(&mut config)?;
    // Nobody sends requests to a worker, so there is nothing to drain.
    let stop = stop_signal(config.network.shutdown_timeout);
    let app = Arc::new(App::start(config).await?);
    let monitoring = match app.config.health.worker_address {
        Some(address) => {
            let listener = bind(address).await?;
            Some(tokio::spawn(http::serve_monitoring(Arc::clone(&app), listener, Role::Worker)))
        }
        None => None,
    };
    tracing::info!(database = app.config.database.backend.name(), bus = app.bus.name(), "working");
    notify(&app.config, READY);
    let stop = async {
        stop.await;
        notify(&app.config, STOPPING);
        app.start_draining();
    };
    Box::pin(app.run_workers(true, stop)).await;
    if let Some(monitoring) = monitoring {
        monitoring.abort();
    }
    tracing::info!("stopped");
    Ok(())
}

/// Binds the listener for health checks and metrics.
async fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
    let failed = |error| {
        let remedy = "set WORKER_HEALTH_ADDR to a free address";
        CommandError::Failed(format!("can't listen on {address} for health checks: {error}; {remedy}"))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "serving health checks");
    Ok(listener)
}
