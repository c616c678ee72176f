//! The server below the routes: connections, their timeouts and limits, and how all of it ends.
//!
//! `http::serve` calls it. A thread of its own accepts connections and answers `/health`
//! ([`front_door`]); everything else about a connection happens on the runtime of the caller
//! ([`connection`]). It knows nothing about what is served.

mod activity;
mod body;
mod buffers;
mod connection;
mod connections;
mod descriptors;
mod front_door;
mod refusal;
mod stop;
mod stream;

use std::io;
use std::sync::Arc;

use poem::{Endpoint, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(super) use body::{AnswerSize, BodyAllowance, unreadable};
pub use descriptors::raise_limit;

use self::connection::Shared;
use self::connections::Connections;
use self::front_door::FrontDoor;
use self::stop::{Phase, Phases};
use crate::app::App;

/// Serves an endpoint until `shutdown` is ready, then lets running requests end for a while.
/// Connections that have none, or one that has not arrived as a whole, are closed at once.
///
/// # Errors
/// What the system says when it gives neither a socket nor a thread.
pub(super) async fn serve(
    app: Arc<App>,
    health: impl Endpoint<Output = Response> + 'static,
    endpoint: impl Endpoint<Output = Response> + 'static,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let config = app.config.network;
    let (phase, phases) = Phases::start();
    let max_connections = descriptors::max_connections(config.max_connections);
    let connections =
        Connections::new(max_connections, config.max_connections_per_address, Arc::clone(&app.metrics));
    let (accepted, mut arriving) = mpsc::unbounded_channel();
    let local = listener.local_addr()?;
    let shared = Arc::new(Shared::new(Arc::clone(&app), endpoint, local, phases.clone()));
    let door = FrontDoor {
        config,
        proxies: app.config.trusted_proxies.clone(),
        connections: Arc::clone(&connections),
        local,
        health,
        metrics: Arc::clone(&app.metrics),
        accepted,
        refusals: Default::default(),
    };
    door.open(listener.into_std()?, phases)?;
    tracing::debug!(max_connections, "accepting connections");

    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = shutdown.as_mut() => break,
            accepted = arriving.recv() => match accepted {
                Some(accepted) => drop(tokio::spawn(Arc::clone(&shared).serve(accepted))),
                None => return Err(io::Error::other("nothing accepts connections any more")),
            }
        }
    }
    phase.send_replace(Phase::Draining);
    // What has come and was not begun is closed.
    drop(arriving);
    if timeout(config.shutdown_timeout, connections.wait_until_none()).await.is_err() {
        tracing::warn!("requests that took longer than SHUTDOWN_TIMEOUT_MS are cut off");
    }
    phase.send_replace(Phase::Over);
    Ok(())
}
