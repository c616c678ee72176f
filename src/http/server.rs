//! The server below the routes: connections, their timeouts and limits, and graceful shutdown.
//!
//! Called by `http::serve`. A separate thread accepts connections and serves health checks
//! ([`acceptor`]); everything else happens on the caller's runtime ([`connection`]). This module
//! knows nothing about the routes.

mod acceptor;
mod activity;
mod body;
mod buffer_limiter;
mod connection;
mod connections;
mod descriptors;
mod early_response;
mod shutdown;
mod stream;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use poem::{Endpoint, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(super) use activity::ResetHandle;
pub(super) use body::{BodyAllowance, ResponseSize, unreadable};
pub use descriptors::raise_open_file_limit;

use self::acceptor::Acceptor;
use self::connection::ConnectionHandler;
use self::connections::Connections;
use self::shutdown::{Phase, ShutdownSignal};
use crate::app::App;

/// Serves an endpoint until `shutdown` resolves, then waits up to `SHUTDOWN_TIMEOUT_MS` for
/// requests in progress. Idle connections, and requests that have not arrived completely, are
/// closed at once.
///
/// # Errors
/// Returns the I/O error if there is no socket or thread.
pub(super) async fn serve(
    app: Arc<App>,
    health: impl Endpoint<Output = Response> + 'static,
    endpoint: impl Endpoint<Output = Response> + 'static,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let config = app.config.network;
    let (phase, shutdown_signal) = ShutdownSignal::channel();
    let max_connections = descriptors::max_connections(config.max_connections);
    let connections =
        Connections::new(max_connections, config.max_connections_per_address, Arc::clone(&app.metrics));
    let (accepted, mut incoming) = mpsc::unbounded_channel();
    let local = listener.local_addr()?;
    let handler = ConnectionHandler::new(Arc::clone(&app), endpoint, local, shutdown_signal.clone());
    let handler = Arc::new(handler);
    let acceptor = Acceptor {
        config,
        proxies: app.config.trusted_proxies.clone(),
        connections: Arc::clone(&connections),
        local,
        health,
        metrics: Arc::clone(&app.metrics),
        accepted,
        refusals: AtomicUsize::default(),
    };
    acceptor.start(listener.into_std()?, shutdown_signal)?;
    tracing::debug!(max_connections, "accepting connections");

    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = shutdown.as_mut() => break,
            accepted = incoming.recv() => match accepted {
                Some(accepted) => drop(tokio::spawn(Arc::clone(&handler).serve(accepted))),
                None => return Err(io::Error::other("nothing accepts connections any more")),
            }
        }
    }
    phase.send_replace(Phase::Closing);
    // Closes accepted connections that are not being served yet.
    drop(incoming);
    if timeout(config.shutdown_timeout, connections.wait_until_none()).await.is_err() {
        tracing::warn!("requests that took longer than SHUTDOWN_TIMEOUT_MS are cut off");
    }
    phase.send_replace(Phase::Stopped);
    Ok(())
}
